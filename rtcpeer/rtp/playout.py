"""Playout delay of a receiver: frames leave when their time has come (W3C jitterBufferTarget).

Of pictures, that is; sound is held by `sound_buffer`, and here is its timer.

Without a target a frame leaves as soon as it is whole. With one, frames are held so that each leaves as late
as the quickest of them, plus the target: those that come late have used some of it up, and the track gets an
even flow. Lowering the target lets frames go that are due by it.
Owns: held frames, one timer. Never: packets, decoding.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rtcpeer.aio import wall_time
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import EncodedFrame
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.sound_buffer import Loss, SoundBuffer

# Frames held at most: four seconds, the largest target there is, at 60 pictures or 50 pieces of audio a second
HELD_MAX = 256
# How fast the quickest way is forgotten, per frame: clocks drift, paths change
FORGET = 0.01
# What timers are good for, in seconds
_TIMER = 0.001


class Playout:
    """Holds the frames of one section back.

    Args:
        emit: takes a frame of a stream, and `aio.wall_time()`.
    """

    def __init__(self, emit: Callable[[InboundStream, EncodedFrame, float], None]) -> None:
        self._emit = emit
        self._target = 0.0
        # frame, and when it would leave with a target of zero
        self._held: deque[tuple[InboundStream, EncodedFrame, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def target(self) -> float:
        """How long frames are held, in seconds."""
        return self._target

    @target.setter
    def target(self, value: float) -> None:
        self._target = value
        if self._held:
            self._release()

    def push(self, stream: InboundStream, frame: EncodedFrame, now: float) -> None:
        """A frame that is whole, in the order of its stream."""
        presentation = stream.map_timestamp(frame.timestamp)
        if not self._target and not self._held:
            # the usual case
            stream.note_passed(frame, now)
            self._emit(stream, frame, now)
            return
        stream.note_whole(frame, now)
        at = presentation / stream.clock_rate
        transit = frame.received_at - at
        quickest = stream.quickest
        # a timeline that jumped is a new one
        if quickest is None or transit < quickest or transit - quickest > 1 + self._target:
            quickest = transit
        else:
            quickest += (transit - quickest) * FORGET
        stream.quickest = quickest
        self._held.append((stream, frame, at + quickest))
        if len(self._held) > HELD_MAX:
            self._leave(*self._held.popleft()[:2], now)
        if self._timer is None:
            self._release()

    def held(self, stream: InboundStream) -> list[RtpPacket]:
        """The packets of the frames of a stream that are held back."""
        return [packet for holder, frame, _at in self._held if holder is stream for packet in frame.packets]

    def clear(self) -> None:
        """Forget what is held."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = wall_time()
        held = self._held
        while held:
            stream, frame, at = held[0]
            wait = at + self._target - now
            if self._target and wait > _TIMER:
                self._timer = asyncio.get_running_loop().call_later(wait, self._release)
                return
            held.popleft()
            self._leave(stream, frame, now)

    def _leave(self, stream: InboundStream, frame: EncodedFrame, now: float) -> None:
        stream.note_emitted(frame, now, self._target)
        self._emit(stream, frame, now)


class SoundPlayout:
    """Lets the packets of sound of one section leave when they are due.

    Args:
        emit: takes a frame of a stream, and `aio.wall_time()`.
        lose: takes what is lost of a stream, and the same.
    """

    def __init__(
        self,
        emit: Callable[[InboundStream, EncodedFrame, float], None],
        lose: Callable[[InboundStream, Loss, float], None],
    ) -> None:
        self._emit = emit
        self._lose = lose
        # SSRC -> streams with something that is held
        self._waiting: dict[int, tuple[InboundStream, SoundBuffer]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # the time for which that was set
        self._due = 0.0

    def push(
        self, stream: InboundStream, buffer: SoundBuffer, packet: RtpPacket, now: float, *, is_made: bool
    ) -> None:
        """A packet of a stream, in the order in which it came; `is_made`: see `SoundBuffer.add`."""
        self._leave(stream, buffer, buffer.add(packet, now, is_made=is_made), now)
        due = buffer.due
        if due is not None:
            self._waiting[stream.ssrc] = stream, buffer
            # another stream may be due before, or what was overtaken on its way
            if self._timer is None or due < self._due - _TIMER:
                self._arm(now)

    def refresh(self) -> None:
        """A target has changed: let leave what is due by it."""
        self._release()

    def clear(self) -> None:
        """Forget what is held."""
        for _stream, buffer in self._waiting.values():
            buffer.clear()
        self._waiting.clear()
        self._disarm()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is held."""
        return not self._waiting

    def _leave(
        self, stream: InboundStream, buffer: SoundBuffer, due: list[EncodedFrame | Loss], now: float
    ) -> None:
        for one in due:
            if isinstance(one, Loss):
                self._lose(stream, one, now)
            else:
                stream.map_timestamp(one.timestamp)
                stream.note_emitted(one, now, buffer.target)
                self._emit(stream, one, now)

    def _release(self) -> None:
        self._disarm()
        now = wall_time()
        for ssrc, (stream, buffer) in list(self._waiting.items()):
            self._leave(stream, buffer, buffer.take(now), now)
            if buffer.due is None:
                self._waiting.pop(ssrc, None)
        self._arm(now)

    def _arm(self, now: float) -> None:
        self._disarm()
        dues = [due for _stream, buffer in self._waiting.values() if (due := buffer.due) is not None]
        if dues:
            self._due = min(dues)
            wait = max(_TIMER, self._due - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._release)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
