"""Verification of TURN and STUN servers over DTLS: pyOpenSSL contexts with the trust of an `ssl.SSLContext`.

Owns: the translation. Names of servers are verified by service-identity (RFC 9525).  Never: I/O, and none of the
keys of the context: a client certificate cannot be read out of it.
"""

from __future__ import annotations

import ipaddress
import ssl
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from rtcpeer.dtls.records import HANDSHAKE_MTU
from rtcpeer.net.system import default_tls_context

# X509_V_ERR_...; OpenSSL's own words, which pyOpenSSL keeps to itself
_PROBLEMS = {
    2: "unable to get issuer certificate",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    24: "invalid CA certificate",
    26: "unsupported certificate purpose",
}

_contexts: WeakKeyDictionary[ssl.SSLContext, SSL.Context] = WeakKeyDictionary()


class Expectation:
    """The certificate that a server has to show, and what was wrong with what it showed.

    Attributes:
        host: the name or address of the URL; None when any certificate of a trusted authority will do.
        problem: why the certificate was refused; empty until then.
    """

    __slots__ = ("host", "problem")

    def __init__(self, host: str | None) -> None:
        self.host = host
        self.problem: str = ""


def client_connection(trust: ssl.SSLContext | None, host: str) -> SSL.Connection:
    """A DTLS connection over memory buffers to a server of this name.

    Args:
        trust: its loaded authorities, flags, and whether it verifies at all and compares names, count here as for
            TLS; None means the system's authorities.
        host: name or IP address, as in the URL.
    """
    trust = trust or default_tls_context()
    context = _contexts.get(trust)
    if context is None:
        context = _contexts[trust] = _translate(trust)
    connection = SSL.Connection(context)
    connection.set_app_data(Expectation(host if trust.check_hostname else None))
    if _address(host) is None:
        connection.set_tlsext_host_name(host.encode())
    connection.set_ciphertext_mtu(HANDSHAKE_MTU)
    connection.set_connect_state()
    return connection


def server_connection(certificate: str, key: str) -> SSL.Connection:
    """The other end, with a certificate and its key in PEM."""
    context = _context()
    context.use_certificate(x509.load_pem_x509_certificate(certificate.encode()))
    private_key = load_pem_private_key(key.encode(), None)
    assert isinstance(private_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    context.use_privatekey(private_key)
    connection = SSL.Connection(context)
    connection.set_ciphertext_mtu(HANDSHAKE_MTU)
    connection.set_accept_state()
    return connection


def _context() -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    # The path MTU is ours to know: the memory BIO has none to be asked for.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _translate(trust: ssl.SSLContext) -> SSL.Context:
    context = _context()
    if trust.verify_mode is ssl.CERT_NONE:
        return context
    context.set_verify(SSL.VERIFY_PEER, _verify)
    store = context.get_cert_store()
    assert store is not None
    for der in trust.get_ca_certs(binary_form=True):
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    store.set_flags(int(trust.verify_flags))
    if trust is default_tls_context():
        # a directory of authorities is read when one is looked for: `get_ca_certs` does not know them
        context.set_default_verify_paths()
    return context


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, valid: int) -> bool:
    """Called by OpenSSL for each certificate of the chain, the server's own last."""
    expected: Expectation = connection.get_app_data()
    if not valid:
        expected.problem = _PROBLEMS.get(error, f"OpenSSL's verification error {error}")
        return False
    if depth == 0 and expected.host is not None and not is_for(certificate.to_cryptography(), expected.host):
        expected.problem = f"it is not for {expected.host}"
        return False
    return True


def is_for(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate names this host (RFC 9525 section 6): by subjectAltName, never by its common name."""
    # loads much, and few connections ask a server over DTLS
    from service_identity import CertificateError, VerificationError
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

    name = host.rstrip(".")
    try:
        if _address(name) is None:
            verify_certificate_hostname(certificate, name)
        else:
            verify_certificate_ip_address(certificate, name)
    except (VerificationError, CertificateError, ValueError):
        # another name; names that are none; an extension that cannot be read, or a host that can be nobody's name
        return False
    return True


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
