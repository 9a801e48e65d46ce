"""RTCPeerConnection: the W3C face. It converts arguments, names errors, and holds no logic."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from rtcpeer import webidl
from rtcpeer.aio import Closing
from rtcpeer.config.configuration import (
    CONFIGURATION_MEMBERS,
    RTCConfiguration,
)
from rtcpeer.config.manager import ConfigurationManager
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.inputs import TransceiverInit
from rtcpeer.media.event_target import Event, handler
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer import awaiting
from rtcpeer.peer.certificate import RTCCertificate, generate_certificate
from rtcpeer.peer.connection_listening import PeerConnectionEvents
from rtcpeer.peer.data_channel import (
    RTCDataChannel,
    RTCDataChannelEvent,
    describe_channel_init,
    read_data_channel_init,
)
from rtcpeer.peer.descriptions import (
    RTCSessionDescription,
    RTCSessionDescriptionInit,
    ShownDescriptions,
    read_candidate,
    read_description,
)
from rtcpeer.peer.dictionaries import RTCAnswerOptions, RTCDataChannelInit, RTCOfferOptions
from rtcpeer.peer.errors import InvalidAccessError, w3c_errors
from rtcpeer.peer.events import (
    RTCPeerConnectionIceErrorEvent,
    RTCPeerConnectionIceEvent,
    RTCSenderErrorEvent,
    RTCTrackEvent,
)
from rtcpeer.peer.keywords import (
    AnswerKeywords,
    CandidateKeywords,
    CertificateKeywords,
    ConfigurationKeywords,
    DataChannelKeywords,
    DescriptionKeywords,
    OfferKeywords,
    TransceiverKeywords,
)
from rtcpeer.peer.negotiator_link import NegotiatorLink
from rtcpeer.peer.parameters import (
    RTCRtpTransceiverInit,
    kind_of_track,
    read_offer_options,
    read_transceiver_init,
)
from rtcpeer.peer.rtp import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from rtcpeer.peer.session.diagnosis import Finding, take_snapshot
from rtcpeer.peer.session.explain import explain
from rtcpeer.peer.session.session import PeerSession
from rtcpeer.peer.settings import DEFAULT_SETTINGS, PeerSettings
from rtcpeer.peer.transports import RTCSctpTransport
from rtcpeer.values import (
    IceGatheringState,
    IceTransportState,
    MediaKind,
    PeerConnectionState,
    SignalingState,
)

if TYPE_CHECKING:
    from rtcpeer.media.source import Track
    from rtcpeer.peer.stats import RTCStatsReport


class RTCPeerConnection(PeerConnectionEvents):
    """A connection between this process and a remote peer (W3C webrtc-pc 4.4).

    Behaves as in a browser. What is Python's own: `async with`, `connected()`, `gathered()`, `events()`, and
    `close()` can be awaited.

    Args:
        configuration: None, a mapping with W3C member names, or an `RTCConfiguration`.
        settings: times, ports, filters, network: see `PeerSettings`.
        **members: single members of the configuration, e.g. ``iceServers=[...]``.

    Raises:
        TypeError: a member has the wrong type or an unknown enumeration value, or a keyword is no member.
        RTCSyntaxError: a server URL is malformed.
        InvalidAccessError: a TURN server without credentials, or an expired certificate.

    Events (in this order where several follow from one cause): `signalingstatechange`, `track`; then
    `icegatheringstatechange`, `icecandidate` (with candidate None at the end), `icecandidateerror`,
    `iceconnectionstatechange`, `connectionstatechange`, `datachannel`; `negotiationneeded` in a turn of its own.
    Beside W3C's: `networkchange`, `sendererror` (`RTCSenderErrorEvent`) when a frame could not be encoded or sound
    was dropped, and `addstream` (`MediaStreamEvent`), as browsers still have it.
    After `close()` no event follows.

    Once it has a description it lives until `close()` or the end of its loop, whoever holds it: packets and timers
    keep it, as in browsers. What is still open when the loop has ended is collected with a ResourceWarning.
    """

    event_types: ClassVar[Sequence[str]] = ("addstream",)

    onnegotiationneeded: handler[Event] = handler("negotiationneeded")
    onicecandidate: handler[RTCPeerConnectionIceEvent] = handler("icecandidate")
    onicecandidateerror: handler[RTCPeerConnectionIceErrorEvent] = handler("icecandidateerror")
    onsignalingstatechange: handler[Event] = handler("signalingstatechange")
    oniceconnectionstatechange: handler[Event] = handler("iceconnectionstatechange")
    onicegatheringstatechange: handler[Event] = handler("icegatheringstatechange")
    onconnectionstatechange: handler[Event] = handler("connectionstatechange")
    ontrack: handler[RTCTrackEvent] = handler("track")
    ondatachannel: handler[RTCDataChannelEvent] = handler("datachannel")
    onnetworkchange: handler[Event] = handler("networkchange")
    onsendererror: handler[RTCSenderErrorEvent] = handler("sendererror")

    @w3c_errors
    def __init__(
        self,
        configuration: RTCConfiguration | Mapping[str, Any] | None = None,
        *,
        settings: PeerSettings | None = None,
        **members: Unpack[ConfigurationKeywords],
    ) -> None:
        manager = ConfigurationManager(configuration, members)
        self._session_ = PeerSession(self, manager, settings or DEFAULT_SETTINGS)
        self._descriptions_ = ShownDescriptions()

    # --- descriptions -----------------------------------------------------------------------------

    @w3c_errors
    async def createOffer(
        self, options: RTCOfferOptions | Mapping[str, Any] | None = None, **keywords: Unpack[OfferKeywords]
    ) -> RTCSessionDescriptionInit:
        """Make an offer (webrtc-pc 4.4.2; RFC 9429 5.2).

        Args:
            options: `iceRestart` (also as keyword) asks for new ICE credentials, with which
                `setLocalDescription` gathers again beside the path in use; `offerToReceiveAudio` and
                `offerToReceiveVideo` are the legacy options.

        Raises:
            InvalidStateError: the connection is closed, or a remote offer waits for its answer.
        """
        text = await self._session_.create_offer(read_offer_options(options, keywords))
        return RTCSessionDescriptionInit(type="offer", sdp=text)

    @w3c_errors
    async def createAnswer(
        self, options: RTCAnswerOptions | Mapping[str, Any] | None = None, **keywords: Unpack[AnswerKeywords]
    ) -> RTCSessionDescriptionInit:
        """Make an answer to the remote offer (webrtc-pc 4.4.2; RFC 9429 5.3).

        Raises:
            InvalidStateError: the connection is closed, or there is no remote offer.
        """
        webidl.members("RTCAnswerOptions", options, keywords)  # none is defined: no keyword is right
        return RTCSessionDescriptionInit(type="answer", sdp=await self._session_.create_answer())

    @w3c_errors
    async def setLocalDescription(
        self, description: Any = None, **keywords: Unpack[DescriptionKeywords]
    ) -> None:
        """Apply a local description; without one, the offer or answer that the state asks for is made.

        Returns as soon as the description is applied: gathering goes on, each candidate comes as an
        `icecandidate` event. (webrtc-pc 4.4.2; RFC 9429 5.9.)

        Raises:
            InvalidStateError: closed, or the type does not fit the signaling state.
            InvalidModificationError: the text is not what createOffer or createAnswer gave last.
        """
        init = read_description(description, local=True, **keywords)
        await self._session_.set_local_description(init.type, init.sdp)

    @w3c_errors
    async def setRemoteDescription(
        self, description: Any = None, **keywords: Unpack[DescriptionKeywords]
    ) -> None:
        """Apply a description of the other side (webrtc-pc 4.4.2; RFC 9429 5.10).

        An offer while ours is pending rolls ours back first.

        Args:
            description: an `RTCSessionDescription`, or a mapping as a browser's `JSON.stringify` gives it.

        Raises:
            InvalidStateError: closed, or the type does not fit the signaling state.
            RTCError: the text is not SDP, which `sdpLineNumber` says where, or longer than 1,048,576 characters
                (its `errorDetail` is "sdp-syntax-error" and its name "OperationError" in both cases).
            InvalidAccessError: it is SDP, but does not fit (an answer to another offer, no fingerprint, ...).
        """
        init = read_description(description, **keywords)
        assert init.type is not None
        await self._session_.set_remote_description(init.type, init.sdp)

    @w3c_errors
    async def addIceCandidate(self, candidate: Any = None, **members: Unpack[CandidateKeywords]) -> None:
        """Add a candidate of the other side, at any time after its description (webrtc-pc 4.4.2; RFC 8838).

        Args:
            candidate: an `RTCIceCandidate`, or a mapping as a browser's `JSON.stringify` gives it. None, {} or an
                empty `candidate` string say that no more will come. Or the text of a candidate, with
                `sdpMid`, `sdpMLineIndex` and `usernameFragment` as keywords.

        Raises:
            TypeError: neither sdpMid nor sdpMLineIndex is given.
            InvalidStateError: closed, or there is no remote description yet.
            OperationError: it cannot be parsed, or belongs to no section or generation of the description.
        """
        if isinstance(candidate, str):
            candidate = {"candidate": candidate}
        init = read_candidate(candidate, **members)
        await self._session_.add_ice_candidate(init.candidate, init.mid, init.mline_index, init.ufrag)

    def restartIce(self) -> None:
        """Ask for an ICE restart: `negotiationneeded` fires, and the next offer has new credentials.

        (webrtc-pc 4.4.2.) The path in use carries on until the new one is ready.
        """
        if not self._session_.closed:
            self._session_.watchers.call("restartIce")
            self._session_.carry_out(self._session_.engine.operations.plan_restart_ice())

    def _shown_(self, description: Description | None) -> RTCSessionDescription | None:
        return self._descriptions_.show(description)

    @property
    def localDescription(self) -> RTCSessionDescription | None:
        """The pending local description, else the current one; with the candidates gathered so far."""
        return self._shown_(self._session_.engine.state.local_description)

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:
        """The local description that was negotiated last."""
        return self._shown_(self._session_.engine.state.current_local)

    @property
    def pendingLocalDescription(self) -> RTCSessionDescription | None:
        """The local description under negotiation."""
        return self._shown_(self._session_.engine.state.pending_local)

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:
        """The pending remote description, else the current one."""
        return self._shown_(self._session_.engine.state.remote_description)

    @property
    def currentRemoteDescription(self) -> RTCSessionDescription | None:
        """The remote description that was negotiated last."""
        return self._shown_(self._session_.engine.state.current_remote)

    @property
    def pendingRemoteDescription(self) -> RTCSessionDescription | None:
        """The remote description under negotiation."""
        return self._shown_(self._session_.engine.state.pending_remote)

    # --- states -----------------------------------------------------------------------------------

    @property
    def signalingState(self) -> SignalingState:
        """The state of the offer/answer exchange (webrtc-pc 4.3.1)."""
        return self._session_.engine.state.signaling

    @property
    def iceGatheringState(self) -> IceGatheringState:
        """Whether candidates are being gathered (webrtc-pc 4.3.2)."""
        return self._session_.aggregates.ice_gathering

    @property
    def iceConnectionState(self) -> IceTransportState:
        """The state of all ICE transports together (webrtc-pc 4.3.4)."""
        return self._session_.aggregates.ice_connection

    @property
    def connectionState(self) -> PeerConnectionState:
        """The state of all ICE and DTLS transports together (webrtc-pc 4.3.3)."""
        return self._session_.aggregates.connection

    @property
    def canTrickleIceCandidates(self) -> bool | None:
        """Whether the other side takes candidates one by one; None before its description."""
        return self._session_.engine.state.can_trickle

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of the data channels; None before one is negotiated."""
        return self._session_.executor.data.face

    # --- configuration ----------------------------------------------------------------------------

    def getConfiguration(self) -> RTCConfiguration:
        """A copy of the configuration in force (webrtc-pc 4.4.2); certificates keep their identity."""
        return self._session_.manager.get()

    @w3c_errors
    def setConfiguration(
        self,
        configuration: RTCConfiguration | Mapping[str, Any] | None = None,
        **members: Unpack[ConfigurationKeywords],
    ) -> None:
        """Replace the configuration, all of it: members left out take their defaults (webrtc-pc 4.4.1.6).

        Paths in use stay as they are. New servers and policy are used by the next gathering; if gathering
        has happened already, the next offer restarts ICE by itself (RFC 9429 4.1.18).

        Raises:
            InvalidStateError: the connection is closed.
            InvalidModificationError: certificates, bundlePolicy, rtcpMuxPolicy, or (after a local
                description) iceCandidatePoolSize would change.
            TypeError, RTCSyntaxError, InvalidAccessError: as for the constructor. Nothing has changed then.
        """
        if members:
            configuration = webidl.members("RTCConfiguration", configuration, members, CONFIGURATION_MEMBERS)
        self._session_.set_configuration(configuration)
        self._session_.watchers.call("setConfiguration")

    @staticmethod
    @w3c_errors
    async def generateCertificate(
        keygenAlgorithm: str | Mapping[str, Any] | None = None, **members: Unpack[CertificateKeywords]
    ) -> RTCCertificate:
        """Make a certificate for `certificates` (webrtc-pc 4.9).

        Args:
            keygenAlgorithm: "ECDSA", {"name": "ECDSA", "namedCurve": "P-256"}, or {"name": "RSASSA-PKCS1-v1_5",
                "modulusLength": 2048, "publicExponent": ..., "hash": "SHA-256"}; `expires` in ms. The members also
                as keywords.

        Raises:
            NotSupportedError: no such algorithm.
            TypeError: a member has the wrong type.
        """
        return await generate_certificate(keygenAlgorithm, **members)

    # --- media ------------------------------------------------------------------------------------

    @w3c_errors
    def addTrack(self, track: Track, *streams: MediaStream) -> RTCRtpSender:
        """Send a track (webrtc-pc 5.1). The track stays yours: closing the connection does not stop it.

        Args:
            track: a `MediaStreamTrack`, ours or aiortc's.
            *streams: the streams in which the other side shall find it.

        Raises:
            InvalidStateError: the connection is closed.
            InvalidAccessError: the track is being sent on this connection already.
            TypeError: it is not a track.
        """
        session = self._session_
        kind = kind_of_track(track)
        for stream in streams:
            if not hasattr(stream, "getTracks"):
                raise TypeError(f"addTrack() takes MediaStream objects after the track, not {stream!r}")
        session.context.check_open()
        session.context.check_change("addTrack()")
        # 6
        if any(sender.track is track for sender in self.getSenders()):
            raise InvalidAccessError("this track is already being sent on this connection")
        init = TransceiverInit(
            kind=kind, stream_ids=tuple(dict.fromkeys(s.id for s in streams)), track_id=track.id
        )
        session.watchers.call("addTrack", f"kind: {kind}")
        # 7 to 12
        core = session.executor.add_with_track(session.engine.operations.plan_add_track(init), track)
        return core.sender

    @w3c_errors
    def removeTrack(self, sender: RTCRtpSender) -> None:
        """Stop sending a track; the transceiver stays (webrtc-pc 5.1).

        Raises:
            InvalidStateError: the connection is closed.
            InvalidAccessError: the sender belongs to another connection.
            TypeError: it is not a sender.
        """
        if not isinstance(sender, RTCRtpSender):
            raise TypeError(f"removeTrack() takes an RTCRtpSender, not {sender!r}")
        session = self._session_
        session.context.check_open()
        core = session.executor.core_of_sender(sender)
        if core is None:
            raise InvalidAccessError("this sender was not made by this connection")
        if core.record.stopping or core.track is None or core not in session.executor.transceivers.values():
            return
        session.watchers.call("removeTrack")
        core.use_track(None)
        session.carry_out(session.engine.operations.plan_remove_track(core.id))

    @w3c_errors
    def addTransceiver(
        self,
        trackOrKind: Track | str,
        init: RTCRtpTransceiverInit | Mapping[str, Any] | None = None,
        **keywords: Unpack[TransceiverKeywords],
    ) -> RTCRtpTransceiver:
        """Add a sender and a receiver (webrtc-pc 5.1).

        Args:
            trackOrKind: a track, or "audio" or "video".
            init: `direction`, `streams`, `sendEncodings` (also as keywords).

        Raises:
            TypeError: the kind is unknown, or a member is wrong.
            InvalidStateError: the connection is closed.
            RTCRangeError: a number in `sendEncodings` is out of range.
        """
        session = self._session_
        if isinstance(trackOrKind, str):
            if trackOrKind not in ("audio", "video"):
                raise TypeError(f"addTransceiver() takes a track, 'audio' or 'video', not {trackOrKind!r}")
            kind, track = MediaKind(trackOrKind), None
        else:
            kind, track = kind_of_track(trackOrKind), trackOrKind
        options = read_transceiver_init(init, keywords)
        session.context.check_open()
        session.context.check_change("addTransceiver()")
        encodings = session.check_new_encodings(kind, options.encodings)
        session.watchers.call("addTransceiver", f"kind: {kind}, direction: {options.direction}")
        plan = session.engine.operations.plan_add_transceiver(
            TransceiverInit(
                kind=kind,
                direction=options.direction,
                stream_ids=tuple(dict.fromkeys(s.id for s in options.streams)),
                track_id=None if track is None else track.id,
                encodings=encodings,
            )
        )
        return session.executor.add_with_track(plan, track).transceiver

    def getSenders(self) -> list[RTCRtpSender]:
        """The senders of all transceivers that are not stopped."""
        return [t.sender for t in self._session_.executor.transceivers.values() if not t.record.stopped]

    def getReceivers(self) -> list[RTCRtpReceiver]:
        """The receivers of all transceivers that are not stopped."""
        return [t.receiver for t in self._session_.executor.transceivers.values() if not t.record.stopped]

    def getTransceivers(self) -> list[RTCRtpTransceiver]:
        """All transceivers, in the order in which they were made."""
        return [t.transceiver for t in self._session_.executor.transceivers.values()]

    # --- data -------------------------------------------------------------------------------------

    @w3c_errors
    def createDataChannel(
        self,
        label: str,
        dataChannelDict: RTCDataChannelInit | Mapping[str, Any] | None = None,
        **keywords: Unpack[DataChannelKeywords],
    ) -> RTCDataChannel:
        """Make a data channel (webrtc-pc 6.1); the first one takes a negotiation.

        Args:
            label: at most 65535 bytes in UTF-8.
            dataChannelDict: `ordered`, `maxPacketLifeTime` (ms), `maxRetransmits`, `protocol`, `negotiated`, `id`,
                `priority` (also as keywords).

        Raises:
            InvalidStateError: the connection is closed.
            TypeError: members that exclude each other, too long a label or protocol, negotiated without id.
            OperationError: the id is in use, or all ids are.
        """
        session = self._session_
        parameters = read_data_channel_init(label, dataChannelDict, **keywords)
        session.context.check_open()
        if session.executor.data.core is None:  # the first one takes a negotiation
            session.context.check_change("createDataChannel()")
        session.watchers.call("createDataChannel", describe_channel_init(parameters))
        return session.executor.data.open(parameters)

    # --- statistics -------------------------------------------------------------------------------

    @w3c_errors
    async def getStats(self, selector: Any = None) -> RTCStatsReport:
        """Statistics, of everything or of one track (webrtc-pc 8.2).

        Raises:
            InvalidAccessError: no sender or receiver, or more than one, has this track.
        """
        return await self._session_.get_stats(selector)

    # --- ours, not W3C's --------------------------------------------------------------------------

    async def connected(self, timeout: float | None = 30.0) -> None:
        """Wait until `connectionState` is "connected".

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            RTCTimeoutError: it took longer.
            OperationError: the connection failed.
            InvalidStateError: the connection is closed, or was closed meanwhile.
        """
        await awaiting.connected(self._session_, self, timeout)

    async def gathered(self, timeout: float | None = 30.0) -> None:
        """Wait until `iceGatheringState` is "complete": `localDescription` then holds all candidates.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            RTCTimeoutError: it took longer.
            InvalidStateError: the connection is closed, or was closed meanwhile.
        """
        await awaiting.gathered(self._session_, self, timeout)

    def explain(self) -> list[Finding]:
        """Why the connection is where it is, in sentences (ours, not W3C's).

        ``for finding in pc.explain(): print(finding)`` shows them. Each has a `code` for programs and a `level`:
        "problem", "waiting" or "fact"; how things stand comes first, problems next. It may be asked at any moment,
        also before there is anything and after `close()`.
        """
        return explain(take_snapshot(self._session_))

    @property
    def negotiator(self) -> NegotiatorLink | None:
        """The object that negotiates for this connection; a `Negotiator` puts itself here. None: the application.

        It is asked before a change that needs an offer (which raises NotSupportedError where its signaling path
        can carry none), and `explain()` names the messages that were of no use to it. What was added before it came
        is negotiated all the same: `negotiationneeded`, if it has been fired in vain, is fired again.
        """
        return self._session_.negotiator

    @negotiator.setter
    def negotiator(self, value: NegotiatorLink | None) -> None:
        self._session_.negotiator = value

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> Closing:
        """Close the connection, for good (webrtc-pc 4.4.2).

        All observable effects happen now: states are "closed", channels are closed, no event follows, the other
        side is told. Tracks that were sent are yours and go on. The result can be awaited, or given to what takes
        a coroutine (`create_task`): it ends when every socket, task and TURN allocation is gone. Closing twice is
        harmless.
        """
        return self._session_.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        session = self.__dict__.get("_session_")
        if session is not None and not session.closed and session.executor.transports:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        session = self.__dict__.get("_session_")
        if session is None:
            return "<RTCPeerConnection not constructed>"
        count = len(session.executor.transceivers)
        return (
            f"<RTCPeerConnection {session.name} {self.signalingState}, {self.connectionState}, "
            f"ice {self.iceConnectionState}, {count} transceiver{'' if count == 1 else 's'}>"
        )
