"""Encoded frames of a sender on their way to packets: from a track of encoded frames, and through a transform.

Frames become payloads within the call that brought them; no task, no thread.
Owns: the transform, the hold on the track. Never: numbers, the network.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, runtime_checkable

from rtcpeer.aio import running_loop, wall_time
from rtcpeer.errors import OperationError
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.encoded_frames import (
    EncodedMediaFrame,
    RTCEncodedAudioFrame,
    RTCEncodedAudioFrameMetadata,
    RTCEncodedVideoFrame,
    RTCEncodedVideoFrameMetadata,
)
from rtcpeer.media.encoding import EncodedPayloads
from rtcpeer.media.send_section import SendSection
from rtcpeer.media.send_stream import SendStream
from rtcpeer.media.sound import FORMATS
from rtcpeer.media.transforms import FrameTransform
from rtcpeer.media.video import choice
from rtcpeer.media.video.layering import LayeredPicture
from rtcpeer.rtp.audio_level import SILENCE_DBOV

logger = logging.getLogger(__name__)

# While a picture that could not be sent has no successor, a key frame is asked for this often, in seconds.
_ASK_AGAIN = 1.0


@runtime_checkable
class EncodedSource(Protocol):
    """A track whose frames are encoded already (see `encoded_track`)."""

    @property
    def mimeType(self) -> str:
        """The MIME type of the codec, if frames do not say it."""

    def add_sink(self, sink: Callable[[EncodedMediaFrame], None]) -> Callable[[], None]:
        """Give every frame to `sink` until the returned function is called."""

    def request_keyframe(self) -> None:
        """A key frame is needed."""


class _Way(NamedTuple):
    """The origin of a frame that passes a transform."""

    stream: SendStream
    format: PayloadFormat
    level: int
    turns: int
    width: int
    height: int
    layered: LayeredPicture | None = None


class EncodedSending:
    """The transform of one sender, and what it takes from a track of encoded frames.

    Args:
        section: what the sender sends with.
        failed: told that a frame cannot be sent in a stream, and why.
        force_keyframe: lets the encoders make key frames, of one rid or of all; gives how many.
        name: for logs.
    """

    transforms_sent = True

    def __init__(
        self,
        section: SendSection,
        *,
        failed: Callable[[SendStream, Exception], None],
        force_keyframe: Callable[[str | None], int],
        name: str = "",
    ) -> None:
        self.kind: str = section.kind
        self._section = section
        self._failed = failed
        self._force_keyframe = force_keyframe
        self._name = name
        self._transform: FrameTransform | None = None
        self._counter = 0
        self._written = 0
        self._source: EncodedSource | None = None
        # which frames are written in
        self._loop: asyncio.AbstractEventLoop | None = None
        self._release: Callable[[], None] | None = None
        # streams that wait for a first key frame
        self._waiting: set[int] = set()
        # those of which a transformed picture could not be sent: what follows refers to it
        self._held: set[int] = set()
        self._refused: set[str] = set()

    # -- a track of encoded frames -----------------------------------------------------------------

    def feed_from(self, source: EncodedSource | None) -> None:
        """Send the frames of a track from now on, beginning with a key frame; or no longer."""
        if source is self._source:
            return
        if self._release is not None:
            self._release()
            self._release = None
        self._source = source
        if source is not None:
            self._waiting = {stream.packets.encoding.ssrc for stream in self._section.active}
            self._release = source.add_sink(self._take)
            self._loop = running_loop()
            source.request_keyframe()

    def request_keyframe(self) -> bool:
        """Ask the track for a key frame; False if it is no track of encoded frames."""
        if self._source is None:
            return False
        self._source.request_keyframe()
        return True

    def _take(self, frame: EncodedMediaFrame) -> None:
        source = self._source
        if source is None:
            return
        mime_type = frame.mimeType or source.mimeType
        form = self._section.format_of(mime_type)
        if form is None:
            self._refuse(mime_type)
            return
        now = wall_time(self._loop)
        is_key = isinstance(frame, RTCEncodedVideoFrame) and frame.type == "key"
        if not self._section.has_route:
            for stream in self._section.active:
                stream.pause()
                self._waiting.add(stream.packets.encoding.ssrc)
            return
        for stream in self._section.active:
            ssrc = stream.packets.encoding.ssrc
            if self.kind == "video" and ssrc in self._waiting:
                if not is_key:
                    # it may make them on demand only, and the other end, which gets nothing, demands none
                    source.request_keyframe()
                    continue
                self._waiting.discard(ssrc)
            if stream.format is not form:
                stream.use_format(form)
            if form.name in FORMATS:
                self._take_sound(stream, form, frame, now)
                continue
            try:
                encoded = stream.packer.pack(form, frame.data, frame.time, frame.time_base, is_key=is_key)
            except (OperationError, ValueError) as exc:
                # what follows refers to it
                self._waiting.add(ssrc)
                self._failed(stream, exc)
                continue
            if encoded is None:
                continue
            stream.frames += 1
            stream.key_frames += is_key
            stream.mind_epoch(encoded.epoch)
            self.send_picture(stream, encoded, now, frame.data)

    def _take_sound(
        self, stream: SendStream, form: PayloadFormat, frame: EncodedMediaFrame, now: float
    ) -> None:
        data, packer = frame.data, stream.packer
        if not data:
            return
        time = packer.time_sound(form, frame.time, frame.time_base)
        stream.frames += 1
        stream.mind_epoch(packer.epoch)
        self.send_sound(stream, data, time, now, SILENCE_DBOV)

    def _refuse(self, mime_type: str) -> None:
        if mime_type not in self._refused:
            self._refused.add(mime_type)
            logger.warning("%s cannot send %s: it was not negotiated", self._name or self.kind, mime_type)

    # -- transform ---------------------------------------------------------------------------------

    @property
    def transform(self) -> FrameTransform | None:
        """The transform that changes frames before they become packets."""
        return self._transform

    def set_transform(self, transform: FrameTransform | None) -> None:
        """Change it, from the next frame on.

        Raises:
            InvalidStateError: it belongs to somebody else.
        """
        if transform is not None:
            transform.attach(self)
        before, self._transform = self._transform, transform
        if before is not None:
            before.detach()

    def send_picture(
        self, stream: SendStream, encoded: EncodedPayloads, now: float, data: bytes | None = None
    ) -> None:
        """Send an encoded picture, through the transform if there is one.

        Args:
            data: the whole picture, where it is at hand.
        """
        if self._transform is None:
            stream.send_picture(encoded, now)
            return
        form, ssrc = stream.format, stream.packets.encoding.ssrc
        if data is None:
            data = choice.depacketize(form.name, encoded.payloads)
        timestamp = stream.packets.map_timestamp(encoded.timestamp, now)
        metadata = RTCEncodedVideoFrameMetadata(
            synchronizationSource=ssrc,
            payloadType=form.payload_type,
            contributingSources=[],
            rtpTimestamp=timestamp,
            mimeType=form.codec.mime_type,
            width=encoded.width or None,
            height=encoded.height or None,
            temporalIndex=None if encoded.layered is None else encoded.layered.layer,
            timestamp=encoded.timestamp * 1_000_000 // form.clock_rate,
        )
        frame = RTCEncodedVideoFrame.make(
            data,
            metadata,
            is_key=encoded.is_key,
            time=encoded.timestamp,
            time_base=Fraction(1, form.clock_rate),
        )
        way = _Way(stream, form, 0, encoded.turns, encoded.width, encoded.height, encoded.layered)
        self._transform_frame(self._transform, frame, way)

    def send_sound(self, stream: SendStream, payload: bytes, time: int, now: float, level: int) -> None:
        """Send an encoded piece of sound, through the transform if there is one.

        Args:
            time: in ticks of its encoder.
            level: in -dBov.
        """
        if self._transform is None:
            stream.send_sound(payload, time, now, level)
            return
        form = stream.format
        metadata = RTCEncodedAudioFrameMetadata(
            synchronizationSource=stream.packets.encoding.ssrc,
            payloadType=form.payload_type,
            contributingSources=[],
            rtpTimestamp=stream.map_sound(time, now),
            mimeType=form.codec.mime_type,
        )
        frame = RTCEncodedAudioFrame.make(
            payload, metadata, time=time, time_base=Fraction(1, form.clock_rate)
        )
        self._transform_frame(self._transform, frame, _Way(stream, form, level, 0, 0, 0))

    def _transform_frame(self, transform: FrameTransform, frame: EncodedMediaFrame, way: _Way) -> None:
        self._counter += 1
        frame.owner, frame.counter, frame.context = self, self._counter, way
        transform.take(frame)

    def write_transformed(self, frame: EncodedMediaFrame) -> None:
        """Implements `transforms.TransformOwner.write_transformed`."""
        if frame.owner is not self or frame.counter <= self._written:
            return
        self._written = frame.counter
        way: _Way = frame.context
        stream, now = way.stream, wall_time()
        if stream not in self._section.active or stream.format is not way.format:
            return
        if isinstance(frame, RTCEncodedAudioFrame):
            stream.send_sound(frame.data, frame.time, now, way.level, frame.timestamp)
            return
        is_key, ssrc = frame.type == "key", stream.packets.encoding.ssrc
        if ssrc in self._held and not is_key:
            if now - stream.keyframe_at > _ASK_AGAIN:
                self._force_keyframe(stream.packets.encoding.rid)
            return
        try:
            packed = stream.cutter.pack(
                way.format, frame.data, frame.time, frame.time_base, is_key=is_key, layered=way.layered
            )
        except (OperationError, ValueError) as exc:
            if ssrc not in self._held:
                self._held.add(ssrc)
                self._force_keyframe(stream.packets.encoding.rid)
            self._failed(stream, exc)
            return
        self._held.discard(ssrc)
        if packed is not None:
            encoded = EncodedPayloads(
                packed.payloads, packed.timestamp, packed.epoch, is_key, way.width, way.height, way.turns
            )
            stream.send_picture(encoded, now, frame.timestamp)

    def make_keyframe(self, rid: str | None) -> int:
        """Implements `transforms.TransformOwner.make_keyframe`."""
        return self._force_keyframe(rid)

    def ask_for_keyframe(self) -> None:
        """Implements `transforms.TransformOwner.ask_for_keyframe`: nothing is received here."""

    def allows_keyframe(self, rid: str | None) -> bool:
        """Whether the transform lets the encoder answer the other end's request for a key frame."""
        return self._transform is None or self._transform.on_keyframe_request(rid)

    def stop(self) -> list[asyncio.Future[Any]]:
        """Send nothing more; gives what is still ending."""
        self.feed_from(None)
        transform, self._transform = self._transform, None
        ending = None if transform is None else transform.detach()
        return [] if ending is None else [ending]
