"""Against plain aiortc, on real loopback sockets, in both roles."""

import asyncio
import contextlib

import aiortc
import pytest
from aiortc import RTCPeerConnection as PlainConnection
from aiortc import RTCSessionDescription as PlainDescription
from aiortc.contrib.media import MediaBlackhole

from rtcpeer import RTCPeerConnection, RTCRtpSender
from rtcpeer.testing import no_leaks, synthetic_track

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

SMALL = {"width": 320, "height": 240, "frameRate": 15}


@contextlib.asynccontextmanager
async def both():
    """One of ours and one of aiortc's; both closed at the end, nothing of ours left."""
    async with no_leaks(grace=15):
        ours, plain = RTCPeerConnection(), PlainConnection()
        try:
            yield ours, plain
        finally:
            await ours.close()
            await plain.close()


async def negotiate(offerer, answerer):
    """aiortc does not trickle: descriptions are exchanged when gathering has ended."""
    await offerer.setLocalDescription(await offerer.createOffer())
    await deliver(offerer, answerer)
    await answerer.setLocalDescription(await answerer.createAnswer())
    await deliver(answerer, offerer)


async def deliver(source, target):
    if isinstance(source, RTCPeerConnection):
        await source.gathered(60)
    description = source.localDescription
    if isinstance(target, PlainConnection):
        description = PlainDescription(sdp=description.sdp, type=str(description.type))
    await target.setRemoteDescription(description)


def in_order(ours, plain, offerer):
    return (ours, plain) if offerer == "rtcpeer" else (plain, ours)


async def until(condition, seconds=60):
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not become true"
        await asyncio.sleep(0.005)


async def connected(ours, plain):
    await ours.connected(60)
    await until(lambda: plain.connectionState == "connected")


both_roles = pytest.mark.parametrize("offerer", ["rtcpeer", "aiortc"])


@both_roles
async def test_data_channels(offerer):
    async with both() as (ours, plain):
        first, second = in_order(ours, plain, offerer)
        there, here = [], []
        arrived = {"there": [], "here": []}
        channel = first.createDataChannel("chat", protocol="p", ordered=False, maxRetransmits=5)

        @plain.on("datachannel")
        def take(channel):
            there.append(channel)
            channel.on("message", arrived["there"].append)

        ours.ondatachannel = lambda e: (
            here.append(e.channel),
            setattr(e.channel, "onmessage", lambda m: arrived["here"].append(m.data)),
        )
        await negotiate(first, second)
        await connected(ours, plain)
        got = there if offerer == "rtcpeer" else here
        await until(lambda: got)
        assert (got[0].label, got[0].protocol, got[0].ordered) == ("chat", "p", False)
        assert got[0].maxRetransmits == 5
        # a second one from the answerer, without a negotiation
        back = second.createDataChannel("back")
        await until(lambda: there and here)
        await until(lambda: channel.readyState == back.readyState == "open")

        mine = channel if offerer == "rtcpeer" else back
        theirs = back if offerer == "rtcpeer" else channel
        messages = ["text", "", "ü" * 1000, b"\x00\x01", b"x" * 60_000]
        for message in messages:
            mine.send(message)
            theirs.send(message)
            await until(lambda m=message: m in arrived["there"] and m in arrived["here"])
        await until(lambda: len(arrived["there"]) == len(arrived["here"]) == len(messages))

        mine.close()
        await until(lambda: there[0].readyState == "closed")
        theirs.close()
        await until(lambda: here[0].readyState == "closed")


