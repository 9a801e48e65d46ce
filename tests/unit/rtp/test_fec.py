from __future__ import annotations

import dataclasses
import random

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.media.codecs import capabilities, payload_format, protection_of
from rtcpeer.media.depacketizer import RedDepacketizer
from rtcpeer.rtp import fec
from rtcpeer.rtp import packet as rtp
from rtcpeer.rtp.outbound import LOSS_LIFETIME, HeaderTemplate, OutboundStream
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.rtp.rtcp import ReceiverInfo
from rtcpeer.values import Codec, HeaderExtension
from tests.unit.media.pipes import until
from tests.unit.media.rig import Pictures
from tests.unit.media.test_endpoints import Call

EXTENSIONS = (HeaderExtension(rtp.URI_MID, 1), HeaderExtension(rtp.URI_ABS_SEND_TIME, 3))


def packet(
    number: int, payload: bytes, *, marker: bool = False, now: float = 0.0, extensions=EXTENSIONS
) -> bytes:
    """A packet in RED, of payload type 96 inside."""
    header = HeaderTemplate(extensions, "mid", None).write(now, 0)
    return rtp.write_rtp(122, marker, number & 0xFFFF, 90000, 7, header, b"\x60" + payload)


def protected(data: bytes) -> bytes:
    return fec.protectable(data, 96, 3)


frames = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=48)


@given(frames, st.integers(0, 0xFFFF), st.integers(1, 8), st.data())
def test_one_lost_packet_of_each_group_comes_back(payloads, first, count, data):
    last = len(payloads) - 1
    sent = [packet(first + i, payload, marker=i == last, now=i) for i, payload in enumerate(payloads)]
    corrections = fec.correct([protected(p) for p in sent], count)
    groups = range(min(count, len(sent)))
    lost = {data.draw(st.sampled_from(range(group, len(sent), count))) for group in groups}
    recovery = fec.Recovery(7, 3)

    made = [m for i, p in enumerate(sent) if i not in lost for m in recovery.add_media(p, 96)]
    made += [m for correction in corrections for m in recovery.add_correction(correction)]

    assert sorted(made) == sorted(protected(sent[i]) for i in lost)


def test_media_that_comes_after_the_correction():
    sent = [packet(i, bytes(5 + i)) for i in range(3)]
    (correction,) = fec.correct([protected(p) for p in sent], 1)
    recovery = fec.Recovery(7, 3)

    assert recovery.add_correction(correction) == []
    assert recovery.add_media(sent[0], 96) == []
    assert recovery.add_media(sent[2], 96) == [protected(sent[1])]
    assert recovery.add_media(sent[1], 96) == []


def test_one_recovery_leads_to_another():
    sent = [packet(i, bytes((i,)) * 9) for i in range(3)]
    whole = [protected(p) for p in sent]
    (first,), (second,) = fec.correct(whole[:2], 1), fec.correct(whole[1:], 1)
    recovery = fec.Recovery(7, 3)

    assert recovery.add_media(sent[2], 96) == []
    assert recovery.add_correction(first) == []
    assert recovery.add_correction(second) == [whole[1], whole[0]]


def test_the_header():
    (payload,) = fec.correct(
        [protected(packet(5, b"x", extensions=())), protected(packet(7, b"yz", extensions=()))], 1
    )

    # RFC 5109 section 7.3: flags, type, SN base, timestamp, length; length and mask of level 0
    assert payload == b"\0\0" + b"\0\5" + bytes(4) + b"\0\3" + b"\0\2" + b"\xc0\0" + b"\x01z"
    (payload,) = fec.correct([protected(packet(i, b"x", extensions=())) for i in range(17)], 1)
    assert payload[0] == 0x40
    assert payload[12:18] == b"\xff\xff\x80\0\0\0"


def test_what_changes_on_the_way_is_zero():
    early, late = packet(1, b"x", now=1.0), packet(1, b"x", now=2.0)

    assert early != late
    assert protected(early) == protected(late)
    assert fec.protectable(early, 96, None) != fec.protectable(late, 96, None)
    ids = rtp.ExtensionIds()
    ids.add(EXTENSIONS)
    read = rtp.parse_rtp_untrusted(protected(late), ids)
    assert (read.payload_type, read.payload, read.mid, read.abs_send_time) == (96, b"x", "mid", 0)


