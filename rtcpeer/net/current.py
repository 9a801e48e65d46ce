"""The network in force: protocols, the system's network, and a context variable to replace it.

The virtual network of `rtcpeer.testing` implements `Network` and sets `current_network`.
"""

from __future__ import annotations

from contextvars import ContextVar

from rtcpeer.net.network import (
    Address,
    DatagramReceiver,
    DatagramSocket,
    Family,
    Interface,
    Network,
    StreamListener,
    StreamReceiver,
    StreamSocket,
)
from rtcpeer.net.system import SystemNetwork

__all__ = [
    "Address",
    "DatagramReceiver",
    "DatagramSocket",
    "Family",
    "Interface",
    "Network",
    "StreamListener",
    "StreamReceiver",
    "StreamSocket",
    "SystemNetwork",
    "current_network",
]

_system: Network = SystemNetwork()

#: The network that new connections use; captured when an RTCPeerConnection is made.
current_network: ContextVar[Network] = ContextVar("rtcpeer_network", default=_system)
