"""BinaryPack, PeerJS' serialization: an early MessagePack in which 0xa0 and 0xda are bytes, and 0xb0 and 0xd8 are text.

Owns: the codec. Never: a channel, the pieces of long messages.
"""

from __future__ import annotations

import struct
from typing import Any, Final

_DEPTH_MAX: Final = 64
# type -> (struct format of the size, what it is the size of)
_SIZED: Final = {
    0xD8: (">H", "text"),
    0xD9: (">I", "text"),
    0xDA: (">H", "bytes"),
    0xDB: (">I", "bytes"),
    0xDC: (">H", "list"),
    0xDD: (">I", "list"),
    0xDE: (">H", "map"),
    0xDF: (">I", "map"),
}
_SHORT: Final = {0xA0: "bytes", 0xB0: "text", 0x90: "list", 0x80: "map"}
_NUMBERS: Final = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_CONSTANTS: Final = {
    0xC0: None,
    0xC1: None,
    0xC2: False,
    0xC3: True,
    0xD4: None,
    0xD5: None,
    0xD6: None,
    0xD7: None,
}


def pack(value: Any) -> bytes:
    """Serialize None, bool, int of 64 bits, float, str, bytes, lists and mappings.

    Raises:
        TypeError: something else is in it.
        OverflowError: an int has more than 64 bits.
    """
    out = bytearray()
    _pack(value, out, 0)
    return bytes(out)


def _pack(value: Any, out: bytearray, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise TypeError(f"a message is nested at most {_DEPTH_MAX} deep")
    if value is None or isinstance(value, bool):
        out.append({None: 0xC0, False: 0xC2, True: 0xC3}[value])
    elif isinstance(value, int):
        _pack_int(value, out)
    elif isinstance(value, float):
        out += b"\xcb" + struct.pack(">d", value)
    elif isinstance(value, str):
        data = value.encode()
        _head(len(data), 0xB0, 0xD8, out)
        out += data
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(len(value), 0xA0, 0xDA, out)
        out += value
    elif isinstance(value, (list, tuple)):
        _head(len(value), 0x90, 0xDC, out)
        for one in value:
            _pack(one, out, depth + 1)
    elif isinstance(value, dict):
        _head(len(value), 0x80, 0xDE, out)
        for key, one in value.items():
            _pack(str(key), out, depth + 1)
            _pack(one, out, depth + 1)
    else:
        raise TypeError(f"BinaryPack has no {type(value).__name__}")


def _head(size: int, short: int, long: int, out: bytearray) -> None:
    if size <= 0x0F:
        out.append(short + size)
    elif size <= 0xFFFF:
        out += struct.pack(">BH", long, size)
    else:
        out += struct.pack(">BI", long + 1, size)


def _pack_int(value: int, out: bytearray) -> None:
    if -32 <= value <= 0x7F:
        out.append(value & 0xFF)
        return
    kinds = (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3)
    for kind in kinds:
        try:
            out += bytes([kind]) + struct.pack(_NUMBERS[kind], value)
        except struct.error:
            continue
        return
    raise OverflowError(f"BinaryPack has integers of 64 bits, not {value}")


def unpack_untrusted(data: bytes) -> Any:
    """Read one value.

    Raises:
        ValueError: the data end too early, are nested too deep, or are no BinaryPack.
    """
    return _Reader(data).value(0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise ValueError("the message is nested too deep")
        kind = self._take(1)[0]
        if kind < 0x80:
            return kind
        if kind >= 0xE0:
            return kind - 0x100
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in _NUMBERS:
            form = _NUMBERS[kind]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if kind in _SIZED:
            form, what = _SIZED[kind]
            return self._sized(what, struct.unpack(form, self._take(struct.calcsize(form)))[0], depth)
        if kind & 0xF0 in _SHORT:
            return self._sized(_SHORT[kind & 0xF0], kind & 0x0F, depth)
        raise ValueError(f"there is no type 0x{kind:02x} in BinaryPack")

    def _sized(self, what: str, size: int, depth: int) -> Any:
        if what == "bytes":
            return self._take(size)
        if what == "text":
            return self._take(size).decode("utf-8", "replace")
        if size > len(self._data) - self._at:  # each item has a byte at least
            raise ValueError("the message ends too early")
        if what == "list":
            return [self.value(depth + 1) for _ in range(size)]
        found = {}
        for _ in range(size):
            key = self.value(depth + 1)
            found[key if isinstance(key, str) else str(key)] = self.value(depth + 1)
        return found

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise ValueError("the message ends too early")
        self._at += size
        return piece
