"""Calls: one `Call` over the services that people use.

In reading order: `events` and `participant` (what a call shows), `request` and `service` (what a service is: read this
to add one), `host` (the state of a call), `call`, `joining` (`join`), `running` (`run`), `remote` (tracks that arrive);
then `mesh` (a connection to each other participant) with `rooms`, `rtcmulticonnection` and `queue_channel`; `janus` on
`janus_channels` and `janus_session`; `whip`; the package `livekit`; beside calls, `peerjs` with `binarypack`.

The names below are loaded on demand; services need their extras, most of them ``rtcpeer[signaling]`` (aiohttp).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "rtcpeer.calls.call": ("Call", "Joining"),
    "rtcpeer.calls.events": (
        "CallEvent",
        "EndReason",
        "Ended",
        "Message",
        "ParticipantJoined",
        "ParticipantLeft",
        "ParticipantUpdated",
        "Reconnected",
        "Reconnecting",
        "TrackMuted",
        "TrackSubscribed",
        "TrackUnsubscribed",
    ),
    "rtcpeer.calls.host": ("CallHost",),
    "rtcpeer.calls.joining": ("join", "services"),
    "rtcpeer.calls.participant": ("Participant", "Publication"),
    "rtcpeer.calls.running": ("run",),
    "rtcpeer.calls.peerjs": ("PeerJS", "PeerJSCall", "PeerJSData"),
    "rtcpeer.calls.request": ("JoinRequest",),
    "rtcpeer.calls.rtcmulticonnection": ("RTCMultiConnection",),
    "rtcpeer.calls.service": ("CallService",),
}

_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "Call",
    "CallEvent",
    "CallHost",
    "CallService",
    "EndReason",
    "Ended",
    "JoinRequest",
    "Joining",
    "Message",
    "Participant",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantUpdated",
    "PeerJS",
    "PeerJSCall",
    "PeerJSData",
    "Publication",
    "RTCMultiConnection",
    "Reconnected",
    "Reconnecting",
    "TrackMuted",
    "TrackSubscribed",
    "TrackUnsubscribed",
    "join",
    "run",
    "services",
]

if TYPE_CHECKING:
    from rtcpeer.calls.call import Call, Joining
    from rtcpeer.calls.events import (
        CallEvent,
        Ended,
        EndReason,
        Message,
        ParticipantJoined,
        ParticipantLeft,
        ParticipantUpdated,
        Reconnected,
        Reconnecting,
        TrackMuted,
        TrackSubscribed,
        TrackUnsubscribed,
    )
    from rtcpeer.calls.host import CallHost
    from rtcpeer.calls.joining import join, services
    from rtcpeer.calls.participant import Participant, Publication
    from rtcpeer.calls.peerjs import PeerJS, PeerJSCall, PeerJSData
    from rtcpeer.calls.request import JoinRequest
    from rtcpeer.calls.rtcmulticonnection import RTCMultiConnection
    from rtcpeer.calls.running import run
    from rtcpeer.calls.service import CallService


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'rtcpeer.calls' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
