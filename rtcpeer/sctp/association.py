"""An SCTP association: the state machine of RFC 9260, as WebRTC uses it (RFC 8831 section 6.1).

Sans-I/O and pure: packets, the time and random numbers are arguments; `packets` gives what is to be sent.

Owns: the set-up and the end, what control chunks say, the order of chunks in packets.
Never: which message is next (the transport asks its channels), a timer (`deadline` says when `expire` is due).

Left out, because DTLS and ICE do it: several paths, heartbeats of our own (consent, RFC 7675), restarts of an
association inside one DTLS association (section 5.2.2: an association that begins anew has another DTLS association
and another one of these), a graceful shutdown of our own (RFC 8831 section 6.2 ends by ABORT or with DTLS).
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Final

from rtcpeer.sctp.congestion import RTO_INITIAL
from rtcpeer.sctp.handshake import read_cookie_untrusted, write_cookie
from rtcpeer.sctp.interfaces import AssociationStats, AssociationUser
from rtcpeer.sctp.outgoing import OutgoingMessage
from rtcpeer.sctp.packets import (
    BODY_MAX,
    PACKET_MAX,
    STREAMS_MAX,
    Cause,
    ChunkType,
    Init,
    PacketHeader,
    chunks_untrusted,
    read_init_untrusted,
    read_sack_untrusted,
    unwrap,
    write_chunk,
    write_init,
)
from rtcpeer.sctp.reassembly import UNORDERED
from rtcpeer.sctp.receive_queue import RECEIVE_WINDOW, ChunkVerdict, ReceiveQueue
from rtcpeer.sctp.resets import StreamResets
from rtcpeer.sctp.send_queue import SendQueue

__all__ = ["ENTROPY_SIZE", "Association", "State"]

# Random bytes that an association is made with
ENTROPY_SIZE: Final = 40
# INIT and COOKIE ECHO are repeated with doubling waits between these, for as long as the transport lives: on a lossy
# path the long waits of a back-off are most of the time to a channel, and two packets a second harm no path
_SETUP_WAIT_MIN: Final = 0.1
_SETUP_WAIT_MAX: Final = 0.5
# SHUTDOWN ACK is repeated so often
_SHUTDOWN_TRIES: Final = 5
# Control chunks that wait for the next packet: what one packet asks for is answered within this
_CONTROL_MAX: Final = 64


class State(StrEnum):
    """RFC 9260 section 4."""

    CLOSED = "closed"
    COOKIE_WAIT = "cookie-wait"
    COOKIE_ECHOED = "cookie-echoed"
    ESTABLISHED = "established"
    SHUTDOWN_RECEIVED = "shutdown-received"
    SHUTDOWN_ACK_SENT = "shutdown-ack-sent"


_ESTABLISHED: Final = State.ESTABLISHED
_RECEIVING: Final = frozenset((State.ESTABLISHED, State.SHUTDOWN_RECEIVED, State.SHUTDOWN_ACK_SENT))


class Association:
    """An association with one other end.

    After each call that may have something to say (`connect`, `receive`, `write`, `expire`, ...) send what `packets`
    gives, and see to it that `expire` is called at `deadline`.

    Args:
        user: told what happens, inside `receive`.
        local_port, remote_port: as descriptions have them.
        entropy: `ENTROPY_SIZE` random bytes.
        round_trip_time: of the path, where it was measured.

    Attributes:
        state: see `State`.
        ignored: packets and chunks that made no sense or were beyond bounds.
    """

    def __init__(
        self,
        user: AssociationUser,
        *,
        local_port: int,
        remote_port: int,
        entropy: bytes,
        round_trip_time: float | None = None,
    ) -> None:
        if len(entropy) < ENTROPY_SIZE:
            raise ValueError(f"{len(entropy)} random bytes are not enough, it takes {ENTROPY_SIZE}")
        self.state: State = State.CLOSED
        self.ignored: int = 0
        self._user = user
        self._ports = (local_port, remote_port)
        self._secret = entropy[8:]
        tag = int.from_bytes(entropy[:4]) or 1
        first = int.from_bytes(entropy[4:8])
        self._ours = Init(tag, RECEIVE_WINDOW, STREAMS_MAX, STREAMS_MAX, first)
        self._theirs: Init | None = None
        self._header_out: PacketHeader | None = None
        self._header_in = PacketHeader(remote_port, local_port, tag)
        # packets that are complete, and chunks that wait for one
        self._ready: list[bytes] = []
        self._control: list[bytes] = []
        # until SCTP has measured one itself (RFC 9260 section 6.3.1 C1) the round trip of ICE is the best there is
        self._first_wait = (
            RTO_INITIAL if round_trip_time is None else max(_SETUP_WAIT_MIN, 3 * round_trip_time)
        )
        # what is repeated until it is answered: INIT, COOKIE ECHO, SHUTDOWN ACK
        self._repeated: bytes | None = None
        self._repeat_wait = self._first_wait
        self._repeat_at: float | None = None
        self._repeats = 0
        self._outgoing = SendQueue(first)
        self._incoming = ReceiveQueue(user.on_message)
        self._resets = StreamResets(
            first,
            self._incoming,
            self._outgoing,
            send=partial(_say, self._control),
            on_closing=user.on_stream_closing,
            on_closed=user.on_stream_closed,
        )

    # -- set-up and end ----------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        """Begin: send INIT (RFC 9260 section 5.1 A). Both ends do (RFC 8841 section 9.3)."""
        self.state = State.COOKIE_WAIT
        header = PacketHeader(*self._ports, 0)
        self._repeat(header.seal(write_init(self._ours, ChunkType.INIT)), now)

    def abort(self) -> bytes | None:
        """End it; the packet that tells the other end so. The user is not called."""
        ended = self.state is State.CLOSED
        self._stop()
        if ended or self._header_out is None:
            return None
        cause = Cause.USER_ABORT.to_bytes(2) + (4).to_bytes(2)
        return self._header_out.seal(write_chunk(ChunkType.ABORT, cause))

    def _stop(self) -> None:
        self.state = State.CLOSED
        self._repeated = self._repeat_at = None
        self._outgoing.stop()
        self._incoming.stop()
        self._ready.clear()
        self._control.clear()
        self._resets.stop()

    def _end(self, cause: int | None, *, aborted: bool) -> None:
        if self.state is not State.CLOSED:
            self._stop()
            self._user.on_association_closed(cause, aborted)

    def _repeat(self, packet: bytes, now: float) -> None:
        """Send a packet until it is answered."""
        self._ready.append(packet)
        self._repeated = packet
        self._repeat_wait = self._first_wait
        self._repeat_at = now + self._repeat_wait
        self._repeats = 0

    def _establish(self, theirs: Init) -> None:
        self._set_other_end(theirs)
        self._repeated = self._repeat_at = None
        self.state = State.ESTABLISHED
        self._user.on_established()

    def _set_other_end(self, theirs: Init) -> None:
        """Take the values of the other end's INIT or INIT ACK."""
        self._theirs = theirs
        self._header_out = PacketHeader(*self._ports, theirs.tag)
        self._incoming.begin(theirs.tsn)
        self._outgoing.open(theirs.window)
        self._resets.begin(theirs.tsn, theirs.outbound)

    @property
    def is_established(self) -> bool:
        """Whether messages can be sent."""
        return self.state is State.ESTABLISHED

    @property
    def max_channels(self) -> int:
        """How many streams there are in both directions, once it is established."""
        if self._theirs is None:
            return STREAMS_MAX
        return min(STREAMS_MAX, self._theirs.inbound, self._resets.inbound_max)

    # -- out ---------------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """Whether more messages should be written."""
        return self._outgoing.is_writable

    @property
    def is_starved(self) -> bool:
        """Whether nothing is queued or on its way though messages can be sent."""
        return self.is_established and self._outgoing.is_starved

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
        """Queue a message of at least one byte.

        Args:
            stream_id: its stream.
            protocol: its payload protocol identifier.
            data: the message.
            ordered: whether messages of the stream keep their order.
            expiry: when it is given up, on the clock of `now`.
            max_retransmits: how often a chunk of it is sent again at most.
        """
        if self._theirs is not None and not self._theirs.forward_tsn:
            expiry = max_retransmits = None
        order = 0 if ordered else UNORDERED
        self._outgoing.write(OutgoingMessage(stream_id, protocol, data, order, expiry, max_retransmits))

    def unacknowledged(self, stream_id: int, except_protocol: int) -> int:
        """How many messages of a stream may not have arrived: the oldest one not acknowledged, and all behind it.

        Also after the association has ended: what it never heard of again. Messages of `except_protocol` do not count.
        """
        return self._outgoing.unacknowledged(stream_id, except_protocol)

    def packets(self, now: float) -> list[bytes]:
        """The packets to be sent now; call it when nothing more is to be received or written at once."""
        header = self._header_out
        ready, self._ready = self._ready, []
        if header is None:
            return ready
        seal = header.seal
        if self._control:
            ready += map(seal, self._take_control())
        if self.state not in _RECEIVING:
            return ready
        outgoing = self._outgoing
        sack = self._incoming.end_batch(now, answering=outgoing.queued > 0)
        ready += map(seal, outgoing.transmit(now, sack))
        if self._resets.is_wanted:
            # behind the data, whose last TSN it names
            self._resets.advance(now)
        if self.state is State.SHUTDOWN_RECEIVED and outgoing.is_idle:
            self.state = State.SHUTDOWN_ACK_SENT
            self._repeat(seal(write_chunk(ChunkType.SHUTDOWN_ACK)), now)
            ready += self._ready
            self._ready.clear()
        if self._control:
            ready += map(seal, self._take_control())
        return ready

    def _take_control(self) -> list[bytes]:
        """Control chunks, in as few packets as they fit in."""
        bodies: list[bytes] = []
        body = b""
        for chunk in self._control:
            if body and len(body) + len(chunk) > BODY_MAX:
                bodies.append(body)
                body = b""
            body += chunk
        bodies.append(body)
        self._control.clear()
        return bodies

    # -- time --------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When `expire` is to be called."""
        earliest = self._outgoing.deadline
        for time in (
            self._incoming.deadline,
            self._outgoing.loss_deadline,
            self._repeat_at,
            self._resets.deadline,
        ):
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def expire(self, now: float) -> None:
        """Do what timers that have ended ask for."""
        if self._repeat_at is not None and now >= self._repeat_at:
            self._repeat_again(now)
        if self._incoming.deadline is not None and now >= self._incoming.deadline:
            self._incoming.expire()
        outgoing = self._outgoing
        if outgoing.loss_deadline is not None and now >= outgoing.loss_deadline:
            outgoing.find_losses(now)
        if outgoing.deadline is not None and now >= outgoing.deadline:
            outgoing.expire(now)
        if self._resets.deadline is not None and now >= self._resets.deadline:
            self._resets.expire(now)

    def _repeat_again(self, now: float) -> None:
        if self._repeated is None:
            return
        self._repeats += 1
        if self.state is State.SHUTDOWN_ACK_SENT and self._repeats > _SHUTDOWN_TRIES:
            self._end(None, aborted=False)
            return
        self._ready.append(self._repeated)
        self._repeat_wait = min(2 * self._repeat_wait, max(_SETUP_WAIT_MAX, self._first_wait))
        self._repeat_at = now + self._repeat_wait

    @property
    def is_waiting(self) -> bool:
        """Whether something was sent that the other end has not answered yet."""
        return self._repeated is not None or self._outgoing.is_waiting or self._resets.is_waiting

    def wake(self, now: float) -> None:
        """A path is back: what waits for a timer goes out now."""
        if self._repeated is not None:
            self._ready.append(self._repeated)
            self._repeat_wait = self._first_wait
            self._repeat_at = now + self._repeat_wait
        if self.state in _RECEIVING:
            self._outgoing.wake(now)
            self._resets.wake(now)

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, packet: bytes, now: float) -> None:
        """Take a packet. What makes no sense is ignored and counted."""
        if self.state is State.CLOSED:
            return
        body = self._header_in.open_untrusted(packet)
        if body is None:
            self._receive_odd(packet, now)
            return
        at, size = 0, len(body)
        has_data = False
        while at + 4 <= size:
            kind, length = body[at], body[at + 2] << 8 | body[at + 3]
            end = at + length
            if length < 4 or end > size:
                self.ignored += 1
                break
            if kind == 0:
                has_data = True
                self._take_data(body, at, end)
            elif kind == 3:
                self._take_acknowledgement(body[at + 4 : end], now)
            elif not self._take_control_chunk(kind, body[at + 1], body[at + 4 : end], now):
                break
            at = end + (-length & 3)
        if has_data and self.state in _RECEIVING:
            sack = self._incoming.end_packet()
            if sack and self._header_out is not None:
                self._ready.append(self._header_out.seal(sack))
        if self._outgoing.round_trip.backoff and self.state in _RECEIVING:
            self._outgoing.heard(now)

    def _receive_odd(self, packet: bytes, now: float) -> None:
        """A packet without our tag: an INIT, or the answer of an end that has no association any more."""
        header = PacketHeader(self._ports[1], self._ports[0], 0)
        body = header.open_untrusted(packet)
        if body is not None:
            # section 8.5.1 A: an INIT is alone in its packet
            chunks = list(chunks_untrusted(body))
            if len(chunks) == 1 and chunks[0][0] == ChunkType.INIT:
                self._take_init(chunks[0][2])
                return
        elif self._theirs is not None:
            header = PacketHeader(self._ports[1], self._ports[0], self._theirs.tag)
            body = header.open_untrusted(packet)
            # section 8.5.1 B: the T bit says that the tag is the receiver's own
            if body is not None and len(body) >= 4 and body[0] == ChunkType.ABORT and body[1] & 1:
                self._take_abort(body[4:])
                return
        self.ignored += 1

    def _take_data(self, body: bytes, at: int, end: int) -> None:
        """A DATA chunk (RFC 9260 section 6.2)."""
        if self.state is not _ESTABLISHED and not self._may_receive():
            self.ignored += 1
            return
        verdict = self._incoming.take_data(body, at, end)
        if verdict:
            if verdict is ChunkVerdict.NO_SUCH_STREAM:
                _say(self._control, _invalid_stream(body[at + 8 : at + 10]))
            self.ignored += verdict is not ChunkVerdict.REPEATED
        if self._resets.waits_for_data:
            self._resets.on_received()

    def _may_receive(self) -> bool:
        if self.state is State.COOKIE_ECHOED and self._theirs is not None:
            # it has had our COOKIE ECHO, though its COOKIE ACK was lost or is late
            self._establish(self._theirs)
        return self.state in _RECEIVING

    def _take_acknowledgement(self, value: bytes, now: float) -> None:
        if self.state not in _RECEIVING:
            return
        try:
            low, window, gaps, duplicates = read_sack_untrusted(value)
        except ValueError:
            self.ignored += 1
            return
        outgoing = self._outgoing
        copies = [unwrap(tsn, outgoing.tsn) for tsn in duplicates] if duplicates else ()
        if not outgoing.acknowledge(unwrap(low, outgoing.tsn), gaps, window, now, copies):
            self.ignored += 1

    def _take_control_chunk(self, kind: int, flags: int, value: bytes, now: float) -> bool:
        """Any other chunk; False if the rest of the packet is not to be looked at."""
        if kind == ChunkType.HEARTBEAT:
            _say(self._control, write_chunk(ChunkType.HEARTBEAT_ACK, value))
        elif kind == ChunkType.ABORT:
            self._take_abort(value)
            return False
        elif kind == ChunkType.INIT_ACK:
            self._take_init_ack(value, now)
        elif kind == ChunkType.COOKIE_ECHO:
            return self._take_cookie_echo(value)
        elif kind == ChunkType.COOKIE_ACK:
            if self.state is State.COOKIE_ECHOED and self._theirs is not None:
                self._establish(self._theirs)
        elif kind == ChunkType.RE_CONFIG:
            if self.state in _RECEIVING:
                self._resets.receive_untrusted(value, now)
        elif kind == ChunkType.FORWARD_TSN:
            self._take_forward_tsn(value)
        elif kind in (ChunkType.SHUTDOWN, ChunkType.SHUTDOWN_COMPLETE, ChunkType.SHUTDOWN_ACK):
            self._take_shutdown(kind, value, now)
        elif kind == ChunkType.INIT:
            # section 8.5.1 A: it would have tag 0
            self.ignored += 1
            return False
        elif kind not in (ChunkType.HEARTBEAT_ACK, ChunkType.ERROR):
            return self._take_unknown(kind, flags, value)
        return self.state is not State.CLOSED

    def _take_unknown(self, kind: int, flags: int, value: bytes) -> bool:
        """RFC 9260 section 3.2: the first bit says to go on, the second one to report it."""
        self.ignored += 1
        if kind & 0x40 and self.state in _RECEIVING:
            told = write_chunk(kind, value[:64], flags)
            cause = Cause.UNRECOGNIZED_CHUNK.to_bytes(2) + (4 + len(told)).to_bytes(2) + told
            _say(self._control, write_chunk(ChunkType.ERROR, cause))
        return bool(kind & 0x80)

    def _take_init(self, value: bytes) -> None:
        """Section 5.2.1: answered as long as we have no association, with what our own INIT says."""
        if self.state not in (State.COOKIE_WAIT, State.COOKIE_ECHOED):
            # a late or repeated one
            self.ignored += 1
            return
        try:
            theirs = read_init_untrusted(value)
        except ValueError:
            self.ignored += 1
            return
        ours = self._ours
        answer = Init(
            ours.tag,
            ours.window,
            ours.outbound,
            ours.inbound,
            ours.tsn,
            cookie=write_cookie(self._secret, theirs),
            unrecognized=theirs.unrecognized,
        )
        header = PacketHeader(*self._ports, theirs.tag)
        if len(self._ready) < _CONTROL_MAX:
            self._ready.append(header.seal(write_init(answer, ChunkType.INIT_ACK)))

    def _take_init_ack(self, value: bytes, now: float) -> None:
        """Section 5.1 C."""
        if self.state is not State.COOKIE_WAIT:
            return
        try:
            theirs = read_init_untrusted(value)
        except ValueError:
            self.ignored += 1
            return
        if theirs.cookie is None or len(theirs.cookie) > BODY_MAX - 4:
            self.ignored += 1
            return
        self._set_other_end(theirs)
        assert self._header_out is not None
        self.state = State.COOKIE_ECHOED
        self._repeat(self._header_out.seal(write_chunk(ChunkType.COOKIE_ECHO, theirs.cookie)), now)

    def _take_cookie_echo(self, value: bytes) -> bool:
        """Section 5.1 D and the table in 5.2.4."""
        try:
            theirs = read_cookie_untrusted(self._secret, value)
        except ValueError:
            self.ignored += 1
            return False
        if self.state in (State.COOKIE_WAIT, State.COOKIE_ECHOED):
            _say(self._control, write_chunk(ChunkType.COOKIE_ACK))
            self._establish(theirs)
        elif self._theirs is not None and self._theirs.tag == theirs.tag:
            _say(self._control, write_chunk(ChunkType.COOKIE_ACK))
        return self.state is not State.CLOSED

    def _take_abort(self, value: bytes) -> None:
        cause = int.from_bytes(value[:2]) if len(value) >= 4 else None
        self._end(cause, aborted=True)

    def _take_forward_tsn(self, value: bytes) -> None:
        if self.state not in _RECEIVING or not self._incoming.take_forward_tsn_untrusted(value):
            self.ignored += 1
        elif self._resets.waits_for_data:
            self._resets.on_received()

    def _take_shutdown(self, kind: int, value: bytes, now: float) -> None:
        """The other end shuts down (section 9.2): what is on its way is delivered first."""
        if kind == ChunkType.SHUTDOWN_COMPLETE:
            if self.state is State.SHUTDOWN_ACK_SENT:
                self._end(None, aborted=True)
            return
        if kind == ChunkType.SHUTDOWN_ACK or self.state not in _RECEIVING or len(value) < 4:
            self.ignored += 1
            return
        outgoing = self._outgoing
        cumulative = unwrap(int.from_bytes(value[:4]), outgoing.tsn)
        outgoing.acknowledge(cumulative, (), RECEIVE_WINDOW, now)
        if self.state is State.ESTABLISHED:
            self.state = State.SHUTDOWN_RECEIVED

    # -- streams -----------------------------------------------------------------------------------

    def open_stream(self, stream_id: int) -> None:
        """Take part in the resets of this stream."""
        self._resets.open(stream_id)

    def reset_stream(self, stream_id: int) -> None:
        """Reset our half of a stream, after what was written (RFC 6525)."""
        self._resets.ask(stream_id)

    def stream_used_again(self, stream_id: int) -> None:
        """The other end opens a stream; where it is closing here, that end knows before us that it is closed."""
        self._resets.used_again(stream_id)

    def forget_stream(self, stream_id: int) -> None:
        """A stream is closed: the next user begins with fresh sequence numbers."""
        self._resets.forget(stream_id)

    def numbers(self) -> AssociationStats:
        """The numbers that statistics show."""
        return AssociationStats(
            smoothed_rtt=self._outgoing.round_trip.smoothed,
            congestion_window=self._outgoing.window.size,
            receiver_window=self._incoming.window,
            mtu=PACKET_MAX,
            unacknowledged=self._outgoing.outstanding,
            ignored=self.ignored,
        )


def _say(control: list[bytes], chunk: bytes) -> None:
    """Have a control chunk sent with the next packets."""
    if len(control) < _CONTROL_MAX:
        control.append(chunk)


def _invalid_stream(stream: bytes) -> bytes:
    """ERROR: no such stream (RFC 9260 section 3.3.10.1)."""
    cause = Cause.INVALID_STREAM.to_bytes(2) + (8).to_bytes(2) + stream + bytes(2)
    return write_chunk(ChunkType.ERROR, cause)
