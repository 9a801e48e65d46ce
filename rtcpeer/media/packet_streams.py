"""Writer of encoded frames into a file as they came, without a codec.

Owns: which container holds which codec, and the streams. Never: a decoder, an encoder, a track.
"""

from __future__ import annotations

import io
from fractions import Fraction
from struct import Struct
from typing import Any

import av
from av import Packet
from av.container import OutputContainer

from rtcpeer.media.concealment import opus_duration
from rtcpeer.media.encoded_frames import EncodedMediaFrame, RTCEncodedVideoFrame
from rtcpeer.media.video import choice

# containers (names of libav) -> codecs of RTP (upper case) that they hold as they come
_HELD = {
    "matroska": frozenset({"VP8", "VP9", "AV1", "H264", "H265", "OPUS"}),
    "webm": frozenset({"VP8", "VP9", "AV1", "OPUS"}),
    "mp4": frozenset({"VP9", "AV1", "H264", "H265", "OPUS"}),
    "mov": frozenset({"H264", "H265"}),
    "ogg": frozenset({"OPUS"}),
    "opus": frozenset({"OPUS"}),
}
# What libav reads a single picture from: the name of a format, and for IVF that of the codec
_SINGLE: dict[str, bytes | str] = {
    "VP8": b"VP80",
    "VP9": b"VP90",
    "AV1": b"AV01",
    "H264": "h264",
    "H265": "hevc",
}
_IVF_HEAD = Struct("<4sHH4sHHIIII")
_IVF_FRAME = Struct("<IQ")
_SOUND_RATE = 48000


def codec_of(frame: EncodedMediaFrame) -> str:
    """The codec of a frame, in upper case."""
    return frame.mimeType.partition("/")[2].upper()


def holds(container: OutputContainer, codec: str) -> bool:
    """Whether a container holds what is encoded by this codec as it comes over RTP."""
    return codec in _HELD.get(container.format.name, frozenset())


def holds_any(container: OutputContainer) -> bool:
    """Whether a container holds anything as it comes over RTP."""
    return container.format.name in _HELD


def length_of(frame: EncodedMediaFrame) -> float:
    """How long a piece of sound lasts, in seconds; 0 for a picture."""
    if isinstance(frame, RTCEncodedVideoFrame) or not frame.data:
        return 0.0
    # RFC 6716 section 3.2: how many frames the packet has
    code = frame.data[0] & 3
    count = 1 if code == 0 else 2 if code < 3 else frame.data[1] & 63 if len(frame.data) > 1 else 0
    return count * opus_duration(frame.data[0]) / 1000


def _add_stream_like(container: OutputContainer, codec: str, picture: bytes) -> Any:
    """A stream for pictures like this key frame: libav finds size, profile and parameter sets in it."""
    single = _SINGLE[codec]
    if isinstance(single, bytes):
        width, height = choice.picture_size(codec, picture) or (0, 0)
        head = _IVF_HEAD.pack(b"DKIF", 0, _IVF_HEAD.size, single, width, height, 30, 1, 1, 0)
        source, form = head + _IVF_FRAME.pack(len(picture), 0) + picture, "ivf"
    else:
        source, form = picture, single
    with av.open(io.BytesIO(source), format=form) as template:
        return container.add_stream_from_template(template.streams.video[0], opaque=True)


class PacketWriter:
    """Writes the encoded frames of one track; see `file_streams.TrackWriter`.

    Args:
        container: not begun yet.
        first: the first frame; of pictures a key frame.
    """

    def __init__(self, container: OutputContainer, first: EncodedMediaFrame) -> None:
        self._container = container
        codec = codec_of(first)
        stream: Any
        if isinstance(first, RTCEncodedVideoFrame):
            self._clock = 90000
            stream = _add_stream_like(container, codec, first.data)
        else:
            self._clock = _SOUND_RATE
            # its coder is never used: it writes the head that containers want
            stream = container.add_stream("libopus", rate=_SOUND_RATE)
            stream.codec_context.layout = "stereo"
        self._stream = stream
        self._time_base = Fraction(1, self._clock)
        self._last = -1

    def catch_up(self, at: float) -> bool:
        """Nothing takes the place of what is missing."""
        return True

    def write(self, frame: EncodedMediaFrame, at: float) -> None:
        """A frame, and where it begins in the file, in seconds."""
        packet: Packet[Any] = Packet(frame.data)
        # containers with a clock of milliseconds round: two of the same time would be refused
        least = self._last + self._clock // 1000 if self._last >= 0 else 0
        packet.pts = packet.dts = self._last = max(least, round(at * self._clock))
        packet.time_base = self._time_base
        packet.is_keyframe = not isinstance(frame, RTCEncodedVideoFrame) or frame.type == "key"
        packet.stream = self._stream
        self._container.mux(packet)

    def finish(self) -> None:
        """Finish the track: there are no more packets."""
