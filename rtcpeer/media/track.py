"""Tracks: W3C's MediaStreamTrack on aiortc's, and the tracks that a connection receives.

`MediaStreamTrack` is also the base class for users' own tracks: set ``kind``, write ``async def recv()``.
aiortc's own way of listening (``track.on("ended")``) goes on working beside W3C's events.
Owns: state of a track, frames that wait to be read. Never: codecs, packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Protocol

from av import AudioFrame, VideoFrame
from av.frame import Frame

from rtcpeer.aio import wall_time
from rtcpeer.errors import InvalidStateError, OverconstrainedError
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.encoded_frames import EncodedFrameReader
from rtcpeer.media.event_target import Event, EventTarget, fire, handler
from rtcpeer.media.frame_queue import FrameQueue
from rtcpeer.media.frames import blank
from rtcpeer.media.pyee_listeners import PyeeListeners
from rtcpeer.media.source import Track, TrackSource, TrackSubscription

MediaStreamError = aiortc_adapter.MediaStreamError

# A track that nobody has read for this long is not decoded any more
DEMAND_LIFETIME = 1.0

# Between the last frame of one receiver and the first of the next one there is at least this, in seconds
_FRAME_MIN = 0.001

# webrtc-pc 9.2: what a remote track has is up to the other end
_REMOTE_CONSTRAINTS = ("width", "height", "frameRate", "aspectRatio")

_HINTS = {
    "audio": ("", "speech", "speech-recognition", "music"),
    "video": ("", "motion", "detail", "text"),
}


class MediaStreamTrack(PyeeListeners, aiortc_adapter.MediaStreamTrack, EventTarget):
    """An audio or video track (mediacapture-main 4.3).

    Subclass it for your own source::

        class Camera(MediaStreamTrack):
            kind = "video"

            async def recv(self):
                ...  # the next av.VideoFrame, with pts and time_base

    Attributes:
        kind: "audio" or "video".
        label: for people.
        enabled: while False, silence or black is sent or received.
    """

    kind = "unknown"
    onmute: handler[Event] = handler("mute")
    onunmute: handler[Event] = handler("unmute")
    onended: handler[Event] = handler("ended")

    # class attributes, so that subclasses that forget super().__init__() are no worse than in aiortc
    label: str = ""
    _enabled_ = True
    _muted_ = False
    _hint_ = ""
    _constraints_: Mapping[str, Any] = {}

    def __init__(self) -> None:
        super().__init__()
        # aiortc's `_id`, which a subclass may use for something else
        self._id_: str = super().id

    @property
    def id(self) -> str:
        """The id, which no other track has."""
        return self._id_

    def on(self, event: str, f: Any = None) -> Any:
        """``track.on("mute", f)``, or as a decorator: as of every object here, but for aiortc's "ended".

        Args:
            event: "mute" and "unmute" give an event; "ended" is aiortc's, which also `stop` tells, and gives nothing.
            f: the listener; a subclass may emit, with pyee, what it likes.

        Raises:
            TypeError: a track fires no such event; the message has the nearest name.
        """
        if event in self._known_types_ and event != "ended":
            return EventTarget.on(self, event, f)
        if self._refuses_attributes_:
            self._check_types_((event,))
        return super().on(event, f)

    @property
    def enabled(self) -> bool:
        """Whether the track gives its own frames; a disabled one gives black or silence (mediacapture-main 4.3.1)."""
        return self._enabled_

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled_ = bool(value)

    @property
    def muted(self) -> bool:
        """Whether the source gives no frames at the moment."""
        return self._muted_

    @property
    def contentHint(self) -> str:
        """A hint about the content, for encoders (mst-content-hint)."""
        return self._hint_

    @contentHint.setter
    def contentHint(self, value: str) -> None:
        if value in _HINTS.get(self.kind, ("",)):
            self._hint_ = value

    def set_muted(self, muted: bool) -> None:
        """Change `muted` and tell (mediacapture-main "set a track's muted state"); for the source."""
        if muted != self._muted_ and self.readyState == "live":
            self._muted_ = muted
            fire(self, Event("mute" if muted else "unmute"))

    def end(self) -> None:
        """End for a reason other than `stop`, which W3C's "ended" tells; for the source."""
        if self.readyState == "live":
            self.stop()
            fire(self, Event("ended"))

    def clone(self) -> MediaStreamTrack:
        """Another track of the same source, with its own `id`, `enabled` and end."""
        return ClonedTrack(self)

    def getSettings(self) -> dict[str, Any]:
        """The settings of the source now (mediacapture-main 4.3.1); a subclass may say more."""
        return {}

    def getCapabilities(self) -> dict[str, Any]:
        """The capabilities of the source (mediacapture-main 4.3.1); a subclass may say more."""
        return {}

    def getConstraints(self) -> dict[str, Any]:
        """The constraints that were given to `applyConstraints` last."""
        return deepcopy(dict(self._constraints_))

    async def applyConstraints(self, constraints: Mapping[str, Any] | None = None) -> None:
        """Remember constraints; a source that can follow them overrides this.

        Raises:
            InvalidStateError: the track has ended.
        """
        if self.readyState != "live":
            raise InvalidStateError("the track has ended")
        self._constraints_ = deepcopy(dict(constraints or {}))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.id} {self.readyState}>"


