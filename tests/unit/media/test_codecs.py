"""What senders and receivers read from a negotiated codec."""

import sys

import pytest

from rtcpeer.media.codecs import payload_format
from rtcpeer.values import Codec


@pytest.mark.parametrize(
    ("apt", "repeated"),
    [
        ("96", 96),
        ("127", 127),
        ("0096", None),
        ("\u00b2", None),
        ("\u0669\u0666", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_a_retransmission_names_the_payload_type_that_it_repeats(apt, repeated):
    """RFC 4588 section 8.1. The other end writes it, and no text of its own may stop our sender."""
    codec = Codec("video/rtx", 90000, None, (("apt", apt),), (), 97)

    assert codec.repeated_payload_type == repeated
    assert payload_format(codec).apt == repeated


def test_a_codec_that_repeats_nothing():
    assert payload_format(Codec("audio/opus", 48000, 2, (("apt", None),), (), 111)).apt is None
    assert payload_format(Codec("audio/opus", 48000, 2, (), (), 111)).apt is None


def test_what_the_other_end_wrote_is_not_kept_for_the_life_of_the_process():
    codec = Codec("audio/opus", 48000, 2, (("x", "y" * 10_000),), (), 111)
    before = sys.getrefcount(codec)

    payload_format(codec)

    assert sys.getrefcount(codec) == before
