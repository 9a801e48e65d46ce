"""Stream reconfiguration: resets of streams in both directions (RFC 6525), as data channels use them (RFC 8831 6.7).

Pure. One request of each end is under way at a time. Only streams that somebody uses (`open`) are tracked, so what
the other end asks for costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from struct import Struct
from struct import error as struct_error
from typing import Final

from rtcpeer.sctp.packets import (
    STREAMS_MAX,
    ChunkType,
    Parameter,
    parameters_untrusted,
    unwrap,
    write_chunk,
    write_parameter,
)
from rtcpeer.sctp.receive_queue import ReceiveQueue
from rtcpeer.sctp.send_queue import SendQueue

__all__ = ["StreamResets"]

# Streams that one request names: with its headers some 300 bytes
_STREAMS_PER_REQUEST: Final = 135
# Results (RFC 6525 section 4.4)
_NOTHING_TO_DO: Final = 0
_PERFORMED: Final = 1
_DENIED: Final = 2
_BAD_SEQUENCE: Final = 5
_IN_PROGRESS: Final = 6

_MASK: Final = 0xFFFFFFFF
_OUTGOING: Final = Struct("!LLL")
_RESPONSE: Final = Struct("!LL")
_ADD: Final = Struct("!LHH")


class StreamResets:
    """The resets of one association.

    Args:
        sequence: of our first request: our first TSN (RFC 6525 section 4.1).
        incoming: begins the other end's half of a stream again, and knows what has arrived.
        outgoing: begins our half again, and knows what was sent.
        send: takes a chunk that is to be sent.
        on_closing: told of a stream whose half the other end has reset, but we have not.
        on_closed: told of a stream of which both halves are reset.

    Attributes:
        deadline: when `expire` is to be called; None while no request of ours is under way.
        inbound_max: streams that the other end may use.
    """

    def __init__(
        self,
        sequence: int,
        incoming: ReceiveQueue,
        outgoing: SendQueue,
        *,
        send: Callable[[bytes], None],
        on_closing: Callable[[int], None],
        on_closed: Callable[[int], None],
    ) -> None:
        self.deadline: float | None = None
        self.inbound_max: int = STREAMS_MAX
        self._incoming = incoming
        self._outgoing = outgoing
        self._send = send
        self._on_closing = on_closing
        self._on_closed = on_closed
        # streams in use; of these the halves that are reset
        self._open: set[int] = set()
        self._outbound_done: set[int] = set()
        self._inbound_done: set[int] = set()
        # streams whose reset was asked for, in order
        self._wanted: dict[int, None] = {}
        # our request under way: its number, its streams, the parameter
        self._sequence = sequence & _MASK
        self._request: tuple[int, list[int], bytes] | None = None
        self._tries = 0
        # the other end's: the number of its last request, what we answered, what waits for data that is missing
        self._their_sequence = 0
        self._answer = _NOTHING_TO_DO
        self._deferred: tuple[int, list[int]] | None = None

    @property
    def waits_for_data(self) -> bool:
        """Whether a reset of the other end waits for `on_received`."""
        return self._deferred is not None

    @property
    def is_wanted(self) -> bool:
        """Whether `advance` might send a request."""
        return bool(self._wanted)

    def begin(self, first_tsn: int, outbound: int) -> None:
        """The association is there: the other end's first TSN numbers its first request, so many streams are its."""
        self._their_sequence = first_tsn - 1 & _MASK
        self.inbound_max = min(outbound, STREAMS_MAX)

    # -- streams -----------------------------------------------------------------------------------

    def open(self, stream: int) -> None:
        """Take part in the resets of this stream."""
        self._open.add(stream)

    def forget(self, stream: int) -> None:
        """The stream is closed."""
        self._open.discard(stream)
        self._outbound_done.discard(stream)
        self._inbound_done.discard(stream)

    def used_again(self, stream: int) -> None:
        """The other end opens a stream that is closing here: it has performed our reset, the answer is late or lost.

        It may use the stream again once both halves are reset (RFC 8831 section 6.7), and it knows that first. The
        answer, when it comes, is none for the stream as it is from now on.
        """
        request = self._request
        if request is None or stream not in request[1] or stream not in self._inbound_done:
            return
        request[1].remove(stream)
        self._outgoing.restart_stream(stream)
        self._outbound_done.add(stream)
        self._close_if_done(stream)

    def ask(self, stream: int) -> None:
        """Reset our half of a stream; `advance` sends the request."""
        self._wanted[stream] = None

    # -- our requests ------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Send a request, if one is due: for streams of which everything was sent (RFC 6525 section 5.1.2)."""
        if not self._wanted or self._request is not None:
            return
        busy = self._outgoing.queued_streams()
        # no more of them is looked at than can be named: the other end may have had us ask for thousands
        streams = list(islice((s for s in self._wanted if s not in busy), _STREAMS_PER_REQUEST))
        if not streams:
            return
        for stream in streams:
            del self._wanted[stream]
        body = _OUTGOING.pack(self._sequence, self._their_sequence, self._outgoing.tsn - 1 & _MASK)
        body += b"".join(stream.to_bytes(2) for stream in streams)
        parameter = write_parameter(Parameter.OUTGOING_RESET, body)
        self._request = (self._sequence, streams, parameter)
        self._sequence = self._sequence + 1 & _MASK
        self._tries = 0
        self._send_request(now)

    def expire(self, now: float) -> None:
        """Send the request again: no answer came."""
        self.deadline = None
        if self._request is not None:
            self._tries += 1
            self._send_request(now)

    @property
    def is_waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return self._request is not None

    def wake(self, now: float) -> None:
        """A path is back."""
        if self._request is not None:
            self._tries = 0
            self._send_request(now)

    def stop(self) -> None:
        """The association is over."""
        self._request = None
        self._wanted.clear()
        self.deadline = None

    def _send_request(self, now: float) -> None:
        assert self._request is not None
        self.deadline = now + self._outgoing.round_trip.timeout * (1 << min(self._tries, 3))
        self._send(write_chunk(ChunkType.RE_CONFIG, self._request[2]))

    # -- what comes --------------------------------------------------------------------------------

    def receive_untrusted(self, value: bytes, now: float) -> None:
        """A RE-CONFIG chunk. What makes no sense is ignored."""
        for kind, content in parameters_untrusted(value):
            try:
                if kind == Parameter.OUTGOING_RESET:
                    self._take_outgoing(content)
                elif kind == Parameter.RESET_RESPONSE:
                    answered, result = _RESPONSE.unpack_from(content)
                    self._take_response(answered, result, now)
                elif kind == Parameter.ADD_OUTGOING:
                    sequence, count, _reserved = _ADD.unpack_from(content)
                    self._take_added(sequence, count)
                elif kind in (Parameter.INCOMING_RESET, Parameter.TSN_RESET, Parameter.ADD_INCOMING):
                    # browsers use none of them (RFC 8831 section 6.7)
                    self._take_other(int.from_bytes(content[:4]))
            except struct_error:
                continue

    def _is_new(self, sequence: int) -> bool:
        """Whether a request is the next one; the last one is answered as before (RFC 6525 section 5.2.1)."""
        if sequence == self._their_sequence + 1 & _MASK:
            self._their_sequence = sequence
            return True
        if sequence == self._their_sequence:
            self._respond(sequence, _IN_PROGRESS if self._deferred is not None else self._answer)
        else:
            self._send_response(sequence, _BAD_SEQUENCE)
        return False

    def _take_outgoing(self, content: bytes) -> None:
        """The other end resets its half of streams (RFC 6525 section 5.2.2)."""
        sequence, _response, last = _OUTGOING.unpack_from(content)
        if not self._is_new(sequence):
            return
        numbers = content[_OUTGOING.size :]
        streams = [numbers[at] << 8 | numbers[at + 1] for at in range(0, len(numbers) - 1, 2)]
        self._deferred = (unwrap(last, self._incoming.cumulative), streams)
        self.on_received()
        if self._deferred is not None:
            self._respond(sequence, _IN_PROGRESS)

    def on_received(self) -> None:
        """Something has arrived: a reset that waited for it is carried out (E2 and E5)."""
        if self._deferred is None or self._incoming.cumulative < self._deferred[0]:
            return
        streams = self._deferred[1]
        self._deferred = None
        if streams:
            self._incoming.reset(streams)
        else:
            self._incoming.reset_all()
        self._respond(self._their_sequence, _PERFORMED)
        for stream in dict.fromkeys(streams) if streams else sorted(self._open - self._inbound_done):
            if stream not in self._open or stream in self._inbound_done:
                continue
            self._inbound_done.add(stream)
            if stream not in self._outbound_done:
                self._on_closing(stream)
            self._close_if_done(stream)

    def _take_response(self, sequence: int, result: int, now: float) -> None:
        """The answer to our request (RFC 6525 section 5.2.7)."""
        request = self._request
        if request is None or request[0] != sequence:
            return
        if result == _IN_PROGRESS:
            # asked again later
            self._tries = 0
            self.deadline = now + self._outgoing.round_trip.timeout
            return
        self._request = None
        self.deadline = None
        for stream in request[1]:
            if result in (_NOTHING_TO_DO, _PERFORMED):
                self._outgoing.restart_stream(stream)
                if stream in self._open:
                    self._outbound_done.add(stream)
                    self._close_if_done(stream)
            elif stream in self._open:
                # refused: the channel closes at once, as its user wished
                self.forget(stream)
                self._on_closed(stream)

    def _close_if_done(self, stream: int) -> None:
        if stream in self._inbound_done and stream in self._outbound_done:
            self.forget(stream)
            self._on_closed(stream)

    def _take_added(self, sequence: int, count: int) -> None:
        """The other end wants more streams (RFC 6525 section 5.2.5)."""
        if self._is_new(sequence):
            allowed = self.inbound_max + count <= STREAMS_MAX
            if allowed:
                self.inbound_max += count
            self._respond(sequence, _PERFORMED if allowed else _DENIED)

    def _take_other(self, sequence: int) -> None:
        if self._is_new(sequence):
            self._respond(sequence, _DENIED)

    def _respond(self, sequence: int, result: int) -> None:
        self._answer = result
        self._send_response(sequence, result)

    def _send_response(self, sequence: int, result: int) -> None:
        parameter = write_parameter(Parameter.RESET_RESPONSE, _RESPONSE.pack(sequence, result))
        self._send(write_chunk(ChunkType.RE_CONFIG, parameter))
