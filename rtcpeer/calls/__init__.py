"""Calls: one `Call` over the services that people use.

In reading order: `events` and `participant` (what a call shows), `request` and `service` (what a service is: read this
to add one), `host` (the state of a call), `call`, `joining` (`join`), `running` (`run`), `remote` (tracks that arrive);
then `mesh` (a connection to each other participant) with `rooms`, `rtcmulticonnection` (on `socketio_link`) and
`queue_channel`; `patience` (attempts to come back to a server); `whip`; the packages `janus`, `livekit` and `peerjs`.

The names below are loaded on demand; services need their extras, most of them ``rtcpeer[signaling]`` (aiohttp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = [
    "Call",
    "CallEvent",
    "CallHost",
    "CallService",
    "EndReason",
    "Ended",
    "JanusEchoTest",
    "JanusRoom",
    "JanusStreaming",
    "JanusTextRoom",
    "JoinRequest",
    "Joining",
    "Message",
    "Participant",
    "ParticipantAway",
    "ParticipantBack",
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
        ParticipantAway,
        ParticipantBack,
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
    from rtcpeer.calls.janus.echo import JanusEchoTest
    from rtcpeer.calls.janus.streaming import JanusStreaming
    from rtcpeer.calls.janus.textroom import JanusTextRoom
    from rtcpeer.calls.janus.videoroom import JanusRoom
    from rtcpeer.calls.joining import join, services
    from rtcpeer.calls.participant import Participant, Publication
    from rtcpeer.calls.peerjs.connections import PeerJSCall, PeerJSData
    from rtcpeer.calls.peerjs.peer import PeerJS
    from rtcpeer.calls.request import JoinRequest
    from rtcpeer.calls.rtcmulticonnection import RTCMultiConnection
    from rtcpeer.calls.running import run
    from rtcpeer.calls.service import CallService
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.calls.call": (
                "Call",
                "Joining",
            ),
            "rtcpeer.calls.events": (
                "CallEvent",
                "EndReason",
                "Ended",
                "Message",
                "ParticipantAway",
                "ParticipantBack",
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
            "rtcpeer.calls.janus.videoroom": ("JanusRoom",),
            "rtcpeer.calls.janus.echo": ("JanusEchoTest",),
            "rtcpeer.calls.janus.streaming": ("JanusStreaming",),
            "rtcpeer.calls.janus.textroom": ("JanusTextRoom",),
            "rtcpeer.calls.joining": (
                "join",
                "services",
            ),
            "rtcpeer.calls.participant": (
                "Participant",
                "Publication",
            ),
            "rtcpeer.calls.running": ("run",),
            "rtcpeer.calls.peerjs.connections": ("PeerJSCall", "PeerJSData"),
            "rtcpeer.calls.peerjs.peer": ("PeerJS",),
            "rtcpeer.calls.request": ("JoinRequest",),
            "rtcpeer.calls.rtcmulticonnection": ("RTCMultiConnection",),
            "rtcpeer.calls.service": ("CallService",),
        },
    )
