"""A data channel: its queue, its numbers, the messages that open it (RFC 8831, RFC 8832).

Owns: what is queued and counted for one channel. Never: a packet; the transport asks for the next message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from struct import Struct
from struct import error as struct_error
from typing import Any, Protocol

from rtcpeer.errors import InvalidStateError, RTCError
from rtcpeer.records import record
from rtcpeer.sctp.association import Association
from rtcpeer.values import DataChannelState, DtlsRole, Priority

# RFC 8832 section 8.2.1 and RFC 8831 section 8: message types and payload protocol identifiers
DCEP_ACK = 2
DCEP_OPEN = 3
PPID_DCEP = 50
PPID_STRING = 51
PPID_BINARY = 53
PPID_STRING_EMPTY = 56
PPID_BINARY_EMPTY = 57
_OPEN_HEADER = Struct("!BBHLHH")

# RFC 8832 section 5: 65535 is not used
MAX_CHANNEL_ID = 65534
# RFC 8832 section 5.1 gives the numbers; the shares of channels follow them (RFC 8831 section 6.4)
_PRIORITY_NUMBERS = {priority: int(256 * priority.weight) for priority in Priority}


@record(frozen=True, slots=True)
class ChannelParameters:
    """The options of one data channel (webrtc-pc 6.2, RFC 8832).

    Attributes:
        id: the SCTP stream; None until it is assigned, when the channel is not negotiated.
        max_packet_life_time: in milliseconds; excludes `max_retransmits`.
    """

    label: str
    protocol: str = ""
    ordered: bool = True
    max_packet_life_time: int | None = None
    max_retransmits: int | None = None
    negotiated: bool = False
    id: int | None = None
    priority: Priority = Priority.LOW


class ChannelListener(Protocol):
    """Protocol of those who are told what happens to one channel."""

    def on_open(self) -> None:
        """Messages can be sent."""

    def on_message(self, data: str | bytes) -> None:
        """A message arrived."""

    def on_buffered_amount_low(self) -> None:
        """The buffered amount fell to the threshold or below."""

    def on_closing(self) -> None:
        """The other end began to close it."""

    def on_closed(self, error: RTCError | None) -> None:
        """The channel is closed; `error` if that was nobody's wish."""


class ChannelOwner(Protocol):
    """The transport, seen from a channel.

    Attributes:
        flushes: how often channels have been asked for what they have to send.
    """

    flushes: int

    def schedule(self, channel: DataChannel) -> None:
        """The channel has something to send."""

    def schedule_close(self, channel: DataChannel) -> None:
        """The channel is closing."""

    def time(self) -> float:
        """The loop's time."""

    def unacknowledged(self, channel: DataChannel) -> int:
        """How many of the messages that SCTP was given for the channel may not have arrived."""


