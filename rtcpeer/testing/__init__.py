"""Everything a program needs to test WebRTC code: tracks, a STUN/TURN server, a network, virtual time.

    from rtcpeer.testing import TurnServer, VirtualNetwork, synthetic_track

Names are imported on demand, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "synthetic_track": "media",
    "SyntheticTrack": "media",
    "SyntheticAudioTrack": "media",
    "SyntheticVideoTrack": "media",
    "TurnServer": "turn",
    "TurnSettings": "turn_settings",
    "TurnFaults": "turn_settings",
    "TurnCounters": "turn_settings",
    "CertificateAuthority": "tls",
    "VirtualClock": "clock",
    "VirtualTimeLoop": "clock",
    "run_virtual": "clock",
    "VirtualNetwork": "network",
    "Host": "network",
    "Router": "network",
    "Segment": "network",
    "NatBehaviour": "network",
    "Firewall": "network",
    "LinkSettings": "network",
    "OutageNetwork": "outage",
    "PeerPair": "peers",
    "LeakCheck": "leaks",
    "no_leaks": "leaks",
}

__all__ = [
    "synthetic_track",
    "SyntheticTrack",
    "SyntheticAudioTrack",
    "SyntheticVideoTrack",
    "TurnServer",
    "TurnSettings",
    "TurnFaults",
    "TurnCounters",
    "CertificateAuthority",
    "VirtualClock",
    "VirtualTimeLoop",
    "run_virtual",
    "VirtualNetwork",
    "Host",
    "Router",
    "Segment",
    "NatBehaviour",
    "Firewall",
    "LinkSettings",
    "OutageNetwork",
    "PeerPair",
    "LeakCheck",
    "no_leaks",
]

if TYPE_CHECKING:
    from .clock import VirtualClock, VirtualTimeLoop, run_virtual
    from .leaks import LeakCheck, no_leaks
    from .media import SyntheticAudioTrack, SyntheticTrack, SyntheticVideoTrack, synthetic_track
    from .network import Firewall, Host, LinkSettings, NatBehaviour, Router, Segment, VirtualNetwork
    from .outage import OutageNetwork
    from .peers import PeerPair
    from .tls import CertificateAuthority
    from .turn import TurnServer
    from .turn_settings import TurnCounters, TurnFaults, TurnSettings


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
