"""The hold-back by itself: an uneven arrival becomes an even flow."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

import pytest

from rtcpeer.aio import wall_time
from rtcpeer.rtp import playout
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import EncodedFrame, FrameBuffer
from rtcpeer.rtp.playout import Playout
from rtcpeer.testing import run_virtual


def run(test):
    """What leaves when, as (number, seconds since the beginning)."""

    async def main():
        left = []
        begun = wall_time()
        out = Playout(lambda stream, frame, now: left.append((frame.timestamp // 3000, now - begun)))
        stream = InboundStream(1, FrameBuffer(), 90000)
        await test(out, lambda n: out.push(stream, EncodedFrame(n * 3000, [], wall_time()), wall_time()))
        await asyncio.sleep(6)
        return left

    return run_virtual(main())


def test_without_a_target_all_leaves_at_once():
    async def test(out, push):
        for n in range(5):
            push(n)
            await asyncio.sleep(0.1)

    assert run(test) == [(n, pytest.approx(n * 0.1)) for n in range(5)]


def test_jitter_below_the_target_is_gone():
    async def test(out, push):
        random = Random(1)
        out.target = 0.2
        begun = wall_time()
        for n in range(60):
            await asyncio.sleep(max(0, begun + n / 30 + random.random() * 0.1 - wall_time()))
            push(n)

    left = run(test)[10:]
    uneven = sorted(abs(b[1] - a[1] - 1 / 30) for a, b in pairwise(left))

    # arrivals differ by up to 0.1 s; a quicker way than any before is found now and then
    assert uneven[int(0.8 * len(uneven))] < 0.005
    assert uneven[-1] < 0.05


def test_a_lower_target_lets_go_and_order_stays():
    async def test(out, push):
        out.target = 2.0
        for n in range(30):
            push(n)
            await asyncio.sleep(1 / 30)
        out.target = 0.0
        push(30)

    left = run(test)

    assert [number for number, _at in left] == list(range(31))
    assert left[-1][1] == pytest.approx(1, abs=0.01)


def test_a_new_time_line_is_no_delay():
    async def test(out, push):
        out.target = 0.1
        for n in (0, 1, 2, 3, 4):
            push(n)
            await asyncio.sleep(1 / 30)
        await asyncio.sleep(5)
        push(5)

    left = run(test)

    assert left[-1][1] == pytest.approx(5 / 30 + 5 + 0.1, abs=0.01)


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(playout, "HELD_MAX", 20)

    async def test(out, push):
        out.target = 4.0
        for n in range(50):
            push(n)
        await asyncio.sleep(1)
        out.clear()

    assert [number for number, _at in run(test)] == list(range(30))
