"""Contributing and synchronization sources of one section: who was heard in the last ten seconds (webrtc-pc 5.3).

Owns: a bounded table. Never: reads a clock.
"""

from __future__ import annotations

from typing import Protocol

from rtcpeer.records import record
from rtcpeer.rtp.audio_level import dbov_to_level

SOURCES_MAX = 64
# getSynchronizationSources looks back ten seconds (webrtc-pc 5.3)
SOURCE_LIFETIME = 10.0


@record(frozen=True, slots=True)
class RtpSource:
    """A contributing or synchronization source (webrtc-pc 5.3 "RTCRtpContributingSource").

    Attributes:
        timestamp_ms: when its last packet came, in ms since the epoch.
        audio_level: 0.0 to 1.0, None if unknown.
    """

    source: int
    timestamp_ms: float
    rtp_timestamp: int
    audio_level: float | None
    is_csrc: bool


class HeardPacket(Protocol):
    """The parts of a packet that are noted, parsed whole or on its way through a relay."""

    @property
    def ssrc(self) -> int:
        """The SSRC that the packet is of."""

    @property
    def csrc(self) -> tuple[int, ...]:
        """The SSRCs that contributed to it."""

    @property
    def timestamp(self) -> int:
        """The RTP timestamp."""

    @property
    def audio_level(self) -> tuple[bool, int] | None:
        """Voice activity and -dBov."""


class ContributingSources:
    """The sources of one section."""

    def __init__(self) -> None:
        # (is a contributing source, SSRC) -> (time in s, RTP timestamp, level)
        self._sources: dict[tuple[bool, int], tuple[float, int, float | None]] = {}

    def note(self, packet: HeardPacket, now: float) -> None:
        """A packet came."""
        level = None
        if packet.audio_level is not None:
            level = dbov_to_level(packet.audio_level[1])
        self._sources[False, packet.ssrc] = (now, packet.timestamp, level)
        for source in packet.csrc:
            self._sources[True, source] = (now, packet.timestamp, None)
        # one packet names up to 15 contributors, which may be others each time
        while len(self._sources) > SOURCES_MAX:
            self._sources.pop(next(iter(self._sources)))

    def recent(self, now: float) -> list[RtpSource]:
        """The sources of the last ten seconds, the latest first."""
        oldest = now - SOURCE_LIFETIME
        recent = [
            RtpSource(source, at * 1000, timestamp, level, is_csrc)
            for (is_csrc, source), (at, timestamp, level) in self._sources.items()
            if at >= oldest
        ]
        return sorted(recent, key=lambda source: source.timestamp_ms, reverse=True)
