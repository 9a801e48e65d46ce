"""A received RTP packet on its way through a relay: what is read of it, once for all subscribers.

Pure. Nothing is decoded: the payload stays as it came, but for the RED header around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, unpack_from

HEADER = Struct("!BBHLL")
HEADER_SIZE = 12

ONE_BYTE = 0xBEDE
# RFC 8285 section 4.3: 0x100 and four bits for the application
TWO_BYTE = 0x1000

URI_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

U16 = 0xFFFF
U32 = 0xFFFFFFFF


class RelayPacket:
    """A packet of a forwarded stream.

    Attributes:
        number: the sequence number on an endless line that leaves out what is not forwarded; given by the stream.
        sequence_number: as it came, 16 bits.
        marker: 0x80 or 0, as it stands in the second byte of the header.
        csrc_bytes: the contributing sources; `csrc_count` of them.
        elements: the header extensions as (URI, value), those without a known id left out.
        header_size: with contributing sources and header extensions, in bytes.
        padding_size: in bytes; they are not forwarded.
        at: when it arrived.
        begins: whether a key frame begins with it; for sound always.
        vp8: its payload descriptor, if it is VP8.
    """

    __slots__ = (
        "at",
        "begins",
        "csrc_bytes",
        "csrc_count",
        "elements",
        "header_size",
        "is_told_key",
        "marker",
        "number",
        "padding_size",
        "payload",
        "payload_type",
        "sequence_number",
        "ssrc",
        "timestamp",
        "vp8",
    )

    def __init__(
        self,
        payload_type: int,
        marker: int,
        sequence_number: int,
        timestamp: int,
        ssrc: int,
        payload: bytes,
    ) -> None:
        self.payload_type: int = payload_type
        self.marker: int = marker
        self.sequence_number: int = sequence_number
        self.timestamp: int = timestamp
        self.ssrc: int = ssrc
        self.payload: bytes = payload
        self.csrc_bytes: bytes = b""
        self.csrc_count: int = 0
        self.elements: list[tuple[str, bytes]] = []
        self.header_size: int = HEADER_SIZE
        self.padding_size: int = 0
        self.number: int = 0
        self.at: float = 0.0
        self.begins: bool = False
        # a header extension says that a key frame begins: the payload may be encrypted
        self.is_told_key: bool = False
        # (size of the descriptor, where its fields are and what they say), see `payloads.Vp8Descriptor`
        self.vp8: tuple[int, int, int, int, int, int, int] | None = None

    def copy(self) -> RelayPacket:
        """A copy of the packet for another stream, which may number it otherwise."""
        other = RelayPacket(
            self.payload_type, self.marker, self.sequence_number, self.timestamp, self.ssrc, self.payload
        )
        other.csrc_bytes, other.csrc_count = self.csrc_bytes, self.csrc_count
        other.elements, other.is_told_key = self.elements, self.is_told_key
        return other

    @property
    def csrc(self) -> tuple[int, ...]:
        """The contributing sources."""
        return unpack_from(f"!{self.csrc_count}L", self.csrc_bytes) if self.csrc_count else ()

    @property
    def audio_level(self) -> tuple[bool, int] | None:
        """Voice activity and -dBov (RFC 6464); None where it is not told."""
        value = self.element(URI_AUDIO_LEVEL)
        return (value[0] >= 0x80, value[0] & 0x7F) if value else None

    def element(self, uri: str) -> bytes | None:
        """The value of a header extension; None if the packet has none."""
        for name, value in self.elements:
            if name == uri:
                return value
        return None


def read_packet_untrusted(data: bytes, uris: Mapping[int, str]) -> RelayPacket:
    """Read a packet.

    Args:
        data: a whole RTP packet, without its SRTP trailer.
        uris: what each header-extension id means.

    Raises:
        ValueError: it is no RTP packet, or it is cut off.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise ValueError("shorter than an RTP header")
    first, second, number, timestamp, ssrc = HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise ValueError("not version 2 of RTP")
    position = HEADER_SIZE + 4 * (first & 0x0F)
    extensions = 0
    if first & 0x10:
        extensions = position
        position += 4
        if size >= position:
            position += 4 * (data[position - 2] << 8 | data[position - 1])
    if size < position:
        raise ValueError("the RTP header is cut off")
    end = size
    padding = 0
    if first & 0x20:
        padding = data[-1]
        end -= padding
        if not padding or end < position:
            raise ValueError("wrong padding")
    packet = RelayPacket(second & 0x7F, second & 0x80, number, timestamp, ssrc, data[position:end])
    packet.header_size, packet.padding_size = position, padding
    if first & 0x0F:
        packet.csrc_count = first & 0x0F
        packet.csrc_bytes = data[HEADER_SIZE : HEADER_SIZE + 4 * packet.csrc_count]
    if extensions:
        packet.elements = read_elements(data, extensions, position, uris)
    return packet


