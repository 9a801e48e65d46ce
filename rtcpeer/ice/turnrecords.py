"""What a TURN client keeps of its requests and peers, and what it tells.

Owns: plain records.  Never: a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtcpeer.ice.longterm import Attempts
from rtcpeer.ice.netbase import Address

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Allocated:
    """The relayed addresses (one, or one per family) and how the server sees us."""

    relayed: tuple[Address, ...]
    mapped: Address | None


@dataclass(frozen=True, slots=True)
class Refused:
    """No allocation: a STUN error code, or 701 for silence.

    Attributes:
        code, text: the server's, or ours for silence.
        alternate: where a redirect (300) sends us.
        signed: the server has proved that the refusal is its own (MESSAGE-INTEGRITY).
    """

    code: int
    text: str
    alternate: Address | None = None
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The allocation that we had is gone."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Released:
    """The server confirmed that the allocation is no more."""


TurnEvent = Allocated | Refused | Lost | Released


class Request:
    """A request on its way to the server.

    Attributes:
        peer: the permission's or channel's peer.
        next_at: when it is repeated, or, while it waits after a failure of the server, sent anew.
        failures: how often the server has failed (5xx) to deal with it.
    """

    __slots__ = ("attempts", "body", "data", "deadline", "failures", "method", "next_at", "peer", "rto")

    def __init__(self, method: int, body: bytes, peer: Address | None) -> None:
        self.method = method
        self.body = body
        self.peer = peer
        self.attempts = Attempts()
        self.failures = 0
        self.data = b""
        self.next_at = 0.0
        self.rto = 0.0
        self.deadline = 0.0


class Permission:
    """What one peer IP address may send to us."""

    __slots__ = ("granted", "queue", "refresh_at", "refused", "used")

    def __init__(self) -> None:
        self.granted = False
        # The server has said no; it is not asked again before another generation of ICE wants to know.
        self.refused = False
        self.used = True
        self.refresh_at = NEVER
        self.queue: list[tuple[bytes, Address]] = []


class Channel:
    """A channel number for one peer."""

    __slots__ = ("bound", "number", "refresh_at", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bound = False
        self.refused = False
        self.refresh_at = NEVER