class DataChannel:
    """A data channel; made by `DataTransport.open` or by the other end.

    Attributes:
        parameters: its options; `id` there is what was asked for.
        id: the SCTP stream; None until it is assigned.
        state: see webrtc-pc 6.2.
        buffered_amount: bytes that `send` took and SCTP has not taken yet.
        buffered_amount_low_threshold: see webrtc-pc 6.2.
        listener: may be set late; what happens without one is not told.
    """

    __slots__ = (
        "_acknowledged",
        "_bytes_received",
        "_bytes_sent",
        "_messages_received",
        "_messages_sent",
        "_owner",
        "_queue",
        "_reset_sent",
        "_unacknowledged",
        "buffered_amount",
        "buffered_amount_low_threshold",
        "id",
        "listener",
        "parameters",
        "state",
    )  # fmt: skip

    def __init__(
        self, owner: ChannelOwner, parameters: ChannelParameters, listener: ChannelListener | None
    ) -> None:
        self.parameters: ChannelParameters = parameters
        self.id: int | None = parameters.id
        self.state: DataChannelState = DataChannelState.CONNECTING
        self.buffered_amount: int = 0
        self.buffered_amount_low_threshold: int = 0
        self.listener = listener
        self._owner = owner
        # payload protocol, bytes, what of them counts; with a lifetime, when it is over and `flushes` as it was queued
        self._queue: deque[tuple[int, bytes, int, tuple[float, int] | None]] = deque()
        # of a channel that is closed
        self._unacknowledged: int | None = None
        # RFC 8832 section 6: until the OPEN is acknowledged, messages are sent in order
        self._acknowledged = parameters.negotiated
        self._reset_sent = False
        self._messages_sent = self._messages_received = self._bytes_sent = self._bytes_received = 0

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Queue a message.

        Raises:
            InvalidStateError: the channel is not open.
        """
        if self.state is not DataChannelState.OPEN:
            raise InvalidStateError(f"the data channel is {self.state.value}")
        if isinstance(data, str):
            body = _encode(data)
            protocol = PPID_STRING if body else PPID_STRING_EMPTY
        else:
            body = data if isinstance(data, bytes) else bytes(data)
            protocol = PPID_BINARY if body else PPID_BINARY_EMPTY
        size = len(body)
        self.buffered_amount += size
        self._messages_sent += 1
        self._bytes_sent += size
        lifetime = self.parameters.max_packet_life_time
        limit = None if lifetime is None else (self._owner.time() + lifetime / 1000, self._owner.flushes)
        # an empty message is sent as one byte that means nothing (RFC 8831 section 6.6)
        self._queue.append((protocol, body or b"\0", size, limit))
        self._owner.schedule(self)

    def close(self) -> None:
        """Close it: what is queued is sent first, then the streams are reset (RFC 8831 section 6.7).

        It is closed once both are. An other end that never resets its own leaves it closing, as in browsers, until the
        association ends: messages of that end may still come.
        """
        if self.state in (DataChannelState.CONNECTING, DataChannelState.OPEN):
            self.state = DataChannelState.CLOSING
            self._owner.schedule_close(self)

    @property
    def unacknowledged(self) -> int:
        """How many of the newest messages given to `send` may not have arrived.

        They begin with the oldest one that the other end has not acknowledged. A closed channel keeps the number.
        """
        if self._unacknowledged is not None:
            return self._unacknowledged
        queued = sum(protocol != PPID_DCEP for protocol, _body, _size, _limit in self._queue)
        return queued + self._owner.unacknowledged(self)

    def stats(self) -> dict[str, Any]:
        """Members of RTCDataChannelStats by their W3C names."""
        return {
            "label": self.parameters.label,
            "protocol": self.parameters.protocol,
            "dataChannelIdentifier": self.id,
            "state": self.state.value,
            "messagesSent": self._messages_sent,
            "bytesSent": self._bytes_sent,
            "messagesReceived": self._messages_received,
            "bytesReceived": self._bytes_received,
        }

    # -- what the transport does with it -----------------------------------------------------------

    def keep_unacknowledged(self) -> None:
        """The association is about to go: what has not arrived by now never will, by it."""
        if self._unacknowledged is None:
            self._unacknowledged = self.unacknowledged

    @property
    def pending(self) -> bool:
        """Whether something is queued."""
        return bool(self._queue)

    @property
    def weight(self) -> int:
        """The channel's share of what all channels send (RFC 8831 section 6.4)."""
        return _PRIORITY_NUMBERS[self.parameters.priority]

    def queue_control(self, message: bytes) -> None:
        """Queue a DCEP message before what is queued."""
        self._queue.appendleft((PPID_DCEP, message, 0, None))

    def write_one(self, association: Association, now: float) -> int:
        """Give the next message to SCTP; how many bytes it has.

        A lifetime, which may be 0, ends no message that only waited for its turn of the loop: that is sent once.
        """
        protocol, body, size, limit = self._queue.popleft()
        expiry = None
        if limit is not None:
            expiry, flushes = limit
            if flushes == self._owner.flushes:
                expiry = max(expiry, now)
        parameters = self.parameters
        assert self.id is not None
        if protocol == PPID_DCEP:
            association.write(self.id, protocol, body)
        else:
            association.write(
                self.id,
                protocol,
                body,
                ordered=parameters.ordered or not self._acknowledged,
                expiry=expiry,
                max_retransmits=parameters.max_retransmits,
            )
            self.buffered_amount -= size
        return len(body)

    def take_reset(self) -> bool:
        """Whether the reset of our half is still to be asked for; it counts as asked for from now on."""
        first, self._reset_sent = not self._reset_sent, True
        return first

    def receive(self, data: str | bytes, size: int) -> None:
        """A message of the other end."""
        self._messages_received += 1
        self._bytes_received += size
        if self.listener is not None and self.state in (DataChannelState.OPEN, DataChannelState.CLOSING):
            self.listener.on_message(data)

    def acknowledge(self) -> None:
        """The other end has answered the OPEN."""
        self._acknowledged = True

    def opened(self) -> None:
        """Announce it as open (webrtc-pc 6.1.1.2)."""
        if self.state is DataChannelState.CONNECTING:
            self.state = DataChannelState.OPEN
            if self.listener is not None:
                self.listener.on_open()

    def closing(self) -> None:
        """The other end closes it."""
        if self.state in (DataChannelState.CONNECTING, DataChannelState.OPEN):
            self.state = DataChannelState.CLOSING
            if self.listener is not None:
                self.listener.on_closing()

    def closed(self, error: RTCError | None, *, tell: bool = True) -> None:
        """End the channel."""
        if self.state is DataChannelState.CLOSED:
            return
        self.keep_unacknowledged()
        self.state = DataChannelState.CLOSED
        self._queue.clear()
        listener, self.listener = self.listener, None
        if tell and listener is not None:
            listener.on_closed(error)

    def __repr__(self) -> str:
        return f"<DataChannel {self.id} {self.parameters.label!r} {self.state.value}>"


