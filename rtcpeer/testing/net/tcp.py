"""TCP as it can be noticed from above: ordered, complete, late when packets are lost, dead when the path is.

Owns: one `TcpStream` per connection, its handshake, retransmission and end.  Never: routing.

There is no congestion control: what limits a transfer is the link's bandwidth and the window.
Acknowledgements are cumulative; the oldest unacknowledged segment is sent again after a timeout that doubles,
or after three duplicate acknowledgements.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rtcpeer.net.network import Address, StreamReceiver
from rtcpeer.testing.net.packet import Packet, TcpSegment

SEGMENT_SIZE = 1200
WINDOW = 256  # segments in flight
SEND_BUFFER = 1 << 20
FIRST_TIMEOUT, MIN_TIMEOUT, MAX_TIMEOUT = 1.0, 0.2, 16.0
CONNECT_TIMEOUT = 30.0
# without progress for this long the connection is given up
GIVE_UP = 60.0


class TcpStream:
    """One end of a connection; a `StreamSocket`.

    Args:
        local: our address.
        remote: the other end's.
        receiver: gets the bytes, and None at the end; None for a stream that is to be accepted (`set_receiver`).
        transmit: sends a packet.
        established: is called when the handshake is done.
        gone: is called when all is over.
    """

    def __init__(
        self,
        local: Address,
        remote: Address,
        receiver: StreamReceiver | None,
        *,
        transmit: Callable[[Packet], None],
        established: Callable[[TcpStream], None],
        gone: Callable[[TcpStream], None],
    ) -> None:
        self._send_packet, self._on_established, self._on_gone = transmit, established, gone
        self._local, self._remote = local, remote
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = self._loop.create_future()
        self._buffer = bytearray()
        # (sequence, kind, data) that was sent and not acknowledged
        self._flight: deque[tuple[int, str, bytes]] = deque()
        self._next_sequence = 0
        self._expected = 0
        self._early: dict[int, tuple[str, bytes]] = {}
        self._timeout = FIRST_TIMEOUT
        self._smoothed: float | None = None
        # (sequence that must be acknowledged, when it was sent): one round trip is measured at a time
        self._probe: tuple[int, float] | None = None
        self._duplicates = 0
        # after a loss: what had been sent by then; until it is acknowledged, each hole is filled at once
        self._recover_until = 0
        self._progress_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        # we take nothing more from above; the other side sends nothing more; all is over
        self._closed = self._remote_closed = self._gone = False
        self._fin_sent = False

    def __repr__(self) -> str:
        return f"<TcpStream {self._local} - {self._remote}>"

    # -- for the owner -----------------------------------------------------------------------------

    @property
    def local_address(self) -> Address:
        """Our end."""
        return self._local

    @property
    def remote_address(self) -> Address:
        """The address of the other end."""
        return self._remote

    @property
    def is_closed(self) -> bool:
        """Whether either side has ended it."""
        return self._closed or self._remote_closed or self._gone

    def set_receiver(self, receiver: StreamReceiver) -> None:
        """Set who gets the bytes of an accepted stream."""
        self._receiver = receiver

    def write(self, data: bytes) -> None:
        """Queue bytes; a whole write is dropped when a megabyte waits already."""
        if self._closed or self._gone or len(self._buffer) > SEND_BUFFER:
            return
        self._buffer += data
        self._pump()

    def close(self) -> None:
        """The receiver is not called again; what is queued is still sent, then the end."""
        if self._closed:
            return
        self._closed = True
        self._receiver = None
        if not self.connected.done():
            self._vanish()
        else:
            self._pump()

    # -- handshake ---------------------------------------------------------------------------------

    def start_connecting(self) -> None:
        """Client: send SYN until it is answered."""
        self._transmit(0, "syn", b"")
        self._flight.append((0, "syn", b""))
        self._next_sequence = 1
        self._arm()

    def start_accepting(self) -> None:
        """Server: answer a SYN."""
        self._expected = 1
        self._transmit(0, "synack", b"")
        self._flight.append((0, "synack", b""))
        self._next_sequence = 1
        self._arm()

    # -- packets -----------------------------------------------------------------------------------

    def receive(self, packet: Packet) -> None:
        """A packet of this connection has arrived."""
        segment = packet.tcp
        if self._gone or segment is None:
            return
        if segment.kind == "rst":
            self._break(ConnectionRefusedError("connection refused"))
            return
        if segment.kind == "syn":
            self._transmit(0, "synack", b"")
            return
        self._acknowledge(segment.acknowledged)
        if segment.kind == "synack":
            if self._expected == 0:
                self._expected = 1
            self._transmit(self._next_sequence, "ack", b"")
            self._establish()
            return
        self._establish()
        if segment.kind in ("data", "fin"):
            if segment.sequence >= self._expected:
                self._early[segment.sequence] = (segment.kind, packet.data)
            self._take_in_order()
            if not self._gone:
                self._transmit(self._next_sequence, "ack", b"")
                self._check_end()

    def _establish(self) -> None:
        if not self.connected.done():
            self._flight.clear()
            self._stop_timer()
            self._timeout = FIRST_TIMEOUT
            self.connected.set_result(None)
            self._on_established(self)
            self._pump()

    def _take_in_order(self) -> None:
        while not self._gone and (entry := self._early.pop(self._expected, None)) is not None:
            kind, data = entry
            if kind == "fin":
                self._expected += 1
                self._remote_closed = True
                receiver, self._receiver = self._receiver, None
                # nobody here writes after the other side has ended: the stream is over
                self._closed = True
                self._pump()
                if receiver is not None:
                    receiver(None)
                return
            self._expected += len(data)
            if self._receiver is not None:
                self._receiver(data)

    def _acknowledge(self, acknowledged: int) -> None:
        now = self._loop.time()
        flight = self._flight
        progress = False
        while flight and flight[0][0] + max(1, len(flight[0][2])) <= acknowledged:
            flight.popleft()
            progress = True
        if progress:
            if self._probe is not None and acknowledged >= self._probe[0]:
                self._measure(now - self._probe[1])
                self._probe = None
            self._duplicates = 0
            self._progress_at = now
            self._stop_timer()
            if flight:
                self._timeout = self._base_timeout()
                if acknowledged < self._recover_until:
                    self._resend_first()
                self._arm()
            self._pump()
            self._check_end()
        elif flight and self.connected.done() and acknowledged == flight[0][0]:
            self._duplicates += 1
            if self._duplicates == 3:
                self._recover_until = self._next_sequence
                self._resend_first()

    def _measure(self, sample: float) -> None:
        self._smoothed = sample if self._smoothed is None else 0.875 * self._smoothed + 0.125 * sample
        self._timeout = self._base_timeout()

    def _base_timeout(self) -> float:
        if self._smoothed is None:
            return FIRST_TIMEOUT
        return min(max(2 * self._smoothed, MIN_TIMEOUT), MAX_TIMEOUT)

    def _pump(self) -> None:
        if not self.connected.done() or self._gone:
            return
        while self._buffer and len(self._flight) < WINDOW:
            data = bytes(self._buffer[:SEGMENT_SIZE])
            del self._buffer[:SEGMENT_SIZE]
            self._launch("data", data, len(data))
        if self._closed and not self._buffer and not self._fin_sent:
            self._fin_sent = True
            self._launch("fin", b"", 1)

    def _launch(self, kind: str, data: bytes, length: int) -> None:
        sequence = self._next_sequence
        self._next_sequence += length
        if self._probe is None:
            self._probe = (self._next_sequence, self._loop.time())
        if not self._flight:
            self._progress_at = self._loop.time()
        self._flight.append((sequence, kind, data))
        self._transmit(sequence, kind, data)
        if self._timer is None:
            self._arm()

    def _transmit(self, sequence: int, kind: str, data: bytes) -> None:
        segment = TcpSegment(kind, sequence, self._expected)  # type: ignore[arg-type]
        self._send_packet(Packet("tcp", self._local, self._remote, data, segment))

    # -- timer -------------------------------------------------------------------------------------

    def _arm(self) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(self._timeout, self._expired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if not self._flight:
            return
        limit = GIVE_UP if self.connected.done() else CONNECT_TIMEOUT
        if self._loop.time() - self._progress_at >= limit:
            self._break(TimeoutError("no answer"))
            return
        self._timeout = min(self._timeout * 2, MAX_TIMEOUT)
        self._recover_until = self._next_sequence
        self._resend_first()
        self._arm()

    def _resend_first(self) -> None:
        self._probe = None  # Karn: a retransmission says nothing about the round trip
        self._transmit(*self._flight[0])

    # -- end ---------------------------------------------------------------------------------------

    def _check_end(self) -> None:
        if self._remote_closed and self._fin_sent and not self._flight:
            self._vanish()
        elif self._closed and self._fin_sent and not self._flight and self._receiver is None:
            # our side is done; the other side's FIN finds nobody and needs nobody
            self._vanish()

    def _break(self, reason: OSError) -> None:
        if not self.connected.done():
            self.connected.set_exception(reason)
            self.connected.exception()  # an accepted stream has nobody who asks
        receiver, self._receiver = self._receiver, None
        established = self.connected.exception() is None
        self._vanish()
        if receiver is not None and established:
            receiver(None)

    def abort(self) -> None:
        """The host is gone: nothing is said to anybody."""
        self._receiver = None
        self._vanish()

    def _vanish(self) -> None:
        self._gone = self._closed = True
        self._stop_timer()
        self._flight.clear()
        self._buffer.clear()
        if not self.connected.done():
            self.connected.cancel()
        self._on_gone(self)
