"""RTP and RTCP from an end that has the keys and breaks every rule, while decoders run and somebody reads.

What comes behind decryption is mutated: packets of each codec, retransmissions, redundancy and corrections, reports
and feedback.  Nothing may reach the loop as an exception, nothing may grow without a bound, and when it is over the
call goes on.  More cases with RTCPEER_FUZZ_CASES (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import os
import random
import struct

import pytest

from rtcpeer.rtp import rtcp
from rtcpeer.rtp.jitter_buffer import VIDEO_PACKETS_MAX
from rtcpeer.rtp.sound_buffer import PACKETS_MAX
from tests.unit.media.rig import Pictures, Tone
from tests.unit.media.test_endpoints import Call
from tests.unit.virtual_time import in_virtual_time  # noqa: F401

CASES = max(200, int(os.environ.get("RTCPEER_FUZZ_CASES", "20000")) // 40)


def mutate(data: bytes, rng: random.Random, payload_types: list[int]) -> bytes:
    """One packet of RTP with something wrong: anywhere, in its header, its length, its order or its kind."""
    packet = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(9)
        if kind == 0:
            packet[rng.randrange(len(packet))] = rng.randrange(256)
        elif kind == 1:
            packet[rng.randrange(min(len(packet), 32))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del packet[rng.randrange(12, len(packet) + 1) :]
        elif kind == 3 and len(packet) >= 12:
            number = rng.choice(
                (rng.randrange(65536), struct.unpack_from("!H", packet, 2)[0] + rng.randrange(40))
            )
            struct.pack_into("!H", packet, 2, number & 0xFFFF)
        elif kind == 4 and len(packet) >= 12:
            struct.pack_into("!L", packet, 4, rng.getrandbits(32))
        elif kind == 5 and len(packet) >= 12 and rng.random() < 0.2:
            struct.pack_into("!L", packet, 8, rng.getrandbits(32))
        elif kind == 6:
            packet[1] = packet[1] & 0x80 | rng.choice(payload_types)
        elif kind == 7:
            packet[0] ^= rng.choice((0x10, 0x20, 0x0F))
        elif kind == 8:
            packet[12 + rng.randrange(30) :] = rng.randbytes(rng.randrange(60))
    return bytes(packet)


def in_red(data: bytes, rng: random.Random, red: int, correction: int) -> bytes:
    """The packet inside RED, sometimes behind other blocks, or a correction with random content in its place."""
    head, payload = bytearray(data[:12]), data[12:]
    head[0] &= 0xC0
    inner, head[1] = head[1] & 0x7F, head[1] & 0x80 | red
    if rng.random() < 0.3:
        payload = bytes((correction,)) + rng.randbytes(rng.randrange(1, 40))
    else:
        payload = bytes((inner,)) + payload
    for _ in range(rng.randrange(3)):
        block = 0x80 << 24 | inner << 24 | rng.randrange(1 << 14) << 10 | rng.randrange(1 << 10)
        payload = block.to_bytes(4, "big") + payload
    return bytes(head) + payload


class Tap:
    """What one end's RTP session gets behind decryption: kept, and replaced by what a test says."""

    def __init__(self, session):
        self.session = session
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self._wrap("_receive_rtp", self.rtp)
        self._wrap("_receive_rtcp", self.rtcp)

    def _wrap(self, name, kept):
        take = getattr(self.session, name)

        def keep(data):
            if len(kept) < 400:
                kept.append(bytes(data))
            take(data)

        setattr(self.session, name, keep)

    def inject(self, data: bytes) -> None:
        """As if this had been what decryption gave; the session's own way round errors included."""
        srtp = self.session._srtp
        self.session._srtp = srtp._replace(
            unprotect=lambda packet: packet, unprotect_rtcp=lambda packet: packet
        )
        try:
            self.session.receive(data)
        finally:
            self.session._srtp = srtp


@pytest.fixture
def complaints(caplog):
    """What the loop and the code complain of; asked for at the end."""
    yield
    assert [r.getMessage() for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")] == []


def assert_bounded(call) -> None:
    receiver = call.receiver
    assert len(receiver._section.streams) <= 16
    assert len(receiver._frames._decoder._waiting) <= 60
    assert len(call.ends[1].dtls.rtp._routes.learned) <= 256
    for stream in receiver._section.streams.values():
        held = getattr(stream.buffer, "_packets", None)
        if held is None:
            assert len(stream.buffer._held) <= PACKETS_MAX + 1
        else:
            assert len(held) <= VIDEO_PACKETS_MAX + 1
        assert len(stream._configuration) <= 16384


@pytest.mark.usefixtures("complaints")
@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("video", None),
        ("video", "H264"),
        ("video", "VP9"),
        ("video", "AV1"),
        ("video", "H265"),
        ("audio", None),
        ("audio", "G722"),
    ],
)
async def test_a_receiver_survives(kind, codec):
    rng = random.Random(f"{kind} {codec}")
    call = Call(kind, codec)
    await call.begin(Pictures(interval=0.02) if kind == "video" else Tone(interval=0.02))
    tap = Tap(call.ends[1].dtls.rtp)
    await call.frames(20)
    reader = asyncio.create_task(read(call.track))
    types = [*call.receiver._section.formats, 64, 95, 127]
    names = {form.name: number for number, form in call.receiver._section.formats.items()}
    genuine = list(tap.rtp)

    for case in range(CASES):
        data = rng.choice(genuine)
        if "RED" in names and rng.random() < 0.3:
            data = in_red(data, rng, names["RED"], names.get("ULPFEC", 99))
        tap.inject(mutate(data, rng, types))
        if case % 20 == 0:
            await asyncio.sleep(0.01)
            assert_bounded(call)

    assert not reader.done()
    reader.cancel()
    # the call goes on, with a key frame if it takes one, and once what was let in is behind it
    before = (
        call.receiver._section.streams[1000].frames_received if 1000 in call.receiver._section.streams else 0
    )
    await asyncio.sleep(12)
    await call.frames(20)
    assert call.receiver._section.streams[1000].frames_received > before
    await call.end()


async def read(track) -> None:
    while True:
        await track.recv()


@pytest.mark.usefixtures("complaints")
async def test_reports_and_feedback_survives():
    """Both ends: what is told to a sender about its streams, and to a receiver about those of the other end."""
    rng = random.Random(9)
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    taps = [Tap(end.dtls.rtp) for end in call.ends]
    await call.frames(80)
    made = [
        rtcp.write_nack(1, 1000, [5, 6, 7, 100]),
        rtcp.write_pli(1, 1000),
        rtcp.write_remb(1, 500_000, [1000, 1001]),
        rtcp.write_bye([77]),
        bytes(rtcp.PayloadFeedback(fmt=4, ssrc=1, media_ssrc=1000, fci=b"\0\0\x03\xe8\1\0\0\0")),
    ]
    for tap in taps:
        genuine = [*tap.rtcp, *made]
        for case in range(CASES):
            packet = bytearray(rng.choice(genuine) + (rng.choice(genuine) if rng.random() < 0.3 else b""))
            for _ in range(rng.randrange(1, 4)):
                packet[rng.randrange(len(packet))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
            packet[1] = 192 + packet[1] % 32
            tap.inject(bytes(packet[: rng.randrange(8, len(packet) + 1)] if rng.random() < 0.3 else packet))
            if case % 50 == 0:
                await asyncio.sleep(0.01)

    await asyncio.sleep(2)
    assert len(await call.frames(20)) == 20
    # it was asked for much, and gives in bounds
    assert call.outbound["keyFramesEncoded"] < 60
    await call.end()
