"""`join("peerjs+http://...")` through PeerJS' own server, with its library in Chromium: media and data both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.calls import (
    Message,
    ParticipantJoined,
    ParticipantLeft,
    Reconnected,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.errors import NotSupportedError, SignalingRefused
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop.chromium import Chromium, Page, blank_site, until
from tests.interop.node import environment
from tests.interop.rtcmc import node_server, package_file
from tests.interop.stacks import PICTURE
from tests.unit.calls.fakes import Diary

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

NODE = environment("peer")
SERVER = package_file("peer", "dist/bin/peerjs.js")

# as users of the library write it: one video element for the stream of a call
PAGE = """
var heard = [], calls = [], streams = [], connections = [], peer, media;
async function begin(port, id) {
  media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  const take = call => {
    calls.push(call);
    call.on("stream", stream => {
      const video = document.createElement("video");
      video.autoplay = video.playsInline = true;  // not muted: what nobody hears has no energy
      video.srcObject = stream;
      document.body.append(video);
      if (!streams.includes(stream)) streams.push(stream);
    });
  };
  globalThis.take = take;
  const keep = c => { connections.push(c); c.on("data", data => heard.push(data)); };
  globalThis.keep = keep;
  peer = new peerjs.Peer(id, {host: "127.0.0.1", port, path: "/", config: {iceServers: []}});
  peer.on("connection", keep);
  peer.on("call", call => { call.answer(media); take(call); });
  return new Promise((done, fail) => { peer.on("open", () => done(true)); peer.on("error", fail); });
}
async function seen() {
  const found = {frames: 0, energy: 0};
  for (const call of calls)
    for (const s of (await call.peerConnection?.getStats())?.values() ?? []) {
      if (s.type === "inbound-rtp" && s.kind === "video") found.frames += s.framesDecoded ?? 0;
      if (s.type === "inbound-rtp" && s.kind === "audio") found.energy += s.totalAudioEnergy ?? 0;
    }
  return found.frames > 20 && found.energy > 0;
}
true
"""


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with no_leaks(grace=3):
        yield


async def page_of(browser: Chromium, site: str, port: int, id: str) -> Page:
    page = await browser.page(site)
    await page.evaluate(package_file("peerjs", "dist/peerjs.min.js").read_text() + "\n;true")
    await page.evaluate(PAGE)
    await page.evaluate(f"begin({port}, '{id}')")
    return page


async def test_a_call_with_two_pages() -> None:
    """The bot reaches one page, the other one calls the bot; by content both ways; values as they are."""
    camera, voice = synthetic_track("video", PICTURE), synthetic_track("audio")
    observers = {"alice": MediaObserver(), "bob": MediaObserver()}
    async with (
        node_server(SERVER, NODE, "--port", "PORT") as port,
        blank_site() as site,
        Chromium() as browser,
    ):
        alice = await page_of(browser, site, port, "alice")
        bob = await page_of(browser, site, port, "bob")
        url = f"peerjs+http://127.0.0.1:{port}/?id=bot&peer=alice"
        async with join(url, name="Bot", metadata={"role": "echo"}) as call:
            diary = Diary(call)
            await call.publish(camera, name="camera")
            await call.publish(voice, name="voice")
            assert (await diary.get(ParticipantJoined)).participant.id == "alice"
            await diary.get(TrackSubscribed, 2)  # the page answers the bot's call
            assert await alice.evaluate("calls.length") == 1  # one call, one stream with both
            await alice.wait_for("streams.length === 1 && streams[0].getTracks().length === 2")
            assert await alice.evaluate("calls[0].metadata.role + connections[0].metadata.name") == "echoBot"

            await bob.evaluate("take(peer.call('bot', media, {metadata: {name: 'Bob'}})); true")
            await diary.get(TrackSubscribed, 4)
            assert call.participants["bob"].name == "Bob"
            for event in diary.of(TrackSubscribed):
                observers[event.participant.id].watch(event.track)
            for observer in observers.values():
                await until(lambda o=observer: o.seen.video_frames > 20 and o.seen.luma > 40, 30)
                await until(lambda o=observer: o.seen.audio_frames > 50, 30)
            # of several users of the fake microphone one alone gets its beeps
            await until(lambda: max(o.seen.level for o in observers.values()) > 0.005, 30)
            for page in (alice, bob):
                await page.wait_for("seen()")

            await alice.evaluate("connections[0].send({hello: ['bot', 1.5, null]}); true")
            message = await diary.get(Message)
            assert (message.sender.id, message.data) == ("alice", {"hello": ["bot", 1.5, None]})
            await call.send({"to": "all"})  # bob has no data connection yet
            for page in (alice, bob):
                await page.wait_for("heard.some(v => v.to === 'all')")
            await call.send(b"\x00\x01", "bob")
            await bob.wait_for("heard.some(v => v.byteLength === 2 || v.length === 2)")
            with pytest.raises(NotSupportedError):
                await call.set_metadata({"a": 1})

            # the server is lost for a moment; calls go on
            await call.service.peer.link._socket.close()
            await diary.get(Reconnected)
            frames = observers["bob"].seen.video_frames
            await until(lambda: observers["bob"].seen.video_frames > frames + 10, 30)

            await call.publications["camera"].unpublish()
            await bob.evaluate("calls.forEach(c => c.close()); connections.forEach(c => c.close()); true")
            assert (await diary.get(ParticipantLeft, timeout=60)).participant.id == "bob"
            assert diary.of(TrackUnsubscribed)
            assert call.ignored == {}
            await alice.close()
            await bob.close()
        await diary.task
    for observer in observers.values():
        await observer.close()
    camera.stop()
    voice.stop()


@pytest.mark.parametrize("serialization", ["binary", "json", "raw"])
async def test_two_bots(serialization: str) -> None:
    """Who publishes later is called later; nobody is there; refused."""
    voice, camera = synthetic_track("audio"), synthetic_track("video", PICTURE)
    values: dict[str, list[Any]] = {
        "binary": [{"a": [1, "ü", b"\x01"]}, "x" * 50_000],
        "json": [{"a": [1, "ü"]}, "text"],
        "raw": ["text", b"\x00\x01"],
    }
    async with node_server(SERVER, NODE, "--port", "PORT") as port:
        url = f"peerjs+http://127.0.0.1:{port}/"
        async with (
            join(f"{url}?id=one", name="One") as one,
            join(f"{url}?peer=one", name="Two", serialization=serialization) as two,
        ):
            heard_one, heard_two = Diary(one), Diary(two)
            joined = await heard_one.get(ParticipantJoined)
            assert (joined.participant.id, joined.participant.name) == (two.id, "Two")
            await heard_two.get(ParticipantJoined)
            for number, value in enumerate(values[serialization], 1):
                await two.send(value)
                assert (await heard_one.get(Message, number)).data == value
                await one.send(value, two.id)
                assert (await heard_two.get(Message, number)).data == value
            await one.publish(voice)
            assert (await heard_two.get(TrackSubscribed)).kind == "audio"
            await two.publish(camera)
            track = (await heard_one.get(TrackSubscribed)).track
            assert track.kind == "video"
            await asyncio.wait_for(track.recv(), 20)
            with pytest.raises(SignalingRefused, match="ID-TAKEN"):
                await join(f"{url}?id=one")
            if serialization != "binary":
                with pytest.raises(NotSupportedError):
                    await two.send(b"x" if serialization == "json" else {"a": 1})
            assert json.dumps(dict(one.ignored)) == json.dumps(dict(two.ignored)) == "{}"
        await asyncio.gather(heard_one.task, heard_two.task)
        async with join(f"{url}?peer=nobody") as alone:
            await until(lambda: alone.ignored.get("peer that is not there") == 1, 30)
            assert alone.participants == {}
    voice.stop()
    camera.stop()
    with pytest.raises(ValueError, match="serialization"):
        join(url, serialization="xml")
