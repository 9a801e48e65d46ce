"""The connections of a PeerJS peer: calls, data connections, and the signaling that both have.

Owns: the supervised peer of each connection, what has arrived by it. Never: which connections there are (`peer`). Each
has one offer: an offer for a connection that is there replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections import Counter, deque
from typing import Any, Final, Self

from rtcpeer.calls.host import size_of
from rtcpeer.calls.peerjs.link import PeerServerLink
from rtcpeer.calls.peerjs.serialization import Control, MessageCodec
from rtcpeer.calls.queue_channel import QueueChannel
from rtcpeer.errors import InvalidStateError
from rtcpeer.media.stream import MediaStream
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import as_message
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.session import Session

# messages that nobody has read: how many, and their bytes
_UNREAD_MAX: Final = 10_000
_UNREAD_BYTES_MAX: Final = 64 << 20


class _Channel(QueueChannel):
    """The signaling of one connection, by messages of the server."""

    def __init__(self, link: PeerServerLink, connection: PeerJSConnection, *, offers: bool) -> None:
        super().__init__()
        self._link = link
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
        await self._link.tell(kind, self._connection.peer_id, payload)


class PeerJSConnection:
    """Base of data connections and calls: their peer, their signaling, how they end.

    Args:
        link: the connection to the server, by which descriptions travel.
        session: makes the supervised peer.

    Attributes:
        peer_id: of the other side.
        connection_id: unlike that of every other connection.
        metadata: what the one who has connected says of it.
        peer: the supervised peer.
    """

    type = ""
    prefix = ""

    def __init__(
        self,
        link: PeerServerLink,
        session: Session,
        peer_id: str,
        *,
        connection_id: str | None,
        metadata: Any,
        offers: bool,
    ) -> None:
        self.peer_id = peer_id
        self.connection_id: str = connection_id or self.prefix + secrets.token_hex(8)
        self.metadata = metadata
        self._link = link
        self.channel: _Channel = _Channel(link, self, offers=offers)
        self.peer: SupervisedPeer = session.supervise(self.channel)

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
        self._codec = MessageCodec(serialization)
        self._channel: Any = None
        self._arrived: deque[tuple[Any, int]] = deque()
        self._arrived_bytes = 0
        self._changed = asyncio.Event()
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
        messages = self._codec.write(value)
        while self._channel is None and not self.peer.is_ended:
            self._changed.clear()
            await self._changed.wait()
        if self.peer.is_ended:
            raise InvalidStateError(f"the connection with {self.peer_id} has ended")
        for message in messages:
            self._channel.send(message)

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
        farewell = self._codec.farewell()
        if farewell is not None and self._channel is not None and self._channel.readyState == "open":
            with contextlib.suppress(InvalidStateError):
                self._channel.send(farewell)
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
            value = self._codec.read_untrusted(event.data)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._link.ignored("message", error)
            return
        if value is Control.CLOSE:
            self._link.spawn(self.peer.close(), "close")
        elif value is not Control.PIECE:
            self._put(value)

    def _put(self, value: Any) -> None:
        """Keep a value until it is read. What nobody reads is bounded: the oldest gives way."""
        size = size_of(value)
        while self._arrived and (
            len(self._arrived) >= _UNREAD_MAX or self._arrived_bytes + size > _UNREAD_BYTES_MAX
        ):
            self._link.ignored("unread message", "the oldest one gives way")
            self._take_out()
        self._arrived.append((value, size))
        self._arrived_bytes += size
        self._changed.set()


def _places_untrusted(offer: str) -> Counter[str]:
    """How many tracks of each kind an offer has room for."""
    found: Counter[str] = Counter()
    for section in re.split(r"^m=", offer, flags=re.MULTILINE)[1:]:
        if not re.search(r"^a=(sendonly|inactive)\s*$", section, re.MULTILINE):
            found[section.partition(" ")[0]] += 1
    return found
