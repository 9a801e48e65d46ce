"""Jitter buffer of sound: packets leave in order and at even times, what is lost is named, the delay follows the path.

Each packet has a time at which it is due: its timestamp on the clock of the quickest packets, plus a target.  The
target is what all but a few packets need to be there in time; without jitter it is zero, and packets pass at once.
A gap is not waited for: when the packet behind it is due, what is missing is lost.  Nothing is concealed while
nothing comes: a sender may have paused.

A sender whose timestamps stand still in a pause, or advance less than time does, goes on later than before, and so
does a path that has become longer. That is no jitter, and nothing waits for it: see `DelayShift`.

Pure: `now` is an argument.  Owns: the packets of one stream that are not due yet.  Never: decodes, conceals.
"""

from __future__ import annotations

from rtcpeer.records import record
from rtcpeer.rtp.given_up import GivenUp
from rtcpeer.rtp.jitter_buffer import JUMP, EncodedFrame, SequenceUnwrapper
from rtcpeer.rtp.packet import RtpPacket

# Packets that are held at most: five seconds of 20 ms, more than the largest target there is.
PACKETS_MAX = 256
# The largest target that jitter alone can lead to, in seconds.
TARGET_MAX = 0.2
# So much of the packets is to be there when it is due.
_IN_TIME = 0.95
# Width of a class of delays, in seconds, and how many classes there are.
_WIDTH = 0.005
_CLASSES = int(TARGET_MAX / _WIDTH) + 1
# How much a packet counts less than the next one: 1 / 250, five seconds of 20 ms.
_FADE = 1.004
# The target is looked at again after so many packets, and sinks by so much at most.
_LOOK_AFTER = 10
_SINK = 0.0025
# How fast the quickest way is forgotten, per packet: clocks drift, paths change.
_FORGET = 0.002
# And by how much at most, in seconds: what comes much later is a step, or a stall.
_FORGET_MAX = 0.0002
# A step of the delay is one from so many seconds on, when so many packets, in so many seconds, all came that late.
_SHIFT_MIN = 0.025
_SHIFT_PACKETS = 10
_SHIFT_SECONDS = 0.15
# More than a stall of three seconds holds back until half of it is made up.
_SHIFT_PACKETS_MAX = 128
# Timestamps that seem so much too early or too late, in seconds, are another line.
_EARLY_MAX, _LATE_MAX = 1.0, 3.0
# A timer comes a little early or late.
_TIMER = 0.001
# What is said to be lost at most, in seconds; more is a pause.
_LOSS_MAX = 1.0


@record(frozen=True, slots=True)
class Loss:
    """Packets that did not come in time: where their sound begins, and how much it is, in ticks."""

    timestamp: int
    ticks: int
    packets: int


class DelayTarget:
    """The delay that lets most packets be there in time: a quantile of how late they came lately."""

    __slots__ = ("_classes", "_count", "_weight", "seconds")

    def __init__(self) -> None:
        self.seconds: float = 0.0
        self._classes = [0.0] * _CLASSES
        self._weight = 1.0
        self._count = 0

    def note(self, late: float) -> None:
        """A packet came so many seconds later than the quickest would have."""
        self._classes[min(int(late / _WIDTH), _CLASSES - 1)] += self._weight
        self._weight *= _FADE
        self._count += 1
        if self._count % _LOOK_AFTER == 0:
            self._look()

    def _look(self) -> None:
        classes = self._classes
        rest = sum(classes) * (1 - _IN_TIME)
        index = _CLASSES - 1
        while index and rest >= classes[index]:
            rest -= classes[index]
            index -= 1
        # the lowest class is what timers and the loop itself do
        wanted = (index + 1) * _WIDTH if index else 0.0
        self.seconds = max(min(wanted, TARGET_MAX), self.seconds - _SINK)
        if self._weight > 1e9:
            self._classes = [weight / self._weight for weight in classes]
            self._weight = 1.0


