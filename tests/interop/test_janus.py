"""Against Janus 1.1 (Debian's package janus): EchoTest, VideoRoom and TextRoom, with full ICE and with ICE-lite."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Self

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.net.current import current_network
from rtcpeer.testing import OutageNetwork, TurnServer, no_leaks, synthetic_track
from tests.interop.chromium import until
from tests.interop.janus import Handle, Janus, Session, require
from tests.interop.stacks import PICTURE, prefer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

both_kinds = pytest.mark.parametrize("lite", [False, True], ids=["full", "lite"])


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    require()
    async with no_leaks(grace=3):
        yield


class Call:
    """A connection of ours with one handle; candidates trickle once Janus has our description."""

    def __init__(self, handle: Handle, configuration: dict[str, Any] | None = None) -> None:
        self.handle = handle
        self.network = OutageNetwork()
        with self.network.installed():
            self.pc = RTCPeerConnection(configuration or {})
        self.eyes = MediaObserver()
        self.states: list[str] = []
        self._held: list[Any] | None = []
        self._theirs: list[Any] | None = []
        self._tasks: set[asyncio.Task[None]] = set()
        handle.on_candidate = self._take
        self.pc.addEventListener("track", lambda event: self.eyes.watch(event.track))
        self.pc.addEventListener(
            "connectionstatechange", lambda _: self.states.append(str(self.pc.connectionState))
        )
        self.pc.addEventListener("icecandidate", lambda event: self._hand(event.candidate))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)
        await self.pc.close()
        await self.eyes.close()

    def _hand(self, candidate: Any) -> None:
        if self._held is not None:
            self._held.append(candidate)
            return
        self._start(self.handle.trickle(candidate.toJSON() if candidate else {"completed": True}))

    def _take(self, candidate: dict[str, Any]) -> None:
        if self._theirs is not None:
            self._theirs.append(candidate)
        else:
            self._start(self.pc.addIceCandidate(None if "completed" in candidate else candidate))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    def _hold(self) -> None:
        self._held = []
        if self._theirs is None:  # what came before the first offer is waiting already
            self._theirs = []

    def _flow(self) -> None:
        held, self._held = self._held, None
        for candidate in held or ():
            self._hand(candidate)
        theirs, self._theirs = self._theirs, None
        for candidate in theirs or ():
            self._take(candidate)

    async def offer(self, body: dict[str, Any], *, restart: bool = False) -> str:
        """Our offer with a request, and the answer to it; gives the answer's text."""
        self._hold()
        await self.pc.setLocalDescription(await self.pc.createOffer(iceRestart=restart))
        description = self.pc.localDescription
        _, answer = await self.handle.tell(body, {"type": "offer", "sdp": description.sdp})
        assert answer is not None
        await self.pc.setRemoteDescription({"type": answer["type"], "sdp": answer["sdp"]})
        self._flow()
        return str(answer["sdp"])

    async def answer(self, jsep: dict[str, Any] | None, body: dict[str, Any]) -> None:
        """Our answer to an offer of Janus, told with a request."""
        assert jsep is not None
        self._hold()
        await self.pc.setRemoteDescription({"type": jsep["type"], "sdp": jsep["sdp"]})
        await self.pc.setLocalDescription()
        await self.handle.tell(body, {"type": "answer", "sdp": self.pc.localDescription.sdp})
        self._flow()

    async def seeing(self, frames: int = 12) -> None:
        seen = self.eyes.seen
        pictures, sounds = seen.video_frames, seen.audio_frames
        await until(lambda: seen.video_frames > pictures + frames and seen.luma > 40, 20)
        await until(lambda: seen.audio_frames > sounds + 20 and seen.level > 0.005, 20)


@contextlib.asynccontextmanager
async def gateway(**options: bool) -> AsyncIterator[Session]:
    async with Janus(**options) as janus, janus.session() as session:
        yield session


@contextlib.asynccontextmanager
async def sources(kinds: tuple[str, ...] = ("audio", "video")) -> AsyncIterator[list[Any]]:
    tracks = [synthetic_track(kind, PICTURE) for kind in kinds]
    yield tracks
    for track in tracks:
        track.stop()


