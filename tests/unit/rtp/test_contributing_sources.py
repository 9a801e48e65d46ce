"""Who was heard in the last ten seconds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rtcpeer.rtp.contributing_sources import SOURCES_MAX, ContributingSources


def packet(ssrc: int, csrc: tuple[int, ...] = (), level: tuple[bool, int] | None = None) -> Any:
    return SimpleNamespace(ssrc=ssrc, csrc=csrc, timestamp=ssrc * 10, audio_level=level)


def test_the_latest_first_with_its_level_and_its_contributors():
    sources = ContributingSources()
    sources.note(packet(1, level=(True, 20)), 100.0)
    sources.note(packet(2, csrc=(7, 8)), 101.0)
    recent = sources.recent(101.0)
    assert [(one.source, one.is_csrc) for one in recent] == [(2, False), (7, True), (8, True), (1, False)]
    assert recent[-1].audio_level == 0.1
    assert recent[0].audio_level is None
    assert (recent[-1].timestamp_ms, recent[-1].rtp_timestamp) == (100_000.0, 10)


def test_after_ten_seconds_a_source_is_not_shown():
    sources = ContributingSources()
    sources.note(packet(1), 100.0)
    assert len(sources.recent(110.0)) == 1
    assert sources.recent(110.1) == []


def test_the_table_is_bounded_whatever_the_other_end_sends():
    sources = ContributingSources()
    for ssrc in range(500):
        sources.note(packet(ssrc, csrc=tuple(range(ssrc, ssrc + 2))), 100.0)
        assert len(sources.recent(100.0)) <= SOURCES_MAX
