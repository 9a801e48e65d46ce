from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rtcpeer.sctp.schedule import Schedule


@dataclass(eq=False)
class Member:
    name: str
    weight: int
    size: int = 1000


def run(schedule: Schedule[Member], turns: int) -> Counter[str]:
    sent: Counter[str] = Counter()
    for _ in range(turns):
        member = schedule.first()
        assert member is not None
        sent[member.name] += member.size
        schedule.charge(member, member.size)
    return sent


def test_shares_follow_weights_whatever_the_sizes():
    schedule: Schedule[Member] = Schedule()
    for member in (Member("high", 1024, 100), Member("low", 256, 6000), Member("very low", 128, 30_000)):
        schedule.add(member)

    sent = run(schedule, 200_000)

    assert abs(sent["high"] / sent["low"] - 4) < 0.1
    assert abs(sent["high"] / sent["very low"] - 8) < 0.2


def test_silence_is_no_claim_on_later_turns():
    schedule: Schedule[Member] = Schedule()
    busy, rare = Member("busy", 1), Member("rare", 1)
    schedule.add(busy)
    run(schedule, 1000)
    schedule.add(rare)

    assert run(schedule, 100)["rare"] <= 51_000


def test_coming_back_is_no_escape_from_what_was_sent():
    """One that has nothing more after each message keeps its place behind the others."""
    schedule: Schedule[Member] = Schedule()
    steady, jumpy = Member("steady", 8), Member("jumpy", 1)
    schedule.add(steady)
    sent: Counter[str] = Counter()
    for _ in range(900):
        schedule.add(jumpy)
        member = schedule.first()
        assert member is not None
        sent[member.name] += 1
        schedule.charge(member, 1000)
        if member is jumpy:
            schedule.remove(jumpy)

    assert 95 <= sent["jumpy"] <= 105


def test_members_that_left_have_no_turn():
    schedule: Schedule[Member] = Schedule()
    one, two = Member("one", 1), Member("two", 1)
    schedule.add(one)
    schedule.add(one)
    assert not schedule.is_contended
    schedule.add(two)
    assert schedule.is_contended
    assert schedule.first() is one
    schedule.forget(one)
    assert schedule.first() is two
    schedule.remove(two)
    assert schedule.first() is None
    assert not schedule
    schedule.charge(two, 5)
    schedule.add(two)
    schedule.clear()
    assert schedule.first() is None
