"""PeerJS: data connections and media calls by way of a PeerServer, with browsers that use the library.

    async with PeerJS("https://example.org:9000/", id="bot") as peer:
        chat = await peer.connect("alice")                # serialization="binary", as the library's
        await chat.send({"hello": "world"})
        async for other in peer:                          # whoever connects or calls
            if isinstance(other, PeerJSCall):
                await other.answer(voice)

Owns: the WebSocket of the server, the connections. Never: a room, which PeerJS does not have. Each connection has a
peer connection of its own and one offer: an offer for a connection that is there replaces it. Needs the extra
``rtcpeer[signaling]`` (aiohttp).
"""

# Longer than 600 lines: a peer and the two kinds of connection that it makes change each other, as in the library.

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self
from urllib.parse import urlencode

import aiohttp

from rtcpeer.aio import TaskSet
from rtcpeer.calls.host import size_of
from rtcpeer.calls.patience import Patience
from rtcpeer.calls.peerjs.binarypack import pack, unpack_untrusted
from rtcpeer.calls.queue_channel import QueueChannel
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.media.stream import MediaStream
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import as_message
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.session import Session

logger = logging.getLogger(__name__)

Serialization = Literal["binary", "binary-utf8", "json", "raw"]
_TIMEOUT: Final = 10.0
_CLOSE_TIME: Final = 2.0
# what a PeerServer says instead of "OPEN"
_REFUSALS: Final = ("ID-TAKEN", "INVALID-KEY", "ERROR")
_HEARTBEAT: Final = 5.0
_PIECE: Final = 16_300
_MESSAGE_MAX: Final = 16 << 20
# pieces of messages that are not whole yet
_MESSAGES_MAX: Final = 64
_COLLECTED_MAX: Final = 2 * _MESSAGE_MAX
# messages that nobody has read: how many, and their bytes
_UNREAD_MAX: Final = 10_000
_UNREAD_BYTES_MAX: Final = 4 * _MESSAGE_MAX
_CONNECTIONS_MAX: Final = 1000
_PATIENCE: Final = 120.0


class _Channel(QueueChannel):
    """The signaling of one connection, by messages of the server."""

    def __init__(self, owner: PeerJS, connection: PeerJSConnection, *, offers: bool) -> None:
        super().__init__()
        self._owner = owner
        self._connection = connection
        self.capabilities: ChannelCapabilities = ChannelCapabilities(
            reliable=True,
            renegotiate=False,
            restart="no",
            offers="local" if offers else "remote",
            polite=not offers,
        )

    async def send(self, message: Any, /) -> None:
        """Send a description or a candidate."""
        self.check_open()
        init = as_message(message)
        payload: dict[str, Any] = {
            "type": self._connection.type,
            "connectionId": self._connection.connection_id,
        }
        if "sdp" in init:
            kind = str(init["type"]).upper()
            payload["sdp"] = {"type": init["type"], "sdp": init["sdp"]}
            if kind == "OFFER":
                payload |= self._connection.description()
        else:
            if not init.get("candidate"):
                return
            kind, payload["candidate"] = "CANDIDATE", init
        await self._owner.tell(kind, self._connection.peer_id, payload)


class PeerJSConnection:
    """Base of data connections and calls: their peer, their signaling, how they end.

    Attributes:
        peer_id: of the other side.
        connection_id: unlike that of every other connection.
        metadata: what the one who has connected says of it.
        peer: the supervised peer.
    """

    type = ""
    prefix = ""

    def __init__(
        self, owner: PeerJS, peer_id: str, *, connection_id: str | None, metadata: Any, offers: bool
    ) -> None:
        self.peer_id = peer_id
        self.connection_id: str = connection_id or self.prefix + secrets.token_hex(8)
        self.metadata = metadata
        self._owner = owner
        self.channel: _Channel = _Channel(owner, self, offers=offers)
        self.peer: SupervisedPeer = owner.session.supervise(self.channel)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self.peer_id}, {self.peer.state}>"

    async def connected(self, timeout: float | None = 30.0) -> None:
        """Wait until it is connected.

        Raises:
            RTCTimeoutError, GaveUp, InvalidStateError: it is not; see `SupervisedPeer.connected`.
        """
        await self.peer.connected(timeout)

    def description(self) -> dict[str, Any]:
        """The members of an offer that describe the connection."""
        return {} if self.metadata is None else {"metadata": self.metadata}

    async def close(self) -> None:
        """End it."""
        await self.peer.close()


