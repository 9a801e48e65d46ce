"""Candidates, one by one, in both directions."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.jsep.candidates import MAX_ADDED, check_candidate_init
from rtcpeer.jsep.descriptions import default_candidate
from rtcpeer.jsep.effects import AddRemoteCandidate, EndOfRemoteCandidates, SetRemoteIce
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import BundlePolicy, CandidateType, SdpType
from tests.unit.jsep.support import SETTINGS, Peer, host, negotiate, pair

TEXT = "candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host"


def two_sections() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    return a, b


def remote_ufrag(peer: Peer) -> str:
    ice = peer.state.remote_description.session.media[0].ice  # type: ignore[union-attr]
    assert ice is not None
    return ice.ufrag


def test_local_candidates_enter_the_descriptions() -> None:
    a, b = two_sections()
    a.local()
    first = a.found(0, host(1))
    second = a.found(1, host(2))
    assert first is not None
    assert second is not None
    assert (first.mid, first.mline_index, second.mid, second.mline_index) == ("0", 0, "1", 1)
    assert first.text.endswith(f" ufrag {first.ufrag}")
    end = a.found(0, None)
    assert end is not None
    assert end.text == ""
    session = parse_untrusted(a.state.local_description.text)  # type: ignore[union-attr]
    assert [len(m.candidates) for m in session.media] == [1, 1]
    assert [m.end_of_candidates for m in session.media] == [True, False]
    assert session.media[0].port == 5001
    assert session.media[0].connection is not None
    assert session.media[0].connection.address == "192.0.2.1"
    assert parse_untrusted(a.offer()).media[0].candidates == session.media[0].candidates
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    b.local()
    effect = next(e for e in [b.engine.plan_local_candidate(0, "zz", None)])
    assert effect.announce == ()  # nobody knows that generation


def test_the_default_candidate_is_the_best_reachable() -> None:
    a, _ = two_sections()
    a.local()
    a.found(0, host(1, protocol="udp") if False else host(1))
    a.found(0, replace(host(2), type=CandidateType.RELAY))
    a.found(0, replace(host(3), type=CandidateType.SRFLX))
    a.found(0, replace(host(4), address="x.local"))
    text = a.state.local_description.text  # type: ignore[union-attr]
    assert "m=audio 5002 " in text
    assert "c=IN IP4 192.0.2.2\r\n" in text


def test_candidates_of_an_old_generation_go_to_the_old_description() -> None:
    a, b = two_sections()
    negotiate(a, b)
    old = a.state.transports[0].local
    assert old is not None
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    plan = a.carry_out(a.engine.plan_local_candidate(0, old.ufrag, host(7)))
    assert len(plan.announce) == 1
    assert "192.0.2.7" in a.state.current_local.text  # type: ignore[union-attr]
    assert "192.0.2.7" not in a.state.pending_local.text  # type: ignore[union-attr]
    assert a.state.transports[0].candidates == ()  # those are of the newest generation
    (new,) = a.carry_out(
        a.engine.plan_local_candidate(0, a.state.transports[0].local.ufrag, host(8))
    ).announce  # type: ignore[union-attr]
    assert "192.0.2.8" in a.state.pending_local.text  # type: ignore[union-attr]
    assert "192.0.2.8" not in a.state.current_local.text  # type: ignore[union-attr]
    assert new.text.endswith(f" ufrag {new.ufrag}")  # type: ignore[union-attr]


def test_candidates_in_the_answer_and_after() -> None:
    a, b = two_sections()
    a.local()
    a.found(0, host(1))
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    # trickled before our answer: waits for it
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT, "0", None, remote_ufrag(b)))
    assert plan.start == ()
    plan = b.carry_out(b.engine.plan_local())
    ice = next(e for e in plan.start if isinstance(e, SetRemoteIce))
    assert [c.address for c in ice.candidates] == ["192.0.2.1", "203.0.113.100"]
    assert {c.ufrag for c in ice.candidates} == {remote_ufrag(b)}
    # and afterwards: at once
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT.replace("203", "204"), "0", 0))
    assert len(plan.start) == 1
    assert isinstance(plan.start[0], AddRemoteCandidate)
    assert "a=candidate:1 1 udp 2113929471 204.0.113.100" in b.state.remote_description.text  # type: ignore[union-attr]
    # a section that was bundled away: known to the description, kept from the transport
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT.replace("203", "205"), "1"))
    assert plan.start == ()
    assert b.state.remote_description is not None
    assert b.state.remote_description.added[1] == ("a=" + TEXT.replace("203", "205"),)


def test_the_answerers_candidates_may_name_any_bundled_section() -> None:
    a, b = two_sections()
    negotiate(a, b)
    plan = a.carry_out(a.engine.plan_remote_candidate(TEXT, "1"))
    assert [type(e) for e in plan.start] == [AddRemoteCandidate]


def test_beside_an_empty_mid_the_index_counts() -> None:
    a, b = two_sections()
    negotiate(a, b)
    plan = a.carry_out(a.engine.plan_remote_candidate(TEXT, "", 1))  # as pion writes it
    assert [type(e) for e in plan.start] == [AddRemoteCandidate]
    session = parse_untrusted(a.state.remote_description.text)  # type: ignore[union-attr]
    assert [len(m.candidates) for m in session.media] == [0, 1]
    for arguments in ((TEXT, ""), (TEXT, "", 2)):
        with pytest.raises(OperationError):
            a.engine.plan_remote_candidate(*arguments)


def test_end_of_candidates() -> None:
    a, b = two_sections()
    negotiate(a, b)
    plan = a.carry_out(a.engine.plan_remote_candidate("", "0"))
    assert plan.start == (EndOfRemoteCandidates(0, remote_ufrag(a)),)
    plan = a.carry_out(a.engine.plan_remote_candidate(""))
    assert plan.start == (EndOfRemoteCandidates(0, remote_ufrag(a)),)
    text = a.state.remote_description.text  # type: ignore[union-attr]
    assert text.count("a=end-of-candidates\r\n") == 2
    assert [m.end_of_candidates for m in parse_untrusted(text).media] == [True, True]


def test_refusals() -> None:
    a, b = two_sections()
    with pytest.raises(InvalidStateError):
        b.engine.plan_remote_candidate(TEXT, "0")
    b.remote(SdpType.OFFER, a.local())
    before = b.state
    with pytest.raises(TypeError):
        b.engine.plan_remote_candidate(TEXT)
    with pytest.raises(TypeError):
        check_candidate_init(TEXT, None, None)
    check_candidate_init("", None, None)
    for arguments in (
        (TEXT, "7"),
        (TEXT, None, 2),
        (TEXT, None, -1),
        (TEXT, "0", None, "nope"),
        ("", None, None, "nope"),
        ("(Invalid) candidate \r\n string", "0"),
        (TEXT + "\r\na=evil", "0"),
        ("candidate:1 1 udp 2113929471 203.0.113.100 10100 typ alien", "0"),
        ("candidate:1 1 udp 99999999999 203.0.113.100 10100 typ host", "0"),
    ):
        with pytest.raises(OperationError):
            b.engine.plan_remote_candidate(*arguments)
    assert b.state is before
    b.carry_out(b.engine.plan_remote_candidate(TEXT, "0", 5))  # the index does not count beside a mid


def test_a_rejected_section_that_is_in_no_bundle_takes_candidates_in_silence() -> None:
    a, b = two_sections()

    def unbundled(text: str) -> str:
        return re.sub("a=group:.*\r\n", "", text)

    b.remote(SdpType.OFFER, unbundled(a.local()))
    a.remote(SdpType.ANSWER, unbundled(b.local()))
    a.carry_out(a.engine.operations.plan_stop(1))
    b.remote(SdpType.OFFER, unbundled(a.local()))
    before = b.state.remote_description
    for candidate in ("nonsense", TEXT, ""):
        plan = b.carry_out(b.engine.plan_remote_candidate(candidate, "1"))
        assert plan.start == ()
        assert b.state.remote_description == before
    assert b.carry_out(b.engine.plan_remote_candidate(TEXT, "0")).start != ()


def test_a_stopped_transceiver_takes_candidates_in_silence() -> None:
    a, b = two_sections()
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(1))
    text = a.local()
    b.remote(SdpType.OFFER, text)
    plan = b.carry_out(b.engine.plan_remote_candidate("nonsense", "1"))
    assert plan.start == ()


def test_candidates_of_both_generations_of_a_remote_restart() -> None:
    a, b = two_sections()
    negotiate(a, b)
    old = remote_ufrag(b)
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    new = remote_ufrag(b)
    assert old != new
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT, "0", None, old))
    assert [type(e) for e in plan.start] == [AddRemoteCandidate]
    assert b.state.pending_remote.added[0] == ()  # type: ignore[union-attr]
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT, "0", None, new))
    assert plan.start == ()
    # without the argument the candidate says itself of which it is; if it is of none, it is of the newest
    plan = b.engine.plan_remote_candidate(TEXT + f" ufrag {old}", "0")
    assert [type(e) for e in plan.start] == [AddRemoteCandidate]
    assert b.engine.plan_remote_candidate(TEXT + f" ufrag {old}", "0", None, new).start == ()
    assert b.engine.plan_remote_candidate(TEXT + " ufrag nobody", "0").start == ()
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT.replace("203", "206") + f" ufrag {new}", "0"))
    plan = b.carry_out(b.engine.plan_local())
    ice = next(e for e in plan.start if isinstance(e, SetRemoteIce))
    assert [c.address for c in ice.candidates] == ["203.0.113.100", "206.0.113.100"]


def test_text_with_bare_newlines_keeps_them() -> None:
    a, b = two_sections()
    b.remote(SdpType.OFFER, a.local().replace("\r\n", "\n"))
    b.carry_out(b.engine.plan_remote_candidate(TEXT, "0"))
    b.carry_out(b.engine.plan_remote_candidate(TEXT, "1"))
    text = b.state.remote_description.text  # type: ignore[union-attr]
    assert "\r" not in text
    assert "\n\n" not in text
    assert text.count("\na=" + TEXT + "\n") == 2
    assert len(parse_untrusted(text).media) == 2


def test_the_end_of_candidates_of_a_description_without_sections() -> None:
    a, b = pair()
    b.remote(SdpType.OFFER, a.local())
    assert b.carry_out(b.engine.plan_remote_candidate("")).start == ()


def test_a_candidate_of_a_transport_that_is_gone_is_nobodys() -> None:
    a, _ = two_sections()
    a.local()
    plan = a.engine.plan_local_candidate(99, "nobody", host())
    assert plan.announce == ()
    assert plan.next == a.state


def test_a_candidate_for_a_section_that_only_the_newest_description_has() -> None:
    a, b = pair()
    a.want_data()
    negotiate(a, b)
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    ufrag = remote_ufrag(b)
    plan = b.carry_out(b.engine.plan_remote_candidate(TEXT, None, 1, ufrag))
    assert b.state.pending_remote is not None
    assert b.state.current_remote is not None
    assert [len(lines) for lines in b.state.pending_remote.added] == [0, 1]
    assert [len(lines) for lines in b.state.current_remote.added] == [0]
    assert len(plan.start) <= 1
    with pytest.raises(OperationError):
        b.engine.plan_remote_candidate(TEXT, None, 1, "stranger")
    with pytest.raises(OperationError):
        b.engine.plan_remote_candidate(TEXT, None, 2, ufrag)


def test_the_end_of_candidates_that_comes_before_our_answer_waits_for_it() -> None:
    a, b = two_sections()
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.plan_remote_candidate(TEXT, "0"))
    assert [e.end_of_candidates for e in b.engine.plan_local().start if isinstance(e, SetRemoteIce)] == [
        False
    ]
    b.carry_out(b.engine.plan_remote_candidate("", "0"))
    (ice,) = [e for e in b.engine.plan_local().start if isinstance(e, SetRemoteIce)]
    assert ice.end_of_candidates
    assert len(ice.candidates) == 1


def test_what_is_found_after_the_answer_enters_the_current_description() -> None:
    a, b = two_sections()
    negotiate(a, b)
    found = a.found(0, host(5))
    assert found is not None
    assert "192.0.2.5" in a.state.current_local.text  # type: ignore[union-attr]
    assert a.found(0, None) is not None
    assert a.state.transports[0].gathered
    assert parse_untrusted(a.offer()).media[0].end_of_candidates


def test_local_candidates_are_those_of_the_tagged_section() -> None:
    """RFC 9143 7.2: a section that waits for its bundle has none, though it may stand first."""
    a = Peer("a", replace(SETTINGS, bundle_policy=BundlePolicy.MAX_BUNDLE))
    a.track("audio", "s")
    a.carry_out(a.engine.operations.plan_want_data(first=True))
    a.local()
    found = a.found(0, host())
    assert found is not None
    assert (found.mid, found.mline_index) == (a.record(0).mid, 1)
    a.transceiver("video")
    session = parse_untrusted(a.local())
    assert [m.kind for m in session.media] == ["application", "audio", "video"]
    assert [len(m.candidates) for m in session.media] == [0, 1, 0]
    assert [m.bundle_only for m in session.media] == [True, False, True]


@pytest.mark.parametrize("bare", [0, 1])
def test_candidates_of_a_section_that_leaves_its_transport_to_the_bundle(bare: int) -> None:
    a, b = two_sections()
    head, *sections = re.split(r"^(?=m=)", a.local(), flags=re.M)
    sections[bare] = re.sub(r"^a=(ice|fingerprint|setup).*\r\n", "", sections[bare], flags=re.M)
    b.remote(SdpType.OFFER, "".join([head, *sections]))
    ufrag = a.state.transports[0].local.ufrag  # type: ignore[union-attr]
    for mid in ("0", "1"):
        b.carry_out(b.engine.plan_remote_candidate(TEXT, mid, None, ufrag))
        with pytest.raises(OperationError, match="usernameFragment"):
            b.engine.plan_remote_candidate(TEXT, mid, None, "nobody")
    assert [len(lines) for lines in b.state.pending_remote.added] == [1, 1]  # type: ignore[union-attr]


def test_the_end_of_all_candidates_concerns_no_section_that_is_over() -> None:
    a, b = two_sections()
    text = re.sub("a=group.*\r\n", "", a.local())
    head, first, second = re.split(r"^(?=m=)", text, flags=re.M)
    second = re.sub(r"^a=(ice|fingerprint|setup).*\r\n", "", second, flags=re.M).replace(
        "m=video 9", "m=video 0"
    )
    b.remote(SdpType.OFFER, head + first + second)
    b.local()
    plan = b.carry_out(b.engine.plan_remote_candidate(""))
    assert [type(e) for e in plan.start] == [EndOfRemoteCandidates]


def test_a_description_keeps_a_bounded_number_of_candidates() -> None:
    a, b = two_sections()
    negotiate(a, b)
    for number in range(MAX_ADDED + 1):
        plan = a.carry_out(a.engine.plan_remote_candidate(TEXT.replace("10100", str(10000 + number)), "0"))
        assert len(plan.start) == 1
    assert len(a.state.remote_description.added[0]) == MAX_ADDED  # type: ignore[union-attr]


def test_what_an_endpoint_without_ice_could_not_reach_is_no_default_candidate() -> None:
    """RFC 8445 5.1.4; of equals it is the first, so that it stays."""
    best = host(1)
    others = (
        replace(host(2), type=CandidateType.RELAY, protocol="tcp"),
        replace(host(3), type=CandidateType.RELAY, component=2),
        replace(host(4), type=CandidateType.RELAY, address="x.local"),
        host(5),
    )
    assert default_candidate((*others[:3], best, others[3])) == ("192.0.2.1", 5001)
    assert default_candidate(others[:3]) is None
    # relays are reached by most, whatever ICE prefers; of one kind it is IPv4
    relay = replace(host(7), type=CandidateType.RELAY, priority=1)
    reflexive = replace(host(8), type=CandidateType.SRFLX, priority=10)
    six = replace(host(9), address="2001:db8::9", priority=best.priority + 1)
    assert default_candidate((best, relay, reflexive)) == ("192.0.2.7", 5007)
    assert default_candidate((best, reflexive)) == ("192.0.2.8", 5008)
    assert default_candidate((six, best)) == ("192.0.2.1", 5001)


def test_each_section_has_the_default_candidate_of_its_own_transport() -> None:
    """RFC 9429 5.2.2, whichever is found first; what comes late for an older generation changes nothing of it."""
    a, _ = two_sections()
    a.local()
    a.found(1, replace(host(2), address="2001:db8::2"))
    a.found(0, host(1))
    text = a.state.local_description.text  # type: ignore[union-attr]
    assert re.findall("m=([a-z]+ [0-9]+) .*\r\nc=IN (.*)\r\n", text) == [
        ("audio 5001", "IP4 192.0.2.1"),
        ("video 5002", "IP6 2001:db8::2"),
    ]
    a.local(SdpType.ROLLBACK)
    a, b = two_sections()
    negotiate(a, b)
    a.found(0, host(1))
    old = a.state.transports[0].local
    assert old is not None
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    a.carry_out(a.engine.plan_local_candidate(0, old.ufrag, host(7)))
    assert "m=audio 5001 " in a.state.current_local.text  # type: ignore[union-attr]


def test_candidates_of_a_section_that_nobody_has_taken_reach_no_transport() -> None:
    """Its credentials may be those of the others, as where they stand at session level."""
    a, b = two_sections()
    text = a.local()
    foreign = text[text.index("m=video") :].replace("m=video", "m=unicorns").replace("a=mid:1", "a=mid:u")
    text = re.sub("a=group.*\r\n", "", text) + re.sub("a=(msid|ssrc|rid|simulcast).*\r\n", "", foreign)
    b.remote(SdpType.OFFER, text)
    b.local()
    assert b.engine.plan_remote_candidate(TEXT, "u").start == ()
    assert [e.transport for e in b.engine.plan_remote_candidate(TEXT, "1").start] == [1]  # type: ignore[union-attr]
