import asyncio
import random
from collections import deque

import pytest

from rtcpeer.rtp.congestion.delay import WINDOW, _slope
from rtcpeer.rtp.congestion.receiving import FeedbackWriter
from rtcpeer.rtp.packet import write_extensions, write_rtp
from rtcpeer.testing import run_virtual


@pytest.mark.parametrize(
    ("size", "interval", "least", "most"),
    [
        (80, 0.02, 3, 5),  # sound
        (1100, 0.01, 9, 11),  # 0.9 Mbit/s
        (400, 0.02, 7, 11),  # 0.17 Mbit/s
    ],
)
def test_feedback_is_rarer_where_little_arrives(size: int, interval: float, least: int, most: int) -> None:
    told: list[int] = []

    async def receive() -> None:
        writer = FeedbackWriter(4, lambda write: told.append(len(write(1))))
        for number in range(int(5 / interval)):
            extensions = write_extensions([(4, number.to_bytes(2, "big"))])
            writer.note(write_rtp(96, False, number, 0, 2, extensions, bytes(size)), 2)
            await asyncio.sleep(interval)
        writer.close()

    run_virtual(receive())
    assert least * 5 <= len(told) <= most * 5
    assert all(told)


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_the_slope_is_that_of_least_squares(start: float) -> None:
    draw = random.Random(9)
    for _ in range(100):
        points = deque((start + 7.0 * n + draw.random(), draw.uniform(-50, 50)) for n in range(WINDOW))
        mean_x, mean_y = sum(x for x, _y in points) / WINDOW, sum(y for _x, y in points) / WINDOW
        over = sum((x - mean_x) * (y - mean_y) for x, y in points)
        under = sum((x - mean_x) ** 2 for x, _y in points)
        assert _slope(points) == pytest.approx(over / under, rel=1e-6, abs=1e-9)
    assert _slope(deque([(start, 1.0)] * WINDOW)) == 0.0
