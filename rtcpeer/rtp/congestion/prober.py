"""Sends probes over one transport: padding, for a moment, at a rate that the path is not known to bear yet.

Owns: one timer, which runs only while a probe is sent. Never: estimates; what a probe has shown goes to `sending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcpeer.rtp.congestion.probing import BURSTS, DURATION, ProbeSchedule
from rtcpeer.rtp.congestion.sending import SendControl

# A packet of padding has at most 255 octets of it (RFC 3550 section 5.1).
_PADDING_MAX = 255
# What comes with it, roughly, in bytes.
_HEADERS = 24
# And at least so much: Janus 1.1 takes two bytes for a sequence number, and crashes where there is one byte.
_PADDING_MIN = 50
_INTERVAL = DURATION / (BURSTS - 1)


class Prober:
    """Probes one path while somebody could send more than it is known to bear.

    Args:
        control: numbers what is sent and estimates.
        make_padding: gives a packet of padding of about so many bytes at most; None where none can be made.
        release: sends a packet at once.
    """

    __slots__ = ("_bursts", "_control", "_make_padding", "_rate", "_release", "_schedule", "_timer")

    def __init__(
        self,
        control: SendControl,
        make_padding: Callable[[int], bytes | None],
        release: Callable[[bytes], None],
    ) -> None:
        self._control = control
        self._make_padding = make_padding
        self._release = release
        self._schedule = ProbeSchedule()
        self._timer: asyncio.TimerHandle | None = None
        self._rate = 0
        self._bursts = 0
        control.on_probe = self._schedule.note

    def consider(self, wanted: int) -> None:
        """Begin a probe if one is due; to be called when feedback has come.

        Args:
            wanted: what could be sent if the path bore it, in bit/s.
        """
        control = self._control
        estimate = control.estimate
        if self._timer is not None or control.is_probing or estimate is None or wanted <= estimate:
            return
        rate = self._schedule.rate(control.now(), estimate, control.measured, wanted)
        if rate is not None:
            control.begin_probe(rate)
            self._rate, self._bursts = rate, 0
            self._send_burst()

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_burst(self) -> None:
        self._timer = None
        left = self._rate / 8 * _INTERVAL
        while left > 0:
            packet = self._make_padding(min(_PADDING_MAX, max(_PADDING_MIN, int(left) - _HEADERS)))
            if packet is None:
                break
            self._release(packet)
            left -= len(packet)
        self._bursts += 1
        if self._bursts < BURSTS:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._send_burst)
        else:
            self._control.end_probe()
