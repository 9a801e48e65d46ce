"""Which pair the controlled side takes, after what the other side says of its pairs."""

from __future__ import annotations

from rtcpeer.ice.generation import Generation
from rtcpeer.stun import message as stun
from tests.unit.ice.support import Side, Wire, connected_pair, exchange, request


def nominate(wire: Wire, right: Side, second: Generation, first: Generation, port: int) -> None:
    """A request with USE-CANDIDATE from the left side's address with this port."""
    data = request(second.local, first.local.ufrag, extra=stun.attribute(stun.USE_CANDIDATE, b""))
    base = next(b for b in right.bases if b.address[1] == port + 1000)
    right.core.on_stun_untrusted(wire.now, base, data, ("192.0.2.1", port))
    right.drain()
    wire.run(0.1)


def two_paths() -> tuple[Wire, Side, Side, Generation, Generation]:
    """Connected; the second path is validated too; the left side is still from now on."""
    wire, left, right, first, second = connected_pair(addresses=2)
    data = request(second.local, first.local.ufrag)
    for other in right.bases:
        for port in (1000, 1001):
            right.core.on_stun_untrusted(wire.now, other, data, ("192.0.2.1", port))
    wire.run(0.5)
    return wire, left, right, first, second


def test_the_last_word_of_a_regular_nominator_counts() -> None:
    wire, _, right, first, second = two_paths()
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]
    nominate(wire, right, second, first, 1001)
    assert right.core.route.address == ("192.0.2.1", 1001)  # type: ignore[union-attr]
    nominate(wire, right, second, first, 1000)
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]


def test_of_an_aggressive_nominator_the_better_pair_counts() -> None:
    wire, _, right, first, second = two_paths()
    second.nomination.remote_is_aggressive = True
    nominate(wire, right, second, first, 1001)
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]


def test_aggressive_nomination_connects() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    plain = first._send_check
    first._send_check = lambda now, pair, **kw: plain(now, pair, **{**kw, "nominate": True})  # type: ignore[method-assign]
    exchange(left, right, first, second)
    wire.run(0.1)
    assert second.nomination.remote_is_aggressive
    assert right.core.route.nominated  # type: ignore[union-attr]
