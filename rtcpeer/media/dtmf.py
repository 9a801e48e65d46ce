"""A DTMF tone as RTP packets (RFC 4733)."""

from __future__ import annotations

import asyncio
from struct import Struct

from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.rtp.audio_level import SILENCE_DBOV
from rtcpeer.rtp.outbound import OutboundStream

# RFC 4733 section 3.2: event codes are positions in this text
TONES = "0123456789*#ABCD"
# section 2.5.1.2: an update every 50 ms at most; audio's own pace is 20 ms
INTERVAL = 0.02
# section 2.5.1.4: the end is said three times
END_REPEATS = 3
# section 2.3.4: -10 dBm0 is what libwebrtc sends
VOLUME = 10
_EVENT = Struct("!BBH")


class TonePlayer:
    """Sends one tone on a stream.

    Attributes:
        finished: whether the stream may carry audio again.
    """

    def __init__(self, stream: OutboundStream, form: PayloadFormat, tone: str, duration_ms: int) -> None:
        self.finished: bool = False
        self._stream = stream
        self._form = form
        self._event = TONES.index(tone.upper())
        self._duration = duration_ms / 1000

    async def run(self) -> None:
        """Send it, in its own time."""
        try:
            # all packets of a tone carry the time of its beginning (section 2.2.1)
            timestamp = self._stream.timestamp
            ticks_max = min(0xFFFF, int(self._duration * self._form.clock_rate))
            step = int(INTERVAL * self._form.clock_rate)
            ticks = min(step, ticks_max)
            self._send(timestamp, ticks, marker=True)
            while ticks < ticks_max:
                await asyncio.sleep(INTERVAL)
                ticks = min(ticks + step, ticks_max)
                self._send(timestamp, ticks)
            for _repeat in range(END_REPEATS):
                self._send(timestamp, ticks, end=True)
        finally:
            self.finished = True

    def _send(self, timestamp: int, ticks: int, *, marker: bool = False, end: bool = False) -> None:
        payload = _EVENT.pack(self._event, VOLUME | (0x80 if end else 0), ticks)
        self._stream.send_frame(
            self._form.payload_type, [payload], timestamp, marker=marker, level=SILENCE_DBOV
        )
