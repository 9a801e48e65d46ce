"""The six descriptions of a connection as a program sees them (webrtc-pc 4.4.2).

Owns: the objects last shown, so that an attribute gives the same one as long as nothing has changed. Never: a
description; those are the engine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.media.event_target import EventTarget
from rtcpeer.peer.descriptions import RTCSessionDescription

if TYPE_CHECKING:
    from rtcpeer.jsep.descriptions import Description
    from rtcpeer.peer.session.session import PeerSession


class ShownDescriptions(EventTarget):
    """The description attributes of RTCPeerConnection."""

    _session: PeerSession
    # replaced whole, never changed
    _descriptions: tuple[tuple[Description, RTCSessionDescription], ...] = ()

    @property
    def localDescription(self) -> RTCSessionDescription | None:
        """The pending local description, else the current one; with the candidates gathered so far."""
        return self._shown(self._session.engine.state.local_description)

    def _shown(self, description: Description | None) -> RTCSessionDescription | None:
        if description is None:
            return None
        for known, face in self._descriptions:
            if known is description:
                return face
        face = RTCSessionDescription(type=description.type.value, sdp=description.text)
        # no more than one each is in force; an old one that is asked for again is simply made again
        self._descriptions = (*self._descriptions[-3:], (description, face))
        return face

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:
        """The local description that was negotiated last."""
        return self._shown(self._session.engine.state.current_local)

    @property
    def pendingLocalDescription(self) -> RTCSessionDescription | None:
        """The local description under negotiation."""
        return self._shown(self._session.engine.state.pending_local)

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:
        """The pending remote description, else the current one."""
        return self._shown(self._session.engine.state.remote_description)

    @property
    def currentRemoteDescription(self) -> RTCSessionDescription | None:
        """The remote description that was negotiated last."""
        return self._shown(self._session.engine.state.current_remote)

    @property
    def pendingRemoteDescription(self) -> RTCSessionDescription | None:
        """The remote description under negotiation."""
        return self._shown(self._session.engine.state.pending_remote)
