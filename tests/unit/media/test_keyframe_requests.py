"""When a receiver asks for a key frame: once, again while none comes, and not for one that is on its way."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.aio import wall_time
from rtcpeer.media.receiver import PLI_INTERVAL, MediaReceiver
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.packet import RtpPacket
from tests.unit.media.rig import Pictures
from tests.unit.media.test_endpoints import Call


class Plis:
    """Requests that a receiver sends; `lost` of them never arrive."""

    def __init__(self, receiver: MediaReceiver, lost: int = 0) -> None:
        self.at: list[float] = []
        self._feed_back = receiver._section._feed_back
        self._lost = lost
        receiver._section._feed_back = self.feed_back

    def feed_back(self, stream, now, write):
        if b"\xce" in write(1)[1:2]:
            self.at.append(now)
            if len(self.at) <= self._lost:
                return
        self._feed_back(stream, now, write)


async def arrived(call: Call) -> None:
    """The first packet is here."""
    while not call.receiver._section.streams:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_a_reader_of_encoded_frames_asks_once():
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    await arrived(call)
    plis = Plis(call.receiver)

    reader = call.receiver.read_encoded()
    assert len(plis.at) == 1
    frames = [await anext(reader) for _ in range(30)]

    assert [frame.type for frame in frames].count("key") == 1
    await reader.aclose()
    await call.end()


async def test_beside_a_decoder_a_reader_asks_again_until_the_key_frame_is_seen():
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    await call.frames(10)
    task = asyncio.create_task(call.frames(400))
    plis = Plis(call.receiver, lost=2)

    reader = call.receiver.read_encoded()
    frame = await asyncio.wait_for(anext(reader), 3 * PLI_INTERVAL + 0.5)

    assert frame.type == "key"
    assert len(plis.at) == 3
    task.cancel()
    await reader.aclose()
    await call.end()


@pytest.mark.parametrize("is_decoded", [False, True])
async def test_a_key_frame_that_has_begun_to_arrive_is_not_asked_for(is_decoded):
    call = Call("video")
    await call.begin(Pictures(interval=0.02))
    if is_decoded:
        await call.frames(5)
    await arrived(call)
    stream = next(iter(call.receiver._section.streams.values()))
    assert isinstance(stream.buffer, FrameBuffer)
    stream.buffer = FrameBuffer()
    now = wall_time()
    # VP8: the first packet of a key frame, whose end is still on its way
    head = bytes((0x10, 0x10, 2, 0, 0x9D, 1, 0x2A, 128, 2, 224, 1))
    call.receiver.on_rtp(RtpPacket(stream.payload_type, 0, 7, 90000, stream.ssrc, head), now)
    plis = Plis(call.receiver)

    reader = call.receiver.read_encoded()

    assert plis.at == []
    await reader.aclose()
    await call.end()
