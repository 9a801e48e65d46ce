"""What the generations of one agent share: chance, and names that are given once."""

from __future__ import annotations

from rtcpeer.ice.context import IceContext
from rtcpeer.ice.settings import IceSettings
from tests.unit.ice.support import candidate


def context(prefix: str = "") -> IceContext:
    return IceContext(
        settings=IceSettings(), controlling=True, tie_breaker=1, jitter=lambda: 0.5, prefix=prefix
    )


def test_a_tie_breaker_is_of_64_bits_and_never_the_same() -> None:
    """RFC 8445 16.1."""
    drawn = [context().new_tie_breaker() for _ in range(200)]
    assert len(set(drawn)) == 200
    # each of the bits is drawn
    every, common = 0, 2**64 - 1
    for number in drawn:
        every, common = every | number, common & number
    assert (every, common) == (2**64 - 1, 0)


def test_a_transaction_id_is_of_96_bits_and_never_the_same() -> None:
    """RFC 8489 5."""
    drawn = {context().transaction_id() for _ in range(200)}
    assert {len(each) for each in drawn} == {12}
    assert len(drawn) == 200


def test_ids_are_given_once_and_belong_to_their_agent() -> None:
    one, other = context("a"), context("b")
    given = [made.new_id(kind) for made in (one, other) for kind in ("L", "P", "L")]
    assert len(set(given)) == 6
    assert given[0].startswith("La")


def test_every_candidate_is_accepted_where_nobody_says_otherwise() -> None:
    assert context().accepts_remote(candidate())
