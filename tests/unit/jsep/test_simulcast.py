"""rid and simulcast, sending and receiving (webrtc-pc 4.4.1.5, 5.4.1; RFC 8853)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.encodings import check_new
from rtcpeer.jsep.set_description import _prune_encodings
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.sdp.model import Media, Simulcast, SimulcastStream
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import Direction, MediaKind, SdpType
from tests.unit.jsep.support import SETTINGS, Peer, negotiate, pair


def simulcast(peer: Peer, *rids: str, **more: object) -> int:
    encodings = check_new(MediaKind.VIDEO, [SendEncoding(rid=r) for r in rids], (), 3)
    return peer.transceiver("video", encodings=encodings, **more)


def rids(peer: Peer, id: int) -> list[str | None]:
    return [e.rid for e in peer.record(id).encodings]


def test_offer_and_answer_with_all_layers() -> None:
    a, b = pair()
    id = simulcast(a, "q", "h", "f")
    text = a.local()
    assert "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n" in text
    assert "a=ssrc" not in text
    b.remote(SdpType.OFFER, text)
    answer = b.local()
    assert "a=simulcast:recv q;h;f\r\n" in answer
    assert b.objects.receivers[0].rids == ("q", "h", "f")
    a.remote(SdpType.ANSWER, answer)
    assert rids(a, id) == ["q", "h", "f"]
    parameters = a.objects.senders[id]
    assert [e.scale_resolution_down_by for e in parameters.encodings] == [4, 2, 1]
    assert len({e.ssrc for e in parameters.encodings}) == 3
    negotiate(b, a)
    assert rids(a, id) == ["q", "h", "f"]


def test_an_answer_without_simulcast_leaves_one_layer() -> None:
    a, b = pair(replace(SETTINGS, receive_simulcast=False))
    id = simulcast(a, "q", "h", "f")
    negotiate(a, b)
    assert rids(a, id) == ["q"]


@pytest.mark.parametrize(
    ("answered", "kept"), [("f", ["f"]), ("h;q", ["q", "h"]), ("x", ["q"]), ("~h,q;f", ["h", "f"])]
)
def test_an_answer_can_narrow_and_not_reorder(answered: str, kept: list[str]) -> None:
    a, b = pair()
    id = simulcast(a, "q", "h", "f")
    b.remote(SdpType.OFFER, a.local())
    answer = b.local().replace("a=simulcast:recv q;h;f", f"a=simulcast:recv {answered}")
    a.remote(SdpType.ANSWER, answer)
    assert rids(a, id) == kept
    scale = {"q": 4, "h": 2, "f": 1}
    assert [e.scale_resolution_down_by for e in a.record(id).encodings] == [scale[r] for r in kept]


def offer_to_receive(b: Peer, *wanted: str) -> str:
    b.transceiver("video", Direction.RECVONLY)
    lines = "".join(f"a=rid:{r} recv\r\n" for w in wanted for r in w.replace("~", "").split(","))
    return b.local() + lines + f"a=simulcast:recv {';'.join(wanted)}\r\n"


@pytest.mark.parametrize("track_first", [True, False])
def test_an_offer_to_receive_makes_a_sender_simulcast_and_rollback_takes_it_back(track_first: bool) -> None:
    a, b = pair()
    if track_first:
        a.track("video", "s")
    a.remote(SdpType.OFFER, offer_to_receive(b, "foo", "bar"))
    if not track_first:
        a.track("video", "s")
    assert len(a.state.transceivers) == 1
    assert rids(a, 0) == ["foo", "bar"]
    assert [e.scale_resolution_down_by for e in a.record(0).encodings] == [2, 1]
    a.remote(SdpType.ROLLBACK, "")
    assert rids(a, 0) == [None]
    assert len(a.state.transceivers) == 1


def test_the_answer_to_an_offer_to_receive() -> None:
    a, b = pair()
    a.track("video", "s")
    a.remote(SdpType.OFFER, offer_to_receive(b, "foo", "bar,baz", "foo"))
    answer = a.local()
    assert "a=simulcast:send foo;bar\r\n" in answer
    assert "a=rid:foo send\r\na=rid:bar send\r\n" in answer
    assert rids(a, 0) == ["foo", "bar"]
    assert a.objects.senders[0].encodings[1].rid == "bar"
    # later offers keep the envelope
    assert "a=simulcast:send foo;bar\r\n" in a.offer()


def test_more_layers_than_we_can_are_cut() -> None:
    a, b = pair()
    a.track("video", "s")
    a.remote(SdpType.OFFER, offer_to_receive(b, "a", "b", "c", "d", "e"))
    assert rids(a, 0) == ["a", "b", "c"]


def test_a_reoffer_does_not_touch_the_envelope_until_the_answer() -> None:
    a, b = pair()
    id = simulcast(a, "foo", "bar")
    negotiate(a, b)
    b.carry_out(b.engine.operations.plan_set_direction(0, Direction.SENDRECV))
    text = b.local().replace("a=simulcast:recv foo;bar", "a=simulcast:recv bar")
    a.remote(SdpType.OFFER, text)
    assert rids(a, id) == ["foo", "bar"]
    a.remote(SdpType.ROLLBACK, "")
    assert rids(a, id) == ["foo", "bar"]
    a.remote(SdpType.OFFER, text)
    answer = a.local()
    assert "a=simulcast:send bar\r\n" in answer
    assert rids(a, id) == ["bar"]


def test_audio_knows_no_simulcast() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.transceiver("audio", Direction.RECVONLY)
    a.remote(SdpType.OFFER, b.local() + "a=rid:x recv\r\na=rid:y recv\r\na=simulcast:recv x;y\r\n")
    assert rids(a, 0) == [None]
    assert "simulcast" not in a.local()


def test_paused_layers_are_not_our_business() -> None:
    a, b = pair()
    a.track("video", "s")
    a.remote(SdpType.OFFER, offer_to_receive(b, "foo", "~bar"))
    assert "a=simulcast:send foo;bar\r\n" in a.local()
    assert all(e.active for e in a.record(0).encodings)


def test_a_lone_rid_is_dropped_when_it_is_given() -> None:
    a, _ = pair()
    id = simulcast(a, "only")
    assert rids(a, id) == [None]
    assert "a=rid" not in a.local()


def test_a_recvonly_direction_offers_no_layers() -> None:
    a, b = pair()
    id = simulcast(a, "q", "h", direction=Direction.RECVONLY)
    assert "simulcast" not in a.local()
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    a.remote(SdpType.ANSWER, b.local())
    assert rids(a, id) == ["q", "h"]
    a.carry_out(a.engine.operations.plan_set_direction(id, Direction.SENDRECV))
    negotiate(a, b)
    assert rids(a, id) == ["q", "h"]
    assert parse_untrusted(a.offer()).media[0].simulcast is not None


def test_a_remote_offer_voids_parameters_that_were_read() -> None:
    a, b = pair()
    id = simulcast(a, "q", "h")
    negotiate(a, b)
    before = a.record(id).parameters_revision
    a.remote(SdpType.OFFER, b.local())
    assert a.record(id).parameters_revision > before
    assert rids(a, id) == ["q", "h"]


def pruned(ours: Media, theirs: Media) -> list[str | None]:
    """The layers that are left of q, h and f."""
    a, _ = pair()
    id = simulcast(a, "q", "h", "f")
    return [e.rid for e in _prune_encodings(Draft(a.state), a.record(id), ours, theirs).encodings]


def test_a_layer_is_agreed_on_when_both_sides_name_it() -> None:
    """What the answer asks for and our description did not offer is not sent."""
    layers = {r: SimulcastStream((r,)) for r in "qhf"}
    everything = Media("video", simulcast=Simulcast(recv=tuple(layers.values())))
    ours = Media("video", simulcast=Simulcast(send=(layers["q"], layers["f"])))
    assert pruned(ours, everything) == ["q", "f"]
    assert pruned(replace(ours, simulcast=Simulcast(send=(layers["f"],))), everything) == ["f"]
    assert pruned(ours, Media("video", simulcast=Simulcast(recv=(layers["h"], layers["f"])))) == ["f"]


def test_a_description_without_simulcast_of_ours_agrees_on_one_layer_when_it_sends() -> None:
    everything = Media("video", simulcast=Simulcast(recv=tuple([SimulcastStream((r,)) for r in "qhf"])))
    assert pruned(Media("video", direction=Direction.SENDRECV), everything) == ["q"]
    assert pruned(Media("video", direction=Direction.SENDONLY), everything) == ["q"]
    # one that does not send says nothing of layers
    assert pruned(Media("video", direction=Direction.RECVONLY), everything) == ["q", "h", "f"]
    assert pruned(Media("video", direction=Direction.INACTIVE), everything) == ["q", "h", "f"]


def test_an_offer_to_receive_layers_leaves_one_that_has_a_name_alone() -> None:
    """webrtc-pc 4.4.1.5: proposals are for a lone encoding without a rid."""
    a, b = pair()
    id = simulcast(a, "q", "h", "f")
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, b.local().replace("a=simulcast:recv q;h;f", "a=simulcast:recv f"))
    before = a.record(id).encodings
    text = b.local()
    lines = "a=rid:x recv\r\na=rid:y recv\r\na=simulcast:recv x;y\r\n"
    a.remote(SdpType.OFFER, re.sub(r"a=(rid|simulcast):.*\r\n", "", text) + lines)
    assert a.record(id).encodings == before
