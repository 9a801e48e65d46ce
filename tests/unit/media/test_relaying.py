"""Which codecs are the same for forwarding."""

import pytest

from rtcpeer.media.codecs import payload_format
from rtcpeer.media.relaying import payload_type_map, same_codec
from rtcpeer.values import Codec

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")


def form(name, fmtp=(), *, rate=90000, channels=None, number=96):
    return payload_format(Codec(name, rate, channels, tuple(fmtp), payload_type=number))


H264 = ("packetization-mode", "1"), ("profile-level-id", "42e01f")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (form("video/VP8"), form("video/vp8", number=120), True),
        (form("video/VP8"), form("video/VP9"), False),
        (form("video/H264", H264), form("video/H264", (H264[0], ("profile-level-id", "42001f"))), True),
        (form("video/H264", H264), form("video/H264", (H264[0], ("profile-level-id", "64001f"))), False),
        (form("video/VP9", (("profile-id", "0"),)), form("video/VP9"), True),
        (form("video/VP9", (("profile-id", "2"),)), form("video/VP9"), False),
        (
            form("audio/opus", rate=48000, channels=2),
            form("audio/opus", (("a", "b"),), rate=48000, channels=2),
            True,
        ),
        (form("audio/PCMU", rate=8000, channels=1), form("audio/PCMU", rate=8000), True),
        (form("audio/L16", rate=8000, channels=1), form("audio/L16", rate=8000, channels=2), False),
    ],
)
def test_same_codec(one, other, same):
    assert same_codec(one, other) is same
    assert same_codec(other, one) is same


def test_single_units_go_where_fragments_may_and_not_the_other_way_round():
    """RFC 6184 section 6.3; without the parameter it is mode 0."""
    fragments, profile = form("video/H264", H264, number=100), H264[1]
    for single in (
        form("video/H264", (("packetization-mode", "0"), profile)),
        form("video/H264", (profile,)),
    ):
        assert same_codec(single, fragments)
        assert not same_codec(fragments, single)
        assert same_codec(single, form("video/H264", (profile,)))
    zero = form("video/H264", (("packetization-mode", "0"), profile), number=102)
    received = [form("video/H264", H264, number=96), form("video/H264", (profile,), number=98)]
    assert payload_type_map(received, [fragments, zero]) == {96: 100, 98: 102}
    assert payload_type_map(received, [fragments]) == {96: 100, 98: 100}
    assert payload_type_map(received, [zero]) == {98: 102}


def test_payload_types():
    received = [
        form("video/VP8", number=96),
        form("video/rtx", (("apt", "96"),), number=97),
        form("video/AV1", number=45),
    ]
    sent = [form("video/H264", H264, number=100), form("video/VP8", number=101)]
    assert payload_type_map(received, sent) == {96: 101}
