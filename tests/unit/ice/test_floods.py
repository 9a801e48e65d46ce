"""Ten thousand of everything that strangers can send: little memory, little time, no effect."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.stun import message as stun
from rtcpeer.values import CandidateType
from tests.unit.ice.support import Side, Wire, candidate, connected_pair
from tests.unit.ice.test_core import request

COUNT = 10_000


@contextmanager
def bounded(seconds: float, size: int) -> Iterator[None]:
    """CPU time and memory that may be used inside; generous, for machines differ."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    began = time.process_time()
    try:
        yield
        assert time.process_time() - began < seconds
        assert tracemalloc.get_traced_memory()[0] - before < size
    finally:
        tracemalloc.stop()


def test_early_checks_with_the_right_password() -> None:
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    packets = [request(generation.local) for _ in range(COUNT)]
    with bounded(10, 500_000):
        for number, packet in enumerate(packets):
            source = (f"198.51.{number % 100}.{number % 250}", 1000 + number)
            side.core.on_stun_untrusted(wire.now, base, packet, source)
            base.sent.clear()
            wire.log.clear()
            wire._queue.clear()
    assert side.core.state == "new"
    side.core.set_remote(wire.now, new_credentials())
    wire.run(1)
    assert len(generation.remotes) <= side.context.settings.max_peer_reflexive
    assert len(generation.checklist.pairs) <= side.context.settings.max_pairs


@pytest.mark.parametrize("what", ["wrong password", "unknown ufrag", "no integrity"])
def test_checks_of_strangers_are_not_even_answered(what: str) -> None:
    wire, left, _right, first, second = connected_pair()
    base = left.bases[0]
    local = first.local if what != "unknown ufrag" else new_credentials()
    packet = request(local, second.local.ufrag, key="wrong" * 5 if what == "wrong password" else None)
    if what == "no integrity":
        body = stun.attribute(stun.USERNAME, f"{local.ufrag}:{second.local.ufrag}".encode())
        packet = stun.encode(stun.BINDING_REQUEST, stun.new_transaction_id(), body)
    base.sent.clear()
    with bounded(5, 100_000):
        for number in range(COUNT):
            left.core.on_stun_untrusted(wire.now, base, packet, ("203.0.113.1", 1 + number % 60000))
    assert base.sent == []
    assert len(first.remotes) == 1
    assert left.core.state == "completed"


def test_forged_responses() -> None:
    """The attacker sees our requests, so he knows the transaction ids, but not the password."""
    wire, left, _right, first, _ = connected_pair()
    base = left.bases[0]
    wire.run(10)
    route = left.core.route
    assert route is not None
    consented_at = route.consented_at
    seen = [stun.parse_untrusted(data).transaction_id for _, data, _ in base.sent]
    with bounded(10, 100_000):
        for number in range(COUNT):
            transaction_id = seen[number % len(seen)] if number % 2 else stun.new_transaction_id()
            body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("203.0.113.9", 9), transaction_id)
            kind = stun.BINDING_SUCCESS if number % 3 else stun.BINDING_ERROR
            if kind == stun.BINDING_ERROR:
                body = stun.error_code(487, "Role Conflict")
            forged = stun.encode(kind, transaction_id, body, b"guess")
            left.core.on_stun_untrusted(wire.now, base, forged, route.address)
    assert left.core.route is route
    assert route.consented_at == consented_at
    assert left.core.role == "controlling"
    assert len(first.locals) == 1


def test_candidates_and_their_repetitions() -> None:
    wire, left, _right, first, second = connected_pair()
    with bounded(10, 1_000_000):
        for number in range(COUNT):
            told = candidate(f"203.0.{number % 200}.7", 1 + number % 60000, ufrag=second.local.ufrag)
            left.core.add_remote(wire.now, told, (told.address, told.port))
    settings = left.context.settings
    assert len(first.remotes) <= settings.max_remote_candidates
    assert len(first.checklist.pairs) <= settings.max_pairs
    wire.run(60)
    assert left.core.state == "completed"


def test_peer_reflexive_addresses_of_a_peer_gone_mad() -> None:
    """It knows the password and asks from ever new ports."""
    wire, left, _right, first, second = connected_pair()
    base = left.bases[0]
    with bounded(10, 1_000_000):
        for number in range(COUNT // 4):
            packet = request(first.local, second.local.ufrag)
            left.core.on_stun_untrusted(wire.now, base, packet, ("203.0.113.1", 1 + number))
            if number % 100 == 0:
                base.sent.clear()
                wire.log.clear()
                wire._queue.clear()
    reflexive = [r for r in first.remotes if r.candidate.type is CandidateType.PRFLX]
    assert len(reflexive) <= left.context.settings.max_peer_reflexive
    wire.run(5)
    assert left.core.state == "completed"
