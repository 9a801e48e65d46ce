"""SFrame: the test vectors of RFC 9605 appendix C, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer import InvalidModificationError, InvalidStateError, RTCRangeError, SFrameTransform
from rtcpeer.media import sframe

KEY = bytes(range(16))
PLAIN = bytes.fromhex("64726166742d696574662d736672616d652d656e63")
METADATA = bytes.fromhex("4945544620534672616d65205747")
ENCRYPTED = {
    "AES_128_CTR_HMAC_SHA256_80": "9901234567449408b6f490086165b9d6f62b24ae1a59a56486b4ae8ed036b88912e24f11",
    "AES_128_CTR_HMAC_SHA256_64": "99012345673f31438db4d09434e43afa0f8a2f00867a2be085046a9f5cb4f101d607",
    "AES_128_CTR_HMAC_SHA256_32": "990123456717fc8af28a5a695afcfc6c8df6358a17e26b2fcb3bae32e443",
    "AES_128_GCM_SHA256_128": "9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb",
    "AES_256_GCM_SHA512_128": "990123456794f509d36e9beacb0e261d99c7d1e972f1fed787d4049f17ca21353c1cc24d56ceabced279",
}
HEADERS = [
    (0, 0, "00"),
    (0, 255, "08ff"),
    (0, 65536, "0a010000"),
    (0, 2**64 - 1, "0fffffffffffffffff"),
    (7, 7, "77"),
    (8, 8, "880808"),
    (2**64 - 1, 2**64 - 1, "ffffffffffffffffffffffffffffffffff"),
]


def cipher(suite, *, counter=0):
    result = sframe.SFrameCipher(suite)
    result.set_key(KEY, 0x123)
    result._keys[0x123].counter = counter
    return result


@pytest.mark.parametrize(("suite", "expected"), ENCRYPTED.items())
def test_vectors_of_the_rfc(suite, expected):
    assert cipher(suite, counter=0x4567).encrypt(PLAIN, METADATA).hex() == expected
    assert cipher(suite).decrypt_untrusted(bytes.fromhex(expected), METADATA) == PLAIN


@pytest.mark.parametrize(("key_id", "counter", "encoded"), HEADERS)
def test_headers(key_id, counter, encoded):
    assert sframe.write_header(key_id, counter).hex() == encoded
    assert sframe.read_header_untrusted(bytes.fromhex(encoded)) == (key_id, counter, len(encoded) // 2)


@pytest.mark.parametrize("suite", sframe.SUITES)
def test_every_frame_is_encrypted_differently_and_none_can_be_changed(suite):
    sender, receiver = cipher(suite), cipher(suite)
    first, second = sender.encrypt(b"picture"), sender.encrypt(b"picture")
    assert first != second
    assert receiver.decrypt_untrusted(second) == receiver.decrypt_untrusted(first) == b"picture"
    for at in range(1, len(first)):
        changed = bytearray(first)
        changed[at] ^= 1
        with pytest.raises((sframe.AuthenticationError, sframe.UnknownKeyError)):
            receiver.decrypt_untrusted(bytes(changed))
    with pytest.raises(sframe.AuthenticationError):
        receiver.decrypt_untrusted(first, b"other metadata")


@given(st.binary(max_size=64))
def test_anything_else_is_refused(data):
    with pytest.raises((ValueError, sframe.AuthenticationError, sframe.UnknownKeyError)):
        cipher("AES_128_GCM_SHA256_128").decrypt_untrusted(data)


def test_without_a_key_nothing_is_encrypted():
    with pytest.raises(sframe.UnknownKeyError):
        sframe.SFrameCipher("AES_128_GCM_SHA256_128").encrypt(b"picture")


async def test_arguments():
    with pytest.raises(TypeError):
        SFrameTransform()
    with pytest.raises(TypeError):
        SFrameTransform(cipherSuite="ROT13")
    transform = SFrameTransform({"cipherSuite": "AES_256_GCM_SHA512_128"})
    for key_id in (-1, 2**64, True, "1"):
        with pytest.raises(RTCRangeError):
            await transform.setEncryptionKey(b"key", key_id)
    with pytest.raises(InvalidModificationError):
        await transform.setEncryptionKey(b"")
    with pytest.raises(TypeError):
        await transform.setEncryptionKey("key")
    await transform.setEncryptionKey(b"key", 2**64 - 1)
    transform.attach(object())
    with pytest.raises(InvalidStateError):
        transform.attach(object())
