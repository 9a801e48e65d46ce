"""Our STUN codec against aioice's, and against bad input."""

from __future__ import annotations

import binascii

import pytest
from aioice import stun as reference

from rtcpeer.stun import message as stun

TXID = bytes(range(12))


@pytest.mark.parametrize("address", [("192.0.2.7", 1234), ("2001:db8::7", 65535)])
def test_aioice_reads_what_we_write(address: tuple[str, int]) -> None:
    body = stun.attribute(stun.USERNAME, b"abcd:efgh1") + stun.u32(stun.PRIORITY, 12345)
    body += stun.attribute(stun.ICE_CONTROLLING, (77).to_bytes(8, "big")) + stun.attribute(
        stun.USE_CANDIDATE, b""
    )
    body += stun.xor_address(stun.XOR_MAPPED_ADDRESS, address, TXID)
    message = reference.parse_message(stun.encode(stun.BINDING_REQUEST, TXID, body, b"secret"))
    assert message.check_message_integrity(b"secret")
    assert not message.check_message_integrity(b"other")
    attributes = message.attributes
    assert attributes["USERNAME"] == "abcd:efgh1"
    assert attributes["PRIORITY"] == 12345
    assert attributes["ICE-CONTROLLING"] == 77
    assert "USE-CANDIDATE" in attributes
    assert attributes["XOR-MAPPED-ADDRESS"] == address
    assert attributes["FINGERPRINT"] == reference.message_fingerprint(
        stun.encode(stun.BINDING_REQUEST, TXID, body, b"secret")[:-8]
    )


@pytest.mark.parametrize("address", [("192.0.2.7", 1234), ("2001:db8::7", 80)])
def test_we_read_what_aioice_writes(address: tuple[str, int]) -> None:
    theirs = reference.Message(reference.Method.BINDING, reference.Class.ERROR, TXID)
    theirs.attributes["ERROR-CODE"] = (487, "Role Conflict")
    theirs.attributes["XOR-MAPPED-ADDRESS"] = address
    theirs.attributes["REALM"] = "example"
    theirs.attributes["LIFETIME"] = 600
    theirs.add_message_integrity(b"secret")
    message = stun.parse_untrusted(bytes(theirs))
    assert message.kind == stun.BINDING_ERROR
    assert message.transaction_id == TXID
    assert message.authentic(b"secret")
    assert not message.authentic(b"wrong")
    assert message.error == (487, "Role Conflict")
    assert message.mapped_address == address
    assert message.text(stun.REALM) == "example"
    assert message.number(stun.LIFETIME) == 600


def test_attributes_after_integrity_do_not_count() -> None:
    signed = stun.encode(stun.BINDING_REQUEST, TXID, stun.u32(stun.PRIORITY, 1), b"k", fingerprint=False)
    forged = signed[:2] + (len(signed) - 20 + 4).to_bytes(2, "big") + signed[4:]
    forged += stun.attribute(stun.USE_CANDIDATE, b"")
    message = stun.parse_untrusted(forged)
    assert message.authentic(b"k")
    assert stun.USE_CANDIDATE not in message.attributes


def test_a_message_without_integrity_is_not_authentic() -> None:
    assert not stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, TXID, b"")).authentic(b"")


def test_the_second_of_a_kind_is_kept_apart() -> None:
    body = stun.u32(stun.PRIORITY, 1) + stun.u32(stun.PRIORITY, 2)
    message = stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, TXID, body))
    assert message.number(stun.PRIORITY) == 1
    assert message.repeated == ((stun.PRIORITY, b"\0\0\0\2"),)


def test_plain_addresses() -> None:
    value = b"\0\1" + (3478).to_bytes(2, "big") + bytes((192, 0, 2, 9))
    message = stun.parse_untrusted(
        stun.encode(stun.BINDING_SUCCESS, TXID, stun.attribute(stun.ALTERNATE_SERVER, value))
    )
    assert message.plain_address(stun.ALTERNATE_SERVER) == ("192.0.2.9", 3478)
    assert message.plain_address(stun.MAPPED_ADDRESS) is None
    bad = stun.encode(stun.BINDING_SUCCESS, TXID, stun.attribute(stun.MAPPED_ADDRESS, b"\0\2" + value[2:]))
    assert stun.parse_untrusted(bad).mapped_address is None


def test_malformed_attributes_read_as_absent() -> None:
    body = (
        stun.attribute(stun.PRIORITY, b"\1")
        + stun.attribute(stun.ICE_CONTROLLED, b"\1")
        + stun.attribute(stun.ERROR_CODE, b"\1")
        + stun.attribute(stun.USERNAME, b"\xff\xfe")
        + stun.attribute(stun.XOR_MAPPED_ADDRESS, b"\0\1\0\0")
    )
    message = stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, TXID, body))
    assert message.number(stun.PRIORITY) is None
    assert message.long_number(stun.ICE_CONTROLLED) is None
    assert message.error == (0, "")
    assert message.username == ""
    assert message.mapped_address is None


