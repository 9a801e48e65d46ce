"""`join("livekit+ws://...")` in a room of the test server, with LiveKit's own Python SDK as the other participant."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from rtcpeer.calls import CallEvent, Ended, Message, TrackMuted, TrackSubscribed, TrackUnsubscribed, join
from rtcpeer.calls.livekit import LiveKitRoom
from rtcpeer.signaling.livekit.messages import models, rtc
from rtcpeer.testing import synthetic_track
from rtcpeer.testing.livekit import LiveKitServer
from tests.interop.chromium import until
from tests.interop.livekit_sdk import sdk_participant

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


class Ears:
    """What a remote track brings."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self.frames = 0
        self.level = 0.0
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while self.track.readyState == "live":
            frame = await self.track.recv()
            self.frames += 1
            plane = frame.to_ndarray()
            if self.track.kind == "audio":
                self.level = float(np.abs(plane.astype(np.int32)).mean())
            else:
                self.level = float(plane[: frame.height].mean())


async def test_with_the_sdk() -> None:
    """Media by content and data both ways; mute; a resume and a full reconnect under which tracks live on; the end."""
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("sdk", "lobby", name="Sdk")) as sdk,
    ):
        microphone, camera = await sdk.publish()
        events: list[CallEvent] = []
        url = "livekit+" + server.url
        async with join(url, token=server.token("bot", "lobby"), metadata={"role": "echo"}) as call:

            async def follow() -> None:
                async for event in call.events():
                    events.append(event)  # noqa: PERF401  (they are looked at meanwhile)

            following = asyncio.create_task(follow())
            voice, picture = synthetic_track("audio"), synthetic_track("video")
            spoken = await call.publish(voice, name="voice")
            await call.publish(picture, name="picture")

            def found(kind: type[CallEvent]) -> list[Any]:
                return [event for event in events if isinstance(event, kind)]

            await until(lambda: len(found(TrackSubscribed)) == 2, 20)
            ears = {event.kind: Ears(event.track) for event in found(TrackSubscribed)}
            assert {event.name for event in found(TrackSubscribed)} == {"microphone", "camera"}
            await until(lambda: ears["audio"].level > 2000 and abs(ears["video"].level - 180) < 12, 20)
            await until(lambda: sdk.loudness.get("bot", 0) > 500 and "bot" in sdk.picture, 20)
            assert sdk.room.remote_participants["bot"].metadata == '{"role": "echo"}'

            await call.send("to all")
            await call.send(b"to one", "sdk")
            await until(lambda: len(sdk.data) == 2, 10)
            assert sdk.data == [(b"to all", "rtcpeer.text", "bot"), (b"to one", "", "bot")]
            await sdk.room.local_participant.publish_data(b"bytes")
            await sdk.room.local_participant.publish_data("text", topic="rtcpeer.text")
            await until(lambda: len(found(Message)) == 2, 10)
            assert [(event.sender.id, event.data) for event in found(Message)] == [
                ("sdk", b"bytes"),
                ("sdk", "text"),
            ]

            microphone.track.mute()
            await until(lambda: [e.muted for e in found(TrackMuted)] == [True], 10)
            microphone.track.unmute()
            await spoken.mute()
            await until(lambda: "track_muted" in sdk.events, 10)
            await spoken.unmute()

            service = call.service
            assert isinstance(service, LiveKitRoom)
            await server.drop("bot")
            await until(lambda: "Reconnected" in [type(e).__name__ for e in events], 20)
            assert (service.resumes, service.renewals) == (1, 0)
            frames = ears["video"].frames
            await until(lambda: ears["video"].frames > frames + 10, 20)

            events.clear()
            sid = service.sid
            await server.leave("bot", models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.RECONNECT)
            await until(lambda: "Reconnected" in [type(e).__name__ for e in events], 20)
            assert service.renewals == 1
            assert service.sid != sid
            frames = ears["video"].frames
            sdk.loudness.clear()
            await until(lambda: ears["video"].frames > frames + 10 and sdk.loudness.get("bot", 0) > 500, 20)
            assert not found(TrackSubscribed)
            assert not found(TrackUnsubscribed)

            token = server.refresh_token("bot")
            await until(lambda: service.token == token, 10)
            await sdk.room.local_participant.unpublish_track(camera.sid)
            await until(lambda: [e.name for e in found(TrackUnsubscribed)] == ["camera"], 10)
            await server.leave("bot", models.DisconnectReason.PARTICIPANT_REMOVED)
            await until(lambda: found(Ended), 10)
            assert found(Ended)[0].reason == "removed"
            assert call.ignored == {}
            await following
        for ear in ears.values():
            ear.task.cancel()
        await asyncio.gather(*(ear.task for ear in ears.values()), return_exceptions=True)


async def test_simulcast() -> None:
    """Three sizes of one picture; the subscriber gets the one that it asks for."""
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("sdk", "lobby"), single=False) as sdk,
        join(
            f"livekit+{server.url}?room=lobby",
            api_key="devkey",
            api_secret=server.keys["devkey"],
            name="bot",
            simulcast=True,
        ) as call,
    ):
        await call.publish(synthetic_track("video", {"width": 640, "height": 360}), name="camera")
        await until(lambda: sdk.picture.get("bot", (0, 0, 0))[0] > 0, 20)
        (track,) = server.participant("bot").tracks.values()
        assert [layer.rid for layer in track.info.layers] == ["q", "h", "f"]
        subscription = server.participant("sdk").media.subscriptions[track.info.sid]
        output = subscription.output
        assert output is not None
        await until(lambda: len(output.stats()["layers"]) == 3, 20)
        (publication,) = sdk.room.remote_participants["bot"].track_publications.values()
        assert publication.simulcasted
        subscription.layer = "q"
        subscription.apply()
        await until(lambda: sdk.picture["bot"][0] == 160, 20)
