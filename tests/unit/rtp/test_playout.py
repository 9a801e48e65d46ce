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
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.playout import Playout, SoundPlayout
from rtcpeer.rtp.sound_buffer import SoundBuffer
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


def test_each_frame_leaves_when_it_is_due():
    """As late as the quickest of them, plus the target."""

    async def test(out, push):
        out.target = 0.2
        for n, wait in ((0, 0.05), (1, 0.0), (2, 0.03)):
            push(n)
            await asyncio.sleep(wait)

    # the second one is late by 16.7 ms, of which a hundredth counts, and the third one is the quickest
    second, third = 1 / 30 + (0.05 - 1 / 30) / 100 + 0.2, 0.05 + 0.2
    assert run(test) == [(0, pytest.approx(0.2)), (1, pytest.approx(second)), (2, pytest.approx(third))]


def test_the_quickest_way_is_forgotten_slowly():
    async def test(out, push):
        out.target = 0.1
        for n in range(3):
            push(n)
            await asyncio.sleep(1 / 30 + 0.05 * (n < 2))

    # late by 50 ms and by 100 ms: one hundredth of it counts each time
    at = [0.1, 1 / 30 + 0.0005 + 0.1, 2 / 30 + 0.0005 + 0.000995 + 0.1]
    # what is later than its time leaves at once
    assert run(test) == [
        (n, pytest.approx(max(due, n * (1 / 30 + 0.05)), abs=1e-4)) for n, due in enumerate(at)
    ]


@pytest.mark.parametrize(("late", "is_new"), [(1.05, False), (1.15, True)])
def test_from_which_lateness_on_a_time_line_is_a_new_one(late, is_new):
    async def test(out, push):
        out.target = 0.1
        push(0)
        await asyncio.sleep(1 / 30 + late)
        push(1)

    assert run(test)[1] == (1, pytest.approx(1 / 30 + late + 0.1 * is_new))


def test_counts_of_what_is_held_and_of_what_passes():
    async def main():
        stream = InboundStream(1, FrameBuffer(), 90000)
        out = Playout(lambda *one: None)
        begun = wall_time()
        out.push(stream, EncodedFrame(0, [], begun - 0.25), begun)
        assert (stream.emitted, stream.buffer_delay, stream.target_delay) == (1, 0.25, 0.0)
        out.target = 0.5
        assert out.target == 0.5
        out.push(stream, EncodedFrame(3000, ["packet"], begun), begun)
        other = InboundStream(2, FrameBuffer(), 90000)
        out.push(other, EncodedFrame(3000, ["other"], begun), begun)
        assert stream.emitted == 1
        assert (out.held(stream), out.held(other)) == (["packet"], ["other"])
        await asyncio.sleep(1)
        assert out.held(stream) == []
        assert (stream.emitted, stream.buffer_delay) == (2, pytest.approx(0.75))
        assert stream.target_delay == 0.5
        out.push(stream, EncodedFrame(90000, ["packet"], wall_time()), wall_time())
        out.clear()
        assert out.held(stream) == []
        await asyncio.sleep(5)
        assert stream.emitted == 2

    run_virtual(main())


def test_what_comes_after_all_was_forgotten_waits_for_nothing_of_it():
    async def test(out, push):
        out.target = 2.0
        push(0)
        out.clear()
        out.target = 0.1
        push(1)

    assert run(test) == [(1, pytest.approx(0.1))]


# -- sound


class Sounds:
    """A playout of sound, and what left it: stream, number or loss, seconds since the beginning."""

    def __init__(self, target=None):
        self.left = []
        self.begun = wall_time()
        self.out = SoundPlayout(
            lambda stream, frame, now: self._note(stream, frame.packets[0].sequence_number, now),
            lambda stream, loss, now: self._note(stream, f"{loss.packets} lost", now),
        )
        self.streams = {}
        for ssrc in (1, 2):
            buffer = SoundBuffer(48000, target)
            self.streams[ssrc] = InboundStream(ssrc, buffer, 48000), buffer

    def _note(self, stream, what, now):
        self.left.append((stream.ssrc, what, pytest.approx(now - self.begun, abs=0.002)))

    def push(self, number, ssrc=1, *, is_made=False):
        packet = RtpPacket(96, 0, number, 960 * number, ssrc, b"x")
        self.out.push(*self.streams[ssrc], packet, wall_time(), is_made=is_made)

    async def play(self, arrivals):
        for at, *what in arrivals:
            await asyncio.sleep(self.begun + at - wall_time())
            self.push(*what)
        await asyncio.sleep(1)
        assert self.out.is_idle


def test_sound_leaves_in_time_though_packets_of_it_come_in_another_order():
    async def main():
        sounds = Sounds(0.06)
        # the fifth one overtakes the fourth one, and gets a timer first
        await sounds.play([(0, 0), (0.02, 1), (0.085, 4), (0.088, 3)])
        assert sounds.left == [(1, 0, 0.06), (1, 1, 0.08), (1, "1 lost", 0.12), (1, 3, 0.12), (1, 4, 0.14)]

    run_virtual(main())


def test_streams_of_sound_do_not_wait_for_each_other():
    async def main():
        sounds = Sounds(0.1)
        sounds.streams[2][1].fixed_target = 0.02
        await sounds.play([(0, 0), (0.01, 0, 2), (0.02, 1), (0.03, 1, 2)])
        assert sounds.left == [(2, 0, 0.03), (2, 1, 0.05), (1, 0, 0.1), (1, 1, 0.12)]
        stream, _buffer = sounds.streams[1]
        assert stream.emitted == 2 * 960
        assert stream.target_delay == pytest.approx(0.1 * 2 * 960)

    run_virtual(main())


def test_a_smaller_target_lets_sound_go_and_what_is_forgotten_never_leaves():
    async def main():
        sounds = Sounds(0.5)
        _stream, buffer = sounds.streams[1]
        for number in range(3):
            sounds.push(number)
            await asyncio.sleep(0.02)
        assert sounds.left == []
        assert not sounds.out.is_idle
        buffer.fixed_target = 0.03
        sounds.out.refresh()
        assert sounds.left == [(1, 0, 0.06), (1, 1, 0.06)]
        sounds.out.clear()
        assert sounds.out.is_idle
        await asyncio.sleep(1)
        assert len(sounds.left) == 2
        # the next one is the first again
        sounds.push(50)
        await asyncio.sleep(1)
        assert [what for _ssrc, what, _at in sounds.left] == [0, 1, 50]

    run_virtual(main())
