"""Local credentials and candidates, of one generation or of several that share them.

Owns: that half.  Pure.  A forked answer makes a second generation of the same half (RFC 8829 3.6): the ports that
were offered are offered to each who answers, so gathering and its bases belong to the half, not to a generation.
"""

from __future__ import annotations

from typing import Protocol

from rtcpeer.ice.pair import Local
from rtcpeer.values import IceParameters


class LocalSideUser(Protocol):
    """A generation, as its local half knows it."""

    @property
    def needs_mappings(self) -> bool: ...  # noqa: D102 - described in `LocalSide`


class LocalSide:
    """The local half of a generation: the credentials and candidates that we offered.

    Attributes:
        parameters, key: the credentials.
        locals: the candidates, in the order in which they were found.
        gathered: no other will follow.
        users: the generations that live on it; its bases may go when the last one has gone.
        left: remote ufrags of ends that had answered and were left for another one (forking).
    """

    __slots__ = ("gathered", "key", "left", "locals", "parameters", "users")

    def __init__(self, parameters: IceParameters) -> None:
        self.parameters = parameters
        self.key = parameters.pwd.encode()
        self.locals: list[Local] = []
        self.gathered = False
        self.users: list[LocalSideUser] = []
        self.left: set[str] = set()

    @property
    def needs_mappings(self) -> bool:
        """Whether a check may still come in through a reflexive candidate (RFC 8445 5.1.1.4)."""
        return any(user.needs_mappings for user in self.users)
