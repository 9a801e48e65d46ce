"""The ring of packets that all subscribers share."""

from random import Random

import pytest

from rtcpeer.rtp.history import History
from rtcpeer.rtp.relay_packet import RelayPacket


def packet(number, size=10):
    result = RelayPacket(96, 0, number & 0xFFFF, 0, 1, bytes(size))
    result.number = number
    return result


def test_the_last_ones_are_kept():
    history = History(packets=8)
    assert all(history.add(packet(n)) for n in range(100, 120))
    assert [history.get(n) is not None for n in range(110, 121)] == [False] * 2 + [True] * 8 + [False]
    assert history.bytes == 80


def test_twice_and_too_late():
    history = History(packets=8)
    assert history.add(packet(20))
    assert not history.add(packet(20))
    assert history.add(packet(18))
    assert history.add(packet(30))
    assert not history.add(packet(21))
    assert history.get(20) is None
    assert history.get(18) is None


def test_bytes_are_bounded():
    history = History(packets=100, size=1000)
    for number in range(50):
        history.add(packet(number, 100))
    assert history.bytes == 1000
    assert history.get(39) is None
    assert history.get(40) is not None
    # a single one larger than the bound is kept, as the newest
    history.add(packet(50, 5000))
    assert history.get(50) is not None
    assert history.get(49) is None


def test_clear():
    history = History(packets=8)
    history.add(packet(5))
    history.clear()
    assert history.get(5) is None
    assert history.bytes == 0
    assert history.add(packet(1))


class Model:
    """What a history keeps, in a dictionary: nothing is overwritten by chance, nothing is left."""

    def __init__(self, packets, size):
        self.packets, self.size = packets, size
        self.clear()

    def clear(self):
        self.kept, self.lowest, self.highest = {}, None, -1

    def add(self, number, size):
        if (self.lowest is not None and number < self.lowest) or number in self.kept:
            return False
        if self.lowest is None:
            self.lowest = max(0, number - self.packets + 1)
        self.kept[number] = size
        self.highest = max(self.highest, number)
        self.lowest = max(self.lowest, self.highest - self.packets + 1)
        while (
            sum(s for n, s in self.kept.items() if n >= self.lowest) > self.size
            and self.lowest < self.highest
        ):
            self.lowest += 1
        self.kept = {n: s for n, s in self.kept.items() if n >= self.lowest}
        return True


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_arrival_is_kept_as_far_as_the_bounds_go(seed):
    random = Random(seed)
    history, model = History(packets=8, size=10_000), Model(8, 10_000)
    for _ in range(3):
        base = random.choice((0, 0, 1, 7, 8, 20))
        for _ in range(40):
            number = max(0, base + random.randrange(-9, 4))
            base = max(base, number)
            assert history.add(packet(number)) is model.add(number, 10)
            for n in range(max(0, base - 20), base + 3):
                assert (history.get(n) is not None) is (n in model.kept)
        history.clear()
        model.clear()


def test_as_many_are_kept_as_there_is_room_for():
    history = History()
    for number in range(3000):
        history.add(packet(number, 1))
    assert [history.get(number) is not None for number in (1975, 1976, 2999)] == [False, True, True]
    history.clear()
    history.add(packet(0, 1_000_000))
    history.add(packet(1, 1_000_000))
    assert history.get(0) is not None
    history.add(packet(2, 1))
    assert (history.get(0), history.bytes) == (None, 1_000_001)
