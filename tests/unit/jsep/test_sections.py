"""Media sections as we write them."""

from __future__ import annotations

import pytest

from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import SdpType
from tests.unit.jsep.support import Peer, negotiate, pair


def video_call() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("video", "s")
    negotiate(a, b)
    return a, b


def test_a_sender_that_pauses_keeps_its_sources_and_their_track() -> None:
    """libwebrtc M106 refuses two sources without a track around them."""
    a, b = video_call()
    before = a.state.current_local.session.media[0]  # type: ignore[union-attr]
    a.carry_out(a.engine.operations.plan_remove_track(0))
    media = parse_untrusted(a.local()).media[0]
    assert not media.direction.sends
    assert media.ssrcs == before.ssrcs
    assert len(media.ssrcs) == 2
    assert media.msids == before.msids != ()
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    assert len(b.tracks()) == 1


@pytest.mark.parametrize("levels", ["session", "section", "both", "none"])
def test_the_answer_allows_mixed_header_extensions_when_the_offer_does_anywhere(levels: str) -> None:
    """RFC 8285 6: it may be said for all sections, or for one."""
    a, b = pair()
    a.track("video", "s")
    text = a.local()
    line = "a=extmap-allow-mixed\r\n"
    assert text.count(line) == 1
    text = text.replace(line, "")
    if levels in ("session", "both"):
        text = text.replace("t=0 0\r\n", "t=0 0\r\n" + line)
    if levels in ("section", "both"):
        text = text.replace("a=mid:0\r\n", "a=mid:0\r\n" + line)
    b.remote(SdpType.OFFER, text)
    assert (line in b.local()) == (levels != "none")
