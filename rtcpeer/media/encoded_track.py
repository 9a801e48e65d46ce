"""EncodedTrack: a track whose pictures or sound are encoded already, written by the program.

Each frame goes to all senders of the track within `write`, without a queue, a task or a thread; a sender that has just
begun is sent nothing before a key frame, which the program is asked for.
Owns: who is sent to. Never: coders, packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from av.packet import Packet

from rtcpeer.aio import wall_time
from rtcpeer.errors import InvalidStateError
from rtcpeer.media.encoded_frames import (
    EncodedMediaFrame,
    RTCEncodedAudioFrame,
    RTCEncodedAudioFrameMetadata,
    RTCEncodedVideoFrame,
    RTCEncodedVideoFrameMetadata,
)
from rtcpeer.media.event_target import Event, fire, handler
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.rtp.keyframes import KeyframeRequests

Sink = Callable[[EncodedMediaFrame], None]


class EncodedTrack(MediaStreamTrack):
    """A track of encoded frames.

    Frames are sent as they are, by senders that have negotiated their codec; a sender that has not is left out, and
    says so in its log. `scaleResolutionDownBy`, `maxFramerate` and `maxBitrate` have no effect, and while the track is
    disabled nothing is sent::

        track = EncodedTrack("video", "video/VP8")
        track.onkeyframerequest = lambda event: camera.make_key_frame()
        pc.addTrack(track)
        await track.write(frame)    # RTCEncodedVideoFrame, or av.Packet

    Args:
        kind: "audio" or "video".
        mimeType: of the codec, for example "video/VP8"; it may be left out if every frame says it itself.
        label: for people.

    Raises:
        ValueError: `kind` is neither, or does not fit `mimeType`.

    Events: "keyframerequest" when somebody needs a picture that can be decoded by itself; at most one in 0.5 s.
    """

    onkeyframerequest: handler[Event] = handler("keyframerequest")

    def __init__(self, kind: str, mimeType: str = "", *, label: str = "") -> None:
        super().__init__()
        if kind not in ("audio", "video"):
            raise ValueError(f'kind must be "audio" or "video", not {kind!r}')
        if mimeType and mimeType.partition("/")[0].lower() != kind:
            raise ValueError(f"{mimeType!r} is no codec of {kind}")
        self.kind = kind
        self.label: str = label or f"encoded {kind}"
        self._mime_type_ = mimeType
        # of all packets: frames give copies of their metadata
        self._picture_ = RTCEncodedVideoFrameMetadata(mimeType=mimeType)
        self._sound_ = RTCEncodedAudioFrameMetadata(mimeType=mimeType)
        self._sinks_: list[Sink] = []
        self._requests_ = KeyframeRequests()
        self._timer_: asyncio.TimerHandle | None = None
        self._last_: tuple[int, int] | None = None

    @property
    def mimeType(self) -> str:
        """The MIME type of the codec; "" if every frame says it itself."""
        return self._mime_type_

    @property
    def isConsumed(self) -> bool:
        """Whether anybody sends it now."""
        return bool(self._sinks_)

    async def write(self, frame: EncodedMediaFrame | Packet[Any]) -> None:
        """Send a frame, now.

        Args:
            frame: in decoding order, with times that go on. Of a packet, `pts` and `time_base` have to be set, and of
                a picture `is_keyframe`.

        Raises:
            InvalidStateError: the track has ended.
            TypeError: it is no frame of the track's kind.
            ValueError: its codec or its time is not known.
        """
        if self.readyState != "live":
            raise InvalidStateError("the track has ended: nothing can be written to it")
        if isinstance(frame, Packet):
            frame = self._from_packet_(frame)
        expected = RTCEncodedVideoFrame if self.kind == "video" else RTCEncodedAudioFrame
        if not isinstance(frame, expected):
            raise TypeError(f"a track of {self.kind} takes {expected.__name__} or av.Packet, not {frame!r}")
        if not (frame.mimeType or self._mime_type_):
            raise ValueError("the frame has no mimeType, and the track was made without one")
        if isinstance(frame, RTCEncodedVideoFrame) and frame.type == "key":
            self._requests_.seen()
        if self._enabled_:
            for sink in tuple(self._sinks_):
                sink(frame)

    def _from_packet_(self, packet: Packet[Any]) -> EncodedMediaFrame:
        time_base = packet.time_base
        if packet.pts is None or time_base is None:
            raise ValueError("a packet that is written to a track needs pts and time_base")
        if self.kind == "video":
            return RTCEncodedVideoFrame.make(
                bytes(packet),
                self._picture_,
                is_key=bool(packet.is_keyframe),
                time=packet.pts,
                time_base=time_base,
            )
        return RTCEncodedAudioFrame.make(bytes(packet), self._sound_, time=packet.pts, time_base=time_base)

    async def recv(self) -> Any:
        """Raises: its frames are written, and not decoded; a sender takes them by itself.

        Raises:
            InvalidStateError: always.
        """
        raise InvalidStateError("an EncodedTrack cannot be read: it holds encoded frames, which senders send")

    # -- senders (see `media.sender`) --------------------------------------------------------------

    def add_sink(self, sink: Sink) -> Callable[[], None]:
        """Give every frame to `sink` until the returned function is called."""
        self._sinks_.append(sink)

        def remove() -> None:
            if sink in self._sinks_:
                self._sinks_.remove(sink)

        return remove

    def request_keyframe(self) -> None:
        """Somebody needs a key frame; the program is told, now or when the last request is old enough."""
        if self.kind != "video" or self.readyState != "live":
            return
        if self._requests_.ask(wall_time()):
            fire(self, Event("keyframerequest"))
        self._arm_()

    def _arm_(self) -> None:
        if self._timer_ is not None:
            return
        due = self._requests_.due()
        if due is not None:
            delay = max(0.0, due - wall_time()) + 0.001
            self._timer_ = asyncio.get_running_loop().call_later(delay, self._on_timer_)

    def _on_timer_(self) -> None:
        self._timer_ = None
        if self.readyState == "live" and self._sinks_:
            if self._requests_.poll(wall_time()):
                fire(self, Event("keyframerequest"))
            self._arm_()

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._sinks_.clear()
        if self._timer_ is not None:
            self._timer_.cancel()
            self._timer_ = None
