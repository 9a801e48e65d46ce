"""STUN messages for the test server: bytes <-> `ServerStunMessage` (RFC 8489 sections 5 and 14, RFC 8656 18).

This codec is deliberately not the one of ``rtcpeer.ice``: a server that shares the client's codec shares its
mistakes, and tests would pass on both being wrong. It knows the few attributes a STUN/TURN server needs.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum

COOKIE = 0x2112A442
HEADER = struct.Struct("!HHI12s")
ATTRIBUTE = struct.Struct("!HH")
FINGERPRINT_XOR = 0x5354554E
IPV4, IPV6 = 1, 2

Address = tuple[str, int]


class Kind(IntEnum):
    """The class bits of a message type."""

    REQUEST = 0x000
    INDICATION = 0x010
    RESPONSE = 0x100
    ERROR = 0x110


class Method(IntEnum):
    """The method bits of a message type."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Attribute(IntEnum):
    """Attribute types that the server reads or writes."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028


_KNOWN = frozenset(int(a) for a in Attribute)


@dataclass(slots=True)
class ServerStunMessage:
    """A STUN message: attributes in order, values still in bytes.

    Attributes:
        signed: what MESSAGE-INTEGRITY of a parsed message covers, with the header's length already set
            for it; None when the message has none.
    """

    method: int
    kind: Kind
    transaction_id: bytes
    attributes: list[tuple[int, bytes]] = field(default_factory=list)
    signed: bytes | None = None

    def get(self, attribute: int) -> bytes | None:
        """The first value of an attribute, or None."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    def get_all(self, attribute: int) -> list[bytes]:
        """All values of an attribute."""
        return [value for kind, value in self.attributes if kind == attribute]

    def get_text(self, attribute: int) -> str | None:
        """The first value of an attribute as text; None where it is absent or not UTF-8."""
        value = self.get(attribute)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None

    def add(self, attribute: int, value: bytes) -> ServerStunMessage:
        """Append an attribute."""
        self.attributes.append((attribute, value))
        return self

    def add_address(self, attribute: int, address: Address) -> ServerStunMessage:
        """Append an address; XOR-ed where the attribute asks for it."""
        plain = attribute in (Attribute.MAPPED_ADDRESS, Attribute.ALTERNATE_SERVER)
        return self.add(attribute, pack_address(address, None if plain else self.transaction_id))

    def add_error(self, code: int, reason: str) -> ServerStunMessage:
        """Append ERROR-CODE."""
        return self.add(
            Attribute.ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
        )

    def unknown_required(self) -> list[int]:
        """Types of comprehension-required attributes that we do not know (RFC 8489 section 6.3)."""
        return [kind for kind, _ in self.attributes if kind < 0x8000 and kind not in _KNOWN]

    def is_signed_with(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY fits the key."""
        if self.signed is None:
            return False
        expected = hmac.digest(key, self.signed, "sha1")
        return hmac.compare_digest(expected, self.get(Attribute.MESSAGE_INTEGRITY) or b"")

    def to_bytes(self, key: bytes | None = None, *, fingerprint: bool = True) -> bytes:
        """The message on the wire, signed when a key is given."""
        body = b"".join([_pack(kind, value) for kind, value in self.attributes])
        if key is not None:
            head = self._header(len(body) + 24)
            body += _pack(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, head + body, "sha1"))
        if fingerprint:
            head = self._header(len(body) + 8)
            body += _pack(
                Attribute.FINGERPRINT, struct.pack("!I", binascii.crc32(head + body) ^ FINGERPRINT_XOR)
            )
        return self._header(len(body)) + body

    def _header(self, length: int) -> bytes:
        return HEADER.pack(self.method | self.kind, length, COOKIE, self.transaction_id)


def _pack(kind: int, value: bytes) -> bytes:
    return ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def parse_untrusted(data: bytes) -> ServerStunMessage:
    """Read a STUN message.

    Raises:
        ValueError: it is none, or it is damaged (lengths, cookie, fingerprint).
    """
    if len(data) < 20:
        raise ValueError("shorter than a STUN header")
    kind, length, cookie, transaction_id = HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE or length != len(data) - 20 or length % 4:
        raise ValueError("not a STUN message")
    message = ServerStunMessage(kind & 0x3EEF, Kind(kind & 0x0110), transaction_id)
    position = 20
    while position < len(data):
        attribute, size = ATTRIBUTE.unpack_from(data, position)
        value = data[position + 4 : position + 4 + size]
        if len(value) != size:
            raise ValueError("an attribute is longer than the message")
        if attribute == Attribute.FINGERPRINT:
            crc = binascii.crc32(_with_length(data[:position], position - 12)) ^ FINGERPRINT_XOR
            if value != struct.pack("!I", crc):
                raise ValueError("wrong fingerprint")
            break
        # RFC 8489 section 14.5: what follows the integrity is not covered by it, and ignored
        if message.signed is None:
            message.attributes.append((attribute, value))
            if attribute == Attribute.MESSAGE_INTEGRITY:
                message.signed = _with_length(data[:position], position + 4)
        position += 4 + size + (-size % 4)
    return message


def _with_length(data: bytes, length: int) -> bytes:
    return data[:2] + struct.pack("!H", length) + data[4:]


def pack_address(address: Address, transaction_id: bytes | None) -> bytes:
    """An address attribute; XOR-ed when a transaction id is given."""
    packed = ipaddress.ip_address(address[0]).packed
    port = struct.pack("!H", address[1])
    if transaction_id is not None:
        mask = struct.pack("!I", COOKIE) + transaction_id
        port, packed = _xor(port, mask), _xor(packed, mask)
    return bytes((0, IPV4 if len(packed) == 4 else IPV6)) + port + packed


def unpack_address_untrusted(value: bytes, transaction_id: bytes | None) -> Address:
    """The reverse of `pack_address`.

    Raises:
        ValueError: no address of a known family.
    """
    if len(value) not in (8, 20) or (value[1] == IPV4) != (len(value) == 8) or value[1] not in (IPV4, IPV6):
        raise ValueError("not an address")
    port, packed = value[2:4], value[4:]
    if transaction_id is not None:
        mask = struct.pack("!I", COOKIE) + transaction_id
        port, packed = _xor(port, mask), _xor(packed, mask)
    return str(ipaddress.ip_address(packed)), int.from_bytes(port, "big")


def _xor(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """RFC 8489 section 9.2.2."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
