"""Encoded pictures and pieces of sound as objects (webrtc-encoded-transform).

Receivers give them (`encodedFrames()`), tracks take them (`EncodedTrack`), transforms change them on their way.
Owns: the frame classes and the queue of who reads them. Never: packets, coders.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Generic, Self, TypeVar

from av.packet import Packet

from rtcpeer import webidl
from rtcpeer.aio import Inbox
from rtcpeer.records import record

# What a reader may leave unread: pictures of eight seconds at 30 a second, sound of five seconds.
UNREAD_MAX = 256


@record()
class RTCEncodedFrameMetadata:
    """Metadata of an encoded frame, beside its data; None for what is not known.

    Attributes:
        synchronizationSource: the SSRC.
        payloadType: of its packets.
        contributingSources: CSRCs.
        rtpTimestamp: when it was sampled, in ticks of the codec's clock, 32 bits.
        receiveTime: when its last packet arrived, in ms since the epoch.
        captureTime, senderCaptureTimeOffset: of the abs-capture-time extension, in ms; not negotiated, so None.
        mimeType: of the codec, for example "video/VP8".
    """

    synchronizationSource: int | None = None
    payloadType: int | None = None
    contributingSources: list[int] | None = None
    rtpTimestamp: int | None = None
    receiveTime: float | None = None
    captureTime: float | None = None
    senderCaptureTimeOffset: float | None = None
    mimeType: str | None = None


@record()
class RTCEncodedVideoFrameMetadata(RTCEncodedFrameMetadata):
    """Metadata of an encoded picture.

    Attributes:
        frameId, dependencies: of the dependency descriptor, if it is there.
        width, height: in pixels, where they are told.
        spatialIndex, temporalIndex: of layers.
        timestamp: presentation time in microseconds, from the first frame of the stream.
    """

    frameId: int | None = None
    dependencies: list[int] | None = None
    width: int | None = None
    height: int | None = None
    spatialIndex: int | None = None
    temporalIndex: int | None = None
    timestamp: int | None = None


@record()
class RTCEncodedAudioFrameMetadata(RTCEncodedFrameMetadata):
    """Metadata of an encoded piece of sound.

    Attributes:
        sequenceNumber: of its packet, 16 bits; None where it was not received.
        audioLevel: 0.0 to 1.0, where the sender tells.
    """

    sequenceNumber: int | None = None
    audioLevel: float | None = None


_Metadata = TypeVar("_Metadata", bound=RTCEncodedFrameMetadata)


class _EncodedFrame(Generic[_Metadata]):
    """Base of encoded pictures and sound.

    Attributes:
        time: presentation time in ticks of `time_base`, on a line that has no wraps.
        time_base: in seconds.
        owner, counter, context: for the sender or receiver that made it (transforms do not reorder or move frames).
    """

    _metadata_class: ClassVar[type[RTCEncodedFrameMetadata]]
    __slots__ = ("_data", "_metadata", "context", "counter", "owner", "time", "time_base")

    def __init__(self, original: Self, options: Mapping[str, Any] | None = None, **keywords: Any) -> None:
        if not isinstance(original, type(self)):
            raise TypeError(f"originalFrame must be an {type(self).__name__}, not {original!r}")
        given = webidl.members("RTCEncodedFrameOptions", options, keywords, ("metadata",)).get("metadata")
        names = {field.name for field in dataclasses.fields(self._metadata_class)}
        changes = {} if given is None else webidl.members("metadata", given)
        known = {name: value for name, value in changes.items() if name in names and value is not None}
        metadata = dataclasses.replace(original.getMetadata(), **known)
        self._fill(bytes(original.data), metadata, original.time, original.time_base)

    def _fill(self, data: bytes, metadata: _Metadata, time: int, time_base: Fraction) -> None:
        self._data: bytes = data
        self._metadata = metadata
        self.time: int = time
        self.time_base: Fraction = time_base
        self.owner: object = None
        self.counter: int = 0
        self.context: Any = None

    @property
    def data(self) -> bytes:
        """The encoded data, as the codec has it; of H.264 and H.265 a byte stream with start codes."""
        return self._data

    @data.setter
    def data(self, value: bytes | bytearray | memoryview) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes, not {type(value).__name__}")
        self._data = bytes(value)

    @property
    def timestamp(self) -> int:
        """The RTP timestamp, 32 bits (the member rtpTimestamp of the metadata)."""
        return self._metadata.rtpTimestamp or 0

    def getMetadata(self) -> _Metadata:
        """The metadata of the frame; a copy."""
        return copy.deepcopy(self._metadata)

    @property
    def mimeType(self) -> str:
        """The MIME type of the codec; "" where it is not known."""
        return self._metadata.mimeType or ""


class RTCEncodedVideoFrame(_EncodedFrame[RTCEncodedVideoFrameMetadata]):
    """An encoded picture (webrtc-encoded-transform).

    Args:
        original: a frame whose copy this is to be.
        options: `metadata`: members that shall be different in the copy.

    Raises:
        TypeError: `original` is no such frame.
    """

    _metadata_class = RTCEncodedVideoFrameMetadata
    __slots__ = ("_type",)

    def __init__(self, original: Self, options: Mapping[str, Any] | None = None, **keywords: Any) -> None:
        super().__init__(original, options, **keywords)
        self._type = original.type

    @classmethod
    def make(
        cls,
        data: bytes,
        metadata: RTCEncodedVideoFrameMetadata,
        *,
        is_key: bool,
        time: int = 0,
        time_base: Fraction = Fraction(1, 90000),
    ) -> Self:
        """A frame from its parts, for sources of encoded pictures.

        Args:
            data: as the codec has it.
            metadata: at least `mimeType`, if it is to be sent.
            is_key: whether it can be decoded by itself.
            time: presentation time in ticks of `time_base`.
        """
        frame = cls.__new__(cls)
        frame._fill(data, metadata, time, time_base)
        frame._type = "key" if is_key else "delta"
        return frame

    @property
    def type(self) -> str:
        """Say "key" or "delta"; "empty" without data."""
        return self._type if self._data else "empty"

    def packet(self) -> Packet[Any]:
        """The frame for libav: a packet with its time and whether it is a key frame."""
        packet = _packet(self)
        packet.is_keyframe = self._type == "key"
        return packet

    def __repr__(self) -> str:
        return (
            f"<RTCEncodedVideoFrame {self.type} {self.mimeType} {len(self._data)} bytes at {self.timestamp}>"
        )


class RTCEncodedAudioFrame(_EncodedFrame[RTCEncodedAudioFrameMetadata]):
    """An encoded piece of sound (webrtc-encoded-transform).

    Args:
        original: a frame whose copy this is to be.
        options: `metadata`: members that shall be different in the copy.

    Raises:
        TypeError: `original` is no such frame.
    """

    _metadata_class = RTCEncodedAudioFrameMetadata
    __slots__ = ()

    @classmethod
    def make(
        cls,
        data: bytes,
        metadata: RTCEncodedAudioFrameMetadata,
        *,
        time: int = 0,
        time_base: Fraction = Fraction(1, 48000),
    ) -> Self:
        """A frame from its parts, for sources of encoded sound; see `RTCEncodedVideoFrame.make`."""
        frame = cls.__new__(cls)
        frame._fill(data, metadata, time, time_base)
        return frame

    def packet(self) -> Packet[Any]:
        """The frame for libav: a packet with its time."""
        return _packet(self)

    def __repr__(self) -> str:
        return f"<RTCEncodedAudioFrame {self.mimeType} {len(self._data)} bytes at {self.timestamp}>"


EncodedMediaFrame = RTCEncodedVideoFrame | RTCEncodedAudioFrame


def _packet(frame: EncodedMediaFrame) -> Packet[Any]:
    packet: Packet[Any] = Packet(frame.data)
    packet.pts = packet.dts = frame.time
    packet.time_base = frame.time_base
    return packet


class EncodedFrameReader(AsyncIterator[EncodedMediaFrame]):
    """An async iterator over encoded frames, from a key frame on; `RTCRtpReceiver.encodedFrames` returns it.

    Who reads too slowly loses frames up to the next key frame, and nobody else does.

    Args:
        is_video: whether frames depend on others.
        on_close: called when nobody reads any more.
        on_loss: called when frames were dropped: a key frame is needed.

    Attributes:
        dropped: frames that were not read in time.
    """

    def __init__(
        self,
        *,
        is_video: bool,
        on_close: Callable[[EncodedFrameReader], None],
        on_loss: Callable[[], None],
    ) -> None:
        self.dropped: int = 0
        self._inbox: Inbox[EncodedMediaFrame] = Inbox()
        self._is_video = is_video
        self._needs_key = is_video
        self._on_close = on_close
        self._on_loss = on_loss

    @property
    def needs_keyframe(self) -> bool:
        """Whether nothing is of use to it before a key frame."""
        return self._needs_key

    def push(self, frame: EncodedMediaFrame) -> None:
        """A frame for the reader."""
        if self._needs_key:
            if isinstance(frame, RTCEncodedVideoFrame) and frame.type != "key":
                return
            self._needs_key = False
        if len(self._inbox.items) >= UNREAD_MAX:
            self._overflow(frame)
        else:
            self._inbox.put(frame)

    def _overflow(self, frame: EncodedMediaFrame) -> None:
        if not self._is_video:
            self.dropped += 1
            self._inbox.items.popleft()
            self._inbox.put(frame)
            return
        # what is behind a hole cannot be decoded
        self.dropped += len(self._inbox.items) + 1
        self._inbox.items.clear()
        self._needs_key = True
        self._on_loss()

    def lose(self) -> None:
        """Frames were lost before this one: what comes next is of use from a key frame on."""
        self._needs_key = self._is_video

    def end(self) -> None:
        """End: no further frame; what waits can still be read."""
        self._inbox.end()

    async def aclose(self) -> None:
        """Read no more."""
        self._inbox.items.clear()
        self.end()
        self._on_close(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EncodedMediaFrame:
        return await self._inbox.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()
