"""Binding queries over DTLS (RFC 7350) from a host candidate's own socket.

Owns: one association, from its first datagram to the answer.  The NATs on the way see the socket that peers will
see, so that the answer is a candidate of that base.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from OpenSSL import SSL

from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.ice.agent.sockets import BaseContext, SocketBase
from rtcpeer.net.network import Address
from rtcpeer.stun.query import Queries


async def ask_over_dtls(
    pipe: BaseContext,
    base: SocketBase,
    server: Address,
    connect: Callable[[], SSL.Connection],
    *,
    rto: float,
    deadline: float,
) -> tuple[Address | None, tuple[int, str]]:
    """Ask one server through one socket.

    Args:
        connect: makes a connection to that server, of `rtcpeer.dtls.trust`.
        rto: first repetition.
        deadline: of the loop's clock; silence until then is an answer too.

    Returns:
        The mapped address, or None and (code, text).
    """
    try:
        async with asyncio.timeout_at(deadline):
            while (other := base.associations.get(server)) is not None:
                # another gathering of ours is asking: one 5-tuple has one association
                await other.ended.wait()
            return await _Question(pipe, base, server, connect, rto, deadline).answer()
    except TimeoutError:
        return None, (701, "the server did not answer")
    except OSError as exc:
        return None, (701, f"no DTLS with the server: {exc}")


class _Question:
    def __init__(
        self,
        pipe: BaseContext,
        base: SocketBase,
        server: Address,
        connect: Callable[[], SSL.Connection],
        rto: float,
        deadline: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._base = base
        self._server = server
        self._rto = rto
        self._deadline = deadline
        self._queries = Queries()
        self._result: asyncio.Future[tuple[Address | None, tuple[int, str]]] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._channel = DtlsChannel(
            connect, send=self._send, receive=self._received_untrusted, on_end=self._ended, rto=rto
        )

    async def answer(self) -> tuple[Address | None, tuple[int, str]]:
        self._base.associations[self._server] = self._channel
        try:
            self._channel.start()
            await self._channel.opened
            now = self._pipe.clock()
            self._queries.ask(
                now,
                self._server,
                lambda data, _: self._channel.write(data),
                self._answered,
                rto=self._rto,
                timeout=self._deadline - now,
            )
            self._arm()
            return await self._result
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._channel.close()
            del self._base.associations[self._server]

    def _send(self, datagram: bytes) -> None:
        self._base.send(datagram, self._server)

    def _received_untrusted(self, data: bytes) -> None:
        self._queries.on_stun_untrusted(data, self._server)

    def _answered(self, mapped: Address | None, error: tuple[int, str]) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self._result.set_result((mapped, error))

    def _ended(self) -> None:
        self._answered(None, (701, "the server closed the association"))

    def _arm(self) -> None:
        due = self._queries.next_time()
        if due != float("inf"):
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._queries.tick(self._pipe.clock())
        self._arm()
