"""`LiveKitRoom` against scripted servers that lie, stall and end in the middle of each step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from rtcpeer.calls import (
    Ended,
    Message,
    Reconnected,
    Reconnecting,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.calls.livekit import (
    ConnectionQualityChanged,
    LiveKitRoom,
    LiveKitRpcError,
    SubscriptionAllowed,
    room,
)
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.livekit.messages import models, rtc
from rtcpeer.signaling.livekit.tokens import Grants, make_token
from rtcpeer.testing import no_leaks, synthetic_track
from rtcpeer.testing.livekit import LiveKitServer
from tests.unit.calls.fakes import Diary

SECRET = "a secret of at least thirty-two bytes"
TOKEN = make_token("key", SECRET, Grants("bot", "lobby"))
JOIN = rtc.JoinResponse(
    room=models.Room(name="lobby"),
    participant=models.ParticipantInfo(sid="PA_bot", identity="bot"),
    ping_interval=60,
)
EVE = models.ParticipantInfo(sid="PA_eve", identity="eve", name="Eve", version=1)

Script = Callable[[web.WebSocketResponse, int], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """A server that runs the script for each socket; the second argument counts them from 0."""
    count = 0

    async def serve(request: web.Request) -> web.WebSocketResponse:
        nonlocal count
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        number, count = count, count + 1
        await script(ws, number)
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/rtc", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"livekit+ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def say(ws: web.WebSocketResponse, **message: Any) -> None:
    await ws.send_bytes(rtc.SignalResponse(**message).SerializeToString())


async def drain(ws: web.WebSocketResponse) -> None:
    async for _ in ws:
        pass


async def events_of(call: Any) -> list[Any]:
    """Everything up to the end."""
    async with asyncio.timeout(20):
        return [event async for event in call.events()]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAUSES", (0.0, 0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr("rtcpeer.calls.livekit.requests.ANSWER_TIMEOUT", 0.05)
    monkeypatch.setattr(room, "CONNECT_TIMEOUT", 2.0)


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (None, NetworkError),
        (rtc.SignalResponse(), NetworkError),
        (rtc.SignalResponse(pong=1), NetworkError),
        (rtc.SignalResponse(join=rtc.JoinResponse()), NetworkError),
        (
            rtc.SignalResponse(leave=rtc.LeaveRequest(reason=models.DisconnectReason.JOIN_FAILURE)),
            SignalingRefused,
        ),
        (rtc.SignalResponse(leave=rtc.LeaveRequest(reason=99)), SignalingRefused),  # type: ignore[arg-type]
    ],
)
async def test_not_let_in(first: rtc.SignalResponse | None, error: type[Exception]) -> None:
    async def script(ws: web.WebSocketResponse, _: int) -> None:
        await ws.send_str("text")
        await ws.send_bytes(b"\xff\xff")
        if first is not None:
            await ws.send_bytes(first.SerializeToString())

    async with no_leaks(grace=5), scripted(script) as url:
        with pytest.raises(error) as caught:
            await join(url, token=TOKEN)
        assert TOKEN not in str(caught.value)


async def test_silence() -> None:
    async with no_leaks(grace=5), scripted(lambda ws, _: drain(ws)) as url:
        with pytest.raises(RTCTimeoutError):
            await join(url, token=TOKEN, timeout=0.1)


async def test_refused() -> None:
    """By status, with the status in the error; nobody there at all."""
    async with no_leaks(grace=5), LiveKitServer() as server:
        with pytest.raises(SignalingRefused) as caught:
            await join("livekit+" + server.url, token=TOKEN)
        assert (caught.value.status, caught.value.fatal) == (401, True)
        assert TOKEN not in str(caught.value)
        url = "livekit+" + server.url
    with pytest.raises(NetworkError):
        await join(url, token=TOKEN)


def test_what_makes_no_sense() -> None:
    for url, options in (
        ("livekit+ws://localhost", {}),
        ("livekit+ws://localhost?room=x", {"api_key": "key"}),
        ("livekit+ws://localhost", {"api_key": "key", "api_secret": SECRET}),
    ):
        with pytest.raises(ValueError, match="token"):
            join(url, **options)
    with pytest.raises(TypeError, match="colour"):
        join("livekit+ws://localhost", token=TOKEN, colour="red")


async def test_lies() -> None:
    """What makes no sense is counted; what is true is told; the call ends with the server's reason."""
    description = rtc.SessionDescription(type="offer", sdp="v=0\r\nno description", id=7)

    async def script(ws: web.WebSocketResponse, _: int) -> None:
        await say(ws, join=JOIN)
        await ws.send_str("text")
        await ws.send_bytes(b"\xff\xff")
        await say(ws)
        await say(ws, room_moved=rtc.RoomMovedResponse())
        await say(ws, offer=description)
        await say(ws, answer=rtc.SessionDescription(type="answer", sdp="v=0\r\nno description"))
        await say(ws, answer=rtc.SessionDescription(type="answer", sdp="v=0", id=99))
        await say(ws, trickle=rtc.TrickleRequest(candidateInit="[]"))
        await say(ws, trickle=rtc.TrickleRequest(candidateInit='{"candidate": "x", "sdpMid": "0"}', target=9))
        await say(ws, refresh_token=make_token("key", SECRET, Grants("mallory", "lobby")))
        await say(ws, refresh_token="nothing")
        await say(ws, update=rtc.ParticipantUpdate(participants=[models.ParticipantInfo(sid="PA_none")]))
        await say(ws, update=rtc.ParticipantUpdate(participants=[EVE, EVE]))
        gone = models.ParticipantInfo(
            sid="PA_other", identity="eve", state=models.ParticipantInfo.DISCONNECTED
        )
        await say(ws, update=rtc.ParticipantUpdate(participants=[gone]))
        await say(ws, track_published=rtc.TrackPublishedResponse(cid="never asked"))
        await say(ws, mute=rtc.MuteTrackRequest(sid="TR_none", muted=True))
        await say(ws, request_response=rtc.RequestResponse(request_id=99))
        await say(ws, leave=rtc.LeaveRequest(reason=models.DisconnectReason.ROOM_DELETED))
        await drain(ws)

    async with no_leaks(grace=5), scripted(script) as url:
        async with join(url, token=TOKEN) as call:
            events = await events_of(call)
        assert [type(event).__name__ for event in events] == ["ParticipantJoined", "ParticipantLeft", "Ended"]
        assert events[-1] == Ended("room-closed")
        assert isinstance(call.service, LiveKitRoom)
        assert call.service.token == TOKEN
        assert set(call.ignored) >= {
            "text", "no message", "message unknown", "message room_moved", "offer", "answer", "trickle",
            "refresh_token",
        }  # fmt: skip


