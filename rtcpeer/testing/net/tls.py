"""TLS over any `StreamSocket`, and a small authority whose certificates tests can trust.

The TLS machine is OpenSSL over memory buffers: it works on the virtual network and on real sockets alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rtcpeer.net.network import Address, StreamReceiver, StreamSocket

READ_SIZE = 65536


class TlsStream:
    """A `StreamSocket` that encrypts what it writes to another.

    Make it, give `feed` to the inner stream as its receiver, then call `start` with that stream.

    Args:
        context: a client's or a server's.
        receiver: gets the plain bytes, then None once.
        server_side: which end of the handshake.
        server_hostname: what a client verifies.

    Attributes:
        handshaken: done when the handshake is; its exception is an OSError (ssl.SSLError is one).
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        receiver: StreamReceiver | None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        self.receiver = receiver
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._machine = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._stream: StreamSocket | None = None
        self._queue: list[bytes] = []
        self._closed = False
        self.handshaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, stream: StreamSocket) -> None:
        """Begin the handshake over this stream."""
        self._stream = stream
        self._advance()

    @property
    def local_address(self) -> Address:
        """Our end."""
        return self._stream.local_address if self._stream else ("", 0)

    @property
    def remote_address(self) -> Address:
        """The address of the other end."""
        return self._stream.remote_address if self._stream else ("", 0)

    @property
    def is_closed(self) -> bool:
        """Whether either side has ended it."""
        return self._closed or self._stream is None or self._stream.is_closed

    def write(self, data: bytes) -> None:
        """Encrypt and send; before the handshake is done, keep."""
        if self._closed or not data:
            return
        if not self.handshaken.done():
            self._queue.append(data)
            return
        with contextlib.suppress(ssl.SSLError):
            self._machine.write(data)
        self._flush()

    def close(self) -> None:
        """Say goodbye and close the inner stream."""
        if self._closed:
            return
        self._closed = True
        if self.handshaken.done() and not self.handshaken.cancelled() and self.handshaken.exception() is None:
            # it sends close_notify, then complains that the other side has not answered yet
            with contextlib.suppress(ssl.SSLError):
                self._machine.unwrap()
            self._flush()
        self._fail(ConnectionAbortedError("closed during the handshake"))
        if self._stream is not None:
            self._stream.close()

    def feed(self, data: bytes | None) -> None:
        """Receiver of the inner stream."""
        if self._closed:
            return
        if data is None:
            self._end(ConnectionResetError("the stream ended during the handshake"))
            return
        self._incoming.write(data)
        self._advance()

    def _advance(self) -> None:
        try:
            if not self.handshaken.done():
                self._machine.do_handshake()
                self.handshaken.set_result(None)
                queued, self._queue = self._queue, []
                for data in queued:
                    self._machine.write(data)
            self._flush()
            while not self._closed:
                plain = self._machine.read(READ_SIZE)
                if not plain:
                    self._end(None)
                elif self.receiver is not None:
                    self.receiver(plain)
        except ssl.SSLWantReadError:
            self._flush()
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end(ConnectionResetError("the peer closed during the handshake"))
        except ssl.SSLError as exc:
            # the alert that tells the other side why
            self._flush()
            self._end(exc)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._stream is not None:
            self._stream.write(data)

    def _end(self, reason: OSError | None) -> None:
        self._closed = True
        during_handshake = not self.handshaken.done()
        self._fail(reason or ConnectionResetError("the stream ended"))
        if self._stream is not None:
            self._stream.close()
        if self.receiver is not None and not during_handshake:
            self.receiver(None)

    def _fail(self, reason: OSError) -> None:
        if not self.handshaken.done():
            self.handshaken.set_exception(reason)
            # a server has nobody who asks
            self.handshaken.exception()


class CertificateAuthority:
    """Signs server certificates; clients that use `client_context` trust them, nobody else does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rtcpeer test authority")])
        builder = self._builder(name, name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, names: Iterable[str]) -> tuple[str, str]:
        """A certificate and its key, as PEM, for these host names and IP addresses."""
        names = list(names)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        builder = self._builder(subject, self._certificate.subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return (
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
        )

    def server_context(self, names: Iterable[str]) -> ssl.SSLContext:
        """A context for a server with these names."""
        certificate, key = self.issue(names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # load_cert_chain reads files only
        descriptor, path = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(certificate + key)
            context.load_cert_chain(path)
        finally:
            os.unlink(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context that verifies names and trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem)
        return context

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(days=30),
        )
        # strict verification (Python 3.13's default) asks for both identifiers
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        return builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
