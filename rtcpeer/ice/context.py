"""Shared by the generations of one agent: settings, role, random numbers.

Owns: that record.  Pure.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import field

from rtcpeer.ice.settings import IceSettings
from rtcpeer.records import record
from rtcpeer.stun import message as stun
from rtcpeer.values import Candidate

# Timers are never exactly on time; what is due within this is done now.
SLACK = 0.001


@record(slots=True)
class IceContext:
    """Settings, role and chance that the generations of one agent share.

    Attributes:
        controlling: our role; a role conflict changes it for all.
        tie_breaker: 64 random bits (RFC 8445 16.1); a 487 that switches our role has it drawn again.
        new_tie_breaker: draws them.
        jitter: a number in [0, 1), fresh at each call.
        transaction_id: 12 fresh unpredictable bytes.
        accepts_remote: whether the user lets us send to a remote candidate.
        prefix: makes the ids of candidates and pairs unique among agents.
    """

    settings: IceSettings
    controlling: bool
    tie_breaker: int
    jitter: Callable[[], float]
    transaction_id: Callable[[], bytes] = stun.new_transaction_id
    accepts_remote: Callable[[Candidate], bool] = field(default=lambda candidate: True)
    prefix: str = ""
    new_tie_breaker: Callable[[], int] = field(default=lambda: secrets.randbits(64))
    counter: itertools.count[int] = field(default_factory=itertools.count)

    def new_id(self, kind: str) -> str:
        """A fresh id for statistics."""
        return f"{kind}{self.prefix}{next(self.counter)}"
