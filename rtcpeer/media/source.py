"""Local tracks as sources of frames: one puller per track, however many consumers it has.

A track gives each frame once. Two senders that pulled for themselves would halve its frames; so each track
has one puller, which runs while somebody consumes and hands each frame to everybody. Consumers are bounded
and drop their oldest frame, so a slow one slows nobody.

Frames are pulled on demand: sound while the quickest consumer has little left, so that what is there before its time
waits in the track; pictures as they come, as only the latest matter. A `recv()` that returns without ever suspending
(it reads a camera, or has everything at hand) is called again only when the loop has turned and somebody waits.
Owns: the puller's task. Never: stops a track that could go on; it belongs to the user.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from rtcpeer.aio import TaskSet, can_run, wall_time
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.frame_queue import FrameQueue

logger = logging.getLogger(__name__)

# Sound is pulled while the quickest consumer has fewer frames than this.
_SOUND_AHEAD = 2
# Pictures of a recv() that never suspends are pulled at least this often, in seconds, lest its queue grows old.
_PICTURE_PATIENCE = 1 / 30


class Track(Protocol):
    """Protocol of tracks that can be sent: aiortc's, ours, and anything that looks like them."""

    @property
    def kind(self) -> str:
        """Say "audio" or "video"."""
        ...

    @property
    def id(self) -> str:
        """The name of the track."""

    @property
    def readyState(self) -> str:
        """Say "live" or "ended"."""

    def recv(self) -> Awaitable[Any]:
        """The next frame or packet; raises MediaStreamError at the end."""


@runtime_checkable
class PushingTrack(Protocol):
    """A track that gives its frames to several readers by itself: a remote one."""

    def add_tap(self, push: Callable[[Any], None], end: Callable[[], None]) -> Callable[[], None]:
        """Hand every frame to `push` until the returned function is called; `end` at the end."""


