"""RTCRtpTransceiver, RTCRtpSender and RTCRtpReceiver (webrtc-pc 5.2 to 5.4).

Each face object is a thin view over a core that the executor drives. What was negotiated is read from the
engine's records; nothing of it is stored here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from rtcpeer.errors import InvalidModificationError, InvalidStateError, RTCRangeError
from rtcpeer.jsep import encodings as encoding_rules
from rtcpeer.jsep.effects import Plan
from rtcpeer.jsep.engine import Engine
from rtcpeer.jsep.state import Transceiver as Record
from rtcpeer.peer import parameters as dictionaries
from rtcpeer.peer import webidl
from rtcpeer.peer.errors import w3c_errors
from rtcpeer.peer.operations import OperationsChain, Pending
from rtcpeer.peer.parameters import (
    RTCRtpCapabilities,
    RTCRtpContributingSource,
    RTCRtpReceiveParameters,
    RTCRtpSendParameters,
)
from rtcpeer.values import Direction, MediaKind

if TYPE_CHECKING:
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.track import RemoteTrack
    from rtcpeer.peer.dtmf import RTCDTMFSender
    from rtcpeer.peer.stats import RTCStatsReport
    from rtcpeer.peer.transports import DtlsTransportCore, RTCDtlsTransport
    from rtcpeer.transport.receiver import MediaReceiver
    from rtcpeer.transport.sender import MediaSender


class SessionPort(Protocol):
    """What a transceiver needs of its connection."""

    closed: bool
    engine: Engine
    chain: OperationsChain
    parameters_pending: Pending

    def carry_out(self, plan: Plan) -> None:
        """Do everything a plan says, now."""

    def queue_task(self, step: Any, *args: Any) -> None:
        """Run `step` in a later turn of the loop."""

    async def get_stats(self, selector: Any) -> RTCStatsReport:
        """Statistics of one sender or receiver."""


class TransceiverCore:
    """One transceiver's objects, and its record in the engine.

    Attributes:
        id: of the record.
        sender_media, receiver_media: what sends and receives.
        transport: of sender and receiver; None is W3C's null.
        track: what is being sent, or None.
        transceiver, sender, receiver: the face objects.
    """

    def __init__(
        self,
        session: SessionPort,
        id: int,
        kind: MediaKind,
        sender_media: MediaSender,
        receiver_media: MediaReceiver,
        receiver_track: RemoteTrack,
    ) -> None:
        self.session = session
        self.id = id
        self.kind = kind
        self.sender_media = sender_media
        self.receiver_media = receiver_media
        self.receiver_track = receiver_track
        self.transport: DtlsTransportCore | None = None
        self.track: Any = None
        # the record as last seen: it leaves the engine's set when the transceiver is removed
        self._last = Record(id, kind, Direction.INACTIVE)
        self.sender = RTCRtpSender(self)
        self.receiver = RTCRtpReceiver(self)
        self.transceiver = RTCRtpTransceiver(self)

    @property
    def record(self) -> Record:
        """The engine's record; the last one, when the transceiver has left the set."""
        record = self.session.engine.state.transceiver(self.id)
        if record is not None:
            self._last = record
        return self._last

    def show_as(self, transceiver: RTCRtpTransceiver, sender: RTCRtpSender, receiver: RTCRtpReceiver) -> None:
        """Show other face objects from now on, for programs with other conventions (`rtcpeer.aiortc`)."""
        self.transceiver, self.sender, self.receiver = transceiver, sender, receiver

    def use_track(self, track: Any) -> None:
        """Send this track, or nothing, from now on."""
        self.track = track
        self.sender_media.set_track(track)

    @property
    def can_insert_dtmf(self) -> bool:
        """Whether tones can be sent now (webrtc-pc 7.2 "determine if DTMF can be sent")."""
        record = self.record
        return (
            not record.stopping
            and record.current_direction is not None
            and record.current_direction.sends
            and bool(record.encodings)
            and record.encodings[0].active
            and self.sender_media.can_insert_dtmf
        )

    def insert_tone(self, tone: str, duration_ms: int) -> None:
        """Play one tone."""
        self.sender_media.insert_tone(tone, duration_ms)

    def removed(self) -> None:
        """The record has left the engine's set: what is shown from now on is a stopped transceiver."""
        self._last = dataclasses.replace(
            self._last, mid=None, stopping=True, stopped=True, current_direction=None
        )
        self.transport = None

    @property
    def face_transport(self) -> RTCDtlsTransport | None:
        """`transport` as the user sees it."""
        return None if self.transport is None else self.transport.face