@pytest.mark.usefixtures("quick")
async def test_publishing_without_an_answer() -> None:
    """The error names it; a refusal as well; nothing stays published, and the call goes on."""

    async def script(ws: web.WebSocketResponse, _: int) -> None:
        await say(ws, join=JOIN)
        tracks = 0
        async for message in ws:
            request = rtc.SignalRequest.FromString(message.data)
            if request.HasField("add_track"):
                tracks += 1
                if tracks == 2:
                    refused = rtc.RequestResponse(
                        reason=rtc.RequestResponse.NOT_ALLOWED, add_track=request.add_track
                    )
                    await say(ws, request_response=refused)

    async with no_leaks(grace=5), scripted(script) as url, join(url, token=TOKEN) as call:
        track = synthetic_track("audio")
        with pytest.raises(RTCTimeoutError):
            await call.publish(track)
        with pytest.raises(SignalingRefused, match="NOT_ALLOWED"):
            await call.publish(track)
        with pytest.raises(RTCTimeoutError):
            await call.set_metadata({"a": 1})
        assert call.publications == {}
        assert call.ended is None
        with pytest.raises(ValueError, match="15000"):
            await call.service.send_data("x" * 15_001)
        track.stop()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("what", ["nothing", "nonsense", "refusal", "newer refusal"])
