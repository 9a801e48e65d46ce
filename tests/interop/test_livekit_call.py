"""`join("livekit+ws://...")` in a room of the test server, with LiveKit's own SDKs as the other participant."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from rtcpeer.calls import (
    CallEvent,
    Ended,
    Message,
    ParticipantJoined,
    TrackMuted,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.calls.livekit import (
    ConnectionQualityChanged,
    IncomingStream,
    LiveKitRoom,
    LiveKitRpcError,
    SpeakersChanged,
    SubscriptionAllowed,
)
from rtcpeer.signaling.livekit.messages import models, rtc
from rtcpeer.testing import synthetic_track
from rtcpeer.testing.livekit import LiveKitServer
from tests.interop.chromium import Chromium, blank_site, until
from tests.interop.livekit_sdk import rtc as sdk_rtc
from tests.interop.livekit_sdk import sdk_participant
from tests.interop.node import FOLDER
from tests.unit.calls.fakes import Diary

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


SCRIPT = FOLDER / "livekit-client" / "dist" / "livekit-client.umd.js"


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

            await until(lambda: len(found(TrackSubscribed)) == 2)
            ears = {event.kind: Ears(event.track) for event in found(TrackSubscribed)}
            assert {event.name for event in found(TrackSubscribed)} == {"microphone", "camera"}
            await until(lambda: ears["audio"].level > 2000 and abs(ears["video"].level - 180) < 12)
            await until(lambda: sdk.loudness.get("bot", 0) > 500 and "bot" in sdk.picture)
            assert sdk.room.remote_participants["bot"].metadata == '{"role": "echo"}'

            await call.send("to all")
            await call.send(b"to one", "sdk")
            await until(lambda: len(sdk.data) == 2)
            assert sdk.data == [(b"to all", "rtcpeer.text", "bot"), (b"to one", "", "bot")]
            await sdk.room.local_participant.publish_data(b"bytes")
            await sdk.room.local_participant.publish_data("text", topic="rtcpeer.text")
            await until(lambda: len(found(Message)) == 2)
            assert [(event.sender.id, event.data) for event in found(Message)] == [
                ("sdk", b"bytes"),
                ("sdk", "text"),
            ]

            microphone.track.mute()
            await until(lambda: [e.muted for e in found(TrackMuted)] == [True])
            microphone.track.unmute()
            await spoken.mute()
            await until(lambda: "track_muted" in sdk.events)
            await spoken.unmute()

            service = call.service
            assert isinstance(service, LiveKitRoom)
            await server.drop("bot")
            await until(lambda: "Reconnected" in [type(e).__name__ for e in events])
            assert (service.resumes, service.renewals) == (1, 0)
            frames = ears["video"].frames
            await until(lambda: ears["video"].frames > frames + 10)

            events.clear()
            sid = service.sid
            await server.leave("bot", models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.RECONNECT)
            await until(lambda: "Reconnected" in [type(e).__name__ for e in events])
            assert service.renewals == 1
            assert service.sid != sid
            frames = ears["video"].frames
            sdk.loudness.clear()
            await until(lambda: ears["video"].frames > frames + 10 and sdk.loudness.get("bot", 0) > 500)
            assert not found(TrackSubscribed)
            assert not found(TrackUnsubscribed)

            token = server.refresh_token("bot")
            await until(lambda: service.token == token)
            await sdk.room.local_participant.unpublish_track(camera.sid)
            await until(lambda: [e.name for e in found(TrackUnsubscribed)] == ["camera"])
            await server.leave("bot", models.DisconnectReason.PARTICIPANT_REMOVED)
            await until(lambda: found(Ended))
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
        await until(lambda: sdk.picture.get("bot", (0, 0, 0))[0] > 0)
        (track,) = server.participant("bot").tracks.values()
        assert [layer.rid for layer in track.info.layers] == ["q", "h", "f"]
        subscription = server.participant("sdk").media.subscriptions[track.info.sid]
        output = subscription.output
        assert output is not None
        await until(lambda: len(output.stats()["layers"]) == 3)
        (publication,) = sdk.room.remote_participants["bot"].track_publications.values()
        assert publication.simulcasted
        subscription.layer = "q"
        subscription.apply()
        await until(lambda: sdk.picture["bot"][0] == 160)


async def test_streams_and_calls_with_the_sdk() -> None:
    """Text and byte streams, remote calls and their errors, attributes, permissions and qualities, both ways."""
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("sdk", "lobby")) as sdk,
        join("livekit+" + server.url, token=server.token("bot", "lobby")) as call,
    ):
        diary = Diary(call)
        room = call.service
        assert isinstance(room, LiveKitRoom)
        local = sdk.room.local_participant
        await until(lambda: "bot" in sdk.room.remote_participants)
        got: dict[str, Any] = {}

        def on_text(reader: Any, identity: str) -> None:
            async def read() -> None:
                got[reader.info.topic] = (
                    await reader.read_all(),
                    identity,
                    dict(reader.info.attributes or {}),
                )

            tasks.append(asyncio.ensure_future(read()))

        def on_bytes(reader: Any, identity: str) -> None:
            async def read() -> None:
                content = b"".join([piece async for piece in reader])
                got[reader.info.topic] = (content, reader.info.name, identity)

            tasks.append(asyncio.ensure_future(read()))

        tasks: list[asyncio.Future[None]] = []
        for topic in ("lk.chat", "rtcpeer.text"):
            sdk.room.register_text_stream_handler(topic, on_text)
        sdk.room.register_byte_stream_handler("files", on_bytes)
        text = "straße €" * 8000
        await room.streams.send_text(text, topic="lk.chat", to=["sdk"], attributes={"mood": "good"})
        await call.send("x" * 50_000)
        async with await room.streams.open_bytes("a.bin", topic="files", size=40_000) as writer:
            for _ in range(4):
                await writer.write(bytes(10_000))
        await until(lambda: len(got) == 3)
        assert got["lk.chat"] == (text, "bot", {"mood": "good"})
        assert got["rtcpeer.text"][0] == "x" * 50_000
        assert got["files"] == (bytes(40_000), "a.bin", "bot")
        await asyncio.gather(*tasks)

        files: list[Any] = []

        async def take(stream: IncomingStream) -> None:
            files.append((stream.info.name, stream.info.size, await stream.read(), stream.sender))

        room.streams.on_bytes("files", take)
        await local.send_text(text, topic="lk.chat")
        message = await diary.get(Message)
        assert (message.sender.id, message.data, message.topic) == ("sdk", text, "lk.chat")
        writer = await local.stream_bytes("b.bin", total_size=30_000, topic="files")
        await writer.write(bytes(30_000))
        await writer.aclose()
        await until(lambda: files)
        assert files == [("b.bin", 30_000, bytes(30_000), "sdk")]

        async def greet(data: Any) -> str:
            if data.payload == "":
                raise sdk_rtc.RpcError(123, "who?", "data")
            return f"hello {data.payload} of {data.caller_identity}"

        local.register_rpc_method("greet", greet)
        room.rpc.register("shout", lambda invocation: invocation.payload.upper() + invocation.caller)
        assert await room.rpc.call("sdk", "greet", "world") == "hello world of bot"
        with pytest.raises(LiveKitRpcError) as caught:
            await room.rpc.call("sdk", "greet")
        assert (caught.value.code, caught.value.reason, caught.value.data) == (123, "who?", "data")
        with pytest.raises(LiveKitRpcError) as caught:
            await room.rpc.call("sdk", "nothing")
        assert caught.value.code == 1400
        assert await local.perform_rpc(destination_identity="bot", method="shout", payload="hey") == "HEYsdk"
        with pytest.raises(sdk_rtc.RpcError) as refused:
            await local.perform_rpc(destination_identity="bot", method="nothing", payload="")
        assert refused.value.code == 1400

        await local.set_attributes({"hand": "up"})
        await until(lambda: call.participants["sdk"].metadata.get("attributes") == {"hand": "up"})
        await call.set_metadata({"attributes": {"mood": "fine"}})
        await until(lambda: sdk.room.remote_participants["bot"].attributes == {"mood": "fine"})
        server.set_quality("bot", "lost")
        await until(
            lambda: (
                sdk.room.remote_participants["bot"].connection_quality
                == sdk_rtc.ConnectionQuality.QUALITY_LOST
            ),
            10,
        )
        assert (await diary.get(ConnectionQualityChanged)).participant is None

        # the SDK keeps its microphone from the bot, and gives it back
        await sdk.publish()
        await diary.get(TrackSubscribed, 2)
        local.set_track_subscription_permissions(allow_all_participants=False)
        await diary.get(TrackUnsubscribed, 2)
        local.set_track_subscription_permissions(allow_all_participants=True)
        await diary.get(TrackSubscribed, 4)
        assert {e.allowed for e in diary.of(SubscriptionAllowed)} == {False, True}
        await until(lambda: "sdk" in room.speakers)
        await diary.get(SpeakersChanged)
        assert call.ignored == {}


PUBLISHES = """(async () => {
  globalThis.room = new LivekitClient.Room({dynacast: true});
  await room.connect("URL", "TOKEN");
  await room.localParticipant.setCameraEnabled(true, {resolution: {width: 640, height: 480}}, {simulcast: true});
  globalThis.active = () => {
    const [publication] = room.localParticipant.videoTrackPublications.values();
    return publication.track.sender.getParameters().encodings.map(e => e.active).join();
  };
})()"""


def sent_by(room: LiveKitRoom) -> list[bool]:
    """Which sizes of its picture a call sends."""
    (published,) = room._publications._published.values()
    return [encoding.active for encoding in published.transceiver.sender.getParameters().encodings]


async def test_sizes_that_nobody_wants_are_not_encoded() -> None:
    """By LiveKit's JavaScript SDK in Chromium, as the server tells it, and by us, as the SDK asks for."""
    if not SCRIPT.is_file():
        pytest.skip("the npm package livekit-client is not installed: make npm")
    camera = synthetic_track("video", {"width": 640, "height": 480})
    async with (
        LiveKitServer() as server,
        blank_site() as site,
        Chromium() as browser,
        join(
            "livekit+" + server.url, token=server.token("bot", "lobby"), simulcast=True, dynacast=True
        ) as call,
    ):
        diary = Diary(call)
        room = call.service
        assert isinstance(room, LiveKitRoom)
        publication = await call.publish(camera, name="camera")
        page = await browser.page(site)
        await page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";void 0")
        token = server.token("page", "lobby")
        await page.evaluate(PUBLISHES.replace("URL", server.url).replace("TOKEN", token))
        participant = (await diary.get(TrackSubscribed)).participant
        await page.wait_for("active() === 'true,true'")
        await room.set_track(participant, "video", quality="low")
        await page.wait_for("active() === 'true,false'")
        await room.set_track(participant, "video", enabled=False)
        await page.wait_for("active() === 'false,false'")
        await room.set_track(participant, "video", quality="high")
        await page.wait_for("active() === 'true,true'")

        await until(lambda: sent_by(room) == [True, True, True])
        picture = "[...room.remoteParticipants.get('bot').videoTrackPublications.values()][0]"
        for quality, sent in (("LOW", [True, False, False]), ("HIGH", [True, True, True])):
            await page.evaluate(f"{picture}.setVideoQuality(LivekitClient.VideoQuality.{quality})")
            await until(lambda sent=sent: sent_by(room) == sent)
        await page.evaluate("room.disconnect()")
        await until(lambda: sent_by(room) == [False, False, False])
        assert publication.name == "camera"
        assert page.errors == []
        assert call.ignored == {}
    await diary.task
    camera.stop()


