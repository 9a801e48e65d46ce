"""The order of the sections in an offer."""

from __future__ import annotations

from tests.unit.jsep.support import negotiate, pair


def test_data_that_is_always_wanted_stands_first() -> None:
    a, b = pair()
    a.track("audio", "s1")
    a.carry_out(a.engine.operations.plan_want_data(first=True))
    negotiate(a, b)
    a.track("video", "s1")
    negotiate(a, b)
    kinds = [m.kind for m in a.state.current_local.session.media]  # type: ignore[union-attr]
    assert kinds == ["application", "audio", "video"]
    assert len(a.objects.transports) == 1
