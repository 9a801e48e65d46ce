"""The optional helper in C (`fan_out.c`): writes, numbers and protects one packet for many subscribers in one call.

`python -m rtcpeer.rtp.build_helper` compiles it where a C compiler is; it is loaded if it is there and was compiled
from the source of this version. Without it each subscriber is sent to by itself, with the same result: so are, with
it, those for whom something is in the way (there is no key, a budget is used up, a packet comes late).
Owns: the records that the helper reads, one table per group of outputs. Never: sends, counts what was sent.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
import os
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final, Protocol, cast

from rtcpeer.records import record
from rtcpeer.rtp import libsrtp
from rtcpeer.rtp.forwarding import Output
from rtcpeer.rtp.headers import Written
from rtcpeer.rtp.relay_packet import HEADER_SIZE, RelayPacket
from rtcpeer.rtp.send_state import SendState

logger = logging.getLogger(__name__)

#: "0": the helper is not used; else the file that it is in.
VARIABLE: Final = "RTCPEER_HELPER"
SOURCE: Final = Path(__file__).with_name("fan_out.c")
FILE: Final = Path(__file__).with_name("fan_out.helper")

# fan_out.c: state_record, output_record, packet_record
_STATE_SIZE: Final = 40
_OUTPUT: Final = Struct("=QQqqIIHBBI")
_PACKET: Final = Struct("=QdqIBBHIIIIIIII")
_NO_DESCRIPTOR: Final = (0, 0, 0, 0, 0, 0, 0)

_Call = Callable[[bytes, bytes, int, bytes, int, int, int, int], int]


class DirectSession(Protocol):
    """The part of an `RtpSession` that packets pass behind the helper."""

    state: SendState
    send_protected: Callable[[bytes], None]

    def waits(self, ssrc: int) -> bool:
        """Whether packets of a stream wait where they come faster than the path bears."""

    def not_protected(self, exc: Exception) -> None:
        """A packet could not be protected."""


class HelperError(Exception):
    """The helper is there and cannot be used."""


def version() -> str:
    """Which source the helper has to be compiled from."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def open_helper(file: Path) -> _Call:
    """Load the helper.

    Raises:
        HelperError: it cannot be loaded, or is that of another version.
    """
    try:
        library = ctypes.CDLL(str(file))
        tell, layout, call = (
            library.rtcpeer_fan_out_version,
            library.rtcpeer_fan_out_layout,
            library.rtcpeer_fan_out,
        )
    except (OSError, AttributeError) as exc:
        raise HelperError(f"{file} cannot be loaded: {exc}") from exc
    tell.restype = ctypes.c_char_p
    found = (tell() or b"").decode("ascii", "replace")
    sizes = _STATE_SIZE << 16 | _OUTPUT.size << 8 | _PACKET.size
    if found != version() or layout() != sizes:
        raise HelperError(
            f"{file} is of another version of rtcpeer: `python -m rtcpeer.rtp.build_helper` makes a new one"
        )
    call.restype = ctypes.c_int32
    call.argtypes = (
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_uint32,
        ctypes.c_char_p,
        ctypes.c_uint32,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_void_p,
    )
    return cast("_Call", call)


@record(frozen=True, slots=True)
class HelperState:
    """Whether the helper is in use in this process.

    Attributes:
        code: "loaded", "off" (`VARIABLE` says so), "not-built" or "unusable".
        file: where it is, or would be.
        sentence: the same for people, with what to do.
    """

    code: str
    file: Path
    sentence: str


def _load() -> tuple[_Call | None, HelperState]:
    named = os.environ.get(VARIABLE, "")
    file = Path(named) if named not in ("", "0") else FILE
    if named == "0":
        return None, HelperState("off", file, f"Helper of forwarding: switched off by {VARIABLE}=0.")
    if not (named or FILE.exists()):
        sentence = (
            "Helper of forwarding: not built; `python -m rtcpeer.rtp.build_helper` makes it (optional)."
        )
        return None, HelperState("not-built", file, sentence)
    try:
        return open_helper(file), HelperState("loaded", file, f"Helper of forwarding: loaded, {file}.")
    except HelperError as exc:
        logger.warning("forwarding goes on without its helper: %s", exc)
        return None, HelperState("unusable", file, f"Helper of forwarding: NOT USED. {exc}")


