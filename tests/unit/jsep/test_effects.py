"""The session state in force is replaced by one assignment."""

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.jsep.effects import CloseData, CreateTransceiver, StalePlan, StateHolder, UpdateNegotiationNeeded
from rtcpeer.jsep.inputs import TransceiverInit
from rtcpeer.values import MediaKind, SdpType
from tests.unit.jsep.support import pair


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


def test_data_that_is_rejected_ends_for_good():
    a, b = pair()
    a.want_data()
    b.remote(SdpType.OFFER, a.local().replace("UDP/DTLS/SCTP", "UDP/NOPE/SCTP"))
    plan = a.engine.plan_remote(SdpType.ANSWER, b.local())
    assert [effect.rolled_back for effect in plan.start if isinstance(effect, CloseData)] == [False]


def test_who_changes_something_asks_whether_negotiation_is_needed_and_clears_nothing():
    a, _ = pair()
    a.transceiver("audio")
    for plan in (a.engine.operations.plan_stop(0), a.engine.operations.plan_want_data()):
        assert [effect.clear for effect in plan.announce if isinstance(effect, UpdateNegotiationNeeded)] == [
            False
        ]


def test_an_object_is_told_who_has_made_its_record():
    a, b = pair()
    a.track("audio", "s", id="voice")
    plan = b.engine.plan_remote(SdpType.OFFER, a.local())
    made = [effect for effect in plan.prepare if isinstance(effect, CreateTransceiver)]
    assert [(effect.by_remote, effect.track_id) for effect in made] == [(True, "voice")]
    plan = b.engine.operations.plan_add_transceiver(TransceiverInit(MediaKind.VIDEO))
    made = [effect for effect in plan.prepare if isinstance(effect, CreateTransceiver)]
    assert [(effect.by_remote, effect.track_id) for effect in made] == [(False, None)]
