"""Transports that a program looks at before a description has made any."""

import pytest

from rtcpeer.aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCIceTransport,
    RTCPeerConnection,
    RTCSctpTransport,
)


def connection(policy=RTCBundlePolicy.BALANCED):
    pc = RTCPeerConnection(RTCConfiguration(bundlePolicy=policy))
    transceivers = [pc.addTransceiver(kind) for kind in ("audio", "video", "audio")]
    pc.createDataChannel("chat")
    return pc, [t.receiver.transport for t in transceivers], pc.sctp.transport


@pytest.mark.parametrize(
    ("policy", "groups"),
    [
        (RTCBundlePolicy.BALANCED, [0, 1, 0, 2]),
        (RTCBundlePolicy.MAX_COMPAT, [0, 1, 2, 3]),
        (RTCBundlePolicy.MAX_BUNDLE, [0, 0, 0, 0]),
    ],
)
async def test_what_shares_a_transport(policy, groups):
    pc, media, data = connection(policy)
    transports = [*media, data]
    assert [transports.index(t) for t in transports] == [groups.index(g) for g in groups]
    assert pc.getSenders()[1].transport is media[1]
    await pc.close()


async def test_the_first_state():
    pc, [audio, *_others], _data = connection()
    assert isinstance(audio, RTCDtlsTransport)
    assert isinstance(audio.transport, RTCIceTransport)
    assert isinstance(pc.sctp, RTCSctpTransport)
    assert (audio.state, audio.transport.state, pc.sctp.state) == ("new", "new", "connecting")
    assert (audio._role, pc.sctp.mid) == ("auto", None)
    gatherer = audio.transport.iceGatherer
    assert (gatherer.state, gatherer.getLocalCandidates()) == ("new", [])
    assert gatherer.getLocalParameters().usernameFragment is None
    [fingerprint] = audio.getLocalParameters().fingerprints
    assert f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}" in (await pc.createOffer()).sdp
    assert RTCSctpTransport.getCapabilities().maxMessageSize == 262144
    await pc.close()


async def test_a_description_makes_them_real():
    pc, [audio, video, _second], data = connection()
    told = []
    audio.transport.iceGatherer.on("statechange", lambda: told.append(audio.transport.iceGatherer.state))
    sctp = pc.sctp
    await pc.setLocalDescription()
    assert [t.receiver.transport for t in pc.getTransceivers()][:2] == [audio, video]
    assert (pc.sctp, pc.sctp.transport, pc.sctp.mid) == (sctp, data, "3")
    assert audio.transport.iceGatherer.getLocalParameters().usernameFragment in pc.localDescription.sdp
    assert told == ["gathering", "completed"]
    assert [t._get_mline_index() for t in pc.getTransceivers()] == [0, 1, 2]
    await pc.close()


async def test_none_without_data():
    pc = RTCPeerConnection()
    assert pc.sctp is None
    await pc.close()
    assert pc.sctp is None
