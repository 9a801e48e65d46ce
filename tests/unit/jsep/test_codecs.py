from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.jsep.codecs import (
    PayloadTypes,
    answered,
    dictionary_match,
    h264_profile,
    identity,
    in_order_of,
    is_auxiliary,
    is_rtx,
    keys_of,
    loose_match,
    numbered,
    preferred,
    receivable,
    sendable,
    supported,
    wrappers_left_out,
)
from rtcpeer.values import Codec, Direction
from tests.unit.jsep.support import H264, OPUS, PCMA, PCMU, RTX, VP8


def h264(profile: str, mode: str = "1", **more: str) -> Codec:
    fmtp = (("profile-level-id", profile), ("packetization-mode", mode), *more.items())
    return Codec("video/H264", 90000, None, fmtp)


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("42e01f", "constrained-baseline"),
        ("42c01f", "constrained-baseline"),
        ("4D8033", "constrained-baseline"),
        ("42001f", "baseline"),
        ("4d001f", "main"),
        ("64001f", "high"),
        ("640c1f", "constrained-high"),
        ("f4001f", "high-444"),
        # RFC 6184 table 5, the patterns of profile-iop with what they leave open
        ("428f1f", "42-8f"),
        ("42b01f", "baseline"),
        ("42f01f", "constrained-baseline"),
        ("42411f", "42-41"),
        ("42011f", "42-1"),
        ("4df01f", "constrained-baseline"),
        ("4d811f", "4d-81"),
        ("58f01f", "constrained-baseline"),
        ("58c11f", "58-c1"),
        ("58811f", "58-81"),
        ("58b01f", "baseline"),
        ("4d501f", "main"),
        ("4d011f", "4d-1"),
        ("64011f", "64-1"),
        ("640d1f", "64-d"),
        ("f4011f", "f4-1"),
        ("42e034", "constrained-baseline"),
        (None, "constrained-baseline"),
        ("zzz", "zzz"),
        ("zzzzzz", "zzzzzz"),
        ("ffffff", "ff-ff"),
    ],
)
def test_h264_profiles(id: str | None, name: str) -> None:
    assert h264_profile(id) == name


def test_same_codec() -> None:
    assert loose_match(h264("42e01f"), h264("42c00b"))
    assert not loose_match(h264("42e01f"), h264("64001f"))
    assert not loose_match(h264("42e01f", "0"), h264("42e01f", "1"))
    assert not loose_match(OPUS, replace(OPUS, fmtp=()))
    assert not loose_match(OPUS, replace(OPUS, channels=1))
    assert loose_match(replace(VP8, mime_type="video/vp8"), VP8)
    assert dictionary_match(H264, replace(H264, fmtp=tuple(reversed(H264.fmtp))))
    assert not dictionary_match(H264, replace(H264, fmtp=()))
    assert not dictionary_match(h264("42e01f"), h264("42e00b"))
    assert not dictionary_match(OPUS, replace(OPUS, channels=None))
    assert dictionary_match(h264("42e01f"), h264("42E01F"))
    assert dictionary_match(
        Codec("audio/x", 8000, fmtp=(("0-16", None),)), Codec("audio/x", 8000, fmtp=(("0-16", None),))
    )
    for name, default in (("VP9", "profile-id"), ("AV1", "profile"), ("H265", "profile-id")):
        plain = Codec(f"video/{name}", 90000)
        assert identity(plain) != identity(replace(plain, fmtp=((default, "7"),)))
        unsaid = "1" if name == "H265" else "0"  # RFC 7798 7.1, RFC 9628 6, AV1 RTP specification 7.2.1
        assert identity(plain) == identity(replace(plain, fmtp=((default, unsaid),)))
    assert identity(PCMU) == identity(replace(PCMU, channels=None)) != identity(replace(PCMU, channels=2))


@pytest.mark.parametrize(
    ("name", "first", "second", "expected"),
    [
        ("AV1", "profile=0;level-idx=5;tier=0", "profile=1;level-idx=8;tier=1", True),
        ("AV1", "profile=0;other=1", "profile=0;other=2", False),
        ("H265", "profile-id=1;level-id=93", "profile-id=1;level-id=30", True),
        ("H265", "profile-id=1;level-id=93", "profile-id=2;level-id=93", False),
        ("VP9", "profile-id=0", "profile-id=2", False),
    ],
)
def test_what_one_side_says_of_itself_alone_makes_no_other_codec(
    name: str, first: str, second: str, expected: bool
) -> None:
    one, other = (
        Codec(
            f"video/{name}",
            90000,
            None,
            tuple((n, v) for n, _, v in (i.partition("=") for i in t.split(";"))),
        )
        for t in (first, second)
    )
    assert loose_match(one, other) is expected
    assert not dictionary_match(one, other)


