"""The receiver's part of transport-wide congestion control: arrivals are noted, feedback leaves ten times a second.

Where little arrives, as of sound alone, it leaves more rarely: it is to take no more than a small part of that.

Owns: one timer, which runs only while packets arrive. Never: estimates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcpeer.rtp.congestion.arrivals import PENDING_MAX, Arrivals

# draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3: between 50 and 250 ms, and 5 % of what arrives
INTERVAL, INTERVAL_MAX = 0.1, 0.25
_SHARE = 0.05
# Of a packet of feedback with all that is around it.
_FEEDBACK_BYTES = 68


class FeedbackWriter:
    """Notes what arrives on one transport and has feedback sent.

    Args:
        identifier: of the header extension.
        send: sends feedback about packets of which one has the given SSRC, as made by the given function.
    """

    __slots__ = ("_arrivals", "_bytes", "_interval", "_loop", "_send", "_ssrc", "_timer", "identifier")

    def __init__(self, identifier: int, send: Callable[[Callable[[int], list[bytes]]], None]) -> None:
        self.identifier: int = identifier
        self._arrivals = Arrivals()
        self._send = send
        self._ssrc = 0
        # of this interval, and how long it is
        self._bytes = 0
        self._interval = INTERVAL
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def note(self, data: bytes, ssrc: int) -> None:
        """An RTP packet arrived; one without a number says nothing."""
        number = read_number(data, self.identifier)
        if number < 0:
            return
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._ssrc = ssrc
        self._bytes += len(data)
        pending = self._arrivals.pending
        pending.append((number, loop.time()))
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._write)
        elif len(pending) >= PENDING_MAX:
            self._timer.cancel()
            self._write()

    def close(self) -> None:
        """Send no feedback any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._arrivals.pending.clear()

    def _write(self) -> None:
        self._timer = None
        # until so much has arrived, at the rate of the interval that ends, that feedback is its share of it
        wanted = _FEEDBACK_BYTES / _SHARE * self._interval / max(1, self._bytes)
        self._bytes = 0
        self._interval = min(INTERVAL_MAX, max(INTERVAL, wanted))
        self._send(lambda ssrc: self._arrivals.write(ssrc, self._ssrc))


def read_number(data: bytes, identifier: int) -> int:
    """The transport-wide number of an RTP packet; -1 if it has none."""
    size = len(data)
    if size < 16 or not data[0] & 0x10:
        return -1
    at = 12 + 4 * (data[0] & 0x0F)
    if size < at + 4:
        return -1
    end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
    if end > size:
        return -1
    is_short = data[at] == 0xBE and data[at + 1] == 0xDE
    if not is_short and (data[at] != 0x10 or data[at + 1] & 0xF0):
        return -1
    at += 4
    while at + 2 < end:
        head = data[at]
        if not head:
            at += 1
            continue
        if is_short:
            if not 0x10 <= head < 0xF0:
                # RFC 8285 section 4.2: what follows is not read
                return -1
            length = (head & 0x0F) + 1
            head >>= 4
            at += 1
        else:
            length = data[at + 1]
            at += 2
        if head == identifier:
            return data[at] << 8 | data[at + 1] if length == 2 and at + 2 <= end else -1
        at += length
    return -1
