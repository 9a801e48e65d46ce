"""RTCDataChannel (webrtc-pc 6.2): its face, and the reading of what `createDataChannel` is given.

Owns: the W3C names and the WebIDL conversions. Never: the life of a channel (`rtcpeer.peer.core.channel`).
"""

from __future__ import annotations

from typing import Any, Self, cast

from rtcpeer import webidl
from rtcpeer.media.event_target import Event, EventTarget, handler
from rtcpeer.peer.core.channel import DataChannelCore, DataChannelOwner
from rtcpeer.peer.dictionaries import RTCDataChannelInit
from rtcpeer.peer.events import EVENT_MEMBERS, InitEvent, MessageEvent, RTCErrorEvent
from rtcpeer.peer.listening import DataChannelEvents
from rtcpeer.peer.messages import STREAM_BOUND_BYTES, MessageStream
from rtcpeer.records import record
from rtcpeer.sctp.channel import ChannelParameters
from rtcpeer.values import DataChannelState, Priority

__all__ = [
    "DataChannelOwner",
    "DataChannelCore",
    "MessageStream",
    "RTCDataChannel",
    "RTCDataChannelEvent",
    "RTCDataChannelEventInit",
    "read_data_channel_init",
]

# RFC 8832 section 5.1: the length fields of label and protocol have 16 bits
MAX_LABEL_BYTES = 65535
# RFC 8831 section 6.5: 65535 is not used
RESERVED_ID = 65535

# members of RTCDataChannelInit
INIT_MEMBERS = webidl.names(RTCDataChannelInit)

BINARY_TYPES = ("blob", "arraybuffer")


def read_data_channel_init(label: Any, init: Any = None, /, **keywords: Any) -> ChannelParameters:
    """Convert the arguments of `createDataChannel`.

    Implements: WebIDL of RTCDataChannelInit; webrtc-pc 6.1 "createDataChannel" steps 4 to 20.

    Args:
        label: of the channel.
        init: a mapping or dataclass with ordered, maxPacketLifeTime, maxRetransmits, protocol, negotiated,
            id, priority; None means absent.
        **keywords: the same members; they win.

    Raises:
        TypeError: a keyword is no member, a member has the wrong type or range, label or protocol is too long, both
            limits of reliability are given, or a negotiated channel has no id.
    """
    given = webidl.members("RTCDataChannelInit", init, keywords, INIT_MEMBERS)
    text = _bounded("label", webidl.usv_string("label", label))
    life_time = webidl.optional_unsigned(
        "maxPacketLifeTime", given.get("maxPacketLifeTime"), webidl.UNSIGNED_SHORT
    )
    retransmits = webidl.optional_unsigned(
        "maxRetransmits", given.get("maxRetransmits"), webidl.UNSIGNED_SHORT
    )
    ordered = given.get("ordered")
    protocol = given.get("protocol")
    protocol_text = _bounded("protocol", webidl.usv_string("protocol", "" if protocol is None else protocol))
    negotiated = bool(given.get("negotiated"))
    # converted, so checked, even where it is ignored
    number = webidl.optional_unsigned("id", given.get("id"), webidl.UNSIGNED_SHORT)
    priority = given.get("priority")
    if not negotiated:
        number = None
    elif number is None:
        raise TypeError("a negotiated data channel needs an id")
    if life_time is not None and retransmits is not None:
        raise TypeError("maxPacketLifeTime and maxRetransmits exclude each other")
    if number == RESERVED_ID:
        raise TypeError(f"id must be in 0..{RESERVED_ID - 1}, not {number}")
    return ChannelParameters(
        label=text,
        protocol=protocol_text,
        ordered=True if ordered is None else bool(ordered),
        max_packet_life_time=life_time,
        max_retransmits=retransmits,
        negotiated=negotiated,
        id=number,
        priority=Priority.LOW if priority is None else webidl.enumeration("priority", priority, Priority),
    )


def describe_channel_init(parameters: ChannelParameters) -> str:
    """The arguments of `createDataChannel` as text, for watchers."""
    limits = (
        ("maxPacketLifeTime", parameters.max_packet_life_time),
        ("maxRetransmits", parameters.max_retransmits),
        ("id", parameters.id),
    )
    shown = "".join(f", {name}: {value}" for name, value in limits if value is not None)
    return (
        f"label: {parameters.label}, ordered: {str(parameters.ordered).lower()}, protocol: {parameters.protocol}, "
        f"negotiated: {str(parameters.negotiated).lower()}{shown}"
    )


def _bounded(name: str, text: str) -> str:
    # no text of so few characters can be too long: UTF-8 needs four bytes for one at most
    if len(text) * 4 > MAX_LABEL_BYTES and len(text.encode()) > MAX_LABEL_BYTES:
        raise TypeError(f"{name} must have at most {MAX_LABEL_BYTES} bytes as UTF-8")
    return text


