"""Everything a program needs to test WebRTC code: tracks, a STUN/TURN server, a network, virtual time.

    from rtcpeer.testing import TurnServer, VirtualNetwork, synthetic_track

In reading order: `peers` (two connections; most tests begin here), `scripted` (a caller that does what the test
says), `clock` (virtual time), `media` (synthetic tracks), `leaks`, `plugin` (pytest fixtures); the packages `net`
(the virtual network), `turn` (a server with faults) and `livekit`.

Names are imported on demand, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

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
    "ScriptedPeer",
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
    from rtcpeer.testing.scripted import ScriptedPeer
    from rtcpeer.testing.turn.server import TurnServer
    from rtcpeer.testing.turn.settings import TurnCounters, TurnFaults, TurnSettings
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.testing.media": (
                "synthetic_track",
                "SyntheticTrack",
                "SyntheticAudioTrack",
                "SyntheticVideoTrack",
            ),
            "rtcpeer.testing.turn.server": ("TurnServer",),
            "rtcpeer.testing.turn.settings": (
                "TurnSettings",
                "TurnFaults",
                "TurnCounters",
            ),
            "rtcpeer.testing.net.tls": ("CertificateAuthority",),
            "rtcpeer.testing.clock": (
                "VirtualClock",
                "VirtualTimeLoop",
                "VirtualDeadlockError",
                "run_virtual",
            ),
            "rtcpeer.testing.net.network": (
                "VirtualNetwork",
                "Host",
                "Router",
                "Segment",
                "NatBehaviour",
                "Firewall",
                "LinkSettings",
            ),
            "rtcpeer.testing.net.outage": ("OutageNetwork",),
            "rtcpeer.testing.net.profiles": ("hostile_network",),
            "rtcpeer.testing.peers": ("PeerPair",),
            "rtcpeer.testing.scripted": ("ScriptedPeer",),
            "rtcpeer.testing.leaks": (
                "LeakCheck",
                "no_leaks",
            ),
        },
    )
