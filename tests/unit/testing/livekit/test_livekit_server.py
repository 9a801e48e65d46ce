"""The LiveKit test server against clients that lie, and its ends; with SDKs it is tested in tests/interop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.livekit.messages import models, pack_join_request, rtc
from rtcpeer.testing import no_leaks
from rtcpeer.testing.livekit import LiveKitFaults, LiveKitServer


@contextlib.asynccontextmanager
async def serving(**keywords: Any) -> AsyncIterator[tuple[LiveKitServer, aiohttp.ClientSession]]:
    async with no_leaks(grace=5), LiveKitServer(**keywords) as server, aiohttp.ClientSession() as http:
        yield server, http


async def answer(ws: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """The next message of a kind."""
    async with asyncio.timeout(10):
        async for message in ws:
            response = rtc.SignalResponse.FromString(message.data)
            if response.WhichOneof("message") == kind:
                return getattr(response, kind)
    raise AssertionError(f"the socket ended before {kind}")


def join_url(server: LiveKitServer, identity: str = "bot", **grants: Any) -> str:
    return f"{server.url}/rtc?access_token={server.token(identity, 'lobby', **grants)}"


async def test_refusals() -> None:
    async with serving() as (server, http):
        for path, status in (
            ("/rtc", 401),
            ("/rtc?access_token=x", 401),
            (f"/rtc?access_token={server.token('bot', 'lobby', ttl=-60)}", 401),
            (f"/rtc/v1?join_request=%21&access_token={server.token('bot', 'lobby')}", 400),
            ("/rtc/validate", 401),
            ("/elsewhere", 404),
        ):
            async with http.get(server.url.replace("ws:", "http:") + path) as response:
                assert response.status == status, path
        assert server.rooms == {}
        server.faults.refuse, server.faults.refusals = 503, 1
        for status in (503, 101):
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                async with http.ws_connect(join_url(server)) as ws:
                    assert status == 101
                    assert (await answer(ws, "join")).participant.identity == "bot"
        assert server.joins == 1


async def test_nonsense() -> None:
    """What makes no sense is counted, and the participant stays."""
    async with serving() as (server, http), http.ws_connect(join_url(server)) as ws:
        await answer(ws, "join")
        await ws.send_str("text")
        await ws.send_bytes(b"\xff\xff\xff")
        description = rtc.SessionDescription(type="offer", sdp="v=0\r\nno description")
        for request in (
            rtc.SignalRequest(),
            rtc.SignalRequest(offer=description),
            rtc.SignalRequest(answer=description),
            rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp="v=0", id=99)),
            rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit="{")),
            rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid="TR_none")),
            rtc.SignalRequest(subscription=rtc.UpdateSubscription(track_sids=["TR_none"], subscribe=True)),
            rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=["TR_none"])),
            rtc.SignalRequest(update_layers=rtc.UpdateVideoLayers()),
            rtc.SignalRequest(ping_req=rtc.Ping(timestamp=7)),
        ):
            await ws.send_bytes(request.SerializeToString())
        assert (await answer(ws, "pong_resp")).last_ping_timestamp == 7
        ignored = server.participant("bot").ignored
        assert set(ignored) == {
            "text", "no message", "unknown", "offer", "answer", "trickle", "mute", "subscription", "track_setting",
            "update_layers",
        }  # fmt: skip


async def test_huge_message() -> None:
    """It ends the socket; the participant may come back and is gone otherwise."""
    async with serving(departure_timeout=0.05) as (server, http):
        async with http.ws_connect(join_url(server)) as ws:
            await answer(ws, "join")
            await ws.send_bytes(bytes(2 << 20))
            async with asyncio.timeout(10):
                while not ws.closed:
                    await ws.receive()
            assert ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        async with asyncio.timeout(10):
            while server.rooms["lobby"].participants:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_resume_of_nobody() -> None:
    async with serving() as (server, http):
        url = join_url(server) + "&reconnect=1&sid=PA_none"
        async with http.ws_connect(url) as ws:
            assert (await answer(ws, "leave")).action == rtc.LeaveRequest.RECONNECT
        wanted = pack_join_request(rtc.JoinRequest(reconnect=True, participant_sid="PA_none"))
        url = join_url(server).replace("/rtc?", "/rtc/v1?") + f"&join_request={wanted}"
        async with http.ws_connect(url) as ws:
            assert (await answer(ws, "leave")).reason == models.DisconnectReason.STATE_MISMATCH
        assert server.resumes == server.joins == 0


async def test_same_identity_twice() -> None:
    """The one who came first is put out with a reason, and others learn of both."""
    async with serving() as (server, http), http.ws_connect(join_url(server, "eve")) as other:
        await answer(other, "join")
        async with http.ws_connect(join_url(server)) as first:
            await answer(first, "join")
            came = await answer(other, "update")
            async with http.ws_connect(join_url(server)) as second:
                await answer(second, "join")
                leave = await answer(first, "leave")
                assert leave.reason == models.DisconnectReason.DUPLICATE_IDENTITY
                left = await answer(other, "update")
                assert left.participants[0].sid == came.participants[0].sid
                assert left.participants[0].state == models.ParticipantInfo.DISCONNECTED


async def test_what_tests_ask_for() -> None:
    """A new token, a room that is deleted, a reason; faults: silence, and nonsense in place of the first message."""
    async with serving() as (server, http):
        async with http.ws_connect(join_url(server)) as ws:
            await answer(ws, "join")
            token = server.refresh_token("bot")
            response = rtc.SignalResponse(refresh_token=token)
            while (await ws.receive(timeout=10)).data != response.SerializeToString():
                pass
            await server.delete_room("lobby")
            assert (await answer(ws, "leave")).reason == models.DisconnectReason.ROOM_DELETED
        for faults in (LiveKitFaults(silent=True), LiveKitFaults(first=b"\xff\xff")):
            server.faults.silent, server.faults.first = faults.silent, faults.first
            async with http.ws_connect(join_url(server)) as ws:
                if faults.first is None:
                    with pytest.raises(TimeoutError):
                        await ws.receive(timeout=0.05)
                else:
                    assert (await ws.receive(timeout=10)).data == faults.first
        assert server.joins == 1


async def test_rights_kinds_and_who_is_hidden() -> None:
    """A moderator changes what a participant is and may do; a hidden one sees the others and is not seen."""
    async with serving() as (server, http), http.ws_connect(join_url(server, "eve")) as eve:
        assert (await answer(eve, "join")).room.creation_time_ms > 10**12
        async with http.ws_connect(join_url(server, "ghost", hidden=True)) as ghost:
            assert [one.identity for one in (await answer(ghost, "join")).other_participants] == ["eve"]
            async with http.ws_connect(join_url(server, "bot", kind="agent")) as ws:
                join = await answer(ws, "join")
                assert [one.identity for one in join.other_participants] == ["eve"]
                assert join.participant.kind == models.ParticipantInfo.AGENT
                assert join.room.num_participants == 3
                (seen,) = (await answer(eve, "update")).participants
                assert (seen.identity, seen.kind) == ("bot", models.ParticipantInfo.AGENT)
                await server.update_participant("bot", metadata="m", attributes={"a": "1"}, can_publish=False)
                (seen,) = (await answer(eve, "update")).participants
                assert (seen.metadata, dict(seen.attributes)) == ("m", {"a": "1"})
                (seen,) = (await answer(eve, "update")).participants
                assert not seen.permission.can_publish
                assert seen.permission.can_subscribe
                request = rtc.AddTrackRequest(cid="x", type=models.TrackType.AUDIO)
                await ws.send_bytes(rtc.SignalRequest(add_track=request).SerializeToString())
                refused = await answer(ws, "request_response")
                assert refused.reason == rtc.RequestResponse.NOT_ALLOWED
                with pytest.raises(InvalidStateError, match="nobody"):
                    await server.update_participant("nobody", name="x")
