"""Frames that wait for a reader: who loses which."""

from __future__ import annotations

import av
import pytest

from rtcpeer.media.frame_queue import AUDIO_BOUND, LATEST, RECOVERED, VIDEO_BYTES, FrameQueue

INTERVAL = 1 / 30


def feed(frames, count, start=0, interval=INTERVAL):
    for n in range(start, start + count):
        frames.push(n, n * interval)


def drain(frames):
    return [frames.pop() for _ in range(len(frames))]


@pytest.mark.parametrize("stall", [0.2, 0.5, 0.9])
def test_a_reader_that_stalls_loses_nothing(stall):
    frames = FrameQueue("video", patient=True)
    count = int(stall / INTERVAL)

    feed(frames, count)

    assert drain(frames) == list(range(count))
    assert frames.dropped == 0


def test_after_a_long_stall_the_latest_pictures_are_there():
    frames = FrameQueue("video", patient=True)

    feed(frames, 40)

    assert max(drain(frames)) == 39
    assert frames.dropped > 0


def test_a_reader_that_is_too_slow_is_not_led_into_the_past():
    """It reads every third picture; what it gets is never older than a second, and soon only a few pictures."""
    frames = FrameQueue("video", patient=True)
    lags = []
    for n in range(300):
        feed(frames, 1, n)
        if n % 3 == 0:
            lags.append(n - frames.pop())

    assert max(lags) <= 31
    assert max(lags[60:]) <= LATEST
    feed(frames, RECOVERED + 5, 300)
    assert len(frames) <= LATEST


def test_who_is_quick_again_may_stall_again():
    frames = FrameQueue("video", patient=True)
    feed(frames, 60)
    drain(frames)
    for n in range(60, 60 + RECOVERED):
        feed(frames, 1, n)
        frames.pop()
    before = frames.dropped

    feed(frames, 20, 200)

    assert len(drain(frames)) == 20
    assert frames.dropped == before


def test_an_encoder_gets_the_latest():
    frames = FrameQueue("video", patient=False)

    feed(frames, 10)

    assert drain(frames) == [7, 8, 9]


def test_large_pictures_are_few():
    frames = FrameQueue("video", patient=True)
    picture = av.VideoFrame(3840, 2160, "yuv420p")
    for n in range(20):
        frames.push(picture, n * INTERVAL)

    assert len(frames) * 3840 * 2160 * 1.5 <= VIDEO_BYTES


def test_sound_loses_the_oldest_only():
    frames = FrameQueue("audio", patient=True)

    feed(frames, AUDIO_BOUND + 7, interval=0.01)

    assert drain(frames) == list(range(7, AUDIO_BOUND + 7))
    assert frames.dropped == 7
