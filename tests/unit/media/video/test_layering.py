"""Temporal layers: whatever is left out of the higher ones, the others decode to the same pictures."""

from __future__ import annotations

import random

import pytest

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import choice, libvpx, vp8, vp9
from rtcpeer.media.video.layering import (
    PATTERNS,
    SHARES,
    Buffer,
    LayeredPicture,
    LayerSequence,
    layers_of,
)
from rtcpeer.rtp.payloads import read_vp8_untrusted
from rtcpeer.values import Codec
from tests.unit.media.video.pictures import picture
from tests.unit.media.video.test_pictures import noisy

VP8, VP9 = Codec("video/VP8", 90000), Codec("video/VP9", 90000)


def layer_of(codec: Codec, payload: bytes) -> int:
    """The temporal layer that the descriptor says (RFC 7741 section 4.2, RFC 9628 section 4.2)."""
    if codec is VP8:
        return payload[read_vp8_untrusted(payload)[5]] >> 6
    return payload[3] >> 5


def decoded(codec: Codec, stream: list[tuple[int, list[bytes]]]) -> dict[int, bytes]:
    """The pictures' brightness, by their time."""
    decoder, result = choice.make_decoder(codec), {}
    for timestamp, payloads in stream:
        data = choice.depacketize(codec.name, payloads)
        for frame in decoder.decode(aiortc_adapter.JitterFrame(data, timestamp)):
            result[timestamp] = bytes(frame.planes[0])
    return result