def read_elements(data: bytes, start: int, end: int, uris: Mapping[int, str]) -> list[tuple[str, bytes]]:
    """The header extensions in ``data[start:end]`` (RFC 8285): those that are cut off or unknown are left out."""
    elements: list[tuple[str, bytes]] = []
    profile = data[start] << 8 | data[start + 1]
    position = start + 4
    if profile == ONE_BYTE:
        while position < end:
            head = data[position]
            position += 1
            if not head:
                continue
            if not 0x10 <= head < 0xF0:
                # section 4.2: stop reading at an id of 15, and of 0 with a length
                break
            value_end = position + (head & 0x0F) + 1
            uri = uris.get(head >> 4)
            if uri is not None and value_end <= end:
                elements.append((uri, data[position:value_end]))
            position = value_end
    elif profile & 0xFFF0 == TWO_BYTE:
        while position + 1 < end:
            identifier, length = data[position], data[position + 1]
            if not identifier:
                position += 1
                continue
            position += 2
            uri = uris.get(identifier)
            if uri is not None and position + length <= end:
                elements.append((uri, data[position : position + length]))
            position += length
    return elements


def unwrap_rtx_untrusted(packet: RelayPacket, payload_type: int, ssrc: int) -> bool:
    """Turn a retransmission (RFC 4588 section 4) into the packet that it repeats.

    Returns:
        False if it repeats none: it only probes the path.
    """
    payload = packet.payload
    if len(payload) < 2:
        return False
    packet.payload_type = payload_type
    packet.ssrc = ssrc
    packet.sequence_number = payload[0] << 8 | payload[1]
    packet.payload = payload[2:]
    return True


def unwrap_red_untrusted(packet: RelayPacket) -> None:
    """Take the primary block out of RED (RFC 2198 section 3); what is repeated before it is dropped.

    Raises:
        ValueError: it is malformed.
    """
    payload = packet.payload
    at = skipped = 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload):
            raise ValueError("a RED header is cut off")
        skipped += (payload[at + 2] & 0x03) << 8 | payload[at + 3]
        at += 4
    if at + 1 + skipped > len(payload):
        raise ValueError("a RED payload is cut off")
    packet.payload_type = payload[at]
    packet.payload = payload[at + 1 + skipped :]


def write_elements(elements: list[tuple[int, bytes]]) -> bytes:
    """Header extensions with their profile and length (RFC 8285), b"" for none."""
    if not elements:
        return b""
    if all(0 < identifier < 15 and 0 < len(value) < 17 for identifier, value in elements):
        profile = ONE_BYTE
        body = b"".join(
            [bytes((identifier << 4 | len(value) - 1,)) + value for identifier, value in elements]
        )
    else:
        profile = TWO_BYTE
        body = b"".join([bytes((identifier, len(value))) + value for identifier, value in elements])
    body += bytes(-len(body) % 4)
    return profile.to_bytes(2, "big") + (len(body) // 4).to_bytes(2, "big") + body