def _encode(text: str) -> bytes:
    """UTF-8 of a text; lone surrogates become U+FFFD (WebIDL USVString)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def write_open(parameters: ChannelParameters) -> bytes:
    """DATA_CHANNEL_OPEN (RFC 8832 section 5.1)."""
    kind = 0 if parameters.ordered else 0x80
    reliability = 0
    if parameters.max_retransmits is not None:
        kind |= 1
        reliability = parameters.max_retransmits
    elif parameters.max_packet_life_time is not None:
        kind |= 2
        reliability = parameters.max_packet_life_time
    label, protocol = parameters.label.encode(), parameters.protocol.encode()
    number = _PRIORITY_NUMBERS[parameters.priority]
    return (
        _OPEN_HEADER.pack(DCEP_OPEN, kind, number, reliability, len(label), len(protocol)) + label + protocol
    )


def read_open_untrusted(stream_id: int, data: bytes) -> ChannelParameters:
    """DATA_CHANNEL_OPEN (RFC 8832 section 5.1); raises ValueError."""
    try:
        _kind, kind, number, reliability, label_size, protocol_size = _OPEN_HEADER.unpack_from(data)
    except struct_error as exc:
        raise ValueError("DATA_CHANNEL_OPEN is cut off") from exc
    if len(data) < 12 + label_size + protocol_size or kind & 0x7F > 2:
        raise ValueError("DATA_CHANNEL_OPEN makes no sense")
    label_end = 12 + label_size
    # webrtc-priority 4.1: ranges around the four numbers
    priority = next((p for p, n in _PRIORITY_NUMBERS.items() if number <= n), Priority.HIGH)
    return ChannelParameters(
        label=data[12:label_end].decode("utf-8", "replace"),
        protocol=data[label_end : label_end + protocol_size].decode("utf-8", "replace"),
        ordered=not kind & 0x80,
        max_retransmits=reliability if kind & 0x7F == 1 else None,
        max_packet_life_time=reliability if kind & 0x7F == 2 else None,
        id=stream_id,
        priority=priority,
    )


def free_id(
    taken: Container[int], role: DtlsRole, limit: int | None, resting: Container[int] = ()
) -> int | None:
    """RFC 8832 section 6: the DTLS client takes even numbers, the server odd ones; None if none is left.

    `limit` is how many streams the association has, once it is known. Of `resting` ones it is the last resort.
    """
    last = MAX_CHANNEL_ID if limit is None else min(limit - 1, MAX_CHANNEL_ID)
    for passed in (resting, ()):
        number = 1 if role is DtlsRole.SERVER else 0
        while number in taken or number in passed:
            number += 2
        if number <= last:
            return number
    return None


def rest_id(resting: dict[int, None], number: int, most: int) -> None:
    """Note that an id became free just now; of those before, `most` in all are kept."""
    resting.pop(number, None)
    resting[number] = None
    if len(resting) > most:
        del resting[next(iter(resting))]
