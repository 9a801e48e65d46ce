"""The LiveKit test server, judged by LiveKit's own SDKs: in Python, and in JavaScript in Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from rtcpeer.signaling.livekit.messages import models, rtc
from rtcpeer.testing.livekit import LiveKitServer
from tests.interop.chromium import Chromium, Page, blank_site, until
from tests.interop.livekit_sdk import SdkParticipant, sdk_participant
from tests.interop.node import FOLDER

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

SCRIPT = FOLDER / "livekit-client" / "dist" / "livekit-client.umd.js"


@contextlib.asynccontextmanager
async def two(single: bool) -> AsyncIterator[tuple[LiveKitServer, SdkParticipant, SdkParticipant]]:
    async with (
        LiveKitServer() as server,
        sdk_participant(server.url, server.token("alice", "lobby", name="Alice"), single=single) as alice,
        sdk_participant(server.url, server.token("bob", "lobby"), single=single) as bob,
    ):
        yield server, alice, bob
        assert not server.participant("bob").ignored


def hears_and_sees(one: SdkParticipant, identity: str) -> bool:
    width, _, luma = one.picture.get(identity, (0, 0, 0.0))
    return one.loudness.get(identity, 0.0) > 2000 and width in (80, 160, 320) and abs(luma - 180) < 12


@pytest.mark.parametrize("single", [False, True], ids=["two connections", "one connection"])
async def test_two_sdks(single: bool) -> None:
    """They hear and see each other, exchange data, mute, are dropped, are put out to come back, and leave."""
    async with two(single) as (server, alice, bob):
        microphone, pictures = await alice.publish()
        await bob.publish()
        await until(lambda: hears_and_sees(bob, "alice") and hears_and_sees(alice, "bob"), 30)
        await until(lambda: "alice" in bob.speakers, 10)

        await bob.room.local_participant.publish_data("reliable", topic="greeting")
        await alice.room.local_participant.publish_data(
            b"lossy", reliable=False, destination_identities=["bob"]
        )
        await until(lambda: alice.data and bob.data, 10)
        assert alice.data == [(b"reliable", "greeting", "bob")]
        assert [payload for payload, _, _ in bob.data] == [b"lossy"]

        microphone.track.mute()
        await until(lambda: "track_muted" in bob.events, 10)
        microphone.track.unmute()
        await until(lambda: "track_unmuted" in bob.events, 10)
        await alice.room.local_participant.set_metadata("in a meeting")
        await until(lambda: "participant_metadata_changed" in bob.events, 10)
        assert bob.room.remote_participants["alice"].metadata == "in a meeting"
        server.rooms["lobby"].set_metadata("second floor")
        await until(lambda: "room_metadata_changed" in bob.events, 10)

        await server.drop("alice")
        await until(lambda: "reconnected" in alice.events, 20)
        assert (server.joins, server.resumes) == (2, 1)
        assert "participant_disconnected" not in bob.events + alice.events

        await server.leave("bob", models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.RECONNECT)
        await until(lambda: "reconnected" in bob.events, 20)
        assert server.joins == 3
        bob.loudness.clear()
        bob.picture.clear()
        alice.loudness.clear()
        await until(lambda: hears_and_sees(bob, "alice") and alice.loudness.get("bob", 0) > 2000, 20)

        before = bob.events.count("track_unsubscribed")
        await alice.room.local_participant.unpublish_track(pictures.sid)
        await until(lambda: bob.events.count("track_unsubscribed") > before, 10)
        await server.leave("alice", models.DisconnectReason.PARTICIPANT_REMOVED)
        await until(lambda: alice.reason is not None, 10)
        assert alice.reason == models.DisconnectReason.PARTICIPANT_REMOVED
        await until(lambda: "participant_disconnected" in bob.events, 10)


JOIN = """(async () => {
  globalThis.seen = {events: [], data: [], frames: 0};
  globalThis.room = new LivekitClient.Room({singlePeerConnection: SINGLE});
  for (const name of ["reconnecting", "signalReconnecting", "reconnected", "disconnected", "trackMuted",
                      "participantConnected", "participantDisconnected"])
    room.on(name, () => seen.events.push(name));
  room.on("dataReceived", (payload, participant) =>
    seen.data.push([new TextDecoder().decode(payload), participant?.identity]));
  room.on("trackSubscribed", (track, publication, participant) => {
    const element = track.attach();
    element.muted = true;
    document.body.append(element);
  });
  await room.connect("URL", "TOKEN");
  await room.localParticipant.enableCameraAndMicrophone();
})()"""

# not of the video element: in a tab in the background it has no frames
HEARS_AND_SEES = """(async () => {
  const found = {frames: 0, energy: 0, packets: 0};
  for (const participant of room.remoteParticipants.values())
    for (const publication of participant.trackPublications.values()) {
      const report = await publication.track?.getRTCStatsReport();
      for (const s of report?.values() ?? []) {
        if (s.type !== "inbound-rtp") continue;
        if (s.kind === "video") found.frames = s.framesDecoded ?? 0;
        else [found.energy, found.packets] = [s.totalAudioEnergy ?? 0, s.packetsReceived ?? 0];
      }
    }
  return found.frames > 10 && found.packets > 20 && found.energy ENERGY;
})()"""
# of several users of the fake microphone one alone gets sound, and that changes; the others send silence
HEARS_AND_SEES, SEES = (HEARS_AND_SEES.replace("ENERGY", energy) for energy in ("> 0", ">= 0"))

MUTED = "[...room.remoteParticipants.values()].some(p => [...p.audioTrackPublications.values()].some(t => t.isMuted))"


async def join(page: Page, server: LiveKitServer, identity: str, single: bool) -> None:
    await page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";void 0")
    script = JOIN.replace("SINGLE", "true" if single else "false").replace("URL", server.url)
    await page.evaluate(script.replace("TOKEN", server.token(identity, "lobby")))


@pytest.mark.parametrize("single", [False, True], ids=["two connections", "one connection"])
async def test_livekit_client_in_chromium(single: bool) -> None:
    """Two pages with LiveKit's JavaScript SDK: sound, pictures (simulcast), data, a resume, a full reconnect."""
    if not SCRIPT.is_file():
        pytest.skip("the npm package livekit-client is not installed: make npm")
    async with LiveKitServer() as server, blank_site() as site, Chromium() as browser:
        alice, bob = await browser.page(site), await browser.page(site)
        await join(alice, server, "alice", single)
        await join(bob, server, "bob", single)
        await alice.wait_for(SEES)
        await bob.wait_for(HEARS_AND_SEES)
        await alice.evaluate(
            "room.localParticipant.publishData(new TextEncoder().encode('hello'), {reliable: true})"
        )
        await bob.wait_for("seen.data.length > 0")
        assert await bob.evaluate("seen.data[0].join()") == "hello,alice"

        await server.drop("alice")
        await alice.wait_for("seen.events.includes('reconnected')")
        assert (server.joins, server.resumes) == (2, 1)
        await server.leave("bob", models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.RECONNECT)
        await bob.wait_for("seen.events.includes('reconnected')")
        assert server.joins == 3
        await bob.wait_for(SEES)
        await alice.evaluate("room.localParticipant.setMicrophoneEnabled(false)")
        await bob.wait_for(MUTED)
        await alice.evaluate("room.disconnect()")
        await bob.wait_for("room.remoteParticipants.size === 0")
        await bob.evaluate("room.disconnect()")
        await until(lambda: not server.rooms["lobby"].participants)
        assert alice.errors == []
        assert bob.errors == []
