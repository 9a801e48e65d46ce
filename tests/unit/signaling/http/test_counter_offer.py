"""A WHEP server that answers an offer with an offer of its own (406), and a supervised player."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rtcpeer import RTCPeerConnection, SupervisedPeer
from rtcpeer.signaling import WhepClient
from rtcpeer.testing import synthetic_track
from tests.unit.signaling.http.fake_server import FakeServer, sdp

pytestmark = pytest.mark.timeout(60)


async def test_a_counter_offer_is_answered_and_played() -> None:
    track = synthetic_track("video", {"width": 160, "height": 120, "frameRate": 15})
    async with FakeServer() as server, RTCPeerConnection() as pc:
        pc.addTrack(track)
        await pc.setLocalDescription()
        await pc.gathered()
        applied: list[asyncio.Task[None]] = []

        def post(_: Any) -> web.Response:
            server.sessions.add("s1")
            return sdp(pc.localDescription.sdp, 406, {"Location": "/session/s1", "ETag": '"one"'})

        def patch(seen: Any) -> web.Response:
            if seen.headers["Content-Type"] == "application/sdp":
                answer = {"type": "answer", "sdp": seen.body}
                applied.append(asyncio.ensure_future(pc.setRemoteDescription(answer)))
            return web.Response(status=204)

        server.rules = {"POST": post, "PATCH": patch}
        tracks: asyncio.Queue[Any] = asyncio.Queue()
        async with SupervisedPeer(WhepClient(server.url)) as player:
            player.ontrack = lambda event: tracks.put_nowait(event.track)
            player.addTransceiver("video", {"direction": "recvonly"})
            await player.connected(20)
            async with asyncio.timeout(20):
                frame = await (await tracks.get()).recv()
            assert frame.width == 160
            assert (
                "a=candidate" in server.seen[1].body
            )  # the answer has all candidates that were found by then
            assert not player.can_restart
        await asyncio.gather(*applied)
        assert not server.sessions
    track.stop()
