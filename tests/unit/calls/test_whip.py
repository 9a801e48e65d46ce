"""WHIP and WHEP endpoints as calls, through a relay in this process."""

import asyncio

import pytest
from aiohttp import web

from rtcpeer.calls import Ended, Reconnected, Reconnecting, TrackSubscribed, join
from rtcpeer.errors import NotSupportedError, RTCTimeoutError
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fakes import Diary
from tests.unit.cli.test_relay import relaying

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


async def test_published_and_received():
    camera = synthetic_track("video", {"width": 160, "height": 120})
    voice, other = synthetic_track("audio"), synthetic_track("audio")
    async with relaying() as relay, join(f"whip+{relay.url}/whip/cam") as publisher:
        await publisher.publish(camera)
        spoken = await publisher.publish(voice)
        with pytest.raises(NotSupportedError, match="no messages"):
            await publisher.send("x")
        with pytest.raises(NotSupportedError, match="no metadata"):
            await publisher.set_metadata({})
        await asyncio.sleep(0.5)
        async with join(f"whep+{relay.url}/whep/cam", timeout=20) as viewer:
            diary = Diary(viewer)
            for number in (1, 2):
                await (await diary.get(TrackSubscribed, number)).track.recv()
            participant = viewer.participants["publisher"]
            assert set(participant.tracks) == {"audio", "video"}
            with pytest.raises(NotSupportedError, match="WHIP"):
                await viewer.publish(other)
        await diary.task
        # a change is another session
        await spoken.mute()
        await spoken.unpublish()
        await asyncio.sleep(0.3)
        assert publisher.ended is None
    for track in (camera, voice, other):
        track.stop()


async def test_refused_and_unreachable():
    voice = synthetic_track("audio")
    async with relaying(token="secret") as relay:
        async with join(f"whip+{relay.url}/whip/cam", token="wrong") as call:
            diary = Diary(call)
            await call.publish(voice)
            assert (await diary.get(Ended)).reason == "refused"
        await diary.task
    with pytest.raises(RTCTimeoutError, match=r"not entered within 1 s: POST .* failed"):
        await join("whep+http://127.0.0.1:9/whep/cam", timeout=1)
    voice.stop()


async def test_an_endpoint_that_comes_later():
    """The call says that nobody answers, asks again, and says when it is there."""
    voice, there = synthetic_track("audio"), False

    @web.middleware
    async def nobody(request, handler):
        if not there:
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        return await handler(request)

    async with relaying(nobody) as relay, join(f"whip+{relay.url}/whip/cam") as call:
        diary = Diary(call)
        await call.publish(voice)
        assert (await diary.get(Reconnecting)).reason == "signaling"
        there = True
        await diary.get(Reconnected)
        assert len(diary.of(Reconnecting)) == 1
    await diary.task
    voice.stop()
