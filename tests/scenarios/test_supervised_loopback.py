"""Supervised pairs over loopback on real sockets and in real time: how long they are without traffic.

The bench holds the promises to the millisecond (8 s without a word, 1 s after one); these bounds tell one attempt
from two, and "at once" from "after a silence", on a machine that is busy elsewhere too.
"""

import pytest

from tests.bench.staying import path_death, replace_servers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    ("told", "replaced", "limit_ms"), [(False, True, 15_000), (False, False, 15_000), (True, True, 4000)]
)
async def test_traffic_again_after_the_path_has_died(told: bool, replaced: bool, limit_ms: int) -> None:
    measured = await path_death(told=told, replaced=replaced)
    assert measured["back_after_ms"] < limit_ms
    assert measured["lost"] == 0
    assert measured["in_order"]
    assert measured["generation"] == 1


async def test_servers_of_many_are_replaced_under_traffic() -> None:
    """The thousand are in the bench; a test needs no more than these."""
    measured = await replace_servers_of(40, period=0.2)
    assert measured["changed"] == measured["rotated"] == 40
    assert measured["states"] == ["connected"]
    assert measured["lost"] == 0
    assert measured["cpu_ms"] < 1000
    assert measured["age_during_ms"][1] < 2500
    assert measured["age_rotation_ms"][1] < 2500