@pytest.mark.parametrize(
    ("ours", "theirs", "level"),
    [("93", "30", "30"), ("93", "150", "93"), ("93", None, "93"), ("93", "x", "93"), ("150", "123", "123")],
)
def test_the_level_of_h265_is_the_lower_one(ours: str, theirs: str | None, level: str) -> None:
    def h265(level: str | None) -> Codec:
        fmtp = (("profile-id", "1"), *([("level-id", level)] if level is not None else []))
        return Codec("video/H265", 90000, None, fmtp)

    able = (h265(ours),)
    (codec,) = answered([replace(h265(theirs), payload_type=96)], (), able, able, Direction.SENDRECV)
    assert codec.parameter("level-id") == level


def test_by_direction() -> None:
    send, receive = (VP8, RTX), (H264, VP8, RTX)
    assert supported(send, receive, Direction.SENDONLY) == send
    assert supported(send, receive, Direction.RECVONLY) == receive
    assert supported(send, receive, Direction.SENDRECV) == (VP8, RTX)
    assert preferred([H264], send, receive, Direction.RECVONLY) == (H264,)
    assert preferred([H264], send, receive, Direction.SENDRECV) == (VP8, RTX)  # nothing is left of it


def test_what_is_in_reds_of_video_is_sent_again_as_well() -> None:
    red, ulpfec = Codec("video/red", 90000), Codec("video/ulpfec", 90000)

    codecs = numbered([VP8, RTX, red, ulpfec], PayloadTypes(()), {})

    assert [(c.name, c.parameter("apt")) for c in codecs] == [
        ("VP8", None),
        ("rtx", "96"),
        ("red", None),
        ("rtx", "98"),
        ("ulpfec", None),
    ]


def test_payload_types_are_kept_and_never_given_twice() -> None:
    numbers = PayloadTypes(())
    first = numbered([VP8, H264, RTX], numbers, {})
    assert [(c.name, c.payload_type) for c in first] == [("VP8", 96), ("rtx", 97), ("H264", 98), ("rtx", 99)]
    assert first[1].fmtp == (("apt", "96"),)
    known = tuple((n, k) for k, n in keys_of(first).items())
    again = numbered([H264, RTX], PayloadTypes(known), {})
    assert [c.payload_type for c in again] == [98, 99]
    audio = numbered([OPUS, PCMU], PayloadTypes(known), {})
    assert [c.payload_type for c in audio] == [100, 0]
    taken = tuple((n, "x") for n in range(96, 128))
    assert numbered([OPUS], PayloadTypes(taken), {})[0].payload_type == 35
    full = (*taken, *((n, "x") for n in range(35, 64)))
    assert numbered([OPUS], PayloadTypes(full), {}) == ()
    assert numbered([OPUS], PayloadTypes(full[:-1]), {})[0].payload_type == 63


def test_a_number_of_an_offer_that_was_taken_back_may_belong_to_another_codec_now() -> None:
    numbers = PayloadTypes(())
    (first,) = numbered([H264], numbers, {})
    before = keys_of([replace(VP8, payload_type=first.payload_type)])
    (second,) = numbered([VP8], numbers, before)
    assert second.payload_type != first.payload_type


def test_red_names_what_it_wraps() -> None:
    red = Codec("audio/red", 48000, 2)
    codecs = numbered([OPUS, red], PayloadTypes(()), {})
    assert codecs[1].fmtp == (("96/96", None),)
    assert numbered([red], PayloadTypes(()), {}) == ()


def test_red_wraps_neither_tones_nor_sound_of_another_clock() -> None:
    red, tones = Codec("audio/red", 48000, 2), Codec("audio/telephone-event", 48000, 1)
    codecs = numbered([tones, PCMU, red, OPUS], PayloadTypes(()), {})
    (opus,) = [c.payload_type for c in codecs if c.name == "opus"]
    assert [c.fmtp for c in codecs if c.name == "red"] == [((f"{opus}/{opus}", None),)]
    assert [c.name for c in numbered([tones, red, PCMU], PayloadTypes(()), {})] == ["telephone-event", "PCMU"]


def test_duplicates_and_dangling_rtx_in_an_offer() -> None:
    offer = (
        replace(VP8, payload_type=96),
        Codec("video/rtx", 90000, None, (("apt", "98"),), (), 97),
        replace(VP8, payload_type=98),
        Codec("video/rtx", 90000, None, (("apt", "96"),), (), 99),
        Codec("video/rtx", 90000, None, (("apt", "x"),), (), 100),
    )
    result = answered(offer, (), (VP8, RTX), (VP8, RTX), Direction.SENDRECV)
    assert [(c.payload_type, c.parameter("apt")) for c in result] == [(96, None), (99, "96")]
    assert answered(offer[1:2], (), (VP8, RTX), (VP8, RTX), Direction.SENDRECV) == ()
    assert [c.payload_type for c in answered(offer, (), (VP8,), (VP8,), Direction.SENDRECV)] == [96]


