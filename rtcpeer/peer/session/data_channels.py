"""The data channels of one connection: they exist before the SCTP transport does, and outlive none.

Owns: the SCTP transport's core, the channels, the counts that statistics want.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from rtcpeer.aio import Gone
from rtcpeer.errors import RTCError
from rtcpeer.peer.core.channel import DataChannelCore
from rtcpeer.peer.core.context import ConnectionContext
from rtcpeer.peer.data_channel import RTCDataChannel, RTCDataChannelEvent
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.peer.transports import RTCSctpTransport, SctpTransportCore
from rtcpeer.sctp.channel import ChannelParameters
from rtcpeer.sctp.transport import DataChannel, DataTransport
from rtcpeer.values import SctpTransportState

ShownChannel = DataChannelCore[RTCDataChannel]
"""A data channel with its face, as a connection keeps it."""


class DataChannelSet:
    """Channels and their transport. Implements `DataListener` and `ChannelOwner`.

    Attributes:
        core: the SCTP transport that the user sees; None before it is negotiated.
        channels: all that are not closed, with a number each.
        opened, closed: how many ever were (RTCPeerConnectionStats).
    """

    def __init__(self, session: ConnectionContext) -> None:
        self._session = session
        self._transport: DataTransport | None = None
        self.core: SctpTransportCore | None = None
        self.channels: dict[ShownChannel, int] = {}
        self._made = 0
        # the association has ended; the transport that is there waits with its channels for the next one
        self._between = False
        # what descriptions said last: our port, theirs, their largest message
        self._ports: tuple[int, int, int] | None = None
        self.opened: int = 0
        self.closed: int = 0

    @property
    def face(self) -> RTCSctpTransport | None:
        """`RTCPeerConnection.sctp`."""
        return None if self.core is None else self.core.face

    @property
    def transport(self) -> DataTransport:
        """The SCTP transport that carries the channels; made when first needed."""
        if self._transport is None:
            settings = self._session.settings
            self._transport = DataTransport(
                self,
                max_channels=settings.max_data_channels,
                resting_ids=settings.resting_channel_ids,
                name=f"{self._session.name}/sctp",
            )
        return self._transport

    # --- told by the user -------------------------------------------------------------------------

    def open(self, parameters: ChannelParameters) -> RTCDataChannel:
        """A channel of our own; the first one asks for a negotiation.

        When the association has ended, it waits for the next one: for a description of another end.

        Raises:
            OperationError: the id is taken, or none is left.
        """
        if self._transport is not None and self._transport.state is SctpTransportState.CLOSED:
            self._transport, self._between = None, True
        # createDataChannel, 3 and 16 to 19, 21 and 23; 4 to 15 are `read_data_channel_init`
        core = ShownChannel.opening(self.transport.open, parameters, self, RTCDataChannel)
        self._keep(core)
        session = self._session
        # 20
        if not session.engine.state.data_wanted:
            session.carry_out(session.engine.operations.plan_want_data())
        return core.face

    def _keep(self, core: ShownChannel) -> None:
        self.channels[core] = self._made
        self._made += 1

    # --- told by the executor ---------------------------------------------------------------------

    def create(self, link: PeerTransport) -> None:
        """A description has a data section: the SCTP transport exists."""
        core = SctpTransportCore(link.dtls)
        core.data = self.transport
        self.core = core

    def attach(self, link: PeerTransport) -> None:
        """Run over this transport."""
        if self.core is not None:
            self.core.dtls = link.dtls
        if not self._between:
            self.transport.attach(link.dtls_transport)

    def restart(self, link: PeerTransport) -> Awaitable[None]:
        """The DTLS association under us was replaced: so is ours, and its channels are over (RFC 8841 section 9)."""
        core, old = self.core, self._transport
        if core is None or old is None or core.dtls is not link.dtls:
            return Gone()
        gone: Awaitable[None] = Gone()
        if self._between:
            self._between = False
        else:
            self._transport, gone = None, old.stop()
            for channel in list(self.channels):
                self._session.queue_task(channel.on_closed, None)
        core.data = self.transport
        core.begin_again()
        if self._ports is not None:
            self.start(link, *self._ports)
        return gone

    def start(self, link: PeerTransport, local_port: int, remote_port: int, max_message_size: int) -> None:
        """An answer accepted the section, or a later one changed the message size."""
        if self.core is not None:
            self.core.update_max_message_size(max_message_size, self._session.settings.max_message_size)
        self._ports = (local_port, remote_port, max_message_size)
        self.attach(link)
        if self._between:
            return  # these are still about the association that has ended
        self.transport.start(
            remote_port,
            max_message_size,
            local_port=local_port,
            role=self._session.dtls_role(link.id),
        )

    def roll_back(self) -> None:
        """The offer with the data section was taken back: `sctp` is gone, channels wait for the next one."""
        core, self.core = self.core, None
        self._ports = None
        if self._transport is not None:
            self._transport.detach()
        if core is not None:
            self._session.queue_task(lambda: core.close(announce=True))

    def close(self, *, connection_closed: bool = False) -> Awaitable[None]:
        """The association is over. Channels close: without an event when the connection itself was closed."""
        transport, self._transport = self._transport, None
        self._between = False
        core, self.core = self.core, None
        channels = list(self.channels)
        waits: Awaitable[None] = Gone() if transport is None else transport.stop()
        for channel in channels:
            if connection_closed:
                channel.shut()
            else:
                self._session.queue_task(channel.on_closed, None)
        if core is not None:
            if connection_closed:
                core.close()
            else:
                self._session.queue_task(lambda: core.close(announce=True))
        return waits

    def release(self) -> None:
        """Everything is gone: the connection is not needed any more."""
        del self._session

    # --- DataListener -----------------------------------------------------------------------------

    def on_sctp_state(self, state: SctpTransportState, error: RTCError | None) -> None:
        """Implements `DataListener.on_sctp_state`."""
        if self.core is not None:
            # not queued: its statechange precedes the channels' "open" (webrtc-pc 6.1.1.2)
            self.core.on_sctp_state(state, error)

    def on_channel(self, channel: DataChannel) -> None:
        """Implements `DataListener.on_channel`: the other end opened a channel."""
        self.incoming(channel)

    def incoming(self, channel: DataChannel) -> None:
        """Make the channel now, so that no message is lost, and announce it in a task."""
        # "announce a data channel" of the other end, 3 to 8
        core = ShownChannel.incoming(channel, self, RTCDataChannel)
        self._keep(core)
        self._session.queue_task(self._announce, core)

    def _announce(self, core: ShownChannel) -> None:
        # 2, 9 and 10
        if self._session.closed:
            return
        self._session.fire(RTCDataChannelEvent("datachannel", {"channel": core.face}))
        core.announce()

    # --- ChannelOwner -----------------------------------------------------------------------------

    @property
    def max_message_size(self) -> float | None:
        """The largest message that the other end takes, in bytes; None while unknown. For `DataChannelOwner`."""
        return None if self.core is None else self.core.max_message_size

    def on_channel_open(self, core: ShownChannel) -> None:
        """Count a channel that opened. For `DataChannelOwner`."""
        self.opened += 1
        self._session.watchers.call(
            "datachannelopen", f"label: {core.channel.parameters.label}, id: {core.channel.id}"
        )

    def on_channel_left(self, core: ShownChannel) -> None:
        """Count a channel that has left the open state. For `DataChannelOwner`."""
        if core.was_open:
            self.closed += 1

    def on_channel_closed(self, core: ShownChannel) -> None:
        """Forget a closed channel. For `DataChannelOwner`."""
        self.channels.pop(core, None)
        if not self._session.closed:
            why = "" if core.error is None else f", error: {core.error}"
            self._session.watchers.call("datachannelclose", f"label: {core.channel.parameters.label}{why}")

    def records(self) -> list[tuple[str, dict[str, Any]]]:
        """A name and the counters of each channel."""
        return [(str(number), core.channel.stats()) for core, number in self.channels.items()]
