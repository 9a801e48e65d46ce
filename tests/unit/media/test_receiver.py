"""A receiver and what the other end does to it: pictures without bounds, streams without number, time that leaps."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

import pytest

from rtcpeer.aio import wall_time
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.rtp import fec
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.packet import ExtensionIds, RtpPacket, parse_rtp_untrusted, write_rtp
from rtcpeer.values import Codec
from tests.scenarios.test_quality_limitation import Noise
from tests.unit.media.rig import Pictures, Tone
from tests.unit.media.test_endpoints import Call


@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1", "H265"])
async def test_pictures_above_the_limit_are_dropped_and_counted(codec):
    call = Call("video", codec)
    call.receiver = MediaReceiver("video", call.track, name="receiver", picture_max=(120, 68))
    await call.begin(Pictures(192, 144, interval=0.1))
    reader = asyncio.create_task(call.frames(3))
    await asyncio.sleep(4)
    assert not reader.done()
    assert call.inbound["oversizedFrames"] >= 1
    assert call.inbound["framesDecoded"] == 0
    # one at the beginning, and one that was on its way
    assert call.inbound["pliCount"] <= 3

    # upright is as large as across
    call.sender.set_track(Pictures(64, 112, interval=0.1))
    frames = await reader

    assert {(frame.width, frame.height) for frame in frames} == {(64, 112)}
    await call.end()


def shift(monkeypatch, by):
    """Timestamps of the sender are this much further; `by` is a list of one number."""
    write = OutboundStream.map_timestamp
    monkeypatch.setattr(
        OutboundStream,
        "map_timestamp",
        lambda self, *given, **more: (write(self, *given, **more) + by[0]) & 0xFFFFFFFF,
    )


@pytest.mark.parametrize("leap", [-10, 10, 1 << 31])
@pytest.mark.parametrize(("kind", "track", "rate"), [("video", Pictures, 90000), ("audio", Tone, 48000)])
async def test_the_time_of_a_track_goes_on_when_timestamps_leap(monkeypatch, leap, kind, track, rate):
    by = [0]
    shift(monkeypatch, by)
    call = Call(kind)
    await call.begin(track(interval=0.02))
    frames = await call.frames(20)

    by[0] = leap if leap > 1000 else leap * rate
    frames += await call.frames(20)

    steps = [float((b.pts - a.pts) * a.time_base) for a, b in itertools.pairwise(frames)]
    assert all(0 < step < 0.2 for step in steps)
    await call.end()


async def test_a_new_ssrc_of_sound_is_heard_at_once():
    call = Call("audio")
    await call.begin(Tone(interval=0.02))
    await call.frames(10)

    began = asyncio.get_running_loop().time()
    call.update(ssrc=2000, rtx_ssrc=None)
    while all(
        stream["ssrc"] != 2000 or not stream["totalSamplesReceived"] for stream in call.receiver.stats()
    ):
        await call.frames(1)

    assert asyncio.get_running_loop().time() - began < 0.15
    await call.end()


async def test_after_a_bye_another_stream_is_shown_at_once():
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    await call.frames(5)
    call.receiver._section.streams[9] = InboundStream(9, FrameBuffer(), 90000)
    now = wall_time()
    other = call.receiver._section.streams[9]
    assert not call.receiver._frames.is_shown(other, now)

    call.receiver.on_bye(1000)

    assert call.receiver._frames.is_shown(other, now)
    await call.end()


async def test_of_too_many_streams_the_oldest_goes():
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    await call.frames(5)
    form = call.receiver._section.formats[96]
    for ssrc in range(5000, 5200):
        now = wall_time()
        call.receiver.on_rtp(RtpPacket(96, 1, 1, 0, ssrc, b"\x10\x00"), now)
        call.receiver.on_rtp(RtpPacket(96, 1, ssrc, 0, 1000, b"\x10\x00"), now)
        await asyncio.sleep(0.001)

    known = list(call.receiver._section.streams)
    assert form.name == "VP8"
    assert len(known) == 16
    # the one that goes on, and the newest of the others
    assert set(known) == {1000, *range(5185, 5200)}
    await call.end()


@pytest.mark.parametrize("codec", ["H264", "H265"])
@pytest.mark.parametrize("apart", ["marker", "time"])
async def test_parameter_sets_that_come_apart(monkeypatch, codec, apart):
    """Cameras send each in a packet with a marker, or a time, of its own."""
    call = Call("video", codec)
    receive, offset = call.receiver.on_rtp, 0

    def is_parameters(payload):
        kind = payload[0] & 31 if codec == "H264" else payload[0] >> 1 & 63
        return kind in ((6, 7, 8) if codec == "H264" else range(32, 41))

    def split(packet, now):
        """Aggregates become packets of single units; parameter sets end a picture each."""
        nonlocal offset
        payload, first = packet.payload, packet.payload[0]
        aggregate = first & 31 == 24 if codec == "H264" else first >> 1 & 63 == 48
        units, at = [], 1 if codec == "H264" else 2
        while aggregate and at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            units.append(payload[at + 2 : at + 2 + size])
            at += 2 + size
        for index, unit in enumerate(units or [payload]):
            offset += index > 0
            alone = is_parameters(unit)
            receive(
                RtpPacket(
                    packet.payload_type,
                    1
                    if alone and apart == "marker"
                    else packet.marker
                    if index == len(units or [0]) - 1
                    else 0,
                    packet.sequence_number + offset & 0xFFFF,
                    packet.timestamp - (10 - index if alone and apart == "time" else 0) & 0xFFFFFFFF,
                    packet.ssrc,
                    unit,
                ),
                now,
            )

    monkeypatch.setattr(call.receiver, "on_rtp", split)
    await call.begin(Pictures(96, 64, interval=0.03))
    await call.frames(20)
    for _ in range(3):
        call.receiver.request_keyframe()
        await call.frames(10)

    assert offset >= 4
    assert call.inbound["framesDropped"] <= 2
    assert call.inbound["framesDecoded"] >= 50
    await call.end()


async def test_a_standstill_is_a_freeze_for_who_looks_and_none_for_who_looks_away():
    call = Call("video")
    await call.begin(Pictures(64, 48, interval=0.04))
    await call.frames(20)
    assert (call.inbound["freezeCount"], call.inbound["framesRendered"] >= 20) == (0, True)

    # nobody reads for longer than a reader may take for one picture
    await asyncio.sleep(4)
    await call.frames(10)
    assert call.inbound["freezeCount"] == 0

    reading = asyncio.create_task(call.frames(10_000))
    pictures = call.sender.track
    await asyncio.sleep(1)
    call.sender.set_track(None)
    await asyncio.sleep(2)
    call.sender.set_track(pictures)
    await asyncio.sleep(1)
    assert call.inbound["freezeCount"] == 1
    assert call.inbound["totalFreezesDuration"] == pytest.approx(2, abs=0.3)
    reading.cancel()
    await call.end()


async def test_pictures_of_several_packets_are_counted_with_how_long_they_were_on_their_way(monkeypatch):
    complete = FrameBuffer._complete

    def slowly(buffer):
        frames = complete(buffer)
        for frame in frames:
            frame.assembly = None if len(frame.packets) == 1 else 0.25
        return frames

    monkeypatch.setattr(FrameBuffer, "_complete", slowly)
    call = Call("video")
    await call.begin(Noise())
    await call.frames(5)
    inbound = call.inbound
    assembled = inbound["framesAssembledFromMultiplePackets"]
    assert 1 <= assembled <= inbound["framesDecoded"]
    assert inbound["totalAssemblyTime"] == assembled / 4
    await call.end()


async def test_corrections_are_counted():
    """RFC 5109 in RED: what came, its bytes as part of all, and what was of no use; over a new description too."""
    call = Call("video")
    red, ulpfec = Codec("video/red", 90000, payload_type=122), Codec("video/ulpfec", 90000, payload_type=124)
    call.receive = dataclasses.replace(call.receive, codecs=(*call.receive.codecs, red, ulpfec))
    call.receiver.configure(call.receive)

    def take(number, inner, payload):
        raw = write_rtp(122, False, number, 90000, 7, b"", bytes((inner,)) + payload)
        call.receiver.on_rtp(parse_rtp_untrusted(raw, ExtensionIds()), 1.0)
        return raw

    sent = [take(number, 96, b"\x10\x00data") for number in range(2)]
    before = next(s for s in call.receiver.stats() if s["ssrc"] == 7)
    assert (before["fecPacketsReceived"], before["fecBytesReceived"], before["fecPacketsDiscarded"]) == (
        0,
        0,
        0,
    )
    assert "fecSsrc" not in before  # they come in the stream itself
    correction = fec.correct([fec.protectable(each, 96, None) for each in sent], 1)[0]
    take(2, 124, correction)
    call.receiver.configure(dataclasses.replace(call.receive, mid="another"))
    after = next(s for s in call.receiver.stats() if s["ssrc"] == 7)
    size = len(correction) + 1
    assert (after["fecPacketsReceived"], after["fecBytesReceived"], after["fecPacketsDiscarded"]) == (
        1,
        size,
        1,
    )
    assert after["bytesReceived"] - before["bytesReceived"] == size
    assert after["packetsReceived"] - before["packetsReceived"] == 1
    await call.receiver.stop()
