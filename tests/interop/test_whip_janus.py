"""`WhipClient` against Simple WHIP Server and Janus: publish, trickle, restart with lax and strict ETags, DELETE."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rtcpeer import SupervisedPeer
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.signaling import WhipClient
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop import janus, whip_janus
from tests.interop.chromium import until
from tests.interop.janus import Janus
from tests.interop.test_janus import Call
from tests.interop.whip_janus import WhipJanus

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    janus.require()
    if reason := whip_janus.why_not():
        pytest.skip(reason)
    async with no_leaks(grace=3):
        yield


@pytest.mark.parametrize("strict", [False, True], ids=["lax", "strict"])
async def test_publish_restart_and_delete(strict: bool) -> None:
    """What is published is seen by a subscriber of the room, before and after a restart of ICE."""
    async with (
        Janus() as server,
        server.session() as session,
        WhipJanus(server, strict=strict) as whip,
    ):
        plugin = await session.attach("videoroom")
        room = (await plugin.ask({"request": "create", "videocodec": "vp8"}))["room"]
        url = await whip.create("cam", room, "secret")
        track = synthetic_track("video", {"width": 320, "height": 240, "frameRate": 15})
        client = WhipClient(url, token="secret", trickle=True)
        async with SupervisedPeer(client) as peer:
            peer.addTrack(track)
            await peer.connected(20)
            assert client.location is not None
            assert client.location.path.startswith("/whip/resource/")
            assert [server.urls for server in client.ice_servers]
            assert client.capabilities.trickle is True  # candidates were taken
            feeds = (await plugin.ask({"request": "listparticipants", "room": room}))["participants"]
            async with Call(await session.attach("videoroom")) as viewer:
                _, jsep = await viewer.handle.tell(
                    {
                        "request": "join",
                        "ptype": "subscriber",
                        "room": room,
                        "streams": [{"feed": feeds[0]["id"]}],
                    }
                )
                assert jsep is not None
                await viewer.answer(jsep, {"request": "start"})
                await viewer.pc.connected(20)
                await seen(viewer.eyes, 10)
                before, etag = peer.pc.remoteDescription.sdp, client.etag
                peer.restart()
                await until(lambda: peer.pc.remoteDescription.sdp != before, 20)
                await peer.connected(20)
                assert client.etag != etag
                await seen(viewer.eyes, 15)
                assert peer.generation == 1  # no new session was made for it
            assert (await whip.endpoints())[0].get("enabled") is True
        assert not (await whip.endpoints())[0].get("enabled")
        track.stop()


async def seen(eyes: MediaObserver, frames: int) -> None:
    before = eyes.seen.video_frames
    await until(lambda: eyes.seen.video_frames > before + frames, 30)
