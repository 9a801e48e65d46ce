"""The six descriptions of a connection as a program sees them (webrtc-pc 4.4.2).

Owns: the objects last shown, so that an attribute gives the same one as long as nothing has changed. Never: a
description; those are the engine's.
"""

from __future__ import annotations

from rtcpeer.jsep.descriptions import Description
from rtcpeer.peer.descriptions import RTCSessionDescription


class ShownDescriptions:
    """The objects that the description attributes of one RTCPeerConnection give."""

    def __init__(self) -> None:
        # replaced whole, never changed
        self._shown: tuple[tuple[Description, RTCSessionDescription], ...] = ()

    def show(self, description: Description | None) -> RTCSessionDescription | None:
        """The object of a description; the same one as long as the description has not changed."""
        if description is None:
            return None
        for known, face in self._shown:
            if known is description:
                return face
        face = RTCSessionDescription(type=description.type.value, sdp=description.text)
        # no more than one each is in force; an old one that is asked for again is simply made again
        self._shown = (*self._shown[-3:], (description, face))
        return face