class RTCRtpSender:
    """Controls how a track is encoded and sent (webrtc-pc 5.2). Made by `addTrack` and `addTransceiver`."""

    def __init__(self, core: TransceiverCore) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: senders are made by addTrack() and addTransceiver()")
        self._core = core
        self._dtmf: RTCDTMFSender | None = None
        # [[LastReturnedParameters]], valid in the task in which it was given
        self._returned: RTCRtpSendParameters | None = None
        # of the record when it was given: a description that was applied since invalidates it
        self._returned_revision = 0

    @property
    def track(self) -> Any:
        """The track being sent, or None."""
        return self._core.track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it sends over; None before it is negotiated."""
        return self._core.face_transport

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video" (as aiortc has it)."""
        return self._core.kind.value

    @property
    def dtmf(self) -> RTCDTMFSender | None:
        """Sends DTMF tones; None for video (webrtc-pc 7)."""
        if self._core.kind is not MediaKind.AUDIO:
            return None
        if self._dtmf is None:
            from rtcpeer.peer.dtmf import RTCDTMFSender

            self._dtmf = RTCDTMFSender(self._core)
        return self._dtmf

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """What can be sent of a kind; None when the kind is unknown (webrtc-pc 5.2)."""
        from rtcpeer.peer.capabilities import capabilities

        return capabilities(kind, sending=True)

    def getParameters(self) -> RTCRtpSendParameters:
        """The parameters in force, to be changed and handed to `setParameters` in the same turn of the loop."""
        record = self._core.record
        if self._returned is not None and self._returned_revision == record.parameters_revision:
            return self._copy(self._returned)
        extensions = record.send_header_extensions
        parameters = RTCRtpSendParameters(
            transactionId=secrets.token_hex(8),
            encodings=[dictionaries.encoding_parameters(e, kind=record.kind.value) for e in record.encodings],
            headerExtensions=dictionaries.header_extension_parameters(extensions),
            rtcp=dictionaries.RTCRtcpParameters(
                cname=self._core.session.engine.state.cname or None, reducedSize=False
            ),
            codecs=dictionaries.codec_parameters(record.send_codecs),
        )
        self._returned = parameters
        self._returned_revision = record.parameters_revision
        self._core.session.queue_task(self._forget_returned, parameters)
        return self._copy(parameters)

    @staticmethod
    def _copy(parameters: RTCRtpSendParameters) -> RTCRtpSendParameters:
        return dataclasses.replace(
            parameters,
            encodings=[dataclasses.replace(e) for e in parameters.encodings],
            headerExtensions=[dataclasses.replace(e) for e in parameters.headerExtensions],
            rtcp=dataclasses.replace(parameters.rtcp),
            codecs=[dataclasses.replace(c) for c in parameters.codecs],
        )

    def _forget_returned(self, parameters: RTCRtpSendParameters) -> None:
        if self._returned is parameters:
            self._returned = None

    @w3c_errors
    async def setParameters(self, parameters: Any, options: Any = None) -> None:
        """Change how the track is sent, without negotiation (webrtc-pc 5.2 setParameters).

        Args:
            parameters: what `getParameters` gave, with `encodings` changed: active, maxBitrate (bit/s),
                maxFramerate (1/s), scaleResolutionDownBy, priority, codec.
            options: a mapping; `encodingOptions` is a list of mappings with `keyFrame`.

        Raises:
            InvalidStateError: the transceiver is stopped, or `getParameters` was not called in this turn.
            InvalidModificationError: something else than the above was changed.
            RTCRangeError: a number is out of range.
            TypeError: a member has the wrong type.
        """
        core = self._core
        given = dictionaries.members("parameters", parameters)
        for member in ("transactionId", "encodings", "codecs", "headerExtensions", "rtcp"):
            if member not in given:
                raise TypeError(f"parameters: the member {member!r} is required")
        encodings = tuple(
            dictionaries.read_encoding(f"encodings[{i}]", e)
            for i, e in enumerate(dictionaries.sequence("encodings", given["encodings"]))
        )
        returned, record = self._returned, core.record
        if record.stopping:
            raise InvalidStateError("the transceiver is stopped: its parameters cannot be set")
        if returned is None or self._returned_revision != record.parameters_revision:
            raise InvalidStateError(
                "call getParameters() first, and setParameters() in the same turn of the loop"
            )
        self._check_unchanged(given, returned)
        capabilities = core.session.engine.settings.capabilities(core.kind).send
        encodings = encoding_rules.check_update(
            core.kind, record.encodings, encodings, record.send_codecs, capabilities
        )
        key_frames = self._key_frames(options, len(encodings))
        with core.session.parameters_pending:
            await asyncio.sleep(0)
            self._returned = None
            if core.session.closed:
                raise InvalidStateError("the connection was closed")
            core.session.carry_out(core.session.engine.plan_set_encodings(core.id, encodings))
        if any(key_frames):
            core.sender_media.request_keyframe()

    @staticmethod
    def _check_unchanged(given: dict[str, Any], returned: RTCRtpSendParameters) -> None:
        if given["transactionId"] != returned.transactionId:
            raise InvalidModificationError("transactionId is not that of the last getParameters()")
        for member, kept in (("codecs", returned.codecs), ("headerExtensions", returned.headerExtensions)):
            items = [dictionaries.members(member, i) for i in dictionaries.sequence(member, given[member])]
            if items != [dictionaries.members(member, i) for i in kept]:
                raise InvalidModificationError(f"{member} is read-only in setParameters()")
        if dictionaries.members("rtcp", given["rtcp"]) != dictionaries.members("rtcp", returned.rtcp):
            raise InvalidModificationError("rtcp is read-only in setParameters()")

    @staticmethod
    def _key_frames(options: Any, count: int) -> list[bool]:
        given = dictionaries.members("options", options)
        wanted = dictionaries.sequence("encodingOptions", given.get("encodingOptions", ()))
        if wanted and len(wanted) != count:
            raise InvalidModificationError(f"encodingOptions has {len(wanted)} items for {count} encodings")
        return [bool(dictionaries.members("encodingOptions", w).get("keyFrame", False)) for w in wanted]

    @w3c_errors
    async def replaceTrack(self, track: Any) -> None:
        """Send another track of the same kind, or None, without negotiation (webrtc-pc 5.2).

        Raises:
            TypeError: the track is of another kind.
            InvalidStateError: the transceiver is stopped, or the connection closed.
        """
        core = self._core
        if track is not None and getattr(track, "kind", None) != core.kind:
            raise TypeError(f"a sender of {core.kind} cannot send {getattr(track, 'kind', track)!r}")

        async def replace() -> None:
            if core.record.stopping:
                raise InvalidStateError("the transceiver is stopped: its track cannot be replaced")
            await asyncio.sleep(0)
            if core.session.closed:
                raise InvalidStateError("the connection was closed")
            core.use_track(track)
            engine = core.session.engine
            core.session.carry_out(engine.plan_set_track(core.id, None if track is None else track.id))

        await core.session.chain.run(replace)

    @w3c_errors
    def setStreams(self, *streams: MediaStream) -> None:
        """Say which streams the receiving end shall put the track in; takes a negotiation (webrtc-pc 5.2).

        Raises:
            InvalidStateError: the connection is closed.
            TypeError: an argument is not a stream.
        """
        core = self._core
        for stream in streams:
            if not hasattr(stream, "getTracks"):
                raise TypeError(f"setStreams() takes MediaStream objects, not {type(stream).__name__}")
        if core.session.closed:
            raise InvalidStateError("the connection is closed")
        core.session.carry_out(core.session.engine.plan_set_streams(core.id, [s.id for s in streams]))

    async def getStats(self) -> RTCStatsReport:
        """Statistics about this sender only (webrtc-pc 5.2, 8.5)."""
        return await self._core.session.get_stats(self)

    def __repr__(self) -> str:
        return f"<RTCRtpSender {self._core.kind} {self._core.record.mid or 'unnegotiated'}>"


