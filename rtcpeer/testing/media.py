"""Synthetic local tracks: a moving test picture with a clock, and a tone.

Owns: drawing and pacing of frames that need no file, no device and no privilege.
Never: a task, a thread, the wall clock. Time is ``loop.time()``: a track keeps its pace on virtual time too.

The picture is cheap. What never moves (colour bars, a ramp) is drawn once per size; per frame only a clock,
a block and the signal square are written, row by row, into three buffers that are copied into the frame.
"""

from __future__ import annotations

import array
import asyncio
import fractions
import functools
import math
from collections.abc import Mapping
from typing import Any

from av import AudioFrame, VideoFrame

from rtcpeer.aio import can_run
from rtcpeer.errors import RTCRangeError
from rtcpeer.media.track import MediaStreamError, MediaStreamTrack
from rtcpeer.values import MediaKind

DEFAULT_WIDTH, DEFAULT_HEIGHT, DEFAULT_FRAME_RATE = 640, 480, 30.0
MAX_SIDE, MAX_FRAME_RATE = 8192, 240.0
VIDEO_CLOCK_RATE = 90000
VIDEO_TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_RATE)

SAMPLE_RATE = 48000
FRAME_SAMPLES = 960  # 20 ms, what Opus is packed in
FRAMES_PER_SECOND = SAMPLE_RATE // FRAME_SAMPLES
AUDIO_TIME_BASE = fractions.Fraction(1, SAMPLE_RATE)
DEFAULT_FREQUENCY = 440
AMPLITUDE = 8000

# A track that nobody has read for this long goes on with the present, as a camera does
MAX_LATENESS = 0.2

# Where the W3C suite reads a grey level back; large, so that coding artefacts at its edge do not matter
SIGNAL_FROM, SIGNAL_TO = 20, 60

# 75 % colour bars (EBU), as studio-range Y, U, V
BARS = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58),
        (84, 184, 198), (65, 100, 212), (35, 212, 114))  # fmt: skip
PANEL_LUMA, INK_LUMA = 40, 235
BLOCK = (210, 60, 170)

# 5x7 glyphs, one byte a row, the leftmost pixel in bit 4
GLYPHS = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), ":": (0, 4, 4, 0, 4, 4, 0), ".": (0, 0, 0, 0, 0, 4, 4),
    "#": (10, 10, 31, 10, 31, 10, 10), " ": (0, 0, 0, 0, 0, 0, 0),
}  # fmt: skip
GLYPH_WIDTH, GLYPH_HEIGHT = 6, 7  # with one column of space


def synthetic_track(kind: str, settings: Mapping[str, Any] | None = None) -> SyntheticTrack:
    """Make a live local track that needs no device.

    Args:
        kind: "audio" or "video".
        settings: members of W3C MediaTrackConstraints, each a number or a mapping with ``exact``, ``ideal``,
            ``min``, ``max``. Video: ``width``, ``height`` (made even), ``frameRate``. Audio: ``channelCount``
            (1 or 2) and, ours, ``frequency`` of the tone in Hz. Others are ignored.

    Returns:
        A track. ``synthetic_size`` is (width, height) or (), ``synthetic_signal`` of a video track is the
        grey level (0..255) of the square from (20, 20) to (60, 60) and may be set at any time.

    Raises:
        TypeError: the kind is unknown, or a setting is not a number.
        RTCRangeError: a setting is a number that no picture or tone can have.
    """
    if settings is None:
        settings = {}
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings are a mapping, not {settings!r}")
    if kind == MediaKind.VIDEO:
        return SyntheticVideoTrack(settings)
    if kind == MediaKind.AUDIO:
        return SyntheticAudioTrack(settings)
    raise TypeError(f"kind is 'audio' or 'video', not {kind!r}")


