"""An adapter that lets `Negotiator` drive libwebrtc in Python: a connection of the package `wrtc` (module `webrtc`).

    pc = WrtcConnection(webrtc.RTCPeerConnection())
    async with Negotiator(pc, channel, polite=True):
        pc.createDataChannel("chat")

Owns: the translation of names and dictionaries (wrtc wants its dataclasses). Everything else is the connection's own.
Never: an import of wrtc before a connection of it was given.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

_NEEDED = "negotiationneeded"


class WrtcConnection:
    """A connection of `wrtc` for a `Negotiator`.

    Args:
        pc: a `webrtc.RTCPeerConnection`, to which nothing was added yet; what is not adapted is found on it.

    Attributes:
        connection: that connection.
    """

    def __init__(self, pc: Any) -> None:
        self.connection = pc
        self._webrtc = import_module("webrtc")
        # `negotiationneeded` that was fired while nobody listened: libwebrtc fires it once
        self._unheard: Any = None
        self._listeners = 0
        pc.on(_NEEDED, self._note)

    def __repr__(self) -> str:
        return f"<WrtcConnection {self.connection.signalingState}, {self.connection.connectionState}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def addEventListener(self, type: str, listener: Any) -> None:
        """Call a listener for each event of this type, as EventTarget does."""
        self.connection.on(type, listener)
        if type == _NEEDED:
            self._listeners += 1
            if self._unheard is not None:
                asyncio.get_running_loop().call_soon(listener, self._unheard)
                self._unheard = None

    def removeEventListener(self, type: str, listener: Any) -> None:
        """Call a listener no more, as EventTarget does."""
        self.connection.off(type, listener)
        if type == _NEEDED:
            self._listeners -= 1

    def _note(self, event: Any) -> None:
        if not self._listeners:
            self._unheard = event

    async def setLocalDescription(self, description: Any = None) -> None:
        """Apply a local description; without one, the offer or answer that the state asks for is made."""
        if description is None:
            await self.connection.setLocalDescription()
        else:
            await self.connection.setLocalDescription(self._description(description))

    async def setRemoteDescription(self, description: Any) -> None:
        """Apply a description, given as an object or a mapping."""
        await self.connection.setRemoteDescription(self._description(description))

    async def addIceCandidate(self, candidate: Any) -> None:
        """Add a candidate, given as a mapping."""
        init = self._webrtc.RTCIceCandidateInit(
            candidate=candidate["candidate"],
            sdp_mid=candidate.get("sdpMid"),
            sdp_m_line_index=candidate.get("sdpMLineIndex"),
            username_fragment=candidate.get("usernameFragment"),
        )
        await self.connection.addIceCandidate(init)

    def _description(self, value: Any) -> Any:
        if hasattr(value, "sdp"):
            return self._webrtc.RTCSessionDescriptionInit(type=str(value.type), sdp=value.sdp)
        return self._webrtc.RTCSessionDescriptionInit(type=value["type"], sdp=value["sdp"])