_helper: _Call | None
_helper, _state = _load()


def helper_state() -> HelperState:
    """Whether the helper is in use in this process."""
    return _state


class _Scratch:
    """Memory for what the helper writes, one per loop."""

    __slots__ = ("__weakref__", "address", "data", "size")

    def __init__(self) -> None:
        self.size = 0
        self.grow(1 << 16)

    def grow(self, size: int) -> None:
        self.data = memoryview(bytearray(size))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.data))
        self.size = size


_scratches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Scratch] = weakref.WeakKeyDictionary()


def gather() -> Callable[[tuple[Output, ...]], Table] | None:
    """The maker of a `Table` of outputs; None where the helper is not loaded."""
    return None if _helper is None else Table


class Table:
    """The outputs of one group, as the helper reads them. For use inside a running loop.

    Args:
        outputs: those; their offsets do not change while this is used.
    """

    __slots__ = (
        "_call",
        "_clock",
        "_count",
        "_lengths",
        "_lengths_at",
        "_outputs",
        "_protect",
        "_records",
        "_rewrites",
        "_scratch",
        "_sends",
        "_states",
    )

    def __init__(self, outputs: tuple[Output, ...]) -> None:
        assert _helper is not None
        loop = asyncio.get_running_loop()
        scratch = _scratches.get(loop)
        if scratch is None:
            scratch = _scratches[loop] = _Scratch()
        self._call = _helper
        self._clock = loop.time
        self._scratch = scratch
        self._outputs = outputs
        self._count = len(outputs)
        self._lengths: array[int] = array("i", bytes(4 * self._count))
        self._lengths_at = self._lengths.buffer_info()[0]
        self._protect = libsrtp.protect_address()
        # kept, as the records point into them
        self._states: list[SendState] = []
        self._sends: list[Callable[[bytes], None]] = []
        self._rewrites = any(output.patches for output in outputs)
        self._records = b"".join([self._record(output) for output in outputs])

    def _record(self, output: Output) -> bytes:
        session = cast("DirectSession | None", output.session)
        if session is None:
            self._sends.append(_send_nothing)
            return bytes(_OUTPUT.size)
        self._states.append(session.state)
        self._sends.append(session.send_protected)
        segment = output.segment
        return _OUTPUT.pack(
            session.state.words.buffer_info()[0],
            session.state.budget.buffer_info()[0],
            output.start,
            output.offset,
            output.time_offset,
            output.ssrc,
            segment.picture,
            segment.layer,
            segment.key,
            session.waits(output.ssrc),
        )

    def send(self, packet: RelayPacket, written: Written) -> list[Output]:
        """Implements `forwarding.Batch.send`."""
        first, second, body, payload_at = written
        size, scratch = len(body), self._scratch
        needed = self._count * (HEADER_SIZE + size + libsrtp.TRAILER_MAX)
        if needed > scratch.size:
            scratch.grow(needed)
        descriptor, picture_at, width, picture, layer_at, key_at, flags = (
            packet.vp8 if self._rewrites and packet.vp8 is not None else _NO_DESCRIPTOR
        )
        used = self._call(
            _PACKET.pack(
                self._protect,
                self._clock(),
                packet.number,
                packet.timestamp,
                first,
                second,
                payload_at,
                descriptor,
                picture_at,
                width,
                layer_at,
                key_at if flags & 0x10 else 0,
                picture,
                0,
                0,
            ),
            self._records,
            self._count,
            body,
            size,
            scratch.address,
            scratch.size,
            self._lengths_at,
        )
        # copied, for what is sent may bring the next packet here
        data, lengths = scratch.data[:used].tobytes(), self._lengths.tolist()
        left: list[Output] = []
        at = 0
        for output, send, length in zip(self._outputs, self._sends, lengths, strict=True):
            if length > 0:
                end = at + length
                send(data[at:end])
                at = end
            elif length:
                cast("DirectSession", output.session).not_protected(libsrtp.failure(-length))
            else:
                left.append(output)
        return left


def _send_nothing(_packet: bytes) -> None:
    """Of an output without a session the helper makes no packets."""
