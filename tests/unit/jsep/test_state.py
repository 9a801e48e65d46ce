"""The state of a session: a new one out of an old one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rtcpeer.jsep.state import SessionState
from rtcpeer.values import SignalingState


def test_with_members_is_what_replace_makes() -> None:
    state = SessionState(next_mid=3, cname="x")
    changed = state.with_members({"signaling": SignalingState.HAVE_LOCAL_OFFER, "stable": state})
    assert changed == replace(state, signaling=SignalingState.HAVE_LOCAL_OFFER, stable=state)
    assert (state.signaling, state.stable) == (SignalingState.STABLE, None)
    assert changed.__dict__.keys() == {field.name for field in fields(SessionState)}
    assert state.with_members({}) == state


def test_a_state_has_no_other_members() -> None:
    with pytest.raises(TypeError, match="next_mids"):
        SessionState().with_members({"next_mids": 1})
