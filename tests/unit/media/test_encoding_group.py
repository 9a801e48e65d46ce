"""Streams that share an encoder: one encode for all, one key frame for all, and who has missed one waits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import pytest

from rtcpeer.media.codecs import capabilities, payload_format
from rtcpeer.media.encoding import EncodedPayloads, EncodeRequest, StreamEncoder
from rtcpeer.media.encoding_group import KEYFRAME_INTERVAL, EncodingGroup, bitrate_class
from rtcpeer.media.source import TrackSource
from tests.unit.media.rig import Pictures, Tone
from tests.unit.media.test_endpoints import Call
from tests.unit.media.video.pictures import picture

VP8 = payload_format(next(c for c in capabilities("video").send if c.name == "VP8"))


@pytest.fixture(autouse=True)
def _no_estimates(monkeypatch):
    class Silent:
        def add(self, *args, **keywords):
            return None

    monkeypatch.setattr("rtcpeer.media.receive_section.RemoteBitrateEstimator", Silent)
    monkeypatch.setattr("rtcpeer.rtp.session.RtpSession._on_estimate", lambda _session, _bitrate: None)


@pytest.fixture
def encodes(monkeypatch):
    """Counts the encodes, and the key frames asked for."""
    counted = []
    real = StreamEncoder.encode

    def encode(self, request):
        counted.append((self, request))
        return real(self, request)

    monkeypatch.setattr(StreamEncoder, "encode", encode)
    return counted


@contextlib.asynccontextmanager
async def calls_with(track, count, kind="video", codec="VP8", **encoding):
    calls = [Call(kind, codec) for _ in range(count)]
    for call in calls:
        await call.begin(track, **encoding)
    try:
        yield calls
    finally:
        for call in calls:
            await call.end()


def groups_of(track):
    return EncodingGroup._groups.get(TrackSource.of(track), {})


async def test_ten_connections_encode_a_picture_once(encodes):
    track = Pictures(interval=1 / 30)
    async with calls_with(track, 10) as calls:
        for call in calls:
            await call.frames(3)
        begun, given = len(encodes), track.given
        for call in calls:
            await call.frames(30)

        assert len(encodes) - begun <= track.given - given + 2
        assert len({encoder for encoder, _ in encodes[begun:]}) == 1
        assert len(groups_of(track)) == 1
        told = [call.outbound for call in calls]
        assert all(one["framesEncoded"] > 30 for one in told)
        # the costs are counted once
        assert sum(one["totalEncodeTime"] > told[0]["totalEncodeTime"] / 2 for one in told) == 1
    assert groups_of(track) == {}


async def test_sound_is_encoded_once_too(encodes):
    track = Tone(interval=0.02)
    async with calls_with(track, 4, "audio", "opus") as calls:
        for call in calls:
            await call.frames(50)
        assert len(encodes) <= track.given + 2
    assert groups_of(track) == {}


async def test_a_key_frame_for_one_is_one_for_all(encodes):
    track = Pictures(interval=1 / 30)
    async with calls_with(track, 3) as calls:
        for call in calls:
            await call.frames(10)
        await asyncio.sleep(2 * KEYFRAME_INTERVAL)
        keys = [call.outbound["keyFramesEncoded"] for call in calls]
        for call in calls:
            call.sender.request_keyframe()
        await asyncio.sleep(1)

        assert [call.outbound["keyFramesEncoded"] for call in calls] == [n + 1 for n in keys]
        assert sum(request.force_keyframe for _, request in encodes[-30:]) == 1


async def test_who_joins_later_begins_with_a_key_frame():
    track = Pictures(interval=1 / 30)
    async with calls_with(track, 2) as calls:
        await calls[0].frames(30)
        keys = calls[0].outbound["keyFramesEncoded"]
        late = Call("video", "VP8")
        await late.begin(track)
        await late.frames(1)

        assert calls[0].outbound["keyFramesEncoded"] == keys + 1
        assert late.inbound.get("framesDropped", 0) == 0
        await late.end()
        # and the others do not notice that it leaves
        await calls[1].frames(5)


async def test_other_parameters_are_another_encoder_and_may_become_equal(encodes):
    track = Pictures(128, 96, interval=1 / 30)
    async with calls_with(track, 2) as calls:
        await calls[0].frames(3)
        calls[1].update(scale_resolution_down_by=2.0)
        await asyncio.sleep(0.5)
        assert len(groups_of(track)) == 2
        assert {call.outbound["frameWidth"] for call in calls} == {64, 128}
        calls[1].update(scale_resolution_down_by=1.0)
        await asyncio.sleep(0.5)
        assert len(groups_of(track)) == 1
        before = len(encodes), track.given
        await asyncio.sleep(1)
        assert len(encodes) - before[0] <= track.given - before[1] + 1
        frames = [await call.frames(30) for call in calls]
        assert frames[1][-1].width == 128


async def test_a_stream_that_pauses_holds_nobody_up_and_comes_back_with_a_key_frame():
    track = Pictures(interval=1 / 30)
    async with calls_with(track, 2) as calls:
        await calls[0].frames(3)
        calls[1].update(active=False)
        await asyncio.sleep(0.5)
        assert len(next(iter(groups_of(track).values()))._members) == 1
        sent, keys = (calls[1].outbound[name] for name in ("framesSent", "keyFramesEncoded"))
        calls[1].update(active=True)
        await asyncio.sleep(0.5)
        assert calls[1].outbound["framesSent"] > sent
        assert calls[1].outbound["keyFramesEncoded"] == keys + 1
        assert len(groups_of(track)) == 1


def request(number, **options):
    given = {
        "force_keyframe": False,
        "scale_down_by": 1.0,
        "max_bitrate": None,
        "estimate": None,
        "shared": False,
        "disabled": False,
    }
    return EncodeRequest(picture(number), VP8, **(given | options))


async def test_who_is_behind_gets_what_was_made_and_who_is_too_late_nothing():
    source = TrackSource.of(Pictures())
    one, other = object(), object()
    group = EncodingGroup.join(source, "key", one, None)
    assert EncodingGroup.join(source, "key", other, None) is group
    made = [group.encode(n, request(n), n / 30, member=one, max_framerate=None) for n in range(10)]
    for frame in made:
        await frame.job

    late = group.encode(5, request(5), 0.5, member=other, max_framerate=None)
    assert late is made[5]
    assert late.first is one
    assert group.encode(1, request(1), 0.5, member=other, max_framerate=None) is None
    group.leave(source, one)
    group.leave(source, other)


async def test_what_is_left_out_is_left_out_for_all():
    source = TrackSource.of(Pictures())
    one, other = object(), object()
    group = EncodingGroup.join(source, "key", one, None)
    EncodingGroup.join(source, "key", other, None)
    sent = 0
    for n in range(60):
        first = group.encode(n, request(n), 1000 + n / 30, member=one, max_framerate=10)
        second = group.encode(n, request(n), 1000.01 + n / 30, member=other, max_framerate=10)
        assert first is second
        if first.job is not None:
            sent += 1
            await first.job
    assert sent == 20
    for member in (one, other):
        group.leave(source, member)


@pytest.mark.parametrize("time_of", [lambda n: n % 7, lambda n: 5, lambda n: -n, lambda n: 1000 * n])
async def test_a_frame_rate_is_kept_whatever_the_times_of_the_track_say(time_of):
    """They loop with a film, stand still with a broken source, go back, or are in other units."""
    source, one = TrackSource.of(Pictures()), object()
    group = EncodingGroup.join(source, "key", one, None)
    sent = 0
    for n in range(60):
        result = group.encode(n, request(time_of(n)), 1000 + n / 30, member=one, max_framerate=10)
        if result.job is not None:
            sent += 1
            await result.job
    assert sent == 20
    group.leave(source, one)


async def test_pictures_that_cost_more_than_the_path_bears_are_fewer(monkeypatch):
    made = EncodedPayloads([bytes(1000)] * 5, 0, 1, False, 64, 48, target=250_000)
    monkeypatch.setattr(StreamEncoder, "encode", lambda _encoder, _request: made)
    source, one = TrackSource.of(Pictures()), object()
    for estimate, frames in ((100_000, 25), (200_000, 50), (400_000, 62), (None, 300)):
        group = EncodingGroup.join(source, "key", one, None)
        sent = 0
        for n in range(300):
            asked = dataclasses.replace(request(n), estimate=estimate)
            found = group.encode(n, asked, 1000 + n / 30, member=one, max_framerate=None)
            if found.job is not None:
                sent += 1
                await found.job
        # of 5,000 bytes each in 10 s, and what may be owed; without an estimate nothing is left out
        assert frames <= sent <= frames + 5
        group.leave(source, one)


async def test_the_lowest_estimate_of_a_class_counts_for_all():
    source = TrackSource.of(Pictures())
    one, other = object(), object()
    group = EncodingGroup.join(source, "key", one, None)
    EncodingGroup.join(source, "key", other, None)
    for n in range(3):
        for member, estimate in ((one, 400_000), (other, 350_000)):
            frame = group.encode(n, request(n, estimate=estimate), n / 30, member=member, max_framerate=None)
        await frame.job

    assert group.encoder.target == 350_000
    group.leave(source, other)
    frame = group.encode(3, request(3, estimate=400_000), 0.1, member=one, max_framerate=None)
    await frame.job
    assert group.encoder.target == 400_000
    group.leave(source, one)


async def test_a_member_that_is_alone_takes_its_encoder_along():
    source = TrackSource.of(Pictures())
    one, other = object(), object()
    group = EncodingGroup.join(source, "slow", one, None)
    encoder = group.encoder
    group = EncodingGroup.join(source, "fast", one, group)
    assert group.encoder is encoder
    EncodingGroup.join(source, "fast", other, None)
    apart = EncodingGroup.join(source, "slow", one, group)
    assert apart is not group
    assert apart.encoder is not encoder
    # and back: the others' is used
    assert EncodingGroup.join(source, "fast", one, apart) is group
    assert len(EncodingGroup._groups[source]) == 1
    for member in (one, other):
        group.leave(source, member)


async def test_an_encoder_that_fails_is_tried_less_and_less(monkeypatch):
    source, one = TrackSource.of(Pictures()), object()
    group = EncodingGroup.join(source, "key", one, None)

    def fail(self, request):
        raise ValueError("no")

    monkeypatch.setattr(StreamEncoder, "encode", fail)
    tries = 0
    for n in range(300):
        frame = group.encode(
            n, request(n, force_keyframe=True), 1000 + n / 30, member=one, max_framerate=None
        )
        if frame.job is not None:
            tries += 1
            with pytest.raises(ValueError, match="no"):
                await frame.job
            group.note_failure(frame, 1000 + n / 30)
    assert 8 <= tries <= 20
    monkeypatch.undo()
    frame = group.encode(301, request(301), 1020, member=one, max_framerate=None)
    result = await frame.job
    assert result.is_key
    group.leave(source, one)


def test_classes_of_bitrates():
    assert bitrate_class(None, 5) is None
    assert bitrate_class(0, None) == bitrate_class(50_000, None)
    assert bitrate_class(5_000_000, None) == bitrate_class(10**9, None)
    held = bitrate_class(1_000_000, None)
    # near it, the class stays; far from it, it does not
    for factor in (0.97, 1.03):
        assert bitrate_class(int(1.5**held * factor), held) == held
        assert bitrate_class(int(1.5 ** (held + 1) * factor), held) == held
    assert bitrate_class(int(1.5**held * 0.85), held) == held - 1
    assert bitrate_class(int(1.5 ** (held + 1) * 1.2), held) == held + 1
