import pytest

from rtcpeer.signaling.http.limits import RateLimit, client_key


def test_bursts_and_the_long_run() -> None:
    limit = RateLimit(2, 3)
    assert [limit.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take("a", 0.0) == pytest.approx(0.5)
    assert limit.take("b", 0.0) == 0.0
    assert limit.take("a", 0.5) == 0.0
    assert limit.take("a", 0.5) == pytest.approx(0.5)
    assert sum(limit.take("a", 10 + 0.1 * n) == 0.0 for n in range(100)) == pytest.approx(2 * 10 + 3, abs=1)


def test_the_number_of_keys_is_bounded() -> None:
    limit = RateLimit(1, 1, keys=100)
    for number in range(1000):
        limit.take(str(number), float(number))
    assert len(limit) == 100
    assert repr(limit) == "RateLimit(1, 1)"


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 5)])
def test_what_is_no_limit(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a rate limit needs"):
        RateLimit(rate, burst)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:ff03:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_who_counts_as_one_client(address: str, key: str) -> None:
    """A client has a /64 of IPv6 for itself (RFC 6177), and one address of IPv4, in either form."""
    assert client_key(address) == key


def test_what_is_refused_costs_nothing_and_what_was_saved_is_bounded() -> None:
    limit = RateLimit(1, 2)
    assert [limit.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert limit.take("a", 0.5) == 0.5
    assert limit.take("a", 1.0) == 0.0
    assert limit.take("a", 1.0) == 1.0
    assert [limit.take("a", 1000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_who_was_silent_longest_is_forgotten_first() -> None:
    limit = RateLimit(0.001, 1, keys=2)
    for key in ("a", "b", "a", "c"):
        limit.take(key, 0.0)
    assert limit.take("a", 0.0) > 0
    assert limit.take("b", 0.0) == 0.0
