"""ICMP errors about what a UDP socket has sent: which destination is unreachable, and why. Linux alone tells.

Owns: the socket option, and the reading of the error queue (ip(7), IP_RECVERR). Never: what is done about an error.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterator

from rtcpeer.net.network import Address

IS_POSSIBLE = sys.platform == "linux"
# <linux/in.h>, <linux/in6.h>, <linux/socket.h>, <linux/errqueue.h>
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE = 0x2000
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
# struct sock_extended_err: errno, origin, type, code, padding, info, data
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ERRORS_MAX = 64
_WORDS = {
    errno.ECONNREFUSED: "port unreachable: nothing listens there",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EACCES: "a router or firewall prohibits it",
    errno.ENOPROTOOPT: "protocol unreachable",
}


def listen(sock: socket.socket) -> bool:
    """Have the system keep the errors of a socket; whether it does."""
    if not IS_POSSIBLE:
        return False
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_RECVERR)
        if sock.family == socket.AF_INET6
        else (socket.IPPROTO_IP, _IP_RECVERR)
    )
    try:
        sock.setsockopt(level, option, 1)
    except OSError:
        return False
    return True


def read(sock: socket.socket) -> Iterator[tuple[Address, str]]:
    """The errors that wait: where the datagram was sent to, and what is wrong with that."""
    for _ in range(_ERRORS_MAX):
        try:
            _, ancillary, _, destination = sock.recvmsg(0, 512, _MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) not in (
                (socket.IPPROTO_IP, _IP_RECVERR),
                (socket.IPPROTO_IPV6, _IPV6_RECVERR),
            ):
                continue
            number, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
            if origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6) and number in _WORDS:
                yield (destination[0], destination[1]), _WORDS[number]