class DelayShift:
    """A step of the delay that may stay, and what came since: jitter, or a new delay of all packets.

    After a stall of the path, what has waited comes quickly, and the delay falls again: that was jitter. After a pause
    of a sender whose clock stood still, or on a longer way, packets come at their pace, all as late as the first.

    Attributes:
        before: how late the packet before was.
    """

    __slots__ = ("_lates", "_least", "_since", "_step", "before")

    def __init__(self) -> None:
        self.before: float = 0.0
        self._step = self._since = self._least = 0.0
        # of the packets since the step; empty while there was none
        self._lates: list[float] = []

    def is_open(self, late: float) -> bool:
        """Whether a packet that came so many seconds later than the quickest would have is one for `note`."""
        return bool(self._lates) or late - self.before >= _SHIFT_MIN

    def note(self, late: float, now: float) -> tuple[float, list[float]]:
        """Take a packet of or behind a step.

        Returns:
            By how much all packets come later from now on, 0.0 if that is not known; and how late the packets are of
            which it is known now, without that.
        """
        lates, shift = self._lates, 0.0
        known: list[float] = []
        if late - self.before >= _SHIFT_MIN:
            # another step: what came since the one before is as late as that at least
            if lates:
                shift, known = self._settle()
            late -= shift
            self._step, self._since, self._least = late - max(0.0, self.before - shift), now, late
        self.before = late
        lates.append(late)
        self._least = min(self._least, late)
        if self._least < self._step / 2 or len(lates) > _SHIFT_PACKETS_MAX:
            self._lates = []
            return shift, known + lates
        if len(lates) >= _SHIFT_PACKETS and now - self._since >= _SHIFT_SECONDS:
            more, rest = self._settle()
            self.before -= more
            return shift + more, known + rest
        return shift, known

    def clear(self) -> None:
        """Forget all: another line of timestamps begins."""
        self.before = 0.0
        self._lates = []

    def _settle(self) -> tuple[float, list[float]]:
        """The step stays, as far as all packets since have it."""
        lates = [late - self._least for late in self._lates]
        self._lates.clear()
        return self._least, lates


@record(slots=True)
class _Held:
    packet: RtpPacket
    arrived: float
    # its timestamp on an endless line, in seconds
    at: float


