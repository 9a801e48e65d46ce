"""Encoded frames of a receiver on their way to the decoder: a transform that may change them, and who else reads them.

Owns: the transform, the readers. Never: packets, the decoder.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.encoded_frames import (
    EncodedFrameReader,
    EncodedMediaFrame,
    RTCEncodedAudioFrame,
    RTCEncodedAudioFrameMetadata,
    RTCEncodedVideoFrame,
    RTCEncodedVideoFrameMetadata,
)
from rtcpeer.media.transforms import FrameTransform
from rtcpeer.media.video import choice
from rtcpeer.rtp.audio_level import dbov_to_level
from rtcpeer.rtp.dependency import DescriptorReader
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import EncodedFrame


class ReceivedFrame(NamedTuple):
    """A whole frame as its packets gave it; `turns` clockwise by quarters make it upright."""

    stream: InboundStream
    format: PayloadFormat
    data: bytes
    presentation: int
    turns: int
    source: EncodedFrame


def frame_object(
    received: ReceivedFrame, *, is_key: bool, reader: DescriptorReader | None = None
) -> EncodedMediaFrame:
    """A received frame as programs get it; `reader` reads the dependency descriptors of its stream, if it has any."""
    packets = received.source.packets
    first, last = packets[0], packets[-1]
    codec = received.format.codec
    common: dict[str, Any] = {
        "synchronizationSource": received.stream.ssrc,
        "payloadType": received.format.payload_type,
        "contributingSources": list(first.csrc),
        "rtpTimestamp": first.timestamp,
        "receiveTime": received.source.received_at * 1000,
        "mimeType": codec.mime_type,
    }
    time_base = Fraction(1, received.format.clock_rate)
    if codec.kind == "video":
        size = choice.picture_size(received.format.name, received.data) if is_key else None
        width, height = size if size is not None else (None, None)
        metadata = RTCEncodedVideoFrameMetadata(
            **common,
            width=width,
            height=height,
            timestamp=received.presentation * 1_000_000 // received.format.clock_rate,
        )
        if first.dependency and reader is not None:
            _add_dependencies(metadata, first.dependency, reader)
        return RTCEncodedVideoFrame.make(
            received.data, metadata, is_key=is_key, time=received.presentation, time_base=time_base
        )
    level = None if first.audio_level is None else dbov_to_level(first.audio_level[1])
    sound = RTCEncodedAudioFrameMetadata(**common, sequenceNumber=last.sequence_number, audioLevel=level)
    return RTCEncodedAudioFrame.make(received.data, sound, time=received.presentation, time_base=time_base)


def _add_dependencies(metadata: RTCEncodedVideoFrameMetadata, data: bytes, reader: DescriptorReader) -> None:
    """Tell what the dependency descriptor of a frame says; one that cannot be read says nothing."""
    try:
        found = reader.read_untrusted(data)
    except ValueError:
        return
    metadata.frameId = found.frame_number
    metadata.dependencies = [found.frame_number - back & 0xFFFF for back in found.differences]
    metadata.spatialIndex, metadata.temporalIndex = found.spatial_id, found.temporal_id


class EncodedReceiving:
    """The transform and the readers of one receiver.

    Args:
        kind: "audio" or "video".
        deliver: takes a frame that is to be decoded or read, transformed or not.
        ask: asks for a key frame.
    """

    transforms_sent = False

    def __init__(self, kind: str, deliver: Callable[[ReceivedFrame], None], ask: Callable[[], None]) -> None:
        self.kind = kind
        self._deliver = deliver
        self._ask = ask
        # a reader that was forgotten is gone: nobody can read it any more
        self._readers: weakref.WeakSet[EncodedFrameReader] = weakref.WeakSet()
        self._transform: FrameTransform | None = None
        self._counter = 0
        self._written = 0
        # the descriptors of the stream that is shown
        self._descriptors = DescriptorReader()
        self._ssrc = -1

    # -- transform ---------------------------------------------------------------------------------

    @property
    def transform(self) -> FrameTransform | None:
        """The transform that changes frames before they are decoded."""
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

    def take(self, received: ReceivedFrame, *, is_key: bool) -> None:
        """A whole frame came."""
        if self._transform is None:
            self._deliver(received)
            return
        frame = frame_object(received, is_key=is_key, reader=self._reader_for(received.stream.ssrc))
        self._counter += 1
        frame.owner, frame.counter, frame.context = self, self._counter, received
        self._transform.take(frame)

    def write_transformed(self, frame: EncodedMediaFrame) -> None:
        """Implements `transforms.TransformOwner.write_transformed`."""
        if frame.owner is not self or frame.counter <= self._written:
            return
        self._written = frame.counter
        received: ReceivedFrame = frame.context
        self._deliver(received._replace(data=frame.data))

    def make_keyframe(self, rid: str | None) -> int:
        """Implements `transforms.TransformOwner.make_keyframe`: nothing is encoded here."""
        return 0

    def ask_for_keyframe(self) -> None:
        """Implements `transforms.TransformOwner.ask_for_keyframe`."""
        self._ask()

    # -- readers -----------------------------------------------------------------------------------

    @property
    def is_read(self) -> bool:
        """Whether anybody reads encoded frames."""
        return bool(self._readers)

    @property
    def needs_keyframe(self) -> bool:
        """Whether somebody who reads encoded frames waits for a key frame."""
        return any(reader.needs_keyframe for reader in self._readers)

    def read(self) -> EncodedFrameReader:
        """A new reader."""
        reader = EncodedFrameReader(
            is_video=self.kind == "video", on_close=self._readers.discard, on_loss=self._ask
        )
        self._readers.add(reader)
        return reader

    def push(self, received: ReceivedFrame, *, is_key: bool) -> None:
        """Give a frame to all readers, which share the object."""
        descriptors = None if self._transform is not None else self._reader_for(received.stream.ssrc)
        frame = frame_object(received, is_key=is_key, reader=descriptors)
        for reader in tuple(self._readers):
            reader.push(frame)

    def _reader_for(self, ssrc: int) -> DescriptorReader:
        if ssrc != self._ssrc:
            self._ssrc, self._descriptors = ssrc, DescriptorReader()
        return self._descriptors

    def lose(self) -> None:
        """Something is missing before the next frame."""
        for reader in tuple(self._readers):
            reader.lose()

    def stop(self) -> list[asyncio.Future[Any]]:
        """End all readers and the transform; gives what is still ending."""
        for reader in tuple(self._readers):
            reader.end()
        self._readers.clear()
        transform, self._transform = self._transform, None
        ending = None if transform is None else transform.detach()
        return [] if ending is None else [ending]