@pytest.mark.parametrize("codec", [VP8, VP9], ids=["VP8", "VP9"])
@pytest.mark.parametrize("layers", [2, 3])
def test_higher_layers_can_be_left_out(codec, layers):
    encoder, chance = choice.make_encoder(codec), random.Random(layers)
    encoder.layers = layers
    stream, keys = [], []
    for number in range(40):
        encoder.target_bitrate = 200_000 + 40_000 * (number // 10)
        payloads, timestamp = encoder.encode(noisy(number, chance), number in (18, 21))
        stream.append((timestamp, payloads))
        keys.append(encoder.is_key)
    assert encoder.layers_in_use == layers
    # the bitrate changes without a key frame, and each key frame begins the pattern anew
    assert [number for number, key in enumerate(keys) if key] == [0, 18, 21]
    found = [layer_of(codec, payloads[0]) for _, payloads in stream]
    pattern = [step.layer for step in PATTERNS[layers]]
    assert found == [
        pattern[(n - begin) % len(pattern)] for n, begin in zip(range(40), starts(keys), strict=True)
    ]

    whole = decoded(codec, stream)
    assert len(whole) == 40
    for highest in range(layers - 1):
        left = [one for one, layer in zip(stream, found, strict=True) if layer <= highest]
        fewer = decoded(codec, left)
        assert fewer == {timestamp: whole[timestamp] for timestamp, _ in left}


def starts(keys: list[bool]) -> list[int]:
    """For each picture, where the key frame before it is."""
    result = []
    for number, key in enumerate(keys):
        result.append(number if key else result[-1])
    return result


@pytest.mark.parametrize("codec", [VP8, VP9], ids=["VP8", "VP9"])
def test_the_lower_layers_have_their_part_of_the_bitrate(codec):
    encoder, chance = choice.make_encoder(codec), random.Random(3)
    encoder.layers, encoder.target_bitrate = 3, 400_000
    sizes = [0, 0, 0]
    for number in range(100):
        payloads, _ = encoder.encode(noisy(number, chance))
        if number > 20:
            sizes[layer_of(codec, payloads[0])] += sum(map(len, payloads))

    total = sum(sizes)
    assert 0.25 < sizes[0] / total < 0.6
    assert sizes[1] < sizes[0]
    # at 30 a second
    assert 0.6 * 400_000 < 8 * total / 79 * 30 < 1.4 * 400_000


@pytest.mark.parametrize("codec", [VP8, VP9], ids=["VP8", "VP9"])
def test_without_libvpx_itself_there_is_one_layer(codec, monkeypatch):
    monkeypatch.setattr(libvpx, "open_encoder", lambda *_args, **_options: None)
    encoder = choice.make_encoder(codec)
    encoder.layers = 3

    payloads, _ = encoder.encode(picture(0))

    assert (encoder.layers_in_use, encoder.layered) == (1, None)
    assert not payloads[0][1 if codec is VP8 else 0] & 0x20


def test_references_are_those_of_the_pattern():
    sequence = LayerSequence(3)
    said = []
    for number in range(9):
        sequence.next(is_forced=number == 0)
        said.append(sequence.note(is_key=number == 0))

    assert said[:5] == [
        LayeredPicture(layer=0, base=0, ages=(), is_sync=False, is_discardable=False),
        LayeredPicture(layer=2, base=0, ages=(1,), is_sync=True, is_discardable=True),
        LayeredPicture(layer=1, base=0, ages=(2,), is_sync=True, is_discardable=False),
        LayeredPicture(layer=2, base=0, ages=(1, 3), is_sync=False, is_discardable=True),
        LayeredPicture(layer=0, base=1, ages=(4,), is_sync=False, is_discardable=False),
    ]
    # whatever a picture refers to is of its layer or a lower one, and of those that others may refer to
    for number, one in enumerate(said):
        for age in one.ages:
            other = said[number - age]
            assert other.layer <= one.layer
            assert not other.is_discardable


@pytest.mark.parametrize("layers", [2, 3])
def test_each_picture_refers_to_what_its_buffers_have(layers):
    """Whatever pictures are made into key frames; those renew all buffers (RFC 6386 section 9.7)."""
    sequence, keys = LayerSequence(layers), {0, 5, 6, 13}
    renewed, kept = dict.fromkeys(Buffer, 0), {}
    for number in range(30):
        step = sequence.next(is_forced=number in keys)
        made = sequence.note(is_key=number in keys)
        kept[number] = made
        assert made.layer == step.layer < layers
        if number in keys:
            assert (made.layer, made.ages) == (0, ())
            renewed = dict.fromkeys(Buffer, number)
            continue
        assert [number - renewed[buffer] for buffer, _age in step.uses] == list(made.ages)
        assert all(kept[number - age].layer <= made.layer for age in made.ages)
        if step.renews is not None:
            renewed[step.renews] = number


@pytest.mark.parametrize("layers", [2, 3])
def test_layers_share_the_whole_bitrate(layers):
    assert {step.layer for step in PATTERNS[layers]} == set(range(layers))
    assert list(SHARES[layers]) == sorted(SHARES[layers])
    assert SHARES[layers][0] > 0
    assert SHARES[layers][-1] == 1.0


def test_a_key_frame_that_nobody_asked_for_begins_the_pattern_anew():
    sequence = LayerSequence(2)
    for _ in range(3):
        sequence.next(is_forced=False)
        sequence.note(is_key=False)

    assert sequence.next(is_forced=False).layer == 1
    assert sequence.note(is_key=True) == LayeredPicture(0, 2, (), is_sync=False, is_discardable=False)
    assert sequence.next(is_forced=False).layer == 1


def test_pictures_of_the_lowest_layer_are_counted_with_eight_bits():
    sequence = LayerSequence(2)
    bases = []
    for _ in range(2 * 257):
        sequence.next(is_forced=False)
        bases.append(sequence.note(is_key=False).base)

    assert bases[:4] == [0, 0, 1, 1]
    assert bases[-2:] == [0, 0]
    assert max(bases) == 255


def test_descriptors():
    discardable = LayeredPicture(2, 7, (1, 3), is_sync=False, is_discardable=True)
    synchronous = LayeredPicture(1, 8, (2,), is_sync=True, is_discardable=False)

    # X N S; I L T; picture id; TL0PICIDX; TID without Y (RFC 7741 section 4.2)
    assert vp8.packetize(b"x", 5, discardable) == [b"\xb0\xe0\x80\x05\x07\x80x"]
    assert vp8.packetize(b"x", 5, synchronous) == [b"\x90\xe0\x80\x05\x08\x60x"]
    # I P L F B E; picture id; TID and U; P_DIFF with N, P_DIFF (RFC 9628 section 4.2)
    options = {"is_key": False, "size": (0, 0)}
    assert vp9.packetize(b"x", 5, **options, layered=discardable) == [b"\xfc\x80\x05\x50\x03\x06x"]
    assert vp9.packetize(b"x", 5, **options, layered=synchronous) == [b"\xfc\x80\x05\x30\x04x"]


@pytest.mark.parametrize("length", [1, 1000, 1164, 1165, 1300, 5000])
def test_pieces_of_a_picture_with_layers_keep_to_the_size(length):
    layered = LayeredPicture(2, 7, (1, 3), is_sync=False, is_discardable=True)
    data = bytes(n & 0xFF for n in range(length))

    of_vp8 = vp8.packetize(data, 1, layered)
    of_vp9 = vp9.packetize(data, 1, is_key=False, size=(0, 0), layered=layered)

    assert choice.depacketize("VP8", of_vp8) == choice.depacketize("VP9", of_vp9) == data
    assert max(map(len, of_vp8)) <= 1300
    assert max(map(len, of_vp9)) <= 1180


@pytest.mark.parametrize(
    ("mode", "layers"),
    [(None, 1), ("L1T1", 1), ("L1T2", 2), ("L3T3_KEY", 3), ("L2T3_KEY_SHIFT", 3), ("S2T1h", 1)],
)
def test_layers_of_a_mode(mode, layers):
    assert layers_of(mode) == layers
