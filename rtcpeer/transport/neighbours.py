"""What DTLS, SCTP and media expect of those around them: below, above and beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from av.frame import Frame

from rtcpeer.errors import RTCError
from rtcpeer.values import DtlsTransportState, IceRole


class Pipe(Protocol):
    """What DTLS runs over: one ICE agent."""

    receiver: Callable[[bytes], None] | None

    @property
    def role(self) -> IceRole:
        """The ICE role, which decides the DTLS role where descriptions did not."""

    @property
    def round_trip_time(self) -> float | None:
        """What was measured last on the path, in seconds; None before that."""

    def send(self, data: bytes) -> None:
        """Send a datagram; dropped while there is no path."""


class DtlsListener(Protocol):
    """Who is told about the life of a DTLS transport."""

    def on_dtls_state(self, state: DtlsTransportState, error: RTCError | None) -> None:
        """The state changed; `error` says why it is "failed"."""


class DataUser(Protocol):
    """Who sends and receives application data: the SCTP association."""

    def on_dtls_connected(self) -> None:
        """Data can be sent from now on."""

    def on_dtls_data(self, data: bytes) -> None:
        """One message of application data."""

    def on_dtls_closed(self, error: RTCError | None) -> None:
        """No more data, in either direction."""

    def on_dtls_wake(self) -> None:
        """A path came back: send what waits for a timer."""


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


class ReceiverControl(Protocol):
    """What a track may ask of its receiver."""

    def on_demand(self) -> None:
        """Somebody begins to read."""


class FrameSink(Protocol):
    """The remote track, seen from below."""

    def set_control(self, control: ReceiverControl) -> None:
        """Who is asked for frames."""

    def wants_frames(self) -> bool:
        """Whether decoding is worth its cost."""

    def push_frame(self, frame: Frame) -> None:
        """A decoded frame."""

    def on_flow(self, flowing: bool) -> None:
        """Packets begin to come, or stop."""

    def on_audio_format(self, rate: int, channels: int) -> None:
        """What frames will be, as soon as packets say so."""
