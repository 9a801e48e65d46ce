"""WHIP and WHEP endpoints as calls, through a relay in this process."""

import asyncio

import pytest

from rtcpeer.calls import Ended, TrackSubscribed, join
from rtcpeer.errors import NotSupportedError, RtcPeerError, RTCTimeoutError
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
    with pytest.raises((RtcPeerError, RTCTimeoutError)):
        await join("whep+http://127.0.0.1:9/whep/cam", timeout=1)
    voice.stop()
