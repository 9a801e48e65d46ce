"""Serializations of PeerJS' data connections: values become messages of a channel and values again. Pure.

Owns: the pieces of long messages that are not whole yet, within bounds: the oldest message gives way.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal

from rtcpeer.calls.peerjs.binarypack import pack, unpack_untrusted

Serialization = Literal["binary", "binary-utf8", "json", "raw"]

_PIECE: Final = 16_300
_MESSAGE_MAX: Final = 16 << 20
# pieces of messages that are not whole yet
_MESSAGES_MAX: Final = 64
_COLLECTED_MAX: Final = 2 * _MESSAGE_MAX
_FAREWELL: Final = {"__peerData": {"type": "close"}}


class Control(Enum):
    """Messages that are no value."""

    PIECE = "a piece of a message that is not whole yet"
    CLOSE = "the library at the other end closes the connection"


class MessageCodec:
    """The codec of one data connection.

    Args:
        serialization: "binary" (BinaryPack, in pieces where need be), "json" or "raw" (text and bytes as they are).
    """

    def __init__(self, serialization: str) -> None:
        self.serialization = serialization
        self._pieces: dict[int | str, dict[int, bytes]] = {}
        self._collected = 0  # bytes
        self._numbers = itertools.count(1)

    def write(self, value: Any) -> list[Any]:
        """The messages that carry a value.

        Raises:
            TypeError, ValueError: the serialization has no such value, or it is too long for JSON.
        """
        if self.serialization == "raw":
            return [value]
        if self.serialization == "json":
            text = json.dumps(value).encode()
            if len(text) >= _PIECE:
                raise ValueError(
                    f"{len(text)} bytes are too long for the JSON serialization: less than {_PIECE}"
                )
            return [text]
        data = pack(value)
        if len(data) <= _PIECE:
            return [data]
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        number = next(self._numbers)
        return [
            pack({"__peerData": number, "n": index, "data": piece, "total": len(pieces)})
            for index, piece in enumerate(pieces)
        ]

    def farewell(self) -> bytes | None:
        """The message that ends a connection; None where the serialization has none."""
        if self.serialization == "raw":
            return None
        return json.dumps(_FAREWELL).encode() if self.serialization == "json" else pack(_FAREWELL)

    def read_untrusted(self, data: Any) -> Any:
        """The value of a message, or what kind of `Control` it is.

        Raises:
            ValueError, KeyError, TypeError, RecursionError: it makes no sense.
        """
        if self.serialization == "raw":
            return data
        if self.serialization == "json":
            value = json.loads(data)
        else:
            value = unpack_untrusted(data if isinstance(data, bytes) else str(data).encode())
        said = value.get("__peerData") if isinstance(value, dict) else None
        if isinstance(said, dict) and said.get("type") == "close":
            return Control.CLOSE
        if said is None or self.serialization == "json":
            return value
        whole = self._collect(value)
        return Control.PIECE if whole is None else unpack_untrusted(whole)

    def _collect(self, piece: Mapping[str, Any]) -> bytes | None:
        """The whole message when its last piece has come."""
        number, index, total, data = piece["__peerData"], piece["n"], piece["total"], piece["data"]
        if type(index) is not int or type(total) is not int or not isinstance(number, (int, str)):
            raise ValueError("a piece of a message without numbers")
        if (
            not 0 <= index < total <= _MESSAGE_MAX // _PIECE
            or not isinstance(data, bytes)
            or len(data) > _PIECE
        ):
            raise ValueError("a piece of a message out of bounds")
        pieces = self._pieces.setdefault(number, {})
        self._collected += len(data) - len(pieces.get(index, b""))
        pieces[index] = data
        while len(self._pieces) > _MESSAGES_MAX or self._collected > _COLLECTED_MAX:
            self._forget(next(iter(self._pieces)))
        if number not in self._pieces or len(pieces) < total:
            return None
        self._forget(number)
        return b"".join(pieces[at] for at in range(total))

    def _forget(self, number: int | str) -> None:
        self._collected -= sum(map(len, self._pieces.pop(number).values()))
