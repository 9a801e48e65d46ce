"""Which generation receives what comes from an address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rtcpeer.ice.demux import Routes
from rtcpeer.ice.pair import Local, Pair, Remote
from tests.unit.ice.support import FakeBase, Side, Wire, candidate

THERE = ("192.0.2.9", 9)


def generation(base: FakeBase) -> tuple[Routes, Pair]:
    pair = Pair("P", None, Local("L", candidate(), base), base, Remote("R", candidate(), THERE))
    checklist: Any = SimpleNamespace(pairs={"P": pair})
    return Routes(checklist), pair


def test_an_older_generation_keeps_the_address_until_the_newer_one_carries_data():
    base = Side(Wire(), True).base("192.0.2.1", 1000)
    old, old_pair = generation(base)
    new, new_pair = generation(base)
    old.claim(old_pair)
    new.claim(new_pair)
    assert base.routes == {THERE: old_pair}
    new.claim_all()
    assert base.routes == {THERE: old_pair}, "nothing was heard on the new path yet"
    new_pair.heard_at = 1.0
    new.claim_all()
    assert base.routes == {THERE: new_pair}
    old.forget()
    assert base.routes == {THERE: new_pair}, "what another one has taken over is not the old one's to forget"
    new.forget()
    assert base.routes == {}


def test_a_disowned_generation_gets_nothing_until_it_is_the_one_to_talk_to_again():
    base = Side(Wire(), True).base("192.0.2.1", 1000)
    routes, pair = generation(base)
    pair.heard_at = 1.0
    routes.claim(pair)
    routes.disown()
    routes.claim(pair)
    assert base.routes == {}
    routes.reclaim()
    assert base.routes == {THERE: pair}
    base.routes.clear()
    routes.claim(pair)
    assert base.routes == {THERE: pair}