def test_opus_without_its_channels_is_opus() -> None:
    """RFC 7587 section 7 fixes them; webrtcbin leaves them out before its encoder has run."""
    offer = replace(OPUS, channels=None, fmtp=(), payload_type=97)
    (answer,) = answered([offer], (), [OPUS], [OPUS], Direction.SENDRECV)
    assert answer == replace(OPUS, payload_type=97)
    assert sendable([offer], [OPUS], [answer])


def test_h264_of_which_nothing_is_said_is_single_units_and_else_taken_for_ours() -> None:
    """Webrtcbin offers it so before its encoder has run, and then sends and takes mode 1."""
    offer = Codec("video/H264", 90000, payload_type=102)
    both = [h264("42e01f"), h264("42e01f", "0")]
    (answer,) = answered([offer], (), both, both, Direction.SENDRECV)
    assert answer.parameter("packetization-mode") == "0"
    ours = h264("42e01f", **{"level-asymmetry-allowed": "1"})
    (answer,) = answered([offer], (), [ours], [ours], Direction.SENDRECV)
    assert answer == replace(ours, payload_type=102)
    assert sendable([offer], [ours], [answer]) == (offer,)
    no_mode = replace(offer, fmtp=(("profile-level-id", "42e01f"),))
    assert answered([no_mode], (), [ours], [ours], Direction.SENDRECV) == ()


def test_h264_is_matched_by_its_packetization_mode() -> None:
    """RFC 6184 section 8.2.2: it is used symmetrically; left out it is 0."""
    one, zero = h264("42e01f"), h264("42e01f", "0")
    unsaid = Codec("video/H264", 90000, None, (("profile-level-id", "42e01f"),))
    offered = [replace(zero, payload_type=104), replace(one, payload_type=102)]
    result = answered(offered, (), [one, zero], [one, zero], Direction.SENDRECV)
    assert [(c.payload_type, c.parameter("packetization-mode")) for c in result] == [(104, "0"), (102, "1")]
    (only,) = answered([replace(unsaid, payload_type=97)], (), [one, zero], [one, zero], Direction.SENDRECV)
    assert (only.payload_type, only.parameter("packetization-mode")) == (97, "0")
    # who has mode 1 alone does not take it
    assert answered([replace(unsaid, payload_type=97)], (), [one], [one], Direction.SENDRECV) == ()
    assert answered(offered, (), [one], [one], Direction.SENDRECV) == (replace(one, payload_type=102),)


@pytest.mark.parametrize("fmtp", [(), (("profile-level-id", "42e01f"),)])
def test_an_answer_that_does_not_say_the_mode_means_the_number(fmtp: tuple[tuple[str, str], ...]) -> None:
    local = [replace(h264("42e01f"), payload_type=98), replace(h264("42e01f", "0"), payload_type=38)]
    remote = [Codec("video/H264", 90000, None, fmtp, (), 98)]
    assert local[0] in receivable(local, remote)
    (sent,) = sendable(remote, local)
    assert (sent.payload_type, sent.fmtp) == (98, fmtp)


def test_h264_levels() -> None:
    offer = replace(h264("42c00b"), payload_type=100)
    (symmetric,) = answered([offer], (), [h264("42e01f")], [h264("42e01f")], Direction.SENDRECV)
    assert symmetric.parameter("profile-level-id") == "42c00b"
    above = replace(h264("42e034"), payload_type=100)
    (symmetric,) = answered([above], (), [h264("42e01f")], [h264("42e01f")], Direction.SENDRECV)
    assert symmetric.parameter("profile-level-id") == "42e01f"
    asymmetric = h264("42e01f", **{"level-asymmetry-allowed": "1"})
    (result,) = answered(
        [replace(h264("42c00b", **{"level-asymmetry-allowed": "1"}), payload_type=100)],
        (),
        [asymmetric],
        [asymmetric],
        Direction.SENDRECV,
    )
    assert result.parameter("profile-level-id") == "42e01f"


def test_send_codecs_have_the_receivers_parameters() -> None:
    remote = (Codec("video/VP8", 90000, None, (("max-fr", "30"), ("max-fs", "3600")), (), 100),)
    (codec,) = sendable(remote, (VP8, RTX))
    assert codec.fmtp == remote[0].fmtp
    assert sendable(remote, (VP8, RTX), agreed=()) == ()
    ours = numbered([VP8, H264, RTX], PayloadTypes(()), {})
    assert [c.payload_type for c in receivable(ours, remote)] == [96, 97]
    # their number for VP8 is our number for H.264
    assert [c.payload_type for c in receivable(ours, [replace(remote[0], payload_type=98)])] == [96, 97]


