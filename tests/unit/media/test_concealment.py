"""Sound that was lost is no hole: something takes its place, of the right length and time."""

from __future__ import annotations

import fractions
import itertools
from array import array

import av
import pytest

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.concealment import FADE, Concealer, opus_duration
from rtcpeer.media.video import choice
from rtcpeer.values import Codec
from tests.unit.media.pipes import lossy, until
from tests.unit.media.rig import Tone
from tests.unit.media.test_endpoints import Call

# the codec, libav's name of its encoder, and the sample rate
CODECS = [
    (Codec("audio/opus", 48000, 2), "libopus", 48000),
    (Codec("audio/G722", 8000, 1), "g722", 16000),
    (Codec("audio/PCMU", 8000, 1), "pcm_mulaw", 8000),
]


def loudest(frame) -> int:
    return max(abs(sample) for sample in array("h", bytes(frame.planes[0])[: 2 * frame.samples]))


async def heard(codec, coder, rate):
    """A decoder that has heard some tones, its concealer, how many ticks a piece has, and the last piece."""
    encoder = av.CodecContext.create(coder, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    encoder.time_base = fractions.Fraction(1, rate)
    decoder = choice.make_decoder(codec, 1)
    concealer = Concealer(codec.clock_rate, is_opus=codec.name == "opus")
    tone, ticks = Tone(rate, interval=0), codec.clock_rate // 50

    def decode(data, presentation):
        return decoder.decode(aiortc_adapter.JitterFrame(data, presentation))

    for number in range(10):
        for packet in encoder.encode(await tone.recv()):
            frames = decode(bytes(packet), number * ticks)
            concealer.note(bytes(packet), frames)
    return concealer, decode, ticks, frames[-1]


@pytest.mark.parametrize(("codec", "coder", "rate"), CODECS, ids=lambda c: str(c))
async def test_a_loss_is_filled_and_fades(codec, coder, rate):
    concealer, decode, ticks, last = await heard(codec, coder, rate)

    pieces, silent = concealer.conceal(10 * ticks, 1000, decode)

    assert [piece.samples for piece in pieces] == [last.samples] * 10
    times = [piece.pts * piece.time_base * codec.clock_rate for piece in pieces]
    assert times == [1000 + n * ticks for n in range(10)]
    assert {piece.sample_rate for piece in pieces} == {last.sample_rate}
    levels = [loudest(piece) for piece in pieces]
    # the first goes on as it was, and at the end there is nothing
    assert levels[0] > 0.5 * loudest(last)
    assert levels[5] < 0.8 * levels[0]
    quiet = int(FADE * 50)
    assert levels[quiet:] == [0] * (10 - quiet)
    assert silent == last.samples * (10 - quiet)


def test_before_anything_was_heard_there_is_nothing_to_go_on_with():
    assert Concealer(48000, is_opus=True).conceal(960, 0, lambda data, time: []) == ([], 0)


@pytest.mark.parametrize(
    ("toc", "duration"), [(0xFC, 20), (0x78, 20), (0x08, 20), (0x18, 60), (0x60, 10), (0x80, 2.5)]
)
def test_durations_of_opus(toc, duration):
    assert opus_duration(toc) == duration


@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU"])
async def test_a_lossy_path_leaves_no_hole(codec):
    call = Call("audio", codec)
    await call.begin(Tone(interval=0.02))
    await call.frames(5)
    call.ends[0].pipe.drop = lossy(3, 0.1, lambda data: 127 < data[0] < 192 and data[1] < 192)

    frames = await call.frames(200)

    stats = call.inbound
    assert stats["packetsLost"] >= 10
    assert stats["concealmentEvents"] >= 8
    assert stats["concealedSamples"] >= 10 * frames[-1].samples
    assert stats["silentConcealedSamples"] < stats["concealedSamples"]
    # each piece begins where the one before ends, and none is silent
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames[:-5])} == {step(frames[0])}
    assert min(loudest(frame) for frame in frames[5:]) > 800
    await call.end()


def step(frame) -> int:
    """Ticks of the time base in one piece."""
    return round(frame.samples / frame.sample_rate / frame.time_base)


async def test_who_does_not_listen_gets_nothing_made_up():
    call = Call("audio")
    await call.begin(Tone(interval=0.02))
    call.ends[0].pipe.drop = lossy(3, 0.2, lambda data: 127 < data[0] < 192 and data[1] < 192)
    await until(lambda: call.receiver.stats() and call.inbound["packetsReceived"] > 100)

    assert call.inbound["concealmentEvents"] == 0
    await call.end()
