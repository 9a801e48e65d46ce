"""DTLS records that anybody can send who can forge an address."""

from __future__ import annotations

import random


def record(kind, body, epoch=0, number=0, version=b"\xfe\xfd"):
    return (
        bytes((kind,))
        + version
        + epoch.to_bytes(2, "big")
        + number.to_bytes(6, "big")
        + len(body).to_bytes(2, "big")
        + body
    )


def message(kind, body, number=0, offset=0, length=None):
    whole = len(body) if length is None else length
    return (
        bytes((kind,))
        + whole.to_bytes(3, "big")
        + number.to_bytes(2, "big")
        + offset.to_bytes(3, "big")
        + len(body).to_bytes(3, "big")
        + body
    )


def fragments(datagram, size):
    """The same one message in fragments, each in a datagram of its own (RFC 6347 section 4.2.3)."""
    body = datagram[25:]
    return [
        record(
            22, message(datagram[13], body[at : at + size], offset=at, length=len(body)), number=at // size
        )
        for at in range(0, len(body), size)
    ]


RANDOM = random.Random(5)
FORGED = {
    "alert": record(21, b"\x02\x28"),
    "close_notify": record(21, b"\x01\x00"),
    "alert with a high number": record(21, b"\x02\x28", 0, 0xFFFF),
    "malformed alert": record(21, b"\x02"),
    "early ChangeCipherSpec": record(20, b"\x01"),
    "bad ChangeCipherSpec": record(20, b"\x02"),
    "HelloRequest": record(22, message(0, b"")),
    "garbage": record(22, b"\xff" * 50),
    "ServerHello": record(22, message(2, b"\xfe\xfd" + RANDOM.randbytes(60))),
    "ServerHello of another server": record(
        22, message(2, b"\xfe\xfd" + RANDOM.randbytes(32) + b"\x00\xc0\x2b\x00")
    ),
    "ServerHelloDone": record(22, message(14, b"")),
    "truncated ClientHello": record(22, message(1, b"\xfe\xfd" + b"A" * 10)),
    "HelloVerifyRequest": record(22, message(3, b"\xfe\xfd\x10" + b"c" * 16)),
    "fragment of a huge message": record(22, message(1, b"x" * 16, length=0xFFFFFF)),
    "fragment of another length": record(22, message(11, b"x" * 16, 1, length=0x3000)),
    "messages ahead": b"".join(record(22, message(11, b"x", n), 0, n) for n in range(5, 12)),
    "CertificateVerify": record(22, message(15, b"\x04\x03\x00\x04abcd", 3)),
    "clear data": record(23, b"hello"),
    "clear data and an alert": record(23, b"hello") + record(21, b"\x02\x28", 0, 5),
    "warning and clear data": record(21, b"\x01\x5a") + record(23, b"hello", 0, 7),
    "handshake record of epoch 1": record(22, RANDOM.randbytes(40), 1, 1),
    "alert of epoch 1": record(21, RANDOM.randbytes(26), 1, 1),
    "record that is cut off": b"\x16\xfe\xfd" + bytes(8) + b"\xff\xff" + b"x" * 20,
    "record of TLS": record(22, message(1, b"x" * 40), version=b"\x03\x01"),
    "heartbeat": record(24, b"\x01\x40\x00"),
    "unknown type": record(40, b"zz"),
}
