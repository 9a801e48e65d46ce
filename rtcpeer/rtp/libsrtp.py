"""libsrtp without copies that are not needed, through pylibsrtp's own cffi library.

pylibsrtp's `Session` copies a packet three times, allocates for each, and refuses packets above 1,356 bytes. Here a
packet is put together in one buffer, protected there, and copied out once. The buffer is one per event loop: a packet
has left it before the function returns, so sessions of one loop can share it, and other threads have their own.
`tests/architecture/test_upstream_names.py` names what is used of pylibsrtp's inside.

Of libsrtp itself two functions are called that pylibsrtp does not know, for a stream's rollover counter; where the
library does not show them (Windows), `recoverer` finds nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import weakref
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any, TypeVar

from pylibsrtp import ERRORS, Error, Session, _binding
from pylibsrtp._binding import ffi, lib

# The longest packet that is protected, and what protection adds to it (libsrtp's SRTP_MAX_TRAILER_LEN with its index).
PACKET_MAX = 2048
TRAILER_MAX = 4 + 16 + 128
# How many cycles of 65,536 numbers a stream may be ahead after an outage: half a minute of 30,000 packets a second.
CYCLES_MAX = 16
_HEADER = Struct("!BBHLL")
_HEADER_SIZE = 12
_U16 = Struct("!H")

Protect = Callable[[bytes, int, int], bytes]
"""Protects a packet in which two octets have another value: where they are (nowhere if it is 0), and their number."""
ProtectParts = Callable[[int, int, int, int, int, bytes, int, bytes, int, int], bytes]
"""Writes and protects a packet: the fixed header in parts, what follows it, and what overwrites some of that: bytes and
where they belong (none if there are none), where two octets belong (nowhere if it is 0) and their number."""


_F = TypeVar("_F", bound=Callable[..., bytes])


class _Buffer:
    """Memory that libsrtp works in, and the length of what is in it."""

    __slots__ = ("data", "length", "read", "view")

    def __init__(self) -> None:
        self.data = ffi.new("char[]", PACKET_MAX + TRAILER_MAX)
        self.read = ffi.buffer(self.data)
        self.view = memoryview(self.read)
        self.length = ffi.new("int *")


_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Buffer] = weakref.WeakKeyDictionary()


def _buffer() -> _Buffer:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _Buffer()
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = _Buffer()
    return buffer


def failure(code: int) -> Error:
    """The error for a status of libsrtp, as pylibsrtp would raise it."""
    return Error(ERRORS[code] if 0 <= code < len(ERRORS) else f"libsrtp's error {code}")


def _in_place(session: Session, work: Callable[..., int], limit: int) -> Callable[[bytes], bytes]:
    buffer = _buffer()
    view, read, data, length = buffer.view, buffer.read, buffer.data, buffer.length
    handle: Any = session._srtp[0]

    def process(packet: bytes) -> bytes:
        size = len(packet)
        if size > limit:
            raise ValueError(f"a packet of {size} bytes is too long: the limit is {limit}")
        view[:size] = packet
        length[0] = size
        code = work(handle, data, length)
        if code:
            raise failure(code)
        result: bytes = read[: length[0]]
        return result

    return _holding(process, session)


def _holding(process: _F, session: Session) -> _F:
    """The session object frees libsrtp's memory when it goes: the function that works in it keeps it."""
    process.session = session  # type: ignore[attr-defined]
    return process


def protector(session: Session) -> Protect:
    """A function from RTP to SRTP packets; raises `pylibsrtp.Error`, or ValueError for one that is too long."""
    buffer = _buffer()
    view, read, data, length = buffer.view, buffer.read, buffer.data, buffer.length
    handle: Any = session._srtp[0]
    pack_wide, protect = _U16.pack_into, lib.srtp_protect

    def process(packet: bytes, wide_at: int = 0, wide: int = 0) -> bytes:
        size = len(packet)
        if size > PACKET_MAX:
            raise ValueError(f"a packet of {size} bytes is too long: the limit is {PACKET_MAX}")
        view[:size] = packet
        if wide_at:
            pack_wide(view, wide_at, wide)
        length[0] = size
        code = protect(handle, data, length)
        if code:
            raise failure(code)
        result: bytes = read[: length[0]]
        return result

    return _holding(process, session)


