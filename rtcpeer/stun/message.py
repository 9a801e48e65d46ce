"""STUN messages on the wire (RFC 8489), as far as ICE (RFC 8445) and TURN (RFC 8656) need them.

Owns: encoding, parsing, integrity and fingerprint.  Never: I/O, retransmission, state.

Why not aioice's codec: a connectivity check is the most frequent thing an agent does, and this codec
builds or reads one in a few microseconds (attributes stay raw until asked for); it also knows the
attributes that aioice drops (ALTERNATE-SERVER, UNKNOWN-ATTRIBUTES, address families) and imports nothing
of asyncio, so the core stays pure.  The tests hold it against aioice's codec in both directions.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import os
from functools import lru_cache
from hashlib import md5
from struct import Struct

COOKIE = 0x2112A442
COOKIE_BYTES = b"\x21\x12\xa4\x42"
HEADER_SIZE = 20
_FINGERPRINT_XOR = 0x5354554E
# An attacker must not make us build long lists: no honest message has more attributes than this.
_MAX_ATTRIBUTES = 40

# Message types: method and class together (RFC 8489 5).
BINDING_REQUEST = 0x0001
BINDING_INDICATION = 0x0011
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111
ALLOCATE = 0x0003
REFRESH = 0x0004
SEND_INDICATION = 0x0016
DATA_INDICATION = 0x0017
CREATE_PERMISSION = 0x0008
CHANNEL_BIND = 0x0009
CLASS_MASK = 0x0110
SUCCESS = 0x0100
ERROR = 0x0110

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
REQUESTED_TRANSPORT = 0x0019
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
ADDITIONAL_ADDRESS_FAMILY = 0x8000
ADDRESS_ERROR_CODE = 0x8001
SOFTWARE = 0x8022
ALTERNATE_SERVER = 0x8023
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A

FAMILY_IPV4 = 0x01
FAMILY_IPV6 = 0x02

# Comprehension-required attributes that we understand in a binding request (RFC 8489 6.3.1).
_UNDERSTOOD = frozenset(
    {USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE, REALM, NONCE, MAPPED_ADDRESS, 0x001C}
)

_HEADER = Struct("!HHI12s")
_TLV = Struct("!HH")
_U16 = Struct("!H")
_U32 = Struct("!I")
_FINGERPRINT = Struct("!HHI")
_ADDRESS = Struct("!xBH")
_INTEGRITY_HEADER = b"\x00\x08\x00\x14"
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")

Address = tuple[str, int]


class StunError(ValueError):
    """Bytes that are not a STUN message, or an attribute that does not hold what it should."""


def new_transaction_id() -> bytes:
    """96 bits that nobody can guess."""
    return os.urandom(12)


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute in bytes, padded."""
    return _TLV.pack(kind, len(value)) + value + _PADDING[len(value) & 3]