class SoundBuffer:
    """Packets of one stream of sound.

    Args:
        clock_rate: of its timestamps.
        target: how long the quickest packets are held, in seconds; None follows the jitter.

    Attributes:
        discarded: packets that came too late; not those that came twice.
    """

    is_video = False

    def __init__(self, clock_rate: int, target: float | None = None) -> None:
        self.fixed_target = target
        self.discarded: int = 0
        self._clock_rate = clock_rate
        self._adaptive = DelayTarget()
        self._shift = DelayShift()
        self._held: dict[int, _Held] = {}
        self._given_up = GivenUp()
        self._unwrapper = SequenceUnwrapper()
        # the number that leaves next; None before the first packet
        self._next: int | None = None
        # timestamp and number of what left last, and how long a packet is
        self._left: tuple[int, int] | None = None
        self._duration = clock_rate // 50
        # of the packet before: its timestamp, and that on an endless line
        self._timestamp: int | None = None
        self._ticks = 0
        # the smallest difference between arrival and time, in seconds
        self._quickest: float | None = None

    @property
    def target(self) -> float:
        """How long the quickest packets are held, in seconds."""
        return self._adaptive.seconds if self.fixed_target is None else self.fixed_target

    @property
    def due(self) -> float | None:
        """When `take` has something to give; None while nothing is held."""
        if not self._held or self._quickest is None:
            return None
        return self._held[min(self._held)].at + self._quickest + self.target

    def add(self, packet: RtpPacket, now: float, *, is_made: bool = False) -> list[EncodedFrame | Loss]:
        """Take a packet, and give what is due.

        Args:
            is_made: it was made of another one, so that its arrival says nothing of the path.
        """
        last = self._unwrapper.last
        number = self._unwrapper.unwrap(packet.sequence_number)
        if last is not None and not -JUMP < number - last < JUMP:
            self.clear()
            self._unwrapper = SequenceUnwrapper()
            number = self._unwrapper.unwrap(packet.sequence_number)
        if self._next is None:
            self._next = number
        if number < self._next or number in self._held:
            if self._given_up.take(number):
                self.discarded += 1
            return []
        # the packets of one tone carry the time at which it began (RFC 4733 section 2.2.1)
        is_repeated = packet.timestamp == self._timestamp
        at = self._place(packet.timestamp)
        if is_made or is_repeated:
            if self._quickest is None:
                self._quickest = now - at
        else:
            self._note_arrival(now - at, now)
        if number == self._next and not self._held and packet.payload and self._is_due(at, now):
            # the usual case without jitter
            self._note_leaving(number, packet.timestamp)
            self._next = number + 1
            return [EncodedFrame(packet.timestamp, [packet], now)]
        self._held[number] = _Held(packet, now, at)
        return self.take(now)

    def take(self, now: float) -> list[EncodedFrame | Loss]:
        """Packets that are due, in order, and what is lost before them."""
        result: list[EncodedFrame | Loss] = []
        held = self._held
        if self._next is None or self._quickest is None:
            return result
        limit = now + _TIMER - self._quickest - self.target
        while held:
            number = self._next if self._next in held else min(held)
            one = held[number]
            if one.at > limit and len(held) <= PACKETS_MAX:
                break
            del held[number]
            if number > self._next:
                self._given_up.add(range(self._next, number))
            if not one.packet.payload:
                # padding: it has a number, and no sound
                self._left = self._left and (self._left[0], number)
            else:
                if number > self._next:
                    loss = self._loss(number - self._next, one.packet.timestamp)
                    if loss is not None:
                        result.append(loss)
                self._note_leaving(number, one.packet.timestamp)
                result.append(EncodedFrame(one.packet.timestamp, [one.packet], one.arrived))
            self._next = number + 1
        return result

    def _is_due(self, at: float, now: float) -> bool:
        return self._quickest is not None and at + self._quickest + self.target <= now + _TIMER

    def lacks(self, sequence_number: int) -> bool:
        """Whether a packet is missing that can still be used, or would be next."""
        last = self._unwrapper.last
        if self._next is None or last is None:
            return False
        number = last + ((sequence_number - last + 0x8000) & 0xFFFF) - 0x8000
        return number >= self._next and number not in self._held

    def clear(self) -> None:
        """Forget what is held; the next packet is the first."""
        self._held.clear()
        self._given_up = GivenUp()
        self._next = self._left = None

    def _place(self, timestamp: int) -> float:
        """A timestamp on an endless line, in seconds."""
        if self._timestamp is not None:
            self._ticks += ((timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        self._timestamp = timestamp
        return self._ticks / self._clock_rate

    def _note_arrival(self, transit: float, now: float) -> None:
        quickest = self._quickest
        if quickest is None or not -_EARLY_MAX < transit - quickest < _LATE_MAX + self.target:
            self._quickest = transit
            self._shift.clear()
            # what is held was placed by another line: it is not waited for
            for one in self._held.values():
                one.at = min(one.at, self._ticks / self._clock_rate)
            return
        self._quickest = min(transit, quickest + min((transit - quickest) * _FORGET, _FORGET_MAX))
        late = max(0.0, transit - quickest)
        if not self._shift.is_open(late):
            self._shift.before = late
            self._adaptive.note(late)
            return
        shift, known = self._shift.note(late, now)
        self._quickest += shift
        for late in known:
            self._adaptive.note(late)

    def _note_leaving(self, number: int, timestamp: int) -> None:
        if self._left is not None and number == self._left[1] + 1:
            step = (timestamp - self._left[0]) & 0xFFFFFFFF
            # 120 ms is the longest packet of Opus
            if 0 < step <= self._clock_rate * 0.12:
                self._duration = step
        self._left = timestamp, number

    def _loss(self, packets: int, timestamp: int) -> Loss | None:
        """The loss before a timestamp; None if that is no sound."""
        if self._left is None:
            return None
        begin = self._left[0] + self._duration & 0xFFFFFFFF
        gap = ((timestamp - begin + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        ticks = min(gap, packets * self._duration, round(_LOSS_MAX * self._clock_rate))
        return Loss(begin, ticks, packets) if ticks > 0 else None