class RTCRtpReceiver:
    """Gives the track that arrives (webrtc-pc 5.3)."""

    def __init__(self, core: TransceiverCore) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: receivers are made by negotiation or addTransceiver()")
        self._core = core
        self._jitter_buffer_target: float | None = None

    @property
    def track(self) -> Any:
        """The remote track; it exists (muted) from the start and never changes."""
        return self._core.receiver_track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it receives over; None before it is negotiated."""
        return self._core.face_transport

    @property
    def jitterBufferTarget(self) -> float | None:
        """How long media should be held back against jitter, in ms; None lets the receiver decide."""
        return self._jitter_buffer_target

    @jitterBufferTarget.setter
    @w3c_errors
    def jitterBufferTarget(self, value: float | None) -> None:
        if value is not None:
            value = dictionaries.read_number("jitterBufferTarget", value)
            if not 0 <= value <= 4000:
                raise RTCRangeError(f"jitterBufferTarget must be in 0..4000 ms, not {value:g}")
        self._jitter_buffer_target = value
        self._core.receiver_media.jitter_buffer_target = value

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """What can be received of a kind; None when the kind is unknown (webrtc-pc 5.3)."""
        from rtcpeer.peer.capabilities import capabilities

        return capabilities(kind, sending=False)

    def getParameters(self) -> RTCRtpReceiveParameters:
        """What is being received now (webrtc-pc 5.3)."""
        record = self._core.record
        return RTCRtpReceiveParameters(
            headerExtensions=dictionaries.header_extension_parameters(record.receive_header_extensions),
            rtcp=dictionaries.RTCRtcpParameters(reducedSize=False),
            codecs=dictionaries.codec_parameters(record.receive_codecs),
        )

    def getContributingSources(self) -> list[RTCRtpContributingSource]:
        """CSRCs heard in the last 10 s, latest first (webrtc-pc 5.3)."""
        return self._sources(csrc=True)

    def getSynchronizationSources(self) -> list[RTCRtpContributingSource]:
        """SSRCs heard in the last 10 s, latest first (webrtc-pc 5.3)."""
        return self._sources(csrc=False)

    def _sources(self, *, csrc: bool) -> list[RTCRtpContributingSource]:
        return [
            RTCRtpContributingSource(s.timestamp_ms, s.source, s.rtp_timestamp, s.audio_level)
            for s in self._core.receiver_media.sources()
            if s.is_csrc is csrc
        ]

    def requestKeyFrame(self) -> None:
        """Ask the sender for a complete picture (PLI); ours, not W3C's. Does nothing for audio."""
        self._core.receiver_media.request_keyframe()

    async def getStats(self) -> RTCStatsReport:
        """Statistics about this receiver only (webrtc-pc 5.3, 8.5)."""
        return await self._core.session.get_stats(self)

    def __repr__(self) -> str:
        return f"<RTCRtpReceiver {self._core.kind} {self._core.record.mid or 'unnegotiated'}>"


