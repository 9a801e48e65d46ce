"""Supervisor: a logical peer that stays connected over ICE restarts and new connections.

In reading order: `policy` (what to do next, pure), `peer` (`SupervisedPeer`), `controller` (what it does),
`recovery` and `lag` (observations), `observe` (reading a connection), `intents` (what is said again to the next
connection), `channel`, `delivery` and `handover` (messages over generations), `remote_tracks`, `servers`, `session`,
`events` and `listening` (their types), `diagram`.

The names below are loaded on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = [
    "Action",
    "Decision",
    "DefaultPolicy",
    "GaveUp",
    "MessagesLostEvent",
    "Observation",
    "PeerState",
    "Policy",
    "PolicySettings",
    "Reason",
    "Rotation",
    "ServerList",
    "ServersErrorEvent",
    "Session",
    "SignalingErrorEvent",
    "StateEvent",
    "SupervisedChannel",
    "SupervisedPeer",
    "SupervisedSender",
    "replace_servers",
]

if TYPE_CHECKING:
    from rtcpeer.supervisor.channel import SupervisedChannel
    from rtcpeer.supervisor.events import (
        GaveUp,
        MessagesLostEvent,
        ServersErrorEvent,
        SignalingErrorEvent,
        StateEvent,
    )
    from rtcpeer.supervisor.intents import SupervisedSender
    from rtcpeer.supervisor.peer import SupervisedPeer
    from rtcpeer.supervisor.policy import (
        Action,
        Decision,
        DefaultPolicy,
        Observation,
        PeerState,
        Policy,
        PolicySettings,
        Reason,
    )
    from rtcpeer.supervisor.servers import Rotation, replace_servers
    from rtcpeer.supervisor.session import ServerList, Session
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.supervisor.channel": ("SupervisedChannel",),
            "rtcpeer.supervisor.events": (
                "GaveUp",
                "MessagesLostEvent",
                "ServersErrorEvent",
                "SignalingErrorEvent",
                "StateEvent",
            ),
            "rtcpeer.supervisor.intents": ("SupervisedSender",),
            "rtcpeer.supervisor.peer": ("SupervisedPeer",),
            "rtcpeer.supervisor.policy": (
                "Action",
                "Decision",
                "DefaultPolicy",
                "Observation",
                "PeerState",
                "Policy",
                "PolicySettings",
                "Reason",
            ),
            "rtcpeer.supervisor.servers": (
                "Rotation",
                "replace_servers",
            ),
            "rtcpeer.supervisor.session": (
                "ServerList",
                "Session",
            ),
        },
    )
