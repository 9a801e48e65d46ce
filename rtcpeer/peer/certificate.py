"""RTCCertificate and `RTCPeerConnection.generateCertificate` (webrtc-pc 4.9).

Owns: the face of a certificate and the reading of WebCrypto's algorithm dictionaries. Never: keys
(`rtcpeer.dtls.certificates`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

from rtcpeer import webidl
from rtcpeer.dtls.certificates import Certificate, KeyAlgorithm
from rtcpeer.errors import NotSupportedError, RTCSyntaxError
from rtcpeer.records import record

__all__ = ["RTCCertificate", "RTCDtlsFingerprint", "generate_certificate"]

# webrtc-pc 4.9.1: thirty days, and at most 365, in ms
DEFAULT_EXPIRATION_MS = 2_592_000_000
MAX_EXPIRATION_MS = 31_536_000_000
# of WebCrypto's EcKeyGenParams and RsaHashedKeyGenParams, and `expires` of webrtc-pc 4.9.1
_MEMBERS = frozenset({"name", "namedCurve", "modulusLength", "publicExponent", "hash", "expires"})
# Bounds what one call can cost: making a key of 4096 bits takes seconds. Below 1024 nobody accepts one.
MIN_MODULUS_BITS = 1024
MAX_MODULUS_BITS = 4096
# RFC 8017 allows others; no DTLS end in use makes or wants them
_EXPONENTS = (3, 65537)


@record(frozen=True, slots=True)
class RTCDtlsFingerprint:
    """A certificate fingerprint (webrtc-pc 5.5.1); the value is lower case here, upper case in SDP."""

    algorithm: str
    value: str


class RTCCertificate:
    """A certificate with its private key, for ``RTCConfiguration.certificates``.

    Made by `RTCPeerConnection.generateCertificate` or `from_pem`; one may serve many connections.
    """

    __slots__ = ("_core", "_expires")

    def __init__(self, core: Certificate | None = None, expires: float | None = None) -> None:
        if not isinstance(core, Certificate):
            raise TypeError("Illegal constructor: certificates are made by generateCertificate()")
        self._core = core
        # the certificate itself counts in seconds
        self._expires = float(int(core.expires.timestamp() * 1000 if expires is None else expires))

    @classmethod
    def from_pem(cls, text: str | bytes) -> Self:
        """Read a private key (EC or RSA, not encrypted) and its certificate, as `to_pem` writes them.

        Raises:
            RTCSyntaxError: there is no such pair in the text.
        """
        try:
            return cls(Certificate.from_pem(text))
        except ValueError as error:
            raise RTCSyntaxError(f"not a key with a certificate: {error}") from error

    def to_pem(self) -> str:
        """The private key, not encrypted, and the certificate. Keep it secret."""
        return self._core.to_pem()

    @property
    def expires(self) -> float:
        """When it ends, in ms since 1970 (UTC)."""
        return self._expires

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:
        """The fingerprints of the certificate, by the hash it is signed with."""
        return [RTCDtlsFingerprint(f.algorithm, f.value.lower()) for f in self._core.fingerprints]

    def __repr__(self) -> str:
        return f"<RTCCertificate {self.getFingerprints()[0].value[:11]}...>"


def core_of(certificate: RTCCertificate) -> Certificate:
    """The `dtls.certificates.Certificate` inside an RTCCertificate, which the transports use."""
    return certificate._core


async def generate_certificate(keygen_algorithm: Any = None, /, **members: Any) -> RTCCertificate:
    """Make a certificate.

    Implements: webrtc-pc 4.9.1 "generateCertificate", with what these two algorithms need of WebCrypto's
    "normalizing an algorithm". An RSA key is made in a thread.

    Args:
        keygen_algorithm: "ECDSA", {"name": "ECDSA", "namedCurve": "P-256"}, "RSASSA-PKCS1-v1_5" or {"name":
            "RSASSA-PKCS1-v1_5", "modulusLength": 2048, "publicExponent": bytes([1, 0, 1]), "hash":
            "SHA-256"}; a mapping may have "expires", the lifetime in ms. Names are not case sensitive. A bare
            name (which WebCrypto refuses) stands for the values shown.
        **members: the same as keywords.

    Raises:
        TypeError: a member is missing or has the wrong type.
        NotSupportedError: no certificate can be made this way.
    """
    algorithm, lifetime = read_algorithm(keygen_algorithm, members)
    # counted from the call, so that making the key takes nothing away
    expires = time.time() * 1000 + lifetime
    if algorithm.name == "RSA":
        core = await asyncio.to_thread(Certificate.generate, algorithm, lifetime / 1000)
    else:
        core = Certificate.generate(algorithm, lifetime / 1000)
    return RTCCertificate(core, expires)


def read_algorithm(value: Any, members: Mapping[str, Any]) -> tuple[KeyAlgorithm, int]:
    """The algorithm and the lifetime in ms.

    Raises:
        TypeError, NotSupportedError: as `generate_certificate`.
    """
    if isinstance(value, str):
        webidl.check_keywords("AlgorithmIdentifier", members, _MEMBERS)
        given: dict[str, Any] = {"name": value, **members}
        strict = False
    else:
        given = webidl.members("AlgorithmIdentifier", value, members, _MEMBERS)
        strict = True
    lifetime = webidl.optional_unsigned("expires", given.get("expires"), webidl.UNSIGNED_LONG_LONG)
    lifetime = DEFAULT_EXPIRATION_MS if lifetime is None else min(lifetime, MAX_EXPIRATION_MS)
    name = webidl.string("name", webidl.required("AlgorithmIdentifier", given, "name")).upper()
    if name == "ECDSA":
        return _read_ecdsa(given, strict=strict), lifetime
    if name == "RSASSA-PKCS1-V1_5":
        return _read_rsa(given, strict=strict), lifetime
    raise NotSupportedError(
        f"no certificate can be made with {given['name']!r}; there are ECDSA and RSASSA-PKCS1-v1_5"
    )


def _read_ecdsa(given: Mapping[str, Any], *, strict: bool) -> KeyAlgorithm:
    """WebCrypto EcKeyGenParams."""
    curve = given.get("namedCurve")
    if curve is None:
        if strict:
            raise TypeError("EcKeyGenParams: the member 'namedCurve' is required")
    elif webidl.string("namedCurve", curve) != "P-256":
        raise NotSupportedError(f"no certificate can be made on the curve {curve!r}; there is P-256")
    return KeyAlgorithm("ECDSA")


def _read_rsa(given: Mapping[str, Any], *, strict: bool) -> KeyAlgorithm:
    """WebCrypto RsaHashedKeyGenParams."""
    if strict:
        for member in ("modulusLength", "publicExponent", "hash"):
            webidl.required("RsaHashedKeyGenParams", given, member)
    bits = webidl.unsigned("modulusLength", given.get("modulusLength", 2048))
    exponent = _exponent(given.get("publicExponent", 65537))
    digest = given.get("hash", "SHA-256")
    if isinstance(digest, Mapping):
        digest = webidl.required("HashAlgorithmIdentifier", digest, "name")
    digest = webidl.string("hash", digest).upper()
    if not MIN_MODULUS_BITS <= bits <= MAX_MODULUS_BITS:
        raise NotSupportedError(
            f"modulusLength must be in {MIN_MODULUS_BITS}..{MAX_MODULUS_BITS}, not {bits}"
        )
    if exponent not in _EXPONENTS:
        raise NotSupportedError(f"publicExponent must be 3 or 65537, not {exponent}")
    if digest not in ("SHA-256", "SHA-384", "SHA-512"):
        raise NotSupportedError(f"no certificate can be signed with {digest}; SHA-256 is best supported")
    return KeyAlgorithm("RSA", bits, exponent, digest)


def _exponent(value: Any) -> int:
    """A BigInteger (bytes, most significant first), a list of them, or an int."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int.from_bytes(bytes(value) if isinstance(value, (list, tuple)) else memoryview(value), "big")
    except (TypeError, ValueError):
        raise TypeError(f"publicExponent must be bytes, not {webidl.kind(value)}") from None
