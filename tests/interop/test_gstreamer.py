"""Our RTCPeerConnection against GStreamer's webrtcbin (Debian 12: 1.22), in a process of its own.

What webrtcbin 1.22 cannot do is not asked of it: changes of direction, recycled sections, empty messages, and to say
goodbye (a pipeline that ends falls silent).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rtcpeer import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from rtcpeer.testing import TurnServer, synthetic_track
from tests.interop import remote
from tests.interop.chromium import PATIENCE, until
from tests.interop.loss import lose_until_repaired
from tests.interop.remote import Call

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

PYTHON = "/usr/bin/python3"  # the one that Debian's packages of GStreamer are for
PEER = "tests/interop/gstreamer_peer.py"
PICTURE = {"width": 320, "height": 240, "frameRate": 15}
NEEDED = ("webrtcbin", "nicesrc", "dtlsdec", "sctpdec", "vp8enc", "vp9enc", "openh264enc", "opusenc")
PROBE = f"""
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
sys.exit(" ".join(name for name in {NEEDED} if Gst.ElementFactory.find(name) is None) or None)
"""

both_offer = pytest.mark.parametrize("by", ["us", "them"])


@functools.cache
def what_is_missing() -> str | None:
    """Why GStreamer cannot be used; None if it can."""
    if shutil.which(PYTHON) is None:
        return f"there is no {PYTHON}"
    probe = subprocess.run([PYTHON, "-c", PROBE], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["it does not start"])[-1]


@pytest.fixture(autouse=True)
def gstreamer() -> None:
    missing = what_is_missing()
    if missing is not None:
        remote.missing(
            f"GStreamer with webrtcbin is not installed ({missing}; Debian: apt-get install gstreamer1.0-plugins-bad"
            " gstreamer1.0-plugins-good gstreamer1.0-nice python3-gst-1.0 gir1.2-gst-plugins-bad-1.0)"
        )


@contextlib.asynccontextmanager
async def calling(**options: Any) -> AsyncIterator[Call]:
    async with remote.calling(PYTHON, PEER, **options) as call:
        yield call
        call.peer.on_candidate = lambda _: None  # it gathers for seconds; ours may be over before


@contextlib.contextmanager
def tracks(*kinds: str) -> Iterator[list[Any]]:
    made = [synthetic_track(kind, PICTURE) for kind in kinds]
    try:
        yield made
    finally:
        for track in made:
            track.stop()


async def media_flow(call: Call) -> None:
    """Pictures that are not black and sound, from now on, both ways."""
    seen = call.eyes.seen
    pictures, sounds = seen.video_frames, seen.audio_frames
    before = await call.peer.do("seen")
    await until(lambda: seen.video_frames > pictures + 10 and seen.luma > 40)
    await until(lambda: seen.audio_frames > sounds + 20 and seen.level > 0.005)
    async with asyncio.timeout(PATIENCE):
        while True:
            there = await call.peer.do("seen")
            if there["video"] > before["video"] + 10 and there["audio"] > before["audio"] + 20:
                break
            await asyncio.sleep(0.05)
    assert there["luma"] > 40
    assert (seen.width, seen.height) == (320, 240)


async def statistics(pc: RTCPeerConnection, kind: str, media: str | None = None) -> Any:
    return next(s for s in (await pc.getStats()).of_type(kind) if media in (None, s.get("kind")))


@pytest.mark.parametrize(
    ("codec", "by"),
    [
        ("video/VP8", "us"),
        ("video/VP8", "them"),
        ("video/H264", "us"),
        ("video/H264", "them"),
        ("video/VP9", "us"),
    ],
)
async def test_media(by: str, codec: str) -> None:
    """In both DTLS roles: webrtcbin has an RSA certificate and answers as the client."""
    async with calling() as call:
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec=codec)
            await call.negotiate(by)
            await call.up()
            await media_flow(call)
            assert [str(t.currentDirection) for t in call.pc.getTransceivers()] == ["sendrecv", "sendrecv"]
            report = await call.pc.getStats()
            inbound = await statistics(call.pc, "inbound-rtp", "video")
            assert report[inbound["codecId"]]["mimeType"] == codec
            transport = await statistics(call.pc, "transport")
            assert transport["dtlsRole"] == ("server" if by == "us" else "client")
            # reports come back
            async with asyncio.timeout(PATIENCE):
                found: list[Any] = []
                while len(found) < 2:
                    await asyncio.sleep(0.1)
                    found = (await call.pc.getStats()).of_type("remote-inbound-rtp")
            assert all(-5 < s["packetsLost"] < 5 for s in found)


async def test_h264_in_packetization_mode_0_alone() -> None:
    """Slices of ours are single NAL units (RFC 6184 section 6.2); webrtcbin's are what its payloader makes of them."""
    async with calling() as call:
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            codecs = RTCRtpSender.getCapabilities("video").codecs
            call.pc.getTransceivers()[1].setCodecPreferences(
                [c for c in codecs if "packetization-mode=0" in (c.sdpFmtpLine or "")]
            )
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec="video/H264")
            await call.negotiate("us")
            await call.up()
            await media_flow(call)
            (codec,) = {c.sdpFmtpLine for c in call.pc.getSenders()[1].getParameters().codecs}
            assert "packetization-mode=1" not in (codec or "")


