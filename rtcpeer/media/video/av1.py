"""AV1: payload format (AV1 RTP specification of the Alliance for Open Media, 1.0), encoder and decoder.

A picture is a temporal unit of OBUs. In packets they stand without their sizes, behind lengths of elements; an
element may go on in the next packet. The temporal delimiter is not sent, and is put back for the decoder.
"""

from __future__ import annotations

import os
from typing import ClassVar

from rtcpeer.media.video.bits import BitReader
from rtcpeer.media.video.pictures import PAYLOAD_MAX, PictureDecoder, PictureEncoder, threads_for

# The aggregation header (section 4.4)
_CONTINUES, _GOES_ON, _NEW_SEQUENCE = 0x80, 0x40, 0x08
# The OBU header (AV1 section 5.3.2)
_HAS_EXTENSION, _HAS_SIZE = 0x04, 0x02
_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _TILE_LIST, _PADDING = 1, 2, 8, 15
_NOT_SENT = (_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING)
_DELIMITER = b"\x12\x00"
_LEB128_MAX = 5
# An element is not begun in a packet that has room for less of it.
_PIECE_MIN = 8
# A temporal unit of more pieces is an attack.
_ELEMENTS_MAX = 4096


def _kind(header: int) -> int:
    return header >> 3 & 15


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number at a place, and the place behind it (AV1 section 4.10.5).

    Raises:
        ValueError: it is cut off or too long.
    """
    value = 0
    for count in range(_LEB128_MAX):
        if at >= len(data):
            break
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << 7 * count
        if octet < 0x80:
            return value, at
    raise ValueError("an AV1 length is malformed")


def write_leb128(value: int) -> bytes:
    """A number in as few bytes as it needs."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def split_units(data: bytes) -> list[bytes]:
    """The OBUs of a temporal unit (low-overhead format), without sizes and without those that are not sent.

    Raises:
        ValueError: they are malformed.
    """
    result = []
    at = 0
    while at < len(data):
        header = data[at]
        body = at + (2 if header & _HAS_EXTENSION else 1)
        head = bytes((header & ~_HAS_SIZE,)) + data[at + 1 : body]
        if header & _HAS_SIZE:
            size, body = read_leb128(data, body)
            at = body + size
        else:
            at = len(data)
        if at > len(data) or body > len(data):
            raise ValueError("an AV1 OBU is cut off")
        if _kind(header) not in _NOT_SENT:
            result.append(head + data[body:at])
    return result


def packetize(data: bytes) -> list[bytes]:
    """The payloads of one temporal unit.

    Raises:
        ValueError: it is malformed.
    """
    units = split_units(data)
    if not units:
        return []
    # section 4.4: N marks the first packet of a coded video sequence, which begins with its header
    header = _NEW_SEQUENCE if _kind(units[0][0]) == _SEQUENCE_HEADER else 0
    payloads: list[bytes] = []
    body = b""
    for unit in units:
        at = 0
        while at < len(unit):
            # a length takes two bytes at most, as payloads are shorter than 16384
            room = PAYLOAD_MAX - 1 - len(body) - 2
            if room < _PIECE_MIN:
                payloads.append(bytes((header,)) + body)
                header, body = 0, b""
                continue
            piece = unit[at : at + room]
            at += len(piece)
            body += write_leb128(len(piece)) + piece
            if at < len(unit):
                payloads.append(bytes((header | _GOES_ON,)) + body)
                header, body = _CONTINUES, b""
    payloads.append(bytes((header,)) + body)
    return payloads


def _elements(payload: bytes) -> list[bytes]:
    """The OBU elements of one packet (section 4.3).

    Raises:
        ValueError: they are malformed.
    """
    count = payload[0] >> 4 & 3
    result: list[bytes] = []
    at = 1
    while at < len(payload):
        # with a count, the last one has no length
        if count and len(result) == count - 1:
            size = len(payload) - at
        else:
            size, at = read_leb128(payload, at)
        if at + size > len(payload) or (count and len(result) == count):
            raise ValueError("an AV1 element is cut off")
        result.append(payload[at : at + size])
        at += size
    if not result or (count and len(result) != count):
        raise ValueError("an AV1 packet has not the elements that it announces")
    return result