async def test_cannot_come_back(what: str) -> None:
    """The server ends the socket, and later ones in the middle of resuming: the call ends with a reason."""

    async def script(ws: web.WebSocketResponse, number: int) -> None:
        if number == 0:
            await say(ws, join=JOIN)
        elif what == "nonsense":
            await say(ws, pong=1)
        elif "refusal" in what:
            reason = models.DisconnectReason.JOIN_FAILURE if what == "refusal" else 99
            await say(ws, leave=rtc.LeaveRequest(reason=reason))

    async with no_leaks(grace=5), scripted(script) as url, join(url, token=TOKEN) as call:
        events = await events_of(call)
        assert [type(event) for event in events] == [Reconnecting, Ended]
        assert events[-1].reason == ("refused" if "refusal" in what else "connection-lost")


async def test_two_calls() -> None:
    """Messages and metadata between two of ours; a resume and a full reconnect; nothing is left."""
    async with no_leaks(grace=5), LiveKitServer() as server:
        url = f"livekit+{server.url}?room=lobby"
        key = {"api_key": "devkey", "api_secret": server.keys["devkey"]}
        async with join(url, name="a", **key) as first, join(url, name="b", **key) as second:
            seen: list[Any] = []

            async def follow() -> None:
                async for event in second.events():
                    seen.append(event)  # noqa: PERF401  (they are looked at meanwhile)

            following = asyncio.create_task(follow())
            await first.set_metadata({"mood": "good", "attributes": {"colour": "red"}})
            await first.send("hello", "b")
            await until(lambda: any(isinstance(event, Message) for event in seen))
            assert second.participants["a"].metadata == {"mood": "good", "attributes": {"colour": "red"}}
            for action in (rtc.LeaveRequest.RESUME, rtc.LeaveRequest.RECONNECT):
                seen.clear()
                await server.leave("b", models.DisconnectReason.STATE_MISMATCH, action)
                await until(lambda: any(isinstance(event, Reconnected) for event in seen))
                assert list(second.participants) == ["a"]
            assert (server.joins, server.resumes) == (3, 1)
            await first.send("again")
            await until(lambda: any(isinstance(event, Message) for event in seen))
            assert first.ignored == second.ignored == {}
        await following
        assert seen[-1] == Ended("left")


async def test_streams_calls_and_what_the_server_tells() -> None:
    """Between two of ours: long messages, streams, remote calls, qualities, permissions, subscriptions by hand."""
    voice = synthetic_track("audio")
    async with no_leaks(grace=5), LiveKitServer() as server:
        url = f"livekit+{server.url}?room=lobby"
        key = {"api_key": "devkey", "api_secret": server.keys["devkey"]}
        async with (
            join(url, name="a", **key) as first,
            join(url, name="b", auto_subscribe=False, **key) as second,
        ):
            heard = Diary(second)
            a, b = first.service, second.service
            assert isinstance(a, LiveKitRoom)
            assert isinstance(b, LiveKitRoom)
            await until(lambda: first.participants)
            long = ("ü" * 40_000, b"\x00" * 40_000)
            for number, value in enumerate(long, 1):
                await first.send(value, "b")
                assert (await heard.get(Message, number)).data == value
            await a.send_data(b"x", topic="state")
            assert (await heard.get(Message, 3)).topic == "state"
            b.rpc.register("shout", lambda call: f"{call.caller}: {call.payload.upper()}")
            assert await a.rpc.call("b", "shout", "hello") == "a: HELLO"
            with pytest.raises(LiveKitRpcError, match="not found"):
                await a.rpc.call("nobody", "shout")

            server.set_quality("a", "poor", 1.5)
            judged = await heard.get(ConnectionQualityChanged)
            assert (judged.participant.id, judged.quality, judged.score) == ("a", "poor", 1.5)
            assert b.qualities == {"a": "poor"}

            await first.publish(voice, name="voice")
            await until(lambda: b.participant_info("a").tracks)
            participant = second.participants["a"]
            with pytest.raises(InvalidStateError, match="no track"):
                await b.subscribe(participant, "camera")
            assert not heard.of(TrackSubscribed)
            await b.subscribe(participant, "voice")
            track = (await heard.get(TrackSubscribed)).track
            await track.recv()
            await b.set_track(participant, "voice", enabled=False)
            await b.set_track(participant, "voice", quality="low")
            with pytest.raises(ValueError, match="loud"):
                await b.set_track(participant, "voice", quality="loud")
            await b.subscribe(participant, "voice", wanted=False)
            await heard.get(TrackUnsubscribed)
            assert track.readyState == "ended"
            await b.subscribe(participant, "voice")
            await heard.get(TrackSubscribed, 2)
            await a.allow_subscribers({"somebody else": None})
            assert not (await heard.get(SubscriptionAllowed)).allowed
            await heard.get(TrackUnsubscribed, 2)
            await a.allow_subscribers({"b": ["voice"]})
            assert (await heard.get(SubscriptionAllowed, 2)).allowed
            await b.subscribe(participant, "voice")
            await heard.get(TrackSubscribed, 3)
            # after a full reconnect what was asked for is asked for again
            await server.leave("b", models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.RECONNECT)
            await until(lambda: b.renewals == 1 and server.participant("b").media.subscriptions)
            assert b.participant_info("b").identity == "b"
            assert first.ignored == second.ignored == {}
        await heard.task
    voice.stop()


