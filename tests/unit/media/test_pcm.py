"""Frames of any format as interleaved samples."""

from __future__ import annotations

from array import array

from rtcpeer.media.pcm import SampleConverter, frame_of, widened


def samples(*values: int) -> bytes:
    return array("h", values).tobytes()


def test_mono_is_as_loud_on_both_channels():
    assert widened(samples(1, -2, 3)) == samples(1, 1, -2, -2, 3, 3)
    converter = SampleConverter(48000, 2)
    assert converter.convert(frame_of(samples(5, 6), 48000, 1, 0)) == samples(5, 5, 6, 6)


def test_frames_of_the_wanted_form_pass_unchanged():
    converter = SampleConverter(48000, 2)
    data = samples(1, 2, 3, 4)
    frame = frame_of(data, 48000, 2, 7)
    assert (frame.samples, frame.sample_rate, frame.pts) == (2, 48000, 7)
    assert converter.convert(frame) == data
    assert converter.drain() == b""


def test_what_a_resampler_keeps_back_comes_with_a_change_or_at_the_end():
    converter = SampleConverter(48000, 1)
    half = frame_of(samples(*range(240)), 24000, 1, 0)
    first = converter.convert(half)
    whole = frame_of(samples(*range(480)), 48000, 1, 0)
    rest = converter.convert(whole)
    assert len(first) < 960, "the resampler waits for what follows"
    assert len(first) + len(rest) == 960 + 960
    assert rest.endswith(samples(*range(480)))
    converter.convert(half)
    assert converter.drain()
    assert converter.drain() == b""
