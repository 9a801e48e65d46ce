"""Check if negotiation is needed (webrtc-pc 4.7.3), condition by condition."""

from __future__ import annotations

import pytest

from rtcpeer.jsep.effects import UpdateNegotiationNeeded
from rtcpeer.values import Direction, SdpType
from tests.unit.jsep.support import Peer, negotiate, pair


def agreed() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("audio", "s1", "s2")
    b.track("audio", "t")
    negotiate(a, b)
    return a, b


def test_nothing_to_do() -> None:
    a, b = pair()
    assert not a.engine.negotiation_needed()
    a, b = agreed()
    assert not a.engine.negotiation_needed()
    assert not b.engine.negotiation_needed()


def test_data_until_a_section_is_negotiated() -> None:
    a, b = agreed()
    a.want_data()
    assert a.engine.negotiation_needed()
    negotiate(b, a)  # their offer has none
    assert a.engine.negotiation_needed()
    negotiate(a, b)
    assert not a.engine.negotiation_needed()


def test_data_that_the_other_side_rejects_does_not_ask_again() -> None:
    a, b = pair()
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    answer = b.local().replace("m=application 9", "m=application 0").replace("a=group:BUNDLE 0\r\n", "")
    a.remote(SdpType.ANSWER, answer)
    assert a.state.data is None
    assert not a.engine.negotiation_needed()


@pytest.mark.parametrize(
    ("streams", "needed"),
    [
        (["s1", "s2"], False),
        (["s2", "s1", "s1"], False),
        (["s1"], True),
        ([], True),
        (["s1", "s2", "s3"], True),
    ],
)
@pytest.mark.parametrize("offerer", [True, False])
def test_streams(streams: list[str], needed: bool, offerer: bool) -> None:
    a, b = agreed()
    if not offerer:
        negotiate(b, a)
    plan = a.carry_out(a.engine.operations.plan_set_streams(0, streams))
    assert plan.announce == (UpdateNegotiationNeeded(),)
    assert a.engine.negotiation_needed() is needed


def test_direction_of_the_offerer_matches_either_description() -> None:
    a, b = agreed()
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    negotiate(b, a)
    negotiate(a, b)  # offered sendrecv, answered recvonly
    assert not a.engine.negotiation_needed()
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.SENDONLY))
    assert not a.engine.negotiation_needed()  # that is what came of it
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    assert a.engine.negotiation_needed()


def test_direction_of_the_answerer_is_what_was_offered_at_most() -> None:
    a, b = pair()
    a.transceiver("audio", Direction.SENDONLY)
    negotiate(a, b)
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.SENDRECV))
    # the answer had no a=msid, and there is something to say now (webrtc-pc 4.7.3); sending it is not
    assert b.engine.negotiation_needed()
    negotiate(a, b)
    assert b.record(0).current_direction == "recvonly"
    assert not b.engine.negotiation_needed()
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.INACTIVE))
    assert b.engine.negotiation_needed()


def test_stopping() -> None:
    a, b = agreed()
    a.carry_out(a.engine.operations.plan_stop(0))
    assert a.engine.negotiation_needed()
    b.remote(SdpType.OFFER, a.local())
    assert b.record(0).stopped
    b.remote(SdpType.ROLLBACK, "")
    assert b.engine.negotiation_needed()  # stopped, and the current descriptions do not say so
    a.local(SdpType.ROLLBACK)
    negotiate(b, a)
    assert not a.engine.negotiation_needed()
    assert not b.engine.negotiation_needed()


def test_a_channel_of_who_has_offered_an_old_data_section_as_over_asks() -> None:
    """What was over in our own offer nobody has rejected since."""
    a, b = pair()
    a.want_data()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local().replace("UDP/DTLS/SCTP", "UDP/NOPE/SCTP"))
    a.remote(SdpType.ANSWER, b.local())
    assert not a.engine.negotiation_needed()  # they have rejected ours
    b.track("video", "t")
    a.remote(SdpType.OFFER, b.local())
    b.want_data()
    b.remote(SdpType.ANSWER, a.local())
    assert b.engine.negotiation_needed()
    negotiate(b, a)
    assert not b.engine.negotiation_needed()
    assert b.state.data is not None


def test_a_new_transceiver() -> None:
    a, _ = agreed()
    a.transceiver("video", Direction.RECVONLY)
    assert a.engine.negotiation_needed()


def test_a_direction_that_the_offer_would_have_allowed() -> None:
    """webrtc-pc 4.7.3, 5.3.3: an answerer compares with what was offered, not with what it has answered."""
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.INACTIVE))
    a.remote(SdpType.ANSWER, b.local())
    assert not b.engine.negotiation_needed()
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    assert b.engine.negotiation_needed()


def test_a_stopped_transceiver_that_no_description_knows() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.transceiver("audio")
    theirs = b.local()
    a.remote(SdpType.OFFER, theirs)
    a.remote(SdpType.OFFER, theirs.replace("m=audio 9", "m=audio 0").replace("a=group:BUNDLE 0\r\n", ""))
    a.remote(SdpType.ROLLBACK, "")
    assert (a.record(0).stopped, a.record(0).mid) == (True, None)
    assert not a.engine.negotiation_needed()


def test_a_stopped_transceiver_whose_section_their_answer_has_rejected() -> None:
    a, b = agreed()
    b.remote(SdpType.OFFER, a.local().replace("opus/", "xpus/").replace("PCM", "XCM"))
    b.local()
    assert b.record(0).stopped
    assert not b.engine.negotiation_needed()