def rtcp_protector(session: Session) -> Callable[[bytes], bytes]:
    """A function from RTCP to SRTCP packets; raises as that of `protector`."""
    return _in_place(session, lib.srtp_protect_rtcp, PACKET_MAX)


def unprotector(session: Session) -> Callable[[bytes], bytes]:
    """A function from SRTP to RTP packets."""
    return _in_place(session, lib.srtp_unprotect, PACKET_MAX + TRAILER_MAX)


def rtcp_unprotector(session: Session) -> Callable[[bytes], bytes]:
    """A function from SRTCP to RTCP packets."""
    return _in_place(session, lib.srtp_unprotect_rtcp, PACKET_MAX + TRAILER_MAX)


def parts_protector(session: Session) -> ProtectParts:
    """Writes an RTP packet from its parts and protects it, in one step."""
    buffer = _buffer()
    view, read, data, length = buffer.view, buffer.read, buffer.data, buffer.length
    handle: Any = session._srtp[0]
    pack, pack_wide, protect = _HEADER.pack_into, _U16.pack_into, lib.srtp_protect

    def process(
        first: int,
        second: int,
        number: int,
        timestamp: int,
        ssrc: int,
        body: bytes,
        patch_at: int,
        patch: bytes,
        wide_at: int,
        wide: int,
    ) -> bytes:
        end = _HEADER_SIZE + len(body)
        if end > PACKET_MAX:
            raise ValueError(f"a packet of {end} bytes is too long: the limit is {PACKET_MAX}")
        pack(view, 0, first, second, number, timestamp, ssrc)
        view[_HEADER_SIZE:end] = body
        if patch:
            start = _HEADER_SIZE + patch_at
            view[start : start + len(patch)] = patch
        if wide_at:
            pack_wide(view, _HEADER_SIZE + wide_at, wide)
        length[0] = end
        code = protect(handle, data, length)
        if code:
            raise failure(code)
        result: bytes = read[: length[0]]
        return result

    return _holding(process, session)


def protect_address() -> int:
    """Where libsrtp's srtp_protect is in memory."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect")))


def session_address(protect: Callable[..., bytes]) -> int:
    """Where the session is that a function of `protector` or `parts_protector` works with; 0 if it is none of those."""
    session = getattr(protect, "session", None)
    return 0 if session is None else int(ffi.cast("uintptr_t", session._srtp[0]))


@cache
def _rollover_functions() -> tuple[Any, Any] | None:
    """srtp_get_stream_roc(session, ssrc, *counter) and srtp_set_stream_roc(session, ssrc, counter)."""
    try:
        library = ctypes.CDLL(_binding.__file__)
        read, write = library.srtp_get_stream_roc, library.srtp_set_stream_roc
    except (OSError, AttributeError):
        return None
    read.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))
    write.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
    return read, write


def recoverer(session: Session) -> Callable[[bytes], bytes | None]:
    """Decrypts a packet of a stream whose count of cycles was lost, and takes the count from it.

    A packet names the low 16 bits of its index; who has missed more than half a cycle guesses the others wrongly, for
    ever (RFC 3711 section 3.3.1). The counts that may be meant are tried: a packet that authenticates with one tells
    which. None is tried that lies behind what was received, so that nothing can be played again.

    Returns:
        From an SRTP packet to an RTP packet; None if it fits nowhere: forged, or further ahead than `CYCLES_MAX`.
    """
    functions = _rollover_functions()
    unprotect = unprotector(session)

    def recover(packet: bytes) -> bytes | None:
        if functions is None or len(packet) < _HEADER_SIZE:
            return None
        read, write = functions
        handle = int(ffi.cast("uintptr_t", session._srtp[0]))
        ssrc = int.from_bytes(packet[8:12], "big")
        count = ctypes.c_uint32()
        if read(handle, ssrc, ctypes.byref(count)):
            # nothing of this stream was ever received
            return None
        found: bytes | None = None
        for candidate in range(count.value, count.value + CYCLES_MAX + 1):
            # 0 would mean: guess
            if candidate and not write(handle, ssrc, candidate & 0xFFFFFFFF):
                try:
                    found = unprotect(packet)
                    break
                except (Error, ValueError):
                    continue
        # what was set stays until a packet fits
        write(handle, ssrc, 0)
        return found

    return recover