@both_roles
@pytest.mark.parametrize("codec", ["audio/opus", "video/VP8", "video/H264"])
async def test_media_both_ways(offerer, codec):
    kind = codec.partition("/")[0]
    async with both() as (ours, plain):
        first, second = in_order(ours, plain, offerer)
        tracks = {}
        ours.ontrack = lambda e: tracks.setdefault("ours", e.track)
        plain.on("track", lambda track: tracks.setdefault("plain", track))
        local = [synthetic_track(kind, SMALL) for _ in range(2)]
        ours.addTrack(local[0])
        plain.addTrack(local[1])
        transceiver = ours.getTransceivers()[0]
        wanted = [c for c in RTCRtpSender.getCapabilities(kind).codecs if c.mimeType == codec]
        transceiver.setCodecPreferences(wanted)
        if offerer == "aiortc":
            capabilities = aiortc.RTCRtpSender.getCapabilities(kind).codecs
            plain.getTransceivers()[0].setCodecPreferences([c for c in capabilities if c.mimeType == codec])
        await negotiate(first, second)
        await connected(ours, plain)
        for side in ("ours", "plain"):
            seen = [await asyncio.wait_for(tracks[side].recv(), 60) for _ in range(5)]
            if kind == "video":
                assert (seen[-1].width, seen[-1].height) == (320, 240)
                luma = bytes(seen[-1].planes[0])
                assert max(luma) - min(luma) > 100, "an empty picture"
            else:
                assert any(any(bytes(frame.planes[0])) for frame in seen), "silence"
        assert transceiver.sender.getParameters().codecs[0].mimeType == codec
        assert transceiver.currentDirection == "sendrecv"
        report = await ours.getStats()
        inbound = report.of_type("inbound-rtp")[0]
        assert inbound["packetsReceived"] > 0
        assert report[inbound["codecId"]]["mimeType"].lower() == codec.lower()
        for track in local:
            track.stop()


@both_roles
async def test_everything_at_once(offerer):
    async with both() as (ours, plain):
        first, second = in_order(ours, plain, offerer)
        tracks = []
        ours.ontrack = lambda e: tracks.append(e.track)
        hole = MediaBlackhole()
        plain.on("track", hole.addTrack)
        local = [synthetic_track(kind, SMALL) for kind in ("audio", "video") * 2]
        for track in local[:2]:
            ours.addTrack(track)
        for track in local[2:]:
            plain.addTrack(track)
        channel = first.createDataChannel("x")
        await negotiate(first, second)
        await hole.start()
        await connected(ours, plain)
        await until(lambda: channel.readyState == "open")
        assert sorted(track.kind for track in tracks) == ["audio", "video"]
        for track in tracks:
            await asyncio.wait_for(track.recv(), 60)
        await hole.stop()
        for track in local:
            track.stop()


@both_roles
@pytest.mark.parametrize("again", ["rtcpeer", "aiortc"])
async def test_renegotiation(offerer, again):
    """Data first; then one of them adds sound, with a new offer on the same transport."""
    async with both() as (ours, plain):
        channel = in_order(ours, plain, offerer)[0].createDataChannel("x")
        await negotiate(*in_order(ours, plain, offerer))
        await connected(ours, plain)
        tracks = []
        ours.ontrack = lambda e: tracks.append(e.track)
        plain.on("track", tracks.append)
        states = []
        ours.onconnectionstatechange = lambda _: states.append(ours.connectionState)
        source = synthetic_track("audio")
        first, second = in_order(ours, plain, again)
        first.addTrack(source)
        await negotiate(first, second)
        await asyncio.wait_for(tracks[-1].recv(), 60)
        assert ours.signalingState == plain.signalingState == "stable"
        assert channel.readyState == "open"
        assert states == []
        source.stop()


@both_roles
async def test_a_close_of_aiortc_is_seen(offerer):
    async with both() as (ours, plain):
        first, second = in_order(ours, plain, offerer)
        channel = first.createDataChannel("x")
        channels = [channel] if first is ours else []
        ours.ondatachannel = lambda e: channels.append(e.channel)
        await negotiate(first, second)
        await connected(ours, plain)
        await until(lambda: channels and channels[0].readyState == "open")
        transport = ours.sctp.transport
        await plain.close()
        await until(lambda: channels[0].readyState == "closed")
        await until(lambda: transport.state == "closed")


@both_roles
async def test_our_close_is_seen_by_aiortc(offerer):
    async with both() as (ours, plain):
        first, second = in_order(ours, plain, offerer)
        first.createDataChannel("x")
        await negotiate(first, second)
        await connected(ours, plain)
        await until(lambda: plain.sctp.state == "connected")
        await ours.close()
        await until(lambda: plain.sctp.transport.state == "closed")
        await until(lambda: plain.connectionState in ("closed", "disconnected", "failed"))


async def test_a_stream_of_numbered_messages():
    async with both() as (ours, plain):
        got = []
        plain.on("datachannel", lambda channel: channel.on("message", got.append))
        channel = ours.createDataChannel("numbers")
        await negotiate(ours, plain)
        await channel.opened()
        for number in range(2000):
            await channel.send_async(f"{number}:" + "x" * 500)
        await until(lambda: len(got) == 2000)
        assert [int(m.partition(":")[0]) for m in got] == list(range(2000))
