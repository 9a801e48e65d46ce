"""DTLS client for a STUN or TURN server (RFC 7350), on datagrams that its owner sends and receives.

The handshake is that of `handshake`: forged packets delay it and do not end it; but what takes the place of the
server's first word does, after a while, as a server begins anew with nobody from the same port.

Owns: the association, and each datagram's way through OpenSSL's memory buffers.  Never: a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from OpenSSL import SSL

from rtcpeer.dtls.flight import written
from rtcpeer.dtls.handshake import Handshake, HandshakeAttempt
from rtcpeer.dtls.handshake_filter import CHANGE_CIPHER_SPEC, HANDSHAKE
from rtcpeer.dtls.records import SEALED_MIN, SEALED_MIN_GCM, received_alert, usable_untrusted
from rtcpeer.dtls.trust import Expectation
from rtcpeer.errors import RTCError

_RTO_LIMIT = 2.0
_READ_SIZE = 16384


def is_dtls(data: bytes) -> bool:
    """RFC 7983 section 7: by its first byte."""
    return bool(data) and 19 < data[0] < 64


class DtlsChannel:
    """A DTLS association with a server.

    Args:
        connect: makes an object of pyOpenSSL, with `trust.client_connection`; more than one if somebody disturbs.
        send: puts one datagram on the way.
        receive: gets the plain content of each datagram.
        on_end: called once when the other end has ended what was open.
        rto: first repetition of a flight; it doubles.

    Attributes:
        opened: done when the handshake is; its exception is an OSError (ssl.SSLError is one).
        ended: set when there is nothing left, also after `close`.
    """

    def __init__(
        self,
        connect: Callable[[], SSL.Connection],
        *,
        send: Callable[[bytes], None],
        receive: Callable[[bytes], None],
        on_end: Callable[[], None],
        rto: float,
    ) -> None:
        self._connect = connect
        self._send = send
        self._receive = receive
        self._on_end = on_end
        # of the last attempt: it says why a certificate was refused
        self._expectation: Expectation | None = None
        self._ssl: SSL.Connection | None = None
        self._shortest = SEALED_MIN
        self._handshake: Handshake | None = Handshake(
            self._open,
            is_server=False,
            send=send,
            first_rto=lambda: rto,
            rto_max=_RTO_LIMIT,
            has_path=lambda: True,
            refused=self._refused,
            on_connected=self._connected,
            on_failed=self._failed,
        )
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Begin the handshake."""
        if self._handshake is not None:
            self._handshake.begin()

    def write(self, data: bytes) -> None:
        """Send one datagram; lost when there is no association (any more), as datagrams are."""
        connection = self._ssl
        if connection is not None:
            try:
                connection.send(data)
            except SSL.Error:
                return  # too large, or just ended by the other end, which is told when that is read
            self._flush(connection)

    def received_untrusted(self, data: bytes) -> None:
        """Take one datagram from the other end's address."""
        if not is_dtls(data):
            return
        if self._handshake is not None:
            self._handshake.receive_untrusted(data)
            return
        connection = self._ssl
        if connection is None:
            return
        # the server's last flight once more is no news: nothing of ours is missing there
        data = usable_untrusted(data, (CHANGE_CIPHER_SPEC, HANDSHAKE), self._shortest)
        if data:
            connection.bio_write(data)
            self._read()

    def lost(self, error: OSError) -> None:
        """The handshake fails, because there is no way to the other end; what is open stays open."""
        if not self.opened.done():
            self._end(error)

    def close(self) -> None:
        """Say goodbye."""
        connection = self._ssl
        if connection is not None:
            with contextlib.suppress(SSL.Error):
                connection.shutdown()
            self._flush(connection)
        self._end(ConnectionAbortedError("closed during the handshake"))

    # -- inside ------------------------------------------------------------------------------------

    def _open(self) -> SSL.Connection:
        connection = self._connect()
        self._expectation = connection.get_app_data()
        return connection

    def _refused(self) -> RTCError | None:
        expected = self._expectation
        if expected is None or not expected.problem:
            return None
        return RTCError("dtls-failure", f"certificate verify failed: {expected.problem}")

    def _connected(self, attempt: HandshakeAttempt) -> None:
        # the server has the last word: nothing of ours will be asked for again
        attempt.flight.forget()
        self._handshake, self._ssl = None, attempt.connection
        if "GCM" in (attempt.connection.get_cipher_name() or ""):
            self._shortest = SEALED_MIN_GCM
        self.opened.set_result(None)
        # what came before the end of the handshake, which OpenSSL has kept
        self._read()

    def _failed(self, error: RTCError) -> None:
        expected = self._expectation
        if expected is None or not expected.problem:
            self._end(ssl.SSLError(1, str(error)))
            return
        refusal = ssl.SSLCertVerificationError(1, str(error))
        refusal.verify_message = expected.problem
        self._end(refusal)

    def _flush(self, connection: SSL.Connection) -> None:
        for datagram in written(connection):
            self._send(datagram)

    def _read(self) -> None:
        while self._ssl is not None:
            try:
                data = self._ssl.recv(_READ_SIZE)
            except SSL.WantReadError:
                return
            except SSL.Error as exc:
                # what is damaged or forged ends nothing
                if isinstance(exc, SSL.ZeroReturnError) or received_alert(exc) is not None:
                    self._end(None)
                    self._on_end()
                return
            self._receive(data)

    def _end(self, error: OSError | None) -> None:
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake.stop()
        self._ssl = None
        self.ended.set()
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError("the other end closed the association"))
            # nobody may ask
            self.opened.exception()
