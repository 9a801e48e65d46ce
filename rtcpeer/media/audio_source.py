"""Sound for programs that speak and listen: a track that is written to, and a reader of samples.

`AudioSource` is paced by the clock, so that what was written but not yet spoken can be taken back at any moment.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator
from typing import Any

from av import AudioFrame

from rtcpeer.errors import InvalidStateError, OperationError, RTCRangeError
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.frames import blank
from rtcpeer.media.pcm import SAMPLE_BYTES, SampleConverter, frame_of
from rtcpeer.media.source import Track, TrackSource, TrackSubscription
from rtcpeer.media.track import MediaStreamTrack

FRAME_SECONDS = 0.02
_RATES = (8000, 192_000)
# Behind the clock by more than this, in seconds, frames are not caught up with.
_STALL = 0.2


def _check(sample_rate: int, channels: int) -> None:
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
        raise TypeError(f"sample_rate must be an int, not {sample_rate!r}")
    low, high = _RATES
    if not low <= sample_rate <= high or sample_rate % 50:
        raise RTCRangeError(f"sample_rate must be a multiple of 50 in {low}..{high}, not {sample_rate}")
    if channels not in (1, 2):
        raise RTCRangeError(f"channels must be 1 or 2, not {channels!r}")


class AudioSource(MediaStreamTrack):
    """A track of sound that a program writes to, as speech comes from a synthesizer.

    It gives a frame of 20 ms when it is due, silence while nothing waits, and holds a bounded number of seconds::

        voice = AudioSource(sample_rate=24000)
        pc.addTrack(voice)
        await voice.write(samples)      # waits while it is full
        voice.clear()                   # the listener interrupts: silence from the next frame on
        await voice.drained()           # all was spoken

    Args:
        sample_rate: of raw samples that are written, a multiple of 50 in 8000..192000.
        channels: of raw samples that are written, 1 or 2 (interleaved).
        max_seconds: how much may wait.

    Raises:
        TypeError: `sample_rate` is no int.
        RTCRangeError: a value is out of range.
    """

    kind = "audio"

    def __init__(self, sample_rate: int = 48000, channels: int = 1, *, max_seconds: float = 30.0) -> None:
        super().__init__()
        _check(sample_rate, channels)
        if not max_seconds >= FRAME_SECONDS:
            raise RTCRangeError(f"max_seconds must be at least {FRAME_SECONDS}, not {max_seconds!r}")
        self._rate_, self._channels_ = sample_rate, channels
        self._frame_bytes_ = sample_rate // 50 * channels * SAMPLE_BYTES
        self._second_bytes_ = sample_rate * channels * SAMPLE_BYTES
        self._capacity_ = int(max_seconds / FRAME_SECONDS) * self._frame_bytes_
        self._pcm_ = bytearray()
        self._converter_ = SampleConverter(sample_rate, channels)
        # counts clear(): what is being written then is dropped, too
        self._generation_ = 0
        self._writing_ = asyncio.Lock()
        self._taken_ = asyncio.Event()
        # when the next frame is due, in the loop's time; its first sample
        self._due_: float | None = None
        self._given_ = 0

    @property
    def buffered(self) -> float:
        """Seconds of sound that wait to be given."""
        return len(self._pcm_) / self._second_bytes_

    async def write(self, data: Any) -> bool:
        """Append sound; wait while there is no room for it. Calls take their turns.

        Args:
            data: an `av.AudioFrame` of any kind, or an object with the buffer protocol (bytes, array, NumPy array):
                interleaved samples at the source's rate, of 16 bits, or floats in -1..1. An array of two dimensions
                has a column or a row for each channel.

        Returns:
            Whether all of it was taken; False when `clear` was called meanwhile.

        Raises:
            InvalidStateError: the track has ended.
            TypeError: it is no sound.
            ValueError: it is not a whole number of samples, or an array for another number of channels.
        """
        view, generation = memoryview(self._samples_(data)), self._generation_
        async with self._writing_:
            while view:
                self._check_live_()
                if generation != self._generation_:
                    return False
                room = self._capacity_ - len(self._pcm_)
                if room > 0:
                    self._pcm_ += view[:room]
                    view = view[room:]
                else:
                    await self._next_take_()
        return generation == self._generation_

    def write_nowait(self, data: Any) -> None:
        """Append sound at once, or not at all.

        Raises:
            OperationError: there is no room for it; nothing was taken.
            InvalidStateError, TypeError, ValueError: as `write`.
        """
        self._check_live_()
        samples = self._samples_(data)
        room = self._capacity_ - len(self._pcm_)
        if len(samples) > room or self._writing_.locked():
            raise OperationError(
                f"{len(samples) / self._second_bytes_:.2f} s of sound do not fit: "
                f"{self.buffered:.2f} s of {self._capacity_ / self._second_bytes_:g} s wait"
            )
        self._pcm_ += samples

    def clear(self) -> float:
        """Drop all that waits, and what is being written: the next frame is silence.

        Returns:
            How many seconds were dropped of what had been taken.
        """
        dropped = self.buffered
        self._pcm_.clear()
        self._converter_.drain()
        self._generation_ += 1
        self._taken_.set()
        return dropped

    async def drained(self) -> None:
        """Wait until all that was written has been given, or the track has ended."""
        while self._pcm_ and self.readyState == "live":
            await self._next_take_()

    async def recv(self) -> AudioFrame:
        """The next frame of 20 ms, when it is due.

        Raises:
            MediaStreamError: the track has ended.
        """
        now = asyncio.get_running_loop().time()
        due = self._due_
        if due is None or now - due > _STALL:
            due = now
        self._due_ = due + FRAME_SECONDS
        if due > now:
            await asyncio.sleep(due - now)
        if self.readyState != "live":
            raise MediaStreamError
        data = bytes(self._pcm_[: self._frame_bytes_])
        del self._pcm_[: self._frame_bytes_]
        self._taken_.set()
        frame = frame_of(data.ljust(self._frame_bytes_, b"\0"), self._rate_, self._channels_, self._given_)
        self._given_ += frame.samples
        return frame

    def stop(self) -> None:
        """End the track; who waits to write hears of it."""
        super().stop()
        self._pcm_.clear()
        self._taken_.set()

    async def _next_take_(self) -> None:
        self._taken_.clear()
        await self._taken_.wait()

    def _check_live_(self) -> None:
        if self.readyState != "live":
            raise InvalidStateError("the track has ended: nothing can be written")

    def _samples_(self, data: Any) -> bytes:
        """Interleaved samples of 16 bits, in our rate and channels."""
        if isinstance(data, AudioFrame):
            return self._converter_.convert(data)
        try:
            view = memoryview(data)
        except TypeError:
            raise TypeError(f"sound is an AudioFrame or a buffer of samples, not {data!r:.80}") from None
        shape = view.shape or ()
        if len(shape) > 1 and not (len(shape) == 2 and self._channels_ in shape):
            raise ValueError(f"an array of shape {shape} is no sound of {self._channels_} channels")
        raw = view.tobytes()
        if view.format in ("f", "d"):
            values = array(view.format, raw)
            raw = array("h", [int(32767 * max(-1.0, min(1.0, value))) for value in values]).tobytes()
        elif view.format not in ("h", "B", "b", "c"):
            raise TypeError(f"samples are 16-bit integers or floats, not of the format {view.format!r}")
        if len(raw) % (self._channels_ * SAMPLE_BYTES):
            raise ValueError(f"{len(raw)} bytes are no whole number of samples of {self._channels_} channels")
        if self._channels_ == 2 and len(shape) == 2 and shape[1] != 2:
            raw = _interleaved(raw)
        return self._converter_.drain() + raw


def _interleaved(raw: bytes) -> bytes:
    """Two channels one after the other become samples in turns."""
    rows = array("h", raw)
    turns, half = array("h", bytes(len(raw))), len(rows) // 2
    turns[0::2], turns[1::2] = rows[:half], rows[half:]
    return turns.tobytes()


class AudioTap(AsyncIterator[bytes]):
    """Reads a track of sound as samples, beside others who read or send it.

    By default what speech recognition wants, 16 kHz mono::

        async for samples in AudioTap(event.track):
            recognizer.feed(samples)

    Each piece has interleaved samples of 16 bits. The iteration ends when the track ends or `close` is called. Who
    reads too slowly loses the oldest sound beyond 5 s.

    Args:
        track: local or remote; while it is disabled it gives silence.
        sample_rate: a multiple of 50 in 8000..192000.
        channels: 1 or 2.
        seconds: how long each piece is.

    Raises:
        TypeError: `track` is no track of sound, or `sample_rate` is no int.
        RTCRangeError: a value is out of range.
    """

    def __init__(
        self,
        track: Track,
        sample_rate: int = 16000,
        channels: int = 1,
        *,
        seconds: float = FRAME_SECONDS,
    ) -> None:
        if getattr(track, "kind", None) != "audio":
            raise TypeError(f"a track of sound is needed, not {track!r:.80}")
        _check(sample_rate, channels)
        self._piece = round(sample_rate * seconds) * channels * SAMPLE_BYTES
        if not self._piece > 0:
            raise RTCRangeError(f"seconds must be more than 0, not {seconds!r}")
        self._track = track
        self._converter = SampleConverter(sample_rate, channels)
        self._waiting = bytearray()
        self._subscription: TrackSubscription | None = None
        self._closed = False

    @property
    def dropped_seconds(self) -> float:
        """Seconds of sound that were dropped because nobody read them in time."""
        return self._subscription.dropped_seconds if self._subscription is not None else 0.0

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            StopAsyncIteration: the track has ended, or `close` was called; what does not fill a piece is dropped.
            TypeError: the track gives packets that are encoded already.
        """
        while len(self._waiting) < self._piece:
            if self._closed:
                raise StopAsyncIteration
            if self._subscription is None:
                self._subscription = TrackSource.of(self._track).subscribe()
            frame = await self._subscription.get()
            if frame is None:
                self.close()
                raise StopAsyncIteration
            if not isinstance(frame, AudioFrame):
                raise TypeError(
                    f"the track gives {type(frame).__name__}, not AudioFrame: it cannot be read as samples"
                )
            heard = frame if getattr(self._track, "enabled", True) else blank(frame)
            assert isinstance(heard, AudioFrame)
            self._waiting += self._converter.convert(heard)
        piece = bytes(self._waiting[: self._piece])
        del self._waiting[: self._piece]
        return piece

    def close(self) -> None:
        """Read no more; the track goes on."""
        self._closed = True
        if self._subscription is not None:
            self._subscription.close()
