"""One TURN allocation under test: `TurnClient` on a socket or stream, with a record of every message.

Owns: the path to one server address, the allocation on it, round-trip times, every error code on the way.
Never: a judgement (`verdicts`), the data that are tried (`relaying`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from rtcpeer.cli.doctor.udp_socket import report_errors
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.dtls.trust import client_connection
from rtcpeer.net.network import Address, DatagramSocket, Network, StreamSocket
from rtcpeer.stun import message as stun
from rtcpeer.turn.client import NEVER, Allocated, Lost, Refused, Released, TurnClient

RTO = 0.25


class _Client(TurnClient):
    """A client that lets `ear` hear what the server says."""

    def __init__(self, ear: Callable[[bytes], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._ear = ear

    def receive_untrusted(self, now: float, data: bytes) -> None:
        """Take a message, as the client does; channel data and indications are no answers."""
        if data and data[0] & 0xC0 != 0x40:
            self._ear(data)
        super().receive_untrusted(now, data)


class ExaminedRelay:
    """An attempt to get an allocation.

    Attributes:
        rtt: of the quickest answer to a request that was sent once, in seconds.
        errors: (method, code) of every error response.
        unreadable: datagrams that are not STUN.
        unreachable: what ICMP said of the server; empty while it said nothing.
        stream_ended: the server closed the connection.
        unsigned: an Allocate success came, and was not signed as it should be.
        lifetime, software: what the server said.
        on_data: gets (data, peer) of what comes out of the relay.
    """

    def __init__(self, entry: IceServerEntry, server: Address, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.server = server
        self.rtt: float | None = None
        self.errors: list[tuple[int, int]] = []
        self.unreadable = 0
        self.stream_ended = False
        self.unreachable = ""
        self.unsigned = False
        self.lifetime: float | None = None
        self.software = ""
        self.on_data: Callable[[bytes, Address], None] | None = None
        self.allocated: Allocated | None = None
        self._secure = entry.url.is_secure
        self._hostname = entry.url.host
        self._reliable = entry.url.transport == "tcp"
        self._socket: DatagramSocket | None = None
        self._stream: StreamSocket | None = None
        self._channel: DtlsChannel | None = None
        self._sent: dict[bytes, float | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._outcome: asyncio.Future[Allocated | Refused | Lost | Released] | None = None
        self.client = _Client(
            self._heard,
            username=entry.username or "",
            password=entry.credential or "",
            send=self._write,
            receive_data=self._from_peer,
            reliable=self._reliable,
            ipv6=True,
            rto=RTO,
            timeout=timeout,
        )

    async def open(self, network: Network, source: str, tls: ssl.SSLContext | None, timeout: float) -> None:
        """Have a way to the server.

        Raises:
            OSError: there is none (TimeoutError and ssl.SSLError are such).
        """
        if not self._reliable:
            self._socket = socket = await network.open_udp(source, 0, self._datagram)
            report_errors(socket, self._failed)
            if self._secure:
                self._channel = DtlsChannel(
                    partial(client_connection, tls, self._hostname),
                    send=lambda datagram: socket.send(datagram, self.server),
                    receive=self._message,
                    on_end=lambda: self._chunk(None),
                    rto=RTO,
                )
                self._channel.start()
                async with asyncio.timeout(timeout):
                    await self._channel.opened
            return
        async with asyncio.timeout(timeout):
            self._stream = await network.open_stream(
                *self.server,
                receiver=self._chunk,
                tls=tls if self._secure else None,
                server_hostname=self._hostname,
                local_host=source,
            )

    async def allocate(self, timeout: float) -> Allocated | Refused:
        """Ask for the allocation; silence is a refusal with code 701."""
        self._outcome = self._loop.create_future()
        self.client.allocate(self._loop.time())
        self._after()
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._outcome
        except TimeoutError:
            outcome = Refused(701, "the server did not answer in time")
        finally:
            self._outcome = None
        if isinstance(outcome, Allocated):
            self.allocated = outcome
            return outcome
        return outcome if isinstance(outcome, Refused) else Refused(701, "the allocation was lost")

    def permit(self, host: str) -> None:
        """Let this host be a peer."""
        self.client.prepare(self._loop.time(), (host, 9))
        self._after()

    def send(self, data: bytes, peer: Address) -> None:
        """Send one datagram through the relay."""
        self.client.send_data(self._loop.time(), data, peer)
        self._after()

    @property
    def forbidden(self) -> int:
        """The code with which permissions were refused, when none was granted; else 0."""
        codes = [code for method, code in self.errors if method == stun.CREATE_PERMISSION and code != 438]
        return codes[-1] if codes and not self.client.permitted_hosts else 0

    async def close(self, timeout: float) -> None:
        """Give the allocation back, for at most `timeout` seconds, and close."""
        try:
            if self.client.phase == "allocated":
                self._outcome = self._loop.create_future()
                self.client.release(self._loop.time())
                self._after()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await self._outcome
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._outcome = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._channel is not None:
            self._channel.close()
        if self._socket is not None:
            self._socket.close()
        if self._stream is not None:
            self._stream.close()

    # --- the path ---------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if stun.looks_like_stun(data) and data[0] == 0:
            identity = data[8:20]
            # an answer to a request that was repeated says nothing about time (Karn)
            self._sent[identity] = None if identity in self._sent else self._loop.time()
        if self._channel is not None:
            self._channel.write(data)
        elif self._socket is not None:
            self._socket.send(data, self.server)
        elif self._stream is not None:
            self._stream.write(data)

    def _datagram(self, data: bytes, address: Address) -> None:
        if address != self.server:
            return
        if self._channel is not None:
            self._channel.received_untrusted(data)
        else:
            self._message(data)

    def _failed(self, address: Address, problem: str) -> None:
        if address != self.server:
            return
        self.unreachable = problem
        if self._channel is not None:
            self._channel.lost(OSError(problem))
        self.client.path_lost(problem)
        self._after()

    def _message(self, data: bytes) -> None:
        self.client.receive_untrusted(self._loop.time(), data)
        self._after()

    def _chunk(self, chunk: bytes | None) -> None:
        if chunk is None:
            self.stream_ended = True
            self.client.path_lost("the server closed the connection")
        elif not self.client.feed_untrusted(self._loop.time(), chunk):
            self.unreadable += 1
            self.client.path_lost("the server sent something that is not TURN")
        self._after()

    def _from_peer(self, data: bytes, peer: Address) -> None:
        if self.on_data is not None:
            self.on_data(data, peer)

    def _heard(self, data: bytes) -> None:
        try:
            message = stun.parse_untrusted(data)
        except stun.StunError:
            self.unreadable += 1
            return
        kind = message.kind & stun.CLASS_MASK
        if kind not in (stun.SUCCESS, stun.ERROR) or message.transaction_id not in self._sent:
            return
        sent_at = self._sent.pop(message.transaction_id)
        if sent_at is not None:
            took = self._loop.time() - sent_at
            self.rtt = took if self.rtt is None else min(self.rtt, took)
        method = message.kind & ~stun.CLASS_MASK
        self.software = message.text(stun.SOFTWARE) or self.software
        if kind == stun.ERROR:
            self.errors.append((method, message.error[0]))
        elif method == stun.ALLOCATE:
            # unless it is heard of as `Allocated`, the client did not believe it
            self.unsigned = True
            self.lifetime = message.number(stun.LIFETIME)

    def _after(self) -> None:
        """Pass on what has happened, and have the timer fire when the client wants it."""
        events, self.client.events = self.client.events, []
        for event in events:
            if isinstance(event, Allocated):
                self.unsigned = False
            if self._outcome is not None and not self._outcome.done():
                self._outcome.set_result(event)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.client.next_time()
        if due != NEVER and self.client.phase != "gone":
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.client.tick(self._loop.time())
        self._after()
