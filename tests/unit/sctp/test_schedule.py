from __future__ import annotations

import random
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


def test_whoever_is_furthest_behind_is_first_however_they_come_and_go():
    """Against a model; also one that is alone now and then, which stands in no heap."""
    chance = random.Random(1)
    schedule: Schedule[Member] = Schedule()
    members = [Member(str(weight), weight) for weight in (1, 2, 8)]
    positions: dict[str, float] = {}
    ahead: dict[str, float] = {}
    now = 0.0
    for _ in range(20_000):
        member = chance.choice(members)
        step = chance.random()
        if step < 0.3:
            schedule.add(member)
            if member.name not in positions:
                positions[member.name] = max(now, ahead.pop(member.name, 0.0))
        elif step < 0.5:
            schedule.remove(member)
            position = positions.pop(member.name, 0.0)
            if position > now:
                ahead[member.name] = position
        elif step < 0.55:
            schedule.forget(member)
            positions.pop(member.name, None)
            ahead.pop(member.name, None)
        else:
            first = schedule.first()
            assert (first is None) is (not positions)
            if first is not None:
                now = positions[first.name]
                assert now == min(positions.values())
                size = chance.randrange(1, 3000)
                schedule.charge(first, size)
                positions[first.name] += size / first.weight
        assert bool(schedule) is bool(positions)
        assert schedule.is_contended is (len(positions) > 1)
        assert len(schedule._heap) < 100
