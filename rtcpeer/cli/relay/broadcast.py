"""Broadcasts of a relay: one publisher each, and those who watch it. Media is forwarded, never decoded.

Owns: the table of names, the forwarders, who watches what. Never: HTTP (the servers of `rtcpeer.signaling` do that).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcpeer.errors import SignalingRefused
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer.forwarder import Forwarder
from rtcpeer.signaling.http.whip_session import WhipSession

#: Told as ``event(name, **details)``.
Listener = Callable[..., object]

_NAME_LENGTH = 100
_RETRY_PUBLISHING = 5.0
_RETRY_PLAYING = 2.0


class Broadcast:
    """One publisher.

    Attributes:
        name: the last part of its URL.
        publisher: its session.
        viewers: the sessions of those who watch.
        stream: in which the players find both.
        forwarders: by kind, "audio" and "video"; the first track of each kind is forwarded.
    """

    def __init__(self, name: str, publisher: WhipSession) -> None:
        self.name = name
        self.publisher = publisher
        self.viewers: set[WhipSession] = set()
        self.forwarders: dict[str, Forwarder] = {}
        self.stream = MediaStream()  # players look for sound and picture in one stream

    def take(self, receiver: Any) -> None:
        """The publisher sends something."""
        self.forwarders.setdefault(receiver.track.kind, Forwarder(receiver))

    def close(self) -> None:
        """Forward nothing more."""
        for forwarder in self.forwarders.values():
            forwarder.close()


class Broadcasts:
    """The broadcasts of a relay: the handlers for its WHIP and WHEP servers.

    Args:
        listener: called with "published", "unpublished", "playing" and "stopped", and details as keywords.
    """

    def __init__(self, listener: Listener) -> None:
        self._tell = listener
        self._live: dict[str, Broadcast] = {}

    def names(self) -> list[dict[str, Any]]:
        """What can be watched, as the page shows it."""
        return [
            {"name": name, "kinds": sorted(one.forwarders), "viewers": len(one.viewers)}
            for name, one in sorted(self._live.items())
        ]

    async def on_publish(self, session: WhipSession) -> None:
        """Take a publisher, unless the name is in use."""
        name = session.name
        if not name or len(name) > _NAME_LENGTH or not name.isprintable():
            raise SignalingRefused("publish under a readable name: /whip/NAME", status=404)
        if name in self._live:
            raise SignalingRefused(
                f"somebody publishes {name!r} already", status=409, retry_after=_RETRY_PUBLISHING
            )
        broadcast = self._live[name] = Broadcast(name, session)
        try:
            for transceiver in await session.apply_offer():
                broadcast.take(transceiver.receiver)
        except BaseException:
            del self._live[name]
            raise
        session.add_end_listener(self._unpublished)
        self._tell("published", name=name, kinds=sorted(broadcast.forwarders), remote=session.remote)

    async def on_play(self, session: WhipSession) -> None:
        """Let somebody watch, if there is something to watch."""
        broadcast = self._live.get(session.name)
        if broadcast is None:
            raise SignalingRefused(
                f"nobody publishes {session.name!r}", status=409, retry_after=_RETRY_PLAYING
            )
        sent = set()
        for transceiver in await session.apply_offer():
            kind = transceiver.receiver.track.kind
            if kind in broadcast.forwarders and kind not in sent:
                transceiver.direction = "sendonly"
                transceiver.sender.setStreams(broadcast.stream)
                broadcast.forwarders[kind].add(transceiver.sender)
                sent.add(kind)
            else:
                transceiver.direction = "inactive"
        if not sent:
            raise SignalingRefused("there is nothing of the kinds that the offer asks for", status=422)
        broadcast.viewers.add(session)
        session.add_end_listener(self._stopped)
        self._tell("playing", name=session.name, kinds=sorted(sent), remote=session.remote)

    def _unpublished(self, session: WhipSession) -> None:
        broadcast = self._live.pop(session.name, None)
        if broadcast is not None:
            self._tell("unpublished", name=session.name, reason=session.reason)
            broadcast.close()
            for viewer in tuple(broadcast.viewers):
                viewer.end_soon()

    def _stopped(self, session: WhipSession) -> None:
        broadcast = self._live.get(session.name)
        if broadcast is not None:
            for forwarder in broadcast.forwarders.values():
                for transceiver in session.pc.getTransceivers():
                    forwarder.remove(transceiver.sender)
            broadcast.viewers.discard(session)
        self._tell("stopped", name=session.name, reason=session.reason)
