"""H.264 in packetization mode 0, where each packet is one NAL unit: all that some cameras and older devices have."""

from __future__ import annotations

import asyncio
import fractions

import av
import pytest

from rtcpeer import EncodedTrack, RTCRtpScriptTransform, RTCRtpSender
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.test_auto_forwarding import Chain
from tests.scenarios.test_forwarding import PICTURE, first_track, pictures
from tests.scenarios.virtual import scenario


def choose(transceiver, mode):
    """Only H.264 in this packetization mode, as a device would have it."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    wanted = f"packetization-mode={mode}"
    transceiver.setCodecPreferences(
        [c for c in codecs if wanted in (c.sdpFmtpLine or "") or c.mimeType == "video/rtx"]
    )


@pytest.mark.parametrize("is_said", [True, False])
@scenario
async def test_who_offers_it_alone_gets_a_picture_and_gives_one(scene, is_said):
    """Without the parameter it is mode 0 (RFC 6184 section 8.1)."""
    async with PeerPair(hosts=(scene.network.add_host("device"), scene.network.add_host("other"))) as pair:
        tracks = [synthetic_track("video", PICTURE) for _ in range(2)]
        pair.offerer.addTrack(tracks[0])
        choose(pair.offerer.getTransceivers()[0], 0)
        arriving = [first_track(pc, "video") for pc in (pair.answerer, pair.offerer)]
        pair.answerer.addTrack(tracks[1])

        await pair.offerer.setLocalDescription()
        text = pair.offerer.localDescription.sdp
        assert "packetization-mode=0" in text
        assert "packetization-mode=1" not in text
        if not is_said:
            text = text.replace("packetization-mode=0;", "")
        await pair.answerer.setRemoteDescription(type="offer", sdp=text)
        await pair.answerer.setLocalDescription()
        answer = pair.answerer.localDescription
        assert "packetization-mode=1" not in answer.sdp
        await pair.offerer.setRemoteDescription(answer)
        for track in arriving:
            assert len(await pictures(await track, 5)) == 5
        for track in tracks:
            track.stop()


@scenario
async def test_both_modes_are_offered_in_each_profile_mode_1_first(scene):
    async with PeerPair(hosts=(scene.network.add_host("a"), scene.network.add_host("b"))) as pair:
        pair.offerer.addTransceiver("video")
        offer = await pair.offerer.createOffer()
        lines = [line for line in offer.sdp.splitlines() if "profile-level-id" in line]
        found = [
            (line.rpartition("profile-level-id=")[2], line.partition("packetization-mode=")[2][0])
            for line in lines
        ]
        assert found[:4] == [("42001f", "1"), ("42001f", "0"), ("42e01f", "1"), ("42e01f", "0")]
        # whoever has both is answered with both, and sends by the first
        await pair.connect()
        codecs = pair.answerer.getTransceivers()[0].receiver.getParameters().codecs
        modes = [
            c.sdpFmtpLine.partition("packetization-mode=")[2][:1] for c in codecs if "H264" in c.mimeType
        ]
        assert modes[:2] == ["1", "0"]


@scenario
async def test_a_picture_encoded_elsewhere_that_does_not_fit_is_an_error_of_the_sender(scene):
    """And what follows it is not sent until there is a key frame that fits."""
    async with PeerPair(hosts=(scene.network.add_host("a"), scene.network.add_host("b"))) as pair:
        track = EncodedTrack("video", "video/H264")
        pair.offerer.addTrack(track)
        choose(pair.offerer.getTransceivers()[0], 0)
        errors = []
        pair.offerer.addEventListener("sendererror", lambda event: errors.append(str(event.error)))
        await pair.connect()
        reader = pair.answerer.getTransceivers()[0].receiver.encodedFrames()

        async def write(number, size, *, key):
            unit = bytes((0x65 if key else 0x41,)) + b"x" * size
            packet = av.Packet(b"\0\0\0\1" + unit)
            packet.pts, packet.time_base, packet.is_keyframe = (
                3000 * number,
                fractions.Fraction(1, 90000),
                key,
            )
            await track.write(packet)
            await asyncio.sleep(1 / 30)
            return b"\0\0\0\1" + unit

        sent = [await write(0, 900, key=True), await write(1, 100, key=False)]
        await write(2, 5000, key=True)
        await write(3, 100, key=False)
        sent += [await write(4, 500, key=True), await write(5, 200, key=False)]
        assert [(await anext(reader)).data for _ in sent] == sent
        assert len(errors) == 1
        assert "packetization mode 0" in errors[0]
        await reader.aclose()
        track.stop()


def unit(number, size, *, key):
    """A packet with one NAL unit; what is in it no decoder reads."""
    packet = av.Packet(b"\0\0\0\1" + bytes((0x65 if key else 0x41, number)) + b"x" * size)
    packet.pts, packet.time_base, packet.is_keyframe = 3000 * number, fractions.Fraction(1, 90000), key
    return packet


class Packets(MediaStreamTrack):
    """A track of packets, as a file gives them."""

    kind = "video"

    def __init__(self, packets):
        super().__init__()
        self.packets = list(packets)
        self.connected = asyncio.Event()

    async def recv(self):
        await self.connected.wait()
        await asyncio.sleep(1 / 30)
        if not self.packets:
            raise MediaStreamError
        return self.packets.pop(0)


# (size, key frame) of pictures, of which the third does not fit into a packet
SIZES = [(900, True), (100, False), (5000, True), (100, False), (100, False), (500, True), (200, False)]


@pytest.mark.parametrize(
    ("modes", "arriving"), [((0,), (0, 1, 5, 6)), ((0, 1), range(7)), ((1, 0), range(7))]
)
@scenario
async def test_packets_of_a_file_are_fragmented_where_that_was_negotiated(scene, modes, arriving):
    """In mode 0 what does not fit costs itself and what refers to it, up to the next key frame."""
    async with PeerPair(hosts=(scene.network.add_host("a"), scene.network.add_host("b"))) as pair:
        sent = [unit(number, size, key=key) for number, (size, key) in enumerate(SIZES)]
        track = Packets(sent)
        pair.offerer.addTrack(track)
        codecs = RTCRtpSender.getCapabilities("video").codecs
        pair.offerer.getTransceivers()[0].setCodecPreferences(
            [c for mode in modes for c in codecs if f"packetization-mode={mode}" in (c.sdpFmtpLine or "")]
        )
        errors = []
        pair.offerer.addEventListener("sendererror", lambda event: errors.append(str(event.error)))
        await pair.connect()
        reader = pair.answerer.getTransceivers()[0].receiver.encodedFrames()
        await asyncio.sleep(0.1)
        track.connected.set()

        expected = [bytes(sent[number]) for number in arriving]
        assert [(await anext(reader)).data for _ in expected] == expected
        assert len(errors) == (modes == (0,))
        await reader.aclose()
        track.stop()


@scenario
async def test_behind_a_transformed_picture_that_does_not_fit_comes_a_key_frame(scene):
    """What refers to it is not sent, and the encoder is asked at once."""
    written = []

    async def grow(transformer):
        async for frame in transformer.readable:
            if len(written) == 5:
                frame.data = frame.data + b"x" * 2000
            written.append((frame.type, frame.timestamp))
            await transformer.writable.write(frame)

    async with PeerPair(hosts=(scene.network.add_host("a"), scene.network.add_host("b"))) as pair:
        track = synthetic_track("video", PICTURE)
        sender = pair.offerer.addTrack(track)
        choose(pair.offerer.getTransceivers()[0], 0)
        errors = []
        pair.offerer.addEventListener("sendererror", lambda event: errors.append(str(event.error)))
        sender.transform = RTCRtpScriptTransform(grow)
        await pair.connect()
        reader = pair.answerer.getTransceivers()[0].receiver.encodedFrames()
        frames = [await anext(reader) for _ in range(12)]

        times = [time for _type, time in written]
        places = [times.index(frame.timestamp) for frame in frames]
        behind = next(index for index, place in enumerate(places) if place > 5)
        assert 5 not in places
        assert written[places[behind]][0] == frames[behind].type == "key"
        # not more pictures were left out than it takes to ask an encoder
        assert places[behind] < 5 + 12
        assert len(errors) == 1
        await reader.aclose()
        track.stop()


@pytest.mark.parametrize(
    ("received", "sent", "forwarded"), [(0, 0, True), (0, 1, True), (1, 1, True), (1, 0, False)]
)
@scenario
async def test_what_arrives_in_mode_0_is_forwarded_in_both_and_fragments_in_mode_1_alone(
    scene, received, sent, forwarded
):
    def choose_both(first, second):
        choose(first or second, received if first else sent)

    chain = Chain(scene, "video")
    async with chain.running(choose=choose_both):
        await chain.becomes(forwarded)
        assert len(await pictures(chain.track, 5)) == 5
        assert await chain.is_forwarded() is forwarded
