"""RTCRtpSender (webrtc-pc 5.2): a thin view over a `TransceiverCore`.

Owns: [[LastReturnedParameters]]. Never: what was negotiated; that is read from the engine's record.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from rtcpeer import webidl
from rtcpeer.errors import InvalidModificationError, InvalidStateError
from rtcpeer.jsep import encodings as encoding_rules
from rtcpeer.peer import parameters as dictionaries
from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.peer.errors import w3c_errors
from rtcpeer.peer.keywords import SetParameterKeywords
from rtcpeer.peer.parameters import RTCRtpCapabilities, RTCRtpSendParameters, capabilities
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import DegradationPreference, MediaKind

if TYPE_CHECKING:
    from rtcpeer.media.source import Track
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.transforms import FrameTransform
    from rtcpeer.peer.dtmf import RTCDTMFSender
    from rtcpeer.peer.stats import RTCStatsReport
    from rtcpeer.peer.transports import RTCDtlsTransport


def core_of(sender: RTCRtpSender) -> TransceiverCore[Any, Any, Any]:
    """The `TransceiverCore` behind a sender, for other classes of the face."""
    return sender._core_


def check_transform(value: Any) -> None:
    """Refuse what is no transform.

    Raises:
        TypeError: it is neither a transform nor None.
    """
    if value is None:
        return
    from rtcpeer.media.sframe import SFrameTransform
    from rtcpeer.media.transforms import RTCRtpScriptTransform

    if not isinstance(value, RTCRtpScriptTransform | SFrameTransform):
        raise TypeError(
            f"transform must be an RTCRtpScriptTransform, an SFrameTransform or None, not {value!r}"
        )


class RTCRtpSender:
    """Controls how a track is encoded and sent (webrtc-pc 5.2). Made by `addTrack` and `addTransceiver`."""

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: senders are made by addTrack() and addTransceiver()")
        self._core_ = core
        self._dtmf_: RTCDTMFSender | None = None
        # [[LastReturnedParameters]], valid in the task in which it was given
        self._returned_: RTCRtpSendParameters | None = None
        # of the record when it was given: a description that was applied since invalidates it
        self._returned_revision_ = 0

    @property
    def track(self) -> Track | None:
        """The track being sent, or None."""
        return self._core_.track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it sends over; None before it is negotiated."""
        return self._core_.face_transport

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video" (as aiortc has it)."""
        return self._core_.kind.value

    @property
    def transform(self) -> FrameTransform | None:
        """The transform of encoded frames before they become packets: an `RTCRtpScriptTransform` or `SFrameTransform`.

        See webrtc-encoded-transform. Setting None takes it away.

        Raises:
            TypeError: (setting) it is no transform.
            InvalidStateError: (setting) it belongs to a sender or receiver already.
        """
        return self._core_.sender_media.encoded.transform

    @transform.setter
    @w3c_errors
    def transform(self, value: FrameTransform | None) -> None:
        check_transform(value)
        self._core_.sender_media.set_transform(value)

    @property
    def estimate(self) -> int | None:
        """The estimated bitrate that the path bears for this sender, in bit/s; None while unknown (ours, not W3C's).

        Senders of sound get what they need, those of pictures share the rest alike. It follows from feedback about each
        packet (transport-wide congestion control), or from what the other end says (REMB); without feedback for five
        seconds it is None again. That of the whole path is `availableOutgoingBitrate` in the statistics of the pair. A
        program that makes encoded frames itself (`EncodedTrack`) chooses its bitrate by it.
        """
        return self._core_.sender_media.estimate

    @property
    def dtmf(self) -> RTCDTMFSender | None:
        """Sends DTMF tones; None for video (webrtc-pc 7)."""
        if self._core_.kind is not MediaKind.AUDIO:
            return None
        if self._dtmf_ is None:
            from rtcpeer.peer.dtmf import RTCDTMFSender

            self._dtmf_ = RTCDTMFSender(self._core_)
        return self._dtmf_

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """The codecs and header extensions that can be sent of a kind; None for an unknown kind (webrtc-pc 5.2)."""
        return capabilities(kind, sending=True)

    def getParameters(self) -> RTCRtpSendParameters:
        """The parameters in force, to be changed and handed to `setParameters` in the same turn of the loop."""
        record = self._core_.record
        # getParameters, 2
        if self._returned_ is not None and self._returned_revision_ == record.parameters_revision:
            return self._copy_(self._returned_)
        extensions = record.send_header_extensions
        # 3
        parameters = RTCRtpSendParameters(
            transactionId=secrets.token_hex(8),
            encodings=[dictionaries.encoding_parameters(e, kind=record.kind.value) for e in record.encodings],
            headerExtensions=dictionaries.header_extension_parameters(extensions),
            rtcp=dictionaries.RTCRtcpParameters(
                cname=self._core_.session.engine.state.cname or None, reducedSize=record.reduced_size_rtcp
            ),
            codecs=dictionaries.codec_parameters(record.send_codecs),
            degradationPreference=self._core_.sender_media.degradation,
        )
        # 4
        self._returned_ = parameters
        self._returned_revision_ = record.parameters_revision
        # 5
        self._core_.session.queue_task(self._forget_returned_, parameters)
        return self._copy_(parameters)

    @staticmethod
    def _copy_(parameters: RTCRtpSendParameters) -> RTCRtpSendParameters:
        return dataclasses.replace(
            parameters,
            encodings=[dataclasses.replace(e) for e in parameters.encodings],
            headerExtensions=[dataclasses.replace(e) for e in parameters.headerExtensions],
            rtcp=dataclasses.replace(parameters.rtcp),
            codecs=[dataclasses.replace(c) for c in parameters.codecs],
        )

    def _forget_returned_(self, parameters: RTCRtpSendParameters) -> None:
        if self._returned_ is parameters:
            self._returned_ = None

    def setParameters(
        self,
        parameters: RTCRtpSendParameters | Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        **keywords: Unpack[SetParameterKeywords],
    ) -> Coroutine[Any, Any, None]:
        """Change how the track is sent, without negotiation (webrtc-pc 5.2 setParameters).

        Args:
            parameters: what `getParameters` gave, with `encodings` changed: active, maxBitrate (bit/s),
                maxFramerate (1/s), scaleResolutionDownBy, scaleResolutionDownTo, scalabilityMode, priority, codec;
                or with `degradationPreference`.
            options: `encodingOptions` (also as keyword) is a list of mappings with `keyFrame`.

        Raises:
            InvalidStateError: the transceiver is stopped, or `getParameters` was not called in this turn.
            InvalidModificationError: something else than the above was changed.
            RTCRangeError: a number is out of range.
            TypeError: a member has the wrong type.
        """
        # what was returned in the turn of the call counts: gather() and tasks begin a coroutine one turn later
        return self._set_parameters_(parameters, options, keywords, self._returned_, self._returned_revision_)

    @w3c_errors
    async def _set_parameters_(
        self,
        parameters: RTCRtpSendParameters | Mapping[str, Any],
        options: Mapping[str, Any] | None,
        keywords: SetParameterKeywords,
        returned: RTCRtpSendParameters | None,
        revision: int,
    ) -> None:
        core = self._core_
        given = webidl.present("parameters", parameters)
        for member in ("transactionId", "encodings", "codecs", "headerExtensions", "rtcp"):
            if member not in given:
                raise TypeError(f"parameters: the member {member!r} is required")
        encodings = tuple(
            dictionaries.read_encoding(f"encodings[{i}]", e)
            for i, e in enumerate(webidl.sequence("encodings", given["encodings"]))
        )
        degradation = _read_degradation(given)
        record = core.record
        # 4
        if record.stopping:
            raise InvalidStateError("the transceiver is stopped: its parameters cannot be set")
        # 5
        if returned is None or revision != record.parameters_revision:
            raise InvalidStateError(
                "call getParameters() first, and setParameters() in the same turn of the loop"
            )
        # 6.6 (what is read-only besides encodings)
        self._check_unchanged_(given, returned)
        capabilities = core.session.engine.settings.capabilities(core.kind).send
        # 6.3 to 6.11
        encodings = encoding_rules.check_update(
            core.kind, record.encodings, encodings, record.send_codecs, capabilities
        )
        given = webidl.members("RTCSetParameterOptions", options, keywords, ("encodingOptions",))
        # webrtc-extensions: for audio the options are as good as empty
        key_frames = self._key_frames_(given, len(encodings)) if core.kind == "video" else []
        core.session.watchers.call("setParameters", _describe_encodings(core.record.mid, encodings))
        with core.session.parameters_pending:
            # 8, 8.1.1
            await asyncio.sleep(0)
            self._returned_ = None
            if core.session.closed:
                raise InvalidStateError("the connection was closed")
            # 8.1.2; 8.2 (a hardware encoder that refuses) has no case: encoders report later, as `sendererror`
            core.session.carry_out(core.session.engine.operations.plan_set_encodings(core.id, encodings))
            core.sender_media.degradation = degradation
        if any(key_frames):
            core.sender_media.request_keyframe()

    @staticmethod
    def _check_unchanged_(given: dict[str, Any], returned: RTCRtpSendParameters) -> None:
        if given["transactionId"] != returned.transactionId:
            raise InvalidModificationError("transactionId is not that of the last getParameters()")
        for member, kept in (("codecs", returned.codecs), ("headerExtensions", returned.headerExtensions)):
            items = [webidl.present(member, i) for i in webidl.sequence(member, given[member])]
            if items != [webidl.present(member, i) for i in kept]:
                raise InvalidModificationError(f"{member} is read-only in setParameters()")
        if webidl.present("rtcp", given["rtcp"]) != webidl.present("rtcp", returned.rtcp):
            raise InvalidModificationError("rtcp is read-only in setParameters()")

    @staticmethod
    def _key_frames_(options: Any, count: int) -> list[bool]:
        given = webidl.present("options", options)
        wanted = webidl.sequence("encodingOptions", given.get("encodingOptions", ()))
        if wanted and len(wanted) != count:
            raise InvalidModificationError(f"encodingOptions has {len(wanted)} items for {count} encodings")
        return [bool(webidl.present("encodingOptions", w).get("keyFrame", False)) for w in wanted]

    @w3c_errors
    async def replaceTrack(self, track: Track | None) -> None:
        """Send another track of the same kind, or None, without negotiation (webrtc-pc 5.2).

        Raises:
            TypeError: the track is of another kind.
            InvalidStateError: the transceiver is stopped, or the connection closed.
        """
        core = self._core_
        # replaceTrack, 5
        if track is not None and getattr(track, "kind", None) != core.kind:
            raise TypeError(f"a sender of {core.kind} cannot send {getattr(track, 'kind', track)!r}")

        async def replace() -> None:
            # 6.1
            if core.record.stopping:
                raise InvalidStateError("the transceiver is stopped: its track cannot be replaced")
            await asyncio.sleep(0)
            # 6.4.4.1
            if core.session.closed:
                raise InvalidStateError("the connection was closed")
            # 6.4.1, 6.4.3 and 6.4.4.2; 6.4.2 (a track that needs negotiation) has no case: encoders take any frame
            core.use_track(track)
            engine = core.session.engine
            core.session.carry_out(
                engine.operations.plan_set_track(core.id, None if track is None else track.id)
            )

        sent = "null" if track is None else f"id: {track.id}"
        core.session.watchers.call(
            "replaceTrack", f"mid: {core.record.mid}, kind: {core.kind.value}, track: {sent}"
        )
        # 6
        await core.session.chain.run(replace)

    @w3c_errors
    def setStreams(self, *streams: MediaStream) -> None:
        """Say which streams the receiving end shall put the track in; takes a negotiation (webrtc-pc 5.2).

        Raises:
            InvalidStateError: the connection is closed.
            TypeError: an argument is not a stream.
        """
        core = self._core_
        for stream in streams:
            if not hasattr(stream, "getTracks"):
                raise TypeError(f"setStreams() takes MediaStream objects, not {type(stream).__name__}")
        if core.session.closed:
            raise InvalidStateError("the connection is closed")
        core.session.carry_out(
            core.session.engine.operations.plan_set_streams(core.id, [s.id for s in streams])
        )

    async def getStats(self) -> RTCStatsReport:
        """Statistics about this sender only (webrtc-pc 5.2, 8.5)."""
        return await self._core_.session.get_stats(self)

    def __repr__(self) -> str:
        return f"<RTCRtpSender {self._core_.kind} {self._core_.record.mid or 'unnegotiated'}>"


def _read_degradation(given: Mapping[str, Any]) -> DegradationPreference | None:
    wanted = given.get("degradationPreference")
    if wanted is None:
        return None
    return webidl.enumeration("parameters.degradationPreference", wanted, DegradationPreference)


def _describe_encodings(mid: str | None, encodings: Iterable[SendEncoding]) -> str:
    """The encodings given to `setParameters` as text, for watchers: the members that differ from their defaults."""
    shown = [
        ", ".join(
            f"{field.name}: {value}"
            for field in dataclasses.fields(encoding)
            if (value := getattr(encoding, field.name)) != field.default
        )
        for encoding in encodings
    ]
    return f"mid: {mid}, encodings: {'; '.join(f'{{{one}}}' for one in shown)}"