CLIENT = """(async () => {
  globalThis.got = {};
  globalThis.room = new LivekitClient.Room();
  room.registerTextStreamHandler("lk.chat", async (reader, from) => {
    got.text = [await reader.readAll(), from.identity, reader.info.attributes.mood];
  });
  room.registerByteStreamHandler("files", async (reader, from) => {
    const parts = await reader.readAll();
    got.file = [parts.reduce((sum, part) => sum + part.length, 0), reader.info.name, from.identity];
  });
  room.registerRpcMethod("greet", async data => {
    if (!data.payload) throw new LivekitClient.RpcError(123, "who?", "data");
    return `hello ${data.payload} of ${data.callerIdentity}`;
  });
  await room.connect("URL", "TOKEN");
})()"""

SAYS = """(async () => {
  const local = room.localParticipant;
  await local.sendText(TEXT, {topic: "lk.chat"});
  const writer = await local.streamBytes({name: "b.bin", topic: "files", totalSize: 30000});
  await writer.write(new Uint8Array(30000));
  await writer.close();
  await local.publishData(new TextEncoder().encode("short"), {reliable: true, topic: "note"});
  got.shouted = await local.performRpc({destinationIdentity: "bot", method: "shout", payload: "hey"});
  try {
    await local.performRpc({destinationIdentity: "bot", method: "nothing", payload: ""});
  } catch (error) {
    got.refused = error.code;
  }
})()"""


