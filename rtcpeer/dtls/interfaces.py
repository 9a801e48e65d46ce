"""Interfaces of a DTLS transport: the datagram path below it, the data user above it, and its listener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcpeer.errors import RTCError
from rtcpeer.values import DtlsTransportState, IceRole


class DatagramPipe(Protocol):
    """The path that DTLS runs over: one ICE agent."""

    receiver: Callable[[bytes], None] | None
    run_receiver: Callable[[list[bytes]], None] | None

    @property
    def role(self) -> IceRole:
        """The ICE role, which decides the DTLS role where descriptions did not."""

    @property
    def round_trip_time(self) -> float | None:
        """The last round trip measured on the path, in seconds; None before that."""

    @property
    def has_path(self) -> bool:
        """Whether what is sent now can be expected to arrive."""

    @property
    def has_route(self) -> bool:
        """Whether there is a path now."""

    def send(self, data: bytes) -> None:
        """Send a datagram; dropped while there is no path."""

    def send_segments(self, data: bytes, size: int) -> None:
        """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""


class DtlsListener(Protocol):
    """Protocol of those who are told about the life of a DTLS transport."""

    def on_dtls_state(self, state: DtlsTransportState, error: RTCError | None) -> None:
        """The state changed; `error` says why it is "failed"."""


class DataUser(Protocol):
    """Protocol of those who send and receive application data: the SCTP association."""

    def on_dtls_connected(self) -> None:
        """Data can be sent from now on."""

    def on_dtls_data(self, data: bytes) -> None:
        """A message of application data has arrived."""

    def on_dtls_run(self, messages: list[bytes]) -> None:
        """Messages of application data have arrived together."""

    def on_dtls_closed(self, error: RTCError | None) -> None:
        """There is no more data, in either direction."""

    def on_dtls_wake(self) -> None:
        """A path came back: send what waits for a timer."""
