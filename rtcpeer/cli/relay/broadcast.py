"""Broadcasts of a relay: one publisher each, and those who watch it. Media is forwarded, never decoded.

Owns: the table of names, the forwarders, who watches what, when a pulled stream begins and ends. Never: HTTP (the
servers of `rtcpeer.signaling` do that), the connections to other relays (that is `upstream`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from rtcpeer.aio import start_task
from rtcpeer.cli.relay.upstream import LOOKING, Pull, Upstream
from rtcpeer.errors import SignalingRefused
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer.forwarder import Forwarder
from rtcpeer.signaling.http.whip_session import WhipSession

logger = logging.getLogger(__name__)

#: Told as ``event(name, **details)``.
Listener = Callable[..., object]

_NAME_LENGTH = 100
_RETRY_PUBLISHING = 5.0
_RETRY_PLAYING = 2.0
_RETRY_LOOKING = 1.0


class Broadcast:
    """A broadcast: what is published under one name.

    Args:
        name: the last part of its URL.
        pull: where it comes from, when its publisher is at another relay.

    Attributes:
        name, pull: as above.
        viewers: the sessions of those who watch.
        stream: in which the players find sound and picture.
        forwarders: by kind, "audio" and "video"; the first track of each kind is forwarded.
    """

    def __init__(self, name: str, pull: Pull | None = None) -> None:
        self.name = name
        self.pull = pull
        self.viewers: set[WhipSession] = set()
        self.forwarders: dict[str, Forwarder] = {} if pull is None else pull.forwarders
        self.stream = MediaStream()  # players look for sound and picture in one stream

    def take(self, receiver: Any) -> None:
        """The publisher sends something."""
        self.forwarders.setdefault(receiver.track.kind, Forwarder(receiver))

    def send_to(self, transceivers: list[Any]) -> list[str]:
        """Send each kind in the first section that asks for it; says which kinds are sent."""
        sent: set[str] = set()
        for transceiver in transceivers:
            kind = transceiver.receiver.track.kind
            if kind in self.forwarders and kind not in sent:
                transceiver.direction = "sendonly"
                transceiver.sender.setStreams(self.stream)
                self.forwarders[kind].add(transceiver.sender)
                sent.add(kind)
            else:
                transceiver.direction = "inactive"
        return sorted(sent)

    def close(self) -> None:
        """Forward nothing more, and let those who watch go."""
        for forwarder in self.forwarders.values():
            forwarder.close()
        for viewer in tuple(self.viewers):
            viewer.end_soon()


class Broadcasts:
    """The broadcasts of a relay: the handlers for its WHIP and WHEP servers.

    Args:
        listener: called with "published", "unpublished", "playing", "stopped", "pulled" and "released", and details as
            keywords.
        upstream: whom to ask for what nobody publishes here; by default nobody.
    """

    def __init__(self, listener: Listener, upstream: Upstream | None = None) -> None:
        self._tell = listener
        self._upstream = upstream
        self._live: dict[str, Broadcast] = {}
        self._pulling: dict[str, asyncio.Task[Broadcast | None]] = {}
        self._waiting: Counter[str] = Counter()  # who waits for what is being pulled
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def live(self) -> list[Broadcast]:
        """The broadcasts that are on, by name."""
        return [one for _name, one in sorted(self._live.items())]

    def names(self) -> list[dict[str, Any]]:
        """The broadcasts that can be watched, as the page shows them."""
        return [
            {"name": name, "kinds": sorted(one.forwarders), "viewers": len(one.viewers)}
            for name, one in sorted(self._live.items())
        ]

    async def close(self) -> None:
        """Pull nothing any more."""
        for task in (*self._pulling.values(), *self._tasks):
            task.cancel()
        for broadcast in tuple(self._live.values()):
            if broadcast.pull is not None:
                await broadcast.pull.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- publishers --------------------------------------------------------------------------------

    async def on_publish(self, session: WhipSession) -> None:
        """Take a publisher, unless the name is in use."""
        name = session.name
        if not is_readable(name):
            raise SignalingRefused("publish under a readable name: /whip/NAME", status=404)
        if name in self._live:
            raise SignalingRefused(
                f"somebody publishes {name!r} already", status=409, retry_after=_RETRY_PUBLISHING
            )
        broadcast = self._live[name] = Broadcast(name)
        try:
            for transceiver in await session.apply_offer():
                broadcast.take(transceiver.receiver)
        except BaseException:
            del self._live[name]
            raise
        session.add_end_listener(lambda session: self._unpublished(broadcast, session))
        self._tell("published", name=name, kinds=sorted(broadcast.forwarders), remote=session.remote)

    def _unpublished(self, broadcast: Broadcast, session: WhipSession) -> None:
        self._tell("unpublished", name=broadcast.name, reason=session.reason)
        self._end(broadcast)

    def _end(self, broadcast: Broadcast) -> None:
        if self._live.get(broadcast.name) is broadcast:
            del self._live[broadcast.name]
        broadcast.close()

    # -- viewers -----------------------------------------------------------------------------------

    async def on_play(self, session: WhipSession) -> None:
        """Let somebody watch, if there is something to watch here or at a relay upstream."""
        broadcast = self._live.get(session.name) or await self._find(session)
        if broadcast is None:
            raise SignalingRefused(
                f"nobody publishes {session.name!r}", status=409, retry_after=_RETRY_PLAYING
            )
        broadcast.viewers.add(session)
        session.add_end_listener(lambda session: self._leave(broadcast, session))
        kinds = broadcast.send_to(await session.apply_offer())
        if not kinds:
            raise SignalingRefused("there is nothing of the kinds that the offer asks for", status=422)
        self._tell("playing", name=session.name, kinds=kinds, remote=session.remote)
        session.add_end_listener(
            lambda session: self._tell("stopped", name=session.name, reason=session.reason)
        )

    def _leave(self, broadcast: Broadcast, session: WhipSession) -> None:
        broadcast.viewers.discard(session)
        self._release(broadcast)

    # -- what other relays have --------------------------------------------------------------------

    async def _find(self, session: WhipSession) -> Broadcast | None:
        """Ask the relays upstream; those who want the same thing meanwhile wait for the same answer."""
        name, via = session.name, session.headers.get("Via", "")
        if self._upstream is None or not is_readable(name):
            return None
        self._upstream.check(via)
        task = self._pulling.get(name)
        if task is None:
            task = self._pulling[name] = self._spawn(self._pull(self._upstream, name, via))
        elif via:
            raise SignalingRefused(
                "this relay is looking for it, too", status=LOOKING, retry_after=_RETRY_LOOKING
            )
        self._waiting[name] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
                if not task.done():
                    self._pulling.pop(name, None)
                    task.cancel()  # nobody wants it any more
                elif name in self._live:
                    # after whoever waited has become a viewer
                    asyncio.get_running_loop().call_soon(self._release, self._live[name])

    async def _pull(self, upstream: Upstream, name: str, via: str) -> Broadcast | None:
        try:
            pull = await upstream.pull(name, via)
        finally:
            if self._pulling.get(name) is asyncio.current_task():
                del self._pulling[name]
        if pull is None:
            return None
        found = self._live.get(name)
        if found is not None:  # published here meanwhile
            await pull.close()
            return found
        broadcast = self._live[name] = Broadcast(name, pull)
        self._spawn(self._follow(broadcast, pull))
        self._tell("pulled", name=name, kinds=sorted(pull.forwarders), upstream=pull.url)
        return broadcast

    async def _follow(self, broadcast: Broadcast, pull: Pull) -> None:
        """Until the stream ends there, or is wanted no longer here."""
        try:
            reason = await pull.ended()
            if self._live.get(broadcast.name) is broadcast:
                self._tell("released", name=broadcast.name, reason=reason)
                self._end(broadcast)
        finally:
            await pull.close()

    def _release(self, broadcast: Broadcast) -> None:
        """Give up a pulled stream that nobody watches."""
        wanted = broadcast.viewers or self._waiting[broadcast.name]
        if broadcast.pull is None or wanted or self._live.get(broadcast.name) is not broadcast:
            return
        del self._live[broadcast.name]
        self._tell("released", name=broadcast.name, reason="nobody watches")
        self._spawn(broadcast.pull.close())

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = start_task(work, name="rtcpeer relay pull")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a relay's pull failed", exc_info=task.exception())


def is_readable(name: str) -> bool:
    """Whether a broadcast may have this name."""
    return bool(name) and len(name) <= _NAME_LENGTH and name.isprintable()
