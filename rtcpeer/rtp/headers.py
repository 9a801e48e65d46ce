"""Packets as one kind of subscriber gets them: what follows the fixed header, written once for all of that kind.

Subscribers that negotiated the same payload types, extension ids and mid share a `HeaderPlan`, so a packet's extensions
and payload are put together once for all of them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from rtcpeer.rtp.relay_packet import RelayPacket, write_elements

URI_ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
URI_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
URI_TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
# Between the source and us only: what they say is not true of what we send.
HOP_BY_HOP = frozenset(
    (
        URI_ABS_SEND_TIME,
        URI_MID,
        URI_TRANSPORT_CC,
        # its frame numbers would have to go on over changes of the source, too
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    )
)

Written = tuple[int, int, bytes, int]
"""The first two octets of the header, what comes after the fixed header, and where the payload begins in that."""


class HeaderPlan:
    """How packets are written for one kind of subscriber; equal ones are one kind.

    Args:
        payload_types: of the subscriber, by those of the source.
        mid: of the subscriber's section.
        ids: its header-extension ids by URI.

    Attributes:
        overhead: bytes between the fixed header and the payload, of the last packet that was written.
    """

    __slots__ = ("_fixed", "_fixed_written", "_key", "_passed", "_send_time", "_types", "overhead")

    def __init__(self, payload_types: Mapping[int, int], mid: str, ids: Mapping[str, int]) -> None:
        self._key = (tuple(sorted(payload_types.items())), mid, tuple(sorted(ids.items())))
        self._types = dict(payload_types)
        self._fixed: list[tuple[int, bytes]] = []
        wide = ids.get(URI_TRANSPORT_CC)
        if is_numbered := wide is not None and 0 < wide < 15:
            # the first one, so that the transport finds it when the packet leaves
            self._fixed.append((wide, bytes(2)))
        name = mid.encode()
        # longer ones would need the two-byte header in every packet (RFC 8285 section 4.3)
        if 0 < len(name) <= 16 and URI_MID in ids:
            self._fixed.append((ids[URI_MID], name))
        self._fixed_written = write_elements(self._fixed)
        self._passed = {uri: number for uri, number in ids.items() if uri not in HOP_BY_HOP}
        # who numbers packets for the transport knows itself when they left
        self._send_time = 0 if is_numbered else ids.get(URI_ABS_SEND_TIME, 0)
        self.overhead: int = len(self._fixed_written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderPlan) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def fixed_extensions(self) -> bytes:
        """The header extensions that every packet has."""
        return self._fixed_written

    @property
    def payload_types(self) -> Mapping[int, int]:
        """The payload types of the subscriber, by those of the source."""
        return self._types

    def write(self, packet: RelayPacket, now: float) -> Written | None:
        """The bytes that all subscribers of this kind get of a packet; None if they cannot get its payload type.

        Args:
            now: the time of day, for the time of sending (24 bits, of which 6 are whole seconds).
        """
        payload_type = self._types.get(packet.payload_type)
        if payload_type is None:
            return None
        extensions = self._extensions(packet, now)
        first = 0x80 | packet.csrc_count
        if extensions:
            first |= 0x10
        head = packet.csrc_bytes + extensions
        self.overhead = len(head)
        return first, packet.marker | payload_type, head + packet.payload, len(head)

    def _extensions(self, packet: RelayPacket, now: float) -> bytes:
        passed = self._passed
        elements = [(passed[uri], value) for uri, value in packet.elements if uri in passed]
        if not elements and not self._send_time:
            return self._fixed_written
        if self._send_time:
            stamp = int((now % 64) * 262144) & 0xFFFFFF
            elements.append((self._send_time, stamp.to_bytes(3, "big")))
        return write_elements(self._fixed + elements)
