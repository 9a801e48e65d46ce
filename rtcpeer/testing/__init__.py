"""Everything a program needs to test WebRTC code: tracks, a STUN/TURN server, a network, virtual time.

    from rtcpeer.testing import TurnServer, VirtualNetwork, synthetic_track

In reading order: `peers` (two connections; most tests begin here), `clock` (virtual time), `media` (synthetic
tracks), `leaks`, `plugin` (pytest fixtures); the packages `net` (the virtual network), `turn` (a server with faults)
and `livekit`.

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
    "TurnServer": "turn.server",
    "TurnSettings": "turn.settings",
    "TurnFaults": "turn.settings",
    "TurnCounters": "turn.settings",
    "CertificateAuthority": "net.tls",
    "VirtualClock": "clock",
    "VirtualTimeLoop": "clock",
    "VirtualDeadlockError": "clock",
    "run_virtual": "clock",
    "VirtualNetwork": "net.network",
    "Host": "net.network",
    "Router": "net.network",
    "Segment": "net.network",
    "NatBehaviour": "net.network",
    "Firewall": "net.network",
    "LinkSettings": "net.network",
    "OutageNetwork": "net.outage",
    "hostile_network": "net.profiles",
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
    "VirtualDeadlockError",
    "run_virtual",
    "VirtualNetwork",
    "Host",
    "Router",
    "Segment",
    "NatBehaviour",
    "Firewall",
    "LinkSettings",
    "OutageNetwork",
    "hostile_network",
    "PeerPair",
    "LeakCheck",
    "no_leaks",
]

if TYPE_CHECKING:
    from rtcpeer.testing.clock import VirtualClock, VirtualDeadlockError, VirtualTimeLoop, run_virtual
    from rtcpeer.testing.leaks import LeakCheck, no_leaks
    from rtcpeer.testing.media import (
        SyntheticAudioTrack,
        SyntheticTrack,
        SyntheticVideoTrack,
        synthetic_track,
    )
    from rtcpeer.testing.net.network import (
        Firewall,
        Host,
        LinkSettings,
        NatBehaviour,
        Router,
        Segment,
        VirtualNetwork,
    )
    from rtcpeer.testing.net.outage import OutageNetwork
    from rtcpeer.testing.net.profiles import hostile_network
    from rtcpeer.testing.net.tls import CertificateAuthority
    from rtcpeer.testing.peers import PeerPair
    from rtcpeer.testing.turn.server import TurnServer
    from rtcpeer.testing.turn.settings import TurnCounters, TurnFaults, TurnSettings


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
