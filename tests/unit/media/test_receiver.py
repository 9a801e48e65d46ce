"""A receiver and what the other end does to it: pictures without bounds, streams without number, time that leaps."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.media.endpoints import MediaReceiver
from tests.unit.media.rig import Pictures
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
