"""Header extensions of both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidModificationError
from rtcpeer.jsep.extensions import MID, TRANSPORT_CC, ExtensionIdAllocator, with_feedback
from rtcpeer.jsep.extensions import answered as answered_extensions
from rtcpeer.jsep.sections import wanted_extensions
from rtcpeer.media.codecs import capabilities
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import Codec, Direction, Feedback, HeaderExtension, SdpType
from tests.unit.jsep import support
from tests.unit.jsep.support import Peer, negotiate, pair

NUMBERED = (HeaderExtension("urn:x", 1), HeaderExtension(TRANSPORT_CC, 4))


def test_packets_are_numbered_only_where_feedback_was_agreed_on() -> None:
    told = Codec("video/VP8", 90000, feedback=(Feedback("nack"), Feedback("transport-cc")))
    untold = Codec("video/H264", 90000, feedback=(Feedback("nack"),))
    assert with_feedback(NUMBERED, (untold, told)) == NUMBERED
    assert with_feedback(NUMBERED, (untold,)) == NUMBERED[:1]


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_both_kinds_offer_the_numbers_with_one_id(kind: str) -> None:
    able = capabilities(kind)
    assert [e.id for e in able.header_extensions if e.uri == TRANSPORT_CC] == [4]
    assert with_feedback(able.header_extensions, able.send) == able.header_extensions


# --- RTP header extension control (webrtc-extensions) ---------------------------------------------

LEVEL = support.LEVEL.uri


def wanted(peer: Peer, id: int = 0) -> tuple[HeaderExtension, ...]:
    return wanted_extensions(peer.record(id), peer.engine.settings)


def choose(peer: Peer, uri: str, direction: Direction, id: int = 0) -> None:
    chosen = [replace(e, direction=direction) if e.uri == uri else e for e in wanted(peer, id)]
    peer.carry_out(peer.engine.operations.plan_set_header_extensions(id, chosen))


def negotiated(peer: Peer, uri: str, id: int = 0) -> Direction:
    found = peer.record(id).negotiated_extensions
    assert found is not None
    return next(e.direction for e in found if e.uri == uri)


def in_text(text: str, section: int = 0) -> dict[str, Direction]:
    return {e.uri: e.direction for e in parse_untrusted(text).media[section].header_extensions}


def test_a_stopped_extension_is_neither_offered_nor_used() -> None:
    a, b = pair()
    a.transceiver("audio")
    choose(a, LEVEL, Direction.STOPPED)
    text = a.local()
    assert LEVEL not in in_text(text)
    assert MID in in_text(text)
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())
    for peer in (a, b):
        assert negotiated(peer, LEVEL) is Direction.STOPPED
        assert negotiated(peer, MID) is Direction.SENDRECV
        assert LEVEL not in {e.uri for e in peer.record(0).send_header_extensions}
    # the other side still wants it, and we still do not
    assert wanted(b) == b.engine.settings.capabilities("audio").header_extensions
    text = b.local()
    assert LEVEL in in_text(text)
    a.remote(SdpType.OFFER, text)
    text = a.local()
    assert LEVEL not in in_text(text)
    b.remote(SdpType.ANSWER, text)
    assert negotiated(b, LEVEL) is Direction.STOPPED


def test_a_stopped_extension_can_be_wanted_again() -> None:
    a, b = pair()
    a.transceiver("audio")
    choose(a, LEVEL, Direction.STOPPED)
    negotiate(a, b)
    choose(a, LEVEL, Direction.SENDRECV)
    negotiate(a, b)
    assert negotiated(a, LEVEL) is negotiated(b, LEVEL) is Direction.SENDRECV
    assert LEVEL in {e.uri for e in a.record(0).send_header_extensions}


def test_an_answer_leaves_out_what_is_stopped() -> None:
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    choose(b, LEVEL, Direction.STOPPED)
    a.remote(SdpType.ANSWER, b.local())
    assert negotiated(a, LEVEL) is Direction.STOPPED
    assert next(e.direction for e in wanted(a) if e.uri == LEVEL) is Direction.SENDRECV


def test_the_direction_of_an_extension_is_seen_from_each_side() -> None:
    a, b = pair()
    a.transceiver("audio")
    choose(a, LEVEL, Direction.SENDONLY)
    text = a.local()
    assert in_text(text)[LEVEL] is Direction.SENDONLY
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())
    assert negotiated(a, LEVEL) is Direction.SENDONLY
    assert negotiated(b, LEVEL) is Direction.RECVONLY
    assert LEVEL in {e.uri for e in a.record(0).send_header_extensions}
    assert LEVEL not in {e.uri for e in b.record(0).send_header_extensions}
    assert LEVEL in {e.uri for e in b.record(0).receive_header_extensions}


def test_a_choice_is_that_of_one_section_and_of_later_ones_of_its_kind() -> None:
    a, _ = pair()
    a.transceiver("audio")
    a.transceiver("audio")
    choose(a, LEVEL, Direction.STOPPED)
    third = a.transceiver("audio")
    text = a.local()
    assert [LEVEL in in_text(text, section) for section in range(3)] == [False, True, False]
    a.carry_out(a.engine.operations.plan_stop(0))
    fourth = a.transceiver("audio")  # as the first that is not stopping
    assert [next(e.direction for e in wanted(a, id) if e.uri == LEVEL) for id in (third, fourth)] == [
        Direction.STOPPED,
        Direction.SENDRECV,
    ]


def test_only_directions_can_be_chosen() -> None:
    a, _ = pair()
    a.transceiver("audio")
    present = wanted(a)
    wrong = [
        present[1:],
        (*present, HeaderExtension("urn:x")),
        present[::-1],
        (replace(present[0], uri="urn:x"), *present[1:]),
    ]
    wrong += [
        tuple(replace(e, direction=direction) if e.uri == MID else e for e in present)
        for direction in set(Direction) - {Direction.SENDRECV}
    ]
    for chosen in wrong:
        with pytest.raises(InvalidModificationError):
            a.engine.operations.plan_set_header_extensions(0, chosen)
    assert a.record(0).extensions_to_negotiate is None


def test_a_choice_outlives_a_rollback() -> None:
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    choose(a, LEVEL, Direction.STOPPED)
    a.local(SdpType.ROLLBACK, "")
    assert LEVEL not in in_text(a.local())


def test_what_is_not_offered_by_ourselves_is_answered_unless_it_was_stopped() -> None:
    quiet = HeaderExtension("urn:quiet", direction=Direction.STOPPED)
    able = replace(support.AUDIO, header_extensions=(*support.AUDIO.header_extensions, quiet))
    settings = replace(support.SETTINGS, capabilities={"audio": able}.__getitem__)
    a, b = Peer("a", settings), Peer("b", settings)
    a.transceiver("audio")
    assert quiet.uri not in in_text(a.offer())
    choose(a, quiet.uri, Direction.SENDRECV)
    negotiate(a, b)
    assert negotiated(a, quiet.uri) is negotiated(b, quiet.uri) is Direction.SENDRECV
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    for id in (0, 1):
        choose(b, LEVEL, Direction.SENDRECV, id)
    a.remote(SdpType.ANSWER, b.local())
    assert negotiated(b, quiet.uri) is Direction.STOPPED


def test_extension_ids() -> None:
    ids = ExtensionIdAllocator(((3, support.MID.uri),))
    assert [e.id for e in ids.numbered((support.MID, support.LEVEL), ())] == [3, 1]
    assert [e.id for e in ids.numbered((support.LEVEL,), (HeaderExtension(LEVEL, 9),))] == [9]
    many = [HeaderExtension(f"urn:{i}") for i in range(300)]
    given = [e.id for e in ExtensionIdAllocator(()).numbered(many, ())]
    assert given[:15] == [*range(1, 15), 16]
    assert len(given) == 254


def test_extensions_in_an_answer() -> None:
    offer = (
        HeaderExtension(support.MID.uri, 17),
        HeaderExtension(support.MID.uri, 18),
        HeaderExtension(LEVEL, 2, Direction.SENDONLY),
        HeaderExtension("urn:bogus", 3),
        HeaderExtension("urn:zero", 0),
    )
    assert answered_extensions(offer, (support.MID, support.LEVEL, HeaderExtension("urn:zero"))) == (
        HeaderExtension(support.MID.uri, 17),
        HeaderExtension(LEVEL, 2, Direction.RECVONLY),
    )
    only_send = (replace(support.LEVEL, direction=Direction.SENDONLY),)
    assert answered_extensions(offer[2:3], only_send) == ()


def test_an_id_that_is_known_is_kept_though_there_are_no_others_left() -> None:
    known = [(number, f"urn:{number}") for number in (*range(1, 15), *range(16, 256))]
    wanted = [HeaderExtension("urn:new"), HeaderExtension("urn:7")]
    assert [(e.uri, e.id) for e in ExtensionIdAllocator(known).numbered(wanted, ())] == [("urn:7", 7)]


def test_an_answer_takes_ids_of_one_byte_and_each_extension_once() -> None:
    """RFC 8285 4.2 and 4.3: 0 is padding, 255 the last."""
    ours = [HeaderExtension(f"urn:{name}") for name in "abcde"]
    offered = [
        HeaderExtension("urn:unknown", 1),
        HeaderExtension("urn:a", 0),
        HeaderExtension("urn:b", 256),
        HeaderExtension("urn:c", 255),
        HeaderExtension("urn:d", 2),
        HeaderExtension("urn:d", 3),
        HeaderExtension("urn:e", 4),
    ]
    assert [(e.uri, e.id) for e in answered_extensions(offered, ours)] == [
        ("urn:c", 255),
        ("urn:d", 2),
        ("urn:e", 4),
    ]