def test_what_was_agreed_on_comes_first() -> None:
    agreed = (replace(PCMA, payload_type=120), replace(OPUS, fmtp=()), replace(PCMA, payload_type=8))
    assert in_order_of(agreed, (OPUS, PCMU, PCMA)) == (PCMA, OPUS, PCMU)
    assert in_order_of((), (OPUS, PCMU, PCMA)) == (OPUS, PCMU, PCMA)


def test_auxiliary_formats_in_any_case() -> None:
    assert [is_auxiliary(Codec(name, 90000)) for name in ("audio/CN", "video/RTX", "video/ulpfec")] == [
        True
    ] * 3
    assert not is_auxiliary(VP8)
    assert [is_rtx(Codec(name, 90000)) for name in ("video/rtx", "Video/RTX", "audio/rtx")] == [True] * 3


def test_a_preference_has_the_static_number_of_what_it_is() -> None:
    (same,) = preferred([replace(PCMU, payload_type=None)], [PCMU], [PCMU], Direction.SENDRECV)
    assert same.payload_type == 0
    (other,) = preferred(
        [replace(PCMU, payload_type=None, fmtp=(("x", "1"),))], [PCMU], [PCMU], Direction.SENDRECV
    )
    assert other.payload_type is None


def test_numbers_that_are_known_are_kept_though_smaller_ones_are_free() -> None:
    known = keys_of([replace(VP8, payload_type=120), replace(H264, payload_type=110)])
    in_session = PayloadTypes([(number, key) for key, number in known.items()])
    assert [c.payload_type for c in numbered([VP8, H264], in_session, {})] == [120, 110]
    assert [c.payload_type for c in numbered([VP8, H264], PayloadTypes(()), known)] == [120, 110]


def test_a_section_keeps_a_number_for_the_same_codec_with_other_parameters_only() -> None:
    numbers = PayloadTypes([(98, "video/x/90000/1|a=1")])
    same, other = "video/x/90000/1|a=2", "video/y/90000/1|a=1"
    assert numbers.number(same, None, {same: 98}, set()) == 98
    assert numbers.number(other, None, {other: 98}, set()) == 96


def test_a_retransmission_has_the_next_number_where_that_is_one_to_give_out() -> None:
    for wish, rtx in ((100, 101), (126, 127), (127, 96), (63, 96), (34, 35)):
        codecs = numbered([replace(VP8, payload_type=wish), RTX], PayloadTypes(()), {})
        assert [c.payload_type for c in codecs] == [wish, rtx]


def test_what_has_a_number_is_offered_when_there_are_no_others_left() -> None:
    full = tuple((n, "x") for n in (*range(96, 128), *range(35, 64)))
    assert [c.name for c in numbered([OPUS, PCMU], PayloadTypes(full), {})] == ["PCMU"]


def test_a_retransmission_of_a_large_number_is_understood() -> None:
    offer = (replace(VP8, payload_type=120), Codec("video/rtx", 90000, None, (("apt", "120"),), (), 121))
    result = answered(offer, (), (VP8, RTX), (VP8, RTX), Direction.SENDRECV)
    assert [c.payload_type for c in result] == [120, 121]


def test_of_formats_of_which_nothing_is_said_the_first_counts() -> None:
    both = [h264("42e01f"), h264("42e01f", "0")]
    offer = [Codec("video/H264", 90000, payload_type=number) for number in (102, 103)]
    assert [c.payload_type for c in answered(offer, (), both, both, Direction.SENDRECV)] == [102]


def test_preferences_that_leave_nothing_leave_the_order_to_the_offerer() -> None:
    """RFC 9429 5.3.1."""
    offer = [replace(PCMA, payload_type=8), replace(PCMU, payload_type=0)]
    able = [PCMU, PCMA]
    assert [c.name for c in answered(offer, [OPUS], able, able, Direction.SENDRECV)] == ["PCMA", "PCMU"]
    assert [
        c.name for c in answered(offer, [PCMU, PCMA], [OPUS, *able], [OPUS, *able], Direction.SENDRECV)
    ] == [
        "PCMU",
        "PCMA",
    ]


def test_wrappers_that_an_answer_leaves_out_are_themselves_and_their_retransmissions() -> None:
    red, ulpfec = Codec("video/red", 90000), Codec("video/ulpfec", 90000)
    ours = numbered([VP8, RTX, red, ulpfec, H264], PayloadTypes(()), {})
    answer = [c for c in ours if c.payload_type in (96, 97)]
    assert [(c.name, c.payload_type) for c in wrappers_left_out(ours, answer)] == [
        ("red", 98),
        ("rtx", 99),
        ("ulpfec", 100),
    ]
    assert wrappers_left_out(ours, ours) == ()
