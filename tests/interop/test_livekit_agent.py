"""What an author of an agent does with LiveKit's Python SDK at the test server, and what a moderator does to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.signaling.livekit.messages import models
from rtcpeer.testing.livekit import LiveKitServer
from tests.interop.chromium import until
from tests.interop.livekit_sdk import SdkParticipant, rtc, sdk_participant

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

BOTH = pytest.mark.parametrize("single", [False, True], ids=["two connections", "one connection"])


def publication(room: Any, identity: str, name: str) -> Any:
    """What somebody publishes under a name."""
    found = room.remote_participants[identity].track_publications.values()
    return next((one for one in found if one.name == name), None)


async def hears_anew(agent: SdkParticipant, identity: str) -> None:
    agent.loudness.pop(identity, None)
    await until(lambda: agent.loudness.get(identity, 0) > 2000, 20)


@BOTH
async def test_an_agent_chooses_what_it_hears(single: bool) -> None:
    """Tracks come when it asks for them, go, and come again; one that was forbidden meanwhile comes back by itself."""
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("user", "lobby"), single=single) as user,
        sdk_participant(
            server.url, server.token("agent", "lobby", kind="agent"), single=single, auto_subscribe=False
        ) as agent,
    ):
        microphone, _ = await user.publish()
        await until(lambda: publication(agent.room, "user", "microphone") and len(agent.published) == 2, 20)
        voice = publication(agent.room, "user", "microphone")
        assert not agent.tracks
        for wanted in (True, False, True, False, True):
            agent.events.clear()
            voice.set_subscribed(wanted)
            told = "track_subscribed" if wanted else "track_unsubscribed"
            await until(lambda told=told: told in agent.events, 20)
            if wanted:
                await hears_anew(agent, "user")
        assert set(agent.tracks) == {("user", rtc.TrackKind.KIND_AUDIO)}
        await asyncio.wait_for(microphone.wait_for_subscription(), 20)

        user.room.local_participant.set_track_subscription_permissions(allow_all_participants=False)
        await until(lambda: not server.participant("agent").media.subscriptions, 20)
        user.room.local_participant.set_track_subscription_permissions(allow_all_participants=True)
        await until(lambda: len(server.participant("agent").media.subscriptions) == 1, 20)
        assert not server.participant("agent").ignored


@BOTH
async def test_what_a_moderator_does(single: bool) -> None:
    """It changes names, metadata, attributes and rights, sends data, mutes, watches unseen, and ends the room."""
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("user", "lobby"), single=single) as user,
        sdk_participant(server.url, server.token("agent", "lobby", kind="agent"), single=single) as agent,
        sdk_participant(server.url, server.token("ghost", "lobby", hidden=True), single=single) as ghost,
    ):
        await until(lambda: "agent" in user.room.remote_participants, 20)
        there = user.room.remote_participants["agent"]
        assert there.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        assert set(ghost.room.remote_participants) == {"user", "agent"}
        assert set(user.room.remote_participants) == {"agent"}
        await until(lambda: user.room.num_participants == 3, 20)
        assert user.room.creation_time.year > 2020
        assert (await user.room.sid).startswith("RM_")

        microphone, _ = await agent.publish()
        await hears_anew(user, "agent")
        await until(lambda: user.room.num_publishers == 1, 20)
        server.mute("agent", microphone.sid)
        await until(lambda: "track_muted" in user.events and microphone.muted, 20)
        server.mute("agent", microphone.sid, False)
        await until(lambda: "track_unmuted" in user.events and not microphone.muted, 20)
        await server.update_participant(
            "agent", name="Agent", metadata="busy", attributes={"lk.agent.state": "thinking"}
        )
        await until(lambda: there.attributes == {"lk.agent.state": "thinking"}, 20)
        assert (there.name, there.metadata) == ("Agent", "busy")
        await until(lambda: agent.room.local_participant.metadata == "busy", 20)
        server.send_data("lobby", b"to all", topic="news")
        server.send_data("lobby", b"to one", to=["agent"], reliable=False)
        await until(lambda: len(agent.data) == 2 and user.data, 20)
        assert user.data == [(b"to all", "news", None)]

        await server.update_participant("agent", can_publish=False, can_publish_data=False)
        await until(lambda: not there.track_publications, 20)
        await until(lambda: "participant_permissions_changed" in agent.events, 20)
        assert not agent.room.local_participant.permissions.can_publish
        await server.update_participant("agent", can_publish=True, can_publish_data=True)
        await agent.publish()
        await hears_anew(user, "agent")
        await server.update_participant("user", can_subscribe=False)
        await until(lambda: not server.participant("user").media.subscriptions, 20)
        await server.update_participant("user", can_subscribe=True)
        await hears_anew(user, "agent")
        assert not server.participant("agent").ignored

        await server.delete_room("lobby")
        await until(lambda: user.reason is not None and agent.reason is not None, 20)
        assert user.reason == agent.reason == models.DisconnectReason.ROOM_DELETED
        assert server.rooms == {}


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_pictures_are_called_by_their_codec(codec: str) -> None:
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("user", "lobby")) as user,
        sdk_participant(server.url, server.token("agent", "lobby")) as agent,
    ):
        await user.publish(codec=codec)
        await until(lambda: agent.picture.get("user", (0,))[0] in (80, 160, 320), 20)
        assert publication(agent.room, "user", "camera").mime_type == f"video/{codec}"
        stats = await agent.room.get_rtc_stats()
        received = {one.codec.codec.mime_type for one in stats.publisher_stats if one.HasField("codec")}
        assert f"video/{codec}" in received
