"""The order of the sections in an offer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import BundlePolicy, SdpType
from tests.unit.jsep.support import OPUS, PCMA, SETTINGS, Peer, host, negotiate, pair


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


def sections(peer: Peer) -> list[tuple[str | None, str, bool]]:
    """Mid and kind of each section of the peer's next offer, and whether it is over."""
    return [(m.mid, m.kind, m.rejected) for m in parse_untrusted(peer.local()).media]


def one_is_over() -> tuple[Peer, Peer]:
    """A call whose first section is over: sound, and pictures that go on."""
    a, b = pair()
    a.transceiver("audio")
    a.transceiver("video")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    negotiate(a, b)
    return a, b


@pytest.mark.parametrize("data", [True, False])
def test_a_second_offer_of_the_round_keeps_what_the_first_has_put_into_a_used_section(data: bool) -> None:
    """RFC 9429 5.2.2: an m-line is free while it is rejected, not for good."""
    a, b = one_is_over()
    assert sections(a) == [("0", "audio", True), ("1", "video", False)]
    if data:
        a.want_data()
    else:
        a.transceiver("video")
    first = ("2", "application" if data else "video", False)
    assert sections(a) == [first, ("1", "video", False)]
    a.transceiver("audio")
    assert sections(a) == [first, ("1", "video", False), ("3", "audio", False)]
    negotiate(a, b)
    assert len({t.mline_index for t in a.state.transceivers}) == len(a.state.transceivers)
    assert [t.mid for t in b.state.transceivers] == [t.mid for t in a.state.transceivers]


def test_used_sections_are_used_again_in_their_order() -> None:
    a, b = pair()
    for kind in ("audio", "audio", "video"):
        a.transceiver(kind)
    negotiate(a, b)
    for id in (0, 1):
        a.carry_out(a.engine.operations.plan_stop(id))
    negotiate(a, b)
    a.transceiver("video")
    a.transceiver("audio")
    assert sections(a) == [("3", "video", False), ("4", "audio", False), ("2", "video", False)]


def test_what_was_stopped_before_it_was_offered_is_not_offered() -> None:
    a, _ = pair()
    a.transceiver("audio")
    a.transceiver("video")
    a.carry_out(a.engine.operations.plan_stop(0))
    assert sections(a) == [("0", "video", False)]


def test_of_two_data_sections_one_stays_over() -> None:
    a, b = pair()
    a.want_data()
    text = a.local()
    second = text[text.index("m=application") :].replace("a=mid:0", "a=mid:1")
    b.remote(SdpType.OFFER, text.replace("BUNDLE 0", "BUNDLE 0 1") + second)
    b.local()
    assert sorted(sections(b)) == [("0", "application", True), ("1", "application", False)] or sorted(
        sections(b)
    ) == [("0", "application", False), ("1", "application", True)]


def test_mixed_header_extensions_are_offered() -> None:
    """RFC 9429 5.2.1 (RFC 8285 4.1.2)."""
    a, _ = pair()
    a.transceiver("audio")
    assert parse_untrusted(a.offer()).extmap_allow_mixed


def test_candidates_of_a_bundle_stand_in_one_section() -> None:
    a, b = pair()
    a.transceiver("audio")
    a.transceiver("video")
    negotiate(a, b)
    a.found(0, host())
    assert [len(m.candidates) for m in parse_untrusted(a.offer()).media] == [1, 0]


def test_what_joins_a_call_without_bundling_takes_no_transport_away() -> None:
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local().replace("a=group:BUNDLE 0\r\n", ""))
    a.remote(SdpType.ANSWER, b.local())
    a.transceiver("video")
    a.local()
    assert (a.state.transport_of("0"), a.state.transport_of("1")) == (0, 1)


def test_sections_wait_for_their_bundle_until_an_answer_comes() -> None:
    """RFC 9143 7.2: a second offer of the first round says a=bundle-only where the first has said it."""
    a = Peer("a", replace(SETTINGS, bundle_policy=BundlePolicy.MAX_BUNDLE))
    a.transceiver("audio")
    a.transceiver("video")
    a.local()
    a.want_data()
    assert [m.bundle_only for m in parse_untrusted(a.local()).media] == [False, True, True]
    b = Peer("b")
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    a.remote(SdpType.ANSWER, b.local())
    assert [m.bundle_only for m in parse_untrusted(a.local()).media] == [False, False, False]


@pytest.mark.parametrize("by", ["offerer", "answerer"])
def test_a_later_offer_goes_by_the_last_answer_whoever_gave_it(by: str) -> None:
    """RFC 9429 5.2.2."""
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_set_codec_preferences(0, [PCMA, OPUS]))
    text = b.local()
    b.carry_out(b.engine.operations.plan_set_codec_preferences(0, []))
    a.remote(SdpType.ANSWER, text)
    peer = a if by == "offerer" else b
    peer.transceiver("audio")
    again, new = parse_untrusted(peer.offer()).media
    assert [c.name for c in again.codecs] == ["PCMA", "opus", "PCMU"]
    assert [c.name for c in new.codecs] == ["opus", "PCMU", "PCMA"]


def test_the_version_counts_by_one_what_differs() -> None:
    """RFC 9429 5.2.2; candidates that were found since the offer was set are no difference."""
    a, b = pair()
    a.transceiver("audio")

    def version() -> int:
        return parse_untrusted(a.offer()).origin.version

    negotiate(a, b)
    first = a.state.current_local.session.origin.version  # type: ignore[union-attr]
    later = version()
    assert version() == later
    a.transceiver("video")
    assert version() == later + 1
    negotiate(a, b)
    a.found(0, host())
    settled = version()
    assert version() == settled
    assert first <= later < settled


def test_what_was_offered_for_the_first_time_and_stopped_is_over_in_the_next_offer() -> None:
    a, b = pair()
    a.transceiver("audio")
    negotiate(a, b)
    new = a.transceiver("video")
    a.local()
    a.carry_out(a.engine.operations.plan_stop(new))
    assert sections(a) == [("0", "audio", False), ("1", "video", True)]
