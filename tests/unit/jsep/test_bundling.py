"""Which section uses which transport: the three policies, peers without BUNDLE, rejected members."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidAccessError
from rtcpeer.jsep.effects import CloseTransport, SetRemoteIce
from rtcpeer.jsep.negotiated import _sources
from rtcpeer.sdp.model import Media, Ssrc, SsrcGroup
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import BundlePolicy, IceRole, SdpType
from tests.unit.jsep.support import SETTINGS, Peer, host, negotiate, pair


def peer(name: str, policy: BundlePolicy) -> Peer:
    return Peer(name, replace(SETTINGS, bundle_policy=policy))


def four(policy: BundlePolicy) -> Peer:
    a = peer("a", policy)
    a.transceiver("audio")
    a.transceiver("audio")
    a.transceiver("video")
    a.want_data()
    return a


def without_bundle(text: str) -> str:
    return "".join(x for x in text.splitlines(True) if not x.startswith("a=group:BUNDLE"))


@pytest.mark.parametrize(
    ("policy", "transports", "bundle_only"),
    [
        (BundlePolicy.BALANCED, [0, 0, 1, 2], [False, True, False, False]),
        (BundlePolicy.MAX_COMPAT, [0, 1, 2, 3], [False] * 4),
        (BundlePolicy.MAX_BUNDLE, [0, 0, 0, 0], [False, True, True, True]),
    ],
)
def test_the_first_offer(policy: BundlePolicy, transports: list[int], bundle_only: list[bool]) -> None:
    a = four(policy)
    session = parse_untrusted(a.local())
    assert [a.state.transport_of(m.mid or "") for m in session.media] == transports
    assert [m.bundle_only for m in session.media] == bundle_only
    assert [m.port == 0 for m in session.media] == bundle_only
    assert len({m.ice.ufrag for m in session.media if m.ice}) == 1
    assert session.groups[0].mids == ("0", "1", "2", "3")


@pytest.mark.parametrize("policy", list(BundlePolicy))
@pytest.mark.parametrize("other", list(BundlePolicy))
def test_bundling_ends_on_one_transport(policy: BundlePolicy, other: BundlePolicy) -> None:
    a, b = four(policy), peer("b", other)
    negotiate(a, b)
    for side in (a, b):
        assert side.objects.transports == {0}
        assert {t.transport for t in side.state.transceivers} == {0}
        assert side.state.data is not None
        assert side.state.data.transport == 0
    assert len(b.objects.closed) == 0  # the answerer never made more
    negotiate(b, a)
    negotiate(a, b)
    assert a.objects.transports == b.objects.transports == {0}


def test_a_peer_without_bundle_gets_a_transport_for_each() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, without_bundle(a.local()))
    a.remote(SdpType.ANSWER, without_bundle(b.local()))
    assert len(a.objects.transports) == len(b.objects.transports) == 2
    assert len(a.objects.dtls) == 2
    negotiate(a, b)  # now with a group: they move together
    assert len(a.objects.transports) == len(b.objects.transports) == 1


def test_max_bundle_takes_only_the_first_of_an_unbundled_offer() -> None:
    a, b = peer("a", BundlePolicy.MAX_COMPAT), peer("b", BundlePolicy.MAX_BUNDLE)
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, without_bundle(a.local()))
    second = b.state.transceivers[1].id
    answer = b.local()
    assert "m=video 0 " in answer
    assert "m=audio 9 " in answer
    assert b.record(second).stopped  # and it stays in the set until the next round, as in browsers
    assert second in b.objects.ended
    a.remote(SdpType.ANSWER, answer)
    assert not b.engine.negotiation_needed()
    a.transceiver("video")
    b.remote(SdpType.OFFER, a.local())
    assert b.record(second).mid is None  # its m-line is used for another section now
    a.remote(SdpType.ANSWER, b.local())
    assert b.state.transceiver(second) is None
    # what reuses its m-line is another section
    assert [(m.mid, m.rejected) for m in b.state.current_local.session.media] == [("0", False), ("2", False)]  # type: ignore[union-attr]


def test_a_bundle_only_section_outside_of_any_group_is_rejected() -> None:
    a, b = four(BundlePolicy.MAX_BUNDLE), peer("b", BundlePolicy.BALANCED)
    b.remote(SdpType.OFFER, without_bundle(a.local()))
    assert [m.rejected for m in parse_untrusted(b.local()).media] == [False, True, True, True]


def test_rejected_sections_have_transport_attributes_too() -> None:
    """Webrtcbin takes no description with a section that lacks them."""
    a, b = four(BundlePolicy.MAX_BUNDLE), peer("b", BundlePolicy.BALANCED)
    b.remote(SdpType.OFFER, without_bundle(a.local()))
    living, *dead = parse_untrusted(b.local()).media
    for media in dead:
        assert media.rejected
        assert (media.ice, media.fingerprints, media.setup) == (living.ice, living.fingerprints, living.setup)
        assert not media.candidates


def test_new_sections_join_a_negotiated_bundle() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.transceiver("audio")
    negotiate(a, b)
    a.transceiver("video")
    a.transceiver("video")
    session = parse_untrusted(a.local())
    assert [m.bundle_only for m in session.media] == [False] * 3
    assert a.objects.transports == {0}
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    assert b.objects.transports == {0}
    a.remote(SdpType.ANSWER, b.local())


def test_rejecting_the_tagged_section_keeps_the_transport() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    negotiate(a, b)
    assert a.objects.transports == b.objects.transports == {0}
    assert a.state.bindings == (("1", 0),)
    assert not a.engine.negotiation_needed()
    negotiate(b, a)


def test_the_answerer_rejects_the_tagged_section_of_the_first_offer() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local().replace("opus", "xpus").replace("PCM", "XCM").replace(" 0 8", ""))
    answer = b.local()
    assert "a=group:BUNDLE 1\r\n" in answer
    plan = a.carry_out(a.engine.plan_remote(SdpType.ANSWER, answer))
    assert CloseTransport(0) in plan.start
    assert a.objects.transports == {1}
    assert a.objects.dtls == {1: "server"}


def test_a_section_that_leaves_the_bundle_gets_its_own_transport() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    b.remote(SdpType.OFFER, a.local().replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"))
    answer = b.local()
    assert "a=group:BUNDLE 0\r\n" in answer
    assert len(b.objects.transports) == 2
    a.remote(SdpType.ANSWER, answer)
    assert len(a.objects.transports) == 2
    assert {t.ice_role for t in a.state.transports} == {IceRole.CONTROLLING}  # who has offered


def test_an_answer_may_not_bundle_what_was_not_offered_together() -> None:
    a, b = four(BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    b.remote(SdpType.OFFER, a.local())
    answer = b.local()
    before = a.state
    for wrong in ("BUNDLE 0 9", "BUNDLE 0 0"):
        with pytest.raises(InvalidAccessError):
            a.engine.plan_remote(SdpType.ANSWER, answer.replace("BUNDLE 0 1 2 3", wrong))
    assert a.state is before


def test_all_sections_rejected_closes_everything() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.track("audio", "s")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    negotiate(a, b)
    assert a.objects.transports == b.objects.transports == set()
    a.track("video", "s")
    negotiate(a, b)
    assert a.objects.transports == b.objects.transports == {1}


def test_bundle_only_sections_may_leave_out_the_transport() -> None:
    a, b = four(BundlePolicy.MAX_BUNDLE), peer("b", BundlePolicy.BALANCED)
    head, first, *rest = a.local().split("m=")
    skip = ("a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux")
    bare = ["".join(x for x in part.splitlines(True) if not x.startswith(skip)) for part in rest]
    b.remote(SdpType.OFFER, "m=".join([head, first, *bare]))
    answer = b.local()
    assert "a=group:BUNDLE 0 1 2 3\r\n" in answer
    assert b.objects.transports == {0}
    a.remote(SdpType.ANSWER, answer)
    # the tagged section is rejected: another one speaks for the bundle, with what the first said
    text = "m=".join([head, first, *bare]).replace("opus", "xpus").replace("PCM", "XCM").replace(" 0 8", "")
    c = peer("c", BundlePolicy.BALANCED)
    c.remote(SdpType.OFFER, text)
    assert "a=group:BUNDLE 2 3\r\n" in c.local()
    assert c.objects.remote[0].ufrag == a.state.transports[0].local.ufrag  # type: ignore[union-attr]


def test_the_tagged_section_stays_tagged_while_it_lives() -> None:
    a, b = peer("a", BundlePolicy.BALANCED), peer("b", BundlePolicy.BALANCED)
    a.want_data()
    negotiate(a, b)
    a.transceiver("audio")
    assert parse_untrusted(a.local()).groups[0].mids == ("0", "1")


def test_candidates_in_any_section_of_a_bundle_are_the_transports() -> None:
    """Some servers list them in another section than the tagged one."""
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    text = b.local().replace("a=mid:1\r\n", "a=mid:1\r\n" + line)
    (effect,) = [e for e in a.engine.plan_remote(SdpType.ANSWER, text).start if isinstance(e, SetRemoteIce)]
    assert [c.address for c in effect.candidates] == ["192.0.2.1"]
    assert not effect.end_of_candidates


def test_the_end_of_candidates_in_the_tagged_section_holds_for_its_bundle() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    text = b.local().replace("a=mid:0\r\n", "a=mid:0\r\na=end-of-candidates\r\n")
    (effect,) = [e for e in a.engine.plan_remote(SdpType.ANSWER, text).start if isinstance(e, SetRemoteIce)]
    assert effect.end_of_candidates


def test_one_generation_is_started_for_each_transport_of_an_offer() -> None:
    a, _ = pair()
    a.track("audio", "s")
    a.track("audio", "s")
    a.want_data()
    a.local()
    assert {id: len(generations) for id, generations in a.objects.generations.items()} == {0: 1, 1: 1}


def test_of_two_data_sections_one_is_accepted_and_lives() -> None:
    a, b = pair()
    a.want_data()
    text = a.local()
    section = (
        text[text.index("m=application") :].replace("a=mid:0", "a=mid:1").replace("a=sctp-port:5000\r\n", "")
    )
    b.remote(SdpType.OFFER, text.replace("BUNDLE 0", "BUNDLE 0 1") + section)
    assert b.state.data is not None
    assert b.state.data.remote_port == 5000  # what RFC 8841 has for who says nothing
    answer = b.local()
    assert answer.count("m=application 0 ") == 1
    assert answer.count("m=application 9 ") == 1
    assert b.state.data is not None
    assert b.state.data.started
    assert f"a=group:BUNDLE {b.state.data.mid}\r\n" in answer


def test_a_retransmission_group_has_two_sources() -> None:
    media = Media(
        "video",
        ssrcs=tuple([Ssrc(n, (("cname", "x"),)) for n in (1, 2, 3, 4, 5)]),
        ssrc_groups=(SsrcGroup("FID", (1, 2)), SsrcGroup("FID", (3, 4, 5)), SsrcGroup("FID", (3,))),
    )
    assert [(s.ssrc, s.rtx_ssrc) for s in _sources(media)] == [(1, 2), (3, None), (4, None), (5, None)]


def all_replaced(a: Peer, b: Peer) -> str:
    """An offer of `a` in which the one section that was negotiated is stopped, and a data section is new."""
    a.transceiver("audio")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    a.want_data()
    return a.local()


def test_what_replaces_a_whole_bundle_has_a_transport_of_its_own() -> None:
    """As in browsers: by the mids alone, nobody could tell that a transport goes on."""
    a, b = pair()
    b.remote(SdpType.OFFER, all_replaced(a, b))
    a.remote(SdpType.ANSWER, b.local())
    for side, other in ((a, "b"), (b, "a")):
        assert side.objects.transports == {1}
        assert side.state.data is not None
        assert side.state.data.transport == 1
        assert len(side.objects.generations[1]) == 1
        assert side.objects.remote[1].ufrag.startswith(other)


def test_credentials_do_not_make_a_new_transport_the_old_one() -> None:
    """Firefox offers new sockets and a new association with the credentials of the transport that has gone."""
    a, b = pair()
    text = all_replaced(a, b)
    (new,) = [m.ice for m in parse_untrusted(text).media if not m.rejected]
    (old,) = [t.remote for t in b.state.transports]
    assert new is not None
    assert old is not None
    b.remote(SdpType.OFFER, text.replace(new.ufrag, old.ufrag).replace(new.pwd, old.pwd))
    b.local()
    assert b.objects.transports == {1}
    assert b.objects.remote[1] == old


def test_a_new_tagged_section_of_a_negotiated_bundle_shares_its_transport() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    a.want_data()
    b.remote(SdpType.OFFER, a.local().replace("BUNDLE 0 1 2", "BUNDLE 2 0 1"))
    assert b.objects.transports == {0}
    # but not that of a section outside
    b.remote(SdpType.ROLLBACK, "")
    b.remote(SdpType.OFFER, a.state.local_description.text.replace("BUNDLE 0 1 2", "BUNDLE 0 1"))  # type: ignore[union-attr]
    assert b.state.transport_of("0") == b.state.transport_of("1") == 0
    assert b.state.transport_of("2") not in (0, None)


def test_a_data_section_that_is_over_stays_so_in_our_offers() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.want_data()
    negotiate(b, a)
    a.remote(SdpType.OFFER, b.local())
    text = a.local().replace("m=application 9", "m=application 0").replace("BUNDLE 0", "BUNDLE")
    b.remote(SdpType.ANSWER, re.sub("a=group:BUNDLE\r\n", "", text))
    assert b.state.data is None
    assert "m=application" in b.local()


def test_every_live_section_of_an_offer_has_its_credentials_gathered_for() -> None:
    """Also behind sections that are over, or that another transport has."""
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    negotiate(a, b)
    text = a.local(SdpType.OFFER, a.offer(ice_restart=True))
    (live,) = [m for m in parse_untrusted(text).media if not m.rejected]
    assert a.objects.generations[0][-1] == live.ice
    assert len(a.objects.generations[0]) == 2


def test_each_transport_of_an_answer_gathers_with_the_credentials_of_its_section() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    a.want_data()
    b.remote(SdpType.OFFER, without_bundle(a.local()))
    text = b.local()
    for number, media in enumerate(parse_untrusted(text).media):
        assert b.objects.generations[number] == [media.ice]
    a.remote(SdpType.ANSWER, text)
    theirs = [m.ice for m in parse_untrusted(text).media]
    assert len(set(theirs)) == 3
    assert [a.objects.remote[a.state.transport_of(mid) or 0] for mid in ("0", "1", "2")] == theirs


def test_groups_of_other_kinds_bundle_nothing() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    text = a.local()
    b.remote(SdpType.OFFER, text.replace("a=group:BUNDLE 0 1", "a=group:LS 0 1\r\na=group:BUNDLE 0 1"))
    assert len(b.objects.transports) == 1
    b.remote(SdpType.OFFER, text.replace("a=group:BUNDLE 0 1", "a=group:LS 0 1"))
    assert len(b.objects.transports) == 2


def test_what_becomes_of_a_sender_whose_section_is_stopped_before_the_offer_is_set() -> None:
    """The others of the offer get their transport all the same."""
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    offer = a.offer()
    b.transceiver("audio")
    theirs = b.local()
    a.remote(SdpType.OFFER, theirs)
    assert a.record(0).mid == "0"
    a.remote(SdpType.OFFER, theirs.replace("m=audio 9", "m=audio 0").replace("a=group:BUNDLE 0\r\n", ""))
    assert a.record(0).stopped
    a.remote(SdpType.ROLLBACK, "")
    a.local(SdpType.OFFER, offer)
    assert [t.mid for t in a.state.transceivers] == ["0", "1"]
    assert [t.transport is None for t in a.state.transceivers] == [True, False]


def test_a_section_that_our_answer_has_rejected_can_be_offered_anew_by_us() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local().replace("VP8/", "XX8/").replace("H264/", "X264/"))
    a.remote(SdpType.ANSWER, b.local())
    rejected = b.record(1)
    assert (rejected.mid, rejected.stopped) == ("1", True)
    new = b.transceiver("video")
    a.remote(SdpType.OFFER, b.local())
    b.remote(SdpType.ANSWER, a.local())
    assert b.record(new).mline_index == rejected.mline_index
    assert [t.id for t in b.state.transceivers] == [0, new]


def test_stopped_transceivers_leave_together() -> None:
    """webrtc-pc 4.4.1.5; what our own answer has just stopped leaves the next time."""
    a, b = pair()
    for kind in ("audio", "audio", "video"):
        a.transceiver(kind)
    for id in (0, 1):
        a.carry_out(a.engine.operations.plan_stop(id))
    negotiate(a, b)
    assert [t.id for t in a.state.transceivers] == [2]
    a, b = pair()
    for kind in ("video", "audio"):
        a.track(kind, "s")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(1))
    text = a.local().replace("VP8/", "XX8/").replace("H264/", "X264/")
    b.remote(SdpType.OFFER, text)
    b.local()
    assert [(t.id, t.stopped) for t in b.state.transceivers] == [(0, True)]


def test_candidates_that_come_with_a_later_answer_are_told_though_nothing_else_is_new() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    b.remote(SdpType.OFFER, a.local())
    b.local()
    b.found(0, host())
    text = b.state.local_description.text  # type: ignore[union-attr]
    (effect,) = [e for e in a.engine.plan_remote(SdpType.ANSWER, text).start if isinstance(e, SetRemoteIce)]
    assert [c.address for c in effect.candidates] == ["192.0.2.1"]
    assert not effect.end_of_candidates


def test_max_bundle_takes_the_first_section_that_it_can() -> None:
    a, b = peer("a", BundlePolicy.MAX_COMPAT), peer("b", BundlePolicy.MAX_BUNDLE)
    for kind in ("audio", "audio", "video"):
        a.transceiver(kind)
    text = without_bundle(a.local()).replace("m=audio 9", "m=audio 0", 1)
    b.remote(SdpType.OFFER, text)
    assert [m.rejected for m in parse_untrusted(b.local()).media] == [True, False, True]


def test_a_section_whose_transceiver_is_stopped_is_rejected() -> None:
    """webrtc-pc 5.4: what was stopped never starts again; the section may be used by another one."""
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    text = a.local()
    b.remote(SdpType.OFFER, text)
    b.remote(SdpType.OFFER, text.replace("m=video 9", "m=video 0").replace("BUNDLE 0 1", "BUNDLE 0"))
    assert b.record(1).stopped
    b.remote(SdpType.OFFER, text)
    assert [m.rejected for m in parse_untrusted(b.local()).media] == [False, True]