class TrackSubscription:
    """A consumer of a track. `get` gives frames in order and None at the end."""

    __slots__ = ("_ended", "_frames", "_source", "_waiter")

    def __init__(self, source: TrackSource, frames: FrameQueue) -> None:
        self._source = source
        self._frames = frames
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def dropped(self) -> int:
        """How many frames came too fast for this consumer."""
        return self._frames.dropped

    @property
    def dropped_seconds(self) -> float:
        """How much sound that was."""
        return self._frames.dropped_seconds

    @property
    def number(self) -> int:
        """The number of the frame that `get` gave last: the same for all consumers of a track, and rising."""
        return self._frames.number

    @property
    def is_waiting(self) -> bool:
        """Whether the consumer waits for a frame now."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def backlog(self) -> int:
        """How many frames wait for the consumer."""
        return len(self._frames)

    async def get(self) -> Any | None:
        """The next frame; None when the track has ended or `close` was called."""
        while not self._frames:
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            self._source.note_demand()
            try:
                await self._waiter
            finally:
                self._waiter = None
        frame = self._frames.pop()
        self._source.note_demand()
        return frame

    def push(self, frame: Any, number: int) -> None:
        """A frame for this consumer."""
        self._frames.push(frame, wall_time(), number)
        self._wake()

    def end(self) -> None:
        """End: no further frame."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """Consume no more; what was not read is dropped."""
        self._frames.clear()
        self.end()
        self._source.remove(self)

    def _wake(self) -> None:
        if self._waiter is not None and can_run(self._waiter):
            self._waiter.set_result(None)


class TrackSource:
    """The puller of one track; get it with `TrackSource.of`."""

    _sources: ClassVar[weakref.WeakKeyDictionary[Any, TrackSource]] = weakref.WeakKeyDictionary()

    def __init__(self, track: Track) -> None:
        # weak, or the table above would keep each track for ever; the puller's task holds it while it runs
        self._track = weakref.ref(track)
        self._kind = track.kind
        self._consumers: list[TrackSubscription] = []
        # counts frames; a track may give one object again and again
        self._number = 0
        self._tasks = TaskSet(f"track {track.kind}")
        self._puller: asyncio.Task[None] | None = None
        # takes our tap off a PushingTrack
        self._untap: Callable[[], None] | None = None
        # whether the last recv() suspended: the loop has turned since
        self._suspended = True
        # the puller waits for a consumer
        self._demand: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, track: Track) -> Self:
        """The source of this track; made when first asked for."""
        source = cls._sources.get(track)
        if source is None:
            source = cls._sources[track] = cls(track)
        return source  # type: ignore[return-value]

    def subscribe(self, *, patient: bool = False) -> TrackSubscription:
        """Consume the track from now on; see `FrameQueue` for `patient`."""
        subscription = TrackSubscription(self, FrameQueue(self._kind, patient=patient))
        track = self._track()
        if track is None or (track.readyState == "ended" and not isinstance(track, PushingTrack)):
            subscription.end()
            return subscription
        self._consumers.append(subscription)
        if isinstance(track, PushingTrack):
            # it hands its frames out itself, beside those who read it
            if self._untap is None:
                self._untap = track.add_tap(self._push, self._end)
        elif self._puller is None or self._puller.done():
            self._puller = self._tasks.start(self._pull(track))
            self._puller.add_done_callback(self._forget)
        return subscription

    @property
    def is_shared(self) -> bool:
        """Whether a frame goes to several consumers."""
        return len(self._consumers) > 1

    def remove(self, subscription: TrackSubscription) -> None:
        """Serve a consumer no more; without any, the track is left in peace."""
        if subscription in self._consumers:
            self._consumers.remove(subscription)
            if not self._consumers:
                self.stop()

    def note_demand(self) -> None:
        """A consumer waits, or has taken a frame."""
        if self._demand is not None and not self._demand.done():
            self._demand.set_result(None)

    def stop(self) -> Awaitable[Any]:
        """End the puller."""
        self._puller = None
        if self._untap is not None:
            self._untap()
            self._untap = None
        return self._tasks.cancel()

    def _forget(self, puller: asyncio.Task[None]) -> None:
        # a task that was cancelled keeps its traceback, whose frames hold the track
        if self._puller is puller:
            self._puller = None

    async def _pull(self, track: Track) -> None:
        try:
            # some sources stop themselves and return nothing
            while (frame := await self._next(track)) is not None:
                self._push(frame)
            if getattr(track, "readyState", "live") == "live":
                logger.error(
                    "the recv() of track %s returned None, which is no frame; it is read no more", track.id
                )
        except MediaStreamError:
            logger.debug("track %s ended", track.id)
        except Exception:
            # the user's recv() is broken; the connection is not. Who waits for the track's end hears of it
            logger.exception("the recv() of track %s failed; it has ended", track.id)
            end = getattr(track, "end", None) or getattr(track, "stop", None)
            if end is not None:
                end()
        self._end()

    async def _next(self, track: Track) -> Any:
        """Wait until a frame is wanted, then pull it."""
        if not self._suspended:
            # everybody else gets a turn first
            await asyncio.sleep(0)
        if self._kind == "audio":
            await self._wait(lambda consumer: consumer.backlog < _SOUND_AHEAD)
        elif not self._suspended:
            await self._wait(lambda consumer: consumer.is_waiting, timeout=_PICTURE_PATIENCE)
        self._suspended = False
        # runs when the loop turns, so if and only if recv() suspends
        turn = asyncio.get_running_loop().call_soon(self._note_turn)
        try:
            return await track.recv()
        finally:
            turn.cancel()

    def _note_turn(self) -> None:
        self._suspended = True

    async def _wait(self, wants: Callable[[TrackSubscription], bool], timeout: float | None = None) -> None:
        """Wait until one of the consumers wants a frame."""
        while not any(wants(consumer) for consumer in self._consumers):
            self._demand = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait([self._demand], timeout=timeout)
                if not self._demand.done():
                    return
            finally:
                self._demand = None

    def _push(self, frame: Any) -> None:
        self._number += 1
        for consumer in self._consumers:
            consumer.push(frame, self._number)

    def _end(self) -> None:
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.end()