@pytest.mark.parametrize(("lite", "codec"), [(False, "vp8"), (True, "vp8"), (False, "h264")])
async def test_echo(lite: bool, codec: str) -> None:
    async with gateway(lite=lite) as session, sources() as tracks:  # noqa: SIM117
        async with Call(await session.attach("echotest")) as call:
            for track in tracks:
                call.pc.addTrack(track)
            prefer(call.pc, "video", {"vp8": "video/VP8", "h264": "video/H264"}[codec])
            channel = call.pc.createDataChannel("JanusDataChannel")
            answer = await call.offer({"audio": True, "video": True, "videocodec": codec})
            assert ("a=ice-lite" in answer) is lite
            await call.pc.connected(20)
            await channel.opened(20)
            await call.handle.wait_for("webrtcup")
            await call.seeing()
            async with channel.events("message") as messages:
                for text in ("hello", "ü" * 20_000):
                    channel.send(text)
                    answer = (await asyncio.wait_for(anext(messages), 20)).data
                    assert answer.endswith("You wrote: " + text)

            # we restart, nothing stops
            channel.onmessage = lambda message: back.append(message.data.rpartition(" ")[2])
            back: list[str] = []
            for number in range(100):
                channel.send(str(number))
                if number == 30:
                    restart = asyncio.create_task(call.offer({"audio": True}, restart=True))
                await asyncio.sleep(0.01)
            await restart
            await until(lambda: len(back) == 100, 20)
            assert back == [str(number) for number in range(100)]
            await call.seeing()
            assert call.states == ["connecting", "connected"]

            # and are gone at once
            await call.pc.close()
            await call.handle.wait_for("hangup", timeout=5)


async def test_layers() -> None:
    """Simulcast by rids; Janus passes on the layer that it is told to."""
    async with gateway() as session:
        track = synthetic_track("video", {"width": 640, "height": 480, "frameRate": 15})
        async with Call(await session.attach("echotest")) as call:
            # Janus numbers its substreams from the last layer to the first
            encodings = [
                {"rid": rid, "scaleResolutionDownBy": by} for rid, by in (("h", 1), ("m", 2), ("l", 4))
            ]
            call.pc.addTransceiver(track, {"sendEncodings": encodings})
            prefer(call.pc, "video", "video/VP8")
            answer = await call.offer({"video": True, "substream": 2})
            assert "a=simulcast:recv" in answer
            await call.pc.connected(20)
            for substream, width in ((2, 640), (0, 160), (1, 320)):
                await call.handle.tell({"substream": substream})
                await until(lambda wanted=width: call.eyes.seen.width == wanted, 30)
        track.stop()


async def test_its_hangup_an_outage_and_relays_only() -> None:
    async with TurnServer(users={"u": "p"}, hosts=[address()]) as server, gateway(trickle=True) as session:
        configuration = {"iceServers": server.ice_servers, "iceTransportPolicy": "relay"}
        async with Call(await session.attach("echotest"), configuration) as call:
            channel = call.pc.createDataChannel("JanusDataChannel")
            await call.offer({"audio": False})
            await call.pc.connected(20)
            await channel.opened(20)
            assert server.counters.packets_to_peers > 0
            back: list[str] = []
            channel.onmessage = lambda message: back.append(message.data)
            async with call.network.outage():
                await until(lambda: call.states[-1] == "disconnected", 20)
                channel.send("sent while all was dead")
            await until(lambda: call.states[-1] == "connected", 20)
            await until(lambda: bool(back) and back[0].endswith("sent while all was dead"), 20)
            transport = call.pc.sctp.transport
            await call.handle.detach()
            await until(lambda: channel.readyState == "closed", 3)
            await until(lambda: transport.state == "closed", 3)
        await server.released()