def test_unknown_required_attributes() -> None:
    body = b"".join(stun.attribute(kind, b"") for kind in (0x7001, 0x9001, 0x8000, 0x7FFF))
    message = stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, TXID, body + stun.u32(stun.PRIORITY, 1)))
    assert message.unknown_required() == [0x7001, 0x7FFF]


def test_the_class_of_an_error_has_three_bits() -> None:
    """RFC 8489 14.8: what is reserved before it is ignored."""
    body = stun.attribute(stun.ERROR_CODE, b"\xff\xff\xfc\x57bye")
    message = stun.parse_untrusted(stun.encode(stun.BINDING_ERROR, TXID, body))
    assert message.error == (487, "bye")


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("family", [0, 1, 2, 3])
def test_an_address_has_the_size_of_its_family(family: int, size: int) -> None:
    value = bytes((0, family, 1, 2)) + bytes(size)
    good = (family, size) in ((1, 4), (2, 16))
    assert (stun.unpack_xor_address(value, TXID) is not None) is good


GOOD = stun.encode(stun.BINDING_REQUEST, TXID, stun.u32(stun.PRIORITY, 1), b"key")


def fingerprint_in_the_middle() -> bytes:
    """A right one, with an attribute behind it, which it does not cover."""
    behind = stun.u32(stun.PRIORITY, 1)
    head = stun.encode(stun.BINDING_REQUEST, TXID, bytes(8) + behind, fingerprint=False)[:20]
    right = stun.u32(stun.FINGERPRINT, binascii.crc32(head) ^ 0x5354554E)
    return head + right + behind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 19,
        b"\0" * 20,
        GOOD[:-1],
        GOOD + b"\0\0\0\0",
        GOOD[:4] + b"\0\0\0\0" + GOOD[8:],
        GOOD[:-1] + bytes((GOOD[-1] ^ 1,)),
        stun.encode(1, TXID, b"\0\x24\0\x20\0\0\0\0", fingerprint=False),
        stun.encode(1, TXID, stun.attribute(stun.MESSAGE_INTEGRITY, b"short"), fingerprint=False),
        stun.encode(1, TXID, stun.attribute(stun.FINGERPRINT, b"12345678"), fingerprint=False),
        stun.encode(1, TXID, stun.u32(stun.PRIORITY, 1) * 41),
        b"\x40" + GOOD[1:],
        stun.encode(0x4001, TXID, b"", fingerprint=False),
        stun.encode(1, TXID, b"\0\x06\0\x01a", fingerprint=False),
        fingerprint_in_the_middle(),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(stun.StunError):
        stun.parse_untrusted(data)


def test_looks_like_stun() -> None:
    assert stun.looks_like_stun(GOOD)
    assert not stun.looks_like_stun(b"\x80" + GOOD[1:])
    assert not stun.looks_like_stun(GOOD[:10])


def test_long_term_key() -> None:
    assert stun.long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


# IANA "STUN Methods" and "STUN Attributes"; the class is in bits 4 and 8 (RFC 8489 5)
NUMBERS = {
    "BINDING_REQUEST": 0x001, "BINDING_INDICATION": 0x011, "BINDING_SUCCESS": 0x101, "BINDING_ERROR": 0x111,
    "ALLOCATE": 0x003, "REFRESH": 0x004, "SEND_INDICATION": 0x016, "DATA_INDICATION": 0x017,
    "CREATE_PERMISSION": 0x008, "CHANNEL_BIND": 0x009, "CLASS_MASK": 0x110, "SUCCESS": 0x100, "ERROR": 0x110,
    "MAPPED_ADDRESS": 0x0001, "USERNAME": 0x0006, "MESSAGE_INTEGRITY": 0x0008, "ERROR_CODE": 0x0009,
    "UNKNOWN_ATTRIBUTES": 0x000A, "CHANNEL_NUMBER": 0x000C, "LIFETIME": 0x000D, "XOR_PEER_ADDRESS": 0x0012,
    "DATA": 0x0013, "REALM": 0x0014, "NONCE": 0x0015, "XOR_RELAYED_ADDRESS": 0x0016,
    "REQUESTED_ADDRESS_FAMILY": 0x0017, "REQUESTED_TRANSPORT": 0x0019, "XOR_MAPPED_ADDRESS": 0x0020,
    "PRIORITY": 0x0024, "USE_CANDIDATE": 0x0025, "ADDITIONAL_ADDRESS_FAMILY": 0x8000,
    "ADDRESS_ERROR_CODE": 0x8001, "SOFTWARE": 0x8022, "ALTERNATE_SERVER": 0x8023, "FINGERPRINT": 0x8028,
    "ICE_CONTROLLED": 0x8029, "ICE_CONTROLLING": 0x802A,
}  # fmt: skip


