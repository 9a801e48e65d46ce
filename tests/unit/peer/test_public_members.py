"""What programs see on the W3C objects: the members of the interfaces, and a written list of what is ours beside them.

A name that is neither must be private: whoever reads `dir(pc)` or lets an editor complete is told what to use.
"""

from __future__ import annotations

import pytest

import rtcpeer
from rtcpeer.media.track import RemoteTrack

EVENT_TARGET = "addEventListener removeEventListener dispatchEvent"
# of every object with events: docs/reference/connection.md shows `EventTarget`
LISTENING = "on events event_types"

# as in the IDL of webrtc-pc, webrtc-extensions, webrtc-priority, mediacapture-main, mst-content-hint and
# webrtc-encoded-transform; what makes no sense outside of a browser (identity, capture) is left out
IDL = {
    "RTCPeerConnection": """
        createOffer createAnswer setLocalDescription localDescription currentLocalDescription pendingLocalDescription
        setRemoteDescription remoteDescription currentRemoteDescription pendingRemoteDescription addIceCandidate
        signalingState iceGatheringState iceConnectionState connectionState canTrickleIceCandidates restartIce
        getConfiguration setConfiguration close generateCertificate getSenders getReceivers getTransceivers addTrack
        removeTrack addTransceiver sctp createDataChannel getStats onnegotiationneeded onicecandidate
        onicecandidateerror onsignalingstatechange oniceconnectionstatechange onicegatheringstatechange
        onconnectionstatechange ontrack ondatachannel""",
    "RTCRtpSender": """
        track transport getCapabilities setParameters getParameters replaceTrack setStreams getStats dtmf transform""",
    "RTCRtpReceiver": """
        track transport getCapabilities getParameters getContributingSources getSynchronizationSources getStats
        jitterBufferTarget transform""",
    "RTCRtpTransceiver": """
        mid sender receiver direction currentDirection stop setCodecPreferences getHeaderExtensionsToNegotiate
        setHeaderExtensionsToNegotiate getNegotiatedHeaderExtensions""",
    "RTCDataChannel": """
        label ordered maxPacketLifeTime maxRetransmits protocol negotiated id readyState bufferedAmount
        bufferedAmountLowThreshold binaryType priority send close onopen onbufferedamountlow onerror onclosing onclose
        onmessage""",
    "RTCIceTransport": """
        role component state gatheringState getLocalCandidates getRemoteCandidates getSelectedCandidatePair
        getLocalParameters getRemoteParameters onstatechange ongatheringstatechange onselectedcandidatepairchange""",
    "RTCDtlsTransport": "iceTransport state getRemoteCertificates onstatechange onerror",
    "RTCSctpTransport": "transport state maxMessageSize maxChannels onstatechange",
    "RTCDTMFSender": "insertDTMF ontonechange canInsertDTMF toneBuffer",
    "RTCCertificate": "expires getFingerprints",
    "RTCSessionDescription": "type sdp toJSON",
    "RTCIceCandidate": """
        candidate sdpMid sdpMLineIndex foundation component priority address protocol port type tcpType relatedAddress
        relatedPort usernameFragment relayProtocol url toJSON""",
    "RTCIceCandidatePair": "local remote",
    "RTCStatsReport": "size has get keys values forEach",
    "MediaStreamTrack": """
        kind id label enabled muted contentHint readyState clone stop getCapabilities getConstraints getSettings
        applyConstraints onmute onunmute onended""",
    "MediaStream": """
        id active getAudioTracks getVideoTracks getTracks getTrackById addTrack removeTrack clone onaddtrack
        onremovetrack""",
}

_EVENT = "bubbles composed preventDefault stopPropagation stopImmediatePropagation"
IDL |= dict.fromkeys(
    """
    Event MediaStreamEvent MediaStreamTrackEvent RTCDTMFToneChangeEvent RTCDataChannelEvent RTCErrorEvent
    RTCPeerConnectionIceErrorEvent RTCPeerConnectionIceEvent RTCSenderErrorEvent RTCTrackEvent""".split(),  # noqa: SIM905
    _EVENT,
)
IDL["MessageEvent"] = f"{_EVENT} lastEventId ports source"

# ours: each has a docstring that says so, and a place in the guides
OURS = {
    "RTCPeerConnection": "connected gathered explain negotiator onnetworkchange onsendererror",
    "RTCRtpSender": "estimate kind",
    "RTCRtpReceiver": "encodedFrames exchangeTrack requestKeyFrame",
    "RTCRtpTransceiver": "kind stopped",
    "RTCDataChannel": "messages opened send_async unacknowledgedMessages",
    "RTCCertificate": "from_pem to_pem",
    "RTCIceCandidate": "ip",
    # a mapping of Python beside W3C's map
    "RTCStatsReport": "items of_type",
    # sources write `recv` and call `end` and `set_muted`; the rest is the emitter of aiortc's class
    "MediaStreamTrack": """
        recv end set_muted
        add_listener cancel complete emit event_names listeners listens_to once remove_all_listeners remove_listener
        wait_for_complete""",
}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize("name", IDL)
def test_members(name: str) -> None:
    cls = getattr(rtcpeer, name)
    wanted = {*IDL[name].split(), *OURS.get(name, "").split()}
    if issubclass(cls, rtcpeer.EventTarget):
        wanted |= {*EVENT_TARGET.split(), *LISTENING.split()}
    assert sorted(public(cls) ^ wanted) == []


def test_nothing_is_listed_twice() -> None:
    for name, ours in OURS.items():
        assert not set(ours.split()) & set(IDL[name].split()), name


def test_what_is_ours_has_a_docstring() -> None:
    for name, ours in OURS.items():
        for member in ours.split():
            value = getattr(rtcpeer, name).__dict__.get(member)
            if callable(getattr(value, "__func__", value)):
                assert (getattr(value, "__func__", value)).__doc__, f"{name}.{member}"


def test_a_remote_track_has_a_receiver_too() -> None:
    # `dropped` is for programs; the rest is what a receiver and those who forward the track call (`media.interfaces`)
    receiver = "set_control set_id control wants_frames push_frame on_flow on_audio_format add_tap origin watch unwatch"
    assert public(RemoteTrack) - public(rtcpeer.MediaStreamTrack) == {"dropped", *receiver.split()}
