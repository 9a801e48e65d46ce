"""The context that a plan starts from: settings, state, fingerprints, random numbers, the writer of SDP.  Frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcpeer.jsep.settings import EngineSettings
from rtcpeer.jsep.state import SessionState
from rtcpeer.records import record
from rtcpeer.sdp.model import SdpSession
from rtcpeer.values import Fingerprint, IceParameters


class Entropy(Protocol):
    """Source of chance; the peer implements it with `secrets`, tests with a counter."""

    def session_id(self) -> int:
        """A number for ``o=``: 62 random bits (RFC 8829 5.2.1)."""

    def ice_parameters(self) -> IceParameters:
        """Fresh credentials."""

    def ssrc(self) -> int:
        """A random SSRC, not 0."""

    def identifier(self) -> str:
        """A random id for a track, a stream or a CNAME (no blanks; at most 64 characters)."""


@record(frozen=True, slots=True)
class PlanContext:
    """The engine at the beginning of one plan, as the functions that make and set descriptions see it.

    Attributes:
        settings: capabilities and policies.
        entropy: the source of chance.
        state: the state that the plan begins from.
        fingerprints: of the local certificates.
        write: model -> text.
    """

    settings: EngineSettings
    entropy: Entropy
    state: SessionState
    fingerprints: tuple[Fingerprint, ...]
    write: Callable[[SdpSession], str]
