"""Active TCP candidates (RFC 6544), which exist because the other side listens.

Owns: when there is one, on which interface.  Never: connecting; that is the base's.
"""

from __future__ import annotations

from dataclasses import replace

from rtcpeer.ice.agent.gathering import tcp_candidate, usable_interfaces
from rtcpeer.ice.agent.gathering_session import GatheringHost
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Local
from rtcpeer.net.network import Network
from rtcpeer.values import IceTransportPolicy


def open_active(host: GatheringHost, network: Network, generation: Generation) -> None:
    """Active TCP bases, untold: the passive side learns them from the connections that they make.

    Args:
        host: the agent, as far as it is needed here.
        generation: which has learned of a passive remote candidate.
    """
    settings = host.settings
    if settings.tcp != "auto" or settings.policy is IceTransportPolicy.RELAY:
        return
    for index, interface in enumerate(usable_interfaces(network, settings)):
        address = interface.address
        if any(p.base is not None and p.base.address == (address, 9) for p in generation.locals):
            continue
        candidate, preference = tcp_candidate("active", 6, index, address, (address, 9))
        candidate = replace(candidate, ufrag=generation.local.ufrag)
        if settings.candidate_filter is not None and not settings.candidate_filter(candidate):
            continue
        base = host.pool.active_tcp(generation.half, address)
        local = Local(host.context.new_id("L"), candidate, base, preference, interface.name)
        host.core.add_local(host.clock(), generation, local)
