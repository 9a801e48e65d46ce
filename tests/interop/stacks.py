"""What every stack is asked, whichever it is: a test file inherits `Scenarios` and says how to start its peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer import RTCPeerConnection, RTCRtpSender
from rtcpeer.testing import TurnServer, no_leaks, synthetic_track
from tests.interop.chromium import until
from tests.interop.remote import Call, calling, digest

PICTURE = {"width": 320, "height": 240, "frameRate": 15}
SIZES = (0, 1, 1200, 16_384, 65_535)

both_offer = pytest.mark.parametrize("by", ["us", "them"])


class Scenarios:
    """Inherit, and say how the peer is started and what it cannot do.

    Attributes:
        command: the program and its arguments.
        env: additions to its environment.
        codecs: what it can receive and send back.
        largest: the largest message it takes and sends.
        empty_messages: it can send them.
    """

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    codecs: tuple[str, ...] = ("audio/opus", "video/VP8", "video/H264")
    largest = 200_000
    empty_messages = True

    @pytest.fixture(autouse=True)
    async def nothing_is_left(self) -> AsyncIterator[None]:
        async with no_leaks(grace=3):
            yield

    @contextlib.asynccontextmanager
    async def call(self, **begin: Any) -> AsyncIterator[Call]:
        async with calling(*self.command, env=self.env, **begin) as call:
            yield call

    @both_offer
    async def test_data_channels_of_all_kinds(self, by: str) -> None:
        async with self.call() as call:
            pc, peer = call.pc, call.peer
            theirs: list[Any] = []
            pc.addEventListener("datachannel", lambda event: theirs.append(event.channel))
            ours = pc.createDataChannel("echo ours", ordered=False, maxRetransmits=5, protocol="p")
            await peer.do("channel", label="echo theirs", options={"protocol": "q"})
            await call.negotiate(by)
            await call.up()
            await ours.opened(20)
            there = await peer.wait_for("open", label="echo ours")
            assert (there["protocol"], there["ordered"], there["maxRetransmits"]) == ("p", False, 5)
            await peer.wait_for("open", label="echo theirs")
            await until(lambda: bool(theirs))
            assert (theirs[0].label, theirs[0].protocol, theirs[0].ordered) == ("echo theirs", "q", True)
            assert theirs[0].id != ours.id
            # more, of other kinds, without a negotiation
            timed = pc.createDataChannel("echo timed", maxPacketLifeTime=700)
            await timed.opened(20)
            assert (await peer.wait_for("open", label="echo timed"))["maxPacketLifeTime"] == 700
            for channel in (ours, theirs[0], timed):
                await self._echo(call, channel)

            closed: list[str] = []
            ours.onclose = lambda _: closed.append("ours")
            theirs[0].onclose = lambda _: closed.append("theirs")
            await peer.do("close-channel", label="echo ours")
            timed.close()
            await until(lambda: "ours" in closed, 20)
            await peer.wait_for("closed", label="echo timed")
            theirs[0].send("still here")
            await peer.wait_for("message", text="still here")
            assert call.states == ["connecting", "connected"]

    async def _echo(self, call: Call, channel: Any) -> None:
        async with channel.events("message") as messages:
            for size in (*SIZES, self.largest):
                if not size and not self.empty_messages:
                    continue
                for data in (b"\x01" * size, "ä" * (size // 2) or "x" * size):
                    channel.send(data)
                    assert (await asyncio.wait_for(anext(messages), 20)).data == data
        told = [(e["binary"], e["size"], e["digest"]) for e in call.peer.told("message", label=channel.label)]
        assert (True, self.largest, digest(b"\x01" * self.largest)) in told

    @both_offer
    async def test_numbered_messages_over_restarts_from_both_sides(self, by: str) -> None:
        """Nothing is lost, in order, while each side restarts ICE."""
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo numbers")
            await call.negotiate("us" if by == "us" else "them") if by == "us" else await self._they_begin(
                call
            )
            await call.up()
            await channel.opened(20)
            back: list[str] = []
            channel.onmessage = lambda message: back.append(message.data)
            restarts: list[asyncio.Task[Any]] = []
            for number in range(200):
                channel.send(str(number))
                if number == 60:
                    restarts.append(asyncio.create_task(call.negotiate(by, restart=True)))
                if number == 120:
                    await restarts[0]
                    other = "them" if by == "us" else "us"
                    restarts.append(asyncio.create_task(call.negotiate(other, restart=True)))
                await asyncio.sleep(0.01)
            for offer, answer in await asyncio.gather(*restarts):
                assert offer
                assert answer
            await until(lambda: len(back) == 200, 20)
            assert back == [str(number) for number in range(200)]
            assert call.states == ["connecting", "connected"]
            assert call.pc.iceConnectionState in ("connected", "completed")

    async def _they_begin(self, call: Call) -> None:
        await call.peer.do("channel", label="first")
        await call.be_offered()

    @both_offer
    async def test_media_come_back(self, by: str) -> None:
        for video in [c for c in self.codecs if c.startswith("video")]:
            tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
            async with self.call() as call:
                pc, peer = call.pc, call.peer
                for track in tracks:
                    pc.addTrack(track)
                prefer(pc, "video", video)
                await peer.do("media", kind="audio", codec="audio/opus")
                await peer.do("media", kind="video", codec=video)
                await call.negotiate(by)
                await call.up()
                await self.media_flow(call)
                for kind in ("audio", "video"):
                    await peer.wait_for("track", kind=kind)
                report = await pc.getStats()
                inbound = next(s for s in report.of_type("inbound-rtp") if s["kind"] == "video")
                assert report[inbound["codecId"]]["mimeType"].lower() == video.lower()
                assert {str(t.currentDirection) for t in pc.getTransceivers()} == {"sendrecv"}
                # the roundtrip time says that the other side's reports arrive and fit
                await self.reports_arrive(call)
            for track in tracks:
                track.stop()

    async def media_flow(self, call: Call) -> None:
        seen = call.eyes.seen
        before = (seen.video_frames, seen.audio_frames)
        await until(lambda: seen.video_frames > before[0] + 11 and seen.luma > 40, 20)
        await until(lambda: seen.audio_frames > before[1] + 20 and seen.level > 0.005, 20)
        assert (seen.width, seen.height) == (320, 240)
        there = await call.peer.do("seen")
        assert there["video"] > 5
        assert there["audio"] > 20

    async def reports_arrive(self, call: Call) -> None:
        async with asyncio.timeout(20):
            while not (found := (await call.pc.getStats()).of_type("remote-inbound-rtp")):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert all(0 <= s["fractionLost"] < 0.5 for s in found)

    @both_offer
    async def test_a_call_grows_and_shrinks(self, by: str) -> None:
        """Data first; then sound and picture, then no picture; the other side's channel stays."""
        voice, picture = synthetic_track("audio"), synthetic_track("video", PICTURE)
        async with self.call() as call:
            pc, peer = call.pc, call.peer
            channel = pc.createDataChannel("echo")
            await peer.do("channel", label="theirs")
            await call.negotiate(by)
            await call.up()
            await channel.opened(20)
            pc.addTrack(voice)
            sender = pc.addTrack(picture)
            await peer.do("media", kind="audio", codec="audio/opus")
            await peer.do("media", kind="video", codec="video/VP8")
            await call.negotiate(by)
            await self.media_flow(call)
            pc.removeTrack(sender)
            await call.offer()
            (video,) = [t for t in pc.getTransceivers() if t.sender is sender]
            assert video.currentDirection in ("recvonly", "inactive")
            await peer.do("remove", kind="video")
            await call.be_offered()
            assert video.currentDirection == "inactive"
            heard = call.eyes.seen.audio_frames
            await until(lambda: call.eyes.seen.audio_frames > heard + 20, 20)
            await self._echo(call, channel)
            assert call.states == ["connecting", "connected"]
        voice.stop()
        picture.stop()

    async def test_a_stopped_section_is_used_again(self) -> None:
        voice, picture, other = (synthetic_track(kind, PICTURE) for kind in ("audio", "video", "video"))
        async with self.call() as call:
            pc = call.pc
            pc.addTrack(voice)
            first = pc.addTransceiver(picture)
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec="video/VP8")
            await call.offer()
            await call.up()
            await self.media_flow(call)
            first.stop()
            offer, answer = await call.offer()
            assert "m=video 0 " in offer
            assert first.currentDirection == "stopped"
            second = pc.addTransceiver(other, {"direction": "sendonly"})
            offer, answer = await call.offer()
            assert offer.count("m=video") == answer.count("m=video") == 1
            assert second.currentDirection == "sendonly"
            before = (await call.peer.do("seen"))["video"]
            async with asyncio.timeout(20):
                while (await call.peer.do("seen"))["video"] < before + 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert call.states == ["connecting", "connected"]
        for track in (voice, picture, other):
            track.stop()

    @both_offer
    async def test_without_trickle(self, by: str) -> None:
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.peer.do("channel", label="theirs")
            offer, answer = await call.negotiate(by, trickle=False)
            assert "a=candidate:" in offer
            assert "a=candidate:" in answer
            await call.up()
            await channel.opened(20)

    @both_offer
    async def test_only_relays(self, by: str) -> None:
        """Each side at its own server of ours, and no other candidates."""
        async with TurnServer(users={"u": "p"}) as server:
            configuration = {"iceServers": [self.turn(server)], "iceTransportPolicy": "relay"}
            async with self.call(configuration=configuration, ours=configuration) as call:
                channel = call.pc.createDataChannel("echo")
                await call.peer.do("channel", label="theirs")
                await call.negotiate(by)
                await call.up()
                await channel.opened(20)
                await self._echo(call, channel)
                assert len(server.allocations) >= 2
                assert server.counters.packets_to_peers > 0

    def turn(self, server: TurnServer) -> dict[str, Any]:
        """The server's entry in a configuration that both stacks understand."""
        return dict(server.ice_server("udp"))

    async def test_their_close_is_seen(self) -> None:
        """By DTLS or SCTP, not by silence."""
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.offer()
            await call.up()
            await channel.opened(20)
            transport = call.pc.sctp.transport
            await call.peer.do("close")
            await until(lambda: channel.readyState == "closed", 3)
            await until(lambda: transport.state == "closed", 3)

    async def test_our_close_is_seen(self) -> None:
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.offer()
            await call.up()
            await channel.opened(20)
            await call.peer.wait_for("open", label="echo")
            await call.pc.close()
            await call.peer.wait_for("closed", label="echo", timeout=3)

    async def test_an_outage(self) -> None:
        """`disconnected`, and back by itself; what was sent meanwhile arrives."""
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.offer()
            await call.up()
            await channel.opened(20)
            back: list[str] = []
            channel.onmessage = lambda message: back.append(message.data)
            async with call.network.outage():
                await until(lambda: call.states[-1] == "disconnected", 20)
                channel.send("sent while all was dead")
            await until(lambda: call.states[-1] == "connected", 20)
            await until(lambda: back == ["sent while all was dead"], 20)

    @both_offer
    async def test_rsa_certificates(self, by: str) -> None:
        certificate = await RTCPeerConnection.generateCertificate(
            {
                "name": "RSASSA-PKCS1-v1_5",
                "modulusLength": 2048,
                "publicExponent": b"\x01\x00\x01",
                "hash": "SHA-256",
            }
        )
        async with self.call(rsa=True, ours={"certificates": [certificate]}) as call:
            channel = call.pc.createDataChannel("echo")
            await call.peer.do("channel", label="theirs")
            await call.negotiate(by)
            await call.up()
            await channel.opened(20)


def prefer(pc: RTCPeerConnection, kind: str, codec: str) -> None:
    """Offer and accept this codec alone, with what belongs to it."""
    wanted = [c for c in RTCRtpSender.getCapabilities(kind).codecs if c.mimeType in (codec, f"{kind}/rtx")]
    for transceiver in pc.getTransceivers():
        if transceiver.receiver.track.kind == kind:
            transceiver.setCodecPreferences(wanted)