def depacketize(payloads: list[bytes]) -> bytes:
    """The temporal unit in the payloads of one timestamp, as the decoder takes it.

    Raises:
        ValueError: they are malformed, or a piece is missing.
    """
    units: list[list[bytes]] = []
    goes_on = False
    for payload in payloads:
        if not payload or bool(payload[0] & _CONTINUES) is not goes_on:
            raise ValueError("a piece of an AV1 picture is missing")
        pieces = _elements(payload)
        if goes_on:
            units[-1].append(pieces.pop(0))
        units += [[piece] for piece in pieces]
        goes_on = bool(payload[0] & _GOES_ON)
        if len(units) > _ELEMENTS_MAX:
            raise ValueError("an AV1 picture has too many pieces")
    if goes_on or not units:
        raise ValueError("the end of an AV1 picture is missing")
    return _DELIMITER + b"".join([_sized(b"".join(pieces)) for pieces in units])


def _sized(unit: bytes) -> bytes:
    """An OBU with its size, as a stream needs it; nothing for what no decoder wants."""
    if not unit:
        return b""
    header = unit[0]
    if _kind(header) in _NOT_SENT:
        return b""
    if header & _HAS_SIZE:
        # allowed, if not wanted (section 4.5)
        return unit
    body = 2 if header & _HAS_EXTENSION else 1
    return bytes((header | _HAS_SIZE,)) + unit[1:body] + write_leb128(max(0, len(unit) - body)) + unit[body:]


def is_keyframe(data: bytes) -> bool:
    """Whether a temporal unit can be decoded by itself: it brings the sequence header that a decoder needs."""
    at = len(_DELIMITER) if data.startswith(_DELIMITER) else 0
    return at < len(data) and _kind(data[at]) == _SEQUENCE_HEADER


def picture_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height that the sequence headers of a temporal unit allow; None without one.

    Raises:
        ValueError: they are malformed.
    """
    headers = [unit for unit in split_units(data) if _kind(unit[0]) == _SEQUENCE_HEADER]
    sizes = [_sequence_size(BitReader(u[2 if u[0] & _HAS_EXTENSION else 1 :][:256])) for u in headers]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sequence_size(bits: BitReader) -> tuple[int, int]:
    """AV1 section 5.5.1."""
    bits.read(4)
    if bits.read(1):
        bits.read(5)
    else:
        delay = 0
        if bits.read(1):
            bits.read(64)
            if bits.read(1):
                bits.unsigned()
            if bits.read(1):
                delay = bits.read(5) + 1
                bits.read(42)
        has_display_delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay and bits.read(1):
                bits.read(2 * delay + 1)
            if has_display_delay and bits.read(1):
                bits.read(4)
    wide, high = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(wide) + 1, bits.read(high) + 1


class Av1Encoder(PictureEncoder):
    """SVT-AV1 in real time, in its low-delay structure, with a constant bitrate: one picture in, one out.

    With a constant quality SVT-AV1 4.1 hangs when pictures come without a pause: 3 of 5 runs of 1,500 pictures did,
    and with a constant bitrate none in 27,000 pictures.  One that hangs all the same is given up (see `workers`).
    """

    coder: ClassVar[str] = "libsvtav1"
    smallest: ClassVar[int] = 64

    def __init__(self) -> None:
        super().__init__()
        # It writes its settings to stderr whenever it starts, and has no other way to be told not to.
        os.environ.setdefault("SVT_LOG", "0")

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Implements `PictureEncoder.options`."""
        parameters = {"pred-struct": 1, "rc": 2, "rtc": 1, "lp": threads_for(width, height), "scd": 0}
        return {
            "preset": "11",
            "svtav1-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
        }

    def packetize(self, data: bytes) -> list[bytes]:
        """Implements `PictureEncoder.packetize`."""
        return packetize(data)


class Av1Decoder(PictureDecoder):
    """Dav1d; of spatial layers it shows the highest."""

    coder: ClassVar[str] = "libdav1d"
