"""Frames that wait for a reader: who loses which."""

from __future__ import annotations

import av
import pytest

from rtcpeer.media.frame_queue import AUDIO_BOUND, LATEST, RECOVERED, VIDEO_BYTES, FrameQueue, duration

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


def sound(milliseconds, rate=48000):
    frame = av.AudioFrame("s16", "mono", rate * milliseconds // 1000)
    frame.sample_rate = rate
    return frame


def test_the_number_is_of_the_frame_that_was_read():
    frames = FrameQueue("video", patient=True)
    assert frames.number == -1
    for n in (3, 5):
        frames.push("frame", 0.0, n)
    assert (frames.pop(), frames.number, len(frames)) == ("frame", 3, 1)
    frames.clear()
    assert len(frames) == 0
    frames.push("frame", 0.0)
    frames.pop()
    assert frames.number == -1


def test_sound_for_an_encoder_is_bounded_by_what_it_lasts():
    frames = FrameQueue("audio", patient=False)
    pieces = [sound(500) for _ in range(12)]
    for piece in pieces[:10]:
        frames.push(piece, 0.0)
    assert (len(frames), frames.dropped, frames.dropped_seconds) == (10, 0, 0.0)
    for piece in pieces[10:]:
        frames.push(piece, 100.0)
    assert (frames.dropped, frames.dropped_seconds) == (2, 1.0)
    assert [frames.pop() for _ in range(10)] == pieces[2:]


def test_one_piece_that_is_longer_than_all_is_kept():
    frames = FrameQueue("audio", patient=False)
    frames.push(sound(20), 0.0)
    long = sound(6000, rate=8000)
    frames.push(long, 0.0)
    assert (len(frames), frames.dropped, round(frames.dropped_seconds, 3)) == (1, 1, 0.02)
    assert frames.pop() is long


def test_what_is_read_or_forgotten_makes_place():
    frames = FrameQueue("audio", patient=False)
    for _ in range(20):
        frames.push(sound(1000), 0.0)
        frames.pop()
    assert frames.dropped == 0
    for _ in range(4):
        frames.push(sound(1000), 0.0)
    frames.clear()
    for _ in range(5):
        frames.push(sound(1000), 0.0)
    assert frames.dropped == 0
    frames.push(sound(1000), 0.0)
    assert frames.dropped == 1


def test_a_piece_that_does_not_say_how_long_it_is():
    """One that is encoded already, in packets of 20 ms."""
    frames = FrameQueue("audio", patient=False)
    for n in range(260):
        frames.push(n, 0.0)
    assert frames.pop() == 260 - 250
    assert frames.dropped_seconds == pytest.approx(0.2)
    assert duration(sound(60)) == 0.06
    assert duration("encoded") == 0.02


@pytest.mark.parametrize(("width", "height", "kept"), [(3840, 2160, 5), (7680, 4320, LATEST), (640, 480, 20)])
def test_how_many_large_pictures_wait(width, height, kept):
    """64 MiB of them, three at least."""
    frames = FrameQueue("video", patient=True)
    picture = av.VideoFrame(width, height, "yuv420p")
    for n in range(min(kept, 20)):
        frames.push(picture, n * 0.01)
    assert (len(frames), frames.dropped) == (kept, 0)
    if kept < 20:
        frames.push(picture, 0.5)
        assert (len(frames), frames.dropped) == (LATEST, kept + 1 - LATEST)


def test_what_is_older_than_a_second_is_dropped_and_the_last_one_never():
    frames = FrameQueue("video", patient=True)
    frames.push("old", 0.0)
    frames.push("older than that", 1.0)
    assert len(frames) == 2
    frames.push("new", 1.5)
    assert drain(frames) == ["older than that", "new"]
    assert frames.dropped == 1
    frames.push("alone", 2.0)
    frames.push("late", 100.0)
    assert drain(frames) == ["late"]
    voice = FrameQueue("audio", patient=True)
    for n in range(3):
        voice.push(n, n * 0.6)
    assert drain(voice) == [1, 2]


def test_a_loss_is_followed_by_few_waiting_pictures_until_thirty_came_without_one():
    frames = FrameQueue("video", patient=True)
    feed(frames, 61, interval=0.01)  # one more than there may be
    assert drain(frames) == [58, 59, 60]
    frames.push(0, 1.0)
    for n in range(1, 5):
        frames.push(n, 1.0)
    assert drain(frames) == [2, 3, 4]
    for before, kept in ((RECOVERED - 5, [1, 2, 3]), (RECOVERED - 4, [0, 1, 2, 3])):
        for n in range(before):
            frames.push(n, 2.0)
            frames.pop()
        for n in range(4):
            frames.push(n, 2.0)
        assert drain(frames) == kept