def test_numbers_are_those_of_the_registry() -> None:
    assert {name: getattr(stun, name) for name in NUMBERS} == NUMBERS


def test_message_integrity_of_the_newer_kind_is_understood() -> None:
    body = stun.attribute(0x001C, bytes(32)) + stun.attribute(0x001D, b"") + stun.attribute(0x001B, b"")
    message = stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, TXID, body))
    assert message.unknown_required() == [0x001D, 0x001B]


@pytest.mark.parametrize("code", [300, 401, 437, 486, 487, 499, 508])
def test_aioice_reads_our_errors(code: int) -> None:
    message = reference.parse_message(stun.encode(stun.BINDING_ERROR, TXID, stun.error_code(code, "so")))
    assert message.attributes["ERROR-CODE"] == (code, "so")
    assert stun.parse_untrusted(bytes(message)).error == (code, "so")


@pytest.mark.parametrize(
    ("value", "error"),
    [(b"\0\0\4\x63", (499, "")), (b"\0\0\5\x64", (500, "")), (b"\0\0\4", (0, ""))],
)
def test_an_error_has_four_octets_at_least(value: bytes, error: tuple[int, str]) -> None:
    body = stun.attribute(stun.ERROR_CODE, value)
    assert stun.parse_untrusted(stun.encode(stun.BINDING_ERROR, TXID, body)).error == error


def test_the_smallest_message_and_the_largest_type() -> None:
    empty = stun.encode(0x3FFF, TXID, b"", fingerprint=False)
    assert stun.parse_untrusted(empty).kind == 0x3FFF
    assert len(empty) == 20
    assert not stun.looks_like_stun(empty[:19])
    assert [stun.looks_like_stun(bytes((first,)) + empty[1:]) for first in (2, 3, 4)] == [True, True, False]
    assert stun.looks_like_stun(stun.encode(3, TXID, b"", fingerprint=False))
    with pytest.raises(stun.StunError):
        stun.parse_untrusted(stun.encode(0x4000, TXID, b"", fingerprint=False))


@pytest.mark.parametrize(("count", "good"), [(40, True), (41, False)])
def test_attributes_are_counted(count: int, good: bool) -> None:
    data = stun.encode(1, TXID, stun.u32(stun.PRIORITY, 1) * count, fingerprint=False)
    if good:
        assert len(stun.parse_untrusted(data).repeated) == count - 1
    else:
        with pytest.raises(stun.StunError, match="too many"):
            stun.parse_untrusted(data)


@pytest.mark.parametrize("length", range(9))
def test_attributes_of_any_length_are_padded(length: int) -> None:
    body = stun.attribute(stun.SOFTWARE, bytes(length)) + stun.u32(stun.PRIORITY, 7)
    message = stun.parse_untrusted(stun.encode(1, TXID, body))
    assert message.attributes[stun.SOFTWARE] == bytes(length)
    assert message.number(stun.PRIORITY) == 7
    assert message.long_number(stun.SOFTWARE) == (0 if length == 8 else None)


def test_plain_addresses_of_ipv6() -> None:
    value = b"\0\2" + (3478).to_bytes(2, "big") + bytes(15) + b"\x09"
    body = stun.attribute(stun.ALTERNATE_SERVER, value)
    assert stun.parse_untrusted(stun.encode(1, TXID, body)).plain_address(stun.ALTERNATE_SERVER) == (
        "::9",
        3478,
    )
    for bad in (value[:-1], value + b"\0", b"\0\1" + value[2:]):
        body = stun.attribute(stun.ALTERNATE_SERVER, bad)
        assert stun.parse_untrusted(stun.encode(1, TXID, body)).plain_address(stun.ALTERNATE_SERVER) is None


def test_transaction_ids_are_long_and_different() -> None:
    ids = {stun.new_transaction_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(one) for one in ids} == {12}


@pytest.mark.parametrize("length", range(9))
def test_what_follows_an_attribute_of_any_length_is_read(length: int) -> None:
    """RFC 8489 section 14: values are padded to four bytes, which their length does not count."""
    padded = b"\x7f\x01" + length.to_bytes(2) + b"x" * length + bytes(-length % 4)
    data = b"\x00\x01" + (len(padded) + 8).to_bytes(2) + stun.COOKIE_BYTES + bytes(12) + padded
    message = stun.parse_untrusted(data + b"\x7f\x02\x00\x04next")
    assert message.attributes == {0x7F01: b"x" * length, 0x7F02: b"next"}