async def test_what_a_moderator_does() -> None:
    """Our track is taken out and may come back; data of no participant; who is an agent; a right that is not there."""
    voice = synthetic_track("audio")
    async with no_leaks(grace=5), LiveKitServer() as server:
        url = f"livekit+{server.url}"
        async with (
            join(url, token=server.token("a", "lobby")) as first,
            join(url, token=server.token("b", "lobby", kind="agent")) as second,
        ):
            heard = Diary(first)
            assert isinstance(first.service, LiveKitRoom)
            await second.publish(voice, name="voice")
            await heard.get(TrackSubscribed)
            await server.update_participant("b", metadata='{"mood": "tired"}', can_publish=False)
            await heard.get(TrackUnsubscribed)
            await until(lambda: not second.publications)
            assert first.participants["b"].metadata == {"mood": "tired"}
            with pytest.raises(SignalingRefused, match="NOT_ALLOWED"):
                await second.publish(voice, name="voice")
            await server.update_participant("b", can_publish=True)
            await second.publish(voice, name="voice")
            track = (await heard.get(TrackSubscribed, 2)).track
            await track.recv()
            info = first.service.participant_info("b")
            assert info is not None
            assert info.kind == models.ParticipantInfo.AGENT
            server.send_data("lobby", b"news", topic="news", to=["a"])
            message = await heard.get(Message)
            assert (message.sender, message.data, message.topic) == (None, b"news", "news")
            assert first.ignored == second.ignored == {}
        await heard.task
    voice.stop()


async def test_another_region() -> None:
    """The server says where to begin anew; where that is wrong, the first server is asked again."""
    async with no_leaks(grace=5), LiveKitServer() as server, LiveKitServer() as other:
        url = f"livekit+{server.url}?room=lobby"
        key = {"api_key": "devkey", "api_secret": server.keys["devkey"]}
        async with join(url, name="a", **key) as call:
            heard = Diary(call)
            reason = models.DisconnectReason.SERVER_SHUTDOWN
            regions = ["http://127.0.0.1:9", other.url.replace("ws:", "http:")]
            await server.leave("a", reason, rtc.LeaveRequest.RECONNECT, regions=regions)
            await heard.get(Reconnected)
            assert (server.joins, other.joins) == (1, 1)
            await other.leave("a", reason, rtc.LeaveRequest.RECONNECT)
            await heard.get(Reconnected, 2)
            assert (server.joins, other.joins) == (2, 1)
        await heard.task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("quick")
async def test_media_that_never_come() -> None:
    """A server that lets us in and never answers our offer: the session is made anew."""
    sockets = 0

    async def script(ws: web.WebSocketResponse, number: int) -> None:
        nonlocal sockets
        sockets += 1
        await say(ws, join=JOIN)
        if number == 1:
            await say(ws, leave=rtc.LeaveRequest(reason=models.DisconnectReason.MEDIA_FAILURE))
        await drain(ws)

    async with no_leaks(grace=5), scripted(script) as url, join(url, token=TOKEN) as call:
        events = await events_of(call)
        assert [type(event) for event in events] == [Reconnecting, Ended]
        assert events[-1].reason == "connection-lost"
        assert sockets == 2
