"""DTLS records and OpenSSL's words, for who drives OpenSSL over memory buffers.  Pure functions."""

from __future__ import annotations

from OpenSSL import SSL

# Handshake datagrams stay below what every IPv6 path carries (1280 - IPv6 - UDP - TURN framing).
HANDSHAKE_MTU = 1200
# type, version, epoch, sequence number, length (RFC 6347 section 4.1)
RECORD_HEADER = 13
APPLICATION_DATA = 23


def split_records(data: bytes, mtu: int) -> list[bytes]:
    """Cut a run of DTLS records into datagrams of at most `mtu` bytes, never inside a record."""
    datagrams: list[bytes] = []
    start = position = 0
    size = len(data)
    while position + RECORD_HEADER <= size:
        end = position + RECORD_HEADER + (data[position + 11] << 8 | data[position + 12])
        if end - start > mtu and position > start:
            datagrams.append(data[start:position])
            start = position
        position = end
    if start < size:
        datagrams.append(data[start:])
    return datagrams


def is_clear_data(data: bytes) -> bool:
    """Unencrypted application data: OpenSSL would end a handshake over it, and anybody can send it."""
    return data[0] == APPLICATION_DATA and data[3:5] == b"\0\0"


def reason(exc: SSL.Error) -> str:
    """What OpenSSL said last."""
    errors = exc.args[0] if exc.args and isinstance(exc.args[0], list) else []
    return str(errors[-1][-1]) if errors else str(exc) or type(exc).__name__
