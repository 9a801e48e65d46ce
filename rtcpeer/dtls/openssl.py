"""Records of application data through OpenSSL's own functions: the hot path of DTLS.

pyOpenSSL's `send`, `recv`, `bio_write` and `bio_read` allocate a buffer, copy and ask for an error at each call. Here
the same functions of OpenSSL, by pyOpenSSL's own binding, work on one buffer, and errors are asked for when there is
one. `tests/unit/dtls/test_openssl.py` has a test for each name that is used.

Owns: that buffer, one for each thread: nothing that is in it outlives a call. Never: the handshake, a datagram.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from OpenSSL import SSL

__all__ = ["RECORD_OVERHEAD_MAX", "RecordLayer"]

# A record is longer than its content by header, nonce, padding and authentication code
RECORD_OVERHEAD_MAX: Final = 128
# The largest record (RFC 6347 section 4.1), and what is sealed together: as much as one datagram may hold
_BUFFER_SIZE: Final = 1 << 17

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_threads = threading.local()


def _buffer() -> Any:
    """The buffer of this thread: OpenSSL runs without the interpreter's lock."""
    buffer = getattr(_threads, "buffer", None)
    if buffer is None:
        buffer = _threads.buffer = _ffi.new("char[]", _BUFFER_SIZE)
    return buffer


class RecordLayer:
    """Seals and opens the records of an established connection.

    Args:
        connection: over memory buffers; used by the thread that makes this object alone.
    """

    __slots__ = ("_buffer", "_bytes", "_connection", "_from_ssl", "_into_ssl", "_ssl")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection: Any = connection
        self._ssl = self._connection._ssl
        self._into_ssl = self._connection._into_ssl
        self._from_ssl = self._connection._from_ssl
        self._buffer = _buffer()
        self._bytes = _ffi.buffer(self._buffer)

    def seal(self, data: bytes) -> bytes:
        """The record with this content: a datagram.

        Raises:
            SSL.Error: the connection is broken.
        """
        result = _lib.SSL_write(self._ssl, data, len(data))
        if result <= 0:
            self._raise(result)
        size: int = _lib.BIO_read(self._from_ssl, self._buffer, _BUFFER_SIZE)
        sealed: bytes = self._bytes[: max(size, 0)]
        return sealed

    def seal_all(self, contents: Sequence[bytes]) -> bytes:
        """The records with these contents, one behind the other; together they must fit into 100 kB.

        Raises:
            SSL.Error: the connection is broken.
        """
        write, ssl = _lib.SSL_write, self._ssl
        for data in contents:
            result = write(ssl, data, len(data))
            if result <= 0:
                self._raise(result)
        size: int = _lib.BIO_read(self._from_ssl, self._buffer, _BUFFER_SIZE)
        sealed: bytes = self._bytes[: max(size, 0)]
        return sealed

    def open(self, datagram: bytes) -> bytes:
        """The content of a datagram that is one record.

        Raises:
            SSL.WantReadError: there is none: it came twice, or is not authentic.
            SSL.ZeroReturnError: the other end has ended the connection.
            SSL.Error: an alert, or the connection is broken.
        """
        _lib.BIO_write(self._into_ssl, datagram, len(datagram))
        size = _lib.SSL_read(self._ssl, self._buffer, _BUFFER_SIZE)
        if size <= 0:
            self._raise(size)
        content: bytes = self._bytes[:size]
        return content

    def _raise(self, result: int) -> None:
        """Raise what pyOpenSSL would; what stays in OpenSSL's queue of errors would be taken for the next call's."""
        try:
            self._connection._raise_ssl_error(self._ssl, result)
        finally:
            _lib.ERR_clear_error()
        raise SSL.WantReadError
