"""Rooms as calls, against a room server on the loopback interface."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from rtcpeer.calls.events import (
    Ended,
    Message,
    ParticipantAway,
    ParticipantBack,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    TrackSubscribed,
)
from rtcpeer.calls.host import CallHost
from rtcpeer.calls.joining import join
from rtcpeer.calls.mesh import Mesh, MeshMember
from rtcpeer.calls.participant import Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.errors import InvalidStateError, NetworkError, OperationError, SignalingRefused
from rtcpeer.signaling import RoomServer
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fakes import Diary


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


async def test_a_room():
    voice = synthetic_track("audio")
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice") as alice, join(url, name="bob") as bob:
            heard_a, heard_b = Diary(alice), Diary(bob)
            assert [p.name for p in bob.participants.values()] == ["alice"]
            assert (await heard_a.get(ParticipantJoined)).participant.id == bob.id
            await alice.publish(voice, name="voice")
            await bob.send("hello", alice.id)
            assert (await heard_a.get(Message)).data == "hello"
            subscribed = await heard_b.get(TrackSubscribed)
            assert subscribed.name == "voice"
            await subscribed.track.recv()
            await bob.close()
            assert (await heard_a.get(ParticipantLeft)).participant.name == "bob"
            await heard_b.task
        await heard_a.task
    voice.stop()


async def test_metadata_are_known_with_the_member_and_to_those_who_come_later():
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice", metadata={"hat": "red"}) as alice, join(url) as bob:
            heard = Diary(bob)
            joined = (await heard.get(ParticipantJoined)).participant
            assert dict(joined.metadata) == {"hat": "red"}
            await alice.set_metadata({"hat": "blue"})
            await heard.get(ParticipantUpdated)
            assert dict(joined.metadata) == {"hat": "blue"}
            async with join(url) as carol:
                assert dict(carol.participants[alice.id].metadata) == {"hat": "blue"}
            with pytest.raises(ValueError, match="4096"):
                await alice.set_metadata({"hat": "x" * 5000})
            assert dict(alice.metadata) == {"hat": "blue"}
            assert len(heard.of(ParticipantUpdated)) == 1
        await heard.task


async def test_a_fault_of_ours_in_a_connection_ends_that_one_and_not_the_call(monkeypatch, caplog):
    async def broken(self):
        raise RuntimeError("of ours")

    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url) as alice:
            heard = Diary(alice)
            monkeypatch.setattr(MeshMember, "run", broken)
            async with join(url):
                assert (await heard.get(ParticipantLeft)).reason == "connection-lost"
            assert heard.of(Ended) == []
        await heard.task
    assert "of ours" in caplog.text


async def test_what_fails_with_one_member_is_done_with_the_others():
    """Above all: who is muted is muted towards everybody."""

    class Member:
        def __init__(self, error=None):
            self.error, self.done = error, []

        def _do(self, *what):
            self.done.append(what)
            if self.error is not None:
                raise self.error

        publish = unpublish = send = tell_state = _do  # of a mesh's members

        async def set_muted(self, publication):
            self._do(publication)

    mesh = Mesh(CallHost(JoinRequest("ws://example.org/"), lambda _: None))
    gone, full, last = (
        Member(InvalidStateError("closed")),
        Member(OperationError("the buffer is full")),
        Member(),
    )
    publication = Publication(
        synthetic_track("audio"), "voice", unpublish=mesh.unpublish, mute=mesh.set_muted
    )
    mesh._members = {"gone": gone, "last": last}
    for order in (mesh.publish, mesh.set_muted, mesh.set_metadata, mesh.unpublish):
        await order(publication)
    await mesh.send("hello", None)
    assert len(last.done) == 5
    mesh._members = {"gone": gone, "full": full, "last": last}
    for order in (mesh.publish, mesh.set_muted, mesh.set_metadata, mesh.unpublish):
        with pytest.raises(OperationError, match="full"):
            await order(publication)
    with pytest.raises(OperationError, match="full"):
        await mesh.send("hello", None)
    assert len(gone.done) == len(last.done) == 10
    publication.track.stop()


async def test_a_member_whose_socket_is_lost_is_away_until_it_is_back():
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice") as alice, join(url) as bob:
            heard = Diary(bob)
            await alice.service.room._socket.close()
            away = (await heard.get(ParticipantAway)).participant
            assert (await heard.get(ParticipantBack)).participant is away is bob.participants[alice.id]
            assert not away.is_away
            assert heard.of(ParticipantLeft) == []
        await heard.task


async def test_the_socket_is_lost_and_comes_back():
    async with RoomServer() as server, join(f"room+{server.url}?room=lobby") as call:
        diary = Diary(call)
        await call.service.room._socket.close()
        await diary.get(Reconnected)
    assert diary.of(Ended) == [] or diary.of(Ended)[0].reason == "left"
    diary.task.cancel()


async def test_kicked_members_hear_that_they_were_removed():
    async with RoomServer() as server, join(f"room+{server.url}?room=lobby") as call:
        diary = Diary(call)
        assert await server.kick("lobby", call.id, "spam")
        assert (await diary.get(Ended)).reason == "removed"
        await diary.task


async def test_ice_servers_that_the_server_pushes_are_used_from_then_on():
    names = iter("abc")
    provider = IceServerProvider(lambda: [RTCIceServer("turn:t.example", next(names), "p")], ttl=3600)
    async with (
        provider,
        RoomServer(provider=provider) as server,
        join(f"room+{server.url}?room=lobby") as call,
    ):
        pushed = asyncio.Event()
        call.service.room.addEventListener("iceservers", lambda _: pushed.set())
        provider._started_at = -1000.0  # it fetches once a second at most
        provider.refresh()
        async with asyncio.timeout(20):
            await pushed.wait()
        assert [s.username for s in call._host.configuration.iceServers] == ["b"]


async def test_refused_and_unreachable():
    async with RoomServer(authorize=lambda *_: False) as server:
        with pytest.raises(SignalingRefused, match="refuses"):
            await join(f"room+{server.url}?room=lobby", token="secret")
    with pytest.raises(NetworkError, match="cannot be reached"):
        await join(f"room+{server.url}?room=lobby")


LIES = {
    "closes at once": None,
    "no object": "[]",
    "nothing in it": "{}",
    "no text": b"\x00\x01",
    "deep": "[" * 50_000,
    "wrong members": '{"type": "entered", "id": 7, "members": [{"id": null}, 3], "iceServers": "x"}',
    "an error without reason": '{"type": "error"}',
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_server_that_lies(lie):
    async def handle(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        said = LIES[lie]
        if isinstance(said, bytes):
            await socket.send_bytes(said)
        elif said is not None:
            await socket.send_str(said)
        await socket.close()
        return socket

    async with served(handle) as port:
        with pytest.raises(NetworkError):
            await join(f"room+ws://127.0.0.1:{port}/?room=x", timeout=5)


async def test_a_server_that_floods_a_member_with_nonsense():
    entered = '{"type": "entered", "id": "me", "token": "t", "members": [{"id": "a", "name": "A"}]}'
    nonsense = [
        "{",
        "{}",
        '{"type": "message"}',
        '{"type": "left", "id": []}',
        '{"type": "joined", "member": 3}',
    ]

    async def handle(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_str(entered)
        for text in nonsense:
            await socket.send_str(text)
        await socket.send_str('{"type": "joined", "member": {"id": "b", "name": "B"}}')
        await socket.send_str(
            '{"type": "message", "from": "b", "message": {"type": "offer", "sdp": "nonsense"}}'
        )
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
        return socket

    async with served(handle) as port, join(f"room+ws://127.0.0.1:{port}/?room=x") as call:
        diary = Diary(call)
        await diary.get(ParticipantJoined, 2)
        await asyncio.sleep(0.05)
        assert {p.name for p in call.participants.values()} == {"A", "B"}
    await diary.task


class served:
    """An aiohttp application with one handler; gives its port."""

    def __init__(self, handle):
        self.handle = handle

    async def __aenter__(self):
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self.handle)
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return self.runner.addresses[0][1]

    async def __aexit__(self, *_):
        await self.runner.cleanup()


async def test_the_guide():
    """The program of docs/calls.md is a bot that greets, answers and ends."""
    guide = Path(__file__).parents[3].joinpath("docs", "calls.md").read_text()
    program = guide.split("```python\n")[1].split("```")[0].rsplit("run(bot(", 1)[0]
    names: dict = {}
    exec(compile(program, "docs/calls.md", "exec"), names)
    voice = synthetic_track("audio")
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        bot = asyncio.ensure_future(names["bot"](url))
        async with join(url, name="alice") as call:
            diary = Diary(call)
            await call.publish(voice)
            assert (await diary.get(Message)).data == "hello alice"
            subscribed = await diary.get(TrackSubscribed)
            assert (subscribed.participant.name, subscribed.name) == ("bot", "voice")
            await call.send("how are you?")
            assert (await diary.get(Message, 2)).data == "you said how are you?"
        bot.cancel()
        await asyncio.wait([bot])
        await diary.task
    voice.stop()
