"""The network in force: the system's, until another one takes its place.

The virtual network of `rtcpeer.testing` sets `current_network`.
"""

from __future__ import annotations

from contextvars import ContextVar

from rtcpeer.net.network import Network
from rtcpeer.net.system import SystemNetwork

_system: Network = SystemNetwork()

#: The network that new connections use; captured when an RTCPeerConnection is made.
current_network: ContextVar[Network] = ContextVar("rtcpeer_network", default=_system)
