"""Transceivers, senders and receivers with aiortc's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import aiortc
from aiortc import (
    MediaStreamTrack,
    RTCRtpCapabilities,
    RTCRtpCodecParameters,
    RTCRtpSynchronizationSource,
)
from aiortc.stats import RTCStatsReport

from rtcpeer.aio import Gone
from rtcpeer.aiortc import codec_limits, reports, values
from rtcpeer.aiortc.ortc import by_hand
from rtcpeer.aiortc.private_names import PrivateNames
from rtcpeer.aiortc.transports import RTCDtlsTransport
from rtcpeer.errors import InvalidModificationError
from rtcpeer.peer import rtp as w3c
from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.records import record, replace
from rtcpeer.values import Direction, MediaKind, SdpType


class RTCRtpSender(PrivateNames, w3c.RTCRtpSender):
    """A sender. `setParameters`, `setStreams` and `dtmf` are rtcpeer's."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, TransceiverCore, aiortc.RTCRtpSender, args, kwargs)

    def __init__(
        self, core: TransceiverCore[Any, Any, Any], foreseen: RTCDtlsTransport | None = None
    ) -> None:
        super().__init__(core)
        self._foreseen_ = foreseen

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it sends over."""
        face = super().transport
        return face if isinstance(face, RTCDtlsTransport) else self._foreseen_

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities:  # type: ignore[override]
        """The codecs and extensions of a kind that can be sent."""
        return values.capabilities(kind, sending=True)

    def replaceTrack(self, track: Any) -> Gone:  # type: ignore[override]
        """Send another track, or None, from now on. The result may be awaited and need not be.

        Raises:
            TypeError: the track is of another kind.
        """
        core = self._core_
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
        current = self._core_.record.current_direction
        return self._core_.track is not None and current is not None and current.sends

    async def getStats(self) -> RTCStatsReport:  # type: ignore[override]
        """Statistics of this sender and its transport."""
        return reports.report(await self._core_.session.get_stats(self))

    # --- aiortc's private names that programs use ---

    @property
    def _ssrc(self) -> int:
        return self._core_.record.encodings[0].ssrc

    @property
    def _rtx_ssrc(self) -> int:
        return self._core_.record.encodings[0].rtx_ssrc or 0

    @property
    def _stream_id(self) -> str:
        return next(iter(self._core_.record.stream_ids), "")

    @_stream_id.setter
    def _stream_id(self, value: str) -> None:
        session = self._core_.session
        session.carry_out(session.engine.operations.plan_set_streams(self._core_.id, [value]))

    @property
    def _track_id(self) -> str:
        return self._core_.record.track_id or ""

    @property
    def _enabled(self) -> bool:
        return all(e.active for e in self._core_.record.encodings)

    @_enabled.setter
    def _enabled(self, value: bool) -> None:
        encodings = [replace(e, active=value) for e in self._core_.record.encodings]
        session = self._core_.session
        session.carry_out(session.engine.operations.plan_set_encodings(self._core_.id, encodings))

    @property
    def __encoder(self) -> codec_limits.EncoderView | None:
        if not self.has_started:
            return None
        is_video = self._core_.kind is MediaKind.VIDEO
        return (codec_limits.PictureEncoderView if is_video else codec_limits.EncoderView)(self._core_)

    def _send_keyframe(self) -> None:
        self._core_.sender_media.request_keyframe()


@record(frozen=True, slots=True)
class RemoteStream:
    """Counters of a received stream, as programs look for them in `receiver._RTCRtpReceiver__remote_streams`."""

    packets_received: int
    packets_lost: int
    # in seconds
    jitter: float


class RTCRtpReceiver(PrivateNames, w3c.RTCRtpReceiver):
    """A receiver. `jitterBufferTarget` and `requestKeyFrame` are rtcpeer's."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, TransceiverCore, aiortc.RTCRtpReceiver, args, kwargs)

    def __init__(
        self, core: TransceiverCore[Any, Any, Any], foreseen: RTCDtlsTransport | None = None
    ) -> None:
        super().__init__(core)
        self._foreseen_ = foreseen

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it receives over."""
        face = super().transport
        return face if isinstance(face, RTCDtlsTransport) else self._foreseen_

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
        return reports.report(await self._core_.session.get_stats(self))

    # --- aiortc's private names that programs use ---

    # set to save work: what nobody reads is not decoded
    _enabled = True

    @property
    def _track(self) -> Any:
        return self.track

    @property
    def __active_ssrc(self) -> dict[int, datetime]:
        return {s.source: s.timestamp for s in self.getSynchronizationSources()}

    @property
    def __remote_streams(self) -> dict[int, RemoteStream]:
        streams: list[dict[str, Any]] = self._core_.receiver_media.stats()
        return {
            s["ssrc"]: RemoteStream(s["packetsReceived"], s["packetsLost"], s["jitter"])
            for s in streams
            if s["type"] == "inbound-rtp"
        }

    async def _send_rtcp_pli(self, _media_ssrc: int) -> None:
        self.requestKeyFrame()


class RTCRtpTransceiver(PrivateNames, w3c.RTCRtpTransceiver):
    """A sender and a receiver that share a media section."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, TransceiverCore, aiortc.RTCRtpTransceiver, args, kwargs)

    # the direction when it was stopped, which aiortc goes on showing
    _last_direction_ = Direction.INACTIVE

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, or the other end stopped it."""
        return self._core_.record.stopping or self._core_.record.stopped

    @property
    def direction(self) -> Direction:
        """The direction we wish: "sendrecv", "sendonly", "recvonly", "inactive"."""
        record = self._core_.record
        return self._last_direction_ if record.stopping else record.shown_direction

    @direction.setter
    def direction(self, value: str) -> None:
        w3c.RTCRtpTransceiver.direction.__set__(self, value)  # type: ignore[attr-defined]

    @property
    def currentDirection(self) -> Direction | None:
        """The direction that was negotiated last; None before."""
        return self._core_.record.current_direction

    @property
    def _offerDirection(self) -> str | None:
        # what the other end's offer leaves us; None without one, which aiortc cannot answer
        record, offer = self._core_.record, self._core_.session.engine.state.pending_remote
        if offer is None or offer.type is not SdpType.OFFER or record.mid is None:
            return None
        section = next((m for m in offer.session.media if m.mid == record.mid), None)
        return None if section is None else section.direction.reversed.value

    @_offerDirection.setter
    def _offerDirection(self, value: str | None) -> None:
        # set against that fault of aiortc's; here an answer has every direction
        pass

    @property
    def _codecs(self) -> list[RTCRtpCodecParameters]:
        record = self._core_.record
        return [values.codec_parameters(c) for c in record.send_codecs or record.receive_codecs]

    def _get_mline_index(self) -> int | None:
        # aiortc's name, for candidates without a mid; W3C's candidates have both
        return self._core_.record.mline_index

    def stop(self) -> Gone:  # type: ignore[override]
        """Stop sending and receiving for good, now, and the track that was sent. The result may be awaited."""
        if not self.stopped and not self._core_.session.closed:
            self._last_direction_ = self.direction
            sender = self._core_.sender
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
