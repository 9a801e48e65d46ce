"""RTCDTMFSender (webrtc-pc 7): when each tone is played, and who is told.

Owns: the buffer of tones and one timer. Never: the tones themselves (the sender's transport plays them), or
whether they may be sent (the connection knows).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from rtcpeer import webidl
from rtcpeer.media.event_target import close_events, fire, handler
from rtcpeer.peer.errors import InvalidCharacterError, InvalidStateError
from rtcpeer.peer.events import RTCDTMFToneChangeEvent
from rtcpeer.peer.listening import DtmfSenderEvents

__all__ = ["RTCDTMFSender", "ToneSender"]

# webrtc-pc 7.2, in ms
DURATION_BOUNDS = (40, 6000)
GAP_BOUNDS = (30, 6000)
COMMA_PAUSE = 2000
_TONES = frozenset("0123456789ABCD#*,")


class ToneSender(Protocol):
    """The sender, as its DTMF sender knows it.

    Attributes:
        on_stop: called when the sender stops, once.
    """

    on_stop: Callable[[], None] | None

    @property
    def can_insert_dtmf(self) -> bool:
        """Webrtc-pc 7.2 "determine if DTMF can be sent"."""

    def insert_tone(self, tone: str, duration_ms: int) -> None:
        """Play one tone (never ",") from now on, for so long."""


class RTCDTMFSender(DtmfSenderEvents):
    """Sends telephone tones on an audio sender: ``RTCRtpSender.dtmf``. Event: tonechange."""

    ontonechange: handler[RTCDTMFToneChangeEvent] = handler("tonechange")

    def __init__(self, player: ToneSender | None = None) -> None:
        if not hasattr(player, "can_insert_dtmf") or not hasattr(player, "insert_tone"):
            raise TypeError("Illegal constructor: use RTCRtpSender.dtmf")
        assert player is not None
        self._player = player
        player.on_stop = self._stop
        self._buffer = ""
        self._duration = 100
        self._gap = 70
        # the next run of `_play`; its presence is the "scheduled" of the specification
        self._scheduled: asyncio.Handle | None = None

    @property
    def canInsertDTMF(self) -> bool:
        """Whether tones can be sent now."""
        return bool(self._player.can_insert_dtmf)

    @property
    def toneBuffer(self) -> str:
        """The tones that are still to be played."""
        return self._buffer

    def insertDTMF(self, tones: str, duration: int = 100, interToneGap: int = 70) -> None:
        """Replace the tones to be played; the one that is playing goes on.

        Implements: webrtc-pc 7.2 "insertDTMF".

        Args:
            tones: of 0-9, A-D (a-d), #, * and "," (a pause of 2 s). "" cancels.
            duration: of a tone in ms, put into 40..6000.
            interToneGap: between tones in ms, put into 30..6000.

        Raises:
            InvalidStateError: tones cannot be sent now.
            InvalidCharacterError: `tones` has another character.
            TypeError: an argument has the wrong type.
        """
        wanted = webidl.string("tones", tones).upper()
        duration = webidl.unsigned("duration", duration)
        gap = webidl.unsigned("interToneGap", interToneGap)
        # 4
        if not self.canInsertDTMF:
            raise InvalidStateError("tones can only be sent on a connected audio sender that sends")
        # 8
        if unknown := set(wanted) - _TONES:
            raise InvalidCharacterError(f"{min(unknown)!r} is no tone; there are 0-9, A-D, #, * and ','")
        # 9 to 15
        self._buffer = wanted
        self._duration = _clamp(duration, DURATION_BOUNDS)
        self._gap = _clamp(gap, GAP_BOUNDS)
        # 16 and 17
        if wanted and self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._play)

    def _play(self) -> None:
        """The "DTMF playout task steps"."""
        self._scheduled = None
        # 1
        if not self.canInsertDTMF:
            return
        # 2 and 3
        tone, self._buffer = self._buffer[:1], self._buffer[1:]
        if tone:
            # 4 and 5
            if tone == ",":
                wait = COMMA_PAUSE
            else:
                self._player.insert_tone(tone, self._duration)
                wait = self._duration + self._gap
            self._scheduled = asyncio.get_running_loop().call_later(wait / 1000, self._play)
        fire(self, RTCDTMFToneChangeEvent("tonechange", {"tone": tone}))

    def _stop(self) -> None:
        # the sender was stopped: no further tone and no further event
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        close_events(self)

    def __repr__(self) -> str:
        return f"<RTCDTMFSender {self._buffer!r}>"


def _clamp(value: int, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return max(low, min(value, high))
