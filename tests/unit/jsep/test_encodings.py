from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidModificationError, OperationError, RTCRangeError
from rtcpeer.jsep.encodings import check_new, check_update
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Codec, MediaKind
from tests.unit.jsep.support import OPUS, RTX, VP8, negotiate, pair

VIDEO, AUDIO = MediaKind.VIDEO, MediaKind.AUDIO


@pytest.mark.parametrize(
    "bad",
    [["@Invalid!"], [""], ["a" * 17], ["foo-bar"], ["foo_bar"], ["a", "a"], ["a", None], [None, None]],
)
def test_bad_rids(bad: list[str | None]) -> None:
    with pytest.raises(TypeError):
        check_new(VIDEO, [SendEncoding(rid=r) for r in bad], (), 3)


def test_scaling_is_filled_in() -> None:
    three = check_new(VIDEO, [SendEncoding(rid=r) for r in "abc"], (), 3)
    assert [e.scale_resolution_down_by for e in three] == [4, 2, 1]
    some = check_new(VIDEO, [SendEncoding(rid="a"), SendEncoding(rid="b", scale_resolution_down_by=3)], (), 3)
    assert [e.scale_resolution_down_by for e in some] == [1, 3]
    cut = check_new(VIDEO, [SendEncoding(rid=str(i)) for i in range(9)], (), 3)
    assert [(e.rid, e.scale_resolution_down_by) for e in cut] == [("0", 4), ("1", 2), ("2", 1)]
    assert check_new(VIDEO, [SendEncoding(rid="x")], (), 3)[0].rid is None
    assert check_new(VIDEO, [], (), 3) == ()


def test_audio_has_one_layer_and_no_picture() -> None:
    encodings = [SendEncoding(rid=r, scale_resolution_down_by=-1, max_framerate=-5) for r in "ab"]
    (only,) = check_new(AUDIO, encodings, (), 3)
    assert (only.rid, only.scale_resolution_down_by, only.max_framerate) == (None, None, None)


@pytest.mark.parametrize(
    "bad",
    [{"scale_resolution_down_by": 0.5}, {"max_framerate": -1.0}, {"scale_resolution_down_by": float("nan")}],
)
def test_numbers_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(RTCRangeError):
        check_new(VIDEO, [SendEncoding(**bad)], (), 3)
    with pytest.raises(RTCRangeError):
        check_update(VIDEO, [SendEncoding()], [SendEncoding(**bad)], (), ())


@pytest.mark.parametrize("bad", [(0, 90), (160, 0), (0, 0)])
def test_a_size_has_two_sides(bad: tuple[int, int]) -> None:
    with pytest.raises(OperationError, match="maxWidth"):
        check_new(VIDEO, [SendEncoding(scale_resolution_down_to=bad)], (), 3)
    with pytest.raises(InvalidModificationError, match="maxWidth"):
        check_update(VIDEO, [SendEncoding()], [SendEncoding(scale_resolution_down_to=bad)], (), ())


def test_a_size_is_for_all_active_encodings() -> None:
    some = [SendEncoding(rid="a", scale_resolution_down_to=(160, 90)), SendEncoding(rid="b")]
    with pytest.raises(OperationError, match="all active"):
        check_new(VIDEO, some, (), 3)
    with pytest.raises(InvalidModificationError, match="all active"):
        check_update(VIDEO, some, some, (), ())
    some[1] = replace(some[1], active=False)
    for sizes in (check_new(VIDEO, some, (), 3), check_update(VIDEO, some, some, (), ())):
        assert [e.scale_resolution_down_to for e in sizes] == [(160, 90), None]
    assert [e.scale for e in some] == [1.0, 1.0]
    (sound,) = check_new(AUDIO, [SendEncoding(scale_resolution_down_to=(0, 0))], (), 3)
    assert sound.scale_resolution_down_to is None


def test_no_frames_at_all_can_be_asked_for() -> None:
    """Browsers, and the W3C suite, take 0.0 in addTransceiver too, where webrtc-pc 5.1 wants more."""
    nothing = [SendEncoding(max_framerate=0.0)]
    assert check_new(VIDEO, nothing, (), 3)[0].max_framerate == 0.0
    assert check_update(VIDEO, [SendEncoding()], nothing, (), ())[0].max_framerate == 0.0


