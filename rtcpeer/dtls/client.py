"""DTLS client for a STUN or TURN server (RFC 7350), on datagrams that its owner sends and receives.

Owns: the handshake with its repetitions, and each datagram's way through OpenSSL's memory buffers.  Never: a socket.

Both roles are the same to this module; servers are those of `rtcpeer.testing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from OpenSSL import SSL

from rtcpeer.dtls.flight import Flight, written
from rtcpeer.dtls.records import is_clear_data, reason
from rtcpeer.dtls.trust import Expectation

_HANDSHAKE = 22
_RTO_LIMIT = 2.0
_READ_SIZE = 16384


def is_dtls(data: bytes) -> bool:
    """RFC 7983 section 7: by its first byte."""
    return bool(data) and 19 < data[0] < 64


class DtlsChannel:
    """One association.

    Args:
        connection: of pyOpenSSL, with its role set.
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
        connection: SSL.Connection,
        *,
        send: Callable[[bytes], None],
        receive: Callable[[bytes], None],
        on_end: Callable[[], None],
        rto: float,
    ) -> None:
        self._ssl: SSL.Connection | None = connection
        self._send = send
        self._receive = receive
        self._on_end = on_end
        self._flight = Flight(connection, send, first_rto=lambda: rto, rto_max=_RTO_LIMIT)
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    def start(self) -> None:
        """A client begins; a server waits."""
        self._handshake()

    def write(self, data: bytes) -> None:
        """One datagram; lost when there is no association (any more), as datagrams are."""
        connection = self._ssl
        if connection is not None and self.opened.done():
            try:
                connection.send(data)
            except SSL.Error:
                return  # too large, or just ended by the other end, which is told when that is read
            for datagram in written(connection):
                self._send(datagram)

    def received_untrusted(self, data: bytes) -> None:
        """One datagram from the other end's address."""
        connection = self._ssl
        if connection is None or not is_dtls(data):
            return
        if not self.opened.done():
            if not is_clear_data(data):
                connection.bio_write(data)
                self._handshake()
                self._read()
            return
        connection.bio_write(data)
        self._read()
        if data[0] == _HANDSHAKE and not self._flight.flush():
            # the other end repeats itself: it has not had our last flight
            self._flight.send()

    def lost(self, error: OSError) -> None:
        """The handshake fails, because there is no way to the other end; what is open stays open."""
        if not self.opened.done():
            self._end(error)

    def close(self) -> None:
        """Say goodbye."""
        connection = self._ssl
        if connection is not None:
            # it may be too early for a goodbye
            with contextlib.suppress(SSL.Error):
                connection.shutdown()
            self._flight.flush()
        self._end(ConnectionAbortedError("closed during the handshake"))

    # -- inside ------------------------------------------------------------------------------------

    def _handshake(self) -> None:
        connection = self._ssl
        if connection is None:
            return
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            self._flight.flush()
        except SSL.Error as exc:
            self._flight.flush()  # the alert that tells the other end why
            self._end(_failure(connection, exc))
        else:
            self._flight.flush()
            self._flight.settle()
            if not self.opened.done():
                self.opened.set_result(None)

    def _read(self) -> None:
        while self._ssl is not None and self.opened.done():
            try:
                data = self._ssl.recv(_READ_SIZE)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self._end(None)
                self._on_end()
                return
            except SSL.Error:
                # an alert ends it; a damaged record is dropped by OpenSSL without a word
                self._end(None)
                self._on_end()
                return
            self._receive(data)

    def _end(self, error: OSError | None) -> None:
        self._flight.forget()
        self._ssl = None
        self.ended.set()
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError("the other end closed the association"))
            # a server has nobody who asks
            self.opened.exception()


def _failure(connection: SSL.Connection, exc: SSL.Error) -> OSError:
    expected = connection.get_app_data()
    if isinstance(expected, Expectation) and expected.problem:
        error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {expected.problem}")
        error.verify_message = expected.problem
        return error
    return ssl.SSLError(1, f"DTLS handshake failed: {reason(exc)}")
