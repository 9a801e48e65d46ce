"""Servers of PeerJS and RTCMultiConnection that say what makes no sense: it is counted, and nothing else happens."""

import asyncio
import json
from collections import Counter
from types import SimpleNamespace

import pytest

from rtcpeer.calls.host import CallHost
from rtcpeer.calls.peerjs.binarypack import pack
from rtcpeer.calls.peerjs.connections import PeerJSCall, PeerJSData
from rtcpeer.calls.peerjs.peer import PeerJS
from rtcpeer.calls.peerjs.service import PeerJSService
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import InvalidStateError
from rtcpeer.media.event_target import EventTarget
from rtcpeer.testing import no_leaks

rtcmc = pytest.importorskip("rtcpeer.calls.rtcmulticonnection", reason="the extra socketio is not installed")


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=1):
        yield


async def test_a_peer_server():
    peer = PeerJS("http://example.org/", id="me")
    for frame in (
        "{",
        "[]",
        "{}",
        '{"type": "OFFER"}',
        '{"type": "OFFER", "src": "a", "payload": {"connectionId": "c", "type": "nothing"}}',
        '{"type": "ANSWER", "src": "a", "payload": {"connectionId": "unknown", "sdp": 3}}',
        '{"type": "CANDIDATE", "src": "a", "payload": []}',
        '{"type": "LEAVE", "src": "nobody"}',
        '{"type": "WHAT"}',
        "[" * 50_000,
    ):
        peer.link.hear_untrusted(frame)
    assert peer.counters == {"frame": 6, "unknown connection": 2}
    offer = {"connectionId": "c", "type": "media", "sdp": {"type": "offer", "sdp": "nonsense"}}
    peer.link.hear_untrusted(json.dumps({"type": "OFFER", "src": "a", "payload": offer}))
    call = await anext(peer)
    assert isinstance(call, PeerJSCall)
    peer.link.hear_untrusted(
        json.dumps({"type": "CANDIDATE", "src": "b", "payload": {"connectionId": "c", "candidate": {}}})
    )
    assert peer.counters["connection of another"] == 1
    peer.link.hear_untrusted('{"type": "LEAVE", "src": "a"}')
    await peer.close()
    await peer.close()


async def test_messages_of_a_peerjs_connection():
    peer = PeerJS("http://example.org/", id="me")
    data = PeerJSData(
        peer.link,
        peer.session,
        "a",
        connection_id="c",
        metadata=None,
        offers=False,
        label=None,
        serialization="binary",
        reliable=True,
    )

    class Event:
        def __init__(self, data):
            self.data = data

    nonsense = [
        b"",
        b"\xc4",
        "text",
        pack({"__peerData": 1}),
        pack({"__peerData": 1, "n": 5, "total": 2, "data": b"x"}),
        pack({"__peerData": 1, "n": 0, "total": 2**40, "data": b"x"}),
        pack({"__peerData": [1], "n": 0, "total": 2, "data": b"x"}),
        pack({"__peerData": 1, "n": float("inf"), "total": 2, "data": b"x"}),
        pack({"__peerData": 1, "n": 0, "total": 2, "data": 1 << 40}),  # a number of bytes, as Python reads it
        pack({"__peerData": 1, "n": 0, "total": 2, "data": [1, 2]}),
        pack({"__peerData": 1, "n": 0, "total": 2, "data": bytes(200_000)}),
    ]
    for each in nonsense:
        data._take(Event(each))
    assert peer.counters["message"] >= 10
    for number in range(200):  # messages that are never whole
        data._take(Event(pack({"__peerData": number, "n": 0, "total": 2, "data": b"x"})))
    assert len(data._codec._pieces) <= 64
    for number in range(5):  # and large ones
        for index in range(1000):
            data._take(Event(pack({"__peerData": number, "n": index, "total": 1001, "data": bytes(16_300)})))
    assert sum(len(piece) for one in data._codec._pieces.values() for piece in one.values()) <= 32 << 20
    whole = pack("hello")
    for index in (1, 0):
        data._take(Event(pack({"__peerData": 999, "n": index, "total": 2, "data": whole[index * 3 :][:3]})))
    assert data._arrived[-1][0] == "hello"
    for _ in range(10_001):  # nobody reads
        data._take(Event(pack("hello")))
    assert peer.counters["unread message"] > 0
    assert len(data._arrived) == 10_000
    large = pack(bytes(1_000_000))
    for _ in range(200):
        data._take(Event(large))
    assert 60 < len(data._arrived) < 70
    assert data._arrived_bytes <= 64 << 20
    await data.peer.close()
    await peer.close()


