"""The protocols at run time: whoever is said to fulfil one has its members. Types are the type checker's matter."""

from __future__ import annotations

import inspect

import aiortc
import pytest

import rtcpeer
from rtcpeer import protocols
from rtcpeer.aiortc.negotiable import AiortcConnection


def members(protocol: type) -> set[str]:
    bases = [
        base for base in protocol.__mro__ if base.__module__ == protocols.__name__ or base is protocols.Track
    ]
    return {name for base in bases for name in vars(base) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("protocol", "fulfilled_by"),
    [
        (protocols.PeerConnection, rtcpeer.RTCPeerConnection),
        (protocols.Track, rtcpeer.MediaStreamTrack),
        (protocols.Track, aiortc.MediaStreamTrack),
        (protocols.SenderLike, rtcpeer.RTCRtpSender),
        (protocols.ReceiverLike, rtcpeer.RTCRtpReceiver),
        (protocols.TransceiverLike, rtcpeer.RTCRtpTransceiver),
        (protocols.DataChannelLike, rtcpeer.RTCDataChannel),
        (protocols.IceTransportLike, rtcpeer.RTCIceTransport),
        (protocols.DtlsTransportLike, rtcpeer.RTCDtlsTransport),
        (protocols.SctpTransportLike, rtcpeer.RTCSctpTransport),
        (protocols.SessionDescriptionLike, rtcpeer.RTCSessionDescription),
        (protocols.IceCandidateLike, rtcpeer.RTCIceCandidate),
        (protocols.CandidatePairLike, rtcpeer.RTCIceCandidatePair),
    ],
    ids=lambda value: value.__name__,
)
def test_members(protocol: type, fulfilled_by: type) -> None:
    source = inspect.getsource(fulfilled_by)  # attributes that are set in `__init__`, too
    missing = {
        name
        for name in members(protocol)
        if not hasattr(fulfilled_by, name) and f"self.{name}" not in source and "__getattr__" not in source
    }
    assert members(protocol)
    assert missing == set()


async def test_plain_aiortc_can_be_negotiated() -> None:
    pc = AiortcConnection(aiortc.RTCPeerConnection())
    missing = {name for name in members(protocols.NegotiableConnection) if not hasattr(pc, name)}
    await pc.connection.close()
    assert missing == set()
