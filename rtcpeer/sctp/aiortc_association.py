"""aiortc's SCTP association made a plain synchronous object: the other place that knows aiortc's inside.

`tests/architecture/test_upstream_names.py` names what is used here and fails loudly when it moves.

Theory of operation. aiortc's association (`RTCSctpTransport`) is a set of coroutines that suspend nowhere but
in the methods overridden here. Each of these does its work at once and returns a future that is done: `await`
goes straight on, and `ensure_future` makes no task. So a coroutine of aiortc can be run to its end by one
`send(None)`, straight from the socket callback or a timer. Its data channels are not used (see `data.py`), and
what it does per packet in time proportional to the window is done in constant time here. What is sent, and sent
again, is not aiortc's at all but `sendqueue`'s; aiortc keeps the set-up, resets of streams and reassembly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from aiortc import rtcsctptransport as _sctp
from google_crc32c import extend as extend_crc32c
from google_crc32c import value as crc32c

from rtcpeer.aio import wall_time
from rtcpeer.sctp.aiortc_parts import (
    Reassembly,
    Stream,
    Transport,
    check_parameters_untrusted,
    read_simple_untrusted,
)
from rtcpeer.sctp.interfaces import AssociationUser
from rtcpeer.sctp.send_queue import BODY_MAX, PACKET_MAX, RTO_INITIAL, SendQueue

__all__ = ["Association", "AssociationStats"]

logger = logging.getLogger(__name__)

# INIT and COOKIE-ECHO are repeated with doubling waits between these, for as long as the transport lives: on a lossy
# path the long waits of a back-off are most of the time to a channel, and two packets a second harm no path
T1_MIN: Final = 0.1
T1_MAX: Final = 0.5
# RFC 9260 section 3.3.10.12
CAUSE_USER_ABORT: Final = 12
# What the other end may leave unassembled beyond the window we advertise
WINDOW_SLACK: Final = 256 * 1024
# Chunks between the last one received in order and the newest one, either way
TSN_WINDOW: Final = 32768
# RFC 9260 section 6.2 allows half a second
SACK_DELAY: Final = 0.05

# ports and tag
_PACKET_HEADER: Final = Struct("!HHL")
_SACK: Final = Struct("!BBHLLHH")


@dataclass(frozen=True, slots=True)
class AssociationStats:
    """Numbers of an association."""

    smoothed_rtt: float | None
    congestion_window: int
    receiver_window: int
    mtu: int
    unacknowledged: int


class Association(_sctp.RTCSctpTransport):
    """aiortc's SCTP association as a synchronous object.

    Args:
        user: told what happens.
        send: sends one SCTP packet.
        is_server: our DTLS role (for logs only; both ends send INIT).
        local_port: ours.
        round_trip_time: of the path, where it was measured.
    """

    def __init__(
        self,
        user: AssociationUser,
        send: Callable[[bytes], None],
        *,
        is_server: bool,
        local_port: int,
        round_trip_time: float | None = None,
    ) -> None:
        super().__init__(Transport("server" if is_server else "client"), local_port)  # type: ignore[arg-type]
        self._user = user
        self._send_packet = send
        self._clock = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._clock.create_future()
        self._done.set_result(None)
        # until SCTP has measured one itself (RFC 9260 section 6.3.1 C1) the round trip of ICE is the best there is
        self._rto = RTO_INITIAL if round_trip_time is None else max(T1_MIN, 3 * round_trip_time)
        self._t1_delay = self._rto
        self._abort_cause: int | None = None
        self._was_aborted = False
        self._silent = False
        self._outgoing = SendQueue(self._local_tsn, self._send_body)
        # the first eight bytes of packets, out and in, and their checksums, which go on with the rest
        self._header_out, self._crc_out = b"", 0
        self._header_in, self._crc_in = b"", 0
        # packets since the last SACK, and the timer that ends the wait for a second one
        self._unacknowledged = 0
        self._sack_timer: asyncio.TimerHandle | None = None

    # -- what data.py calls ------------------------------------------------------------------------

    def connect(self, remote_port: int) -> None:
        """Begin the association."""
        self._run(self.start(None, remote_port))

    def receive(self, data: bytes) -> None:
        """Take an SCTP packet; malformed ones are ignored."""
        try:
            chunks = read_simple_untrusted(data)
            if chunks is None:
                self._run(self._handle_data(data))
            elif self._is_ours_untrusted(data):
                for chunk in chunks:
                    if isinstance(chunk, _sctp.DataChunk):
                        self._take_data(chunk)
                    else:
                        self._take_acknowledgement(chunk)
                self._acknowledge()
        except Exception as exc:
            logger.debug("SCTP ignores a packet: %r", exc)
        outgoing = self._outgoing
        if outgoing.backoff and self.is_established:
            outgoing.heard(self._clock.time(), wall_time())
            self._arm()

    def write(
        self,
        stream_id: int,
        protocol: int,
        data: bytes,
        *,
        ordered: bool = True,
        expiry: float | None = None,
        max_retransmits: int | None = None,
    ) -> None:
        """Queue a message; `expiry` is `clock.wall_time()` based. `flush` sends it, if this does not."""
        sequence = 0
        if ordered:
            sequence = self._outbound_stream_seq.get(stream_id, 0)
            self._outbound_stream_seq[stream_id] = sequence + 1 & 0xFFFF
        if not self._remote_partial_reliability:
            expiry = max_retransmits = None
        outgoing = self._outgoing
        outgoing.write(
            stream_id,
            sequence,
            protocol,
            data,
            ordered=ordered,
            expiry=expiry,
            max_retransmits=max_retransmits,
        )
        # what stands in a request to reset a stream
        self._local_tsn = outgoing.tsn
        if not outgoing.is_writable:
            self.flush()

    def flush(self) -> None:
        """Send what was written, as far as the other end and the path take it."""
        if self._association_state == self.State.ESTABLISHED:
            self._outgoing.transmit(self._clock.time(), wall_time())
            self._arm()

    @property
    def is_writable(self) -> bool:
        """Whether most of what was written is on its way."""
        return self._outgoing.is_writable

    def unacknowledged(self, stream_id: int, except_protocol: int) -> int:
        """How many messages of a stream may not have arrived: the oldest one not acknowledged, and all behind it.

        Also after the association has ended: what it never heard of again. Messages of `except_protocol` do not count.
        """
        return self._outgoing.unacknowledged(stream_id, except_protocol)

    @property
    def is_established(self) -> bool:
        """Whether messages can be sent."""
        return bool(self._association_state == self.State.ESTABLISHED)

    def open_stream(self, stream_id: int) -> None:
        """Take part in the resets of this stream."""
        self._data_channels[stream_id] = Stream(stream_id)  # type: ignore[assignment]

    def reset_stream(self, stream_id: int) -> None:
        """Reset our half of a stream, after what was written (RFC 6525)."""
        self._reconfig_queue.append(stream_id)
        self._transmit_reconfig()

    def forget_stream(self, stream_id: int) -> None:
        """A stream is closed: the next user begins with fresh sequence numbers."""
        self._data_channels.pop(stream_id, None)
        self._data_channel_inbound_reset.discard(stream_id)
        self._data_channel_outbound_reset.discard(stream_id)

    def wake(self) -> None:
        """A path is back: what waits for a timer goes out now."""
        if self._t1_handle is not None and self._t1_chunk is not None:
            self._t1_delay = self._rto
            self._t1_handle.cancel()
            self._t1_expired()
        if self.is_established:
            self._outgoing.wake(self._clock.time(), wall_time())
            self._arm()
        if self._reconfig_handle is not None and self._reconfig_request is not None:
            self._send_reconfig_param(self._reconfig_request)

    def close(self) -> None:
        """Abort it, telling the other end; the user is not called."""
        self._silent = True
        self._run(self.stop())

    def numbers(self) -> AssociationStats:
        """What statistics want."""
        return AssociationStats(
            smoothed_rtt=self._outgoing.srtt,
            congestion_window=self._outgoing.cwnd,
            receiver_window=max(0, self._advertised_rwnd),
            mtu=PACKET_MAX,
            unacknowledged=self._outgoing.outstanding,
        )

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            coroutine.send(None)
        except StopIteration:
            return
        except Exception as exc:
            # what the other end sent made no sense (aiortc says so with assertions, struct.error and more)
            logger.debug("SCTP ignores the rest of a packet: %r", exc)
            return
        coroutine.close()
        logger.error("aiortc's SCTP waits for something new: see media/aiortc_adapter.py")

    # -- what aiortc's association calls, made synchronous -----------------------------------------

    async def _handle_data(self, data: bytes) -> None:
        check_parameters_untrusted(data)
        _source, _destination, tag, chunks = _sctp.parse_packet(data)
        if any(isinstance(chunk, _sctp.InitChunk) for chunk in chunks):
            # A late or repeated one: aiortc would count what arrives from the beginning again. An association that
            # begins anew (RFC 9260 section 5.2.2) does so with another DTLS association, and with another of these.
            if len(chunks) != 1 or tag != 0 or self.is_established:
                return
        elif tag != self._local_verification_tag:
            return
        for chunk in chunks:
            if isinstance(chunk, _sctp.DataChunk):
                self._take_data(chunk)
            elif isinstance(chunk, _sctp.ForwardTsnChunk):
                if self._is_near(chunk.cumulative_tsn):
                    await self._receive_chunk(chunk)
            elif isinstance(chunk, _sctp.SackChunk):
                self._take_acknowledgement(chunk)
            elif isinstance(chunk, _sctp.AbortChunk):
                self._was_aborted = True
                self._abort_cause = chunk.params[0][0] if chunk.params else None
                self._set_state(self.State.CLOSED)
            else:
                await self._receive_chunk(chunk)
        self._acknowledge()

    def _is_ours_untrusted(self, data: bytes) -> bool:
        """Whether tag and checksum are right."""
        header = data[:8]
        if header != self._header_in:
            if int.from_bytes(data[4:8]) != self._local_verification_tag:
                return False
            self._header_in, self._crc_in = header, crc32c(header + bytes(4))
        return bool(extend_crc32c(self._crc_in, data[12:]) == int.from_bytes(data[8:12], "little"))

    def _take_data(self, chunk: _sctp.DataChunk) -> None:
        tsn, last = chunk.tsn, self._last_received_tsn
        if last is None or not self._is_near(tsn) or self._is_flooded(chunk):
            return
        self._sack_needed = True
        if not self._sack_misordered and tsn == last + 1 & 0xFFFFFFFF:
            self._last_received_tsn = tsn
        elif self._mark_received(tsn):
            return
        stream = self._get_inbound_stream(chunk.stream_id)
        stream.add_chunk(chunk)
        self._advertised_rwnd -= len(chunk.user_data)
        for message in stream.pop_messages():
            self._advertised_rwnd += len(message[2])
            self._user.on_message(*message)
        if self._reconfig_deferred is not None:
            self._run(self._reset_deferred_streams())

    def _take_acknowledgement(self, chunk: _sctp.SackChunk) -> None:
        if self._is_plausible(chunk):
            outgoing, now, wall = self._outgoing, self._clock.time(), wall_time()
            outgoing.acknowledge(chunk.cumulative_tsn, chunk.gaps, chunk.advertised_rwnd, now, wall)
            if outgoing.is_writable and self.is_established:
                self._user.on_writable()
            self.flush()

    def _acknowledge(self) -> None:
        """Send a SACK for every second packet, or when something is missing, or after a while (RFC 9260 6.2)."""
        if not self._sack_needed or self._last_received_tsn is None:
            return
        self._unacknowledged += 1
        if self._unacknowledged > 1 or self._sack_misordered or self._sack_duplicates:
            self._send_acknowledgement()
        elif self._sack_timer is None:
            self._sack_timer = self._clock.call_later(SACK_DELAY, self._on_sack_timer)

    def _on_sack_timer(self) -> None:
        self._sack_timer = None
        if self._sack_needed and self._association_state == self.State.ESTABLISHED:
            self._send_acknowledgement()

    def _send_acknowledgement(self) -> None:
        if self._sack_misordered or self._sack_duplicates:
            self._unacknowledged = 0
            self._run(self._send_sack())
        else:
            self._send_packet(self._make_packet(self._take_sack()))

    def _take_sack(self) -> bytes:
        """The acknowledgement that is due, when nothing is missing."""
        self._unacknowledged = 0
        self._sack_needed = False
        window = max(0, self._advertised_rwnd)
        return _SACK.pack(3, 0, 16, self._last_received_tsn or 0, window, 0, 0)

    def _get_inbound_stream(self, stream_id: int) -> Reassembly:
        stream = self._inbound_streams.get(stream_id)
        if stream is None:
            stream = self._inbound_streams[stream_id] = Reassembly()
        return stream  # type: ignore[return-value]

    def _is_plausible(self, chunk: _sctp.SackChunk) -> bool:
        """Whether an acknowledgement speaks of what was sent; aiortc walks over all that it claims."""
        outstanding = (self._local_tsn - 1 - chunk.cumulative_tsn) % 2**32
        return outstanding < 2**31 and all(start <= end <= outstanding for start, end in chunk.gaps)

    def _is_near(self, tsn: int) -> bool:
        """Whether a sequence number is one that the other end can have reached: what is kept is bounded."""
        last = self._last_received_tsn
        return last is not None and (tsn - last + TSN_WINDOW) % 2**32 < 2 * TSN_WINDOW

    def _is_flooded(self, chunk: _sctp.DataChunk) -> bool:
        """Whether the other end goes on filling a window that is closed: memory stays bounded."""
        return self._advertised_rwnd + WINDOW_SLACK < len(chunk.user_data)

    def _receive(self, stream_id: int, pp_id: int, data: bytes) -> Awaitable[None]:  # type: ignore[override]
        self._user.on_message(stream_id, pp_id, data)
        return self._done

    def _send_chunk(self, chunk: _sctp.Chunk) -> Awaitable[None]:  # type: ignore[override]
        # RFC 9260 section 8.5.1 A: an INIT has tag 0, also when it is repeated after the peer's own INIT has
        # told its tag. aiortc takes that tag then, and each end discards what the other repeats, for ever.
        tag = 0 if isinstance(chunk, _sctp.InitChunk) else self._remote_verification_tag
        self._send_packet(_sctp.serialize_packet(self._local_port, self._remote_port or 0, tag, chunk))
        return self._done

    def _send_body(self, parts: list[bytes]) -> None:
        """Send chunks as one packet, together with an acknowledgement that is due (RFC 9260 section 6.2)."""
        is_plain = self._sack_needed and not self._sack_misordered and not self._sack_duplicates
        if is_plain and sum(map(len, parts)) + 16 <= BODY_MAX:
            parts.insert(0, self._take_sack())
        self._send_packet(self._make_packet(parts[0] if len(parts) == 1 else b"".join(parts)))

    def _make_packet(self, body: bytes) -> bytes:
        header = self._header_out
        if not header:
            # ports and tag are known by the time that there is something to send
            header = _PACKET_HEADER.pack(
                self._local_port, self._remote_port or 0, self._remote_verification_tag
            )
            self._header_out, self._crc_out = header, crc32c(header + bytes(4))
        checksum: int = extend_crc32c(self._crc_out, body)
        return header + checksum.to_bytes(4, "little") + body

    def _arm(self) -> None:
        """See to it that the timer of what is on its way runs, and not too late; too early costs little."""
        deadline, handle = self._outgoing.deadline, self._t3_handle
        if deadline is None or (handle is not None and handle.when() <= deadline):
            return
        if handle is not None:
            handle.cancel()
        self._t3_handle = self._clock.call_at(deadline, self._on_t3)

    def _on_t3(self) -> None:
        self._t3_handle = None
        deadline, now = self._outgoing.deadline, self._clock.time()
        if deadline is not None and deadline <= now and self.is_established:
            self._outgoing.expire(now, wall_time())
        self._arm()

    def _transmit_reconfig(self) -> Awaitable[None]:  # type: ignore[override]
        self._run(super()._transmit_reconfig())
        return self._done

    def _send_reconfig_param(self, param: Any) -> Awaitable[None]:  # type: ignore[override]
        self._run(super()._send_reconfig_param(param))
        return self._done

    def _data_channel_flush(self) -> Awaitable[None]:  # type: ignore[override]
        if self.is_established:
            self._user.on_writable()
        return self._done

    def _data_channel_close(self, channel: Any) -> None:
        self._user.on_stream_closing(channel.id)

    def _data_channel_closed(self, stream_id: int) -> None:
        if self._data_channels.pop(stream_id, None) is not None:
            self.forget_stream(stream_id)
            if self._association_state != self.State.CLOSED:
                self._user.on_stream_closed(stream_id)

    async def _abort(self) -> None:
        chunk = _sctp.AbortChunk()
        chunk.params.append((CAUSE_USER_ABORT, b""))
        await self._send_chunk(chunk)

    def _set_state(self, state: _sctp.RTCSctpTransport.State) -> None:
        before = self._association_state
        super()._set_state(state)
        if state == self.State.CLOSED and self._sack_timer is not None:
            self._sack_timer.cancel()
            self._sack_timer = None
        if state == before or self._silent:
            return
        if state == self.State.ESTABLISHED:
            self._header_out = b""
            # aiortc keeps the other end's window there
            self._outgoing.open(self._ssthresh)
            self._user.on_established()
        elif state == self.State.CLOSED:
            self._user.on_association_closed(self._abort_cause, self._was_aborted)

    def _t1_start(self, chunk: Any) -> None:
        self._t1_delay = self._rto
        super()._t1_start(chunk)

    def _t1_expired(self) -> None:
        # aiortc gives up after eight tries; an outage may last longer, and DTLS or the peer end us anyway
        self._t1_handle = None
        if self._t1_chunk is not None:
            self._send_chunk(self._t1_chunk)
            self._t1_delay = min(2 * self._t1_delay, max(T1_MAX, self._rto))
            self._t1_handle = self._clock.call_later(self._t1_delay, self._t1_expired)
