"""Header extensions of both sides."""

from __future__ import annotations

import pytest

from rtcpeer.jsep.extensions import TRANSPORT_CC, with_feedback
from rtcpeer.media.codecs import capabilities
from rtcpeer.values import Codec, Feedback, HeaderExtension

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
