"""RTCPeerConnection with aiortc's conventions, on rtcpeer's.

Owns: the conventions. Never: negotiation, transports or media, which are the base class's.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.exceptions import InternalError
from aiortc.sdp import SessionDescription
from aiortc.stats import RTCStatsReport

from rtcpeer.aio import start_task
from rtcpeer.aiortc import codec_limits, reports, values
from rtcpeer.aiortc.channel import RTCDataChannel
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.aiortc.gathering import GatheringPatience, gather
from rtcpeer.aiortc.negotiation import Negotiation
from rtcpeer.aiortc.private_names import PrivateNames
from rtcpeer.aiortc.shown_states import ShownStates
from rtcpeer.aiortc.transceivers import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from rtcpeer.aiortc.transports import ForeseenTransports, RTCDtlsTransport, RTCSctpTransport
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.inputs import TransceiverInit
from rtcpeer.media.event_target import Event
from rtcpeer.media.pyee_listeners import report_failure
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer import connection as w3c
from rtcpeer.peer import stats as w3c_stats
from rtcpeer.peer.certificate import RTCCertificate
from rtcpeer.peer.data_channel import RTCDataChannelEvent
from rtcpeer.peer.descriptions import read_description
from rtcpeer.peer.errors import InvalidAccessError, w3c_errors
from rtcpeer.peer.rtp import RTCRtpTransceiver as W3CTransceiver
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.peer.transports import DtlsTransportCore
from rtcpeer.values import (
    BundlePolicy,
    Direction,
    DtlsTransportState,
    IceTransportState,
    MediaKind,
    PeerConnectionState,
)

_DIRECTIONS = ("inactive", "sendonly", "recvonly", "sendrecv")


class RTCPeerConnection(PrivateNames, Emitter, w3c.RTCPeerConnection):
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
        # one stream for all that is sent, as in aiortc: browsers' programs read `event.streams[0]`
        self._stream_ = MediaStream()
        self._closing_task_: asyncio.Task[None] | None = None
        # what listeners of "track" raised, of each setRemoteDescription under way
        self._refusals_: list[list[Exception]] = []
        if settings is None:
            # aiortc's programs find a closed channel's id in the next one
            settings = PeerSettings(resting_channel_ids=0)
        w3c.RTCPeerConnection.__init__(self, configuration, settings=settings, **members)
        self._negotiation_ = Negotiation(self._session_)
        self._states_ = ShownStates(self._session_)
        # weak: a connection is freed without the garbage collector
        closing = weakref.WeakMethod(self._close_with_the_other_end_)
        self._foreseen_ = ForeseenTransports(
            self._session_,
            BundlePolicy(self._session_.manager.get().bundlePolicy),
            lambda: None if (close := closing()) is None else close(),
        )
        if getattr(configuration, "alwaysNegotiateDataChannels", False):
            self._session_.carry_out(self._session_.engine.operations.plan_want_data(first=True))

    # --- descriptions -----------------------------------------------------------------------------

    async def createOffer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> RTCSessionDescription:
        """Make an offer; `iceRestart` asks for new ICE credentials."""
        return await self._negotiation_.create_offer(options, keywords)

    async def createAnswer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None
    ) -> RTCSessionDescription:
        """Make an answer to the remote offer."""
        return await self._negotiation_.create_answer()

    async def setLocalDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a local description and wait for candidates: `localDescription` is then fit to be sent.

        A silent server does not hold it up for long, see `patience`. An edited description is refused by W3C and
        changes nothing in aiortc that the other side would not hear from the text: what was created is applied,
        with a warning.
        """
        self._negotiation_.check_open()
        given = read_description(sessionDescription, local=True, **keywords)
        self._negotiation_.check_type(given.type, local=True)
        with self._holding_news_():
            async with w3c.RTCPeerConnection.events(self, "icecandidate", "icegatheringstatechange") as news:
                await self._negotiation_.set_local(given)
                self._show_as_aiortcs_()
                self._apply_codec_limits_()
                if given.type != "rollback":
                    await gather(self._session_, news, self._patience_())

    async def setRemoteDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a description of the other side.

        Raises:
            ValueError: it cannot be read, or does not fit.
            OperationError: it is an offer of nothing but media without a common codec.
            InvalidStateError: closed, or an offer while ours is pending (aiortc does not roll back).
            Exception: what a plain listener of "track" raised, when all listeners have been called.
        """
        given = read_description(sessionDescription, **keywords)
        refusals: list[Exception] = []
        self._refusals_.append(refusals)
        try:
            await self._negotiation_.set_remote(given)
        finally:
            self._refusals_.remove(refusals)
        self._show_as_aiortcs_()
        self._apply_codec_limits_()
        # what the transports have to tell comes in turns of its own: "new" is over when checks have begun
        for _turn in range(2):
            await asyncio.sleep(0)
        self._emit_all_(self._states_.news())
        for candidate in self._negotiation_.take_early_candidates():
            await self.addIceCandidate(candidate)
        for refusal in refusals[1:]:
            report_failure(type(self).__name__, refusal)
        if refusals:
            raise refusals[0]

    async def addIceCandidate(self, candidate: Any = None, **members: Any) -> None:
        """Add a candidate of the other side; None says that no more will come.

        One that comes before its description waits for it, and one that belongs to no section is ignored.

        Args:
            candidate: aiortc's `RTCIceCandidate` (as `aiortc.sdp.candidate_from_sdp` makes it), rtcpeer's, a mapping
                from a browser, or None.
            **members: of a candidate, as keywords (rtcpeer's way).

        Raises:
            ValueError: it says neither sdpMid nor sdpMLineIndex.
        """
        await self._negotiation_.add_candidate(candidate, members)

    def _patience_(self) -> GatheringPatience:
        # a subclass for aiortc may have something else of that name
        return self.patience if isinstance(self.patience, GatheringPatience) else GatheringPatience()

    def _shown_(self, description: Description | None) -> Any:
        return self._negotiation_.shown(description)

    # --- states -----------------------------------------------------------------------------------

    @property
    def iceConnectionState(self) -> IceTransportState:
        """The ICE state as aiortc shows it: "completed" for a connection that works; there is no "connected".

        Nor is there "disconnected" before it: programs give up then, while candidates may still be on their way.
        """
        return self._states_.ice

    @property
    def connectionState(self) -> PeerConnectionState:
        """The state as aiortc shows it: "connecting" once both descriptions are applied, candidates or not."""
        return self._states_.connection

    def _emit_all_(self, types: Iterable[str]) -> None:
        for type in types:
            self.emit(type)

    @contextmanager
    def _holding_news_(self) -> Iterator[None]:
        """Change no state while our first description is applied; see `ShownStates.begin_hold`."""
        if not self._states_.begin_hold():
            yield
            self._emit_all_(self._states_.news())
            return
        try:
            yield
        finally:
            self._states_.end_hold()
            self._emit_all_(self._states_.untold())
            # an async listener looks at the state in the next turn
            asyncio.get_running_loop().call_soon(self._show_connected_)

    def _show_connected_(self) -> None:
        self._states_.show_connected()
        self._emit_all_(self._states_.news())

    # --- transports -------------------------------------------------------------------------------

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of the data channels; None without any."""
        self._show_as_aiortcs_()
        face = super().sctp
        if face is None and self._session_.engine.state.data_wanted and not self._session_.closed:
            return self._foreseen_.sctp()
        return face if isinstance(face, RTCSctpTransport) else None

    # --- media ------------------------------------------------------------------------------------

    def addTrack(self, track: Any, *streams: MediaStream) -> RTCRtpSender:
        """Send a track.

        Raises:
            InternalError: it is neither audio nor video.
            InvalidAccessError: it is being sent already.
        """
        self._check_track_(track)
        sender = super().addTrack(track, *(streams or (self._stream_,)))
        self._show_as_aiortcs_()
        core = next(c for c in self._session_.executor.transceivers.values() if c.track is track)
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
            self._negotiation_.check_open()
            self._check_kind_(trackOrKind)
        else:
            self._check_track_(track)
        if isinstance(direction, Mapping) or keywords:
            given = direction if isinstance(direction, Mapping) else {"direction": direction}
            face: W3CTransceiver = super().addTransceiver(trackOrKind, given, **keywords)
            core = next(c for c in self._session_.executor.transceivers.values() if c.transceiver is face)
        else:
            if direction not in _DIRECTIONS:
                raise InternalError(f'Invalid direction "{direction}"')
            init = TransceiverInit(
                kind=MediaKind(trackOrKind if track is None else track.kind),
                direction=Direction(direction),
                stream_ids=(self._stream_.id,),
                track_id=None if track is None else track.id,
                pairs_with_remote=True,
            )
            plan = self._session_.engine.operations.plan_add_transceiver(init)
            core = self._session_.executor.add_with_track(plan, track)
        self._show_as_aiortcs_()
        assert isinstance(core.transceiver, RTCRtpTransceiver)
        return core.transceiver

    def getSenders(self) -> list[RTCRtpSender]:  # type: ignore[override]
        """The senders of all transceivers that are not stopped."""
        self._show_as_aiortcs_()
        return [s for s in super().getSenders() if isinstance(s, RTCRtpSender)]

    def getReceivers(self) -> list[RTCRtpReceiver]:  # type: ignore[override]
        """The receivers of all transceivers that are not stopped."""
        self._show_as_aiortcs_()
        return [r for r in super().getReceivers() if isinstance(r, RTCRtpReceiver)]

    def getTransceivers(self) -> list[RTCRtpTransceiver]:  # type: ignore[override]
        """All transceivers, in the order in which they were made."""
        self._show_as_aiortcs_()
        return [t for t in super().getTransceivers() if isinstance(t, RTCRtpTransceiver)]

    def _check_track_(self, track: Any) -> None:
        self._negotiation_.check_open()
        self._check_kind_(getattr(track, "kind", None))
        if any(core.track is track for core in self._session_.executor.transceivers.values()):
            raise InvalidAccessError("Track already has a sender")

    @staticmethod
    def _check_kind_(kind: Any) -> None:
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
        core = next(c for c in self._session_.executor.data.channels if c.face is face)
        core.face = channel = RTCDataChannel(core, foreseen=self.sctp)
        return channel

    async def getStats(self, selector: Any = None) -> RTCStatsReport:  # type: ignore[override]
        """Statistics in aiortc's shape; `getW3CStats` has everything."""
        return reports.report(await super().getStats(selector))

    async def getW3CStats(self, selector: Any = None) -> w3c_stats.RTCStatsReport:
        """Statistics as `rtcpeer.RTCPeerConnection.getStats` has them: candidates, pairs, codecs and the rest."""
        return await super().getStats(selector)

    # --- events -----------------------------------------------------------------------------------

    def _fire_(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        self._show_as_aiortcs_()
        if isinstance(event, RTCDataChannelEvent):
            event = self._incoming_(event)
        if event.type == "track":
            self._name_track_(getattr(event, "track", None), getattr(event, "streams", ()))
        result = super()._fire_(event)
        if event.type == "track":
            failures = self._emit_and_collect_("track", getattr(event, "track", None))
            if self._refusals_:
                self._refusals_[-1].extend(failures)
            else:
                for failure in failures:
                    report_failure(type(self).__name__, failure)
        elif isinstance(event, RTCDataChannelEvent):
            self._tell_channel_(event.channel)
        elif event.type in ("iceconnectionstatechange", "connectionstatechange"):
            self._emit_all_(self._states_.news())
        elif event.type in ("signalingstatechange", "icegatheringstatechange"):
            self.emit(event.type)
        return result

    def _name_track_(self, track: Any, streams: Iterable[MediaStream]) -> None:
        """Give a remote track the id that the other end has for it: programs find their cameras by it.

        In W3C a track keeps the id that it has had since its transceiver was made.
        """
        state = self._session_.engine.state
        description = state.pending_remote or state.current_remote
        mid = next(
            (
                c.record.mid
                for c in self._session_.executor.transceivers.values()
                if c.receiver_track is track
            ),
            None,
        )
        index = None if description is None or mid is None else description.session.find(mid)
        if description is not None and index is not None:
            named = next((m.track for m in description.session.media[index].msids if m.track), None)
            if named is not None:
                # streams know their tracks by id
                for stream in streams:
                    stream.removeTrack(track)
                track.set_id(named)
                for stream in streams:
                    stream.addTrack(track)

    def _tell_channel_(self, channel: Any) -> None:
        """Emit "datachannel". What arrives waits for listeners that await before they listen to the channel."""
        tasks = self._emit_and_tell_("datachannel", channel)
        if tasks and isinstance(channel, RTCDataChannel):
            channel._wait_for_(tasks)

    def _incoming_(self, event: RTCDataChannelEvent) -> RTCDataChannelEvent:
        for core in self._session_.executor.data.channels:
            if core.face is event.channel:
                core.face = RTCDataChannel(core, incoming=True)
                return RTCDataChannelEvent("datachannel", {"channel": core.face})
        return event

    def _apply_codec_limits_(self) -> None:
        if not self._session_.closed:
            for core in list(self._session_.executor.transceivers.values()):
                codec_limits.apply(core)

    def _show_as_aiortcs_(self) -> None:
        """Show what negotiation has made as the classes of this package."""
        session, foreseen = self._session_, self._foreseen_
        sections: dict[DtlsTransportCore, tuple[str, int]] = {}
        for core in list(session.executor.transceivers.values()):
            if not isinstance(core.transceiver, RTCRtpTransceiver):
                transport = foreseen.of_section(core.kind.value, core.id)
                core.show_as(
                    RTCRtpTransceiver(core), RTCRtpSender(core, transport), RTCRtpReceiver(core, transport)
                )
                if not core.record.stream_ids and not session.closed:
                    session.carry_out(session.engine.operations.plan_set_streams(core.id, [self._stream_.id]))
            if core.transport is not None:
                sections.setdefault(core.transport, (core.kind.value, core.id))
        for link in session.executor.transports.values():
            if not isinstance(link.dtls.face, RTCDtlsTransport):
                foreseen.claim(link, *sections.get(link.dtls, ("application", 0)))
        data = session.executor.data.core
        if data is not None and not isinstance(data.face, RTCSctpTransport):
            data.face = foreseen.sctp().become(data)

    # --- aiortc's private names that programs use (each a property of its mangled name) ------------

    @property
    def __certificates(self) -> list[Any]:
        return [RTCCertificate(c) for c in self._session_.context.certificates]

    @__certificates.setter
    def __certificates(self, certificates: list[Any]) -> None:
        self._session_.context.use_certificates([values.certificate(c) for c in certificates])

    @property
    def __stream_id(self) -> str:
        return self._stream_.id

    @__stream_id.setter
    def __stream_id(self, id: str) -> None:
        before, self._stream_ = self._stream_, MediaStream(id=id)
        for core in self._session_.executor.transceivers.values():
            if core.record.stream_ids == (before.id,):
                self._session_.carry_out(self._session_.engine.operations.plan_set_streams(core.id, [id]))

    @property
    def __transceivers(self) -> list[RTCRtpTransceiver]:
        return self.getTransceivers()

    @property
    def __sctp(self) -> RTCSctpTransport | None:
        return self.sctp

    @property
    def __dtlsTransports(self) -> set[RTCDtlsTransport]:
        faces: list[Any] = [t.sender.transport for t in self.getTransceivers()]
        if self.sctp is not None:
            faces.append(self.sctp.transport)
        return {face for face in faces if isinstance(face, RTCDtlsTransport)}

    @property
    def __iceTransports(self) -> set[Any]:
        return {dtls.transport for dtls in self.__dtlsTransports}

    @property
    def __cname(self) -> str:
        return self._session_.engine.state.cname

    @property
    def __isClosed(self) -> bool:
        return self._session_.closed

    @property
    def __signalingState(self) -> str:
        return self.signalingState

    @property
    def __iceConnectionState(self) -> str:
        return self.iceConnectionState

    @property
    def __connectionState(self) -> str:
        return self.connectionState

    @property
    def __iceGatheringState(self) -> str:
        return self.iceGatheringState

    def __localDescription(self) -> SessionDescription | None:
        given = self.localDescription
        return None if given is None else SessionDescription.parse(given.sdp)

    def __remoteDescription(self) -> SessionDescription | None:
        given = self.remoteDescription
        return None if given is None else SessionDescription.parse(given.sdp)

    async def __gather(self) -> None:
        # setLocalDescription gathers, and what it applies has the candidates
        await asyncio.sleep(0)

    # --- the end ----------------------------------------------------------------------------------

    def _close_with_the_other_end_(self) -> None:
        """When the other end has closed every DTLS transport the connection closes, as in aiortc."""
        states = {link.dtls.state for link in self._session_.executor.transports.values()}
        if (
            states == {DtlsTransportState.CLOSED}
            and not self._session_.closed
            and self._closing_task_ is None
        ):
            self._closing_task_ = start_task(self.close())

    def _open_transports_(self) -> list[Emitter]:
        """The transports that are about to close."""
        found: list[Any] = [face for dtls in self.__dtlsTransports for face in (dtls.transport, dtls)]
        if self.sctp is not None:
            found.append(self.sctp)
        return [face for face in found if face.state != "closed"]

    async def close(self) -> None:  # type: ignore[override]  # a coroutine, as in aiortc
        """Close the connection; its last state changes are emitted, and then no listener is left.

        The tracks that were being sent are stopped, as in aiortc (and not in W3C).
        """
        if self._session_.closed:
            await super().close()
            return
        channels = [core.face for core in self._session_.executor.data.channels]
        sent = [core.sender for core in self._session_.executor.transceivers.values()]
        sent_tracks = [s.track for s in sent if isinstance(s, RTCRtpSender) and s.has_started]
        transports = self._open_transports_()
        gone = super().close()
        for transport in transports:
            transport.emit("statechange")
            transport.remove_all_listeners()
        self.emit("signalingstatechange")
        for channel in channels:
            if isinstance(channel, RTCDataChannel):
                channel._tell_closed_()
        self._emit_all_(self._states_.untold())
        self.remove_all_listeners()
        for track in sent_tracks:
            # in aiortc a sender that ends stops its track; sources such as MediaPlayer wait for it
            cast("MediaStreamTrack", track).stop()
        await gone