class ClonedTrack(MediaStreamTrack):
    """A clone of a track: it gives the same frames as the original, beside it."""

    def __init__(self, track: Track) -> None:
        super().__init__()
        self.kind: str = track.kind
        self.label: str = getattr(track, "label", "")
        self._enabled_ = bool(getattr(track, "enabled", True))
        self._muted_ = bool(getattr(track, "muted", False))
        self._hint_ = getattr(track, "contentHint", "")
        self._constraints_ = getattr(track, "_constraints_", {})
        self._original_ = track
        self._subscription_: TrackSubscription | None = None
        self._watchers_: list[Callable[[], None]] = []
        if track.readyState != "live":
            self.stop()

    @property
    def enabled(self) -> bool:
        """Whether the track gives its own frames; a disabled one gives black or silence (mediacapture-main 4.3.1)."""
        return self._enabled_

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled_ = bool(value)
        for changed in tuple(self._watchers_):
            changed()

    @property
    def origin(self) -> Any:
        """Implements `auto_forwarding.ForwardableTrack.origin`."""
        return getattr(self._original_, "origin", None) if self._enabled_ else None

    def watch(self, changed: Callable[[], None]) -> None:
        """Implements `auto_forwarding.ForwardableTrack.watch`."""
        self._watchers_.append(changed)
        watch = getattr(self._original_, "watch", None)
        if watch is not None:
            watch(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Implements `auto_forwarding.ForwardableTrack.unwatch`."""
        if changed in self._watchers_:
            self._watchers_.remove(changed)
        unwatch = getattr(self._original_, "unwatch", None)
        if unwatch is not None:
            unwatch(changed)

    async def recv(self) -> Any:
        """The next frame."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._subscription_ is None:
            self._subscription_ = TrackSource.of(self._original_).subscribe(patient=True)
        frame = await self._subscription_.get()
        if frame is None:
            self.end()
            raise MediaStreamError
        return frame if self._enabled_ or not isinstance(frame, Frame) else blank(frame)

    def getSettings(self) -> dict[str, Any]:
        """The settings of the original's source now."""
        settings = getattr(self._original_, "getSettings", None)
        return dict(settings()) if settings is not None else {}

    def stop(self) -> None:
        """End this track; the original goes on."""
        if self._subscription_ is not None:
            self._subscription_.close()
        super().stop()


class ReceiverControl(Protocol):
    """The part of a receiver that its track may ask."""

    def on_demand(self) -> None:
        """Somebody begins to read."""

    def read_encoded(self) -> EncodedFrameReader:
        """Read encoded frames from the next key frame on, which is asked for."""

    def request_keyframe(self) -> None:
        """Ask for a picture that can be decoded by itself."""


class RemoteTrack(MediaStreamTrack):
    """A track that a connection receives. Frames wait in a bounded buffer that drops the oldest.

    Nothing is decoded before somebody reads; reading makes the receiver ask for a key frame.

    Args:
        kind: "audio" or "video".
        id: the id that the other end gave it.
        label: for people.

    """

    def __init__(self, kind: str, id: str | None = None, label: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.label: str = label or f"remote {kind}"
        if id:
            self._id_ = id
        # muted until packets come (webrtc-pc 5.3 "create an RTCRtpReceiver")
        self._muted_ = True
        self._frames_ = FrameQueue(kind, patient=True)
        self._waiter_: asyncio.Future[None] | None = None
        self._control_: ReceiverControl | None = None
        # when somebody read last, `wall_time`
        self._read_at_ = -DEMAND_LIFETIME
        self._readers_ = 0
        self._last_: Frame | None = None
        # seconds between pictures, averaged over the last few
        self._interval_: float | None = None
        self._audio_format_: tuple[int, int] | None = None
        # clones and senders of this track: they get frames beside its reader, and outlive its stop()
        self._taps_: list[tuple[Callable[[Any], None], Callable[[], None]]] = []
        self._source_ended_ = False
        self._watchers_: list[Callable[[], None]] = []
        # when the last frame was given, on the track's own time line and by `wall_time`; None before the first
        self._given_: tuple[float, float] | None = None
        # what is added to the times of the present receiver, in seconds; None: to be found with its first frame
        self._shift_: float | None = 0.0

    # -- who forwards it (see `auto_forwarding.ForwardableTrack`) ----------------------------------

    @property
    def enabled(self) -> bool:
        """Whether the track gives its own frames; a disabled one gives black or silence (mediacapture-main 4.3.1)."""
        return self._enabled_

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled_ = bool(value)
        self._tell_watchers_()

    @property
    def origin(self) -> Any:
        """The receiver whose media this is; None while it is disabled, which makes it silence or black."""
        return self._control_ if self._enabled_ else None

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `origin` may have changed."""
        self._watchers_.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        if changed in self._watchers_:
            self._watchers_.remove(changed)

    def _tell_watchers_(self) -> None:
        for changed in tuple(self._watchers_):
            changed()

    # -- reader ------------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """The number of frames that were dropped because nobody read them in time."""
        return self._frames_.dropped

    async def recv(self) -> Frame:
        """The next frame.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        wanted = self.wants_frames()
        self._readers_ += 1
        try:
            if not wanted and self._control_ is not None:
                self._control_.on_demand()
            while not self._frames_:
                if self._waiter_ is None or self._waiter_.done():
                    self._waiter_ = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._waiter_)
                if self.readyState != "live":
                    raise MediaStreamError
        finally:
            self._readers_ -= 1
            self._read_at_ = wall_time()
        frame: Frame = self._frames_.pop()
        return frame if self._enabled_ else blank(frame)

    def stop(self) -> None:
        """End the track for this end; the receiver goes on."""
        super().stop()
        self._frames_.clear()
        self._wake_()

    def end(self) -> None:
        """End, clones too: there is no more to come; for the receiver."""
        self._source_ended_ = True
        super().end()
        taps, self._taps_ = self._taps_, []
        for _push, end in taps:
            end()

    def add_tap(self, push: Callable[[Any], None], end: Callable[[], None]) -> Callable[[], None]:
        """Implements `media.source.PushingTrack.add_tap`."""
        if self._source_ended_:
            end()
            return _nothing
        wanted = self.wants_frames()
        tap = (push, end)
        self._taps_.append(tap)
        if not wanted and self._control_ is not None:
            self._control_.on_demand()

        def remove() -> None:
            if tap in self._taps_:
                self._taps_.remove(tap)

        return remove

    @property
    def control(self) -> ReceiverControl | None:
        """The receiver that feeds the track now; another one where the track outlives its connection."""
        return self._control_

    def getSettings(self) -> dict[str, Any]:
        """Size and rates of what arrived last."""
        settings: dict[str, Any] = {"deviceId": self.id, "groupId": ""}
        if self._audio_format_ is not None:
            rate, channels = self._audio_format_
            settings.update(sampleRate=rate, channelCount=channels, sampleSize=16)
        if isinstance(self._last_, VideoFrame):
            width, height = self._last_.width, self._last_.height
            settings.update(width=width, height=height, aspectRatio=round(width / height, 10))
            if self._interval_:
                settings["frameRate"] = 1 / self._interval_
        elif isinstance(self._last_, AudioFrame):
            rate, channels = self._last_.sample_rate, len(self._last_.layout.channels)
            settings.update(sampleRate=rate, channelCount=channels, sampleSize=16)
        return settings

    async def applyConstraints(self, constraints: Mapping[str, Any] | None = None) -> None:
        """Remember constraints, but for those that are up to the other end (webrtc-pc 9.2), which are refused.

        Raises:
            OverconstrainedError: width, height, frameRate or aspectRatio is constrained.
            InvalidStateError: the track has ended.
        """
        for name in _REMOTE_CONSTRAINTS:
            if (constraints or {}).get(name) is not None:
                raise OverconstrainedError(name, f"{name} of a remote track is up to the other end")
        await super().applyConstraints(constraints)

    # -- receiver (what feeds it) -------------------------------------------------------

    def set_id(self, id: str) -> None:
        """Take the id that the other end has for it (`rtcpeer.aiortc`)."""
        self._id_ = id

    def set_control(self, control: ReceiverControl) -> None:
        """Set who is asked for frames when somebody begins to read.

        Another receiver than before begins its times anew; the track's own time goes on.
        """
        if self._control_ is not None and self._control_ is not control:
            self._shift_ = None
        self._control_ = control
        self._tell_watchers_()

    def wants_frames(self) -> bool:
        """Whether somebody reads."""
        is_read = self._is_read_()
        if not is_read and self._frames_:
            # who comes back after that wants what is now
            self._frames_.clear()
        return is_read or bool(self._taps_)

    def push_frame(self, frame: Frame) -> None:
        """A decoded frame."""
        self._place_(frame)
        for push, _end in self._taps_:
            push(frame)
        if self.readyState != "live" or not self._is_read_():
            return
        self._measure_(frame)
        self._last_ = frame
        self._frames_.push(frame, wall_time())
        self._wake_()

    def _place_(self, frame: Frame) -> None:
        """Put a frame on the track's own time line, which goes on over receivers."""
        if frame.pts is None or not frame.time_base:
            return
        at, now = float(frame.pts * frame.time_base), wall_time()
        if self._shift_ is None:
            before = self._given_
            self._shift_ = 0.0 if before is None else before[0] + max(now - before[1], _FRAME_MIN) - at
        if self._shift_:
            frame.pts += round(self._shift_ / frame.time_base)
            at += self._shift_
        self._given_ = (at, now)

    def _measure_(self, frame: Frame) -> None:
        before = self._last_
        if before is None or before.pts is None or frame.pts is None or frame.time_base is None:
            return
        interval = float((frame.pts - before.pts) * frame.time_base)
        if interval > 0:
            self._interval_ = interval if self._interval_ is None else (self._interval_ * 7 + interval) / 8

    def on_flow(self, flowing: bool) -> None:
        """Packets began to arrive, or the other end said that they will not."""
        self.set_muted(not flowing)

    def on_audio_format(self, rate: int, channels: int) -> None:
        """Set the format that frames will have: known before one was decoded."""
        self._audio_format_ = (rate, channels)

    def _is_read_(self) -> bool:
        return self._readers_ > 0 or wall_time() - self._read_at_ < DEMAND_LIFETIME

    def _wake_(self) -> None:
        if self._waiter_ is not None and not self._waiter_.done():
            self._waiter_.set_result(None)


def _nothing() -> None:
    """Take off a tap that was never put on."""
