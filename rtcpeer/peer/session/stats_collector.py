"""Statistics collector: asks every part of a connection for its counters and makes the report (webrtc-pc 8)."""

from __future__ import annotations

import asyncio
from typing import Any

from rtcpeer.aio import wall_time
from rtcpeer.peer.rtp import RTCRtpReceiver, RTCRtpSender, ShownTransceiver
from rtcpeer.peer.session.executor import Executor
from rtcpeer.peer.stats import MediaRecord, ReportBuilder, RTCStatsReport, TransportRecord, find_selector


class StatsCollector:
    """Makes the reports of one connection.

    Args:
        executor: has the objects of the connection.
        salt: random, so that ids are stable within the connection and mean nothing outside it.
    """

    def __init__(self, executor: Executor, salt: str) -> None:
        self._executor = executor
        self._salt = salt

    def collect(self, selector: Any) -> RTCStatsReport:
        """The report of everything (None), of a track, or of a sender or receiver.

        Raises:
            InvalidAccessError, TypeError: the selector is none.
        """
        return self.report(self.selector(selector))

    def selector(self, selector: Any) -> Any:
        """The sender or receiver that is meant; None means the whole connection.

        Raises:
            InvalidAccessError: a track that no sender or receiver has, or more than one.
        """
        # getStats, 3
        if selector is None or isinstance(selector, (RTCRtpSender, RTCRtpReceiver)):
            return selector
        if not hasattr(selector, "kind"):
            raise TypeError(f"the selector of getStats() is a MediaStreamTrack or None, not {selector!r}")
        # 4
        cores = self._executor.transceivers.values()
        return find_selector(selector, [c.sender for c in cores], [c.receiver for c in cores])

    def report(self, selector: Any) -> RTCStatsReport:
        """The report, of everything or of one sender or receiver."""
        executor = self._executor
        now_ms = wall_time() * 1000
        builder = ReportBuilder(self._salt, now_ms, now_ms - asyncio.get_running_loop().time() * 1000)
        builder.add_connection(channels_opened=executor.data.opened, channels_closed=executor.data.closed)
        keys = {}
        for link in executor.transports.values():
            keys[link.dtls] = str(link.id)
            builder.add_transport(
                TransportRecord(
                    str(link.id),
                    link.agent.stats(),
                    link.dtls_transport.stats(),
                    link.dtls_transport.certificate.der,
                    link.dtls.remote_certificates,
                    link.dtls_transport.estimate,
                )
            )
        for key, channel in executor.data.records():
            builder.add_channel(key, channel)
        for core in executor.transceivers.values():
            transport = None if core.transport is None else keys.get(core.transport)
            self._add_media(builder, core, transport)
        return builder.report() if selector is None else builder.report_for(selector)

    @staticmethod
    def _add_media(builder: ReportBuilder, core: ShownTransceiver, transport: str | None) -> None:
        record = core.record
        builder.add_media(
            MediaRecord(
                core.sender,
                f"{core.id}s",
                transport,
                core.sender_media.stats(),
                record.send_codecs,
                source=core.sender_media.source_stats(),
            )
        )
        if record.stopping:
            return  # what it received is over with it
        builder.add_media(
            MediaRecord(
                core.receiver,
                f"{core.id}r",
                transport,
                core.receiver_media.stats(),
                record.receive_codecs,
                track_id=core.receiver_track.id,
            )
        )
