"""Checks before credentials."""

from __future__ import annotations

from rtcpeer.ice.early_checks import EarlyChecks
from tests.unit.ice.support import FakeBase, Wire

BASE = FakeBase(Wire(), ("192.0.2.1", 1))


def test_kept_in_order_and_once() -> None:
    early = EarlyChecks(10, 5)
    assert early.keep(BASE, ("192.0.2.2", 1), 7)
    assert early.keep(BASE, ("192.0.2.3", 1), 8)
    assert early.keep(BASE, ("192.0.2.2", 1), 7)
    early.note(BASE, ("192.0.2.2", 1), True)
    early.note(BASE, ("192.0.2.2", 1), False)
    early.note(BASE, ("192.0.2.9", 1), True)
    assert early.has(BASE, ("192.0.2.2", 1))
    assert not early.has(BASE, ("192.0.2.2", 2))
    assert [(c.base, c.address, c.priority, c.use_candidate) for c in early.take()] == [
        (BASE, ("192.0.2.2", 1), 7, True),
        (BASE, ("192.0.2.3", 1), 8, False),
    ]
    assert early.take() == []
    assert not early.has(BASE, ("192.0.2.2", 1))


def test_bounds() -> None:
    early = EarlyChecks(10, 3)
    for port in range(10000):
        assert early.keep(BASE, ("192.0.2.2", port), 7) is (port < 3)
    assert len(early) == 3
    for number in range(200):
        early.keep(BASE, (f"192.0.2.{number}", 1), 7)
    assert len(early) == 10
    # what was taken has made room, also for its sources
    assert len(early.take()) == 10
    assert early.keep(BASE, ("192.0.2.2", 1), 7)
