"""PeerJS: data connections and media calls by way of a PeerServer, with browsers that use the library.

    async with PeerJS("https://example.org:9000/", id="bot") as peer:
        chat = await peer.connect("alice")                # serialization="binary", as the library's
        await chat.send({"hello": "world"})
        async for other in peer:                          # whoever connects or calls
            if isinstance(other, PeerJSCall):
                await other.answer(voice)

Owns: which connections there are. Never: a room, which PeerJS does not have; the WebSocket of the server (`link`); what
a connection carries (`connections`). Needs the extra ``rtcpeer[signaling]`` (aiohttp).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from rtcpeer.calls.peerjs.connections import PeerJSCall, PeerJSConnection, PeerJSData
from rtcpeer.calls.peerjs.link import PeerServerLink
from rtcpeer.calls.peerjs.serialization import Serialization
from rtcpeer.errors import InvalidStateError
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.session import Session

_CONNECTIONS_MAX: Final = 1000


class PeerJS:
    """A peer at a PeerServer. Iterating yields the connections and calls of others.

    Args:
        url: of the server, with its path.
        id: ours; drawn by the server if None.
        key: of the server.
        configuration: as for RTCPeerConnection.
        on_lost: called when the connection to the server is lost; those to peers live on.
        on_back: called when it is there again.
        on_end: called with the error when the server stays away, or does not take us any more.
        on_nonsense: called with what was ignored, and details.
        **members: single members of it.

    Attributes:
        session: what makes the connections; its `iceServers` may be edited.
        link: the connection to the server.
    """

    def __init__(
        self,
        url: str,
        *,
        id: str | None = None,
        key: str = "peerjs",
        configuration: Any = None,
        on_lost: Callable[[], object] = lambda: None,
        on_back: Callable[[], object] = lambda: None,
        on_end: Callable[[Exception], object] = lambda _: None,
        on_nonsense: Callable[[str, object], object] = lambda _what, _detail: None,
        **members: Any,
    ) -> None:
        self.session: Session = Session(configuration, **members)
        self.link: PeerServerLink = PeerServerLink(
            url,
            id or "",
            key,
            on_message=self._on_message,
            on_lost=on_lost,
            on_back=on_back,
            on_end=self._over,
            on_nonsense=on_nonsense,
        )
        self._on_end = on_end
        self._connections: dict[str, PeerJSConnection] = {}
        self._new: deque[PeerJSConnection] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def url(self) -> str:
        """The server's, without a slash at its end."""
        return self.link.url

    @property
    def id(self) -> str:
        """Ours; "" until the server has drawn one."""
        return self.link.id

    @property
    def error(self) -> Exception | None:
        """Why the server stays away; None while it does not."""
        return self.link.error

    @property
    def counters(self) -> Counter[str]:
        """Counts of what was ignored, by kind."""
        return self.link.counters

    def __repr__(self) -> str:
        return f"<PeerJS {self.id or '?'}, {len(self._connections)} connections>"

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Register at the server.

        Raises:
            SignalingRefused: the id is taken, or the key is wrong.
            NetworkError, RTCTimeoutError: it cannot be reached, or does not answer.
        """
        await self.link.open()

    async def connect(
        self,
        peer_id: str,
        *,
        serialization: Serialization = "binary",
        label: str | None = None,
        metadata: Any = None,
        reliable: bool = True,
    ) -> PeerJSData:
        """Open a data connection to a peer.

        Raises:
            InvalidStateError: this one is closed.
        """
        self._check_open()
        connection = PeerJSData(
            self.link,
            self.session,
            peer_id,
            connection_id=None,
            metadata=metadata,
            offers=True,
            label=label,
            serialization=serialization,
            reliable=reliable,
        )
        self._add(connection)
        await connection.peer.start()
        return connection

    async def call(
        self, peer_id: str, *tracks: Any, metadata: Any = None, receive: bool = True
    ) -> PeerJSCall:
        """Call a peer, and send it these tracks.

        Args:
            peer_id: whom.
            *tracks: what it gets.
            metadata: what we say of the call.
            receive: whether tracks of both kinds are asked for.

        Raises:
            InvalidStateError: this one is closed.
        """
        self._check_open()
        connection = PeerJSCall(
            self.link, self.session, peer_id, connection_id=None, metadata=metadata, offers=True
        )
        self._add(connection)
        connection.add_tracks(*tracks)
        for kind in {"audio", "video"} - {track.kind for track in tracks} if receive else ():
            connection.peer.addTransceiver(kind, {"direction": "recvonly"})
        await connection.peer.start()
        return connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PeerJSConnection:
        while not self._new:
            if self._closed or self.error is not None:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._new.popleft()

    async def close(self) -> None:
        """End all connections and leave the server. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.link.begin_leaving()
        self._changed.set()
        try:
            await asyncio.gather(*(one.close() for one in tuple(self._connections.values())))
            await self.link.leave()
        finally:
            await self.link.release()

    # -- inside ----------------------------------------------------------------------------------------

    def _over(self, error: Exception) -> None:
        self._changed.set()
        self._on_end(error)

    def _on_message(self, kind: str, source: str, payload: Any) -> None:
        if kind in ("OFFER", "ANSWER", "CANDIDATE"):
            self._pass_on(kind, source, payload)
        elif kind in ("LEAVE", "EXPIRE"):
            for one in [c for c in self._connections.values() if c.peer_id == source]:
                self.link.spawn(one.close(), "close")

    def _pass_on(self, kind: str, source: str, payload: Any) -> None:
        connection = self._connections.get(str(payload["connectionId"]))
        if connection is not None and connection.peer_id != source:
            self.link.ignored("connection of another", source)
            return
        if connection is None and kind == "OFFER" and len(self._connections) < _CONNECTIONS_MAX:
            connection = self._take(source, payload)
        if connection is None:
            self.link.ignored("unknown connection", source)
            return
        connection.channel.put(payload["candidate"] if kind == "CANDIDATE" else payload["sdp"])

    def _take(self, source: str, payload: Mapping[str, Any]) -> PeerJSConnection | None:
        """Somebody connects or calls. A call waits for its answer."""
        common: dict[str, Any] = {
            "connection_id": str(payload["connectionId"]),
            "metadata": payload.get("metadata"),
            "offers": False,
        }
        connection: PeerJSConnection
        if payload.get("type") == "media":
            connection = PeerJSCall(
                self.link, self.session, source, offer=str(payload["sdp"]["sdp"]), **common
            )
        elif payload.get("type") == "data":
            serialization = str(payload.get("serialization") or "binary")
            serialization = serialization if serialization in ("raw", "json") else "binary"
            connection = PeerJSData(
                self.link,
                self.session,
                source,
                label=payload.get("label"),
                serialization=serialization,
                reliable=bool(payload.get("reliable")),
                **common,
            )
            self.link.spawn(connection.peer.start(), "start")
        else:
            return None
        self._add(connection)
        self._new.append(connection)
        self._changed.set()
        return connection

    def _add(self, connection: PeerJSConnection) -> None:
        self._connections[connection.connection_id] = connection
        self.link.spawn(self._until_ended(connection), "end of a connection")

    async def _until_ended(self, connection: PeerJSConnection) -> None:
        with contextlib.suppress(GaveUp, InvalidStateError):
            await connection.peer.closed()
        self._connections.pop(connection.connection_id, None)
        await connection.peer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("this peer is closed")
