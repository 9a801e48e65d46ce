"""RTCMultiConnection: its server, its library in Chromium, and bots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.calls import (
    Message,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    TrackSubscribed,
    join,
)
from rtcpeer.calls.rtcmulticonnection import RTCMultiConnection
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.errors import SignalingRefused
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop.chromium import Chromium, until
from tests.interop.node import environment
from tests.interop.rtcmc import node_server, package_file
from tests.interop.stacks import PICTURE
from tests.unit.calls.fakes import Diary

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

NODE = environment("rtcmulticonnection-server")
SERVER = package_file("rtcmulticonnection-server", "server.js")

PAGE = """
var heard = [], streams = [], connection;
function enter(url, name) {
  connection = new RTCMultiConnection();
  connection.socketURL = url;
  connection.enableLogs = false;
  connection.session = {audio: true, video: true, data: true};
  connection.sdpConstraints.mandatory = {OfferToReceiveAudio: true, OfferToReceiveVideo: true};
  connection.iceServers = [];
  connection.extra = {name};
  connection.onstream = e => { document.body.append(e.mediaElement); if (e.type === "remote") streams.push(e); };
  connection.onmessage = e => heard.push(e.data);
  return new Promise((done, fail) => connection.openOrJoin("lobby", (ok, _, error) => ok ? done(true) : fail(error)));
}
async function seen() {
  let frames = 0, packets = 0;
  for (const id of connection.getAllParticipants())
    for (const s of (await connection.peers[id].peer.getStats()).values())
      if (s.type === "inbound-rtp") s.kind === "video" ? frames += s.framesDecoded ?? 0 : packets += s.packetsReceived;
  return {frames, packets};
}
true
"""


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with no_leaks(grace=3):
        yield


async def test_two_pages_and_a_bot_in_one_room() -> None:
    camera, voice = synthetic_track("video", PICTURE), synthetic_track("audio")
    library = [
        package_file("socket.io", "client-dist/socket.io.js"),
        package_file("rtcmulticonnection", "dist/RTCMultiConnection.js"),
    ]
    observer = MediaObserver()
    async with node_server(SERVER, NODE) as port, Chromium() as browser:
        url = f"http://127.0.0.1:{port}/"

        async def page_in_room(name: str) -> Any:
            page = await browser.page(url)  # of the same origin, which its Socket.IO wants
            for script in library:
                await page.evaluate(script.read_text() + "\n;true")
            await page.evaluate(PAGE)
            await page.evaluate(f"enter('{url}', '{name}')")
            return page

        first = await page_in_room("first")
        bot = await join(f"rtcmc+{url}?room=lobby", name="bot")
        diary = Diary(bot)
        try:
            await bot.publish(camera)
            await bot.publish(voice)
            for number in (1, 2):
                observer.watch((await diary.get(TrackSubscribed, number)).track)
            await until(lambda: observer.seen.video_frames > 20 and observer.seen.luma > 40, 30)
            await until(lambda: observer.seen.audio_frames > 50 and observer.seen.level > 0.005, 30)
            await first.wait_for("seen().then(s => s.frames > 10 && s.packets > 20)")
            second = await page_in_room("second")
            for number in (3, 4):
                observer.watch((await diary.get(TrackSubscribed, number)).track)
            await second.wait_for("seen().then(s => s.frames > 20 && s.packets > 40)")
            await until(lambda: {p.name for p in bot.participants.values()} == {"first", "second"}, 20)
            # text and objects, in pieces
            await first.evaluate("connection.send('hello') || true")
            await second.evaluate("connection.send({list: Array(2000).fill('ä')}) || true")
            await diary.get(Message, 2)
            said = {m.sender.name: m.data for m in diary.of(Message)}
            assert said == {"first": "hello", "second": {"list": ["ä"] * 2000}}
            await bot.send("x" * 40_000)
            for page in (first, second):
                await page.wait_for("heard.some(text => text === 'x'.repeat(40000))")
            # extra data both ways
            await first.evaluate(
                "connection.extra = {name: 'first', hand: 'up'}; connection.updateExtraData(); true"
            )
            await until(lambda: any(p.metadata.get("hand") == "up" for p in bot.participants.values()), 20)
            await second.close()
            assert (await diary.get(ParticipantLeft)).participant.name == "second"
        finally:
            await bot.close()
            await observer.close()
        await diary.task
    camera.stop()
    voice.stop()


async def test_bots_open_join_passwords_and_servers() -> None:
    voice = synthetic_track("audio")
    async with node_server(SERVER, NODE) as port:
        url = f"http://127.0.0.1:{port}/"
        connection = RTCMultiConnection(url, name="alice", extra={"hat": "red"})
        connection.iceServers = []
        assert connection.iceServers.push({"urls": "stun:127.0.0.1:9"}) == 1
        connection.iceServers.append({"urls": "turn:127.0.0.1:9", "username": "u", "credential": "c"})
        assert await connection.checkPresence("room") == (
            False,
            {"_room": {"isFull": False, "isPasswordProtected": False}},
        )
        with pytest.raises(SignalingRefused, match=r"(?i)not available"):
            await connection.join("room")
        async with await connection.open("room", password="key") as alice:
            there, extra = await connection.checkPresence("room")
            assert there
            assert extra["hat"] == "red"
            with pytest.raises(SignalingRefused):
                await RTCMultiConnection(url).open("room")
            with pytest.raises(SignalingRefused, match=r"(?i)password"):
                await join(f"rtcmc+{url}?room=room&password=wrong")
            heard_a = Diary(alice)
            async with join(f"rtcmc+{url}?room=room&password=key", name="bob") as bob:
                heard_b = Diary(bob)
                metadata = (await heard_b.get(ParticipantJoined)).participant.metadata
                assert (metadata["hat"], metadata["name"]) == ("red", "alice")
                await bob.publish(voice, name="voice")
                subscribed = await heard_a.get(TrackSubscribed)
                assert (subscribed.participant.name, subscribed.name) == ("bob", "voice")
                await subscribed.track.recv()
                # other servers for the connection that lives
                peer = next(iter(alice.service.mesh.members.values())).peer
                assert len(peer.getConfiguration().iceServers) == 2
                connection.iceServers = [{"urls": "stun:127.0.0.1:10"}]
                assert connection.apply() == 1
                assert [s.urls for s in peer.getConfiguration().iceServers] == [["stun:127.0.0.1:10"]]
                await bob.set_metadata({"hand": "up"})
                assert (await heard_a.get(ParticipantUpdated)).participant.metadata["hand"] == "up"
            assert (await heard_a.get(ParticipantLeft)).participant.name == "bob"
            await heard_b.task
        await heard_a.task
    voice.stop()
    await asyncio.sleep(0)
