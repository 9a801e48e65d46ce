"""Answers to programs that reach for aiortc's private names: a word on what to write instead.

Names that can be had are attributes of the classes here (`sender._ssrc`, `transport._connection`). For the others
reading raises an AttributeError that says what there is, and setting one logs a warning: nothing looks at it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

logger = logging.getLogger("rtcpeer.aiortc")

_MANGLED = re.compile(r"_RTC[A-Za-z]+__\w+")
_GUIDE = "see section 3 of docs/moving-from-aiortc.md"

# aiortc's name, without the class in front of mangled ones: what to write
_INSTEAD = {
    "__jitter_buffer": "receiver.jitterBufferTarget (milliseconds)",
    "__decoder_queue": "track.dropped; remote tracks are bounded",
    "__decoder_thread": "nothing: what nobody reads is not decoded",
    "__stop_decoder": "await pc.close()",
    "__codecs": "receiver.getParameters().codecs",
    "__stats": "getStats()",
    "__rtp_history": "getStats()",
    "__lsr": "getStats()",
    "__rtt": "getW3CStats(): roundTripTime",
    "__createDtlsTransport": "RTCConfiguration(iceTransportPolicy=...) or PeerSettings(ice=IceSettings(...))",
    "__remoteIce": "transport.getRemoteParameters()",
    "__isInitiator": "nothing: roles follow from who offered, and conflicts are settled (RFC 8445)",
    "_handle_rtp_packet": "receiver.transform, or encoded frames (docs/relay.md)",
    "_handle_rtcp_packet": "getStats(), sender.estimate",
    "_send_rtcp": "receiver.requestKeyFrame()",
    "_send_rtcp_nack": "nothing: lost packets are asked for",
    "_handle_rtp_data": "receiver.transform, or encoded frames (docs/relay.md)",
    "_retransmit": "nothing: what is asked for is sent again",
    "_next_encoded_frame": "sender.transform, or a track of encoded frames",
    "_rtp_router": "transceiver.mid and receiver.track",
    "_rx_srtp": "a trace (docs/observability.md)",
    "_tx_srtp": "a trace (docs/observability.md)",
    "_set_role": "nothing: descriptions decide (a=setup)",
    "_preferred_codecs": "transceiver.setCodecPreferences()",
    "_setCurrentDirection": "transceiver.direction, then an offer",
    "_protocols": "PeerSettings(ice=IceSettings(...)) for ports and addresses",
    "_transport_policy": "RTCConfiguration(iceTransportPolicy=RTCIceTransportPolicy.RELAY)",
    "gather_candidates": "pc.setLocalDescription()",
    "get_component_candidates": "PeerSettings(ice=IceSettings(bind_addresses=..., port_range=..., nat_1to1=...))",
    "send": "data channels",
    "recv": "data channels",
    "stun_server": "RTCConfiguration(iceServers=[...])",
    "turn_server": "RTCConfiguration(iceServers=[...])",
}


def advice(owner: object, name: str) -> str:
    """The answer to a program that looks for a name which is aiortc's alone."""
    plain = "__" + name.split("__", 1)[1] if _MANGLED.fullmatch(name) else name
    instead = _INSTEAD.get(plain)
    what = f"{type(owner).__name__} of rtcpeer.aiortc has no {name!r}, which is inside aiortc"
    return f"{what}; instead: {instead}; {_GUIDE}" if instead else f"{what}; {_GUIDE}"


class PrivateNames:
    """Base of what has private names in aiortc that are not here."""

    # hidden from type checkers, for which every name would exist
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there."""
            if name.startswith("_") and not name.startswith("__"):
                raise AttributeError(advice(self, name), name=name, obj=self)
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
            )

        def __setattr__(self, name: str, value: Any) -> None:
            """Set an attribute; one of aiortc's mangled names is of no use."""
            if _MANGLED.fullmatch(name) and not hasattr(type(self), name):
                logger.warning("%s: what is set has no effect", advice(self, name))
            super().__setattr__(name, value)
