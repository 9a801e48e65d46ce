"""RTP packets as bytes (RFC 3550, RFC 8285): read into one light record, written from parts.

Pure functions and records. aiortc's own classes cost three times as much per packet.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from rtcpeer.records import record
from rtcpeer.values import HeaderExtension

URI_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
URI_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
URI_REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
URI_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
URI_ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
URI_ORIENTATION = "urn:3gpp:video-orientation"
URI_DEPENDENCY = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
URI_TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

ONE_BYTE = 0xBEDE
# RFC 8285 section 4.3: 0x100 and four bits for the application
TWO_BYTE = 0x1000

_HEADER = Struct("!BBHLL")
_EXTENSION = Struct("!HH")
HEADER_SIZE = 12


@record(slots=True)
class RtpPacket:
    """A received RTP packet. `_data` is where aiortc's jitter buffer looks for the depayloaded part."""

    payload_type: int
    marker: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    csrc: tuple[int, ...] = ()
    padding_size: int = 0
    mid: str | None = None
    rid: str | None = None
    repaired_rid: str | None = None
    # (voice activity, -dBov) as in RFC 6464
    audio_level: tuple[bool, int] | None = None
    abs_send_time: int | None = None
    # quarter turns clockwise that make the picture upright
    turns: int | None = None
    # the AV1 dependency descriptor, which packets of any codec may have
    dependency: bytes = b""
    # with contributing sources and header extensions, in bytes
    header_size: int = HEADER_SIZE
    # as it came; empty for what was made here
    raw: bytes = b""
    _data: bytes = b""

    def set_data(self, data: bytes) -> None:
        """Keep the depayloaded part."""
        self._data = data


class ExtensionIds:
    """The meanings of header-extension ids in one transport (ids are shared by bundled sections)."""

    __slots__ = ("by_id",)

    def __init__(self) -> None:
        self.by_id: dict[int, str] = {}

    def add(self, extensions: tuple[HeaderExtension, ...]) -> None:
        """Learn the ids of one section."""
        for extension in extensions:
            if extension.id is not None:
                self.by_id[extension.id] = extension.uri


