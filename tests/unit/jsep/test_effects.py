"""The session state in force is replaced by one assignment."""

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.jsep.effects import StalePlan, StateHolder


def test_a_plan_that_was_made_of_another_state_changes_nothing():
    first: Any = object()
    second: Any = object()
    third: Any = object()
    holder = StateHolder(first)
    late: Any = SimpleNamespace(base=first, next=third)
    plan: Any = SimpleNamespace(base=first, next=second)
    holder.commit(plan)
    assert holder.state is second
    with pytest.raises(StalePlan):
        holder.commit(late)
    assert holder.state is second
