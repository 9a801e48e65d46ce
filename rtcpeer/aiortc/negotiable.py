"""An adapter that shows a connection of plain aiortc with the W3C API, as far as `rtcpeer.Negotiator` uses it.

    pc = AiortcConnection(aiortc.RTCPeerConnection())
    async with Negotiator(pc, channel, polite=False):
        pc.createDataChannel("chat")

Owns: the translation of arguments, and the `negotiationneeded` event, which aiortc lacks. Everything else is the
connection's own. Never: an import of signaling.

aiortc has no rollback: in a glare it cannot give way, so it should be the impolite side, or the one that only answers.
It gathers all candidates within `setLocalDescription` and fires no `icecandidate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from rtcpeer.errors import NotSupportedError
from rtcpeer.media.event_target import Event, EventTarget, fire

_EVENTS = (
    "connectionstatechange",
    "datachannel",
    "iceconnectionstatechange",
    "icegatheringstatechange",
    "signalingstatechange",
    "track",
)


class AiortcConnection(EventTarget):
    """A plain aiortc connection for a `Negotiator`.

    Args:
        pc: an `aiortc.RTCPeerConnection`; what is not adapted is found on it.

    Attributes:
        connection: that connection.
    """

    def __init__(self, pc: RTCPeerConnection) -> None:
        self.connection = pc

    def __repr__(self) -> str:
        return f"<AiortcConnection {self.connection.signalingState}, {self.connection.connectionState}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:
        """The local description of the last exchange; aiortc shows only the newest one."""
        stable = self.connection.signalingState == "stable"
        return self.connection.localDescription if stable else None

    def addTrack(self, track: Any) -> Any:
        """Add a track as aiortc does; an offer follows."""
        return self._needing(self.connection.addTrack(track))

    def addTransceiver(self, track_or_kind: Any, direction: str = "sendrecv") -> Any:
        """Add a transceiver as aiortc does; an offer follows."""
        return self._needing(self.connection.addTransceiver(track_or_kind, direction))

    def createDataChannel(self, label: str, **options: Any) -> Any:
        """Make a data channel as aiortc does; an offer follows unless there is an association already."""
        needed = self.connection.sctp is None
        channel = self.connection.createDataChannel(label, **options)
        return self._needing(channel) if needed else channel

    async def setLocalDescription(self, description: Any = None) -> None:
        """Apply a local description as aiortc does, which has gathered everything when this returns.

        Raises:
            aiortc.InvalidStateError: it does not fit the state.
            NotSupportedError: it is a rollback, which aiortc does not have.
        """
        if isinstance(description, Mapping) and description.get("type") == "rollback":
            raise NotSupportedError(
                "aiortc cannot roll back: let this side be the impolite one, or only answer"
            )
        await self.connection.setLocalDescription(None if description is None else _description(description))

    async def setRemoteDescription(self, description: Any) -> None:
        """Apply a description, given as an object or a mapping."""
        await self.connection.setRemoteDescription(_description(description))

    async def addIceCandidate(self, candidate: Any) -> None:
        """Add a candidate, given as a mapping; an empty one says that no more will come.

        Raises:
            ValueError: aiortc cannot read it.
        """
        text = candidate["candidate"]
        if not text:
            await self.connection.addIceCandidate(None)
            return
        try:
            read = candidate_from_sdp(text.removeprefix("a=").removeprefix("candidate:"))
        except (AssertionError, IndexError) as error:
            raise ValueError(f"aiortc cannot read the candidate {text[:80]!r}") from error
        read.sdpMid, read.sdpMLineIndex = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        await self.connection.addIceCandidate(read)

    def addEventListener(self, type: str, listener: Any, options: Any = None, **members: Any) -> None:
        """Call a listener for each event of a type, as EventTarget does; the connection's own events go to its `on`."""
        if type in _EVENTS:
            self.connection.on(type, listener)
        else:
            super().addEventListener(type, listener, options, **members)
        pc = self.connection
        if type == "negotiationneeded" and pc.localDescription is None and (pc.getTransceivers() or pc.sctp):
            self._needing(None)  # of what was added before anybody listened

    def removeEventListener(self, type: str, listener: Any, options: Any = None) -> None:
        """Call a listener no more, as EventTarget does."""
        if type in _EVENTS:
            self.connection.remove_listener(type, listener)
        else:
            super().removeEventListener(type, listener, options)

    def _needing(self, made: Any) -> Any:
        asyncio.get_running_loop().call_soon(self._fire_needed)
        return made

    def _fire_needed(self) -> None:
        if self.connection.signalingState == "stable":
            fire(self, Event("negotiationneeded"))


def _description(value: Any) -> RTCSessionDescription:
    if isinstance(value, RTCSessionDescription):
        return value
    if hasattr(value, "sdp"):
        return RTCSessionDescription(sdp=value.sdp, type=str(value.type))
    return RTCSessionDescription(sdp=value["sdp"], type=value["type"])
