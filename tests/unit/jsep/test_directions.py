"""No answer widens its offer (RFC 3264 6.1): every pair of directions, as answer and as pranswer."""

from __future__ import annotations

import itertools

import pytest

from rtcpeer.errors import InvalidAccessError
from rtcpeer.jsep import engine as engine_module
from rtcpeer.jsep.effects import MuteTrack, RemoveRemoteTrack
from rtcpeer.values import Direction, MediaKind, SdpType
from tests.unit.jsep.support import negotiate, pair

LINES = ("sendrecv", "sendonly", "recvonly", "inactive", "")
"""What a section says; nothing at all means sendrecv (RFC 8866 6.7)."""
PAIRS = list(itertools.product(LINES[:4], LINES))


def with_direction(text: str, said: str) -> str:
    """The description with another direction in every section, or with none."""
    lines = [x for x in text.splitlines(True) if x.strip()[2:] not in LINES[:4]]
    return "".join([x + (f"a={said}\r\n" if said and x.startswith("a=mid:") else "") for x in lines])


def fits(offered: str, answered: str) -> bool:
    ours, theirs = Direction(offered), Direction(answered or "sendrecv").reversed
    return not (theirs.sends and not ours.sends) and not (theirs.receives and not ours.receives)


@pytest.mark.parametrize("type_", [SdpType.ANSWER, SdpType.PRANSWER])
@pytest.mark.parametrize(("offered", "answered"), PAIRS)
def test_a_remote_answer_is_inside_our_offer_or_refused(offered: str, answered: str, type_: SdpType) -> None:
    a, b = pair()
    id = a.transceiver("audio", Direction(offered))
    b.remote(SdpType.OFFER, a.local())
    text = with_direction(b.local(), answered)
    before = a.state
    if fits(offered, answered):
        a.remote(type_, text)
        assert a.record(id).current_direction is Direction(answered or "sendrecv").reversed
    else:
        with pytest.raises(InvalidAccessError, match=answered or "no direction") as caught:
            a.engine.plan_remote(type_, text)
        assert caught.value.fault == "remote"
        assert a.state is before


@pytest.mark.parametrize(("offered", "wanted"), list(itertools.product(LINES, LINES[:4])))
def test_our_answer_is_inside_their_offer(offered: str, wanted: str) -> None:
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, with_direction(a.local(), offered))
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction(wanted)))
    b.local()
    allowed, mine = Direction(offered or "sendrecv").reversed, Direction(wanted)
    now = b.record(0).current_direction
    assert now is Direction.of(
        sends=allowed.sends and mine.sends, receives=allowed.receives and mine.receives
    )


@pytest.mark.parametrize(("offered", "answered"), [p for p in PAIRS if not fits(*p)])
def test_what_is_applied_is_the_intersection_even_of_an_answer_that_got_through(
    offered: str, answered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second wall: were the check forgotten, nothing would be sent, received or shown that was not offered."""
    monkeypatch.setattr(engine_module, "check_remote", lambda *_args, **_more: None)
    a, b = pair()
    id = a.transceiver("audio", Direction(offered))
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, with_direction(b.local(), answered))
    ours = Direction(offered)
    now = a.record(id).current_direction
    assert now is not None
    assert not (now.sends and not ours.sends)
    assert not (now.receives and not ours.receives)
    sending, receiving = a.record(id).send_parameters, a.record(id).receive_parameters
    assert (sending is not None and sending.active) == now.sends
    assert (receiving is not None and receiving.active) == now.receives
    assert bool(a.tracks()) == now.receives


def test_who_mutes_himself_stays_muted_whatever_the_other_side_answers() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.track("audio", "t")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    b.remote(SdpType.OFFER, a.local())
    text = b.local()
    for said in ("sendrecv", "recvonly", ""):
        with pytest.raises(InvalidAccessError):
            a.engine.plan_remote(SdpType.ANSWER, with_direction(text, said))
    a.remote(SdpType.ANSWER, text)
    assert a.record(0).current_direction == "recvonly"


def test_a_rejected_section_and_data_have_no_direction_to_check() -> None:
    a, b = pair()
    a.transceiver("audio", Direction.INACTIVE)
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    text = with_direction(b.local(), "")
    head, audio, data = text.split("m=")
    rejected = (head + "m=" + audio.replace("audio 9", "audio 0")).replace("BUNDLE 0 1", "BUNDLE 1")
    a.remote(SdpType.ANSWER, f"{rejected}m={data}a=sendrecv\r\n")
    assert a.state.data is not None
    assert a.state.data.started
    assert not [t for t in a.state.transceivers if t.kind is MediaKind.AUDIO]


def test_our_own_offer_takes_back_at_once_and_a_rollback_gives_back() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.track("audio", "t")
    negotiate(a, b)
    before = a.record(0)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.INACTIVE))
    a.local()
    assert not a.objects.senders[0].active
    assert not a.objects.receivers[0].active
    assert a.record(0).current_direction == "sendrecv"  # that is for an answer to change
    a.local(SdpType.ROLLBACK)
    assert a.record(0).send_parameters == before.send_parameters
    assert a.record(0).receive_parameters == before.receive_parameters


def test_an_answer_that_does_not_receive_takes_the_track_back() -> None:
    """webrtc-pc 4.4.1.5: the track that the offer announced is muted and leaves its streams; so it can come again."""
    a, b = pair()
    a.track("audio", "s")
    offer = a.local()
    b.remote(SdpType.OFFER, offer)
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.INACTIVE))
    plan = b.carry_out(b.engine.plan_local())
    assert [x for x in plan.announce if isinstance(x, MuteTrack | RemoveRemoteTrack)] == [
        MuteTrack(0),
        RemoveRemoteTrack(0, "s"),
    ]
    assert b.record(0).remote_stream_ids == ()
    a.remote(SdpType.ANSWER, b.state.local_description.text)  # type: ignore[union-attr]
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, a.local()))
    assert len(b.tracks()) == 2
    plan = b.carry_out(b.engine.plan_local())
    assert not [x for x in plan.announce if isinstance(x, MuteTrack | RemoveRemoteTrack)]


def test_an_answer_that_rejects_takes_the_track_back_and_stops_when_it_is_final() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local().replace("VP8/", "XX8/").replace("H264/", "X264/"))
    assert len(b.tracks()) == 2
    plan = b.carry_out(b.engine.plan_local(SdpType.PRANSWER))
    assert [x for x in plan.announce if isinstance(x, MuteTrack | RemoveRemoteTrack)] == [
        MuteTrack(1),
        RemoveRemoteTrack(1, "s"),
    ]
    assert not b.record(1).stopped
    plan = b.carry_out(b.engine.plan_local(SdpType.ANSWER))
    assert not [x for x in plan.announce if isinstance(x, MuteTrack | RemoveRemoteTrack)]
    assert b.record(1).stopped
    assert not b.record(0).stopped