@pytest.mark.parametrize(
    ("elements", "kept"),
    [
        (b"\x32abc\0\0\0\0", bytes((0x32, 0, 0, 0, 0, 0, 0, 0))),
        (b"\0\x10a\x32abc\0", b"\0\x10a\x32\0\0\0\0"),
        # RFC 8285 section 4.2: behind an id of 15, and of 0 with a length, nothing is read
        (b"\xf0a\x32abc\0\0", None),
        (b"\x01xx\x32abc\0", None),
        # cut off
        (b"\x10a\0\0\0\x32ab", None),
        (b"\x10a\0\0\x32abc", b"\x10a\0\0\x32\0\0\0"),
    ],
)
def test_where_the_time_of_sending_is_looked_for(elements, kept):
    data = rtp.write_rtp(122, False, 1, 2, 7, b"\xbe\xde\0\2" + elements, b"\x60x")
    assert protected(data)[16:24] == (elements if kept is None else kept)
    # not in another profile
    data = rtp.write_rtp(122, False, 1, 2, 7, b"\x10\0\0\2" + elements, b"\x60x")
    assert protected(data)[16:24] == elements


@pytest.mark.parametrize("data", [b"\x80\x7a" + bytes(10), b"\x90\x7a" + bytes(10), b"\x81\x7a" + bytes(14)])
def test_a_packet_without_a_block_is_refused(data):
    with pytest.raises(ValueError):
        fec.protectable(data, 96, 3)


@given(st.binary(max_size=80), st.integers(0, 14))
def test_any_packet_can_be_protected_or_is_refused(data, identifier):
    head = bytes((0x80 | (data[0] & 0x1F if data else 0), 122)) + bytes(10)
    try:
        result = fec.protectable(head + data, 96, identifier)
    except ValueError:
        return
    assert len(result) == len(head + data) - 1


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=60)), max_size=10))
def test_any_corrections_give_packets_or_are_refused(parts):
    recovery = fec.Recovery(7, 3)
    for number, data in parts:
        try:
            made = recovery.add_media(packet(number, data), 96) if number else recovery.add_correction(data)
        except ValueError:
            continue
        assert all(len(m) <= 12 + 60 for m in made)


CORRECTION = bytes.fromhex("0000 0005 00000000 0003 0002 c000 017a")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        CORRECTION[:11],
        CORRECTION[:13],
        CORRECTION[:-1],
        b"\x80" + CORRECTION[1:],  # the extension flag: "MUST be 0" (RFC 5109 section 7.3)
        b"\x40" + CORRECTION[1:],  # a mask of 48 bits does not fit
        CORRECTION[:12] + bytes(2) + CORRECTION[14:],
    ],
    ids=bytes.hex,
)
def test_corrections_that_are_malformed_are_refused(payload):
    recovery = fec.Recovery(7, 3)
    assert recovery.add_correction(CORRECTION) == []
    with pytest.raises(ValueError):
        recovery.add_correction(payload)


def test_what_a_correction_has_behind_its_end_is_not_part_of_it():
    """RFC 5109 section 7.4: the protection length."""
    sent = [packet(i, b"data", extensions=()) for i in (65535, 0)]
    (correction,) = fec.correct([protected(p) for p in sent], 1)
    recovery = fec.Recovery(7, 3)
    recovery.add_media(sent[0], 96)
    assert recovery.add_correction(correction + b"more") == [protected(sent[1])]


def test_contributing_sources_are_protected():
    data = bytearray(packet(5, b"data"))
    data[12:12] = bytes(range(8))
    data[0] |= 2
    whole = protected(bytes(data))
    assert (whole[0], whole[1], whole[12:20], whole[-4:]) == (0x92, 96, bytes(range(8)), b"data")
    other = packet(6, b"x")
    (correction,) = fec.correct([whole, protected(other)], 1)
    recovery = fec.Recovery(7, 3)
    recovery.add_media(other, 96)
    assert recovery.add_correction(correction) == [whole]


def test_masks_of_sixteen_and_of_more_places():
    whole = [protected(packet(i, b"x")) for i in range(49)]
    for count, size, flag in ((16, 2, 0), (17, 6, 0x40), (48, 6, 0x40)):
        first, second = fec.correct(whole[:count], 2)
        for payload, place in ((first, 0), (second, 1)):
            mask = int.from_bytes(payload[12 : 12 + size], "big")
            assert payload[0] & 0x40 == flag
            assert [n for n in range(8 * size) if mask >> 8 * size - 1 - n & 1] == list(
                range(place, count, 2)
            )
    # no more corrections than packets
    assert len(fec.correct(whole[:2], 5)) == 2