def u32(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return _TLV.pack(kind, 4) + _U32.pack(value)


@lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


@lru_cache(maxsize=1024)
def _unpacked(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def xor_address(kind: int, address: Address, transaction_id: bytes) -> bytes:
    """An XOR-...-ADDRESS attribute (RFC 8489 14.2)."""
    packed = _packed(address[0])
    size = len(packed)
    mask = COOKIE_BYTES if size == 4 else COOKIE_BYTES + transaction_id
    mixed = (int.from_bytes(packed, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
    family = FAMILY_IPV4 if size == 4 else FAMILY_IPV6
    return _TLV.pack(kind, 4 + size) + _ADDRESS.pack(family, address[1] ^ (COOKIE >> 16)) + mixed


def error_code(code: int, reason: str) -> bytes:
    """An ERROR-CODE attribute."""
    return attribute(ERROR_CODE, bytes((0, 0, code // 100, code % 100)) + reason.encode())


def encode(
    kind: int, transaction_id: bytes, body: bytes, key: bytes | None = None, *, fingerprint: bool = True
) -> bytes:
    """A whole message from encoded attributes, with integrity when there is a key.

    Args:
        kind: method and class.
        transaction_id: 12 bytes.
        body: attributes, each padded.
        key: for MESSAGE-INTEGRITY.
        fingerprint: add FINGERPRINT (ICE demands it; TURN servers need not see it).
    """
    size = len(body)
    if key is not None:
        size += 24
        body += _INTEGRITY_HEADER + hmac.digest(
            key, _HEADER.pack(kind, size, COOKIE, transaction_id) + body, "sha1"
        )
    if not fingerprint:
        return _HEADER.pack(kind, size, COOKIE, transaction_id) + body
    message = _HEADER.pack(kind, size + 8, COOKIE, transaction_id) + body
    return message + _FINGERPRINT.pack(FINGERPRINT, 4, binascii.crc32(message) ^ _FINGERPRINT_XOR)


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """The key of the long-term credential mechanism (RFC 8489 9.2.2); MD5 is what the protocol says."""
    return md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()


def looks_like_stun(data: bytes) -> bool:
    """First byte, cookie and length agree (RFC 7983); cheap, before parsing."""
    return len(data) >= HEADER_SIZE and data[0] < 4 and data[4:8] == COOKIE_BYTES


class StunMessage:
    """A parsed message; attributes are raw bytes by type, the first of a kind counts.

    Attributes that follow MESSAGE-INTEGRITY are dropped (RFC 8489 14.5), FINGERPRINT is verified.
    """

    __slots__ = ("_data", "_integrity_at", "attributes", "kind", "repeated", "transaction_id")

    def __init__(
        self,
        kind: int,
        transaction_id: bytes,
        attributes: dict[int, bytes],
        data: bytes,
        at: int,
        repeated: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        self.kind = kind
        self.transaction_id = transaction_id
        self.attributes = attributes
        # Second and later attributes of a kind (TURN gives two relayed addresses).
        self.repeated = repeated
        self._data = data
        # Offset of MESSAGE-INTEGRITY, 0 when there is none.
        self._integrity_at = at

    def authentic(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and right."""
        at = self._integrity_at
        if not at:
            return False
        data = self._data
        covered = data[:2] + _U16.pack(at + 4) + data[4:at]
        return hmac.compare_digest(hmac.digest(key, covered, "sha1"), self.attributes[MESSAGE_INTEGRITY])

    @property
    def username(self) -> str:
        """USERNAME, or an empty string."""
        try:
            return self.attributes.get(USERNAME, b"").decode()
        except UnicodeDecodeError:
            return ""

    def number(self, kind: int) -> int | None:
        """An attribute of 32 bits."""
        value = self.attributes.get(kind)
        return int.from_bytes(value, "big") if value is not None and len(value) == 4 else None

    def long_number(self, kind: int) -> int | None:
        """An attribute of 64 bits."""
        value = self.attributes.get(kind)
        return int.from_bytes(value, "big") if value is not None and len(value) == 8 else None

    def text(self, kind: int) -> str:
        """An attribute of text; what is not UTF-8 is replaced."""
        return self.attributes.get(kind, b"").decode(errors="replace")

    def address(self, kind: int) -> Address | None:
        """An XOR-...-ADDRESS attribute; None when absent or malformed."""
        value = self.attributes.get(kind)
        return None if value is None else unpack_xor_address(value, self.transaction_id)

    def plain_address(self, kind: int) -> Address | None:
        """A plain address attribute (MAPPED-ADDRESS, ALTERNATE-SERVER)."""
        value = self.attributes.get(kind)
        if value is None or len(value) not in (8, 20):
            return None
        family, port = _ADDRESS.unpack_from(value)
        if (family == FAMILY_IPV4) is not (len(value) == 8):
            return None
        return _unpacked(value[4:]), port

    @property
    def mapped_address(self) -> Address | None:
        """XOR-MAPPED-ADDRESS, or what very old servers send."""
        return self.address(XOR_MAPPED_ADDRESS) or self.plain_address(MAPPED_ADDRESS)

    @property
    def error(self) -> tuple[int, str]:
        """ERROR-CODE as (code, reason); (0, "") when absent or malformed."""
        value = self.attributes.get(ERROR_CODE)
        if value is None or len(value) < 4:
            return 0, ""
        return (value[2] & 7) * 100 + value[3] % 100, value[4:].decode(errors="replace")

    def unknown_required(self) -> list[int]:
        """Comprehension-required attributes of a binding request that we do not know."""
        return [kind for kind in self.attributes if kind < 0x8000 and kind not in _UNDERSTOOD]


def unpack_xor_address(value: bytes, transaction_id: bytes) -> Address | None:
    """The address in an XOR-...-ADDRESS attribute, None when it is malformed."""
    size = len(value) - 4
    if size == 4 and value[1] == FAMILY_IPV4:
        mask = COOKIE_BYTES
    elif size == 16 and value[1] == FAMILY_IPV6:
        mask = COOKIE_BYTES + transaction_id
    else:
        return None
    mixed = (int.from_bytes(value[4:], "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
    return _unpacked(mixed), _U16.unpack_from(value, 2)[0] ^ (COOKIE >> 16)


def parse_untrusted(data: bytes) -> StunMessage:
    """Parse one datagram.

    Raises:
        StunError: it is not a well-formed STUN message, or its FINGERPRINT is wrong.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise StunError("shorter than a STUN header")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if cookie != COOKIE or kind >= 0x4000 or length & 3 or length + HEADER_SIZE != size:
        raise StunError("not a STUN header")
    attributes: dict[int, bytes] = {}
    repeated: tuple[tuple[int, bytes], ...] = ()
    integrity_at = 0
    position = HEADER_SIZE
    count = 0
    while position < size:
        name, length = _TLV.unpack_from(data, position)
        start = position + 4
        end = start + length
        if end > size:
            raise StunError("an attribute is longer than the message")
        if name == FINGERPRINT:
            # It is the last attribute (RFC 8489 14.7) and covers everything before it.
            if length != 4 or end != size:
                raise StunError("malformed FINGERPRINT")
            if _U32.unpack_from(data, start)[0] != binascii.crc32(data[:position]) ^ _FINGERPRINT_XOR:
                raise StunError("wrong FINGERPRINT")
            attributes[FINGERPRINT] = data[start:end]
        elif integrity_at:
            pass  # not covered by the integrity, so nobody's word
        elif name in attributes:
            repeated = (*repeated, (name, data[start:end]))
        else:
            if name == MESSAGE_INTEGRITY:
                if length != 20:
                    raise StunError("malformed MESSAGE-INTEGRITY")
                integrity_at = position
            attributes[name] = data[start:end]
        count += 1
        if count > _MAX_ATTRIBUTES:
            raise StunError("too many attributes")
        position = (end + 3) & ~3
    return StunMessage(kind, transaction_id, attributes, data, integrity_at, repeated)
