"""Tracks that are pulled on demand: what never suspends, what is there at once, what stood still."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
import pytest

from rtcpeer.media.frame_queue import SOUND_SECONDS, FrameQueue
from rtcpeer.media.source import TrackSource
from rtcpeer.media.track import MediaStreamTrack


def sound(number, samples=960):
    frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
    frame.sample_rate, frame.pts, frame.time_base = 48000, number * samples, Fraction(1, 48000)
    return frame


class AtOnce(MediaStreamTrack):
    """Has everything at hand: its recv() never suspends."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.given = 0

    async def recv(self):
        self.given += 1
        return self.given


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_a_recv_that_never_suspends_does_not_hang_the_loop(kind):
    track = AtOnce(kind)
    subscription = TrackSource.of(track).subscribe()
    turns = 0

    # nobody reads; the loop goes on
    async with asyncio.timeout(10):
        for _ in range(50):
            await asyncio.sleep(0.01)
            turns += 1
        assert turns == 50
        # pictures in the queue of a camera grow old; sound waits where it is
        assert track.given <= (3 if kind == "audio" else 0.5 * 30 + 3)
        for _ in range(100):
            assert await subscription.get() is not None
    subscription.close()


async def test_the_loop_turns_between_two_pictures_of_a_blocking_camera():
    # the reader is always there at once, and yet others get turns
    track = AtOnce("video")
    subscription = TrackSource.of(track).subscribe()
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.get_running_loop().create_task(other())
    for _ in range(100):
        await subscription.get()
    task.cancel()
    subscription.close()

    assert turns >= 90


async def test_no_sound_is_lost_however_fast_it_comes():
    track = AtOnce("audio")
    subscription = TrackSource.of(track).subscribe()
    got = []
    for n in range(300):
        got.append(await subscription.get())
        if n % 10 == 0:
            await asyncio.sleep(0.2)
    subscription.close()

    assert got == list(range(1, 301))
    assert subscription.dropped == 0


async def test_a_slow_reader_holds_nobody_up():
    class Paced(AtOnce):
        async def recv(self):
            await asyncio.sleep(0.02)
            return sound(self.given)

    track = Paced("audio")
    quick, slow = TrackSource.of(track).subscribe(), TrackSource.of(track).subscribe()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(500):
        await quick.get()

    assert loop.time() - begun < 10.5
    # the slow one keeps some seconds, and knows what it lost
    assert slow.backlog == pytest.approx(SOUND_SECONDS / 0.02, abs=1)
    assert slow.dropped_seconds == pytest.approx(10 - SOUND_SECONDS, abs=0.1)
    quick.close()
    slow.close()


def test_sound_for_an_encoder_is_bounded_in_seconds():
    frames = FrameQueue("audio", patient=False)
    for n in range(20):
        frames.push(sound(n, 24000), 0.0)

    assert len(frames) == SOUND_SECONDS / 0.5
    assert frames.pop().pts == 10 * 24000
    assert (frames.dropped, frames.dropped_seconds) == (10, 5.0)
    frames.clear()
    for n in range(9):
        frames.push(sound(n, 24000), 0.0)
    assert frames.dropped == 10
