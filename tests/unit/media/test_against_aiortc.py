"""Our ends against aiortc's own, over the same in-memory pipes: what we changed inside still speaks its protocols."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCCertificate
from aiortc.codecs import CODECS
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpDecodingParameters,
    RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
    RTCRtpRtxParameters,
    RTCRtpSendParameters,
)
from aiortc.rtcrtpreceiver import RemoteStreamTrack, RTCRtpReceiver
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from rtcpeer.dtls.certificates import Certificate, KeyAlgorithm
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.sender import MediaSender
from rtcpeer.media.track import RemoteTrack
from rtcpeer.rtp.packet import URI_ABS_SEND_TIME, URI_AUDIO_LEVEL, URI_MID
from rtcpeer.rtp.parameters import ReceiveParameters, RemoteSource, SendEncoding, SendParameters
from rtcpeer.sctp.channel import ChannelParameters
from rtcpeer.values import Codec, DtlsRole, Feedback, Fingerprint, HeaderExtension
from tests.unit.media.pipes import Pipe, pipe_pair, until
from tests.unit.media.rig import ChannelLog, End, Pictures, Tone

# aiortc itself, with pyOpenSSL below 26
pytestmark = pytest.mark.filterwarnings("ignore:Attempting to mutate a Context")


class IceShim:
    """What aiortc's DTLS takes for its ICE transport."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.role = pipe.role.value
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        pipe.receiver = self.queue.put_nowait

    async def _recv(self) -> bytes:
        return await self.queue.get()

    async def _send(self, data: bytes) -> None:
        self.pipe.send(data)


class Theirs:
    def __init__(self, pipe: Pipe) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.dtls = RTCDtlsTransport(IceShim(pipe), [self.certificate])

    @property
    def fingerprints(self) -> list[Fingerprint]:
        return [Fingerprint(f.algorithm, f.value) for f in self.certificate.getFingerprints()]


async def connect(role: DtlsRole, certificate: Certificate | None = None) -> tuple[End, Theirs]:
    a, b = pipe_pair()
    ours, theirs = End(a, certificate or Certificate.generate()), Theirs(b)
    theirs.dtls._set_role("server" if role is DtlsRole.CLIENT else "client")
    expected = [RTCDtlsFingerprint(f.algorithm, f.value) for f in ours.certificate.fingerprints]
    starting = asyncio.ensure_future(theirs.dtls.start(RTCDtlsParameters(expected)))
    ours.dtls.start(role, theirs.fingerprints)
    await starting
    await until(lambda: ours.dtls.is_connected)
    assert theirs.dtls.state == "connected"
    return ours, theirs


async def stop(ours: End, theirs: Theirs) -> None:
    await ours.stop()
    await theirs.dtls.stop()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("role", [DtlsRole.CLIENT, DtlsRole.SERVER])
async def test_dtls(role):
    ours, theirs = await connect(role)

    await theirs.dtls.stop()
    await until(lambda: ours.dtls.state == "closed")

    await stop(ours, theirs)


async def test_our_rsa_certificate_as_client():
    await stop(*await connect(DtlsRole.CLIENT, Certificate.generate(KeyAlgorithm("RSA"))))


@pytest.mark.parametrize("role", [DtlsRole.CLIENT, DtlsRole.SERVER])
async def test_data_channels(role):
    ours, theirs = await connect(role)
    sctp = RTCSctpTransport(theirs.dtls, 5000)
    their_channels, got = [], []
    sctp.on("datachannel", their_channels.append)
    ours.data.attach(ours.dtls)
    log = ChannelLog()
    channel = ours.data.open(ChannelParameters("ours", protocol="p", max_retransmits=2), log)
    await sctp.start(RTCSctpCapabilities(262144), 5000)
    ours.data.start(5000, 262144)

    await until(lambda: their_channels)
    their_channels[0].on("message", got.append)
    for message in ("text", b"bytes", "", b"", bytes(100_000)):
        channel.send(message)
        their_channels[0].send(message)
    await until(lambda: len(got) == len(log.messages) == 5)
    assert got == log.messages == ["text", b"bytes", "", b"", bytes(100_000)]
    assert (their_channels[0].protocol, their_channels[0].maxRetransmits) == ("p", 2)

    other = RTCDataChannel(sctp, RTCDataChannelParameters(label="theirs", ordered=False))
    await until(lambda: ours.channels and other.readyState == "open")
    assert (ours.channels[0].parameters.label, ours.channels[0].parameters.ordered) == ("theirs", False)

    channel.close()
    other.close()
    await until(lambda: their_channels[0].readyState == channel.state == ours.channels[0].state == "closed")
    await until(lambda: other.readyState == "closed")
    await sctp.stop()
    await until(lambda: ours.data.state == "closed")
    await stop(ours, theirs)


