"""Decryption monitor: a run of failures of known streams is a fault that nothing else shows.

After a long outage a sender that went on numbering is more than half a cycle of sequence numbers ahead of us, and
each packet fails (RFC 3711 section 3.3.1); ICE and DTLS are fine all the while. Then the count of cycles is looked for.

Pure: `now` is an argument.  Owns: a run of failures for each known stream.  Never: forged packets as evidence, as
far as that can be told: the stream is known, and nothing of it decrypts.
"""

from __future__ import annotations

import math

from rtcpeer.records import record

# A run counts from so many packets and so many seconds on; it is over when nothing more fails for so long.
RUN_PACKETS = 20
RUN_SECONDS = 1.0
RUN_OVER = 10.0
# The count of cycles is looked for after so many packets, and so often, in seconds: forged packets may cost no more.
SEARCH_PACKETS = 10
SEARCH_INTERVAL = 1.0
# Streams whose failures are counted at a time.
_RUNS_MAX = 64


@record(slots=True)
class _Run:
    since: float
    last: float
    packets: int = 0
    searched_at: float = -math.inf


class DecryptionWatch:
    """Runs of packets that could not be decrypted.

    Attributes:
        failed: all of them, since the beginning; copies and late ones are none.
        runs: SSRC -> the run that goes on; empty while all is well.
    """

    def __init__(self) -> None:
        self.failed: int = 0
        self.runs: dict[int, _Run] = {}

    def note_failure(self, ssrc: int, now: float) -> bool:
        """A packet of a known stream could not be decrypted.

        Returns:
            Whether to look for the count of cycles with it.
        """
        self.failed += 1
        run = self.runs.get(ssrc)
        if run is None or now - run.last > RUN_OVER:
            if run is None and len(self.runs) >= _RUNS_MAX:
                del self.runs[next(iter(self.runs))]
            run = self.runs[ssrc] = _Run(now, now)
        run.packets += 1
        run.last = now
        if run.packets < SEARCH_PACKETS or now - run.searched_at < SEARCH_INTERVAL:
            return False
        run.searched_at = now
        return True

    def failing_for(self, now: float) -> float:
        """How long nothing of a stream that arrives could be decrypted, in seconds; 0.0 while all is well."""
        ages = [
            now - run.since
            for run in self.runs.values()
            if run.packets >= RUN_PACKETS
            and run.last - run.since >= RUN_SECONDS
            and now - run.last <= RUN_OVER
        ]
        return max(ages, default=0.0)
