"""Calls in a mesh on the virtual network: tracks by name, mute, messages, outages, the end."""

import asyncio

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
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import scenario
from tests.unit.calls.fakes import Diary, Hub, HubService, entered

PICTURE = {"width": 160, "height": 120, "frameRate": 10}


class Meeting:
    """Calls of one hub, each on a host of its own."""

    def __init__(self, scene):
        self.scene, self.hub, self.calls = scene, Hub(), []

    async def join(self, name):
        host = self.scene.network.add_host(name)
        call = await entered(HubService(self.hub, host), name=name)
        self.calls.append(call)
        return call, Diary(call)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for call in self.calls:
            await call.close()


@scenario
async def test_tracks_have_names_and_end(scene):
    voice, camera = synthetic_track("audio"), synthetic_track("video", PICTURE)
    async with Meeting(scene) as meeting:
        alice, _ = await meeting.join("alice")
        shown = await alice.publish(camera, name="camera")
        _, bob = await meeting.join("bob")
        seen = await bob.get(TrackSubscribed)
        assert (seen.name, seen.kind, seen.participant.id) == ("camera", "video", "alice")
        await seen.track.recv()
        spoken = await alice.publish(voice)
        assert (await bob.get(TrackSubscribed, 2)).name == "audio"
        await spoken.mute()
        assert (await bob.get(TrackMuted)).muted
        await spoken.unmute()
        assert not (await bob.get(TrackMuted, 2)).muted
        await spoken.unpublish()
        await shown.unpublish()
        await bob.get(TrackUnsubscribed, 2)
        assert seen.track.readyState == "ended"
        # a section that is used again brings another track
        await alice.publish(camera, name="screen")
        again = await bob.get(TrackSubscribed, 3)
        assert again.name == "screen"
        assert again.track is not seen.track
        await again.track.recv()
        # somebody who comes later gets what is there now
        _, carol = await meeting.join("carol")
        assert (await carol.get(TrackSubscribed)).name == "screen"
    assert camera.readyState == "live"
    voice.stop()
    camera.stop()


@scenario
async def test_messages_metadata_and_leaving(scene):
    async with Meeting(scene) as meeting:
        alice, heard_a = await meeting.join("alice")
        bob, heard_b = await meeting.join("bob")
        _, heard_c = await meeting.join("carol")
        await bob.send("to all, before anybody is connected")
        await alice.send(b"\x00\x01", "carol")
        assert (await heard_a.get(Message)).data == "to all, before anybody is connected"
        await heard_c.get(Message, 2)
        assert {(m.sender.id, m.data) for m in heard_c.of(Message)} == {
            ("bob", "to all, before anybody is connected"),
            ("alice", b"\x00\x01"),
        }
        await alice.set_metadata({"hand": "up"})
        updated = await heard_b.get(ParticipantUpdated)
        assert dict(updated.participant.metadata) == {"hand": "up"}
        await bob.close()
        left = await heard_a.get(ParticipantLeft)
        assert (left.participant.id, left.reason) == ("bob", "left")
        assert (await heard_b.get(Ended)).reason == "left"
        await heard_b.task
    assert len(heard_a.of(ParticipantJoined)) == 2


@scenario
async def test_a_track_is_one_object_over_an_outage_and_a_new_connection(scene):
    camera = synthetic_track("video", PICTURE)
    async with Meeting(scene) as meeting:
        alice, heard_a = await meeting.join("alice")
        bob, heard_b = await meeting.join("bob")
        await alice.publish(camera)
        track = (await heard_b.get(TrackSubscribed)).track
        await track.recv()
        with scene.network.hosts["bob"].link.outage():
            await heard_a.get(Reconnecting, timeout=60)
        await heard_a.get(Reconnected, timeout=60)
        await track.recv()
        alice.service.mesh.members["bob"].peer.recreate()
        await heard_a.get(Reconnected, 2, timeout=60)
        await asyncio.sleep(6)
        await track.recv()
        assert len(heard_b.of(TrackSubscribed)) == 1
        assert bob.participants["alice"].tracks == {"video": track}
        assert not heard_b.of(TrackUnsubscribed)
    camera.stop()


@scenario
async def test_nonsense_on_the_control_channel(scene):
    async with Meeting(scene) as meeting:
        alice, heard_a = await meeting.join("alice")
        bob, _ = await meeting.join("bob")
        await bob.send("connected")
        await heard_a.get(Message)
        control = bob.service.mesh.members["alice"]._channels["control"]
        said = ["{", "[]", '{"muted": 3}', b"\x00", "x" * 70_000, '{"muted": ["nothing"]}', "[" * 30_000]
        for nonsense in said:
            control.send(nonsense)
        control.send('{"metadata": {"after": 1}}')
        await heard_a.get(ParticipantUpdated)
        assert alice.ignored == {"control message": 6}