async def test_pieces_of_rtcmulticonnections_messages_are_bounded_however_small_they_are():
    class Host:
        track_unsubscribed = None

        def __init__(self):
            self.messages, self.counters = [], Counter()

        def message(self, _id, data):
            self.messages.append(data)

        def ignored(self, what, _detail):
            self.counters[what] += 1

    host = Host()
    member = rtcmc.RtcmcMember(SimpleNamespace(host=host), "other", EventTarget(), offers=False)

    def say(uuid, message, **more):
        member._take_message(SimpleNamespace(data=json.dumps({"uuid": uuid, "message": message, **more})))

    for number in range(3000):
        say("dust", "x" * (number % 2))
    say("dust", "end", last=True)
    assert host.messages == ["x" * 1500 + "end"]
    for number in range(400):  # messages that are never whole
        say(f"m{number}", "x")
    assert len(member._pieces) <= 256
    for number in range(100):  # and large ones
        say(f"l{number}", "x" * 1_000_000)
    assert sum(one.size for one in member._pieces.values()) == member._collected <= 8 << 20
    for number in range(100):  # and such with long names
        say("n" * 500_000 + str(number), "x")
    assert sum(map(len, member._pieces)) <= 8 << 20
    for _ in range(2):
        say("huge", "x" * 1_000_000)
    for _ in range(40_000):
        say("nothing", "")
    assert host.counters["huge message"] >= 2
    assert host.counters["huge message"] >= 3
    say("one", "[1,", isobject=True)
    say("one", "2]", isobject=True, last=True)
    assert host.messages[-1] == [1, 2]
    for uuid in list(member._pieces):
        say(uuid, "", last=True)
    assert (member._pieces, member._collected) == ({}, 0)


async def test_a_peerjs_peer_that_takes_nothing_keeps_nothing_from_the_others():
    request = JoinRequest("http://example.org/")
    service = PeerJSService(request)
    host = service._host = CallHost(request, lambda _: None)
    for name in ("full", "other"):
        host.participant_joined(name)
        service._other(name).data = object()
    for number in range(1000):
        await service.send(number, host.participants["full"])
    with pytest.raises(InvalidStateError, match="1000 messages wait for full"):
        await service.send("hello", None)
    assert service._other("other").outbox.get_nowait() == "hello"


async def test_a_server_of_rtcmulticonnection():
    request = JoinRequest("http://example.org/?room=x", options={"userid": "me"})
    service = rtcmc.RtcmcService(request)
    host = CallHost(request, lambda _: None)
    service._host, service._mesh = host, rtcmc.Mesh(host)
    told = []

    async def tell(user, message):
        told.append((user, message))

    service.tell = tell
    for frame in (
        None,
        7,
        {},
        {"sender": "a"},
        {"sender": "a", "message": 3, "remoteUserId": "me"},
        {"sender": "a", "message": {"type": "answer", "sdp": "x"}, "remoteUserId": "me"},
        {"sender": "a", "message": {"candidate": []}, "remoteUserId": "me"},
        {"sender": "me", "message": {"newParticipationRequest": True}, "remoteUserId": "me"},
        {"sender": "a", "message": {"newParticipationRequest": True}, "remoteUserId": "somebody else"},
        {"sender": "a", "message": {"streamSyncNeeded": True, "action": []}, "remoteUserId": "me"},
        {"sender": "a", "message": {"userLeft": True}, "remoteUserId": "me"},
    ):
        await service._take(frame)
    await service._take_extra("nobody", {"name": 3})
    await service._take_extra()
    assert host.participants == {}
    assert host.counters["frame"] == 4
    asked = {"enableMedia": True, "userPreferences": "nonsense"}
    for _ in range(3):  # it repeats itself
        await service._take({"sender": "b", "message": asked, "extra": {"name": 5}, "remoteUserId": "me"})
    assert [user for user, _ in told] == ["b"] * 3
    assert list(host.participants) == ["b"]
    offer = {"type": "offer", "sdp": "nonsense"}
    await service._take({"sender": "b", "message": offer, "remoteUserId": "me"})
    await asyncio.sleep(0.05)
    host.ended("left")
    await service.leave()
    await host.stop_tasks()
