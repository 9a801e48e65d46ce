"""Events of the ICE core: what it gives to the agent.

Owns: plain records, in the order in which they happened.  Never: a decision.
"""

from __future__ import annotations

from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Pair
from rtcpeer.records import record
from rtcpeer.values import IceRole, IceTransportState


@record(frozen=True, slots=True)
class StateChanged:
    """The transport's state is another."""

    state: IceTransportState


@record(frozen=True, slots=True)
class PairSelected:
    """Data goes over this pair from now on."""

    pair: Pair


@record(frozen=True, slots=True)
class Woken:
    """The pair that carries data was silent, and is not any more."""


@record(frozen=True, slots=True)
class RoleChanged:
    """A conflict, or a lite remote, gave us another role."""

    role: IceRole


@record(frozen=True, slots=True)
class ActiveWanted:
    """A remote candidate listens on TCP: active bases of this generation can connect to it."""

    generation: Generation


@record(frozen=True, slots=True)
class GenerationDropped:
    """A generation of which nothing is needed any more: its bases may go if it has no fork that lives."""

    generation: Generation


Event = StateChanged | PairSelected | Woken | RoleChanged | ActiveWanted | GenerationDropped
