"""The ring of packets that all subscribers share."""

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