def read_number(settings: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A W3C ConstrainULong/ConstrainDouble: a number, or a mapping of exact, ideal, min, max."""
    value = settings.get(name)
    if value is None:
        return default
    parts = value if isinstance(value, Mapping) else {"exact": value}
    for member in ("exact", "ideal", "min", "max"):
        part = parts.get(member)
        if part is not None and (isinstance(part, bool) or not isinstance(part, int | float)):
            raise TypeError(f"{name} is a number or a mapping of numbers, not {value!r}")
    chosen = next((float(parts[m]) for m in ("exact", "ideal") if parts.get(m) is not None), default)
    if parts.get("min") is not None:
        chosen = max(chosen, float(parts["min"]))
    if parts.get("max") is not None:
        chosen = min(chosen, float(parts["max"]))
    if not low <= chosen <= high:
        raise RTCRangeError(f"{name} is between {low:g} and {high:g}, not {chosen:g}")
    return chosen


class SyntheticTrack(MediaStreamTrack):
    """Base of the synthetic tracks: pace without drift, an end, clones.

    The first `recv` starts the track's clock; frame n is due at start + n * interval, whatever the reader did
    in between. Concurrent readers share the frames.
    """

    synthetic_size: tuple[int, ...] = ()
    _interval: float

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.label: str = f"synthetic {self.kind}"
        self._asked = dict(settings)
        self._start: float | None = None
        self._next = 0
        # readers that wait for their frame; stop() wakes them
        self._waiters: set[asyncio.Future[None]] = set()

    def stop(self) -> None:
        """End the track; readers that wait get their MediaStreamError at once."""
        super().stop()
        for waiter in self._waiters:
            if can_run(waiter):
                waiter.get_loop().call_soon(_finish, waiter)

    def clone(self) -> SyntheticTrack:
        """W3C MediaStreamTrack.clone: an independent track with the same settings, on its own clock."""
        copy = type(self)(self._asked)
        copy.enabled = self.enabled
        copy.contentHint = self.contentHint
        if self.readyState == "ended":
            copy.stop()
        return copy

    async def _next_index(self) -> int:
        """Wait until the next frame is due and say which it is."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._start is None:
            self._start = now
        index = self._next
        late = now - (self._start + index * self._interval)
        if late > max(MAX_LATENESS, self._interval):
            index += int(late / self._interval)
        self._next = index + 1
        due = self._start + index * self._interval
        if due > now:
            await self._sleep_until(due, loop)
        return index

    async def _sleep_until(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(due, _finish, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)
        if self.readyState != "live":
            raise MediaStreamError


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SyntheticVideoTrack(SyntheticTrack):
    """Colour bars, a ramp, a block that travels, and a clock with a frame counter."""

    kind = "video"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        # yuv420p halves both sides for colour, and H.264 wants them even
        self.width: int = int(read_number(settings, "width", DEFAULT_WIDTH, 2, MAX_SIDE)) & ~1
        self.height: int = int(read_number(settings, "height", DEFAULT_HEIGHT, 2, MAX_SIDE)) & ~1
        self.frame_rate: float = read_number(settings, "frameRate", DEFAULT_FRAME_RATE, 0.1, MAX_FRAME_RATE)
        self.synthetic_size: tuple[int, ...] = (self.width, self.height)
        self.synthetic_signal: int = 0
        self._interval = 1 / self.frame_rate
        self._picture: _Picture | None = None

    def getSettings(self) -> dict[str, Any]:
        """W3C MediaStreamTrack.getSettings."""
        return {
            "width": self.width,
            "height": self.height,
            "frameRate": self.frame_rate,
            "aspectRatio": self.width / self.height,
        }

    async def recv(self) -> VideoFrame:
        """The next picture, when it is due."""
        index = await self._next_index()
        if self._picture is None:
            self._picture = _Picture(self.width, self.height)
        elapsed_ms = round(index * self._interval * 1000)
        frame = self._picture.draw(index, elapsed_ms, self.synthetic_signal)
        frame.pts = round(index * self._interval * VIDEO_CLOCK_RATE)
        frame.time_base = VIDEO_TIME_BASE
        return frame


class SyntheticAudioTrack(SyntheticTrack):
    """A sine tone at 48 kHz, 16 bit, 20 ms a frame."""

    kind = "audio"
    _interval = FRAME_SAMPLES / SAMPLE_RATE

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.channels: int = int(read_number(settings, "channelCount", 1, 1, 2))
        self.frequency: int = int(
            read_number(settings, "frequency", DEFAULT_FREQUENCY, 1, SAMPLE_RATE // 2 - 1)
        )

    def getSettings(self) -> dict[str, Any]:
        """W3C MediaStreamTrack.getSettings."""
        return {"sampleRate": SAMPLE_RATE, "sampleSize": 16, "channelCount": self.channels}

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when they are due."""
        index = await self._next_index()
        tone = _tone(self.frequency, self.channels)
        frame = AudioFrame(
            format="s16", layout="stereo" if self.channels == 2 else "mono", samples=FRAME_SAMPLES
        )
        frame.planes[0].update(tone[index % len(tone)])
        frame.sample_rate = SAMPLE_RATE
        frame.pts = index * FRAME_SAMPLES
        frame.time_base = AUDIO_TIME_BASE
        return frame


@functools.lru_cache(maxsize=16)
def _tone(frequency: int, channels: int) -> tuple[bytes, ...]:
    """Frames of a tone, as many as it takes until the tone begins again at a frame's edge."""
    count = FRAMES_PER_SECOND // math.gcd(frequency, FRAMES_PER_SECOND)
    step = math.tau * frequency / SAMPLE_RATE
    frames = []
    for index in range(count):
        first = index * FRAME_SAMPLES
        wave = (int(AMPLITUDE * math.sin(step * (first + n))) for n in range(FRAME_SAMPLES))
        samples = wave if channels == 1 else (s for s in wave for _ in range(channels))
        frames.append(array.array("h", samples).tobytes())
    return tuple(frames)


@functools.lru_cache(maxsize=8)
def _background(width: int, height: int) -> tuple[bytes, bytes, bytes]:
    """The three planes of what never moves: bars above, a ramp below."""
    bar_rows = max(2, height * 3 // 4) & ~1
    planes = []
    for plane in range(3):
        shift = 0 if plane == 0 else 1
        columns, rows, bars = width >> shift, height >> shift, bar_rows >> shift
        bar_row = bytes(BARS[x * len(BARS) // columns][plane] for x in range(columns))
        low, high = (48, 224) if plane == 0 else (128, 128)
        ramp_row = bytes(low + (high - low) * x // columns for x in range(columns))
        planes.append(bar_row * bars + ramp_row * (rows - bars))
    return planes[0], planes[1], planes[2]


@functools.lru_cache(maxsize=256)
def _glyph_rows(character: str, scale: int) -> tuple[bytes, ...]:
    bits = GLYPHS.get(character, GLYPHS[" "])
    ink, paper = bytes([INK_LUMA]) * scale, bytes([PANEL_LUMA]) * scale
    return tuple(b"".join(ink if row >> (5 - x) & 1 else paper for x in range(1, 6)) + paper for row in bits)


class _Picture:
    """The canvas of one track: three planes, of which each frame changes a few rows."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.background = _background(width, height)
        self.planes = tuple(bytearray(plane) for plane in self.background)
        # the clock: as large as fits into 9/10 of the width, the counter alone when the whole does not fit
        self.long_text = width >= 20 * GLYPH_WIDTH
        length = 20 if self.long_text else 6
        self.scale = max(1, width * 9 // 10 // (length * GLYPH_WIDTH))
        self.text_width = length * GLYPH_WIDTH * self.scale
        self.text_left = (width - self.text_width) // 2 & ~1
        self.text_top = max(SIGNAL_TO + 4, height // 2 - GLYPH_HEIGHT * self.scale // 2)
        self.has_text = self.text_width <= width and self.text_top + GLYPH_HEIGHT * self.scale <= height
        if self.has_text:
            self._wash_panel()
        self.block = max(2, height // 10) & ~1
        self.block_top = (height - self.block - height // 16) & ~1
        self.block_left = 0

    def _wash_panel(self) -> None:
        """Take the colour out from behind the clock, once: only its luma changes later."""
        left, right = self.text_left // 2, (self.text_left + self.text_width) // 2
        for row in range(self.text_top // 2, (self.text_top + GLYPH_HEIGHT * self.scale + 1) // 2):
            offset = row * (self.width // 2)
            for plane in self.planes[1:]:
                plane[offset + left : offset + right] = b"\x80" * (right - left)

    def draw(self, index: int, elapsed_ms: int, signal: int) -> VideoFrame:
        """The picture of frame `index`."""
        self._move_block(index)
        if self.has_text:
            self._write_text(index, elapsed_ms)
        self._paint_signal(signal)
        frame = VideoFrame(self.width, self.height, "yuv420p")
        for plane, data in zip(frame.planes, self.planes, strict=True):
            _copy_plane(plane, data)
        return frame

    def _move_block(self, index: int) -> None:
        travel = max(1, self.width - self.block)
        phase = index * max(2, self.width // 120) % (2 * travel)
        left = (phase if phase < travel else 2 * travel - phase) & ~1
        for plane, (data, back) in enumerate(zip(self.planes, self.background, strict=True)):
            shift = 0 if plane == 0 else 1
            stride, side = self.width >> shift, self.block >> shift
            old, new, ink = (
                self.block_left >> shift,
                left >> shift,
                bytes([BLOCK[plane]]) * (self.block >> shift),
            )
            top = self.block_top >> shift
            for offset in range(top * stride, (top + side) * stride, stride):
                data[offset + old : offset + old + side] = back[offset + old : offset + old + side]
                data[offset + new : offset + new + side] = ink
        self.block_left = left

    def _write_text(self, index: int, elapsed_ms: int) -> None:
        text = f"#{index % 100000:05}"
        if self.long_text:
            seconds, ms = divmod(elapsed_ms, 1000)
            minutes, seconds = divmod(seconds, 60)
            text = f"{minutes // 60 % 100:02}:{minutes % 60:02}:{seconds:02}.{ms:03}  {text}"
        glyphs = [_glyph_rows(c, self.scale) for c in text]
        offset, luma = self.text_top * self.width + self.text_left, self.planes[0]
        for row in range(GLYPH_HEIGHT):
            line = b"".join([glyph[row] for glyph in glyphs])
            for _ in range(self.scale):
                luma[offset : offset + len(line)] = line
                offset += self.width

    def _paint_signal(self, signal: int) -> None:
        level = 16 + round(max(0, min(255, signal)) * 219 / 255)
        right, bottom = min(SIGNAL_TO, self.width), min(SIGNAL_TO, self.height)
        if right <= SIGNAL_FROM:
            return
        line = bytes([level]) * (right - SIGNAL_FROM)
        luma = self.planes[0]
        for row in range(SIGNAL_FROM, bottom):
            offset = row * self.width + SIGNAL_FROM
            luma[offset : offset + len(line)] = line
        grey = b"\x80" * ((right - SIGNAL_FROM) // 2)
        for row in range(SIGNAL_FROM // 2, bottom // 2):
            offset = row * (self.width // 2) + SIGNAL_FROM // 2
            for plane in self.planes[1:]:
                plane[offset : offset + len(grey)] = grey


def _copy_plane(plane: Any, data: bytearray) -> None:
    """Copy a packed plane into a frame's plane, whose rows may be padded."""
    stride, width = plane.line_size, plane.width
    if stride == width:
        plane.update(data)
        return
    target = memoryview(plane).cast("B")
    for row in range(plane.height):
        target[row * stride : row * stride + width] = data[row * width : (row + 1) * width]
