"""The handshake of a DTLS association: it survives forged packets, and ends with an error instead of never.

Theory of operation.  Unencrypted records pass `HandshakeFilter`.  What still looks right can be forged, and then
OpenSSL's object is broken, or the other end's is.  Neither is a failure: the handshake begins anew, with a new
object.  A client shows it by another ClientHello; a server by another ServerHello in answer to the same ClientHello,
which makes the client begin anew.  A client waits a little before that, longer each time, so that what is still on
its way for the attempt before does not spoil the next.  A server keeps the attempt before as well, as it does not know
which ClientHello is the forged one; the first that comes to its end counts.  It has a budget.

It fails when the other end's certificate is not the one that was announced; when an authenticated alert says so; and
when a path has been there for long without a result, sooner if there are signs of a reason (an alert that nobody
authenticated, an object that broke).

Owns: OpenSSL's object until the handshake is over, the last flight, the timers.  Never: application data.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from OpenSSL import SSL

from rtcpeer.dtls.flight import Flight, written
from rtcpeer.dtls.handshake_filter import BeginsAnew, HandshakeFilter
from rtcpeer.dtls.records import HANDSHAKE_MTU, alert_name, describe_untrusted, reason, received_alert
from rtcpeer.errors import RTCError
from rtcpeer.records import record

logger = logging.getLogger(__name__)

# A server begins anew so often at once, and so often a second in the long run.
ANEW_MAX = 10
ANEW_RATE = 2.0
# Attempts that a server has at a time.
ATTEMPTS_MAX = 3
# A client waits at most so long before it begins anew, in seconds.
ANEW_WAIT_MAX = 1.0
# A handshake that is not over after so many seconds with a path fails; RFC 6347 names no number, browsers have none.
PATIENCE = 30.0
# The same, counted from the first sign of a reason without progress since.
PATIENCE_IN_DOUBT = 5.0
_TICK = 0.5
# OpenSSL takes what it reads at once for one datagram: no more than fits into its buffer, the largest record at least
_TOGETHER_MAX = 16384


@record(frozen=True, slots=True)
class HandshakeAttempt:
    """An attempt at a handshake: one object of OpenSSL, what it sent last, and what it may read."""

    connection: SSL.Connection
    flight: Flight
    filter: HandshakeFilter


class Handshake:
    """A handshake until it is over.

    Args:
        open_connection: makes an object of OpenSSL for our role.
        is_server: our role.
        send: puts one datagram on the way.
        first_rto: gives the seconds until a flight is repeated first.
        rto_max: what doubling leads to.
        has_path: whether datagrams can reach the other end now.
        refused: whether the other end's certificate was refused.
        on_connected: called once with the attempt that succeeded.
        on_failed: called once with the reason.
        name: for logs.
    """

    def __init__(
        self,
        open_connection: Callable[[], SSL.Connection],
        *,
        is_server: bool,
        send: Callable[[bytes], None],
        first_rto: Callable[[], float],
        rto_max: float,
        has_path: Callable[[], bool],
        refused: Callable[[], RTCError | None],
        on_connected: Callable[[HandshakeAttempt], None],
        on_failed: Callable[[RTCError], None],
        name: str = "",
    ) -> None:
        self._open_connection = open_connection
        self._is_server = is_server
        self._send = send
        self._first_rto = first_rto
        self._rto_max = rto_max
        self._has_path = has_path
        self._refused = refused
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._name = name
        self._loop = asyncio.get_running_loop()
        # a client has one at most, and so has a server, unless somebody disturbs it; the latest is the last
        self._attempts: list[HandshakeAttempt] = []
        # attempts that a server may still make, and when that was counted
        self._budget = float(ANEW_MAX)
        self._budget_at = self._loop.time()
        # attempts of a client that came to nothing
        self._given_up = 0
        self._anew_timer: asyncio.TimerHandle | None = None
        # seconds with a path; the reason there may be, and what `_spent` was when it showed
        self._spent = 0.0
        self._doubt: tuple[str, int | None] | None = None
        self._doubt_since = 0.0
        self._last_doubt = ""
        self._is_mirror = self._is_answered = False
        self._tick_timer: asyncio.TimerHandle | None = self._loop.call_later(_TICK, self._tick)

    # -- used by the transport ---------------------------------------------------------------------

    def begin(self) -> None:
        """Say hello as a client, or wait as a server."""
        attempt = self._open()
        if not self._is_server:
            self._shake(attempt)

    def receive_untrusted(self, datagram: bytes) -> None:
        """A datagram with DTLS records."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s DTLS receives %s", self._name, describe_untrusted([datagram]))
        if not self._attempts and self._is_server and self._spend():
            self._open()
        for attempt in tuple(self._attempts):
            if attempt in self._attempts:
                self._feed(attempt, attempt.filter.take(datagram))
                self._note(attempt.filter)

    def wake(self) -> None:
        """A path came (back): what waits for a timer goes out now."""
        for attempt in self._attempts:
            attempt.flight.restart()

    def stop(self) -> None:
        """End it without a result."""
        self._finish()
        for attempt in tuple(self._attempts):
            self._drop(attempt)

    @property
    def flight(self) -> Flight | None:
        """The flight that the latest attempt sent last."""
        return self._attempts[-1].flight if self._attempts else None

    @property
    def doubt(self) -> RTCError | None:
        """The error that it fails of if nothing better comes: it may be forged, or pass."""
        if self._doubt is None:
            return None
        text, alert = self._doubt
        return RTCError("dtls-failure", f"DTLS handshake failed: {text}", receivedAlert=alert)

    # -- attempts ----------------------------------------------------------------------------------

    def _open(self) -> HandshakeAttempt:
        connection = self._open_connection()
        connection.set_ciphertext_mtu(HANDSHAKE_MTU)
        if self._is_server:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        flight = Flight(
            connection, self._send, first_rto=self._first_rto, rto_max=self._rto_max, name=self._name
        )
        attempt = HandshakeAttempt(connection, flight, HandshakeFilter(is_server=self._is_server))
        if len(self._attempts) >= ATTEMPTS_MAX:
            self._drop(self._attempts[0])
        self._attempts.append(attempt)
        return attempt

    def _drop(self, attempt: HandshakeAttempt) -> None:
        attempt.flight.forget()
        if attempt in self._attempts:
            self._attempts.remove(attempt)

    def _feed(self, attempt: HandshakeAttempt, steps: Iterator[bytes | BeginsAnew]) -> None:
        records = b""
        for step in steps:
            self._is_answered = True
            if isinstance(step, BeginsAnew):
                if self._give(attempt, records):
                    self._follow(attempt, step.hello)
                return
            if len(records) + len(step) > _TOGETHER_MAX and records:
                if not self._give(attempt, records):
                    return
                records = b""
            records += step
        self._give(attempt, records)

    def _give(self, attempt: HandshakeAttempt, records: bytes) -> bool:
        """Let OpenSSL read these records, as if they were one datagram; False when this attempt reads no more."""
        if not records:
            return True
        attempt.connection.bio_write(records)
        return self._shake(attempt)

    def _shake(self, attempt: HandshakeAttempt) -> bool:
        """Let OpenSSL go on; False when this attempt reads no more."""
        due = attempt.filter.due
        try:
            attempt.connection.do_handshake()
        except SSL.WantReadError:
            if attempt.flight.flush() and due:
                self._doubt = None
            return True
        except SSL.Error as exc:
            self._broken(attempt, exc)
            return False
        attempt.flight.flush()
        self._attempts.remove(attempt)
        self.stop()
        self._on_connected(attempt)
        return False

    def _broken(self, attempt: HandshakeAttempt, exc: SSL.Error) -> None:
        refusal = self._refused()
        alert = received_alert(exc)
        if refusal is not None:
            attempt.flight.flush()  # the alert that tells the other end why
            self._fail(refusal)
        elif alert is not None:
            # unencrypted ones do not pass the filter: this one is authenticated
            self._fail(RTCError("dtls-failure", f"DTLS handshake failed: {alert[0]}", receivedAlert=alert[1]))
        else:
            logger.debug("%s DTLS handshake begins anew: %s", self._name, reason(exc))
            self._suspect(reason(exc), None)
            # what OpenSSL would say now, an alert, would end the handshake at the other end, perhaps for a forgery
            written(attempt.connection)
            self._anew(attempt)

    def _anew(self, attempt: HandshakeAttempt) -> None:
        self._drop(attempt)
        if not self._is_server:
            self._begin_later()
        elif attempt.filter.due > 1 and not self._attempts and self._spend():
            # the client has had our hello: another one in answer to its own tells it to begin anew
            again = self._open()
            self._feed(again, again.filter.give_again(attempt.filter.first))

    def _follow(self, attempt: HandshakeAttempt, hello: bytes) -> None:
        """The other end began anew, or a forgery wants us to."""
        if self._is_server:
            if all(known.filter.first != hello for known in self._attempts) and self._spend():
                new = self._open()
                self._feed(new, new.filter.give_again(hello))
        elif not attempt.filter.is_complete:
            self._anew(attempt)
        elif self._anew_timer is None:
            # The server may be connected already, and this a forgery: it gets the time of some repetitions to say so.
            self._begin_after(4 * self._first_rto())

    def _begin_later(self) -> None:
        """A client begins anew, once what is on its way to it for the attempt before has passed."""
        self._given_up += 1
        wait = min(self._first_rto() / 4 * 2 ** min(self._given_up, 10), ANEW_WAIT_MAX)
        self._begin_after(wait)

    def _begin_after(self, seconds: float) -> None:
        if self._anew_timer is not None:
            self._anew_timer.cancel()
        self._anew_timer = self._loop.call_later(seconds, self._begin_anew)

    def _begin_anew(self) -> None:
        self._anew_timer = None
        for attempt in tuple(self._attempts):
            self._drop(attempt)
        self.begin()

    def _spend(self) -> bool:
        """Take one attempt of a server from its budget."""
        now = self._loop.time()
        self._budget = min(float(ANEW_MAX), self._budget + ANEW_RATE * (now - self._budget_at))
        self._budget_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    # -- patience ----------------------------------------------------------------------------------

    def _note(self, filter_: HandshakeFilter) -> None:
        self._is_mirror = self._is_mirror or filter_.is_mirror
        if filter_.alert is not None:
            alert, filter_.alert = filter_.alert, None
            self._suspect(f"the other end said, not authenticated: {alert_name(alert)}", alert)
        elif filter_.is_mirror:
            filter_.is_mirror = False
            self._suspect("both ends have the same DTLS role", None)

    def _suspect(self, text: str, alert: int | None) -> None:
        self._last_doubt = text
        if self._doubt is None:
            self._doubt_since = self._spent
        if self._doubt is None or alert is not None or self._doubt[1] is None:
            self._doubt = text, alert

    def _tick(self) -> None:
        self._tick_timer = self._loop.call_later(_TICK, self._tick)
        if not self._has_path():
            return
        self._spent += _TICK
        doubt = self.doubt
        if doubt is not None and self._spent - self._doubt_since >= PATIENCE_IN_DOUBT:
            self._fail(doubt)
        elif self._spent >= PATIENCE:
            role = "server" if self._is_server else "client"
            text = f"DTLS handshake failed: not over within {PATIENCE:g} s as {role}"
            if self._last_doubt:
                text += f" ({self._last_doubt})"
            if not self._is_answered:
                text += ", nothing came from the other end"
                if self._is_server:
                    text += "; does it wait as a server too (a=setup:passive)?"
            self._fail(RTCError("dtls-failure", text))

    def _fail(self, error: RTCError) -> None:
        self._finish()
        self._on_failed(error)

    def _finish(self) -> None:
        for timer in (self._tick_timer, self._anew_timer):
            if timer is not None:
                timer.cancel()
        self._tick_timer = self._anew_timer = None
