"""Certificates for DTLS: made, read, written, and put into TLS connections.

Owns: keys, and the one TLS context of the process. A context costs 0.2 ms and 32 kB, so all certificates share it;
a certificate costs 0.06 ms, so each connection has its own: the other end tells associations apart, and a
handover from one connection to another, by the fingerprint alone (RFC 8842 section 3).
Never: I/O; a key in a repr.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from rtcpeer.errors import NotSupportedError
from rtcpeer.records import record
from rtcpeer.rtp.srtp import PROFILE_NAMES
from rtcpeer.values import Fingerprint

# webrtc-pc 4.9.1: thirty days are what browsers give
DEFAULT_LIFETIME = 30 * 86400.0
# clocks of the two ends may differ
BACKDATE = datetime.timedelta(days=1)

# RFC 8827 section 6.5 demands the first; the RSA suites let either role talk to ends that hold RSA
# certificates, the CBC suites to old ones.
CIPHERS = b":".join(
    (
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-CHACHA20-POLY1305",
        b"ECDHE-ECDSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES256-GCM-SHA384",
        b"ECDHE-ECDSA-AES128-SHA",
        b"ECDHE-RSA-AES128-SHA",
        b"ECDHE-ECDSA-AES256-SHA",
        b"ECDHE-RSA-AES256-SHA",
        # RSA keys of 1024 bits, which browsers make and take (webrtc-pc 4.9.1), are below OpenSSL's default level. Who
        # has which key, its fingerprint says; nothing else that matters here depends on the level.
        b"@SECLEVEL=1",
    )
)
# OpenSSL's SSL_MODE_RELEASE_BUFFERS, which pyOpenSSL does not name: idle connections keep no read buffer
_MODE_RELEASE_BUFFERS = 0x10

_HASHES: dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}
# Strongest first; weaker or unknown ones prove nothing (RFC 8122 section 5).
_FINGERPRINT_HASHES = ("sha-512", "sha-384", "sha-256", "sha-224", "sha-1")

# a handshake in memory takes half as many turns
_FLIGHTS_MAX = 10

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@record(frozen=True, slots=True)
class KeyAlgorithm:
    """The kind of key that a certificate gets: "ECDSA" (on P-256) or "RSA"."""

    name: str = "ECDSA"
    modulus_length: int = 2048
    public_exponent: int = 65537
    hash: str = "SHA-256"


class Certificate:
    """A key with its self-signed (or given) certificate.

    Attributes:
        expires: when it ends, UTC.
    """

    def __init__(self, key: PrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.expires: datetime.datetime = certificate.not_valid_after_utc
        # made when first asked for
        self._fingerprints: tuple[Fingerprint, ...] = ()

    @classmethod
    def generate(cls, algorithm: KeyAlgorithm | None = None, expires_in: float = DEFAULT_LIFETIME) -> Self:
        """Make a key and a self-signed certificate. Blocks: 0.3 ms for ECDSA, 100 ms for RSA.

        Args:
            algorithm: ECDSA on P-256 by default.
            expires_in: seconds from now, at least 0.

        Raises:
            NotSupportedError: no such algorithm, or it does not work with these parameters.
        """
        algorithm = algorithm or KeyAlgorithm()
        digest = _HASHES.get(algorithm.hash)
        if digest is None:
            raise NotSupportedError(f"no certificate can be signed with {algorithm.hash}")
        key: PrivateKey
        if algorithm.name == "ECDSA":
            key = ec.generate_private_key(ec.SECP256R1())
        elif algorithm.name == "RSA":
            try:
                key = rsa.generate_private_key(algorithm.public_exponent, algorithm.modulus_length)
            except ValueError as exc:
                raise NotSupportedError(str(exc)) from exc
        else:
            raise NotSupportedError(f"no certificate can be made with {algorithm.name}")
        # a random name: two certificates of one process tell nothing about each other
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, os.urandom(8).hex())])
        now = datetime.datetime.now(tz=datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + datetime.timedelta(seconds=expires_in))
        )
        made = cls(key, builder.sign(key, digest))
        if algorithm.name != "ECDSA":  # that one is usable wherever DTLS is
            try:
                made.check_usable()
            except ValueError as exc:
                raise NotSupportedError(
                    f"{algorithm.name} with {algorithm.modulus_length} bits: {exc}"
                ) from exc
        return made

    @classmethod
    def from_pem(cls, text: str | bytes) -> Self:
        """Read a private key and a certificate, in any order, from one text.

        Raises:
            ValueError: it holds no usable pair: none at all, or one that DTLS here would refuse.
        """
        data = text.encode() if isinstance(text, str) else text
        key = serialization.load_pem_private_key(_block(data, b"PRIVATE KEY"), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key of a certificate for DTLS is an EC or RSA key")
        certificate = x509.load_pem_x509_certificate(_block(data, b"CERTIFICATE"))
        if certificate.public_key() != key.public_key():
            raise ValueError("the certificate does not belong to the key")
        read = cls(key, certificate)
        read.check_usable()
        return read

    def check_usable(self) -> None:
        """Shake hands with ourselves: what DTLS would refuse later is refused now. Blocks: 1 to 5 ms.

        The TLS library has its own mind about key sizes, curves and hashes (OpenSSL's security level).

        Raises:
            ValueError: no connection can be made with this certificate.
        """
        try:
            client, server = self.open_connection(), self.open_connection()
            client.set_connect_state()
            server.set_accept_state()
            waiting = [client, server]
            for end in waiting:
                end.set_app_data(_Anybody())
                end.set_ciphertext_mtu(1200)
            for _ in range(_FLIGHTS_MAX):
                waiting = [end for end in waiting if not _step(end)]
                for source, target in ((client, server), (server, client)):
                    for record in _written(source):
                        target.bio_write(record)
                if not waiting:
                    return
        except SSL.Error as exc:
            reasons = ", ".join(str(part[-1]) for part in exc.args[0]) if exc.args else "it was not said why"
            raise ValueError(f"this certificate cannot be used for DTLS here: {reasons}") from exc
        raise ValueError("this certificate cannot be used for DTLS here: a handshake with it does not end")

    def to_pem(self) -> str:
        """The private key (unencrypted) and the certificate, as `from_pem` reads them."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (key + self._certificate.public_bytes(serialization.Encoding.PEM)).decode()

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    @property
    def expired(self) -> bool:
        """Whether it has ended."""
        return self.expires <= datetime.datetime.now(tz=datetime.UTC)

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """The fingerprint, by the hash that the certificate is signed with (webrtc-pc 4.9.2 "getFingerprints")."""
        if not self._fingerprints:
            digest = self._certificate.signature_hash_algorithm
            if not isinstance(digest, hashes.SHA384 | hashes.SHA512):
                digest = hashes.SHA256()
            value = self._certificate.fingerprint(digest).hex(":").upper()
            self._fingerprints = (Fingerprint(f"sha-{digest.name[3:]}", value),)
        return self._fingerprints

    def open_connection(self, others: Sequence[Certificate] = ()) -> SSL.Connection:
        """A TLS connection over memory BIOs that shows this certificate.

        Args:
            others: as a server, one of these is shown to an end that has no use for this kind of key; the first
                of each kind counts. A client shows this one: it cannot know what the other end would rather see.
        """
        kinds: dict[type[PrivateKey], Certificate] = {}
        for certificate in (self, *others):
            kinds.setdefault(
                rsa.RSAPrivateKey
                if isinstance(certificate._key, rsa.RSAPrivateKey)
                else ec.EllipticCurvePrivateKey,
                certificate,
            )
        connection = SSL.Connection(_context())
        for certificate in reversed(kinds.values()):  # the last one set is what a client shows
            connection.use_certificate(certificate._certificate)
            connection.use_privatekey(certificate._key)
        return connection

    def __repr__(self) -> str:
        return f"<Certificate {self.fingerprints[0].value[:11]}... until {self.expires:%Y-%m-%d}>"


class CertificateUser(Protocol):
    """Protocol of the application data of a connection, which knows what certificate is expected."""

    def check_certificate(self, certificate: crypto.X509) -> bool:
        """Whether this is the certificate of the other end."""


class _Anybody:
    """A `CertificateUser` that expects nobody in particular."""

    def check_certificate(self, _certificate: crypto.X509) -> bool:
        """Any will do."""
        return True


def _step(end: SSL.Connection) -> bool:
    """Go on with a handshake; whether it has ended."""
    try:
        end.do_handshake()
    except SSL.WantReadError:
        return False
    return True


def _written(end: SSL.Connection) -> list[bytes]:
    """The datagrams that a connection wants to have sent."""
    try:
        return [end.bio_read(65536)]
    except SSL.WantReadError:
        return []


def _verify(connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, _ok: int) -> bool:
    # Who the peer is, its fingerprint says (RFC 8827 section 5), not who signed for it. Refusing here, and
    # not after the handshake, tells the other end why (an alert).
    if depth > 0:
        return True
    user: CertificateUser | None = connection.get_app_data()
    return user is not None and user.check_certificate(certificate)


@cache
def _context() -> SSL.Context:
    """The DTLS context of this process; it has no certificate of its own."""
    context = SSL.Context(SSL.DTLS_METHOD)
    # The path MTU is ours to know: the memory BIO has none to be asked for.
    # A renegotiation would change keys and certificate behind the back of what was verified.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
    # No session is resumed, so none needs to be kept (a shared context would keep 20,000).
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(_MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    context.set_tlsext_use_srtp(b":".join(PROFILE_NAMES))
    # last: pyOpenSSL below 26 tries the list with a connection, and then warns of every further change
    context.set_cipher_list(CIPHERS)
    return context


def _block(data: bytes, label: bytes) -> bytes:
    """The first PEM block whose label ends in `label`."""
    kept: list[bytes] = []
    for line in data.splitlines():
        if line.startswith(b"-----BEGIN ") and line.rstrip().endswith(label + b"-----"):
            kept = [line]
        elif kept:
            kept.append(line)
            if line.startswith(b"-----END "):
                return b"\n".join(kept) + b"\n"
    raise ValueError(f"no {label.decode().lower()} in this text")


def is_named(certificate: bytes, fingerprints: Sequence[Fingerprint]) -> bool:
    """Whether a description with these fingerprints names this certificate (RFC 8122 section 5).

    Of the algorithms listed, the strongest that we know counts; one fingerprint of that set must match.
    """
    listed = {fingerprint.algorithm.lower() for fingerprint in fingerprints}
    for algorithm in _FINGERPRINT_HASHES:
        if algorithm in listed:
            digest = hashlib.new(algorithm.replace("-", ""), certificate).hexdigest()
            values = (f.value for f in fingerprints if f.algorithm.lower() == algorithm)
            return any(value.replace(":", "").lower() == digest for value in values)
    return False
