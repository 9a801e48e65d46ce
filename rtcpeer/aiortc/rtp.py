"""Transceivers, senders and receivers with aiortc's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from aiortc import MediaStreamTrack, RTCRtpCapabilities, RTCRtpSynchronizationSource
from aiortc.stats import RTCStatsReport

from rtcpeer.aio import Gone
from rtcpeer.aiortc import reports, values
from rtcpeer.aiortc.transports import RTCDtlsTransport
from rtcpeer.errors import InvalidModificationError
from rtcpeer.peer import rtp as w3c
from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.values import Direction


class RTCRtpSender(w3c.RTCRtpSender):
    """A sender. `setParameters`, `setStreams` and `dtmf` are rtcpeer's."""

    def __init__(
        self, core: TransceiverCore[Any, Any, Any], foreseen: RTCDtlsTransport | None = None
    ) -> None:
        super().__init__(core)
        self._foreseen = foreseen

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it sends over."""
        face = super().transport
        return face if isinstance(face, RTCDtlsTransport) else self._foreseen

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities:  # type: ignore[override]
        """The codecs and extensions of a kind that can be sent."""
        return values.capabilities(kind, sending=True)

    def replaceTrack(self, track: Any) -> Gone:  # type: ignore[override]
        """Send another track, or None, from now on. The result may be awaited and need not be.

        Raises:
            TypeError: the track is of another kind.
        """
        core = self._core
        if track is not None and getattr(track, "kind", None) != core.kind:
            raise TypeError(f"a sender of {core.kind} cannot send {getattr(track, 'kind', track)!r}")
        core.use_track(track)
        if not core.session.closed and not core.record.stopping:
            engine = core.session.engine
            core.session.carry_out(
                engine.operations.plan_set_track(core.id, None if track is None else track.id)
            )
        return Gone()

    @property
    def has_started(self) -> bool:
        """Whether a track is being sent, or would be if it gave frames."""
        current = self._core.record.current_direction
        return self._core.track is not None and current is not None and current.sends

    async def getStats(self) -> RTCStatsReport:  # type: ignore[override]
        """Statistics of this sender and its transport."""
        return reports.report(await self._core.session.get_stats(self))


class RTCRtpReceiver(w3c.RTCRtpReceiver):
    """A receiver. `jitterBufferTarget` and `requestKeyFrame` are rtcpeer's."""

    def __init__(
        self, core: TransceiverCore[Any, Any, Any], foreseen: RTCDtlsTransport | None = None
    ) -> None:
        super().__init__(core)
        self._foreseen = foreseen

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it receives over."""
        face = super().transport
        return face if isinstance(face, RTCDtlsTransport) else self._foreseen

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities:  # type: ignore[override]
        """The codecs and extensions of a kind that can be received."""
        return values.capabilities(kind, sending=False)

    def getSynchronizationSources(self) -> list[RTCRtpSynchronizationSource]:  # type: ignore[override]
        """SSRCs heard in the last 10 s."""
        return [
            RTCRtpSynchronizationSource(
                timestamp=datetime.fromtimestamp(s.timestamp / 1000, UTC), source=s.source
            )
            for s in super().getSynchronizationSources()
        ]

    async def getStats(self) -> RTCStatsReport:  # type: ignore[override]
        """Statistics of this receiver and its transport."""
        return reports.report(await self._core.session.get_stats(self))


class RTCRtpTransceiver(w3c.RTCRtpTransceiver):
    """A sender and a receiver that share a media section."""

    # the direction when it was stopped, which aiortc goes on showing
    _last_direction = Direction.INACTIVE

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, or the other end stopped it."""
        return self._core.record.stopping or self._core.record.stopped

    @property
    def direction(self) -> Direction:
        """The direction we wish: "sendrecv", "sendonly", "recvonly", "inactive"."""
        record = self._core.record
        return self._last_direction if record.stopping else record.shown_direction

    @direction.setter
    def direction(self, value: str) -> None:
        w3c.RTCRtpTransceiver.direction.__set__(self, value)  # type: ignore[attr-defined]

    @property
    def currentDirection(self) -> Direction | None:
        """The direction that was negotiated last; None before."""
        return self._core.record.current_direction

    def _get_mline_index(self) -> int | None:
        # aiortc's name, for candidates without a mid; W3C's candidates have both
        return self._core.record.mline_index

    def stop(self) -> Gone:  # type: ignore[override]
        """Stop sending and receiving for good, now, and the track that was sent. The result may be awaited."""
        if not self.stopped and not self._core.session.closed:
            self._last_direction = self.direction
            sender = self._core.sender
            track = sender.track if isinstance(sender, RTCRtpSender) and sender.has_started else None
            super().stop()
            if track is not None:
                cast("MediaStreamTrack", track).stop()
        return Gone()

    def setCodecPreferences(self, codecs: Sequence[Any]) -> None:
        """Choose the codecs, best first; an empty list restores the default.

        Raises:
            ValueError: a codec is not in the capabilities.
        """
        chosen = [values.codec(self.kind, c) for c in codecs]
        try:
            super().setCodecPreferences(chosen)
        except InvalidModificationError as error:
            raise ValueError("Codec is not in capabilities") from error
