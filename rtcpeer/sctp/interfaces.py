"""Interface of an SCTP association: what it calls on whoever uses it."""

from __future__ import annotations

from typing import Protocol


class AssociationUser(Protocol):
    """Who uses an association; called synchronously."""

    def on_established(self) -> None:
        """Messages can be sent."""

    def on_message(self, stream_id: int, protocol: int, data: bytes) -> None:
        """A whole message."""

    def on_writable(self) -> None:
        """All that was given to `send` is on its way: give more."""

    def on_stream_closing(self, stream_id: int) -> None:
        """The other end reset its half of a stream that we have opened."""

    def on_stream_closed(self, stream_id: int) -> None:
        """Both halves of a stream are reset."""

    def on_association_closed(self, cause: int | None, aborted: bool) -> None:
        """It ended: `aborted` by the other end, with its cause, or given up."""
