"""Source of a media player: pieces of sound and pictures with rising times, from a file, a network stream or a device.

Owns: the container, decoders, the time line over repetitions. Never: the loop (the player's thread calls), the pace.

Theory of operation. The time of the file begins at 0 whatever its first time is, and the streams stay together. At the
end of a repetition the next one begins where the longest stream has ended. What is sent as it is in the file needs the
form that RTP payload formats expect: H.264 and H.265 from MP4 or Matroska have lengths in place of start codes, and
their parameter sets apart; libav's filters put that right. A key frame begins each repetition.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
from av import AudioFrame, AudioResampler, VideoFrame
from av.bitstream import BitStreamFilterContext
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet

from rtcpeer.media.orientation import quarter_turns
from rtcpeer.records import record

logger = logging.getLogger(__name__)

# Formats of libav that are devices or live streams: they have a pace of their own
LIVE_FORMATS = frozenset(
    {
        "alsa",
        "android_camera",
        "avfoundation",
        "bktr",
        "decklink",
        "dshow",
        "fbdev",
        "gdigrab",
        "iec61883",
        "jack",
        "kmsgrab",
        "openal",
        "oss",
        "pulse",
        "rtsp",
        "sndio",
        "v4l2",
        "vfwcap",
        "x11grab",
    }
)
# Codecs that can be sent as they are in a file
_AS_IT_IS = {
    "audio": frozenset({"opus", "pcm_alaw", "pcm_mulaw"}),
    "video": frozenset({"vp8", "vp9", "av1", "h264", "hevc"}),
}
_START_CODE_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
SOUND_RATE = 48000
_PIECE = SOUND_RATE // 50
# One call reads about this much, in seconds
_READ_SECONDS = 0.25
# Sound that stands so much off its time is moved there, in seconds
_GAP = 0.1
# Between two pieces of one stream there is at least this, in seconds
_STEP_MIN = 0.001
# How long to wait for a device that has nothing yet, in seconds
_RETRY = 0.01
# What receivers of every codec decode; of other formats only some do
_PIXELS = frozenset({"yuv420p", "yuvj420p", "yuva420p"})
# AV_DISPOSITION_ATTACHED_PIC of libav
_ATTACHED_PICTURE = 0x400
# So many pictures without a key frame are waited for; a stream that refreshes its pictures by parts has none
_KEYLESS_MAX = 300


@record(slots=True)
class Piece:
    """A frame or packet of a file.

    Attributes:
        kind: "audio" or "video".
        at: when it is due, in seconds from the beginning.
        content: an `av.AudioFrame`, `av.VideoFrame` or `av.Packet`, with the same time.
    """

    kind: str
    at: float
    content: Any


def _is_sendable(stream: Any) -> bool:
    """Whether there is a payload format for what a stream is encoded as."""
    codec, names = stream.codec_context, _AS_IT_IS[stream.type]
    return codec.name in names or codec.codec.canonical_name in names


def _is_cover(stream: Any) -> bool:
    """Whether a stream is one picture that stands for the file, such as the cover of an album."""
    # a flag of an enumeration; none before PyAV has them
    return bool(int(getattr(getattr(stream, "disposition", None), "value", 0)) & _ATTACHED_PICTURE)


class FileSource:
    """An open file.

    Args: see `player.MediaPlayer`.
        decodes_others: False: a stream that cannot be sent as it is is left out where `decode` is False.

    Attributes:
        kinds: the kinds of its streams.
        is_live: whether it has a pace of its own.
    """

    def __init__(
        self,
        file: Any,
        *,
        format: str | None,
        options: Mapping[str, str] | None,
        timeout: float | None,
        loop: bool,
        decode: bool,
        decodes_others: bool = True,
    ) -> None:
        self._container: Any = av.open(
            file=file, format=format, mode="r", options=dict(options or {}), timeout=timeout
        )
        try:
            self._readers = self._make_readers(decode, decodes_others)
            if loop and self._container.duration is None:
                raise ValueError(f"loop needs a file that can be read again, and {file!r} has no end")
        except BaseException:
            self._container.close()
            raise
        self._loop = loop
        self._stopped = False
        self._packets: Iterator[Any] | None = None
        self._offset = 0.0  # where this repetition begins
        self._first: float | None = None  # the file's own time at its beginning
        self._end = 0.0  # of the longest stream so far
        self.kinds: frozenset[str] = frozenset(reader.kind for reader in self._readers)
        self.is_live: bool = not LIVE_FORMATS.isdisjoint(self._container.format.name.split(","))

    def _make_readers(self, decode: bool, decodes_others: bool) -> list[StreamReader]:
        readers: dict[str, StreamReader] = {}
        left_out = False
        for stream in self._container.streams:
            if _is_cover(stream):
                continue
            if stream.type in ("audio", "video") and stream.type not in readers:
                if not decode and not decodes_others and not _is_sendable(stream):
                    left_out = True
                    continue
                readers[stream.type] = StreamReader(stream, self._container, as_it_is=not decode)
        if not readers and not left_out:
            raise ValueError(f"{self._container.name} has neither sound nor pictures")
        return list(readers.values())

    def read(self, wanted: frozenset[str]) -> list[Piece] | None:
        """Read on: pieces in the order of the file; None at the end.

        Args:
            wanted: what is not of these kinds is not decoded.

        Raises:
            FFmpegError: it cannot be read.
        """
        pieces: list[Piece] = []
        limit: float | None = None
        is_fresh = False  # a repetition that has given nothing yet
        while not self._stopped:
            try:
                if self._packets is None:
                    self._packets = self._container.demux(*(reader.stream for reader in self._readers))
                packet = next(self._packets)
            except StopIteration:
                if not self._loop or is_fresh:
                    return pieces or None
                self._begin_again()
                is_fresh = True
                continue
            except FFmpegError as error:
                if error.errno != errno.EAGAIN:
                    raise
                self._packets = None  # an iterator that raised has ended
                time.sleep(_RETRY)
                continue
            reader = next(r for r in self._readers if r.stream.index == packet.stream.index)
            if reader.kind not in wanted:
                reader.skip()
                continue
            found = self._place(reader, packet)
            if found:
                is_fresh = False
                pieces += found
                limit = found[0].at + _READ_SECONDS if limit is None else limit
                if self.is_live or found[-1].at >= limit:
                    return pieces
        return None

    def _place(self, reader: StreamReader, packet: Packet[Any]) -> list[Piece]:
        """The pieces that a packet gives, on the player's time line."""
        pieces = []
        for own, length, content in reader.read(packet):
            if self._first is None:
                self._first = own
            at = reader.rise(self._offset + max(0.0, own - self._first))
            content.pts = round(at / reader.time_base)
            content.time_base = reader.time_base
            if isinstance(content, Packet):
                content.dts = content.pts
            self._end = max(self._end, at + length)
            pieces.append(Piece(reader.kind, at, content))
        return pieces

    def _begin_again(self) -> None:
        self._container.seek(0)
        for reader in self._readers:
            reader.begin_again()
        self._packets = None
        self._offset, self._first = self._end, None

    def stop(self) -> None:
        """Let `read` return soon (called in another thread)."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        self._stopped = True
        self._container.close()


class StreamReader:
    """A stream of a file: its packets become frames, or packets as RTP wants them.

    Args:
        stream: of the container.
        container: it is in.
        as_it_is: not to be decoded, if that is possible.

    Attributes:
        time_base: of what it gives.
    """

    def __init__(self, stream: Any, container: Any, *, as_it_is: bool) -> None:
        self.stream = stream
        self.kind: str = stream.type
        self.time_base: Fraction = Fraction(1, SOUND_RATE if self.kind == "audio" else 90000)
        self._container = container
        self._as_it_is = as_it_is and self._can_be_sent()
        # whether it is known that pictures need not be turned, which cannot be told with packets
        self._is_upright = self.kind != "video"
        self._filter: BitStreamFilterContext | None = None
        self._resampler: AudioResampler | None = None
        self._sound_at: float | None = None  # where the next sound begins, on the file's own line
        self._last: float | None = None
        codec = stream.codec_context.codec
        # libav's own pictures (`lavfi`) are not marked as the key frames that they are
        self._has_keys = not (codec.intra_only or codec.canonical_name == "wrapped_avframe")
        self._needs_key = False
        self._keyless = 0  # pictures left out since a key frame was needed
        self._has_warned = False
        self._picture_length = 1 / float(getattr(stream, "average_rate", None) or 30)
        self.begin_again()

    def _can_be_sent(self) -> bool:
        codec = self.stream.codec_context
        name = self._container.name
        if not _is_sendable(self.stream):
            logger.warning(
                "%s: its %s is %s, which cannot be sent as it is; it is decoded", name, self.kind, codec.name
            )
            return False
        if self.kind == "video" and codec.pix_fmt not in (None, *_PIXELS):
            logger.warning(
                "%s: its pictures are %s, which few receivers of %s decode; they are decoded and sent as yuv420p",
                name,
                codec.pix_fmt,
                codec.codec.canonical_name,
            )
            return False
        if self.kind == "video" and codec.has_b_frames:
            logger.warning(
                "%s: its pictures stand in another order than they are shown in (B-pictures), which no browser takes; "
                "they are decoded",
                name,
            )
            return False
        return True

    def begin_again(self) -> None:
        """The file is read from its beginning."""
        self.skip()
        self._resampler = None
        name = _START_CODE_FILTERS.get(self.stream.codec_context.codec.canonical_name)
        if self._as_it_is:
            if name is not None and self.stream.codec_context.extradata[:1] == b"\x01":
                self._filter = BitStreamFilterContext(name, self.stream)
        elif self._last is not None:
            self.stream.codec_context.flush_buffers()

    def skip(self) -> None:
        """Skip what follows: when it is read again, a picture begins with a key frame."""
        self._needs_key = self.kind == "video" and self._has_keys
        self._keyless = 0
        self._sound_at = None

    def rise(self, at: float) -> float:
        """A time that is later than the one before."""
        if self._last is not None:
            at = max(at, self._last + _STEP_MIN)
        self._last = at
        return at

    def read(self, packet: Packet[Any]) -> Iterator[tuple[float, float, Any]]:
        """The contents that a packet gives, each with its time on the file's own line and its length in seconds."""
        if self._needs_key and packet.size:
            self._keyless += 1
            if not packet.is_keyframe and self._keyless <= _KEYLESS_MAX:
                return
            self._needs_key = False
        if self._as_it_is and (self._is_upright or self._finds_upright(packet)):
            yield from self._pass_on(packet)
            return
        try:
            frames = packet.decode()
        except InvalidDataError as error:
            # a packet that was damaged on its way costs itself, and pictures up to the next key frame
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "%s: its %s has what cannot be decoded, which is left out: %s",
                    self._container.name,
                    self.kind,
                    error,
                )
            self.skip()
            return
        for frame in frames:
            if isinstance(frame, VideoFrame):
                if frame.pts is not None and frame.time_base:
                    yield float(frame.pts * frame.time_base), self._picture_length, frame
            elif isinstance(frame, AudioFrame):
                yield from self._resample(frame)

    def _finds_upright(self, packet: Packet[Any]) -> bool:
        """Whether pictures stand upright, as the first one says when it is decoded; if not, all are decoded."""
        codec = self.stream.codec_context
        if not codec.is_open:
            # the first picture at once
            codec.thread_count = 1
        try:
            frames = packet.decode()
        except InvalidDataError:
            return True
        if not frames:
            return True
        codec.flush_buffers()
        self._is_upright = True
        if not any(isinstance(frame, VideoFrame) and quarter_turns(frame) for frame in frames):
            return True
        self._as_it_is = False
        logger.warning(
            "%s: its pictures are to be turned, which receivers are told with decoded ones only; they are decoded",
            self._container.name,
        )
        return False

    def _pass_on(self, packet: Packet[Any]) -> Iterator[tuple[float, float, Any]]:
        if not packet.size or packet.pts is None:
            return
        at = float(packet.pts * packet.time_base)
        length = float((packet.duration or 0) * packet.time_base)
        is_key = packet.is_keyframe  # the filter takes the packet's content away
        packets = [packet] if self._filter is None else self._filter.filter(packet)
        for each in packets:
            # one of its own: libav's points into the container, which may be closed before it is sent
            own: Packet[Any] = Packet(bytes(each))
            own.is_keyframe = is_key
            yield at, length, own

    def _resample(self, frame: AudioFrame) -> Iterator[tuple[float, float, Any]]:
        """Sound in pieces of 20 ms, stereo, 48 kHz; its times count samples, and follow gaps of the file."""
        if self._resampler is None:
            self._resampler = AudioResampler(
                format="s16", layout="stereo", rate=SOUND_RATE, frame_size=_PIECE
            )
        own = None if frame.pts is None or not frame.time_base else float(frame.pts * frame.time_base)
        if own is not None and (self._sound_at is None or own > self._sound_at + _GAP):
            self._sound_at = own
        for part in self._resampler.resample(frame):
            at = self._sound_at or 0.0
            length = part.samples / SOUND_RATE
            self._sound_at = at + length
            yield at, length, part
