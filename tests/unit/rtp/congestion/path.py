"""A bottleneck with synthetic sources, in steps of a millisecond: no loop, no sockets."""

from __future__ import annotations

from collections import deque

from rtcpeer.rtp.congestion.arrivals import Arrivals
from rtcpeer.rtp.congestion.sending import SendControl
from rtcpeer.rtp.packet import write_extensions, write_rtp

STEP = 0.001
PACKET = write_rtp(96, False, 1, 2, 3, write_extensions([(4, bytes(2))]), bytes(1100))


def numbered(control: SendControl, packet: bytes) -> bytes:
    """The packet as it leaves: with its number, if it has a place for one."""
    at, number = control.claim(packet[0], packet, 0)
    return packet[:at] + number.to_bytes(2, "big") + packet[at + 2 :] if at else packet


class Flow:
    """A sender of frames at its estimate, paced, and the receiver's feedback, one way delayed by `delay` seconds."""

    def __init__(self, path: Path, *, delay: float = 0.02, limit: float = 5e6) -> None:
        self.path, self.delay, self.limit = path, delay, limit
        self.control = SendControl(4, clock=lambda: path.now)
        self.arrivals = Arrivals()
        self.queue = 0.0
        self.budget = 0.0
        self.back: deque[tuple[float, bytes]] = deque()
        self.received: list[tuple[float, int]] = []
        self.begun_at = path.now

    @property
    def rate(self) -> float:
        return min(self.limit, self.control.estimate or 500_000)

    def step(self, index: int) -> None:
        now = self.path.now
        if index % 33 == 0:
            self.queue += self.rate * 0.033 / 8
        self.budget = min(2.5 * self.rate / 8 * 0.005, self.budget + 2.5 * self.rate / 8 * STEP)
        while self.queue >= len(PACKET) and self.budget > 0:
            self.queue -= len(PACKET)
            self.budget -= len(PACKET)
            self.path.send(self, numbered(self.control, PACKET))
        if index % 100 == 50:
            self.back += [(now + self.delay, packet) for packet in self.arrivals.write(1, 2)]
        while self.back and self.back[0][0] <= now:
            self.control.on_feedback(self.back.popleft()[1])

    def arrived(self, packet: bytes, at: float) -> None:
        self.arrivals.pending.append((packet[17] << 8 | packet[18], 1000.0 + at + self.delay))
        self.received.append((at, len(packet)))

    def throughput(self, since: float, until: float) -> float:
        return sum(size for at, size in self.received if since <= at < until) * 8 / (until - since)


class Path:
    """A queue that drops what is too much, then a rate."""

    def __init__(self, rate: float, buffer: float = 0.1) -> None:
        self.rate, self.buffer = rate, buffer
        self.now = 100.0
        self.free_at = 0.0
        self.flows: list[Flow] = []
        self.waiting: deque[tuple[float, Flow, bytes]] = deque()
        self.dropped = 0
        self.delays: list[tuple[float, float]] = []

    def send(self, flow: Flow, packet: bytes) -> None:
        wait = max(0.0, self.free_at - self.now)
        if wait > self.buffer:
            self.dropped += 1
            return
        self.free_at = self.now + wait + len(packet) * 8 / self.rate
        self.delays.append((self.now, wait))
        self.waiting.append((self.free_at, flow, packet))

    def run(self, seconds: float) -> None:
        for index in range(int(seconds / STEP)):
            self.now += STEP
            while self.waiting and self.waiting[0][0] <= self.now:
                at, flow, packet = self.waiting.popleft()
                flow.arrived(packet, at)
            for flow in self.flows:
                flow.step(index)

    def delay(self, since: float, part: float = 0.95) -> float:
        delays = sorted(wait for at, wait in self.delays if at >= since)
        return delays[int(part * len(delays))]