def test_what_is_kept_is_bounded():
    recovery = fec.Recovery(7, 3)
    sent = [packet(i, b"x") for i in range(1000)]
    for first in range(0, 1000, 2):
        recovery.add_correction(fec.correct([protected(p) for p in sent[first : first + 2]], 1)[0])
    assert len(recovery._corrections) == fec._CORRECTIONS_MAX
    for data in sent:
        recovery.add_media(data, 96)

    assert len(recovery._media) <= fec._MEDIA_MAX
    assert not recovery._corrections


@pytest.mark.parametrize(("flipped", "made"), [(0, 1), (0x4000, 0)])
def test_a_packet_that_would_be_longer_than_what_protects_it_is_none(flipped, made):
    sent = [packet(i, b"data") for i in range(2)]
    correction = bytearray(fec.correct([protected(p) for p in sent], 1)[0])
    correction[8:10] = (int.from_bytes(correction[8:10], "big") ^ flipped).to_bytes(2, "big")
    recovery = fec.Recovery(7, 3)
    recovery.add_media(sent[0], 96)

    assert len(recovery.add_correction(bytes(correction))) == made


@pytest.mark.parametrize(
    ("packets", "loss", "count"),
    [
        (10, 0.0, 0),
        (10, 0.005, 0),
        (10, 0.01, 1),
        (10, 0.05, 1),
        (10, 0.2, 4),
        (10, 0.9, 5),
        (1, 0.02, 1),
        (48, 0.5, 24),
        (49, 0.5, 0),
        (60, 0.5, 0),
    ],
)
def test_how_much_is_protected(packets, loss, count):
    assert fec.Protection(122, 124, 3).corrections(packets, loss) == count


def test_what_is_protected():
    def form(name, number):
        return payload_format(Codec(f"video/{name}", 90000, payload_type=number))

    vp8, h264, red, ulpfec = form("VP8", 96), form("H264", 98), form("red", 122), form("ulpfec", 124)
    formats = [vp8, h264, red, ulpfec]

    assert protection_of(formats, vp8, EXTENSIONS) == fec.Protection(122, 124, 3)
    assert protection_of(formats, vp8, ()) == fec.Protection(122, 124, None)
    assert protection_of(formats, h264, EXTENSIONS) is None
    assert protection_of([vp8, ulpfec], vp8, EXTENSIONS) is None


def test_loss_is_what_was_told_lately():
    stream = OutboundStream(SendEncoding(1), print, HeaderTemplate((), "", None))
    assert stream.loss(10.0) == 0

    stream.take_report(ReceiverInfo(1, 64, 5, 0, 0, 0, 0), 10.0)

    assert stream.loss(11.0) == 0.25
    assert stream.loss(11.0 + LOSS_LIFETIME) == 0


@given(st.lists(st.tuples(st.sampled_from([96, 122, 124, 5, 0xE0]), st.binary(max_size=50)), max_size=8))
def test_any_packets_in_red_are_unwrapped_or_refused(parts):
    formats = {
        number: payload_format(Codec(f"video/{name}", 90000, payload_type=number))
        for name, number in (("VP8", 96), ("red", 122), ("ulpfec", 124))
    }
    unwrapper, ids = RedDepacketizer(formats, EXTENSIONS), rtp.ExtensionIds()
    for number, (inner, data) in enumerate(parts):
        raw = rtp.write_rtp(122, False, number, 0, 7, b"", bytes((inner,)) + data)
        try:
            form, packets = unwrapper.unwrap(rtp.parse_rtp_untrusted(raw, ids), lambda _number: True)
        except ValueError:
            continue
        assert packets[-1].sequence_number == number
        assert form is (formats[96] if inner == 96 else None) or inner == 0xE0


class Noise(Pictures):
    """Pictures that need many packets."""

    async def recv(self):
        frame = await super().recv()
        rng = random.Random(self.given)
        noisy = av.VideoFrame(320, 240, "yuv420p")
        for plane in noisy.planes:
            plane.update(rng.randbytes(plane.buffer_size))
        noisy.pts, noisy.time_base = frame.pts, frame.time_base
        return noisy