EXTENSIONS = {
    "audio": (HeaderExtension(URI_MID, 1), HeaderExtension(URI_AUDIO_LEVEL, 2)),
    "video": (HeaderExtension(URI_MID, 1), HeaderExtension(URI_ABS_SEND_TIME, 3)),
}


def codecs(kind, name):
    """The codec and its RTX, as aiortc has them and as we have them."""
    chosen = next(c for c in CODECS[kind] if c.name == name)
    theirs = [chosen, *(c for c in CODECS[kind] if c.parameters.get("apt") == chosen.payloadType)]
    ours = tuple(
        Codec(
            c.mimeType,
            c.clockRate,
            c.channels,
            tuple((k, str(v)) for k, v in c.parameters.items()),
            tuple(Feedback(f.type, f.parameter or "") for f in c.rtcpFeedback),
            c.payloadType,
        )
        for c in theirs
    )
    return theirs, ours


def their_extensions(kind):
    return [RTCRtpHeaderExtensionParameters(id=e.id, uri=e.uri) for e in EXTENSIONS[kind]]


@pytest.mark.parametrize(
    ("kind", "name"), [("audio", "opus"), ("video", "VP8"), ("video", "H264"), ("audio", "PCMU")]
)
async def test_our_sender_their_receiver(kind, name):
    ours, theirs = await connect(DtlsRole.SERVER)
    their_codecs, our_codecs = codecs(kind, name)
    receiver = RTCRtpReceiver(kind, theirs.dtls)
    receiver._track = RemoteStreamTrack(kind)
    receiver._set_rtcp_ssrc(99)
    await receiver.receive(
        RTCRtpReceiveParameters(
            codecs=their_codecs,
            headerExtensions=their_extensions(kind),
            muxId="m",
            encodings=[
                RTCRtpDecodingParameters(1000, their_codecs[0].payloadType, RTCRtpRtxParameters(1001))
            ],
        )
    )
    sender = MediaSender(kind)
    sender.attach(ours.dtls)
    sender.configure(SendParameters("m", our_codecs, (SendEncoding(1000, 1001),), EXTENSIONS[kind], "us"))
    sender.set_track(Pictures() if kind == "video" else Tone())

    frames = [await asyncio.wait_for(receiver.track.recv(), 60) for _ in range(5)]

    assert len(frames) == 5
    await sender.stop()
    await receiver.stop()
    await stop(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "name"), [("audio", "opus"), ("video", "VP8"), ("video", "H264"), ("audio", "PCMA")]
)
async def test_their_sender_our_receiver(kind, name):
    ours, theirs = await connect(DtlsRole.CLIENT)
    their_codecs, our_codecs = codecs(kind, name)
    sender = RTCRtpSender(Pictures() if kind == "video" else Tone(), theirs.dtls)
    track = RemoteTrack(kind)
    receiver = MediaReceiver(kind, track)
    receiver.attach(ours.dtls)
    encodings = (RemoteSource(sender._ssrc, sender._rtx_ssrc),)
    receiver.configure(ReceiveParameters("m", our_codecs, encodings, EXTENSIONS[kind]))
    await sender.send(
        RTCRtpSendParameters(
            codecs=their_codecs,
            headerExtensions=their_extensions(kind),
            muxId="m",
            rtcp=RTCRtcpParameters(cname="them", mux=True),
            encodings=[RTCRtpEncodingParameters(sender._ssrc, their_codecs[0].payloadType)],
        )
    )

    frames = [await asyncio.wait_for(track.recv(), 60) for _ in range(5)]

    assert len(frames) == 5
    await sender.stop()
    await until(lambda: track.muted)
    await receiver.stop()
    track.end()
    await stop(ours, theirs)
