"""The sender's part of transport-wide congestion control: packets are numbered, feedback becomes an estimate.

Owns: the numbers and the estimate of one transport. Never: sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.history import SentPackets
from rtcpeer.rtp.congestion.probing import Probe
from rtcpeer.rtp.congestion.rate import RateEstimate
from rtcpeer.rtp.relay_packet import HEADER_SIZE
from rtcpeer.rtp.send_state import IDENTIFIER, SendState

_WRAP = feedback.TICKS_PER_REFERENCE << 24
# Until it is measured, in seconds.
_ROUND_TRIP = 0.2
# An estimate without feedback for so long, in seconds, says nothing any more.
_LIFETIME = 5.0
# Where feedback stops for so long while something is sent, in seconds, there was no path: it comes four times a second.
_OUTAGE = 1.0
# How long the queue that a probe makes may last, in seconds.
_SHADOW = 0.4


OnProbe = Callable[[float, bool], None]


class SendControl:
    """Numbers the packets of one transport and learns what became of them.

    Args:
        identifier: of the header extension; packets that want a number have it as their first one.
        clock: in seconds; None for that of the running loop.
        state: where the numbers are kept.

    Attributes:
        acknowledged, lost: packets, as feedback told.
        malformed: packets of feedback that could not be read.
        on_probe: called when a probe is over, with the time and whether it raised the estimate.
    """

    __slots__ = (
        "_clock",
        "_estimate",
        "_heard_at",
        "_probe",
        "_probe_from",
        "_reference",
        "_resumed_at",
        "_round_trip",
        "_sent",
        "_words",
        "acknowledged",
        "lost",
        "malformed",
        "on_probe",
    )

    def __init__(
        self,
        identifier: int,
        clock: Callable[[], float] | None = None,
        state: SendState | None = None,
    ) -> None:
        state = SendState() if state is None else state
        self._words = state.words
        self.acknowledged: int = 0
        self.lost: int = 0
        self.malformed: int = 0
        self._sent = SentPackets(state)
        self.identifier = identifier
        self._estimate = RateEstimate()
        self._heard_at = 0.0
        # when feedback came again after an outage
        self._resumed_at = 0.0
        self._clock = clock
        self._round_trip = _ROUND_TRIP
        # the last reference of the other end's clock, in ticks on an endless line; None before the first
        self._reference: int | None = None
        # the probe that is under way, and the number of its first packet
        self._probe: Probe | None = None
        self._probe_from = 0
        self.on_probe: OnProbe | None = None

    @property
    def identifier(self) -> int:
        """The id of the header extension."""
        return self._words[IDENTIFIER]

    @identifier.setter
    def identifier(self, value: int) -> None:
        self._words[IDENTIFIER] = value

    @property
    def estimate(self) -> int | None:
        """The estimate of the path, in bit/s; None while there is too little to tell, or no feedback any more."""
        value = self._estimate.value
        return None if value is None or self.now() - self._heard_at > _LIFETIME else int(value)

    @property
    def measured(self) -> float:
        """The bitrate that arrives, in bit/s; 0.0 while there is too little to tell."""
        return self._estimate.throughput.rate() or 0.0

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None

    def begin_probe(self, rate: int) -> None:
        """Begin a probe: what is sent from now on has this rate, in bit/s."""
        now = self.now()
        self._probe = Probe(rate, now)
        self._estimate.expect_probe(now + self._round_trip + _SHADOW)
        self._probe_from = self._sent.number

    def end_probe(self) -> None:
        """All of the probe has been sent."""
        probe = self._probe
        if probe is not None:
            probe.ended_at = self.now()
            probe.sent_bytes = self._sent.size_since(self._probe_from)

    def claim(self, first: int, data: bytes, skipped: int) -> tuple[int, int]:
        """Number a packet that leaves now.

        Args:
            first: the first octet of its header.
            data: the packet, or what follows its fixed header.
            skipped: the bytes of the fixed header that `data` is without: 0, or all.

        Returns:
            Where in the data its number belongs, and the number; 0 and 0 if it has no place for one.
        """
        at = HEADER_SIZE - skipped + 4 * (first & 0x0F)
        if not first & 0x10 or len(data) < at + 8:
            return 0, 0
        if data[at] == 0xBE:
            # RFC 8285 section 4.2: the id, and the length less one
            if data[at + 4] != self._words[IDENTIFIER] << 4 | 1:
                return 0, 0
            at += 5
        elif data[at + 4] == self._words[IDENTIFIER] and data[at + 5] == 2:
            at += 6
        else:
            return 0, 0
        clock = self._clock or self._own_clock()
        return at, self._sent.add(skipped + len(data), clock())

    def now(self) -> float:
        """The time, in seconds of its clock."""
        return (self._clock or self._own_clock())()

    def _own_clock(self) -> Callable[[], float]:
        if self._clock is None:
            self._clock = asyncio.get_running_loop().time
        return self._clock

    def on_feedback(self, data: bytes) -> None:
        """Take a packet of feedback."""
        try:
            told = feedback.parse_untrusted(data)
        except ValueError:
            self.malformed += 1
            return
        now, estimate = self.now(), self._estimate
        silence, self._heard_at = now - self._heard_at, now
        if silence > _OUTAGE:
            self._resumed_at = now
            if silence > _LIFETIME:
                estimate.begin_anew()
        reference = self._unwrap(told.reference)
        trend, throughput = estimate.trend, estimate.throughput
        lost = acknowledged = size = 0
        newest = arrived = 0.0
        probe = self._probe
        for sent_at, length, arrival in self._sent.take(told):
            if arrival is None:
                self.lost += 1
                # what an outage has swallowed says nothing of what the path bears
                lost += sent_at > self._resumed_at
                continue
            acknowledged += 1
            size += length
            newest = max(newest, sent_at)
            arrived = (reference + arrival) * feedback.TICK
            if probe is not None and probe.covers(sent_at):
                # the queue that it may have made says nothing of what else is sent
                probe.note(sent_at, arrived, length)
            elif trend.add(sent_at, arrived):
                throughput.add(size, arrived)
                size = 0
        self.acknowledged += acknowledged
        if not acknowledged:
            return
        if size:
            throughput.add(size, arrived)
        self._round_trip += 0.2 * (max(0.0, min(2.0, now - newest)) - self._round_trip)
        estimate.note_loss(lost, lost + acknowledged, now)
        estimate.update(now, self._round_trip)
        if probe is not None and probe.is_over(now):
            self._conclude(probe, now)

    def _conclude(self, probe: Probe, now: float) -> None:
        self._probe = None
        found = probe.result()
        raised = found is not None and self._estimate.take_probe(found, now)
        if self.on_probe is not None:
            self.on_probe(now, raised)

    def _unwrap(self, reference: int) -> int:
        """A reference of 32 bits on an endless line."""
        last = self._reference
        if last is not None:
            reference = last + ((reference - last + _WRAP // 2) % _WRAP - _WRAP // 2)
        self._reference = reference
        return reference
