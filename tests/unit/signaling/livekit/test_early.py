"""Candidates of a LiveKit session that come before the description that they belong to."""

from __future__ import annotations

from typing import Any

import pytest

from rtcpeer.errors import OperationError
from rtcpeer.signaling.livekit.early import EARLY_MAX, EarlyCandidates


class Connection:
    """Takes candidates of the descriptions that it has."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.added: list[dict[str, Any]] = []

    @property
    def remoteDescription(self) -> object:
        return self.known or None

    async def addIceCandidate(self, members: dict[str, Any]) -> None:
        if members["of"] not in self.known:
            raise OperationError("unknown ufrag")
        self.added.append(members)


async def test_a_candidate_waits_for_its_description_and_for_no_other():
    early: Any = EarlyCandidates()
    first, second = Connection("a"), Connection()
    one, two, never = {"of": "a"}, {"of": "b"}, {"of": "c"}
    await early.take(first, one)
    await early.take(first, two)
    await early.take(second, one)
    await early.take(second, never)
    assert (first.added, second.added) == ([one], [])
    first.known.add("b")
    second.known.add("a")
    await early.add(first)
    assert (first.added, second.added) == ([one, two], [])
    await early.add(second)
    second.known.add("c")
    await early.add(second)
    assert second.added == [one], "what belonged to no description is forgotten"


async def test_so_many_may_wait():
    early: Any = EarlyCandidates()
    pc = Connection()
    for _ in range(EARLY_MAX):
        await early.take(pc, {"of": "a"})
    with pytest.raises(OperationError, match="too many"):
        await early.take(pc, {"of": "a"})
