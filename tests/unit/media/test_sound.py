"""Encoding of sound: pieces of 20 ms with a time each, whatever the frames are."""

from __future__ import annotations

import math
from array import array
from fractions import Fraction

import av
import pytest

from rtcpeer.media.sound import FORMATS, SoundEncoder

TICKS = {"OPUS": 960, "G722": 160, "PCMU": 160, "PCMA": 160}


def tone(samples, *, rate=48000, layout="mono", fmt="s16", pts=None, amplitude=12000, left_only=False):
    """A sine of 400 Hz (whole periods in 20 ms), interleaved or on planes."""
    frame = av.AudioFrame(format=fmt, layout=layout, samples=samples)
    frame.sample_rate = rate
    if pts is not None:
        frame.pts, frame.time_base = pts, Fraction(1, rate)
    values = [int(amplitude * math.sin(2 * math.pi * 400 * n / rate)) for n in range(samples)]
    scaled = array("f", [v / 32768 for v in values]) if fmt.startswith("flt") else array("h", values)
    width = len(frame.layout.channels) if not frame.format.is_planar else 1
    data = array(scaled.typecode, [v if c == 0 or not left_only else 0 for v in scaled for c in range(width)])
    for plane in frame.planes:
        plane.update(data.tobytes() + bytes(plane.buffer_size - len(data) * data.itemsize))
    return frame


