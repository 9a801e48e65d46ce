"""RED depacketizer: sound with the packets before it (RFC 2198), pictures with their corrections (RFC 5109).

Pure but for what each stream keeps to make lost packets again. Never: counts, buffers, sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.rtp import fec, red
from rtcpeer.rtp.packet import URI_ABS_SEND_TIME, ExtensionIds, RtpPacket, parse_rtp_untrusted
from rtcpeer.values import HeaderExtension


class RedDepacketizer:
    """Takes packets of one section out of RED.

    Args:
        formats: of the section, by payload type.
        extensions: of the section.
    """

    def __init__(
        self, formats: Mapping[int, PayloadFormat] | None = None, extensions: tuple[HeaderExtension, ...] = ()
    ) -> None:
        self._formats = formats or {}
        self._ids = ExtensionIds()
        self._ids.add(extensions)
        self._send_time_id = next((e.id for e in extensions if e.uri == URI_ABS_SEND_TIME), None)
        # by SSRC; as many as the receiver has streams
        self._recoveries: dict[int, fec.Recovery] = {}

    def unwrap(
        self, packet: RtpPacket, lacks: Callable[[int], bool]
    ) -> tuple[PayloadFormat | None, list[RtpPacket]]:
        """The packets that one packet in RED stands for.

        Args:
            packet: as it came.
            lacks: whether the stream misses a sequence number.

        Returns:
            The format of what it carries itself, None for a correction; and the packets in order, of which the
            last one is in its own place.

        Raises:
            ValueError: it is malformed, or carries what was not negotiated.
        """
        *earlier, primary = red.read(packet.payload)
        form = self._formats.get(primary.payload_type)
        if form is not None and form.name == "ULPFEC":
            return None, self._correct(packet, primary.data, lacks)
        if form is None or not form.is_media:
            raise ValueError(f"payload type {primary.payload_type} inside RED was not negotiated")
        made: list[RtpPacket] = []
        for distance, block in zip(range(len(earlier), 0, -1), earlier, strict=True):
            number = packet.sequence_number - distance & 0xFFFF
            if block.payload_type == form.payload_type and block.data and lacks(number):
                timestamp = packet.timestamp - block.age & 0xFFFFFFFF
                made.append(RtpPacket(form.payload_type, 0, number, timestamp, packet.ssrc, block.data))
        if form.codec.kind == "video" and not earlier and packet.raw:
            recovered = self._recovery(packet.ssrc).add_media(packet.raw, form.payload_type)
            made += self._parse(recovered, lacks)
        packet.payload_type, packet.payload = form.payload_type, primary.data
        return form, [*made, packet]

    def discarded(self, ssrc: int) -> int:
        """How many corrections of a stream were of no use."""
        recovery = self._recoveries.get(ssrc)
        return 0 if recovery is None else recovery.discarded

    def _correct(self, packet: RtpPacket, payload: bytes, lacks: Callable[[int], bool]) -> list[RtpPacket]:
        made = self._parse(self._recovery(packet.ssrc).add_correction(payload), lacks)
        # it has a sequence number and nothing to decode, as padding has
        packet.payload, packet.marker = b"", 0
        return [*made, packet]

    def _recovery(self, ssrc: int) -> fec.Recovery:
        recovery = self._recoveries.get(ssrc)
        if recovery is None:
            recovery = self._recoveries[ssrc] = fec.Recovery(ssrc, self._send_time_id)
            if len(self._recoveries) > fec.STREAMS_MAX:
                del self._recoveries[next(iter(self._recoveries))]
        return recovery

    def _parse(self, packets: list[bytes], lacks: Callable[[int], bool]) -> list[RtpPacket]:
        parsed = [parse_rtp_untrusted(data, self._ids) for data in packets]
        return [packet for packet in parsed if lacks(packet.sequence_number)]
