from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.media.codecs import payload_format, preferred_redundancy
from rtcpeer.rtp import red
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.red import Block, Redundancy
from rtcpeer.rtp.sound_buffer import SoundBuffer
from rtcpeer.values import Codec
from tests.unit.media.pipes import until
from tests.unit.media.rig import Tone
from tests.unit.media.test_endpoints import Call

blocks = st.lists(
    st.builds(Block, st.integers(0, 127), st.integers(0, (1 << 14) - 1), st.binary(max_size=1023)),
    max_size=4,
)


@given(blocks, st.integers(0, 127), st.binary(max_size=1200))
def test_what_is_written_is_read(earlier, payload_type, data):
    written = [*earlier, Block(payload_type, 0, data)]

    assert red.read(red.write(written)) == written


def test_the_header():
    payload = red.write([Block(111, 960, b"old"), Block(111, 0, b"new")])

    # RFC 2198 section 3: F, type, 14 bits of offset, 10 of length; then F = 0 and the type
    assert payload == b"\xef\x0f\x00\x03\x6foldnew"
    assert red.write([Block(111, 0, b"new")]) == b"\x6fnew"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xef", b"\xef\x0f\x00\x03", b"\xef\x0f\x00\x03\x6fol", b"\xef\x0f\x00\x00" * 11 + b"\x6f"],
)
def test_what_is_malformed_is_refused(payload):
    with pytest.raises(ValueError):
        red.read(payload)


def test_ten_blocks_beside_the_primary_one_are_as_many_as_are_read():
    blocks = red.read(b"\xef\x0f\x00\x00" * 10 + b"\x6fnew")

    assert len(blocks) == 11
    assert blocks[-1].data == b"new"


@given(st.binary(max_size=60))
def test_any_bytes_are_blocks_or_refused(payload):
    try:
        found = red.read(payload)
    except ValueError:
        return
    assert sum(len(block.data) for block in found) < len(payload)


def test_each_packet_repeats_the_one_before():
    redundancy = Redundancy(63, 111)

    assert redundancy.wrap(b"one", 0xFFFFFC40) == b"\x6fone"
    assert red.read(redundancy.wrap(b"two", 0)) == [Block(111, 960, b"one"), Block(111, 0, b"two")]
    # after a pause that the header cannot say
    assert red.read(redundancy.wrap(b"three", 48000)) == [Block(111, 0, b"three")]
    redundancy.forget()
    assert red.read(redundancy.wrap(b"x" * 1000, 48960)) == [Block(111, 0, b"x" * 1000)]
    # what is too long is not repeated
    assert red.read(redundancy.wrap(b"five", 49920)) == [Block(111, 0, b"five")]


@pytest.mark.parametrize(
    ("age", "is_told"), [(1, True), ((1 << 14) - 1, True), (1 << 14, False), (0, False), (-1, False)]
)
def test_what_the_header_can_say_of_the_packet_before(age, is_told):
    """RFC 2198 section 3: 14 bits, unsigned."""
    redundancy = Redundancy(63, 111)
    redundancy.wrap(b"one", 5000)
    blocks = red.read(redundancy.wrap(b"two", 5000 + age))
    assert blocks == [Block(111, age, b"one")] * is_told + [Block(111, 0, b"two")]


def test_what_was_before_another_one_is_not_repeated():
    redundancy = Redundancy(63, 111)
    redundancy.wrap(b"one", 5000)
    redundancy.forget()
    assert redundancy.wrap(b"two", 5960) == b"\x6ftwo"
    assert red.read(redundancy.wrap(b"three", 6920)) == [Block(111, 960, b"two"), Block(111, 0, b"three")]


def test_the_fields_of_a_block():
    payload = b"\xff\xff\xff\xff\x6f" + bytes(1023)
    assert red.read(payload + b"new") == [Block(127, (1 << 14) - 1, bytes(1023)), Block(111, 0, b"new")]
    assert red.read(payload)[1].data == b""
    with pytest.raises(ValueError):
        red.read(payload[:-1])


def form(name, payload_type, line=None, rate=48000):
    fmtp = ((line, None),) if line is not None else ()
    return payload_format(Codec(f"audio/{name}", rate, 2, fmtp, payload_type=payload_type))


def test_redundancy_is_used_where_it_is_preferred():
    opus = form("opus", 111)
    wrapping, other = form("red", 63, "111/111"), form("red", 63, "112/112")

    assert preferred_redundancy([wrapping, opus], opus) is wrapping
    assert preferred_redundancy([opus, wrapping], opus) is None
    assert preferred_redundancy([other, opus], opus) is None
    assert preferred_redundancy([form("red", 63, "111/111", 8000), opus], opus) is None
    assert preferred_redundancy([wrapping], opus) is wrapping
    assert preferred_redundancy([], opus) is None


def test_what_a_buffer_lacks():
    buffer = SoundBuffer(48000, 1.0)
    assert not buffer.lacks(5)

    buffer.add(RtpPacket(111, 0, 5, 0, 1, b"x"), 0.0)

    assert [n for n in range(10) if buffer.lacks(n)] == [6, 7, 8, 9]
    buffer.add(RtpPacket(111, 0, 8, 0, 1, b"x"), 0.0)
    assert [n for n in range(10) if buffer.lacks(n)] == [6, 7, 9]


def prefer_redundancy(call: Call) -> None:
    codecs = sorted(call.send.codecs, key=lambda codec: codec.name != "red")
    call.send = dataclasses.replace(call.send, codecs=tuple(codecs))


async def test_a_loss_costs_nothing():
    call = Call("audio")
    prefer_redundancy(call)
    await call.begin(Tone())
    session, count = call.ends[1].dtls.rtp, 0
    receive = session._receive_rtp
    sizes = []

    def lossy(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % 3:
            sizes.append(len(data))
            receive(data)

    session._receive_rtp = lossy
    frames = await call.frames(30)

    times = [frame.pts for frame in frames[3:]]
    assert {b - a for a, b in itertools.pairwise(times)} == {960}
    assert call.inbound["packetsLost"] > 5
    assert call.inbound["payloadType"] == 111
    await call.end()


async def test_what_is_behind_the_codec_is_not_used():
    call = Call("audio")
    await call.begin(Tone())
    seen = set()
    receive = call.receiver.on_rtp

    def look(packet, now):
        seen.add(packet.payload_type)
        receive(packet, now)

    call.receiver.on_rtp = look
    await call.frames(3)

    assert seen == {111}
    await call.end()


async def test_malformed_redundancy_is_ignored():
    call = Call("audio")
    await call.begin(Tone())
    await call.frames(2)
    before = call.inbound["packetsReceived"]

    for payload in (b"", b"\xef", b"\x05unknown", b"\x6e\x01"):
        call.receiver.on_rtp(RtpPacket(63, 0, 1, 2, 1000, payload), 0.0)

    assert call.inbound["packetsReceived"] == before
    assert len(await call.frames(2)) == 2
    await call.end()


async def test_tones_end_what_is_repeated():
    call = Call("audio")
    prefer_redundancy(call)
    await call.begin(Tone())
    await call.frames(2)
    (stream,) = call.sender._section.streams

    call.sender.insert_tone("5", 100)
    await until(lambda: call.sender._tones is None)

    assert stream.redundancy is not None
    assert len(await call.frames(5)) == 5
    await call.end()
