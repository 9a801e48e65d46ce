"""Hostile networks by name: "alice" is on the internet, "bob" is behind what the name says.

Owns: the numbers of each network and where they come from. Never: a behaviour of its own (`nat`, `link`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rtcpeer.testing.net.nat import NatBehaviour
from rtcpeer.testing.net.network import VirtualNetwork

# 10.0.0.0/8 behind the operator, 192.168.0.0/16 at home: two translations (RFC 6888)
_CARRIER = NatBehaviour(
    mapping="endpoint-independent", filtering="address-and-port-dependent", timeout=60.0, hairpinning=True
)


def hotel_wifi(network: VirtualNetwork) -> None:
    """Guest Wi-Fi: only TCP 80 and 443 and DNS pass, it is slow, lossy and jittery."""
    network.add_host("alice", delay=0.01)
    hotel = network.add_router("hotel", nat="symmetric", firewall="only-web", delay=0.02)
    network.add_host("bob", segment=hotel.segment, delay=0.005, jitter=0.03, loss=0.02, bandwidth=250_000)


def symmetric_nat(network: VirtualNetwork) -> None:
    """Both ends are behind NATs that map each destination to another port: only a relay connects them."""
    for name in ("alice", "bob"):
        router = network.add_router(f"{name}'s NAT", nat="symmetric", delay=0.015)
        network.add_host(name, segment=router.segment)


def carrier_nat(network: VirtualNetwork) -> None:
    """A mobile operator's NAT behind the NAT of a home router, with short mappings."""
    network.add_host("alice", delay=0.01)
    operator = network.add_router("operator", nat=_CARRIER, prefix="100.64.0.0/16", delay=0.03, jitter=0.01)
    home = network.add_router("home", nat="port-restricted", segment=operator.segment, delay=0.002)
    network.add_host("bob", segment=home.segment)


def train(network: VirtualNetwork) -> None:
    """A mobile path that loses 1 % and is dark for 3 s of every 20 (tunnels), for ten minutes."""
    network.add_host("alice", delay=0.01)
    router = network.add_router("train", nat="port-restricted", delay=0.04, jitter=0.02)
    bob = network.add_host("bob", segment=router.segment, delay=0.002, loss=0.01, bandwidth=500_000)
    loop = asyncio.get_running_loop()
    for number in range(30):
        loop.call_later(20 * number + 10, lambda: bob.link.set(down=True))
        loop.call_later(20 * number + 13, lambda: bob.link.set(down=False))


PROFILES: dict[str, Callable[[VirtualNetwork], None]] = {
    "hotel_wifi": hotel_wifi,
    "symmetric_nat": symmetric_nat,
    "carrier_nat": carrier_nat,
    "train": train,
}


def hostile_network(name: str, **options: Any) -> VirtualNetwork:
    """A network with the hosts "alice" and "bob", made as its name says.

    Args:
        name: "hotel_wifi", "symmetric_nat", "carrier_nat" or "train".
        options: of `VirtualNetwork`, for example ``seed=7``.

    Raises:
        ValueError: there is no such network.
    """
    build = PROFILES.get(name)
    if build is None:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(PROFILES)}")
    network = VirtualNetwork(**options)
    build(network)
    return network