class RTCRtpTransceiver:
    """One sender and one receiver that share a media section (webrtc-pc 5.4)."""

    def __init__(self, core: TransceiverCore) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: transceivers are made by negotiation or addTransceiver()")
        self._core = core

    @property
    def mid(self) -> str | None:
        """The mid of its section; None before it is negotiated."""
        return self._core.record.mid

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video" (as aiortc has it)."""
        return self._core.kind.value

    @property
    def sender(self) -> RTCRtpSender:
        """The sending half."""
        return self._core.sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The receiving half."""
        return self._core.receiver

    @property
    def stopped(self) -> bool:
        """Whether the transceiver has stopped (as aiortc has it; W3C says currentDirection == "stopped")."""
        return self._core.record.stopped

    @property
    def direction(self) -> Direction:
        """The direction we wish: "sendrecv", "sendonly", "recvonly", "inactive", or "stopped".

        Raises:
            InvalidStateError: (setting) the transceiver is stopping.
            TypeError: (setting) not a direction, or "stopped": use `stop()`.
        """
        return self._core.record.shown_direction

    @direction.setter
    @w3c_errors
    def direction(self, value: str) -> None:
        direction = webidl.enumeration("direction", value, Direction)
        core = self._core
        if core.record.stopping:
            raise InvalidStateError("the transceiver is stopped: its direction cannot change")
        core.session.carry_out(core.session.engine.plan_set_direction(core.id, direction))

    @property
    def currentDirection(self) -> Direction | None:
        """The direction that was negotiated last; None before."""
        return self._core.record.shown_current_direction

    @w3c_errors
    def stop(self) -> None:
        """Stop sending and receiving for good; takes a negotiation to tell the other end (webrtc-pc 5.4).

        Raises:
            InvalidStateError: the connection is closed.
        """
        core = self._core
        if core.session.closed:
            raise InvalidStateError("the connection is closed")
        if core.record.stopping:
            return
        core.session.carry_out(core.session.engine.plan_stop(core.id))

    @w3c_errors
    def setCodecPreferences(self, codecs: Any) -> None:
        """Choose the codecs that are offered and answered, best first; an empty list restores the default.

        Raises:
            InvalidModificationError: a codec is in no capability, or only RTX and the like are left.
        """
        chosen = [
            dictionaries.read_codec(f"codecs[{i}]", c)
            for i, c in enumerate(dictionaries.sequence("codecs", codecs))
        ]
        core = self._core
        core.session.carry_out(core.session.engine.plan_set_codec_preferences(core.id, chosen))

    def __repr__(self) -> str:
        record = self._core.record
        return f"<RTCRtpTransceiver {record.kind} mid={record.mid} {record.shown_direction}>"
