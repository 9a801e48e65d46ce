"""The state of a call: what is told, and that nonsense of a service is counted and nothing else."""

import asyncio

import pytest

from rtcpeer.calls.events import (
    Ended,
    Message,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    Reconnecting,
    TrackMuted,
    TrackSubscribed,
    TrackUnsubscribed,
)
from rtcpeer.calls.host import MESSAGE_MAX, PARTICIPANTS_MAX, TRACKS_MAX, UNREAD_MAX, CallHost
from rtcpeer.calls.request import JoinRequest
from rtcpeer.media.track import MediaStreamTrack


class Track(MediaStreamTrack):
    def __init__(self, kind="audio"):
        super().__init__()
        self.kind = kind

    async def recv(self):
        raise NotImplementedError


@pytest.fixture
async def host():
    return CallHost(JoinRequest("ws://example.org/"), lambda _: None)


def told(host):
    stream = host._first or host.open_stream()
    events, stream._inbox.items = list(stream._inbox.items), type(stream._inbox.items)()
    return events


async def test_participants_and_tracks(host):
    bob = host.participant_joined("b", "Bob", {"hat": "red"})
    track, other = Track(), Track()
    assert host.track_subscribed("b", "voice", track) == "voice"
    assert host.track_subscribed("b", "voice", other) == "voice-2"
    assert bob.track("voice") is track
    assert bob.track("audio") is track
    assert bob.track("video") is None
    host.track_muted("b", "voice", True)
    host.track_muted("b", "voice", True)
    assert bob.muted == {"voice"}
    host.participant_joined("b", "Robert")
    host.participant_updated("b", metadata={"hat": "red"})
    host.track_unsubscribed("b", "voice-2")
    host.participant_left("b", "removed")
    assert not bob.is_present
    assert [type(event) for event in told(host)] == [
        ParticipantJoined,
        TrackSubscribed,
        TrackSubscribed,
        TrackMuted,
        ParticipantUpdated,
        TrackUnsubscribed,
        TrackUnsubscribed,
        ParticipantLeft,
    ]
    assert (bob.name, dict(bob.metadata)) == ("Robert", {"hat": "red"})
    assert host.participants == {}
    assert not host.counters


async def test_nonsense_is_counted(host):
    host.participant_joined("a")
    track = Track()
    host.track_subscribed("a", "x", track)
    told(host)
    host.track_subscribed("a", "y", track)  # the same object once more
    host.track_subscribed("nobody", "x", Track())
    host.track_unsubscribed("a", "unknown")
    host.track_muted("a", "unknown", True)
    host.message("nobody", "x")
    host.message("a", "x" * (MESSAGE_MAX + 1))
    host.participant_left("nobody")
    host.participant_joined("")
    host.participant_joined("i" * 300)
    host.participant_joined("a", name=17, metadata=[1])
    host.participant_joined("a", metadata={str(n): n for n in range(100)})
    host.reconnecting("x", "nobody")
    host.reconnected()
    assert told(host) == []
    assert host.counters == {
        "track": 1,
        "unknown participant": 2,
        "huge message": 1,
        "participant": 2,
        "name": 1,
        "metadata": 2,
    }


async def test_bounds(host):
    host.participant_joined("a")
    for number in range(TRACKS_MAX + 1):
        host.track_subscribed("a", f"t{number}", Track())
    assert len(host.participants["a"].tracks) == TRACKS_MAX
    for number in range(PARTICIPANTS_MAX):
        host.participant_joined(f"p{number}")
    assert len(host.participants) == PARTICIPANTS_MAX
    stream = host.open_stream()
    stream._inbox.items.clear()
    stream.dropped = 0
    host.reconnecting("network")
    for number in range(UNREAD_MAX + 5):
        host.message("a", str(number))
    assert stream.dropped == 6
    assert isinstance(stream._inbox.items[0], Reconnecting)  # messages are dropped, nothing else
    assert stream._inbox.items[1].data == "6"


@pytest.mark.parametrize("large", ["x" * 1_000_000, {"a": ["x" * 500_000, {"b": b"x" * 500_000}]}])
async def test_messages_that_nobody_reads_are_bounded_in_bytes_and_the_newest_stay(host, large):
    host.participant_joined("a")
    stream = host.open_stream()
    for number in range(200):
        host.message("a", str(number))
        host.message("a", large)
    waiting = [event.data for event in stream._inbox.items if isinstance(event, Message)]
    assert 30 <= waiting.count(large) <= 34
    assert waiting[-2:] == ["199", large]
    assert isinstance(stream._inbox.items[0], ParticipantJoined)
    assert stream.dropped == 400 - len(waiting)
    while stream._inbox.items:
        await anext(stream)
    assert stream._bytes == 0
    host.message("a", "x" * 1000)
    assert (await anext(stream)).data == "x" * 1000


async def test_later_readers_begin_with_what_is_there(host):
    first = host.open_stream()
    host.participant_joined("a")
    host.track_subscribed("a", "x", Track())
    host.message("a", "hello")
    second = host.open_stream()
    assert [type(e) for e in second._inbox.items] == [ParticipantJoined, TrackSubscribed]
    assert [type(e) for e in first._inbox.items] == [ParticipantJoined, TrackSubscribed, Message]
    host.ended("left")
    assert [type(e) for e in second._inbox.items][2:] == [TrackUnsubscribed, ParticipantLeft, Ended]
    third = host.open_stream()
    assert [type(e) async for e in third] == [Ended]
    host.close_stream(third)


async def test_reconnecting_is_told_once(host):
    host.participant_joined("a")
    told(host)
    for _ in range(2):
        host.reconnecting("network", "a")
        host.reconnecting("signaling")
    for _ in range(2):
        host.reconnected("a")
        host.reconnected()
    kinds = [(type(e), e.participant and e.participant.id) for e in told(host)]
    assert kinds == [(Reconnecting, "a"), (Reconnecting, None), (Reconnected, "a"), (Reconnected, None)]


async def test_after_the_end_nothing_is_told(host):
    ends = []
    host = CallHost(JoinRequest("ws://example.org/"), ends.append)
    host.participant_joined("a")
    host.ended("removed", ValueError("x"))
    host.ended("left")
    assert host.participant_joined("b") is None
    host.reconnecting("network")
    assert [end.reason for end in ends] == ["removed"]
    assert isinstance(told(host)[-1], Ended)


async def test_a_task_without_which_the_call_would_hang_ends_it_when_it_fails(host, caplog):
    async def fail():
        raise RuntimeError("of ours")

    host.spawn(fail(), "another")
    host.spawn(asyncio.sleep(0), "vital", vital=True)
    await asyncio.sleep(0.01)
    assert host.end is None
    host.spawn(asyncio.sleep(60), "cancelled", vital=True).cancel()
    await asyncio.sleep(0.01)
    assert host.end is None
    host.spawn(fail(), "vital", vital=True)
    await asyncio.sleep(0.01)
    assert (host.end.reason, str(host.end.error)) == ("signaling-ended", "of ours")
    assert caplog.text.count("RuntimeError: of ours") == 2


async def test_recommended_servers_give_way_to_those_of_the_application():
    from rtcpeer.config.configuration import read_configuration

    servers = read_configuration(iceServers=[{"urls": "stun:a.example"}]).iceServers
    host = CallHost(JoinRequest("ws://example.org/"), lambda _: None)
    host.recommend(servers)
    assert host.configuration.iceServers == servers
    own = read_configuration(iceServers=[{"urls": "stun:own.example"}])
    host = CallHost(JoinRequest("ws://example.org/", configuration=own), lambda _: None)
    host.recommend(servers)
    assert host.configuration is own
