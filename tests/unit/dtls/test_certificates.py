from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from rtcpeer.dtls.certificates import Certificate, KeyAlgorithm
from rtcpeer.errors import NotSupportedError


@pytest.fixture(scope="module")
def certificate():
    return Certificate.generate()


def test_lasts_thirty_days(certificate):
    left = certificate.expires - datetime.datetime.now(tz=datetime.UTC)

    assert datetime.timedelta(days=29) < left <= datetime.timedelta(days=30)
    assert not certificate.expired


def test_an_expired_one_says_so():
    assert Certificate.generate(expires_in=0.0).expired


def test_fingerprint_is_the_hash_of_the_der(certificate):
    (fingerprint,) = certificate.fingerprints

    assert fingerprint.algorithm == "sha-256"
    assert fingerprint.value.replace(":", "").lower() == hashlib.sha256(certificate.der).hexdigest()
    assert fingerprint.value == fingerprint.value.upper()


def test_sha_384_gives_a_fingerprint_of_that_kind():
    (fingerprint,) = Certificate.generate(KeyAlgorithm(hash="SHA-384")).fingerprints

    assert fingerprint.algorithm == "sha-384"


def test_pem_and_back(certificate):
    again = Certificate.from_pem(certificate.to_pem())

    assert again.der == certificate.der
    assert again.fingerprints == certificate.fingerprints


def test_pem_takes_any_order_and_bytes(certificate):
    text = certificate.to_pem()
    key, _, cert = text.partition("-----BEGIN CERTIFICATE")

    assert Certificate.from_pem(("-----BEGIN CERTIFICATE" + cert + key).encode()).der == certificate.der


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_bad_pem_is_a_value_error(text):
    with pytest.raises(ValueError):
        Certificate.from_pem(text)


def test_pem_of_two_different_pairs_is_refused(certificate):
    other = Certificate.generate().to_pem()
    key = certificate.to_pem().partition("-----BEGIN CERTIFICATE")[0]

    with pytest.raises(ValueError, match="does not belong"):
        Certificate.from_pem(key + "-----BEGIN CERTIFICATE" + other.partition("-----BEGIN CERTIFICATE")[2])


@pytest.mark.parametrize(
    "algorithm",
    [KeyAlgorithm(name="DSA"), KeyAlgorithm(hash="SHA-1"), KeyAlgorithm("RSA", modulus_length=16)],
)
def test_what_cannot_be_made_is_not_supported(algorithm):
    with pytest.raises(NotSupportedError):
        Certificate.generate(algorithm)


def test_connections_share_one_context_and_show_their_own_certificate(certificate):
    first, second = certificate.open_connection(), Certificate.generate().open_connection()

    assert first.get_context() is second.get_context()
    assert first.get_certificate(as_cryptography=True).public_bytes(Encoding.DER) == certificate.der
    assert second.get_certificate(as_cryptography=True).public_bytes(Encoding.DER) != certificate.der


def test_a_repr_tells_no_key(certificate):
    assert "PRIVATE" not in repr(certificate)
    assert len(repr(certificate)) < 60
