"""DTLS records and OpenSSL's error texts, for code that drives OpenSSL over memory buffers.  Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

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


# RFC 5288: a record of AES-GCM has an explicit nonce and a tag; RFC 7905: one of ChaCha20-Poly1305 has a tag only
SEALED_MIN_GCM = 24
SEALED_MIN = 16


def usable_untrusted(data: bytes, allowed: Collection[int], shortest: int) -> bytes:
    """The records of a datagram that can be the other end's, once there are keys.

    RFC 6347 section 4.1.2.7 lets others be dropped in silence; OpenSSL before 4 ends the connection by an alert for
    some, so that anybody could end it.

    Args:
        data: one datagram.
        allowed: types of records that may be in the clear, such as those of the other end's last flight.
        shortest: bytes that the cipher adds to an encrypted record.
    """
    kept: list[bytes] = []
    position = 0
    while position + RECORD_HEADER <= len(data):
        size = data[position + 11] << 8 | data[position + 12]
        is_clear = not (data[position + 3] or data[position + 4])
        if data[position] in allowed if is_clear else size >= shortest:
            kept.append(data[position : position + RECORD_HEADER + size])
        position += RECORD_HEADER + size
    return b"".join(kept)


# RFC 5246 section 7.4, RFC 6347 section 4.3.2
_MESSAGES = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    3: "HelloVerifyRequest",
    4: "NewSessionTicket",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
}
_TYPES = {20: "ChangeCipherSpec", 21: "Alert", 22: "Handshake", 23: "data"}


def describe_untrusted(datagrams: Iterable[bytes]) -> str:
    """The records of a flight by name, for logs; contents are not shown."""
    names: list[str] = []
    count = size = 0
    for data in datagrams:
        count += 1
        size += len(data)
        position = 0
        while position + RECORD_HEADER < len(data):
            kind = data[position]
            name = _TYPES.get(kind, f"type {kind}")
            if kind == 22:
                encrypted = data[position + 3 : position + 5] != b"\0\0"
                name = "Finished" if encrypted else _MESSAGES.get(data[position + RECORD_HEADER], name)
            if not names or names[-1] != name:
                names.append(name)
            position += RECORD_HEADER + (data[position + 11] << 8 | data[position + 12])
    return f"{', '.join(names) or 'no record'} ({size} bytes in {count})"


def is_clear_data(data: bytes) -> bool:
    """Unencrypted application data: OpenSSL would end a handshake over it, and anybody can send it."""
    return data[0] == APPLICATION_DATA and data[3:5] == b"\0\0"


def reason(exc: SSL.Error) -> str:
    """The last error that OpenSSL reported, as text."""
    errors = exc.args[0] if exc.args and isinstance(exc.args[0], list) else []
    return str(errors[-1][-1]) if errors else str(exc) or type(exc).__name__


# ---- Alerts and names of associations between peers.


# RFC 5246 section 7.2: OpenSSL names the alert, W3C wants its number.
_ALERTS = {
    "unexpected message": 10,
    "bad record mac": 20,
    "record overflow": 22,
    "handshake failure": 40,
    "bad certificate": 42,
    "unsupported certificate": 43,
    "certificate revoked": 44,
    "certificate expired": 45,
    "certificate unknown": 46,
    "illegal parameter": 47,
    "unknown ca": 48,
    "access denied": 49,
    "decode error": 50,
    "decrypt error": 51,
    "protocol version": 70,
    "insufficient security": 71,
    "internal error": 80,
}


def received_alert(exc: SSL.Error) -> tuple[str, int | None] | None:
    """The alert of the other end that made OpenSSL raise: its text and number; None if it was no alert."""
    text = reason(exc)
    _before, found, name = text.partition(" alert ")
    return (text, _ALERTS.get(name)) if found else None


# What is behind those that say least. RFC 8827 section 6.5: everybody has ECDHE-ECDSA with P-256; RSA is as common.
_ALERT_CAUSES = {
    40: "it has no cipher suite in common with us, perhaps as the key of its certificate is neither EC nor RSA",
    70: "it does not speak DTLS 1.2",
}


def alert_name(number: int) -> str:
    """The description of an alert (RFC 5246 section 7.2) in words."""
    name = next((name for name, known in _ALERTS.items() if known == number), f"alert {number}")
    return f"{name} ({_ALERT_CAUSES[number]})" if number in _ALERT_CAUSES else name


def srtp_name(profile: bytes) -> str | None:
    """The name of an SRTP profile as IANA has it."""
    names = {b"SRTP_AES128_CM_SHA1_80": "SRTP_AES128_CM_HMAC_SHA1_80"}
    return names.get(profile, profile.decode()) or None


def standard_cipher(name: str) -> str:
    """OpenSSL's name of a suite as IANA has it: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256."""
    parts = name.replace("AES128", "AES_128").replace("AES256", "AES_256").split("-")
    if len(parts) < 4:
        return name
    if parts[2].startswith("CHACHA20"):
        parts = [*parts[:2], "CHACHA20", "POLY1305", "SHA256"]
    elif parts[-1] == "SHA" and len(parts) == 4:
        parts = [*parts[:3], "CBC", "SHA"]
    return f"TLS_{parts[0]}_{parts[1]}_WITH_" + "_".join(parts[2:])
