"""Two SCTP associations and a link between them: a clock made of numbers, packets in a heap."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from rtcpeer.sctp.association import ENTROPY_SIZE, Association


class End:
    """An association and what it has told."""

    def __init__(self, number: int, random: Random, first_tsn: int | None = None) -> None:
        entropy = random.randbytes(ENTROPY_SIZE)
        if first_tsn is not None:
            entropy = entropy[:4] + first_tsn.to_bytes(4) + entropy[8:]
        self.number = number
        self.entropy = entropy
        self.messages: list[tuple[int, int, bytes]] = []
        self.events: list[object] = []
        self.on_message_hook: Callable[[int, int, bytes], None] | None = None
        self.association = Association(self, local_port=5000, remote_port=5000, entropy=entropy)

    def on_established(self) -> None:
        self.events.append("established")

    def on_message(self, stream_id: int, protocol: int, data: bytes) -> None:
        self.messages.append((stream_id, protocol, data))
        if self.on_message_hook is not None:
            self.on_message_hook(stream_id, protocol, data)

    def on_stream_closing(self, stream_id: int) -> None:
        self.events.append(("closing", stream_id))
        self.association.reset_stream(stream_id)

    def on_stream_closed(self, stream_id: int) -> None:
        self.events.append(("closed", stream_id))

    def on_association_closed(self, cause: int | None, aborted: bool) -> None:
        self.events.append(("ended", cause, aborted))


class Link:
    """Two ends; each packet takes `delay` and may be lost, repeated or held back.

    Attributes:
        deliver: asked with (from, packet); a packet for which it is false is lost.
        sent: every packet that was sent, with the number of its end and the time.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        delay: float = 0.02,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        first_tsn: int | None = None,
    ) -> None:
        self.random = Random(seed)
        self.now = 1000.0
        self.delay, self.loss, self.duplicate, self.reorder = delay, loss, duplicate, reorder
        self.a = End(0, self.random, first_tsn)
        self.b = End(1, self.random, first_tsn)
        self.ends = (self.a, self.b)
        self.deliver: Callable[[int, bytes], bool] = lambda number, packet: True
        self.sent: list[tuple[int, float, bytes]] = []
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._count = 0

    def connect(self) -> Link:
        for end in self.ends:
            end.association.connect(self.now)
        self.run(lambda: self.a.association.is_established and self.b.association.is_established)
        return self

    def write(self, data: bytes, stream: int = 1, *, source: int = 0, **options: object) -> None:
        self.ends[source].association.write(stream, 53, data, **options)  # type: ignore[arg-type]

    def flush(self) -> None:
        """Send what the ends have to say."""
        for end in self.ends:
            for packet in end.association.packets(self.now):
                self._send(end.number, packet)

    def _send(self, number: int, packet: bytes) -> None:
        self.sent.append((number, self.now, packet))
        random = self.random
        if not self.deliver(number, packet):
            return
        for _ in range(2 if random.random() < self.duplicate else 1):
            if random.random() < self.loss:
                continue
            when = self.now + self.delay
            if random.random() < self.reorder:
                when += random.random() * 2 * self.delay
            self._count += 1
            heapq.heappush(self._under_way, (when, self._count, 1 - number, packet))

    def run(self, until: Callable[[], bool], seconds: float = 600.0) -> None:
        """Let time pass until the condition holds."""
        end = self.now + seconds
        self.flush()
        while not until():
            times = [a for a in (self.a.association.deadline, self.b.association.deadline) if a is not None]
            if self._under_way:
                times.append(self._under_way[0][0])
            assert times, "nothing will ever happen"
            when = max(self.now, min(times))
            assert when <= end, f"not within {seconds} s"
            self.now = when
            while self._under_way and self._under_way[0][0] <= when:
                _when, _count, number, packet = heapq.heappop(self._under_way)
                self.ends[number].association.receive(packet, when)
            for one in self.ends:
                one.association.expire(when)
            self.flush()

    def settle(self, seconds: float = 5.0) -> None:
        """Let so much time pass."""
        stop = self.now + seconds
        self.flush()
        while True:
            times = [a for a in (self.a.association.deadline, self.b.association.deadline) if a is not None]
            if self._under_way:
                times.append(self._under_way[0][0])
            if not times or min(times) > stop:
                break
            when = min(times)
            self.run(lambda when=when: self.now >= when, seconds)  # type: ignore[misc]
        self.now = stop