@both_offer
async def test_data_channels(by: str) -> None:
    async with calling() as call:
        pc, peer = call.pc, call.peer
        theirs: list[Any] = []
        pc.addEventListener("datachannel", lambda event: theirs.append(event.channel))
        ours = pc.createDataChannel("echo ours", ordered=False, maxRetransmits=5, protocol="p")
        negotiated = pc.createDataChannel("echo both", negotiated=True, id=40)
        await peer.do("channel", label="echo theirs", options={"protocol": "q"})
        await peer.do("channel", label="echo both", options={"negotiated": True, "id": 40})
        await call.negotiate(by)
        await call.up()
        await ours.opened(PATIENCE)
        there = await peer.wait_for("open", label="echo ours", timeout=PATIENCE)
        assert (there["protocol"], there["ordered"], there["maxRetransmits"]) == ("p", False, 5)
        await until(lambda: bool(theirs))
        assert (theirs[0].label, theirs[0].protocol, theirs[0].ordered) == ("echo theirs", "q", True)
        for channel in (ours, theirs[0], negotiated):
            async with channel.events("message") as messages:
                # it names no limit: that means 64 KiB (RFC 8841 section 6)
                for size in (1, 1200, 16_384, 65_536):
                    for data in (b"\x01" * size, "a" * size):
                        channel.send(data)
                        assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == data
        assert pc.sctp.maxMessageSize == 65_536
        closed: list[Any] = []
        theirs[0].onclose = closed.append
        await peer.do("close-channel", label="echo theirs")
        await until(lambda: bool(closed))
        ours.close()
        await peer.wait_for("closed", label="echo ours", timeout=PATIENCE)
        assert call.states == ["connecting", "connected"]


@both_offer
async def test_ice_restarts_lose_nothing(by: str) -> None:
    async with calling() as call:
        channel = call.pc.createDataChannel("echo")
        await call.peer.do("channel", label="theirs")
        await call.negotiate(by)
        await call.up()
        await channel.opened(PATIENCE)
        back: list[str] = []
        channel.onmessage = lambda message: back.append(message.data)
        restart: asyncio.Task[Any] | None = None
        for number in range(150):
            channel.send(str(number))
            if number in (30, 90):
                if restart is not None:
                    await restart
                restart = asyncio.create_task(call.offer(restart=True))
            await asyncio.sleep(0.01)
        assert restart is not None
        await restart
        await until(lambda: len(back) == 150)
        assert back == [str(number) for number in range(150)]
        assert call.states == ["connecting", "connected"]


@both_offer
async def test_a_call_grows(by: str) -> None:
    async with calling() as call:
        channel = call.pc.createDataChannel("echo")
        await call.peer.do("channel", label="theirs")
        await call.negotiate(by)
        await call.up()
        await channel.opened(PATIENCE)
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec="video/VP8")
            await call.negotiate(by)
            await media_flow(call)
            channel.send("still here")
            await call.peer.wait_for("message", text="still here", timeout=PATIENCE)
            assert call.states == ["connecting", "connected"]


async def test_a_section_that_we_reject_leaves_the_others() -> None:
    """It offers H.264 and we take VP8 only."""
    async with calling() as call:
        with tracks("audio") as (voice,):
            call.pc.addTrack(voice)
            only = [c for c in RTCRtpReceiver.getCapabilities("video").codecs if c.mimeType == "video/VP8"]
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec="video/H264")
            call.pc.addTransceiver("video").setCodecPreferences(only)
            await call.be_offered()
            await call.up()
            seen = call.eyes.seen
            await until(lambda: seen.audio_frames > 20 and seen.level > 0.005)


async def test_lost_packets_are_sent_again_and_else_a_key_frame() -> None:
    async with calling() as call:
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            await call.peer.do("media", kind="audio", codec="audio/opus")
            await call.peer.do("media", kind="video", codec="video/VP8")
            await call.offer()
            await call.up()
            await media_flow(call)
            await lose_until_repaired(call.pc, call.network)
            await media_flow(call)
            received = await statistics(call.pc, "inbound-rtp", "video")
            async with call.network.outage():
                await asyncio.sleep(1.5)
            await media_flow(call)
            assert (await statistics(call.pc, "inbound-rtp", "video"))["pliCount"] > received["pliCount"]


@both_offer
async def test_only_relays(by: str) -> None:
    # its sockets are bound to the machine's address: a server at 127.0.0.1 is out of their reach
    async with TurnServer(users={"u": "p"}, hosts=[own_address()]) as server:
        configuration = {"iceServers": [server.ice_server("udp")], "iceTransportPolicy": "relay"}
        async with calling(configuration=configuration, ours=configuration) as call:
            channel = call.pc.createDataChannel("echo")
            await call.peer.do("channel", label="theirs")
            await call.negotiate(by)
            await call.up()
            await channel.opened(PATIENCE)
            assert len(server.allocations) == 2


def own_address() -> str:
    """The address of this machine that goes out; where there is no way out, the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def test_our_close_is_seen_at_once() -> None:
    async with calling() as call:
        channel = call.pc.createDataChannel("echo")
        await call.offer()
        await call.up()
        await channel.opened(PATIENCE)
        await call.peer.wait_for("open", label="echo", timeout=PATIENCE)
        await call.pc.close()
        await call.peer.wait_for("error", timeout=10)  # the pipeline's: its association has ended
