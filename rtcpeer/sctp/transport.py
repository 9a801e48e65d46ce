"""Data channels over SCTP (RFC 8831, RFC 8832): the association and its channels on the event loop and DTLS.

Owns: the channels of one transport, their ids, the timer. Never: W3C's checks of arguments (the peer
does them), or an event emitter.

Theory of operation. A message is queued with its channel. Once per turn of the loop, after all that has arrived in
it, channels give their messages to the association while it takes them (`schedule` says whose turn it is), and what
the association has to send goes to DTLS together. So `buffered_amount` does not shrink inside the caller's own step
(webrtc-pc 6.2), packets that arrived together are acknowledged together, an answer that a message handler sends
carries the acknowledgement, and datagrams can be handed to the system in one call.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from typing import Any, Protocol

from rtcpeer.aio import Gone
from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.errors import InvalidStateError, OperationError, RTCError
from rtcpeer.sctp.association import ENTROPY_SIZE, Association
from rtcpeer.sctp.channel import (
    DCEP_ACK,
    DCEP_OPEN,
    PPID_BINARY,
    PPID_BINARY_EMPTY,
    PPID_DCEP,
    PPID_STRING,
    PPID_STRING_EMPTY,
    ChannelListener,
    ChannelParameters,
    DataChannel,
    free_id,
    read_open_untrusted,
    rest_id,
    write_open,
)
from rtcpeer.sctp.schedule import Schedule
from rtcpeer.values import DataChannelState, DtlsRole, SctpTransportState

__all__ = [
    "DEFAULT_MAX_CHANNELS",
    "DEFAULT_MAX_MESSAGE_SIZE",
    "LOCAL_MAX_MESSAGE_SIZE",
    "ChannelListener",
    "DataChannel",
    "DataListener",
    "DataTransport",
]

logger = logging.getLogger(__name__)

# What we say in a=max-message-size, and take (RFC 8841 section 6)
LOCAL_MAX_MESSAGE_SIZE = 262144
# What the other end takes if it does not say
DEFAULT_MAX_MESSAGE_SIZE = 65536
# Channels that the other end may have open at a time
DEFAULT_MAX_CHANNELS = 1024
# Packets that come closer to each other than this, in seconds, are taken for a batch
_IN_A_ROW = 50e-6
# What a message costs beside its bytes, for the shares of channels
_MESSAGE_OVERHEAD = 16


class DataListener(Protocol):
    """Protocol of those who are told what happens to the transport."""

    def on_sctp_state(self, state: SctpTransportState, error: RTCError | None) -> None:
        """The state changed."""

    def on_channel(self, channel: DataChannel) -> None:
        """The other end opened a channel; it is open already. Set its `listener` here."""


class DataTransport:
    """The SCTP association of one connection and its channels.

    It may exist before any DTLS transport; channels can be opened at once and go out when the association
    is established. `attach` and `start` may come in any order.

    Args:
        listener: told about the state and about channels that the other end opens.
        max_channels: how many channels of the other end may be open at a time; further ones are refused.
        resting_ids: how many ids of channels that were closed last are passed over while there are others.
        name: for logs.

    Attributes:
        state: see webrtc-pc 6.1.2.
        dtls: what it runs over, once attached.
        refused: channels of the other end that were refused.
    """

    def __init__(
        self,
        listener: DataListener,
        *,
        max_channels: int = DEFAULT_MAX_CHANNELS,
        resting_ids: int = 0,
        name: str = "",
    ) -> None:
        self.refused: int = 0
        self.flushes: int = 0
        self.state: SctpTransportState = SctpTransportState.CONNECTING
        self.dtls: DtlsTransport | None = None
        self._listener: DataListener | None = listener
        self._name = name
        self._association: Association | None = None
        # what start() was told: the other end's port, ours
        self._ports: tuple[int, int] | None = None
        self._remote_max_message_size = DEFAULT_MAX_MESSAGE_SIZE
        self._role = DtlsRole.AUTO
        self._connected = False
        self._by_id: dict[int, DataChannel] = {}
        # ids of channels that were closed last, the latest at the end
        self._resting: dict[int, None] = {}
        self._resting_max = resting_ids
        # channels that wait for an id
        self._nameless: list[DataChannel] = []
        # those that the other end opened
        self._incoming: set[DataChannel] = set()
        self._incoming_max = max_channels
        # channels that have something to send
        self._ready: Schedule[DataChannel] = Schedule()
        # the next look at what there is to send, and the association's timer
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # inside `receive`, after which there is a look in any case; when the last packet came
        self._receiving = False
        self._heard_at = 0.0

    # -- life --------------------------------------------------------------------------------------

    def attach(self, dtls: DtlsTransport) -> None:
        """Run over this DTLS transport; the association begins once that is connected and `start` called."""
        if self.dtls is dtls or self.state is SctpTransportState.CLOSED:
            return
        self.dtls = dtls
        dtls.set_data_user(self)

    def start(
        self,
        remote_port: int,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        *,
        local_port: int = 5000,
        role: DtlsRole = DtlsRole.AUTO,
    ) -> None:
        """Say what the descriptions agreed on; again only changes the message size.

        Args:
            remote_port: a=sctp-port of the other end.
            max_message_size: its a=max-message-size; 0 for any size.
            local_port: ours.
            role: our DTLS role if it is known: channels get their ids now, else when DTLS is connected.
        """
        self._remote_max_message_size = max_message_size
        if self._ports is None:
            self._ports = (remote_port, local_port)
        if self._role is DtlsRole.AUTO and role is not DtlsRole.AUTO:
            self._role = role
            self._assign_ids()
        self._connect()

    def detach(self) -> None:
        """Let channels wait for another transport: the one that would have carried them was taken back (a rollback)."""
        if self.dtls is not None and self._ports is None:
            self.dtls.set_data_user(None)
            self.dtls = None
            self._connected = False

    def stop(self) -> Awaitable[None]:
        """Abort the association, telling the other end. Channels are closed, without a callback.

        What was sent in this turn of the loop leaves before that, as far as the other end and the path take it.
        """
        self._listener = None
        if self._association is not None and self._association.is_established:
            # what a program sees does not change by it: bufferedAmount never falls once a channel is closed
            # (webrtc-pc 6.2)
            amounts = [(channel, channel.buffered_amount) for channel in self._by_id.values()]
            self._flush(self._association)
            for channel, amount in amounts:
                channel.buffered_amount = amount
        self._abort()
        self._end(None, tell=False)
        if self.dtls is not None:
            self.dtls.set_data_user(None)
        return Gone()

    def _connect(self) -> None:
        if (
            self._association is None
            and self._connected
            and self._ports is not None
            and self.dtls is not None
        ):
            remote_port, local_port = self._ports
            if self._role is DtlsRole.AUTO:
                self._role = self.dtls.role
            self._assign_ids()
            self._association = Association(
                self,
                local_port=local_port,
                remote_port=remote_port,
                entropy=secrets.token_bytes(ENTROPY_SIZE),
                round_trip_time=self.dtls.round_trip_time,
            )
            for stream_id in self._by_id:
                self._association.open_stream(stream_id)
            self._association.connect(self.time())
            self._send()

    def _abort(self) -> None:
        """End the association, telling the other end."""
        if self._association is None or self.state is SctpTransportState.CLOSED:
            return
        packet = self._association.abort()
        if packet is not None and self.dtls is not None:
            self.dtls.send_data(packet)

    def time(self) -> float:
        """Implements `ChannelOwner.time`."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    # -- channels ----------------------------------------------------------------------------------

    @property
    def max_message_size(self) -> int | None:
        """The largest message that `send` may be given; None for any."""
        return self._remote_max_message_size or None

    @property
    def max_channels(self) -> int | None:
        """How many channels there can be; None before the association is established."""
        association = self._association
        if association is None or not association.is_established:
            return None
        return association.max_channels

    @property
    def channels(self) -> list[DataChannel]:
        """All channels that are not closed."""
        return [*self._by_id.values(), *self._nameless]

    def open(self, parameters: ChannelParameters, listener: ChannelListener | None = None) -> DataChannel:
        """Open a channel; it is announced to the other end when the association is there.

        Raises:
            OperationError: the id is taken, is too large, or none is left.
            InvalidStateError: the transport is closed.
        """
        if self.state is SctpTransportState.CLOSED:
            raise InvalidStateError("the SCTP transport is closed")
        if parameters.id is not None and parameters.id in self._by_id:
            raise OperationError(f"the id {parameters.id} is taken by another data channel")
        limit = self.max_channels
        if limit is not None and parameters.id is not None and parameters.id >= limit:
            raise OperationError(
                f"the id {parameters.id} is larger than the association allows ({limit - 1})"
            )
        channel = DataChannel(self, parameters, listener)
        if not parameters.negotiated:
            channel.queue_control(write_open(parameters))
        if channel.id is not None:
            self._register(channel, channel.id)
        elif self._role is DtlsRole.AUTO:
            self._nameless.append(channel)
        else:
            number = free_id(self._by_id, self._role, self.max_channels, self._resting)
            if number is None:
                raise OperationError("no id is left for another data channel")
            self._register(channel, number)
        if self._association is not None and self._association.is_established:
            # not in the caller's own step: the handlers of its user are set after this call
            asyncio.get_running_loop().call_soon(self._open_late, channel)
        return channel

    def _open_late(self, channel: DataChannel) -> None:
        if channel.state is DataChannelState.CONNECTING and channel.id in self._by_id:
            self.schedule(channel)
            channel.opened()

    def _register(self, channel: DataChannel, number: int) -> None:
        channel.id = number
        self._by_id[number] = channel
        if self._association is not None:
            self._association.open_stream(number)

    def _assign_ids(self) -> None:
        nameless, self._nameless = self._nameless, []
        for channel in nameless:
            if channel.state is DataChannelState.CLOSED:
                continue
            number = free_id(self._by_id, self._role, self.max_channels, self._resting)
            if number is None:
                channel.closed(RTCError("data-channel-failure", "no id is left for this data channel"))
            else:
                self._register(channel, number)

    # -- out ---------------------------------------------------------------------------------------

    def schedule(self, channel: DataChannel) -> None:
        """A channel has something to send."""
        self._ready.add(channel)
        if (
            self._scheduled is None
            and not self._receiving
            and self._association is not None
            and self._association.is_established
        ):
            self._look_soon()

    def schedule_close(self, channel: DataChannel) -> None:
        """A channel is closing: once its queue is empty, its stream is reset."""
        if self._association is None or not self._association.is_established:
            # never announced: there is nothing to tell the other end
            asyncio.get_running_loop().call_soon(self._forget, channel, None)
        else:
            self.schedule(channel)

    def unacknowledged(self, channel: DataChannel) -> int:
        """Implements `channel.ChannelOwner.unacknowledged`."""
        if self._association is None or channel.id is None:
            return 0
        return self._association.unacknowledged(channel.id, PPID_DCEP)

    def _look_soon(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._scheduled = self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._scheduled = None
        self._send()

    def _send(self) -> None:
        """Give queued messages to SCTP while it takes them, and what it has to say to DTLS."""
        association = self._association
        if association is None:
            return
        low = self._flush(association)
        self._arm(association)
        for channel in low:
            if channel.listener is not None and channel.state is not DataChannelState.CLOSED:
                channel.listener.on_buffered_amount_low()

    def _flush(self, association: Association) -> list[DataChannel]:
        """Send what there is; which channels' buffered amount has crossed its threshold."""
        low: list[DataChannel] = []
        while True:
            now = self.time()
            if self._ready and association.is_established:
                low += self._write(association, now)
            packets = association.packets(now)
            if packets and self.dtls is not None:
                self.dtls.send_messages(packets)
            if not (self._ready and association.is_starved):
                self.flushes += 1
                return low
            # all that was written had to be given up before it was sent: no answer will call for more

    def _write(self, association: Association, now: float) -> list[DataChannel]:
        """Write messages; which channels' buffered amount has crossed its threshold."""
        ready = self._ready
        low: list[DataChannel] = []
        while (channel := ready.first()) is not None:
            if channel.pending:
                if not association.is_writable:
                    break
                before, written = channel.buffered_amount, 0
                while True:
                    written += channel.write_one(association, now) + _MESSAGE_OVERHEAD
                    if not channel.pending or ready.is_contended or not association.is_writable:
                        break
                ready.charge(channel, written)
                if channel.buffered_amount <= channel.buffered_amount_low_threshold < before:
                    low.append(channel)
            if not channel.pending:
                ready.remove(channel)
                closing = channel.state is DataChannelState.CLOSING
                if closing and channel.id is not None and channel.take_reset():
                    association.reset_stream(channel.id)
        return low

    def _arm(self, association: Association) -> None:
        """Arm the timer so that it is not too late; too early costs little."""
        deadline, timer = association.deadline, self._timer
        if deadline is None or (timer is not None and timer.when() <= deadline):
            return
        if timer is not None:
            timer.cancel()
        assert self._loop is not None
        self._timer = self._loop.call_at(deadline, self._on_timer, deadline)

    def _on_timer(self, due: float) -> None:
        self._timer = None
        if self._association is not None:
            # the loop's clock may be a hair behind
            self._association.expire(max(self.time(), due))
            self._send()

    # -- DTLS --------------------------------------------------------------------------------------

    def on_dtls_connected(self) -> None:
        """Implements `dtls.interfaces.DataUser.on_dtls_connected`."""
        self._connected = True
        self._connect()

    def on_dtls_data(self, data: bytes) -> None:
        """Implements `dtls.interfaces.DataUser.on_dtls_data`."""
        association = self._association
        if association is None:
            return
        now = self.time()
        is_setup = not association.is_established
        self._receiving = True
        try:
            association.receive(data, now)
        finally:
            self._receiving = False
        heard_at, self._heard_at = self._heard_at, now
        if self._scheduled is not None or self._association is None:
            return
        if is_setup or (self._ready and now - heard_at > _IN_A_ROW):
            # a step of the set-up, or the answer of a handler; a turn of the loop later it would be no better
            self._send()
        else:
            self._look_soon()

    def on_dtls_run(self, messages: list[bytes]) -> None:
        """Implements `dtls.interfaces.DataUser.on_dtls_run`."""
        association = self._association
        if association is None:
            return
        now = self._heard_at = self.time()
        self._receiving = True
        try:
            for packet in messages:
                association.receive(packet, now)
        finally:
            self._receiving = False
        if self._scheduled is None and self._association is not None:
            self._look_soon()

    def on_dtls_closed(self, error: RTCError | None) -> None:
        """Implements `dtls.interfaces.DataUser.on_dtls_closed`."""
        self._abort()
        self._end(error, tell=True)

    def on_dtls_wake(self) -> None:
        """Implements `dtls.interfaces.DataUser.on_dtls_wake`."""
        # on an idle path every consent check wakes us, for nothing
        if self._association is not None and (self._ready or self._association.is_waiting):
            self._association.wake(self.time())
            self._send()

    # -- SCTP --------------------------------------------------------------------------------------

    def on_established(self) -> None:
        """Implements `AssociationUser.on_established`."""
        association = self._association
        if association is None:
            return
        limit = association.max_channels
        self._set_state(SctpTransportState.CONNECTED)
        for channel in list(self._by_id.values()):
            if channel.id is not None and channel.id >= limit:
                message = f"the association has only {limit} streams"
                self._forget(channel, RTCError("data-channel-failure", message))
            elif channel.state is DataChannelState.CONNECTING:
                self._ready.add(channel)
                channel.opened()

    def on_message(self, stream_id: int, protocol: int, data: bytes) -> None:
        """Implements `AssociationUser.on_message`."""
        if protocol == PPID_DCEP:
            self._receive_control_untrusted(stream_id, data)
            return
        channel = self._by_id.get(stream_id)
        if channel is None:
            return
        if protocol == PPID_BINARY:
            channel.receive(data, len(data))
        elif protocol == PPID_STRING:
            channel.receive(data.decode("utf-8", "replace"), len(data))
        elif protocol == PPID_STRING_EMPTY:
            channel.receive("", 0)
        elif protocol == PPID_BINARY_EMPTY:
            channel.receive(b"", 0)

    def _receive_control_untrusted(self, stream_id: int, data: bytes) -> None:
        kind = data[0] if data else -1
        channel = self._by_id.get(stream_id)
        if kind == DCEP_ACK and channel is not None:
            channel.acknowledge()
        elif kind == DCEP_OPEN and self._association is not None:
            try:
                parameters = read_open_untrusted(stream_id, data)
            except ValueError as exc:
                logger.debug("%s refuses a data channel: %s", self._name, exc)
                if channel is None:
                    self._association.reset_stream(stream_id)
                return
            if channel is not None:
                self._association.stream_used_again(stream_id)
                channel = self._by_id.get(stream_id)
            if channel is not None or self._listener is None:
                logger.debug("%s refuses a data channel on stream %d, which is taken", self._name, stream_id)
                return
            if len(self._incoming) >= self._incoming_max:
                self.refused += 1
                logger.debug(
                    "%s refuses a data channel beyond %d (max_data_channels)", self._name, self._incoming_max
                )
                self._association.reset_stream(stream_id)
                return
            channel = DataChannel(self, parameters, None)
            self._incoming.add(channel)
            channel.acknowledge()
            self._register(channel, stream_id)
            channel.queue_control(bytes((DCEP_ACK,)))
            self._ready.add(channel)
            channel.opened()
            self._listener.on_channel(channel)

    def on_stream_closing(self, stream_id: int) -> None:
        """Implements `AssociationUser.on_stream_closing`."""
        channel = self._by_id.get(stream_id)
        if channel is not None:
            channel.closing()
            self._ready.add(channel)

    def on_stream_closed(self, stream_id: int) -> None:
        """Implements `AssociationUser.on_stream_closed`."""
        channel = self._by_id.get(stream_id)
        if channel is not None:
            self._forget(channel, None)

    def on_association_closed(self, cause: int | None, aborted: bool) -> None:
        """Implements `AssociationUser.on_association_closed`."""
        message = "the other end ended the association" if aborted else "the association was given up"
        self._end(RTCError("sctp-failure", message, sctpCauseCode=cause), tell=True)

    def _forget(self, channel: DataChannel, error: RTCError | None) -> None:
        self._ready.forget(channel)
        self._incoming.discard(channel)
        if channel in self._nameless:
            self._nameless.remove(channel)
        if channel.id is not None and self._by_id.get(channel.id) is channel:
            channel.keep_unacknowledged()
            del self._by_id[channel.id]
            rest_id(self._resting, channel.id, self._resting_max)
            if self._association is not None:
                self._association.forget_stream(channel.id)
        channel.closed(error)

    def _end(self, error: RTCError | None, *, tell: bool) -> None:
        for handle in (self._scheduled, self._timer):
            if handle is not None:
                handle.cancel()
        self._scheduled = self._timer = None
        channels = self.channels
        for channel in channels:
            channel.keep_unacknowledged()
        self._by_id.clear()
        self._nameless.clear()
        self._incoming.clear()
        self._ready.clear()
        self._association = None
        if self.state is not SctpTransportState.CLOSED:
            self._set_state(SctpTransportState.CLOSED, error)
        for channel in channels:
            channel.closed(error, tell=tell)

    def _set_state(self, state: SctpTransportState, error: RTCError | None = None) -> None:
        self.state = state
        if self._listener is not None:
            self._listener.on_sctp_state(state, error)

    def stats(self) -> dict[str, Any]:
        """Members of RTCSctpTransportStats by their W3C names."""
        if self._association is None:
            return {}
        numbers = self._association.numbers()
        stats: dict[str, Any] = {
            "congestionWindow": numbers.congestion_window,
            "receiverWindow": numbers.receiver_window,
            "mtu": numbers.mtu,
            "unackData": numbers.unacknowledged,
        }
        if numbers.smoothed_rtt is not None:
            stats["smoothedRoundTripTime"] = numbers.smoothed_rtt
        return stats