class PeerJSCall(PeerJSConnection):
    """A media call. All tracks of one side are in one stream, as pages expect it.

    Attributes:
        senders: of our tracks, in the order in which they were given.
        offered: of an incoming call: how many tracks of each kind it offers to take.
    """

    type = "media"
    prefix = "mc_"

    def __init__(self, *args: Any, offer: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.senders: list[Any] = []
        self.offered: Counter[str] = _places_untrusted(offer)
        self._stream = MediaStream()
        self._tracks: list[Any] = []
        self._changed = asyncio.Event()
        self.peer.addEventListener("track", self._on_track)
        self.peer.addEventListener("statechange", lambda _: self._changed.set())

    @property
    def tracks(self) -> tuple[Any, ...]:
        """The tracks that have arrived."""
        return tuple(self._tracks)

    async def answer(self, *tracks: Any) -> None:
        """Take a call, and send these tracks.

        Raises:
            InvalidStateError: it was taken before, or has ended.
        """
        self.add_tracks(*tracks)
        await self.peer.start()

    def add_tracks(self, *tracks: Any) -> None:
        """Send these tracks from the first description on."""
        self.senders += [self.peer.addTrack(track, self._stream) for track in tracks]

    async def track(self, kind: str) -> Any:
        """The first track of a kind that arrives.

        Raises:
            InvalidStateError: the call has ended.
        """
        while True:
            found = next((track for track in self._tracks if track.kind == kind), None)
            if found is not None:
                return found
            if self.peer.is_ended:
                raise InvalidStateError(f"the call with {self.peer_id} has ended")
            self._changed.clear()
            await self._changed.wait()

    def _on_track(self, event: Any) -> None:
        self._tracks.append(event.track)
        self._changed.set()


class PeerJSData(PeerJSConnection):
    """A data connection: `send` values, iterate over those that arrive.

    Attributes:
        label: of the channel.
        serialization: "binary" (BinaryPack, in pieces where need be), "json" or "raw" (text and bytes as they are).
    """

    type = "data"
    prefix = "dc_"

    def __init__(
        self, *args: Any, label: str | None, serialization: str, reliable: bool, offers: bool, **options: Any
    ) -> None:
        super().__init__(*args, offers=offers, **options)
        self.label: str = label or self.connection_id
        self.serialization = serialization
        self.reliable = reliable
        self._channel: Any = None
        self._arrived: deque[tuple[Any, int]] = deque()
        self._arrived_bytes = 0
        self._changed = asyncio.Event()
        self._pieces: dict[int | str, dict[int, bytes]] = {}
        self._collected = 0  # bytes
        self._numbers = itertools.count(1)
        self.peer.addEventListener("datachannel", lambda event: self._use(event.channel))
        self.peer.addEventListener("statechange", lambda _: self._changed.set())
        if offers:
            self._use(self.peer.createDataChannel(self.label, {"ordered": reliable}))

    async def send(self, value: Any) -> None:
        """Send a value; it waits until the connection is there.

        Raises:
            InvalidStateError: the connection has ended.
            TypeError, ValueError: the serialization has no such value, or it is too long for JSON.
        """
        data: str | bytes
        if self.serialization == "raw":
            data = value
        elif self.serialization == "json":
            data = json.dumps(value).encode()
            if len(data) >= _PIECE:
                raise ValueError(
                    f"{len(data)} bytes are too long for the JSON serialization: less than {_PIECE}"
                )
        else:
            data = pack(value)
        while self._channel is None and not self.peer.is_ended:
            self._changed.clear()
            await self._changed.wait()
        if self.peer.is_ended:
            raise InvalidStateError(f"the connection with {self.peer_id} has ended")
        if self.serialization in ("raw", "json") or len(data) <= _PIECE:
            self._channel.send(data)
            return
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        number = next(self._numbers)
        for index, piece in enumerate(pieces):
            self._channel.send(pack({"__peerData": number, "n": index, "data": piece, "total": len(pieces)}))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while not self._arrived:
            if self.peer.is_ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._take_out()

    def _take_out(self) -> Any:
        value, size = self._arrived.popleft()
        self._arrived_bytes -= size
        return value

    async def close(self) -> None:
        """End it, and say so to the library at the other side."""
        said = {"__peerData": {"type": "close"}}
        if self.serialization != "raw" and self._channel is not None and self._channel.readyState == "open":
            with contextlib.suppress(InvalidStateError):
                self._channel.send(json.dumps(said).encode() if self.serialization == "json" else pack(said))
                await asyncio.sleep(0.05)  # it leaves before the end does
        await super().close()

    def description(self) -> dict[str, Any]:
        """Implements `PeerJSConnection.description`."""
        mine = {"label": self.label, "serialization": self.serialization, "reliable": self.reliable}
        return super().description() | mine

    def _use(self, channel: Any) -> None:
        self._channel = channel
        channel.addEventListener("message", self._take)
        self._changed.set()

    def _take(self, event: Any) -> None:
        try:
            value = self._read(event.data)
            said = value.get("__peerData") if isinstance(value, dict) else None
            if isinstance(said, dict) and said.get("type") == "close":
                self._owner.spawn(self.peer.close(), "close")
                return
            if said is not None and self.serialization.startswith("binary"):
                whole = self._collect(value)
                if whole is None:
                    return
                value = unpack_untrusted(whole)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._owner.ignored("message", error)
            return
        size = size_of(value)
        while self._arrived and (
            len(self._arrived) >= _UNREAD_MAX or self._arrived_bytes + size > _UNREAD_BYTES_MAX
        ):
            self._owner.ignored("unread message", "the oldest one gives way")
            self._take_out()
        self._arrived.append((value, size))
        self._arrived_bytes += size
        self._changed.set()

    def _read(self, data: Any) -> Any:
        if self.serialization == "raw":
            return data
        if self.serialization == "json":
            return json.loads(data)
        return unpack_untrusted(data if isinstance(data, bytes) else str(data).encode())

    def _collect(self, piece: Mapping[str, Any]) -> bytes | None:
        """The whole message when its last piece has come. What is collected is bounded: the oldest gives way."""
        number, index, total, data = piece["__peerData"], piece["n"], piece["total"], piece["data"]
        if type(index) is not int or type(total) is not int or not isinstance(number, (int, str)):
            raise ValueError("a piece of a message without numbers")
        if (
            not 0 <= index < total <= _MESSAGE_MAX // _PIECE
            or not isinstance(data, bytes)
            or len(data) > _PIECE
        ):
            raise ValueError("a piece of a message out of bounds")
        pieces = self._pieces.setdefault(number, {})
        self._collected += len(data) - len(pieces.get(index, b""))
        pieces[index] = data
        while len(self._pieces) > _MESSAGES_MAX or self._collected > _COLLECTED_MAX:
            self._forget(next(iter(self._pieces)))
        if number not in self._pieces or len(pieces) < total:
            return None
        self._forget(number)
        return b"".join(pieces[at] for at in range(total))

    def _forget(self, number: int | str) -> None:
        self._collected -= sum(map(len, self._pieces.pop(number).values()))


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
        id: ours.
        session: what makes the connections; its `iceServers` may be edited.
        counters: what was ignored, by kind.
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
        self.url: str = url.rstrip("/")
        self.id: str = id or ""
        self.session: Session = Session(configuration, **members)
        self.counters: Counter[str] = Counter()
        self._on_lost, self._on_back, self._on_end = on_lost, on_back, on_end
        self._on_nonsense = on_nonsense
        self._key = key
        self._token = secrets.token_hex(8)
        self._client: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connections: dict[str, PeerJSConnection] = {}
        self._new: deque[PeerJSConnection] = deque()
        self._changed = asyncio.Event()
        self._tasks = TaskSet("PeerJS")
        self._closed = False
        self.error: Exception | None = None

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
        self._client = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(_TIMEOUT):
                if not self.id:
                    async with self._client.get(f"{self.url}/{self._key}/id") as response:
                        self.id = (await response.text()).strip()[:256]
                await self._register()
        except TimeoutError:
            raise RTCTimeoutError("the PeerServer does not answer", fault="network") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NetworkError(f"the PeerServer cannot be reached: {error}", fault="network") from error
        self._tasks.start(self._read(), "reader", on_error=self._on_end)
        self._tasks.start(self._beat(), "heartbeat", on_error=self._on_end)

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
            self,
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
        connection = PeerJSCall(self, peer_id, connection_id=None, metadata=metadata, offers=True)
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
        self._changed.set()
        try:
            await asyncio.gather(*(one.close() for one in tuple(self._connections.values())))
            await self._tasks.end()
            if self._socket is not None:
                await self._socket.close()
        finally:
            self._tasks.cancel_others()  # also when there was no time for it
            if self._client is not None:
                await self._client.close()

    # -- for connections -------------------------------------------------------------------------------

    async def tell(self, kind: str, peer_id: str, payload: Mapping[str, Any]) -> None:
        """Send a message to a peer by the server.

        Raises:
            NetworkError: the socket is lost at present.
        """
        try:
            if self._socket is None or self._socket.closed:
                raise ConnectionError
            await self._socket.send_str(json.dumps({"type": kind, "dst": peer_id, "payload": dict(payload)}))
        except (ConnectionError, RuntimeError) as error:
            raise NetworkError("the connection to the PeerServer is lost", fault="network") from error

    def spawn(self, coroutine: Any, name: str) -> None:
        """Begin a task of this peer."""
        self._tasks.start(coroutine, name)

    def ignored(self, what: str, detail: object) -> None:
        """Count what makes no sense."""
        self.counters[what] += 1
        if self.counters[what] == 1:
            logger.warning("PeerJS: ignored: %s %s", what, str(detail)[:200])
        self._on_nonsense(what, detail)

    # -- inside ----------------------------------------------------------------------------------------

    async def _register(self) -> None:
        assert self._client is not None
        base = self.url.replace("http", "ws", 1)
        query = urlencode({"key": self._key, "id": self.id, "token": self._token, "version": "1.5.5"})
        socket = await self._client.ws_connect(
            f"{base}/peerjs?{query}",
            max_msg_size=4 << 20,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIME),
        )
        try:
            async for message in socket:
                said = _object_untrusted(message)
                if said.get("type") == "OPEN":
                    break
                if said.get("type") in _REFUSALS:
                    raise SignalingRefused(f"{said['type']} {said.get('payload')}"[:200], fatal=True)
                self.ignored("frame before OPEN", str(message.data)[:50])
            else:
                raise NetworkError("the PeerServer has closed the connection", fault="network")
        except BaseException:
            await socket.close()
            raise
        self._socket = socket

    async def _read(self) -> None:
        while not self._closed:
            if self._socket is not None:
                async for frame in self._socket:
                    if frame.type == aiohttp.WSMsgType.TEXT:
                        await self._hear(frame.data)
            self._socket = None
            if self._closed:
                return
            self._on_lost()
            if not await self._return():
                if self.error is not None:
                    self._on_end(self.error)
                return
            self._on_back()

    async def _return(self) -> bool:
        """Register again after a loss; whether that was done."""
        patience = Patience(_PATIENCE)
        while self.error is None:
            await patience.pause()
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self._register()
            except SignalingRefused as error:
                self.error = error
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, NetworkError) as error:
                if patience.is_over:
                    self.error = error
            else:
                return True
        self._changed.set()
        return False

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            if self._socket is not None and not self._socket.closed:
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await self._socket.send_str('{"type": "HEARTBEAT"}')

    async def _hear(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind, source, payload = message["type"], message.get("src"), message.get("payload")
            if kind in ("OFFER", "ANSWER", "CANDIDATE"):
                self._pass_on(kind, str(source), payload)
            elif kind in ("LEAVE", "EXPIRE"):
                for one in [c for c in self._connections.values() if c.peer_id == source]:
                    self.spawn(one.close(), "close")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.ignored("frame", repr(error))

    def _pass_on(self, kind: str, source: str, payload: Any) -> None:
        connection = self._connections.get(str(payload["connectionId"]))
        if connection is not None and connection.peer_id != source:
            self.ignored("connection of another", source)
            return
        if connection is None and kind == "OFFER" and len(self._connections) < _CONNECTIONS_MAX:
            connection = self._take(source, payload)
        if connection is None:
            self.ignored("unknown connection", source)
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
            connection = PeerJSCall(self, source, offer=str(payload["sdp"]["sdp"]), **common)
        elif payload.get("type") == "data":
            serialization = str(payload.get("serialization") or "binary")
            serialization = serialization if serialization in ("raw", "json") else "binary"
            connection = PeerJSData(
                self,
                source,
                label=payload.get("label"),
                serialization=serialization,
                reliable=bool(payload.get("reliable")),
                **common,
            )
            self.spawn(connection.peer.start(), "start")
        else:
            return None
        self._add(connection)
        self._new.append(connection)
        self._changed.set()
        return connection

    def _add(self, connection: PeerJSConnection) -> None:
        self._connections[connection.connection_id] = connection
        self.spawn(self._until_ended(connection), "end of a connection")

    async def _until_ended(self, connection: PeerJSConnection) -> None:
        with contextlib.suppress(GaveUp, InvalidStateError):
            await connection.peer.closed()
        self._connections.pop(connection.connection_id, None)
        await connection.peer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("this peer is closed")


def _object_untrusted(message: aiohttp.WSMessage) -> dict[str, Any]:
    """The JSON object of a frame; empty when it is none."""
    try:
        said = json.loads(message.data) if message.type == aiohttp.WSMsgType.TEXT else None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _places_untrusted(offer: str) -> Counter[str]:
    """How many tracks of each kind an offer has room for."""
    found: Counter[str] = Counter()
    for section in re.split(r"^m=", offer, flags=re.MULTILINE)[1:]:
        if not re.search(r"^a=(sendonly|inactive)\s*$", section, re.MULTILINE):
            found[section.partition(" ")[0]] += 1
    return found
