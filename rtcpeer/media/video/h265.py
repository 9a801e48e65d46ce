"""H.265: payload format (RFC 7798), encoder and decoder.

We send single NAL units, aggregation packets for what is small, and fragments of what is large. Of what can be
received, PACI and decoding order numbers are left out; neither is in use between browsers (RFC 7798 section 7.1).
"""

from __future__ import annotations

from typing import ClassVar

from rtcpeer.media.video import annexb
from rtcpeer.media.video.bits import BitReader
from rtcpeer.media.video.pictures import PAYLOAD_MAX, PictureDecoder, PictureEncoder, threads_for

_AGGREGATION, _FRAGMENT = 48, 49
# The ends of a sequence and of the stream are a header alone (table 7-1)
_ENDS = (36, 37)
_FIRST, _LAST = 0x80, 0x40
# H.265 table 7-1: pictures that need no other, and the parameter sets
_RANDOM_ACCESS = range(16, 24)
_PARAMETER_SETS = (32, 33)
_SEQUENCE_PARAMETERS = 33
# As much of a parameter set as is read, in bytes: its size stands before all that is long.
_PARAMETERS_MAX = 256


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _with_kind(unit: bytes, kind: int) -> bytes:
    """The two header bytes of a unit, of another type: layer and temporal id stay."""
    return bytes((unit[0] & 0x81 | kind << 1, unit[1]))


def packetize(data: bytes) -> list[bytes]:
    """The payloads of one picture (a byte stream)."""
    payloads: list[bytes] = []
    waiting: list[bytes] = []
    size = 2

    def flush() -> None:
        nonlocal size
        if len(waiting) > 1:
            # section 4.4.2: the lowest layer and temporal id of all
            layer = min((unit[0] & 1) << 5 | unit[1] >> 3 for unit in waiting)
            temporal = min(unit[1] & 7 for unit in waiting)
            head = bytes((_AGGREGATION << 1 | layer >> 5, (layer & 31) << 3 | temporal))
            payloads.append(head + b"".join([len(u).to_bytes(2, "big") + u for u in waiting]))
        else:
            payloads.extend(waiting)
        waiting.clear()
        size = 2

    for unit in annexb.units(data):
        if len(unit) < 2:
            continue
        if size + 2 + len(unit) > PAYLOAD_MAX:
            flush()
        if len(unit) > PAYLOAD_MAX:
            payloads += _fragments(unit)
        else:
            waiting.append(unit)
            size += 2 + len(unit)
    flush()
    return payloads


def _fragments(unit: bytes) -> list[bytes]:
    """The packets of one unit that is cut up (section 4.4.3), all of about the same size."""
    head, kind, body = _with_kind(unit, _FRAGMENT), _kind(unit), len(unit) - 2
    count = -(-body // (PAYLOAD_MAX - 3))
    room = -(-body // count)
    result = []
    for at in range(0, body, room):
        flags = (_FIRST if at == 0 else 0) | (_LAST if at + room >= body else 0)
        result.append(head + bytes((flags | kind,)) + unit[2 + at : 2 + at + room])
    return result


def depacketize(payloads: list[bytes]) -> bytes:
    """The picture in the payloads of one timestamp, as a byte stream.

    Raises:
        ValueError: they are malformed, or a piece is missing.
    """
    parts: list[bytes] = []
    is_open = False
    for payload in payloads:
        if len(payload) < 3 and (len(payload) < 2 or _kind(payload) not in _ENDS):
            raise ValueError("an H.265 payload is too short")
        kind = _kind(payload)
        if is_open and kind != _FRAGMENT:
            raise ValueError("the end of an H.265 unit is missing")
        if kind == _FRAGMENT:
            flags = payload[2]
            if bool(flags & _FIRST) is is_open or len(payload) < 4:
                raise ValueError("a piece of an H.265 unit is missing")
            if not is_open:
                parts += [annexb.START_CODE, _with_kind(payload, flags & 63)]
            parts.append(payload[3:])
            is_open = not flags & _LAST
        elif kind == _AGGREGATION:
            for unit in _aggregated(payload):
                parts += [annexb.START_CODE, unit]
        elif kind < _AGGREGATION:
            parts += [annexb.START_CODE, payload]
        else:
            raise ValueError(f"an H.265 payload has the unknown type {kind}")
    if is_open or not parts:
        raise ValueError("the end of an H.265 picture is missing")
    return b"".join(parts)


def _aggregated(payload: bytes) -> list[bytes]:
    """The units of an aggregation packet.

    Raises:
        ValueError: they are cut off.
    """
    result = []
    at = 2
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        at += 2
        if size < 2 or at + size > len(payload):
            raise ValueError("an H.265 aggregation packet is cut off")
        result.append(payload[at : at + size])
        at += size
    return result


def is_keyframe(data: bytes) -> bool:
    """Whether a picture needs no other, or brings the parameter sets with which one begins."""
    return any(_kind(u) in _RANDOM_ACCESS or _kind(u) in _PARAMETER_SETS for u in annexb.units(data))


def is_configuration(data: bytes) -> bool:
    """Whether a byte stream has no slice of a picture (table 7-1: types below 32)."""
    return all(_kind(unit) >= 32 for unit in annexb.units(data))


def picture_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height that the sequence parameter sets of a byte stream announce; None without one.

    Raises:
        ValueError: a parameter set is malformed.
    """
    sizes = [_sequence_size(unit) for unit in annexb.units(data) if _kind(unit) == _SEQUENCE_PARAMETERS]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sequence_size(unit: bytes) -> tuple[int, int]:
    """Section 7.3.2.2.1, and 7.3.3 for profile, tier and level."""
    bits = BitReader(annexb.plain(unit, _PARAMETERS_MAX)[2:])
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    bits.read(96)
    present = [bits.read(2) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for flags in present:
        bits.read((88 if flags & 2 else 0) + (8 if flags & 1 else 0))
    bits.unsigned()
    if bits.unsigned() == 3:
        bits.read(1)
    return bits.unsigned(), bits.unsigned()


class H265Encoder(PictureEncoder):
    """X265 without delay: a key frame brings its parameter sets."""

    coder: ClassVar[str] = "libx265"
    smallest: ClassVar[int] = 32

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Implements `PictureEncoder.options`."""
        kilobits = bitrate // 1000
        threads = threads_for(width, height)
        parameters = {
            "log-level": "none",
            "repeat-headers": 1,
            "keyint": -1,
            "scenecut": 0,
            "vbv-maxrate": kilobits,
            "vbv-bufsize": kilobits,
            "frame-threads": 1,
            "pools": threads if threads > 1 else "none",
        }
        return {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "x265-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
        }

    def packetize(self, data: bytes) -> list[bytes]:
        """Implements `PictureEncoder.packetize`."""
        return packetize(data)


class H265Decoder(PictureDecoder):
    """Libav's own."""

    coder: ClassVar[str] = "hevc"
