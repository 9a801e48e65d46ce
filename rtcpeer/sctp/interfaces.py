"""Interface of an SCTP association: what it calls on whoever uses it, and its numbers."""

from __future__ import annotations

from typing import Protocol

from rtcpeer.records import record

__all__ = ["AssociationStats", "AssociationUser"]


class AssociationUser(Protocol):
    """Protocol of the user of an association; its methods are called synchronously."""

    def on_established(self) -> None:
        """Messages can be sent."""

    def on_message(self, stream_id: int, protocol: int, data: bytes) -> None:
        """A whole message."""

    def on_stream_closing(self, stream_id: int) -> None:
        """The other end reset its half of a stream that we have opened."""

    def on_stream_closed(self, stream_id: int) -> None:
        """Both halves of a stream are reset."""

    def on_association_closed(self, cause: int | None, aborted: bool) -> None:
        """The association ended: `aborted` by the other end, with its cause, or in peace."""


@record(frozen=True, slots=True)
class AssociationStats:
    """Numbers of an association; sizes in bytes, times in seconds.

    Attributes:
        ignored: packets and chunks that made no sense or were beyond bounds.
    """

    smoothed_rtt: float | None
    congestion_window: int
    receiver_window: int
    mtu: int
    unacknowledged: int
    ignored: int
