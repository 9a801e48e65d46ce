"""The destinations that the TURN server of `rtcpeer serve` relays to: its credentials are in a page for anybody.

Owns: that decision.  Never: a server.
"""

from __future__ import annotations

import ipaddress

from rtcpeer.ice.candidates import embedded_ipv4, reach_of
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Network


class Relays:
    """The relays at one address.

    A relay in a home or company network opens it to everybody who can call (CVE-2020-26262 of coturn is one of many),
    so loopback, link-local and private peers are refused, but for this machine's own addresses: there are the bot and
    the other relays.

    Args:
        host: where the servers listen, and relay from.
        network: whose addresses are ours; by default the one in force.
    """

    def __init__(self, host: str, network: Network | None = None) -> None:
        self._host = host
        self._network = network or current_network.get()

    def allows(self, peer: str) -> bool:
        """Whether this IP address may be a peer."""
        if peer == self._host:
            return True
        address = ipaddress.ip_address(peer)
        address = embedded_ipv4(address) or address
        if reach_of(peer) is not None or address.is_multicast:
            return False
        if address.is_global:
            return True
        return any(peer == interface.address for interface in self._network.interfaces())