def parse_rtp_untrusted(data: bytes, ids: ExtensionIds) -> RtpPacket:
    """Read one RTP packet.

    Raises:
        ValueError: it is none, or it is cut off.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise ValueError("shorter than an RTP header")
    first, second, sequence_number, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise ValueError("not version 2 of RTP")
    position = HEADER_SIZE
    csrc: tuple[int, ...] = ()
    count = first & 0x0F
    if count:
        position += 4 * count
        if size < position:
            raise ValueError("contributing sources are cut off")
        csrc = unpack_from(f"!{count}L", data, HEADER_SIZE)
    extensions_at = position
    if first & 0x10:
        if size < position + 4:
            raise ValueError("header extension is cut off")
        position += 4 + 4 * (data[position + 2] << 8 | data[position + 3])
        if size < position:
            raise ValueError("header extension is cut off")
    padding = 0
    end = size
    if first & 0x20:
        padding = data[-1]
        end -= padding
        if not padding or end < position:
            raise ValueError("wrong padding")
    packet = RtpPacket(
        second & 0x7F, second >> 7, sequence_number, timestamp, ssrc, data[position:end], csrc, padding
    )
    packet.header_size = position
    packet.raw = data
    if first & 0x10:
        _read_extensions(packet, data, extensions_at, position, ids.by_id)
    return packet


def _read_extensions(packet: RtpPacket, data: bytes, start: int, end: int, by_id: dict[int, str]) -> None:
    profile = data[start] << 8 | data[start + 1]
    position = start + 4
    if profile == ONE_BYTE:
        while position < end:
            head = data[position]
            position += 1
            if head == 0:
                continue
            length = (head & 0x0F) + 1
            if not 0x10 <= head < 0xF0:
                # RFC 8285 section 4.2: stop reading at an id of 15, and of 0 with a length
                return
            uri = by_id.get(head >> 4)
            if uri is not None:
                _set_extension(packet, uri, data[position : min(position + length, end)])
            position += length
    elif profile & 0xFFF0 == TWO_BYTE:
        while position + 1 < end:
            identifier, length = data[position], data[position + 1]
            if identifier == 0:
                position += 1
                continue
            position += 2
            _set_extension(packet, by_id.get(identifier), data[position : min(position + length, end)])
            position += length


def _set_extension(packet: RtpPacket, uri: str | None, value: bytes) -> None:
    # a value that is no text or has the wrong size says nothing; the packet is still good
    if uri is None or not value:
        return
    if uri == URI_ABS_SEND_TIME:
        if len(value) == 3:
            packet.abs_send_time = int.from_bytes(value, "big")
    elif uri == URI_AUDIO_LEVEL:
        packet.audio_level = (value[0] >= 0x80, value[0] & 0x7F)
    elif uri == URI_DEPENDENCY:
        packet.dependency = value
    elif uri == URI_ORIENTATION:
        packet.turns = value[0] & 3
    elif uri == URI_MID:
        packet.mid = value.decode("ascii", "replace")
    elif uri == URI_RID:
        packet.rid = value.decode("ascii", "replace")
    elif uri == URI_REPAIRED_RID:
        packet.repaired_rid = value.decode("ascii", "replace")


def write_extensions(elements: list[tuple[int, bytes]]) -> bytes:
    """Header extensions with their profile and length (RFC 8285), b"" for none."""
    if not elements:
        return b""
    if all(0 < identifier < 15 and 0 < len(value) < 17 for identifier, value in elements):
        profile = ONE_BYTE
        body = b"".join(bytes((identifier << 4 | len(value) - 1,)) + value for identifier, value in elements)
    else:
        profile = TWO_BYTE
        body = b"".join(bytes((identifier, len(value))) + value for identifier, value in elements)
    body += bytes(-len(body) % 4)
    return _EXTENSION.pack(profile, len(body) // 4) + body


def write_rtp(
    payload_type: int,
    marker: bool,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    extensions: bytes,
    payload: bytes,
) -> bytes:
    """An RTP packet without contributing sources; `extensions` as `write_extensions` gives them."""
    first = 0x90 if extensions else 0x80
    second = payload_type | 0x80 if marker else payload_type
    header: bytes = _HEADER.pack(first, second, sequence_number, timestamp, ssrc)
    return header + extensions + payload


def write_padding(
    payload_type: int, sequence_number: int, timestamp: int, ssrc: int, extensions: bytes, size: int
) -> bytes:
    """An RTP packet of padding only (RFC 3550 section 5.1).

    Args:
        size: of the padding in bytes, 1 to 255.
    """
    first = 0xB0 if extensions else 0xA0
    header: bytes = _HEADER.pack(first, payload_type, sequence_number, timestamp, ssrc)
    return header + extensions + bytes(size - 1) + bytes((size,))


def header_size(packet: bytes) -> int:
    """How many bytes of a packet that `write_rtp` made are its header, extensions included."""
    if packet[0] & 0x10:
        return HEADER_SIZE + 4 + 4 * (packet[HEADER_SIZE + 2] << 8 | packet[HEADER_SIZE + 3])
    return HEADER_SIZE


def rewrap_rtx(packet: bytes, payload_type: int, sequence_number: int, ssrc: int) -> bytes:
    """The retransmission of a packet that `write_rtp` made (RFC 4588 section 4)."""
    first, second, original, timestamp, _ssrc = _HEADER.unpack_from(packet)
    body = header_size(packet)
    header: bytes = _HEADER.pack(first, second & 0x80 | payload_type, sequence_number, timestamp, ssrc)
    number: bytes = original.to_bytes(2, "big")
    return header + packet[HEADER_SIZE:body] + number + packet[body:]


def unwrap_rtx(packet: RtpPacket, payload_type: int, ssrc: int) -> RtpPacket | None:
    """The packet that a retransmission carries; None if it carries none (padding probes do not)."""
    payload = packet.payload
    if len(payload) < 2:
        return None
    return RtpPacket(
        payload_type,
        packet.marker,
        payload[0] << 8 | payload[1],
        packet.timestamp,
        ssrc,
        payload[2:],
        packet.csrc,
        mid=packet.mid,
        rid=packet.repaired_rid,
        audio_level=packet.audio_level,
        turns=packet.turns,
        dependency=packet.dependency,
        header_size=packet.header_size,
    )