def decoded(payloads):
    """What Opus payloads sound like: both channels' samples."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", 48000
    data = array("h")
    for payload in payloads:
        for frame in decoder.decode(av.Packet(payload)):
            data.extend(array("h", bytes(frame.planes[0])[: frame.samples * 4]))
    return data[0::2], data[1::2]


def loudness(samples):
    return math.sqrt(sum(v * v for v in samples) / len(samples))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("length", [0.01, 0.02, 0.045, 0.1])
def test_pieces_of_20_ms_each_with_its_time(name, rate, length):
    encoder, samples = SoundEncoder(name), int(rate * length)
    pieces = []

    for n in range(int(1 / length)):
        pieces += encoder.encode(tone(samples, rate=rate, pts=n * samples))

    # a resampler keeps less than a piece back
    assert 48 <= len(pieces) <= 50
    assert [time for _, time in pieces] == [n * TICKS[name] for n in range(len(pieces))]
    assert all(payload for payload, _ in pieces)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(lambda n: None, id="none"),
        pytest.param(lambda n: 0, id="standing"),
        pytest.param(lambda n: n % 10 * 960, id="a loop"),
        pytest.param(lambda n: n * 1920, id="twice too fast"),
        pytest.param(lambda n: -n * 960, id="backwards"),
        pytest.param(lambda n: n * 960 + (10**9 if n > 20 else 0), id="a leap"),
    ],
)
def test_times_of_the_track_that_cannot_be_right_change_nothing(times):
    encoder = SoundEncoder("OPUS")
    pieces = []

    for n in range(50):
        pieces += encoder.encode(tone(960, pts=times(n)))

    assert [time for _, time in pieces] == [960 * n for n in range(50)]


def test_a_gap_in_a_track_whose_times_are_right_is_left_out():
    encoder = SoundEncoder("OPUS")
    pieces = []

    # half a piece waits when the gap of one second begins
    for begin in (0, 960, 1440, 48000 + 1920):
        pieces += encoder.encode(tone(480 if begin == 960 else 960, pts=begin))
        if begin == 1440:
            pieces.append("gap")
    before, after = pieces[: pieces.index("gap")], pieces[pieces.index("gap") + 1 :]

    assert [time for _, time in before] == [0, 960]
    # what had begun is filled up with silence; what follows is where it belongs, to a millisecond
    times = [time for _, time in after]
    assert times[0] == 1920
    assert abs(times[-1] - (48000 + 1920)) < 48


@pytest.mark.parametrize("fmt", ["s16", "flt", "fltp"])
def test_mono_is_as_loud_as_it_was(fmt):
    encoder = SoundEncoder("OPUS")
    payloads = [p for n in range(50) for p, _ in encoder.encode(tone(960, fmt=fmt))]
    left, right = decoded(payloads)

    want = 12000 / math.sqrt(2)
    for side in (left, right):
        assert abs(20 * math.log10(loudness(side[9600:]) / want)) < 1


def test_mono_after_stereo_is_as_loud_on_both_sides_and_stereo_stays_stereo():
    encoder = SoundEncoder("OPUS")
    # half a piece of mono waits when the first stereo frame comes
    payloads = [p for p, _ in encoder.encode(tone(480))]
    for n in range(100):
        frame = tone(960, layout="stereo", left_only=True) if n < 50 else tone(960)
        payloads += [p for p, _ in encoder.encode(frame)]
    left, right = decoded(payloads)

    assert len(payloads) == 100
    assert loudness(right[9600:40000]) < loudness(left[9600:40000]) / 10
    want = 12000 / math.sqrt(2)
    for side in (left, right):
        assert abs(20 * math.log10(loudness(side[60000:]) / want)) < 1


def test_rates_and_formats_in_turn():
    encoder = SoundEncoder("OPUS")
    pieces = []
    for n in range(50):
        rate = (48000, 24000, 16000)[n % 3]
        pieces += encoder.encode(tone(rate // 50, rate=rate, fmt=("s16", "flt")[n % 2]))

    assert 48 <= len(pieces) <= 50
    assert [time for _, time in pieces] == [960 * n for n in range(len(pieces))]
    assert loudness(decoded([p for p, _ in pieces])[0][9600:]) > 7000


def test_another_bitrate_goes_on_in_time():
    encoder = SoundEncoder("OPUS")
    sizes, times = [], []
    for bitrate in (96_000, 12_000):
        encoder.set_bitrate(bitrate)
        pieces = [piece for _ in range(25) for piece in encoder.encode(tone(960, fmt="flt"))]
        sizes.append(sum(len(payload) for payload, _ in pieces))
        times += [time for _, time in pieces]

    assert sizes[1] < sizes[0] / 2
    assert times == [960 * n for n in range(50)]


def test_one_that_failed_is_not_used_again(monkeypatch):
    encoder = SoundEncoder("PCMU")
    opened = []
    real = SoundEncoder._open

    class Failing:
        def encode(self, frame):
            raise av.error.FFmpegError(22, "no")

    def open_one(self):
        opened.append(1)
        return Failing() if len(opened) == 1 else real(self)

    monkeypatch.setattr(SoundEncoder, "_open", open_one)

    with pytest.raises(av.error.FFmpegError):
        encoder.encode(tone(160, rate=8000))
    assert len(encoder.encode(tone(160, rate=8000))) == 1
    assert len(opened) == 2


def test_packets_need_a_time():
    packet = av.Packet(b"\xfc\xff\xfe")

    with pytest.raises(ValueError, match="pts"):
        SoundEncoder("OPUS").pack(packet)
    with pytest.raises(ValueError, match="GSM"):
        SoundEncoder("GSM")
    packet.pts, packet.time_base = 20, Fraction(1, 1000)
    assert SoundEncoder("OPUS").pack(packet) == ([b"\xfc\xff\xfe"], 960)


@pytest.mark.parametrize("name", FORMATS)
def test_a_frame_without_samples_changes_nothing(name):
    encoder, other = SoundEncoder(name), SoundEncoder(name)
    empty = av.AudioFrame(format="s16", layout="mono", samples=0)
    pieces = encoder.encode(empty)

    for n in range(10):
        pieces += encoder.encode(tone(960, pts=n * 960))
        pieces += encoder.encode(empty)

    assert pieces == [piece for n in range(10) for piece in other.encode(tone(960, pts=n * 960))]


def test_a_frame_without_a_sample_rate_says_what_it_needs():
    with pytest.raises(ValueError, match="sample_rate"):
        SoundEncoder("OPUS").encode(av.AudioFrame(format="s16", layout="mono", samples=960))


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("bitrate", [6_000, 256_000, 300_000, 510_000])
def test_each_bitrate_of_opus_works_for_mono_and_stereo(bitrate, layout):
    encoder = SoundEncoder("OPUS")
    encoder.set_bitrate(bitrate)
    frame = av.AudioFrame(format="s16", layout=layout, samples=960)
    frame.sample_rate = 48000

    assert len(encoder.encode(frame)) == 1