@both_kinds
async def test_video_room(lite: bool) -> None:
    """Two publish, a third subscribes to one, then to both, then to the other one; Janus restarts ICE."""
    async with gateway(lite=lite) as session, sources(("audio", "video") * 2) as tracks:
        room = (await (await session.attach("videoroom")).ask({"request": "create", "videocodec": "vp8"}))[
            "room"
        ]
        async with contextlib.AsyncExitStack() as stack:
            feeds = []
            for part in (tracks[:2], tracks[2:]):
                publisher = await stack.enter_async_context(Call(await session.attach("videoroom")))
                joined, _ = await publisher.handle.tell(
                    {"request": "join", "ptype": "publisher", "room": room}
                )
                feeds.append(joined["id"])
                for track in part:
                    publisher.pc.addTransceiver(track, {"direction": "sendonly"})
                await publisher.offer({"request": "publish"})
                await publisher.pc.connected(20)

            viewer = await stack.enter_async_context(Call(await session.attach("videoroom")))
            attended, jsep = await viewer.handle.tell(
                {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feeds[0]}]}
            )
            assert attended["videoroom"] == "attached"
            await viewer.answer(jsep, {"request": "start"})
            await viewer.pc.connected(20)
            await viewer.seeing()

            _, jsep = await viewer.handle.tell({"request": "subscribe", "streams": [{"feed": feeds[1]}]})
            await viewer.answer(jsep, {"request": "start"})
            assert len(viewer.pc.getTransceivers()) == 4
            await flowing(viewer.pc, 4)

            _, jsep = await viewer.handle.tell({"request": "unsubscribe", "streams": [{"feed": feeds[0]}]})
            await viewer.answer(jsep, {"request": "start"})
            directions = [str(t.currentDirection) for t in viewer.pc.getTransceivers()]
            assert directions == ["inactive", "inactive", "recvonly", "recvonly"]
            await viewer.seeing()

            _, jsep = await viewer.handle.tell({"request": "subscribe", "streams": [{"feed": feeds[0]}]})
            await viewer.answer(jsep, {"request": "start"})
            assert len(viewer.pc.getTransceivers()) == 4
            await flowing(viewer.pc, 4)

            before = viewer.pc.remoteDescription.sdp
            _, jsep = await viewer.handle.tell({"request": "configure", "restart": True})
            await viewer.answer(jsep, {"request": "start"})
            assert ufrag(viewer.pc.remoteDescription.sdp) != ufrag(before)
            await viewer.seeing()
            assert viewer.states == ["connecting", "connected"]


def address() -> str:
    """One of this machine's that is not its loopback: Janus has no candidates there."""
    found = [i.address for i in current_network.get().interfaces() if ":" not in i.address]
    return next((a for a in found if not a.startswith("127.")), "127.0.0.1")


def ufrag(sdp: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))


async def flowing(pc: RTCPeerConnection, count: int) -> None:
    """So many streams bring packets now."""

    async def received() -> dict[str, int]:
        return {s["id"]: s["packetsReceived"] for s in (await pc.getStats()).of_type("inbound-rtp")}

    before = await received()
    async with asyncio.timeout(20):
        while sum(n > before.get(id, 0) for id, n in (await received()).items()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_text_room() -> None:
    """Janus offers a data channel and trickles; two peers talk over it."""
    async with gateway(lite=True, trickle=True) as session, contextlib.AsyncExitStack() as stack:
        room = (await (await session.attach("textroom")).ask({"request": "create", "is_private": False}))[
            "room"
        ]
        heard: list[list[str]] = [[], []]
        channels = []
        for number in range(2):
            call = await stack.enter_async_context(Call(await session.attach("textroom")))
            _, jsep = await call.handle.tell({"request": "setup"})
            assert jsep is not None
            await call.answer(jsep, {"request": "ack"})
            await call.pc.connected(20)
            channel = call.pc.createDataChannel("JanusDataChannel")
            channel.onmessage = lambda message, n=number: heard[n].append(message.data)
            await channel.opened(20)
            channel.send(
                f'{{"textroom": "join", "transaction": "j", "room": {room}, "username": "user{number}"}}'
            )
            await until(lambda n=number: any('"success"' in text for text in heard[n]), 20)
            channels.append(channel)
        for number in range(50):
            channels[0].send(
                f'{{"textroom": "message", "transaction": "m", "room": {room}, "text": "no {number} ä"}}'
            )
        await until(lambda: sum("no " in text for text in heard[1]) == 50, 20)
        numbers = [text.split("no ")[1].split(" ")[0] for text in heard[1] if "no " in text]
        assert numbers == [str(number) for number in range(50)]
