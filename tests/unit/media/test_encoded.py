"""Frame objects, the queue of who reads them, and tracks that are written to."""

import asyncio
from fractions import Fraction

import av
import pytest

from rtcpeer import (
    EncodedTrack,
    InvalidStateError,
    RTCEncodedAudioFrame,
    RTCEncodedAudioFrameMetadata,
    RTCEncodedVideoFrame,
    RTCEncodedVideoFrameMetadata,
)
from rtcpeer.media.encoded_frames import UNREAD_MAX, EncodedFrameReader


def picture(number=0, *, key=False, data=b"data", mime="video/VP8"):
    metadata = RTCEncodedVideoFrameMetadata(mimeType=mime, rtpTimestamp=number * 3000, width=64, height=48)
    return RTCEncodedVideoFrame.make(data, metadata, is_key=key, time=number * 3000)


def test_a_frame_and_its_copy():
    frame = picture(5, key=True)
    frame.data = bytearray(b"other")
    copy = RTCEncodedVideoFrame(frame, {"metadata": {"width": 128, "mimeType": "video/VP9"}})
    assert (copy.type, copy.data, copy.timestamp, copy.time) == ("key", b"other", 15000, 15000)
    assert (copy.getMetadata().width, copy.getMetadata().height, copy.mimeType) == (128, 48, "video/VP9")
    frame.getMetadata().width = 1
    assert frame.getMetadata().width == 64
    frame.data = b""
    assert frame.type == "empty"
    with pytest.raises(TypeError):
        frame.data = "text"
    with pytest.raises(TypeError):
        RTCEncodedVideoFrame(b"data")
    with pytest.raises(TypeError):
        RTCEncodedAudioFrame(frame)


def test_packets_of_frames():
    packet = picture(5, key=True).packet()
    assert (bytes(packet), packet.pts, packet.time_base, packet.is_keyframe) == (
        b"data",
        15000,
        Fraction(1, 90000),
        True,
    )
    sound = RTCEncodedAudioFrame.make(b"x", RTCEncodedAudioFrameMetadata(mimeType="audio/opus"), time=960)
    assert (bytes(sound.packet()), sound.packet().pts) == (b"x", 960)


async def test_a_reader_that_is_too_slow_goes_on_with_a_key_frame():
    lost = []
    reader = EncodedFrameReader(is_video=True, on_close=lambda r: None, on_loss=lambda: lost.append(1))
    reader.push(picture(0))
    for number in range(1, UNREAD_MAX + 2):
        reader.push(picture(number, key=number == 1))
    assert lost == [1]
    assert reader.dropped == UNREAD_MAX + 1
    reader.push(picture(999))
    reader.push(picture(1000, key=True))
    assert (await anext(reader)).timestamp == 3_000_000
    reader.end()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_reader_waits_and_ends():
    closed = []
    reader = EncodedFrameReader(is_video=False, on_close=closed.append, on_loss=lambda: None)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    sound = RTCEncodedAudioFrame.make(b"x", RTCEncodedAudioFrameMetadata())
    reader.push(sound)
    assert await waiting is sound
    for _ in range(2 * UNREAD_MAX):
        reader.push(sound)
    assert reader.dropped == UNREAD_MAX
    async with reader:
        pass
    assert closed == [reader]
    assert [frame async for frame in reader] == []


async def test_a_track_gives_frames_to_all_who_send_it():
    track, got = EncodedTrack("video"), ([], [])
    removes = [track.add_sink(sink.append) for sink in got]
    frame = picture(key=True)
    await track.write(frame)
    track.enabled = False
    await track.write(frame)
    track.enabled = True
    removes[0]()
    await track.write(frame)
    assert [len(sink) for sink in got] == [1, 2]
    assert track.isConsumed
    removes[1]()
    assert not track.isConsumed


async def test_what_cannot_be_written():
    track = EncodedTrack("video")
    packet = av.Packet(b"data")
    with pytest.raises(ValueError, match="pts"):
        await track.write(packet)
    packet.pts, packet.time_base = 0, Fraction(1, 90000)
    with pytest.raises(ValueError, match="mimeType"):
        await track.write(packet)
    with pytest.raises(TypeError):
        await track.write(
            RTCEncodedAudioFrame.make(b"x", RTCEncodedAudioFrameMetadata(mimeType="audio/opus"))
        )
    with pytest.raises(TypeError):
        await track.write(b"data")
    with pytest.raises(InvalidStateError):
        await track.recv()
    track.stop()
    with pytest.raises(InvalidStateError):
        await track.write(picture())
    for arguments in (("data",), ("video", "audio/opus")):
        with pytest.raises(ValueError, match=r"no codec|kind"):
            EncodedTrack(*arguments)


async def test_key_frames_are_asked_for_once_in_half_a_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rtcpeer.media.encoded_track.wall_time", lambda: now[0])
    track, asked = EncodedTrack("video", "video/VP8"), []
    track.addEventListener("keyframerequest", lambda event: asked.append(now[0]))
    for _ in range(50):
        track.request_keyframe()
    assert asked == [100.0]
    await track.write(picture(key=True))
    track.request_keyframe()
    assert asked == [100.0]
    now[0] = 100.6
    track.request_keyframe()
    assert asked == [100.0, 100.6]
    track.stop()
