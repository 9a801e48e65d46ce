"""The flights of a DTLS handshake: sent, kept, and sent again until they are answered (RFC 6347 section 4.2.4).

OpenSSL times its repetitions by the wall clock and cannot be told to send again.  So the last flight is kept here as
datagrams and sent again as it was, by the loop's clock; when OpenSSL's own timer is due as well, its fresh records go
instead.  An end that has had a flight ignores its repetition (replay check), which is why each end repeats its own
until it is answered.

Owns: the last flight of one association, and its timer.  Never: a socket; gives up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from OpenSSL import SSL

from rtcpeer.dtls.records import HANDSHAKE_MTU, describe_untrusted, split_records

logger = logging.getLogger(__name__)

# OpenSSL gives up after its twelfth timeout; we do not, so we stop asking it before.
_OPENSSL_TIMEOUTS_MAX = 10


def written(connection: SSL.Connection) -> list[bytes]:
    """The datagrams that OpenSSL has for the other end."""
    try:
        data = connection.bio_read(65536)
    except SSL.Error:
        return []
    return split_records(data, HANDSHAKE_MTU)


class Flight:
    """The last flight of one end.

    Args:
        connection: of pyOpenSSL, over memory buffers.
        send: puts one datagram on the way.
        first_rto: gives the seconds until a flight is repeated first; they double.
        rto_max: what doubling leads to, unless the first wait is longer already.
        name: for logs.
    """

    def __init__(
        self,
        connection: SSL.Connection,
        send: Callable[[bytes], None],
        *,
        first_rto: Callable[[], float],
        rto_max: float,
        name: str = "",
    ) -> None:
        self._connection = connection
        self._send = send
        self._first_rto = first_rto
        self._rto_max = rto_max
        self._name = name
        self._rto = 0.0
        self._datagrams: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timeouts = 0
        self._is_settled = False

    def flush(self) -> bool:
        """Send what OpenSSL wrote, as a new flight while shaking hands; False if there was nothing."""
        datagrams = written(self._connection)
        if datagrams and not self._is_settled:
            self._datagrams = datagrams
            self._rto = self._first_rto()
            self._arm()
            self._log("sends", datagrams)
        for datagram in datagrams:
            self._send(datagram)
        return bool(datagrams)

    def send(self) -> None:
        """Send the flight once more, as it was."""
        for datagram in self._datagrams:
            self._send(datagram)

    def restart(self) -> None:
        """Send it now, and wait as if it were new: a path came (back)."""
        self._rto = self._first_rto()
        self._repeat()

    def settle(self) -> None:
        """The handshake is over: the flight is kept only for an end that says that it has not had it."""
        self._is_settled = True
        self._cancel()

    def forget(self) -> None:
        """Forget the flight: nothing of it will be asked for any more."""
        self.settle()
        self._datagrams = []

    def _repeat(self) -> None:
        if not self._datagrams:
            return
        if self._timeouts < _OPENSSL_TIMEOUTS_MAX:
            try:
                if self._connection.DTLSv1_handle_timeout():
                    self._timeouts += 1
            except SSL.Error as exc:
                logger.debug("%s DTLS timer: %s", self._name, exc)
            self._datagrams = written(self._connection) or self._datagrams
        self._arm()
        self._log("repeats", self._datagrams)
        self.send()

    def _log(self, verb: str, datagrams: list[bytes]) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s DTLS %s %s", self._name, verb, describe_untrusted(datagrams))

    def _arm(self) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(self._rto, self._on_timer)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._rto = min(2 * self._rto, max(self._rto_max, self._first_rto()))
        self._repeat()