def corrected(codec: str) -> Call:
    """A call that has negotiated corrections, and no estimate of the path: losses shall not make pictures smaller."""
    call = Call("video", codec)
    able = capabilities("video").send
    more = tuple(c for c in able if c.name in ("red", "ulpfec") or c.parameter("apt") == "122")
    codecs = tuple(
        dataclasses.replace(
            c, feedback=tuple(f for f in c.feedback if f.type not in ("goog-remb", "transport-cc"))
        )
        for c in (*call.send.codecs, *more)
    )
    extensions = tuple(e for e in call.send.header_extensions if e.uri != rtp.URI_TRANSPORT_CC)
    call.send = dataclasses.replace(call.send, codecs=codecs, header_extensions=extensions)
    call.receive = dataclasses.replace(call.receive, codecs=codecs, header_extensions=extensions)
    return call


def lose(call: Call, places: tuple[int, ...]) -> list[int]:
    """Lose these packets of each frame on their way, counted from 1; gives the payload types that are seen."""
    session = call.ends[1].dtls.rtp
    receive = session._receive_rtp
    counts: dict[bytes, int] = {}
    types: list[int] = []

    def lossy(data: bytes) -> None:
        types.append(data[1] & 0x7F)
        if types[-1] == 122:
            counts[data[4:8]] = counts.get(data[4:8], 0) + 1
            if counts[data[4:8]] in places:
                return
        receive(data)

    session._receive_rtp = lossy
    return types


@pytest.mark.parametrize("codec", ["VP8", "VP9"])
async def test_losses_are_corrected_without_asking(codec, monkeypatch):
    monkeypatch.setattr(OutboundStream, "loss", lambda stream, now: 0.2)
    call = corrected(codec)
    # nobody asks for anything again
    codecs = tuple(dataclasses.replace(c, feedback=()) for c in call.send.codecs)
    call.send = dataclasses.replace(call.send, codecs=codecs)
    call.receive = dataclasses.replace(call.receive, codecs=codecs)
    await call.begin(Noise(interval=0.05))
    await call.frames(1)

    types = lose(call, (2,))
    before = call.inbound["framesDecoded"]
    await until(lambda: call.inbound["framesDecoded"] > before + 8)

    assert call.inbound["packetsLost"] > 5
    assert (call.inbound["framesDropped"], call.inbound["nackCount"]) == (0, 0)
    assert call.outbound["keyFramesEncoded"] == 1
    assert set(types) == {122}
    await call.end()


async def test_what_is_beyond_correction_is_sent_again(monkeypatch):
    monkeypatch.setattr(OutboundStream, "loss", lambda stream, now: 0.02)
    call = corrected("VP8")
    await call.begin(Noise(interval=0.05))
    await call.frames(1)

    types = lose(call, (2, 3))
    before = call.inbound["framesDecoded"]
    await until(lambda: call.inbound["framesDecoded"] > before + 8)

    assert call.inbound["retransmittedPacketsReceived"] > 5
    # the retransmission of what is in RED
    assert set(types) == {122, 123}
    await call.end()


async def test_corrections_of_nothing_are_ignored():
    call = corrected("VP8")
    await call.begin(Noise(interval=0.05))

    for payload in (b"\x7c", b"\x7c" + bytes(40), b"\x05x", b"\xff", b""):
        call.receiver.on_rtp(rtp.RtpPacket(122, 0, 1, 2, 4711, payload), 0.0)
        await call.frames(1)
        call.receiver.on_rtp(rtp.RtpPacket(122, 0, 1, 2, 1000, payload), 0.0)

    assert len(await call.frames(2)) == 2
    await call.end()


def test_corrections_of_no_use_are_counted():
    """webrtc-stats "fecPacketsDiscarded": all that it protects came, or what it could make is given up."""
    recovery = fec.Recovery(7, 3)
    sent = [packet(i, b"x") for i in range(200)]
    corrections = [fec.correct([protected(p) for p in sent[i : i + 2]], 1)[0] for i in range(0, 200, 2)]
    recovery.add_media(sent[0], 96)
    recovery.add_correction(corrections[0])
    assert recovery.discarded == 0
    # both came before it, or one after it
    for data in sent[2:5]:
        recovery.add_media(data, 96)
    recovery.add_correction(corrections[1])
    assert recovery.discarded == 1
    for correction in corrections[3 : 3 + fec._CORRECTIONS_MAX + 2]:
        recovery.add_correction(correction)
    assert recovery.discarded == 3
