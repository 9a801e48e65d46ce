"""UDP segmentation and coalescing by the kernel (Linux: UDP_SEGMENT, UDP_GRO): many datagrams in one system call.

Owns: the socket options and control messages. Never: decides when to use them.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Final

from rtcpeer.net.network import Address

__all__ = ["SEGMENTS_MIN", "coalesce", "is_refusal", "receive", "send_segments", "split"]

# From so many datagrams on one call for all of them is cheaper than one call each, for who receives them too: they
# come as one where it has the kernel coalesce
SEGMENTS_MIN: Final = 3
# What one call may carry: the kernel's UDP_MAX_SEGMENTS, and an IP packet's payload
_SEGMENTS_MAX: Final = 64
_BYTES_MAX: Final = 65000
_DATAGRAM_SIZE: Final = 65536

# linux/udp.h; Python has names for neither
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_SIZE: Final = struct.Struct("=H")
_INT: Final = struct.Struct("=i")
_CONTROL_SIZE: Final = socket.CMSG_SPACE(_INT.size) if hasattr(socket, "CMSG_SPACE") else 0

# How systems and devices say that they cannot
_REFUSALS: Final = frozenset(
    (
        errno.EIO,
        errno.EINVAL,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENOTSUP,
        errno.EMSGSIZE,
        errno.ENOSYS,
    )
)

#: Whether the system can be asked at all.
IS_POSSIBLE: Final = sys.platform == "linux"


def is_refusal(error: OSError) -> bool:
    """Whether an error of `send_segments` says that this socket or its route cannot do it."""
    return error.errno in _REFUSALS


def split(data: bytes, size: int) -> list[bytes]:
    """The datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def send_segments(sock: socket.socket, data: bytes, size: int, address: Address) -> None:
    """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last.

    Raises:
        OSError: nothing more could be sent; see `is_refusal`.
    """
    control = [(_SOL_UDP, _UDP_SEGMENT, _SIZE.pack(size))]
    step = size * max(1, min(_SEGMENTS_MAX, _BYTES_MAX // size))
    view = memoryview(data)
    for at in range(0, len(data), step):
        part = view[at : at + step]
        sock.sendmsg([part], control if len(part) > size else [], 0, address)


def coalesce(sock: socket.socket) -> bool:
    """Have the kernel put datagrams of one sender and size together; False if it cannot."""
    if not IS_POSSIBLE:
        return False
    try:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def receive(sock: socket.socket) -> tuple[bytes, int, tuple[str, int]]:
    """Read from a socket that coalesces: the bytes, the size of each datagram in them, the address.

    Raises:
        OSError: as `recvmsg`.
    """
    data, control, _flags, address = sock.recvmsg(_DATAGRAM_SIZE, _CONTROL_SIZE)
    for level, kind, value in control:
        if level == _SOL_UDP and kind == _UDP_GRO:
            size = _INT.unpack_from(value)[0]
            if 0 < size < len(data):
                return data, size, address
    return data, len(data), address
