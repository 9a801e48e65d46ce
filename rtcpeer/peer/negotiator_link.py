"""Interface of the object that negotiates for a connection, such as `rtcpeer.signaling.negotiator.Negotiator`.

Owns: the protocol. Never: a message; the connection knows nothing of signaling paths.
"""

from __future__ import annotations

from typing import Protocol


class NegotiatorLink(Protocol):
    """The negotiator of a connection, as `RTCPeerConnection.negotiator` holds it."""

    @property
    def notices(self) -> object:
        """An object whose `str()` is a sentence about messages that were of no use, or "" when there were none."""
        ...

    def check_change(self, what: str, /) -> None:
        """Raise NotSupportedError when `what` needs an offer that the signaling path cannot carry."""
        ...
