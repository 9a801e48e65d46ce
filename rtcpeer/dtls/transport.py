"""DTLS over one datagram pipe: handshake, fingerprints, and the way of each datagram to data or media.

Theory of operation. The pipe (an ICE agent) calls `_receive` straight from its socket callback; the first
byte (RFC 7983) decides: DTLS goes through OpenSSL's memory BIOs to the data user, SRTP to the RTP session.
No task, queue or future lies between.

The handshake is `rtcpeer.dtls.handshake`'s; its last flight is repeated for an end that asks for it.

Owns: the association, its role and certificate, the fingerprints, counters of datagrams.
Never: ends because the path is gone; that is no business of DTLS (the peer decides).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL, crypto

from rtcpeer.aio import Gone
from rtcpeer.dtls.certificates import Certificate, is_named
from rtcpeer.dtls.flight import Flight, written
from rtcpeer.dtls.handshake import Handshake, HandshakeAttempt
from rtcpeer.dtls.handshake_filter import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE
from rtcpeer.dtls.interfaces import DatagramPipe, DataUser, DtlsListener
from rtcpeer.dtls.openssl import RecordLayer
from rtcpeer.dtls.records import (
    APPLICATION_DATA,
    RECORD_HEADER,
    SEALED_MIN,
    SEALED_MIN_GCM,
    received_alert,
    srtp_name,
    standard_cipher,
    usable_untrusted,
)
from rtcpeer.errors import InvalidStateError, RTCError
from rtcpeer.net.departures import Departures
from rtcpeer.net.offload import SEGMENTS_MIN
from rtcpeer.rtp.srtp import SrtpKeys, SrtpSessions, export_keys, make_sessions
from rtcpeer.values import DtlsRole, DtlsTransportState, Fingerprint, IceRole

if TYPE_CHECKING:
    from rtcpeer.rtp.session import RtpSession

__all__ = ["DataUser", "DtlsListener", "DtlsTransport", "DatagramPipe"]

logger = logging.getLogger(__name__)

# Repetition of a flight. RFC 6347 section 4.2.4.1 says 1 s, RFC 9147 section 5.8.2 allows less where the round trip is
# known: ICE has measured it, and a flight or two are no load for a path that carries media the next moment.
FLIGHT_RTO_INITIAL = 0.2
FLIGHT_RTO_MIN = 0.05
FLIGHT_RTO_MAX = 0.5
# A finished handshake is repeated for the other end this often at most: anybody can ask, each time for a whole flight.
LATE_REPEATS_MAX = 20
# DTLS datagrams that arrive before `start` (a ClientHello can overtake the answer) wait here.
EARLY_DATAGRAMS_MAX = 16
# States in which the log mentions it at INFO
_TOLD = (DtlsTransportState.CONNECTED, DtlsTransportState.FAILED, DtlsTransportState.CLOSED)
# Messages that are sealed together: what one call can send (`net.offload`)
_RUN_MAX = 64


class DtlsTransport:
    """The DTLS association of one transport.

    Args:
        pipe: carries the datagrams; its `receiver` is ours from now on.
        certificate: ours; once connected, the one that was shown.
        alternatives: further ones of ours, for ends that have no use for the first (`Certificate.open_connection`).
        listener: told about states. Not called from `stop`.
        name: for logs.
    """

    def __init__(
        self,
        pipe: DatagramPipe,
        certificate: Certificate,
        listener: DtlsListener,
        *,
        alternatives: Sequence[Certificate] = (),
        name: str = "",
    ) -> None:
        self.certificate: Certificate = certificate
        self._alternatives = tuple(alternatives)
        self.role: DtlsRole = DtlsRole.AUTO
        self.state: DtlsTransportState = DtlsTransportState.NEW
        self.fingerprints: tuple[Fingerprint, ...] = ()
        self._pipe = pipe
        self._listener: DtlsListener | None = listener
        self._name = name
        # there while the handshake lasts
        self._handshake: Handshake | None = None
        # there while data can flow
        self._ssl: SSL.Connection | None = None
        self._records: RecordLayer | None = None
        # the leaf certificate of the other end, DER; set by the handshake, and only if it is one of those announced
        self._remote_certificate: bytes | None = None
        self._refused = False
        # DTLS datagrams that came before start()
        self._early: list[bytes] = []
        # our last flight, once the handshake is over
        self._flight: Flight | None = None
        self._late_repeats = 0
        self._data_user: DataUser | None = None
        self._rtp: RtpSession | None = None
        self._srtp_keys: SrtpKeys | None = None
        self._srtp: SrtpSessions | None = None
        self._rtp_receive: Callable[[bytes], None] | None = None
        # packets of media, until the turn of the loop ends
        self._departures: Departures | None = None
        self._rx_bytes = self._rx_packets = self._tx_bytes = self._tx_packets = 0
        self._send = pipe.send
        pipe.receiver = self._receive
        pipe.run_receiver = self._receive_run

    # -- life --------------------------------------------------------------------------------------

    def start(self, role: DtlsRole, fingerprints: Sequence[Fingerprint]) -> None:
        """Begin the handshake.

        Args:
            role: AUTO follows the ICE role, as in ORTC.
            fingerprints: of the other end, from its description.

        Raises:
            InvalidStateError: it was started before.
        """
        if self.state is not DtlsTransportState.NEW:
            raise InvalidStateError("a DTLS transport is started once")
        if role is DtlsRole.AUTO:
            controlling = self._pipe.role is IceRole.CONTROLLING
            role = DtlsRole.SERVER if controlling else DtlsRole.CLIENT
        self.role = role
        self.fingerprints = tuple(fingerprints)
        self._handshake = Handshake(
            self._open_connection,
            is_server=role is DtlsRole.SERVER,
            send=self._send_packet,
            first_rto=self._first_rto,
            rto_max=FLIGHT_RTO_MAX,
            has_path=lambda: self._pipe.has_path,
            refused=lambda: _fingerprint_failure() if self._refused else None,
            on_connected=self._on_connected,
            on_failed=self._fail,
            name=self._name,
        )
        self._set_state(DtlsTransportState.CONNECTING)
        early, self._early = self._early, []
        if self._handshake is not None:
            self._handshake.begin()
        for datagram in early:
            self._receive_dtls(datagram)

    def _open_connection(self) -> SSL.Connection:
        ssl = self.certificate.open_connection(self._alternatives)
        ssl.set_app_data(self)
        self._refused = False
        return ssl

    def update_fingerprints(self, fingerprints: Sequence[Fingerprint]) -> None:
        """Take the fingerprints of a later description; fail if our peer's certificate is not among them."""
        self.fingerprints = tuple(fingerprints)
        certificate = self._remote_certificate
        if (
            certificate is not None
            and self.state is DtlsTransportState.CONNECTED
            and not self.accepts(certificate)
        ):
            self._fail(_fingerprint_failure())

    def accepts(self, certificate: bytes) -> bool:
        """Whether a certificate of the other end is one that its description names (RFC 8122 section 5)."""
        return is_named(certificate, self.fingerprints)

    def wake(self) -> None:
        """A path came (back): what waits for a timer goes out now."""
        if self._handshake is not None:
            self._handshake.wake()
        elif self.state is DtlsTransportState.CONNECTED and self._data_user is not None:
            self._data_user.on_dtls_wake()

    def stop(self) -> Awaitable[None]:
        """End it and tell the other end (close_notify): all at call time, without calling the listener."""
        self._listener = None
        if self.state not in (DtlsTransportState.CLOSED, DtlsTransportState.FAILED):
            self._say_goodbye()
            self._end(DtlsTransportState.CLOSED, None)
        self._pipe.receiver = self._pipe.run_receiver = None
        return Gone()

    # -- users -------------------------------------------------------------------------------------

    @property
    def doubt(self) -> RTCError | None:
        """The error that the handshake under way fails of soon, unless it gets on; nobody has authenticated it."""
        return None if self._handshake is None else self._handshake.doubt

    @property
    def round_trip_time(self) -> float | None:
        """The round trip that ICE has measured, in seconds."""
        return self._pipe.round_trip_time

    @property
    def is_connected(self) -> bool:
        """Whether data and media can flow."""
        return self.state is DtlsTransportState.CONNECTED

    @property
    def remote_certificates(self) -> list[bytes]:
        """The certificate chain of the other end, as far as it is known: its leaf, in DER."""
        known = self.state in (DtlsTransportState.CONNECTED, DtlsTransportState.CLOSED)
        return [self._remote_certificate] if known and self._remote_certificate is not None else []

    @property
    def rtp(self) -> RtpSession:
        """The RTP session of this transport; made when first asked for."""
        if self._rtp is None:
            # many transports carry data alone
            from rtcpeer.rtp.session import RtpSession

            self._departures = Departures(self._send_packet, self._send_segments)
            self._rtp = RtpSession(
                self._make_srtp,
                self._departures.take,
                send_alone=self._departures.take_alone,
                has_route=self._has_route,
                round_trip=self._round_trip,
                name=self._name,
            )
            self._rtp_receive = self._rtp.receive
            if self.is_connected:
                self._rtp.on_connected()
            elif self.state in (DtlsTransportState.CLOSED, DtlsTransportState.FAILED):
                self._rtp.on_closed()
        return self._rtp

    @property
    def estimate(self) -> int | None:
        """The bitrate that the path bears for media, in bit/s; None while unknown."""
        return self._rtp.estimate if self._rtp is not None else None

    @property
    def undecrypted_for(self) -> float:
        """How long arriving media could not be decrypted, in seconds; 0.0 while all is well."""
        return self._rtp.undecrypted_for if self._rtp is not None else 0.0

    def set_data_user(self, user: DataUser | None) -> None:
        """Set who gets application data; told at once if the transport is connected or has ended."""
        self._data_user = user
        if user is not None:
            if self.is_connected:
                user.on_dtls_connected()
            elif self.state in (DtlsTransportState.CLOSED, DtlsTransportState.FAILED):
                user.on_dtls_closed(None)

    def send_data(self, data: bytes) -> None:
        """Send one message of application data; dropped unless connected."""
        records = self._records
        if records is None or self.state is not DtlsTransportState.CONNECTED:
            return
        try:
            datagram = records.seal(data)
        except SSL.Error as exc:
            logger.debug("%s cannot send data: %s", self._name, exc)
            return
        self._tx_bytes += len(datagram)
        self._tx_packets += 1
        self._send(datagram)

    def send_messages(self, messages: Sequence[bytes]) -> None:
        """Send several messages of application data, each a datagram of its own; dropped unless connected.

        Runs of many messages of one size (the last one may be shorter) are handed down together.
        """
        first, count = 0, len(messages)
        if count < SEGMENTS_MIN:
            for message in messages:
                self.send_data(message)
            return
        while first < count:
            last = first + 1
            if count - first >= SEGMENTS_MIN:
                size, bound = len(messages[first]), min(count, first + _RUN_MAX)
                while last < bound and len(messages[last]) == size:
                    last += 1
                if last < bound and len(messages[last]) < size:
                    last += 1
            if last - first >= SEGMENTS_MIN:
                self._send_run(messages[first:last])
            else:
                for message in messages[first:last]:
                    self.send_data(message)
            first = last

    def _send_run(self, messages: Sequence[bytes]) -> None:
        records = self._records
        if records is None or self.state is not DtlsTransportState.CONNECTED:
            return
        try:
            sealed = records.seal_all(messages)
        except SSL.Error as exc:
            logger.debug("%s cannot send data: %s", self._name, exc)
            return
        self._send_segments(sealed, RECORD_HEADER + (sealed[11] << 8 | sealed[12]))

    def stats(self) -> dict[str, Any]:
        """Members of RTCTransportStats that belong to DTLS, by their W3C names."""
        stats: dict[str, Any] = {
            "packetsSent": self._tx_packets,
            "packetsReceived": self._rx_packets,
            "bytesSent": self._tx_bytes,
            "bytesReceived": self._rx_bytes,
            "dtlsState": self.state.value,
            "dtlsRole": "unknown" if self.role is DtlsRole.AUTO else self.role.value,
        }
        if self._rtp is not None:
            stats["packetsUndecrypted"] = self._rtp.undecrypted
            stats["undecryptedFor"] = self._rtp.undecrypted_for
        if self._ssl is not None and self.is_connected:
            stats["tlsVersion"] = f"{self._ssl.get_protocol_version():04X}"
            stats["dtlsCipher"] = standard_cipher(self._ssl.get_cipher_name() or "")
            stats["srtpCipher"] = srtp_name(self._ssl.get_selected_srtp_profile())
        return stats

    # -- datagrams in ------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        self._rx_packets += 1
        self._rx_bytes += len(data)
        if not data:
            return
        first = data[0]
        if 127 < first < 192:
            if self._rtp_receive is not None:
                self._rtp_receive(data)
        elif 19 < first < 64:
            self._receive_dtls(data)

    def _receive_run(self, datagrams: list[bytes]) -> None:
        """Datagrams that came together; application data is handed on together."""
        records = self._records
        messages: list[bytes] = []
        for data in datagrams:
            if records is not None and _is_one_record(data):
                try:
                    messages.append(records.open(data))
                except SSL.Error as exc:
                    self._deliver(messages)
                    messages = []
                    self._nothing_read(exc)
                    # closed, perhaps
                    records = self._records
                self._rx_packets += 1
                self._rx_bytes += len(data)
            else:
                self._deliver(messages)
                messages = []
                self._receive(data)
                records = self._records
        self._deliver(messages)

    def _deliver(self, messages: list[bytes]) -> None:
        if messages and self._data_user is not None:
            self._data_user.on_dtls_run(messages)

    def _receive_dtls(self, data: bytes) -> None:
        ssl, records = self._ssl, self._records
        if ssl is not None and records is not None:
            if _is_one_record(data):
                # one read, and nothing to write
                try:
                    plain = records.open(data)
                except SSL.Error as exc:
                    self._nothing_read(exc)
                    return
                if self._data_user is not None:
                    self._data_user.on_dtls_data(plain)
                return
            shortest = SEALED_MIN_GCM if "GCM" in (ssl.get_cipher_name() or "") else SEALED_MIN
            data = usable_untrusted(data, (CHANGE_CIPHER_SPEC, HANDSHAKE), shortest)
            if not data:
                return
            ssl.bio_write(data)
            self._read_all(ssl, asks_again=data[0] in (CHANGE_CIPHER_SPEC, HANDSHAKE))
        elif self._handshake is not None:
            self._handshake.receive_untrusted(data)
        elif self.state is DtlsTransportState.NEW and len(self._early) < EARLY_DATAGRAMS_MAX:
            self._early.append(data)

    def _read_record(self, ssl: SSL.Connection, size: int) -> bool:
        """Read one record; False if there is none."""
        try:
            plain = ssl.recv(size)
        except SSL.Error as exc:
            self._nothing_read(exc)
            return False
        if self._data_user is not None:
            self._data_user.on_dtls_data(plain)
        return True

    def _nothing_read(self, exc: SSL.Error) -> None:
        if isinstance(exc, SSL.ZeroReturnError):
            self._remote_close()
        elif not isinstance(exc, SSL.WantReadError):
            self._read_error(exc)

    def _read_all(self, ssl: SSL.Connection, *, asks_again: bool) -> None:
        """Read what is not plain data: several records, alerts, repetitions of the handshake.

        Args:
            asks_again: it may be the other end's last flight once more.
        """
        while self.state is DtlsTransportState.CONNECTED:
            if not self._read_record(ssl, 16384):
                break
        if self.state is not DtlsTransportState.CONNECTED:
            return
        # What OpenSSL would answer without an error: its last flight once more, or the warning that there is no
        # renegotiation, which ends at ends that insist. They may go on without instead (RFC 5246 section 7.4.1.1).
        answers = [datagram for datagram in written(ssl) if datagram[0] != ALERT]
        for datagram in answers:
            self._send_packet(datagram)
        # the other end repeats itself: it has not had our last flight
        if asks_again and not answers and self._late_repeats < LATE_REPEATS_MAX and self._flight is not None:
            self._late_repeats += 1
            self._flight.send()

    def _read_error(self, exc: SSL.Error) -> None:
        alert = received_alert(exc)
        if alert is not None:
            self._fail(
                RTCError("dtls-failure", f"the other end ended DTLS: {alert[0]}", receivedAlert=alert[1])
            )
        else:
            logger.debug("%s ignores a DTLS record: %s", self._name, exc)
            if self._ssl is not None:
                for datagram in written(self._ssl):  # an alert
                    self._send_packet(datagram)

    def _remote_close(self) -> None:
        """close_notify: answer it, then we are closed (RFC 5246 section 7.2.1)."""
        self._say_goodbye()
        self._end(DtlsTransportState.CLOSED, None)

    # -- handshake ---------------------------------------------------------------------------------

    def _on_connected(self, attempt: HandshakeAttempt) -> None:
        """The handshake is over: both ends have proven who they are."""
        ssl, flight = attempt.connection, attempt.flight
        self._handshake = None
        self._ssl, self._records, self._flight = ssl, RecordLayer(ssl), flight
        if self.role is DtlsRole.CLIENT:
            # the server has the last word: nothing of ours will be asked for again
            flight.forget()
        else:
            flight.settle()
        shown = ssl.get_peer_certificate()
        if shown is not None:
            self._remote_certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)
        self._note_certificate(ssl)
        self._srtp_keys = export_keys(ssl.get_selected_srtp_profile(), ssl.export_keying_material)
        if self._rtp is not None and self._srtp_keys is None:
            self._fail(_no_profile())
            return
        self._set_state(DtlsTransportState.CONNECTED)
        if self.state is DtlsTransportState.CONNECTED:
            if self._rtp is not None:
                self._rtp.on_connected()
            if self._data_user is not None:
                self._data_user.on_dtls_connected()
        self._read_early(ssl)

    def _read_early(self, ssl: SSL.Connection) -> None:
        """Read what came before the end of the handshake (RFC 6347 section 4.1), which OpenSSL has kept.

        Left there, each read would give the record before the one that has just come, cut to the length of that one.
        """
        while self.state is DtlsTransportState.CONNECTED and self._read_record(ssl, 16384):
            pass

    def _note_certificate(self, ssl: SSL.Connection) -> None:
        """Note which of several certificates was shown."""
        shown = ssl.get_certificate() if self._alternatives else None
        if shown is not None:
            der = crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)
            known = (self.certificate, *self._alternatives)
            self.certificate = next((c for c in known if c.der == der), self.certificate)

    def _send_packet(self, datagram: bytes) -> None:
        self._tx_bytes += len(datagram)
        self._tx_packets += 1
        self._send(datagram)

    def _send_segments(self, datagrams: bytes, size: int) -> None:
        self._tx_bytes += len(datagrams)
        self._tx_packets += -(-len(datagrams) // size)
        self._pipe.send_segments(datagrams, size)

    def _has_route(self) -> bool:
        return self._pipe.has_route

    def _round_trip(self) -> float | None:
        return self._pipe.round_trip_time

    def _first_rto(self) -> float:
        """Twice the round trip, and what the other end's cryptography takes."""
        measured = self._pipe.round_trip_time
        return FLIGHT_RTO_INITIAL if measured is None else 2 * measured + FLIGHT_RTO_MIN

    # -- ends --------------------------------------------------------------------------------------

    def _say_goodbye(self) -> None:
        if self._departures is not None:
            # what was sent before the end leaves before it
            self._departures.flush()
        ssl = self._ssl
        if ssl is None:
            return
        try:
            ssl.shutdown()
        except SSL.Error as exc:
            logger.debug("%s has nobody to say goodbye to: %s", self._name, exc)
        for datagram in written(ssl):
            self._send_packet(datagram)

    def _fail(self, error: RTCError) -> None:
        self._say_goodbye()
        self._end(DtlsTransportState.FAILED, error)

    def _end(self, state: DtlsTransportState, error: RTCError | None) -> None:
        if self._handshake is not None:
            self._handshake.stop()
            self._handshake = None
        if self._flight is not None:
            self._flight.forget()
            self._flight = None
        self._early = []
        self._ssl = self._records = None
        self._srtp = self._srtp_keys = None
        self._rtp_receive = None
        if self._rtp is not None:
            self._rtp.on_closed()
        self._set_state(state, error)
        user, self._data_user = self._data_user, None
        if user is not None:
            user.on_dtls_closed(error)

    def _set_state(self, state: DtlsTransportState, error: RTCError | None = None) -> None:
        self.state = state
        level = logging.INFO if state in _TOLD else logging.DEBUG
        logger.log(level, "%s DTLS is %s%s", self._name, state.value, f": {error}" if error else "")
        if self._listener is not None:
            self._listener.on_dtls_state(state, error)

    # -- keys --------------------------------------------------------------------------------------

    def _make_srtp(self) -> SrtpSessions | None:
        """The SRTP sessions, made when media needs them first; None without a common profile."""
        if self._srtp is None and self._srtp_keys is not None:
            self._srtp = make_sessions(self._srtp_keys, is_server=self.role is DtlsRole.SERVER)
        return self._srtp

    def check_certificate(self, certificate: crypto.X509) -> bool:
        """Called by OpenSSL during the handshake with the leaf certificate of the other end."""
        accepted = self.accepts(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
        self._refused = not accepted
        return accepted

    def __repr__(self) -> str:
        return f"<DtlsTransport {self.role.value}, {self.state.value}>"


def _is_one_record(data: bytes) -> bool:
    """Whether a datagram is one encrypted record of application data, and nothing else."""
    size = len(data)
    return (
        size >= RECORD_HEADER + SEALED_MIN_GCM
        and data[0] == APPLICATION_DATA
        and (data[11] << 8 | data[12]) + RECORD_HEADER == size
        and (data[3] or data[4]) > 0
    )


def _fingerprint_failure() -> RTCError:
    return RTCError(
        "fingerprint-failure", "the certificate of the other end is not the one that its description names"
    )


def _no_profile() -> RTCError:
    return RTCError(
        "dtls-failure", "DTLS agreed on no SRTP profile (RFC 5764 section 4.1.2), so that no media can flow"
    )
