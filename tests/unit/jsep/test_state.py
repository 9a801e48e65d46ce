"""The state of a session: a new one out of an old one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rtcpeer.jsep.state import SessionState, Transceiver, Transport
from rtcpeer.values import Direction, MediaKind, SignalingState


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


def test_what_is_shown_of_a_transceiver() -> None:
    """webrtc-pc 5.4: stop() shows in the direction at once, in the current one when negotiation is over."""
    record = Transceiver(0, MediaKind.AUDIO, Direction.SENDONLY, current_direction=Direction.INACTIVE)
    assert (record.shown_direction, record.shown_current_direction) == ("sendonly", "inactive")
    record = replace(record, stopping=True)
    assert (record.shown_direction, record.shown_current_direction) == ("stopped", "inactive")
    record = replace(record, stopped=True)
    assert (record.shown_direction, record.shown_current_direction) == ("stopped", "stopped")


def test_transports_by_their_ids() -> None:
    state = SessionState(transports=(Transport(3), Transport(5)), bindings=(("a", 5), ("b", 3)))
    assert state.transport(5) is state.transports[1]
    assert state.transport(4) is None
    assert (state.transport_of("b"), state.transport_of("c")) == (3, None)
