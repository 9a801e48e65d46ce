"""Writer of one track of a recorded file: an encoder that the container can hold, on the file's own time line.

Owns: the streams of a container and their encoders. Never: a track, the loop (the recorder's thread calls), a decision
what is recorded.
"""

from __future__ import annotations

import math
from array import array
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol

from av import AudioFrame, AudioResampler, VideoFormat, VideoFrame
from av.container import OutputContainer
from av.filter import Graph
from av.frame import Frame
from av.video.frame import PictureType

from rtcpeer.errors import NotSupportedError
from rtcpeer.media.encoding import copy_picture

SOUND_RATE = 48000
_CLOCK = Fraction(1, 90000)
# Sound that differs so much from the time at which it should stand is rounding, in samples
_TOLERANCE = SOUND_RATE * 60 // 1000
_SAMPLE_BYTES = 4  # stereo, 16 bits
# A gap is filled in pieces of so many samples, and so many of them in one step: a night of silence takes minutes
_SILENCE = SOUND_RATE
_CATCH_UP = 600 * SOUND_RATE
# Used where the coder says nothing of its own: the bits of one pixel of a picture
_BITS_PER_PIXEL = 0.1

# containers (names of libav) -> coder of sound; others get the last one
_SOUND_CODERS = {
    "wav": "pcm_s16le",
    "alsa": "pcm_s16le",
    "pulse": "pcm_s16le",
    "mp3": "libmp3lame",
    "ogg": "libopus",
    "opus": "libopus",
    "webm": "libopus",
    "flac": "flac",
}
_SOUND_CODER = "aac"
_PICTURE_CODERS = {"image2": ("png", "rgb24"), "webm": ("libvpx", "yuv420p")}
_PICTURE_CODER = ("libx264", "yuv420p")
_CODER_OPTIONS = {
    "libx264": {"preset": "veryfast", "bf": "0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}


class TrackWriter(Protocol):
    """Writes the frames of one track."""

    def catch_up(self, at: float) -> bool:
        """Write some of what is missing up to a time, in seconds; False if there is more to do before `write`."""

    def write(self, frame: Any, at: float) -> None:
        """A frame, and where it begins in the file, in seconds."""

    def finish(self) -> None:
        """Finish the track: there are no more frames."""


def make_writer(
    container: OutputContainer, kind: str, first: Frame, size: tuple[int, int] | None
) -> TrackWriter:
    """Make the writer of a track whose first frame this is.

    Args:
        container: not begun yet.
        kind: "audio" or "video".
        first: its first frame.
        size: width and height of pictures in the file; None: those of the first one.

    Raises:
        NotSupportedError: the container cannot hold this kind.
    """
    if isinstance(first, VideoFrame):
        return PictureWriter(container, size or (first.width, first.height))
    return SoundWriter(container)


def check_kind(container: OutputContainer, kind: str) -> None:
    """Raise NotSupportedError if the container cannot hold sound, or pictures."""
    name = container.format.name
    if kind == "video" and name not in _PICTURE_CODERS:
        possible = container.default_video_codec not in ("none", None) and name not in _SOUND_CODERS
    else:
        possible = (
            kind == "video" or name in _SOUND_CODERS or container.default_audio_codec not in ("none", None)
        )
    if not possible:
        raise NotSupportedError(
            f"a file of the format {name} holds no {kind}; choose another one, for example mkv"
        )


def _add_stream(container: OutputContainer, coder: str, **options: Any) -> Any:
    """Add a stream; PyAV's annotations do not say of which kind."""
    return container.add_stream(coder, **options)


class SoundWriter:
    """Sound of any format becomes stereo of 48 kHz without gaps or overlaps."""

    def __init__(self, container: OutputContainer) -> None:
        coder = _SOUND_CODERS.get(container.format.name, _SOUND_CODER)
        self._container = container
        self._stream = _add_stream(container, coder, rate=SOUND_RATE)
        self._stream.codec_context.layout = "stereo"
        self._resampler: AudioResampler | None = None
        self._key: tuple[str, str, int] = ("", "", 0)
        self._waiting = bytearray()  # samples that do not fill a frame of the coder yet
        self._encoded = 0  # samples that were given to the coder

    def catch_up(self, at: float) -> bool:
        """Implements `TrackWriter.catch_up`: silence, where there was no sound."""
        missing = round(at * SOUND_RATE) - self._encoded - len(self._waiting) // _SAMPLE_BYTES
        if missing > _TOLERANCE:
            self._fill(min(missing, _CATCH_UP))
        return missing <= _CATCH_UP

    def write(self, frame: AudioFrame, at: float) -> None:
        """Implements `TrackWriter.write`."""
        while not self.catch_up(at):
            pass
        self._waiting += self._read(frame)
        self._encode()

    def _fill(self, missing: int) -> None:
        while missing > 0:
            part = min(missing, _SILENCE)
            self._waiting += bytes(part * _SAMPLE_BYTES)
            missing -= part
            self._encode()

    def _read(self, frame: AudioFrame) -> bytes:
        if not frame.samples:
            return b""
        layout = "mono" if len(frame.layout.channels) == 1 else "stereo"
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or key != self._key:
            self._resampler = AudioResampler(format="s16", layout=layout, rate=SOUND_RATE)
            self._key = key
        data = b"".join(
            bytes(part.planes[0])[: part.samples * 2 * len(part.layout.channels)]
            for part in self._resampler.resample(frame)
        )
        if layout == "stereo":
            return data
        # both channels at full level: libav widens mono at -3 dB
        mono = array("h", data)
        both = array("h", bytes(2 * len(data)))
        both[0::2] = both[1::2] = mono
        return both.tobytes()

    def _encode(self, *, all_of_it: bool = False) -> None:
        samples = self._stream.codec_context.frame_size or SOUND_RATE // 50
        size = samples * _SAMPLE_BYTES
        while len(self._waiting) >= size or (all_of_it and self._waiting):
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            frame = AudioFrame(format="s16", layout="stereo", samples=len(data) // _SAMPLE_BYTES)
            frame.sample_rate = SOUND_RATE
            frame.planes[0].update(data + bytes(frame.planes[0].buffer_size - len(data)))
            frame.pts, frame.time_base = self._encoded, Fraction(1, SOUND_RATE)
            self._encoded += frame.samples
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Implements `TrackWriter.finish`."""
        self._encode(all_of_it=True)
        self._container.mux(self._stream.encode(None))


class PictureWriter:
    """Pictures of any size become pictures of one size: fitted into it, with bars where the shapes differ."""

    def __init__(self, container: OutputContainer, size: tuple[int, int]) -> None:
        coder, self._format = _PICTURE_CODERS.get(container.format.name, _PICTURE_CODER)
        # even, for the halved planes of colour
        self._width, self._height = (max(2, side + side % 2) for side in size)
        self._container = container
        self._stream = _add_stream(container, coder, rate=30, options=_CODER_OPTIONS.get(coder, {}))
        self._stream.width, self._stream.height = self._width, self._height
        self._stream.pix_fmt = self._format
        if coder != "png":
            self._stream.codec_context.time_base = _CLOCK
        if coder == "libvpx":
            self._stream.bit_rate = int(self._width * self._height * 30 * _BITS_PER_PIXEL)
        self._graph: Graph | None = None
        self._graph_size = (0, 0)
        self._last = -1

    def catch_up(self, at: float) -> bool:
        """Implements `TrackWriter.catch_up`."""
        return True

    def write(self, frame: VideoFrame, at: float) -> None:
        """Implements `TrackWriter.write`."""
        picture = self._fit(frame)
        if self._stream.codec_context.name == "png":
            picture.pts, picture.time_base = self._last + 1, Fraction(1, 30)
        else:
            picture.pts, picture.time_base = max(self._last + 1, math.floor(at / _CLOCK)), _CLOCK
        self._last = picture.pts
        picture.pict_type = PictureType.NONE
        self._container.mux(self._stream.encode(picture))

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        """A picture of the file's size and format: one of its own, as others may use the same object."""
        is_size = (frame.width, frame.height) == (self._width, self._height)
        if is_size and self._format == "yuv420p":
            return copy_picture(frame)
        if not self._has_bars(frame) and not (is_size and frame.format.name == self._format):
            return frame.reformat(width=self._width, height=self._height, format=self._format)
        size = (frame.width, frame.height)
        if self._graph is None or size != self._graph_size:
            self._graph, self._graph_size = self._make_graph(*size), size
        copy = copy_picture(frame)
        copy.pts, copy.time_base = 0, _CLOCK
        self._graph.push(copy)
        picture = self._graph.pull()
        assert isinstance(picture, VideoFrame)
        return picture

    def _has_bars(self, frame: VideoFrame) -> bool:
        """Whether a picture has another shape than the file's, by more than rounding to even sides."""
        return abs(frame.width / frame.height * self._height - self._width) > 2

    def _make_graph(self, input_width: int, input_height: int) -> Graph:
        width, height = self._width, self._height
        graph = Graph()
        steps = [
            graph.add_buffer(
                width=input_width, height=input_height, format=VideoFormat("yuv420p"), time_base=_CLOCK
            ),
            graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
            graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"),
            graph.add("format", self._format),
            graph.add("buffersink"),
        ]
        for step, following in pairwise(steps):
            step.link_to(following)
        graph.configure()
        return graph

    def finish(self) -> None:
        """Implements `TrackWriter.finish`."""
        self._container.mux(self._stream.encode(None))
