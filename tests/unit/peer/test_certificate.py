import asyncio
import datetime
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rtcpeer import RTCPeerConnection
from rtcpeer.dtls import certificates
from rtcpeer.dtls.certificates import Certificate, KeyAlgorithm
from rtcpeer.errors import NotSupportedError, RTCSyntaxError
from rtcpeer.peer.certificate import RTCCertificate, core_of, generate_certificate, read_algorithm

ECDSA = {"name": "ECDSA", "namedCurve": "P-256"}
RSA = {
    "name": "RSASSA-PKCS1-v1_5",
    "modulusLength": 2048,
    "publicExponent": b"\x01\x00\x01",
    "hash": "SHA-256",
}
DAY = 86_400_000


async def test_ecdsa():
    certificate = await generate_certificate(ECDSA)
    assert certificate.expires - time.time() * 1000 == pytest.approx(30 * DAY, abs=10_000)
    (fingerprint,) = certificate.getFingerprints()
    assert fingerprint.algorithm == "sha-256"
    assert len(fingerprint.value) == 95
    assert fingerprint.value == fingerprint.value.lower()
    assert fingerprint.value.upper() == core_of(certificate).fingerprints[0].value
    assert fingerprint.value[:11] in repr(certificate)


async def test_rsa():
    certificate = await generate_certificate(RSA)
    assert "PRIVATE KEY" in certificate.to_pem()
    assert certificate.expires > time.time() * 1000


async def test_a_key_of_1024_bits_is_usable():
    """The W3C suite makes such a certificate, and browsers shake hands with it."""
    async with (
        RTCPeerConnection(certificates=[await generate_certificate(RSA | {"modulusLength": 1024})]) as pc,
        RTCPeerConnection() as other,
    ):
        pc.onicecandidate = lambda e: (
            e.candidate and asyncio.ensure_future(other.addIceCandidate(e.candidate))
        )
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await other.gathered()
        await pc.setRemoteDescription(other.localDescription)
        await asyncio.gather(pc.connected(timeout=20), other.connected(timeout=20))


async def test_a_certificate_that_no_handshake_would_take_is_refused_when_it_is_made(monkeypatch):
    """Where OpenSSL is set to be stricter: not after a description was applied."""
    monkeypatch.setattr(certificates, "CIPHERS", certificates.CIPHERS.replace(b"LEVEL=1", b"LEVEL=2"))
    monkeypatch.setattr(certificates, "_context", certificates._context.__wrapped__)
    with pytest.raises(NotSupportedError, match=r"1024 bits.*key too small"):
        await generate_certificate(RSA | {"modulusLength": 1024})


def test_a_certificate_that_no_handshake_would_take_is_refused_when_it_is_read():
    key = ec.generate_private_key(ec.SECP256K1())  # no curve of TLS 1.2 as it is spoken here
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(5).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    text = Certificate(key, builder.sign(key, hashes.SHA256())).to_pem()
    with pytest.raises(RTCSyntaxError, match="cannot be used for DTLS"):
        RTCCertificate.from_pem(text)


async def test_expires():
    now = time.time() * 1000
    assert (await generate_certificate(ECDSA | {"expires": 2000})).expires == pytest.approx(
        now + 2000, abs=900
    )
    assert (await generate_certificate(ECDSA, expires=0)).expires <= time.time() * 1000
    assert (await generate_certificate(ECDSA | {"expires": 10**12})).expires == pytest.approx(
        now + 365 * DAY, abs=10_000
    )


async def test_pem_round_trip():
    one = await generate_certificate("ECDSA")
    other = RTCCertificate.from_pem(one.to_pem())
    assert other.getFingerprints() == one.getFingerprints()
    assert other.expires == pytest.approx(one.expires, abs=1000)
    assert RTCCertificate.from_pem(one.to_pem().encode()).to_pem() == one.to_pem()
    for bad in ("", "x", one.to_pem()[:200]):
        with pytest.raises(RTCSyntaxError):
            RTCCertificate.from_pem(bad)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ecdsa", KeyAlgorithm("ECDSA")),
        (ECDSA, KeyAlgorithm("ECDSA")),
        (RSA, KeyAlgorithm("RSA", 2048, 65537, "SHA-256")),
        ("RSASSA-PKCS1-v1_5", KeyAlgorithm("RSA", 2048, 65537, "SHA-256")),
        (RSA | {"publicExponent": [1, 0, 1], "hash": {"name": "sha-384"}}, KeyAlgorithm(
            "RSA", 2048, 65537, "SHA-384"
        )),
        (RSA | {"publicExponent": 3}, KeyAlgorithm("RSA", 2048, 3, "SHA-256")),
    ],
)  # fmt: skip
def test_read_algorithm(value, expected):
    assert read_algorithm(value, {})[0] == expected
    if isinstance(value, dict):
        assert read_algorithm(None, value)[0] == expected


@pytest.mark.parametrize(
    "value",
    [
        "invalid-algo",
        {"name": "invalid-algo"},
        {"name": "ECDSA", "namedCurve": "P-521"},
        RSA | {"hash": "SHA-1"},
        RSA | {"modulusLength": 512},
        RSA | {"modulusLength": 65536},
        RSA | {"publicExponent": 17},
    ],
)
async def test_not_supported(value):
    with pytest.raises(NotSupportedError):
        await generate_certificate(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        {},
        {"name": 5},
        {"name": "ECDSA"},
        {"name": "ECDSA", "namedCurve": 5},
        ECDSA | {"expires": -1},
        ECDSA | {"expires": "invalid"},
        ECDSA | {"expires": 2.0**65},
        {"name": "RSASSA-PKCS1-v1_5", "modulusLength": 2048},
        RSA | {"modulusLength": "x"},
        RSA | {"publicExponent": "x"},
        RSA | {"publicExponent": [300]},
        RSA | {"hash": {}},
        RSA | {"hash": 5},
    ],
)
async def test_type_errors(value):
    with pytest.raises(TypeError):
        await generate_certificate(value)


def test_illegal_constructor():
    with pytest.raises(TypeError, match="Illegal constructor"):
        RTCCertificate()


async def test_every_configured_certificate_is_offered_and_the_first_is_used():
    mine = [await generate_certificate(ECDSA), await generate_certificate(RSA)]
    async with RTCPeerConnection(certificates=mine) as pc, RTCPeerConnection() as other:
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        for certificate in mine:
            (fingerprint,) = certificate.getFingerprints()
            assert (
                f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value.upper()}\r\n"
                in pc.localDescription.sdp
            )
        await pc.gathered()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await other.gathered()
        await pc.setRemoteDescription(other.localDescription)
        await other.connected()
        await pc.connected()
        assert other.sctp.transport.getRemoteCertificates() == [core_of(mine[0]).der]
