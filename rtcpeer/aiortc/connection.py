"""RTCPeerConnection with aiortc's conventions, on rtcpeer's.

Owns: the conventions. Never: negotiation, transports or media, which are the base class's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiortc import RTCIceCandidate, RTCSessionDescription
from aiortc.exceptions import InternalError
from aiortc.stats import RTCStatsReport

from rtcpeer.aiortc import stats, values, wording
from rtcpeer.aiortc.channel import RTCDataChannel
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.aiortc.gathering import GatheringPatience, gather
from rtcpeer.aiortc.rtp import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from rtcpeer.aiortc.transports import RTCDtlsTransport, RTCIceTransport, RTCSctpTransport
from rtcpeer.errors import InvalidModificationError
from rtcpeer.jsep.parameters import TransceiverInit
from rtcpeer.jsep.state import Description
from rtcpeer.media.eventtarget import Event
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer import connection as w3c
from rtcpeer.peer import stats as w3c_stats
from rtcpeer.peer.descriptions import RTCSessionDescriptionInit, read_description
from rtcpeer.peer.errors import (
    InvalidAccessError,
    InvalidStateError,
    OperationError,
    RTCError,
    w3c_errors,
)
from rtcpeer.peer.events import RTCDataChannelEvent
from rtcpeer.peer.rtp import RTCRtpTransceiver as W3CTransceiver
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.values import Direction, DtlsTransportState, IceTransportState, MediaKind, PeerConnectionState

logger = logging.getLogger("aiortc.rtcpeerconnection")

# in which signaling states aiortc takes a description: (local, type)
_ALLOWED = {
    (True, "offer"): ("stable", "have-local-offer"),
    (True, "answer"): ("have-remote-offer", "have-local-pranswer"),
    (False, "offer"): ("stable", "have-remote-offer"),
    (False, "answer"): ("have-local-offer", "have-remote-pranswer"),
}
_DIRECTIONS = ("inactive", "sendonly", "recvonly", "sendrecv")


class RTCPeerConnection(Emitter, w3c.RTCPeerConnection):  # type: ignore[misc]  # `on` is pyee's
    """A connection for programs that were written for aiortc.

    Args:
        configuration: an `RTCConfiguration` (aiortc's or rtcpeer's), a mapping, or None: no server at all. (aiortc
            would ask a public STUN server of a third party; here it must be named.)
        settings: see `rtcpeer.PeerSettings`.
        **members: single members of the configuration.

    Events for pyee's listeners (`on`, `once`): "track" with the track, "datachannel" with the channel,
    "signalingstatechange", "iceconnectionstatechange", "icegatheringstatechange", "connectionstatechange". W3C's
    listeners (`addEventListener`, `onicecandidate = ...`) get W3C's events, and W3C's only: there a program
    finds what aiortc does not have.

    Attributes:
        patience: how long `setLocalDescription` waits for candidates; may be replaced in a subclass or object.
    """

    patience: GatheringPatience = GatheringPatience()

    def __init__(
        self,
        configuration: Any = None,
        *,
        settings: PeerSettings | None = None,
        **members: Any,
    ) -> None:
        Emitter.__init__(self)
        # one stream for all that is sent, as in aiortc: browsers' programs read `event.streams[0]`
        self._stream = MediaStream()
        # as last emitted
        self._ice_state_told: str = "new"
        self._state_told: str = "new"
        # by type, what createOffer and createAnswer gave last: in aiortc's order, and as the engine knows it
        self._made: dict[str, tuple[str, str]] = {}
        self._closing_task: asyncio.Task[None] | None = None
        # remote candidates that came before the description that they belong to
        self._early: list[Any] = []
        w3c.RTCPeerConnection.__init__(self, configuration, settings=settings, **members)
        if getattr(configuration, "alwaysNegotiateDataChannels", False):
            self._session.carry_out(self._session.engine.plan_want_data())

    # --- descriptions -----------------------------------------------------------------------------

    async def createOffer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> RTCSessionDescription:
        """Make an offer; `iceRestart` asks for new ICE credentials."""
        self._check_open()
        return self._worded(await super().createOffer(options, **keywords))

    async def createAnswer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None
    ) -> RTCSessionDescription:
        """Make an answer to the remote offer."""
        self._check_open()
        if self.signalingState not in ("have-remote-offer", "have-local-pranswer"):
            raise InvalidStateError(f'Cannot create answer in signaling state "{self.signalingState}"')
        return self._worded(await super().createAnswer(options))

    def _worded(self, made: RTCSessionDescriptionInit) -> RTCSessionDescription:
        """A new description in aiortc's order; `setLocalDescription` knows it again."""
        text = wording.in_aiortcs_order(made.sdp)
        self._made[made.type.value] = (text, made.sdp)
        return RTCSessionDescription(sdp=text, type=made.type.value)

    async def setLocalDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a local description and wait for candidates: `localDescription` is then fit to be sent.

        A silent server does not hold it up for long, see `patience`. An edited description is refused by W3C and
        changes nothing in aiortc that the other side would not hear from the text: what was created is applied,
        with a warning.
        """
        self._check_open()
        given = read_description(sessionDescription, local=True, **keywords)
        self._check_type(given.type, local=True)
        async with self.events("icecandidate", "icegatheringstatechange") as news:
            try:
                text, made = self._made.get(str(given.type), ("", ""))
                await super().setLocalDescription(
                    type=given.type, sdp=made if given.sdp == text else given.sdp
                )
            except InvalidModificationError:
                logger.warning(
                    "the local description was edited; what createOffer or createAnswer gave is applied"
                )
                await super().setLocalDescription(type=given.type)
            self._adopt()
            if given.type != "rollback":
                await gather(self._session, news, self.patience)
        self._tell_states()

    async def setRemoteDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a description of the other side.

        Raises:
            ValueError: it cannot be read, or does not fit.
            InvalidStateError: closed, or an offer while ours is pending (aiortc does not roll back).
        """
        given = read_description(sessionDescription, **keywords)
        self._check_open()
        self._check_type(given.type, local=False)
        try:
            await super().setRemoteDescription(type=given.type, sdp=given.sdp)
        except (RTCError, InvalidAccessError) as error:
            offered = self.localDescription if given.type in ("answer", "pranswer") else None
            words = wording.refusal(given.sdp, str(given.type), offered.sdp if offered else None)
            raise values.InvalidDescriptionError(words or str(error)) from error
        self._adopt()
        await self._told()
        self._tell_states()
        early, self._early = self._early, []
        for candidate in early:
            await self.addIceCandidate(candidate)

    async def addIceCandidate(self, candidate: Any = None) -> None:
        """Add a candidate of the other side; None says that no more will come.

        One that comes before its description waits for it, and one that belongs to no section is ignored.

        Args:
            candidate: aiortc's `RTCIceCandidate` (as `aiortc.sdp.candidate_from_sdp` makes it), rtcpeer's, a mapping
                from a browser, or None.

        Raises:
            ValueError: it says neither sdpMid nor sdpMLineIndex.
        """
        if (
            isinstance(candidate, RTCIceCandidate)
            and candidate.sdpMid is None
            and candidate.sdpMLineIndex is None
        ):
            raise ValueError("Candidate must have either sdpMid or sdpMLineIndex")
        if self._session.closed:
            return
        if self.remoteDescription is None:
            logger.warning("RTCPeerConnection addIceCandidate called without remote description")
            self._early.append(candidate)
            return
        try:
            await super().addIceCandidate(candidate)
        except OperationError as error:
            logger.warning("RTCPeerConnection addIceCandidate ignores %s: %s", candidate, error)

    @staticmethod
    async def _told() -> None:
        """Let what the transports have to tell be told, so that "new" is over when checks have begun."""
        for _turn in range(2):
            await asyncio.sleep(0)

    def _shown(self, description: Description | None) -> Any:
        if description is None:
            return None
        text, state = description.text, self._session.engine.state
        if description is not state.current_remote and description is not state.pending_remote:
            text = wording.in_aiortcs_order(text)
        return RTCSessionDescription(sdp=text, type=description.type.value)

    def _check_open(self) -> None:
        if self._session.closed:
            raise InvalidStateError("RTCPeerConnection is closed")

    def _check_type(self, type: str | None, *, local: bool) -> None:
        allowed = _ALLOWED.get((local, str(type)))
        if allowed is not None and self.signalingState not in allowed:
            raise InvalidStateError(f'Cannot handle {type} in signaling state "{self.signalingState}"')

    # --- states -----------------------------------------------------------------------------------

    @property
    def iceConnectionState(self) -> IceTransportState:
        """As in aiortc "completed" is the state of a connection that works; there is no "connected"."""
        state = super().iceConnectionState
        if state is IceTransportState.NEW and self._has_both_descriptions():
            return IceTransportState.CHECKING
        return IceTransportState.COMPLETED if state is IceTransportState.CONNECTED else state

    @property
    def connectionState(self) -> PeerConnectionState:
        """As in aiortc it is "connecting" once both descriptions are applied, whether candidates came or not."""
        state = super().connectionState
        if state is PeerConnectionState.NEW and self._has_both_descriptions():
            return PeerConnectionState.CONNECTING
        return state

    def _has_both_descriptions(self) -> bool:
        state = self._session.engine.state
        both = state.local_description is not None and state.remote_description is not None
        return both and bool(self._session.executor.transports)

    def _tell_states(self) -> None:
        """Emit the state changes that listeners have not heard of."""
        if self.iceConnectionState != self._ice_state_told:
            self._ice_state_told = self.iceConnectionState
            self.emit("iceconnectionstatechange")
        if self.connectionState != self._state_told:
            self._state_told = self.connectionState
            self.emit("connectionstatechange")

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of the data channels, once a description has them."""
        self._adopt()
        face = super().sctp
        return face if isinstance(face, RTCSctpTransport) else None

    @property
    def data_mid(self) -> str | None:
        """The mid of the data section (`sctp.mid` asks for it)."""
        data = self._session.engine.state.data
        return None if data is None else data.mid

    # --- media ------------------------------------------------------------------------------------

    def addTrack(self, track: Any, *streams: MediaStream) -> RTCRtpSender:
        """Send a track.

        Raises:
            InternalError: it is neither audio nor video.
            InvalidAccessError: it is being sent already.
        """
        self._check_track(track)
        sender = super().addTrack(track, *(streams or (self._stream,)))
        self._adopt()
        core = next(c for c in self._session.executor.transceivers.values() if c.track is track)
        assert isinstance(core.sender, RTCRtpSender), sender
        return core.sender

    @w3c_errors
    def addTransceiver(  # type: ignore[override]
        self, trackOrKind: Any, direction: Any = "sendrecv", **keywords: Any
    ) -> RTCRtpTransceiver:
        """Add a sender and a receiver; a later remote offer may pair with it, as in aiortc.

        Args:
            trackOrKind: a track, or "audio" or "video".
            direction: the second argument, or a keyword; a mapping is W3C's RTCRtpTransceiverInit.
            **keywords: `streams` and `sendEncodings`, as in rtcpeer.

        Raises:
            InternalError: kind or direction is unknown.
            InvalidAccessError: the track is being sent already.
        """
        track = None if isinstance(trackOrKind, str) else trackOrKind
        if track is None:
            self._check_open()
            self._check_kind(trackOrKind)
        else:
            self._check_track(track)
        if isinstance(direction, Mapping) or keywords:
            given = direction if isinstance(direction, Mapping) else {"direction": direction}
            face: W3CTransceiver = super().addTransceiver(trackOrKind, given, **keywords)
            core = next(c for c in self._session.executor.transceivers.values() if c.transceiver is face)
        else:
            if direction not in _DIRECTIONS:
                raise InternalError(f'Invalid direction "{direction}"')
            init = TransceiverInit(
                kind=MediaKind(trackOrKind if track is None else track.kind),
                direction=Direction(direction),
                stream_ids=(self._stream.id,),
                track_id=None if track is None else track.id,
                pairs_with_remote=True,
            )
            plan = self._session.engine.plan_add_transceiver(init)
            core = self._session.executor.add_with_track(plan, track)
        self._adopt()
        assert isinstance(core.transceiver, RTCRtpTransceiver)
        return core.transceiver

    def getSenders(self) -> list[RTCRtpSender]:  # type: ignore[override]
        """The senders of all transceivers that are not stopped."""
        self._adopt()
        return [s for s in super().getSenders() if isinstance(s, RTCRtpSender)]

    def getReceivers(self) -> list[RTCRtpReceiver]:  # type: ignore[override]
        """The receivers of all transceivers that are not stopped."""
        self._adopt()
        return [r for r in super().getReceivers() if isinstance(r, RTCRtpReceiver)]

    def getTransceivers(self) -> list[RTCRtpTransceiver]:  # type: ignore[override]
        """All transceivers, in the order in which they were made."""
        self._adopt()
        return [t for t in super().getTransceivers() if isinstance(t, RTCRtpTransceiver)]

    def _check_track(self, track: Any) -> None:
        self._check_open()
        self._check_kind(getattr(track, "kind", None))
        if any(core.track is track for core in self._session.executor.transceivers.values()):
            raise InvalidAccessError("Track already has a sender")

    @staticmethod
    def _check_kind(kind: Any) -> None:
        if kind not in ("audio", "video"):
            raise InternalError(f'Invalid track kind "{kind}"')

    # --- data and statistics ----------------------------------------------------------------------

    def createDataChannel(  # type: ignore[override]
        self,
        label: str,
        maxPacketLifeTime: Any = None,
        maxRetransmits: int | None = None,
        ordered: bool = True,
        protocol: str = "",
        negotiated: bool = False,
        id: int | None = None,
        **keywords: Any,
    ) -> RTCDataChannel:
        """Make a data channel, with aiortc's arguments in their order.

        Raises:
            ValueError: members that exclude each other, or a negotiated channel without a good id.
        """
        if maxPacketLifeTime is not None and maxRetransmits is not None:
            raise ValueError("Cannot specify both maxPacketLifeTime and maxRetransmits")
        if negotiated and (id is None or not 0 <= id <= 65534):
            raise ValueError("ID must be in range 0-65534 if data channel is negotiated out-of-band")
        members: dict[str, Any] = {
            "maxPacketLifeTime": maxPacketLifeTime,
            "maxRetransmits": maxRetransmits,
            "ordered": ordered,
            "protocol": protocol,
            "negotiated": negotiated,
            "id": id if negotiated else None,
        }
        if isinstance(maxPacketLifeTime, Mapping):
            members = dict(maxPacketLifeTime)  # W3C's second argument
        face = super().createDataChannel(label, members, **keywords)
        core = next(c for c in self._session.executor.data.channels if c.face is face)
        core.face = channel = RTCDataChannel(core)
        return channel

    async def getStats(self, selector: Any = None) -> RTCStatsReport:  # type: ignore[override]
        """Statistics in aiortc's shape; `getW3CStats` has everything."""
        return stats.report(await super().getStats(selector))

    async def getW3CStats(self, selector: Any = None) -> w3c_stats.RTCStatsReport:
        """Statistics as `rtcpeer.RTCPeerConnection.getStats` has them: candidates, pairs, codecs and the rest."""
        return await super().getStats(selector)

    # --- events -----------------------------------------------------------------------------------

    def fire(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        self._adopt()
        if isinstance(event, RTCDataChannelEvent):
            event = self._incoming(event)
        result = super().fire(event)
        if event.type == "track":
            self.emit("track", getattr(event, "track", None))
        elif isinstance(event, RTCDataChannelEvent):
            self.emit("datachannel", event.channel)
        elif event.type in ("iceconnectionstatechange", "connectionstatechange"):
            self._tell_states()
        elif event.type in ("signalingstatechange", "icegatheringstatechange"):
            self.emit(event.type)
        return result

    def _incoming(self, event: RTCDataChannelEvent) -> RTCDataChannelEvent:
        for core in self._session.executor.data.channels:
            if core.face is event.channel:
                core.face = RTCDataChannel(core, incoming=True)
                return RTCDataChannelEvent("datachannel", {"channel": core.face})
        return event

    def _adopt(self) -> None:
        """Show what negotiation has made as the classes of this package."""
        session = self._session
        for core in list(session.executor.transceivers.values()):
            if not isinstance(core.transceiver, RTCRtpTransceiver):
                core.show_as(RTCRtpTransceiver(core), RTCRtpSender(core), RTCRtpReceiver(core))
                if not core.record.stream_ids and not session.closed:
                    session.carry_out(session.engine.plan_set_streams(core.id, [self._stream.id]))
        for link in session.executor.transports.values():
            if not isinstance(link.ice.face, RTCIceTransport):
                link.ice.face = RTCIceTransport(link.ice)
            if not isinstance(link.dtls.face, RTCDtlsTransport):
                link.dtls.face = RTCDtlsTransport(link.dtls, self)
        data = session.executor.data.core
        if data is not None and not isinstance(data.face, RTCSctpTransport):
            data.face = RTCSctpTransport(data, self)

    # --- the end ----------------------------------------------------------------------------------

    def dtls_changed(self) -> None:
        """When the other end has closed every DTLS transport the connection closes, as in aiortc."""
        states = {link.dtls.state for link in self._session.executor.transports.values()}
        if states == {DtlsTransportState.CLOSED} and not self._session.closed and self._closing_task is None:
            self._closing_task = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        """Close the connection; its last state changes are emitted, and then no listener is left.

        The tracks that were being sent are stopped, as in aiortc (and not in W3C).
        """
        if self._session.closed:
            await super().close()
            return
        channels = [core.face for core in self._session.executor.data.channels]
        sent = [core.sender for core in self._session.executor.transceivers.values()]
        sent_tracks = [s.track for s in sent if isinstance(s, RTCRtpSender) and s.has_started]
        gone = super().close()
        self.emit("signalingstatechange")
        for channel in channels:
            if isinstance(channel, RTCDataChannel):
                channel.tell_closed()
        self._tell_states()
        self.remove_all_listeners()
        for track in sent_tracks:
            # in aiortc a sender that ends stops its track; sources such as MediaPlayer wait for it
            track.stop()
        await gone
