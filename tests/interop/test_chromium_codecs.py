"""Video against Chromium, codec by codec: what one end shows, the other end decodes, and it is not black."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer import RTCRtpReceiver, RTCRtpSender
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.testing import synthetic_track
from tests.interop.chromium import until
from tests.interop.test_chromium_api import Call, calling
from tests.unit.media.held import Held

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

PICTURE = {"width": 320, "height": 240, "frameRate": 15}

# the page answers a video section with its own camera
CAMERA = "pc.ontrack = ((f) => e => { f(e); if (e.track.kind === 'video') camera(); })(pc.ontrack)"


def codecs(mime_type: str, *more: str, fmtp: str = "") -> list[Any]:
    kind = mime_type.partition("/")[0]
    able = (RTCRtpReceiver.getCapabilities(kind), RTCRtpSender.getCapabilities(kind))
    return [
        codec
        for codec in (c for capabilities in able for c in capabilities.codecs)
        if codec.mimeType in more or (codec.mimeType == mime_type and fmtp in (codec.sdpFmtpLine or ""))
    ]


async def codec_in_use(call: Call, kind: str) -> str | None:
    """The MIME type of the video that goes out, or comes in."""
    stats = (await call.pc.getStats()).values()
    by_id = {s["id"]: s for s in stats}
    rtp = next((s for s in stats if s["type"] == kind and s["kind"] == "video"), None)
    return None if rtp is None else by_id[rtp["codecId"]]["mimeType"]


@pytest.mark.parametrize("mime_type", ["video/VP9", "video/AV1"])
async def test_video_goes_both_ways(mime_type: str) -> None:
    track = synthetic_track("video", PICTURE)
    async with calling() as call:
        await call.page.evaluate(CAMERA)
        call.pc.addTrack(track)
        (transceiver,) = call.pc.getTransceivers()
        transceiver.setCodecPreferences(codecs(mime_type, "video/rtx"))
        await call.up()

        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 10")
        assert (await call.page.evaluate("pixels(0)"))["mean"] > 40
        await until(lambda: call.eyes.seen.video_frames > 15 and call.eyes.seen.luma > 20)

        assert await codec_in_use(call, "outbound-rtp") == mime_type
        assert await codec_in_use(call, "inbound-rtp") == mime_type
    track.stop()


@pytest.mark.parametrize("mime_type", ["video/VP8", "video/VP9"])
async def test_temporal_layers_are_shown(mime_type: str) -> None:
    track = synthetic_track("video", PICTURE)
    async with calling() as call:
        transceiver = call.pc.addTransceiver(
            track, direction="sendonly", sendEncodings=[{"scalabilityMode": "L1T3"}]
        )
        transceiver.setCodecPreferences(codecs(mime_type, "video/rtx"))
        await call.up()
        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 60")

        assert (await call.page.evaluate("pixels(0)"))["mean"] > 40
        (there,) = await call.page.evaluate(
            "pc.getStats().then(r => [...r.values()].filter(s => s.type === 'inbound-rtp'))"
        )
        (here,) = (await call.pc.getStats()).of_type("outbound-rtp")
        assert here["scalabilityMode"] == "L1T3"
        # nothing that it could not decode, and nothing that it asked for again
        assert there["framesDropped"] <= 5
        assert here["keyFramesEncoded"] - here["pliCount"] <= 1
        assert there["framesDecoded"] >= there["framesReceived"] - 5
    track.stop()


@pytest.mark.parametrize("offerer", ["we", "page"])
async def test_h264_in_packetization_mode_0_alone(monkeypatch: pytest.MonkeyPatch, offerer: str) -> None:
    """Each packet is a single NAL unit, both ways (RFC 6184 section 6.2)."""
    sent: list[tuple[int, int]] = []
    received: set[int] = set()
    send_frame, take = OutboundStream.send_frame, MediaReceiver.on_rtp

    def look_out(
        stream: OutboundStream, payload_type: int, payloads: list[bytes], *args: Any, **more: Any
    ) -> Any:
        sent.extend((payload[0] & 31, len(payload)) for payload in payloads)
        return send_frame(stream, payload_type, payloads, *args, **more)

    def look_in(receiver: MediaReceiver, packet: RtpPacket, now: float) -> None:
        form = receiver.formats.get(packet.payload_type)
        if form is not None and form.name == "H264" and packet.payload:
            received.add(packet.payload[0] & 31)
        take(receiver, packet, now)

    monkeypatch.setattr(OutboundStream, "send_frame", look_out)
    monkeypatch.setattr(MediaReceiver, "on_rtp", look_in)
    track = synthetic_track("video", {"width": 640, "height": 480, "frameRate": 15})
    async with calling() as call:
        if offerer == "we":
            await call.page.evaluate(CAMERA)
            call.pc.addTrack(track)
            (transceiver,) = call.pc.getTransceivers()
            transceiver.setCodecPreferences(codecs("video/H264", "video/rtx", fmtp="packetization-mode=0"))
        else:
            call.pc.addEventListener("track", lambda event: call.pc.addTrack(track))
            await call.page.evaluate(
                """(async () => {
                const stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}});
                const transceiver = pc.addTransceiver(stream.getTracks()[0], {direction: "sendrecv"});
                const {codecs} = RTCRtpReceiver.getCapabilities("video");
                transceiver.setCodecPreferences(codecs.filter(
                    c => c.mimeType === "video/rtx" || /packetization-mode=0/.test(c.sdpFmtpLine)));
                })()"""
            )
        await call.up()

        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 10")
        assert (await call.page.evaluate("pixels(0)"))["mean"] > 40
        await until(lambda: call.eyes.seen.video_frames > 15 and call.eyes.seen.luma > 20)

        assert await codec_in_use(call, "outbound-rtp") == "video/H264"
        assert {kind for kind, _size in sent} <= {1, 5, 6, 7, 8}
        assert max(size for _kind, size in sent) <= 1200
        assert received <= set(range(1, 24))
    track.stop()


async def test_a_profile_that_we_only_send() -> None:
    track = synthetic_track("video", PICTURE)
    async with calling() as call:
        transceiver = call.pc.addTransceiver(track, {"direction": "sendonly"})
        transceiver.setCodecPreferences(codecs("video/H264", fmtp="=f4"))
        await call.up()

        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 10")
        assert (await call.page.evaluate("pixels(0)"))["mean"] > 40
        (codec,) = transceiver.sender.getParameters().codecs
        assert "profile-level-id=f4001f" in codec.sdpFmtpLine
    track.stop()


@pytest.mark.parametrize(("mime_type", "fmtp"), [("video/H264", "=4d"), ("video/VP9", "profile-id=2")])
async def test_a_profile_that_we_only_receive(mime_type: str, fmtp: str) -> None:
    async with calling() as call:
        transceiver = call.pc.addTransceiver("video", {"direction": "recvonly"})
        transceiver.setCodecPreferences(codecs(mime_type, fmtp=fmtp))
        await call.up()
        await call.page.evaluate("camera()")

        await until(lambda: call.eyes.seen.video_frames > 15 and call.eyes.seen.luma > 20)
        assert await codec_in_use(call, "inbound-rtp") == mime_type


@pytest.mark.parametrize(("mime_type", "mode"), [("video/VP9", "L3T3"), ("video/AV1", "L2T2")])
async def test_layers_of_one_stream_are_received(mime_type: str, mode: str) -> None:
    async with calling() as call:
        await call.page.evaluate(
            f"""(async () => {{
            const stream = await navigator.mediaDevices.getUserMedia({{video: {{width: 640, height: 480}}}});
            const sendEncodings = [{{scalabilityMode: "{mode}"}}];
            const transceiver = pc.addTransceiver(stream.getTracks()[0], {{direction: "sendonly", sendEncodings}});
            const {{codecs}} = RTCRtpReceiver.getCapabilities("video");
            transceiver.setCodecPreferences(codecs.filter(c => c.mimeType === "{mime_type}"));
            }})()"""
        )
        await call.up()

        # the camera begins dark, and how many layers there are is the browser's to adapt
        seen = call.eyes.seen
        await until(lambda: seen.video_frames > 15 and seen.width >= 320 and seen.luma > 20, timeout=20)
        report = list((await call.pc.getStats()).values())
        received = next(s for s in report if s["type"] == "inbound-rtp")
        assert received["framesDecoded"] > received["framesDropped"]


async def test_the_browser_turns_what_a_phone_filmed() -> None:
    track = Held(-90)
    async with calling() as call:
        call.pc.addTrack(track)
        await call.up()

        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 5")
        assert await call.page.evaluate("[videos[0].videoWidth, videos[0].videoHeight]") == [64, 96]
        sent = next(s for s in (await call.pc.getStats()).values() if s["type"] == "outbound-rtp")
        assert (sent["frameWidth"], sent["frameHeight"]) == (96, 64)
    track.stop()


async def test_redundant_audio_goes_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: set[int] = set()
    take = MediaReceiver.on_rtp

    def look(receiver: MediaReceiver, packet: RtpPacket, now: float) -> None:
        arrived.add(packet.payload_type)
        take(receiver, packet, now)

    monkeypatch.setattr(MediaReceiver, "on_rtp", look)
    track = synthetic_track("audio")
    async with calling() as call:
        await call.page.evaluate("""var inbound = () => pc.getStats().then(
            r => [...r.values()].find(s => s.type === 'inbound-rtp' && s.kind === 'audio'));
        pc.ontrack = async ({track}) => {
            const stream = await navigator.mediaDevices.getUserMedia({audio: true});
            pc.addTrack(stream.getTracks()[0], stream);
            const audio = new Audio();
            audio.autoplay = true;
            audio.srcObject = new MediaStream([track]);
        }""")
        call.pc.addTrack(track)
        (transceiver,) = call.pc.getTransceivers()
        transceiver.setCodecPreferences([*codecs("audio/red"), *codecs("audio/opus")])
        await call.up()

        await until(lambda: call.eyes.seen.audio_frames > 20)
        await call.page.wait_for("inbound().then(s => s?.totalAudioEnergy > 0 && s.packetsReceived > 20)")
        # its neteq counts what repeats what it has
        assert (await call.page.evaluate("inbound()"))["packetsDiscarded"] > 10
        assert arrived == {63}
    track.stop()


async def test_both_ends_estimate_what_the_path_bears() -> None:
    """Transport-wide feedback in both directions: each end's own statistics say what it may send."""
    track = synthetic_track("video", PICTURE)
    async with calling() as call:
        await call.page.evaluate(CAMERA)
        call.pc.addTrack(track)
        await call.up()

        async def ours() -> float:
            pairs = [s for s in (await call.pc.getStats()).values() if s["type"] == "candidate-pair"]
            return max((s.get("availableOutgoingBitrate", 0.0) for s in pairs), default=0.0)

        loop = asyncio.get_running_loop()
        end = loop.time() + 30
        while await ours() < 500_000 and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert await ours() >= 500_000
        # it starts with 300 kbit/s, and goes further only if it hears from us
        await call.page.wait_for(
            "(window.s = window.s || [], pc.getStats().then(r => { window.s = [...r.values()]; }),"
            " window.s.some(s => s.type === 'candidate-pair' && s.availableOutgoingBitrate > 400000))"
        )
    track.stop()