def test_codecs_must_be_known() -> None:
    check_new(VIDEO, [SendEncoding(codec=VP8)], (VP8,), 3)
    with pytest.raises(OperationError):
        check_new(VIDEO, [SendEncoding(codec=OPUS)], (VP8,), 3)
    with pytest.raises(OperationError):
        check_new(VIDEO, [SendEncoding(codec=Codec("video/VP8", 90000, None, (("x", "y"),)))], (VP8,), 3)


def test_update() -> None:
    current = [SendEncoding(rid="a", ssrc=1, rtx_ssrc=2), SendEncoding(rid="b", ssrc=3)]
    fresh = check_update(VIDEO, current, [replace(e, ssrc=9, active=False) for e in current], (), ())
    assert [(e.ssrc, e.rtx_ssrc, e.active, e.scale_resolution_down_by) for e in fresh] == [
        (1, 2, False, 1.0),
        (3, None, False, 1.0),
    ]
    for bad in ([], current[:1], current[::-1], [*current, current[0]]):
        with pytest.raises(InvalidModificationError):
            check_update(VIDEO, current, bad, (), ())
    negotiated = replace(VP8, payload_type=96)
    chosen = [replace(current[0], codec=VP8), current[1]]
    assert check_update(VIDEO, current, chosen, [negotiated], ())[0].codec == VP8
    with pytest.raises(InvalidModificationError):
        check_update(VIDEO, current, chosen, [], ())
    with pytest.raises(InvalidModificationError):
        check_update(VIDEO, current, [replace(current[0], codec=RTX), current[1]], [negotiated, RTX], ())


VP9 = Codec("video/VP9", 90000)


def test_scalability_modes() -> None:
    for mode in ("L1T1", "L1T3", "L2T2", "L3T3_KEY", "L2T3_KEY_SHIFT", "S3T2h"):
        (only,) = check_new(VIDEO, [SendEncoding(scalability_mode=mode)], (), 3)
        assert only.scalability_mode == mode  # any, before the codec is known
        (only,) = check_update(VIDEO, [SendEncoding()], [SendEncoding(scalability_mode=mode)], (VP9,), ())
        assert only.scalability_mode == mode
    for mode in ("TotalNonsense", "L4T1", "L1T1_KEY", "L1T2h", "", "L2T1_KEY_SHIFT"):
        with pytest.raises(OperationError, match="scalability"):
            check_new(VIDEO, [SendEncoding(scalability_mode=mode)], (), 3)
        with pytest.raises(OperationError, match="scalability"):
            check_update(VIDEO, [SendEncoding()], [SendEncoding(scalability_mode=mode)], (VP8,), ())


def test_a_codec_without_spatial_layers_makes_none() -> None:
    for mode, made in (("L3T3", "L1T3"), ("S2T1", "L1T1"), ("L1T2", "L1T2"), ("L2T2_KEY", "L1T2")):
        (only,) = check_update(VIDEO, [SendEncoding()], [SendEncoding(scalability_mode=mode)], (VP8,), ())
        assert only.scalability_mode == made


def test_negotiation_tells_which_mode_is_made() -> None:
    a, b = pair()
    a.transceiver("video", encodings=(SendEncoding(scalability_mode="L3T3"),))
    assert a.state.transceivers[0].encodings[0].scalability_mode == "L3T3"
    negotiate(a, b)
    assert a.state.transceivers[0].encodings[0].scalability_mode == "L1T3"


def test_the_smallest_numbers_that_are_taken() -> None:
    least = SendEncoding(scale_resolution_down_by=1.0, scale_resolution_down_to=(1, 1))
    assert check_new(VIDEO, [least], (), 3) == (least,)
    assert check_update(VIDEO, [SendEncoding()], [least], (), ()) == (least,)


def test_a_mode_stays_as_it_was_chosen_while_no_codec_is_negotiated() -> None:
    wanted = SendEncoding(scalability_mode="L3T3")
    assert check_update(VIDEO, [SendEncoding()], [wanted], (), (VP8,))[0].scalability_mode == "L3T3"


def test_the_encoding_of_who_was_given_none() -> None:
    """webrtc-pc 5.1: video is not scaled, and sound knows no scale."""
    a, _ = pair()
    assert [e.scale_resolution_down_by for e in a.record(a.transceiver("video")).encodings] == [1.0]
    assert [e.scale_resolution_down_by for e in a.record(a.transceiver("audio")).encodings] == [None]
