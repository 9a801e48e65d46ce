"""Two connections that negotiate with each other, trickling candidates, on hosts of their own.

    async with PeerPair(network=network) as pair:
        channel = pair.offerer.createDataChannel("x")
        await pair.connect()

Owns: the two connections and the signaling between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rtcpeer.aio import start_task
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Network
from rtcpeer.testing.net.host import Host

if TYPE_CHECKING:
    from rtcpeer.peer.connection import RTCPeerConnection
    from rtcpeer.testing.net.network import VirtualNetwork

CONNECT_TIMEOUT = 30.0


class PeerPair:
    """An offerer and an answerer.

    Args:
        configuration: of both, as a mapping or dataclass; see also `offerer_configuration`.
        network: a virtual network on which hosts "alice" and "bob" are made (or found) for them.
        hosts: instead: a `Host` or `Network` for each. Default: the network in force for both.
        offerer_configuration, answerer_configuration: where they differ.
        signaling_delay: seconds that each message takes.
        keywords: further arguments of ``RTCPeerConnection``.

    Attributes:
        offerer, answerer: the connections.
        hosts: where they live; None for real sockets.
        messages: every description and candidate that passed, as (sender, JSON form).
    """

    def __init__(
        self,
        configuration: Any = None,
        *,
        network: VirtualNetwork | None = None,
        hosts: tuple[Host | Network, Host | Network] | None = None,
        offerer_configuration: Any = None,
        answerer_configuration: Any = None,
        signaling_delay: float = 0.0,
        **keywords: Any,
    ) -> None:
        if hosts is None and network is not None:
            alice, bob = (network.hosts.get(n) or network.add_host(n) for n in ("alice", "bob"))
            hosts = (alice, bob)
        self.hosts = hosts
        self.messages: list[tuple[str, Mapping[str, Any]]] = []
        self._delay = signaling_delay
        both = offerer_configuration or configuration, answerer_configuration or configuration
        self._sides = tuple(
            _Side(self, name, _make(chosen, hosts[index] if hosts else None, keywords))
            for index, (name, chosen) in enumerate(zip(("offerer", "answerer"), both, strict=True))
        )
        self._sides[0].other, self._sides[1].other = self._sides[1], self._sides[0]
        self.offerer: RTCPeerConnection = self._sides[0].connection
        self.answerer: RTCPeerConnection = self._sides[1].connection

    def __repr__(self) -> str:
        return f"<PeerPair {self.offerer!r} {self.answerer!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def negotiate(self, offerer: RTCPeerConnection | None = None, **options: Any) -> None:
        """Exchange one offer and answer; ends when the offerer has applied the answer. Candidates follow.

        Args:
            offerer: which of the two; default: `offerer`.
            options: of ``createOffer``, for example ``iceRestart=True``.
        """
        side = next(s for s in self._sides if offerer in (None, s.connection))
        await side.offer(options)

    async def connect(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Negotiate and wait until both are connected. Only an offer with nothing in it gets a channel of its own.

        Raises:
            TimeoutError: it took longer.
        """
        # asked of an offer: `sctp` says nothing of a channel before it is negotiated
        if "\r\nm=" not in (await self.offerer.createOffer()).sdp:
            self.offerer.createDataChannel("test")
        async with asyncio.timeout(timeout):
            await self.negotiate()
            await asyncio.gather(*(side.connection.connected(timeout=None) for side in self._sides))

    async def restart_ice(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Negotiate an ICE restart and wait until both are connected again."""
        async with asyncio.timeout(timeout):
            await self.negotiate(iceRestart=True)
            await asyncio.gather(*(side.connection.connected(timeout=None) for side in self._sides))

    async def close(self) -> None:
        """Close both and stop signaling."""
        await asyncio.gather(*(side.close() for side in self._sides))


def _make(configuration: Any, host: Host | Network | None, keywords: Mapping[str, Any]) -> RTCPeerConnection:
    # not at the top: the virtual network and the TURN server do not need codecs
    from rtcpeer.peer.connection import RTCPeerConnection

    with ExitStack() as stack:
        if isinstance(host, Host):
            stack.enter_context(host.active())
        elif host is not None:
            token = current_network.set(host)
            stack.callback(current_network.reset, token)
        return RTCPeerConnection(configuration, **keywords)


class _Side:
    """One connection of a pair, and the queue of what the other has sent to it."""

    other: _Side

    def __init__(self, pair: PeerPair, name: str, connection: RTCPeerConnection) -> None:
        self.connection = connection
        self._pair = pair
        self._name = name
        self._inbox: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        # candidates that were found before their description has been sent
        self._held: list[Any] | None = None
        self._answered: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        # candidates of descriptions that the connection has not got (yet)
        self._early: list[Mapping[str, Any]] = []
        connection.addEventListener("icecandidate", self._on_candidate)
        connection.addEventListener("signalingstatechange", self._retry)

    async def offer(self, options: Mapping[str, Any]) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self._held = []
        await self.connection.setLocalDescription(
            await self.connection.createOffer(options) if options else None
        )
        self._send_description()
        try:
            await self._answered
        finally:
            self._answered = None

    def _send_description(self) -> None:
        description = self.connection.localDescription
        if description is not None:
            self._send(description.toJSON())
        held, self._held = self._held or [], None
        for candidate in held:
            self._send(candidate)

    def _on_candidate(self, event: Any) -> None:
        message = event.candidate.toJSON() if event.candidate is not None else {"candidate": ""}
        if self._held is not None:
            self._held.append(message)
        else:
            self._send(message)

    def _send(self, message: Mapping[str, Any]) -> None:
        self._pair.messages.append((self._name, message))
        other = self.other
        if other._task is None:
            other._task = start_task(other._receive())
        if self._pair._delay:
            asyncio.get_running_loop().call_later(self._pair._delay, other._inbox.put_nowait, message)
        else:
            other._inbox.put_nowait(message)

    async def _receive(self) -> None:
        while (message := await self._inbox.get()) is not None:
            try:
                await self._take(message)
            except Exception as exc:
                if self.connection.signalingState == "closed":
                    return
                waiting = self._answered or self.other._answered
                if waiting is not None and not waiting.done():
                    waiting.set_exception(exc)
                else:
                    context = {"message": f"the {self._name} could not take {message!r}", "exception": exc}
                    asyncio.get_running_loop().call_exception_handler(context)

    async def _take(self, message: Mapping[str, Any]) -> None:
        connection = self.connection
        if "candidate" in message:
            if self._knows(message.get("usernameFragment")):
                await connection.addIceCandidate(message)
            else:
                self._early.append(message)
            return
        await connection.setRemoteDescription(message)
        if message["type"] == "offer":
            self._held = []
            await connection.setLocalDescription()
            self._send_description()
        elif self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _knows(self, fragment: str | None) -> bool:
        remote = self.connection.currentRemoteDescription, self.connection.pendingRemoteDescription
        line = f"a=ice-ufrag:{fragment}" if fragment else ""
        return any(line in description.sdp for description in remote if description is not None)

    def _retry(self, _event: Any) -> None:
        early, self._early = self._early, []
        for message in early:
            self._inbox.put_nowait(message)

    async def close(self) -> None:
        await self.connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
