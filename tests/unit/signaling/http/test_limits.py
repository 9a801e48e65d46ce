import pytest

from rtcpeer.signaling.http.limits import RateLimit


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