async def test_streams_and_calls_with_the_client_in_chromium() -> None:
    """Text and byte streams, packets, remote calls and their errors, both ways, with LiveKit's JavaScript SDK."""
    if not SCRIPT.is_file():
        pytest.skip("the npm package livekit-client is not installed: make npm")
    async with (
        LiveKitServer() as server,
        blank_site() as site,
        Chromium() as browser,
        join("livekit+" + server.url, token=server.token("bot", "lobby")) as call,
    ):
        diary = Diary(call)
        room = call.service
        assert isinstance(room, LiveKitRoom)
        files: list[Any] = []

        async def take(stream: IncomingStream) -> None:
            files.append((stream.info.name, await stream.read(), stream.sender))

        room.streams.on_bytes("files", take)
        room.rpc.register("shout", lambda invocation: invocation.payload.upper() + invocation.caller)
        page = await browser.page(site)
        await page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";void 0")
        await page.evaluate(CLIENT.replace("URL", server.url).replace("TOKEN", server.token("page", "lobby")))
        await diary.get(ParticipantJoined)

        text = "straße € 🎉" * 8000
        await room.streams.send_text(text, topic="lk.chat", to=["page"], attributes={"mood": "good"})
        async with await room.streams.open_bytes("a.bin", topic="files", size=40_000) as writer:
            for _ in range(4):
                await writer.write(bytes(10_000))
        assert await page.wait_for(
            "got.text && got.file && JSON.stringify([got.text.slice(1), got.file])"
        ) == ('[["bot","good"],[40000,"a.bin","bot"]]')
        assert await page.evaluate("got.text[0]") == text
        assert await room.rpc.call("page", "greet", "world") == "hello world of bot"
        with pytest.raises(LiveKitRpcError) as caught:
            await room.rpc.call("page", "greet")
        assert (caught.value.code, caught.value.reason, caught.value.data) == (123, "who?", "data")

        await page.evaluate(SAYS.replace("TEXT", json.dumps(text)))
        assert await page.evaluate("`${got.shouted} ${got.refused}`") == "HEYpage 1400"
        messages = [await diary.get(Message, number) for number in (1, 2)]
        assert {(m.sender.id, m.data, m.topic) for m in messages} == {
            ("page", text, "lk.chat"),
            ("page", b"short", "note"),
        }
        await until(lambda: files)
        assert files == [("b.bin", bytes(30_000), "page")]
        assert page.errors == []
        assert call.ignored == {}
    await diary.task