class RTCDataChannel(DataChannelEvents):
    """A channel for messages in both directions (webrtc-pc 6.2). Made by `createDataChannel`.

    Events: open, message, bufferedamountlow, error, closing, close. Beside W3C's interface: `opened`,
    `send_async`, `messages`, ``async for message in channel``.
    """

    onopen: handler[Event] = handler("open")
    onmessage: handler[MessageEvent] = handler("message")
    onbufferedamountlow: handler[Event] = handler("bufferedamountlow")
    onerror: handler[RTCErrorEvent] = handler("error")
    onclosing: handler[Event] = handler("closing")
    onclose: handler[Event] = handler("close")

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, DataChannelCore):
            raise TypeError("Illegal constructor: data channels are made by createDataChannel()")
        self._core_ = core
        self._binary_type_ = "arraybuffer"

    @property
    def label(self) -> str:
        """The label of the channel; several channels may have the same."""
        return self._core_.channel.parameters.label

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in the order in which they were sent."""
        return self._core_.channel.parameters.ordered

    @property
    def maxPacketLifeTime(self) -> int | None:
        """How long a message is tried, in milliseconds; None: until it arrives."""
        return self._core_.channel.parameters.max_packet_life_time

    @property
    def maxRetransmits(self) -> int | None:
        """The number of times that a message is repeated; None = until it arrives."""
        return self._core_.channel.parameters.max_retransmits

    @property
    def protocol(self) -> str:
        """The application's protocol on it."""
        return self._core_.channel.parameters.protocol

    @property
    def negotiated(self) -> bool:
        """Whether the application made it on both ends itself."""
        return self._core_.channel.parameters.negotiated

    @property
    def id(self) -> int | None:
        """The SCTP stream; None until the DTLS roles are known."""
        return self._core_.channel.id

    @property
    def priority(self) -> Priority:
        """The priority of the channel: its share when several channels have something to send (webrtc-priority)."""
        return self._core_.channel.parameters.priority

    @property
    def readyState(self) -> DataChannelState:
        """The state of the channel: "connecting", "open", "closing" or "closed"."""
        return self._core_.state

    @property
    def bufferedAmount(self) -> int:
        """Bytes given to `send` that SCTP has not taken yet."""
        return self._core_.channel.buffered_amount

    @property
    def unacknowledgedMessages(self) -> int:
        """How many of the newest messages given to `send` may not have arrived; not in W3C's interface.

        They begin with the oldest one that SCTP has not acknowledged (RFC 9260 section 6.2). Counting takes time
        proportional to what waits and what is on its way. A closed channel keeps its last number.
        """
        return self._core_.channel.unacknowledged

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """``bufferedamountlow`` fires when `bufferedAmount` falls to this or below."""
        return self._core_.threshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        self._core_.set_threshold(webidl.unsigned("bufferedAmountLowThreshold", value))

    @property
    def binaryType(self) -> str:
        """Remembered ("arraybuffer" or "blob"), without effect: binary messages are ``bytes``."""
        return self._binary_type_

    @binaryType.setter
    def binaryType(self, value: str) -> None:
        if value not in BINARY_TYPES:
            raise TypeError(f"binaryType must be one of 'blob', 'arraybuffer', not {value!r}")
        self._binary_type_ = str(value)

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Queue a message.

        Raises:
            InvalidStateError: the channel is not open.
            TypeError: `data` is neither str nor bytes-like, or larger than `RTCSctpTransport.maxMessageSize`.
            OperationError: more than 16 MiB wait to be sent.
        """
        self._core_.send(data)

    async def send_async(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send a message as soon as the channel is open and has room.

        Raises:
            InvalidStateError: the channel closed before the message could be queued.
            TypeError: as `send`.
        """
        await self._core_.send_async(data)

    async def opened(self, timeout: float | None = None) -> Self:
        """Wait until the channel is open.

        Args:
            timeout: in seconds.

        Raises:
            InvalidStateError: it is closing or closed.
            RTCTimeoutError: it took longer.
        """
        await self._core_.opened(timeout)
        return self

    def close(self) -> None:
        """Close it; what was sent before is still delivered."""
        self._core_.close()

    def messages(self, bound_bytes: int = STREAM_BOUND_BYTES) -> MessageStream:
        """The messages from now on (and those that came before anybody listened), until the channel closes.

        Args:
            bound_bytes: when more than this waits to be read, the iterator raises `OperationError`.
        """
        return self._core_.messages(bound_bytes)

    def __aiter__(self) -> MessageStream:
        return self.messages()

    def __repr__(self) -> str:
        return f"<RTCDataChannel {self.label!r} {self.readyState.value}, id {self.id}>"


@record(slots=True)
class RTCDataChannelEventInit:
    """Of `RTCDataChannelEvent` (webrtc-pc 6.3)."""

    channel: RTCDataChannel


class RTCDataChannelEvent(InitEvent):
    """The other end opened a channel (webrtc-pc 6.3).

    Attributes:
        channel: it, already open.
    """

    _member_names = EVENT_MEMBERS | webidl.names(RTCDataChannelEventInit)
    channel: RTCDataChannel

    def _read_init(self, given: dict[str, Any]) -> None:
        channel = webidl.required("RTCDataChannelEventInit", given, "channel")
        if not isinstance(channel, EventTarget):
            raise TypeError(f"channel must be an RTCDataChannel, not {webidl.kind(channel)}")
        # a program may have made a likeness of its own
        self.channel = cast("RTCDataChannel", channel)
