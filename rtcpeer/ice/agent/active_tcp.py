"""Active TCP candidates (RFC 6544), which exist because the other side listens.

Owns: when there is one, on which interface.  Never: connecting; that is the base's.
"""

from __future__ import annotations

from dataclasses import replace

from rtcpeer.ice.agent.gathering import tcp_candidate, usable_interfaces
from rtcpeer.ice.agent.parts import AgentParts
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Local
from rtcpeer.values import IceTransportPolicy


def open_active(parts: AgentParts, generation: Generation) -> None:
    """Active TCP bases, untold: the passive side learns them from the connections that they make.

    Args:
        parts: of the agent.
        generation: which has learned of a passive remote candidate.
    """
    settings = parts.context.settings
    if settings.tcp != "auto" or settings.policy is IceTransportPolicy.RELAY:
        return
    for index, interface in enumerate(usable_interfaces(parts.network, settings)):
        address = interface.address
        if any(p.base is not None and p.base.address == (address, 9) for p in generation.locals):
            continue
        candidate, preference = tcp_candidate("active", 6, index, address, (address, 9))
        candidate = replace(candidate, ufrag=generation.local.ufrag)
        if settings.candidate_filter is not None and not settings.candidate_filter(candidate):
            continue
        base = parts.pool.active_tcp(generation.half, address)
        local = Local(parts.context.new_id("L"), candidate, base, preference, interface.name)
        parts.core.add_local(parts.clock(), generation, local)
