"""RTCRtpReceiver and RTCRtpTransceiver (webrtc-pc 5.3, 5.4); RTCRtpSender is to be had from here too.

Each face object is a thin view over a `TransceiverCore` that the executor drives. What was negotiated is read from
the engine's records; nothing of it is stored here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from rtcpeer import webidl
from rtcpeer.errors import InvalidStateError, RTCRangeError
from rtcpeer.jsep.sections import wanted_extensions
from rtcpeer.peer import parameters as dictionaries
from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.peer.errors import w3c_errors
from rtcpeer.peer.parameters import (
    RTCRtpCapabilities,
    RTCRtpContributingSource,
    RTCRtpHeaderExtensionCapability,
    RTCRtpReceiveParameters,
    RTCRtpSynchronizationSource,
    capabilities,
)
from rtcpeer.peer.rtp_sender import RTCRtpSender, check_transform
from rtcpeer.values import Direction

if TYPE_CHECKING:
    from rtcpeer.media.encoded_frames import EncodedFrameReader
    from rtcpeer.media.track import MediaStreamTrack, RemoteTrack
    from rtcpeer.media.transforms import FrameTransform
    from rtcpeer.peer.stats import RTCStatsReport
    from rtcpeer.peer.transports import RTCDtlsTransport

__all__ = ["RTCRtpReceiver", "RTCRtpSender", "RTCRtpTransceiver", "ShownTransceiver", "TransceiverCore"]

_Source = TypeVar("_Source", bound=RTCRtpContributingSource)


def core_of(receiver: RTCRtpReceiver) -> TransceiverCore[Any, Any, Any]:
    """The `TransceiverCore` behind a receiver, for other classes of the face."""
    return receiver._core_


class RTCRtpReceiver:
    """Gives the track that arrives (webrtc-pc 5.3)."""

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: receivers are made by negotiation or addTransceiver()")
        self._core_ = core
        self._jitter_buffer_target_: float | None = None

    @property
    def track(self) -> MediaStreamTrack:
        """The remote track; it exists (muted) from the start and never changes."""
        return self._core_.receiver_track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The DTLS transport it receives over; None before it is negotiated."""
        return self._core_.face_transport

    @property
    def jitterBufferTarget(self) -> float | None:
        """The time that media is held back against jitter, in ms; None lets the receiver decide."""
        return self._jitter_buffer_target_

    @jitterBufferTarget.setter
    @w3c_errors
    def jitterBufferTarget(self, value: float | None) -> None:
        if value is not None:
            value = webidl.double("jitterBufferTarget", value)
            if not 0 <= value <= 4000:
                raise RTCRangeError(f"jitterBufferTarget must be in 0..4000 ms, not {value:g}")
        self._jitter_buffer_target_ = value
        self._core_.receiver_media.jitter_buffer_target = value

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """The codecs and header extensions that can be received of a kind; None for an unknown kind (webrtc-pc 5.3)."""
        return capabilities(kind, sending=False)

    def getParameters(self) -> RTCRtpReceiveParameters:
        """The parameters of what is received now (webrtc-pc 5.3)."""
        record = self._core_.record
        return RTCRtpReceiveParameters(
            headerExtensions=dictionaries.header_extension_parameters(record.receive_header_extensions),
            rtcp=dictionaries.RTCRtcpParameters(reducedSize=record.reduced_size_rtcp),
            codecs=dictionaries.codec_parameters(record.receive_codecs),
        )

    def getContributingSources(self) -> list[RTCRtpContributingSource]:
        """CSRCs heard in the last 10 s, latest first (webrtc-pc 5.3)."""
        return self._sources_(RTCRtpContributingSource, csrc=True)

    def getSynchronizationSources(self) -> list[RTCRtpSynchronizationSource]:
        """SSRCs heard in the last 10 s, latest first (webrtc-pc 5.3)."""
        return self._sources_(RTCRtpSynchronizationSource, csrc=False)

    def _sources_(self, source: type[_Source], *, csrc: bool) -> list[_Source]:
        return [
            source(s.timestamp_ms, s.source, s.rtp_timestamp, s.audio_level)
            for s in self._core_.receiver_media.sources()
            if s.is_csrc is csrc
        ]

    def exchangeTrack(self, track: RemoteTrack | None = None) -> RemoteTrack:
        """Feed another remote track from now on; ours, not W3C's.

        So a track outlives its connection: the receiver of the next one feeds it, and whoever reads it or sends it on
        sees a pause, and then frames whose times go on. A receiver whose connection is closed would end it.

        Args:
            track: a live remote track of the same kind, from another receiver; None: a new one.

        Returns:
            The track that was fed until now. Nothing feeds or ends it any more.

        Raises:
            TypeError: it is no remote track, or of another kind.
            InvalidStateError: it has ended.
        """
        from rtcpeer.media.track import RemoteTrack

        kind = self._core_.kind.value
        if track is None:
            track = RemoteTrack(kind)
        if not isinstance(track, RemoteTrack) or track.kind != kind:
            raise TypeError(f"a remote {kind} track is needed, not {track!r}")
        if track.readyState != "live":
            raise InvalidStateError(f"{track!r} has ended")
        return self._core_.exchange_receiver_track(track)

    def requestKeyFrame(self) -> None:
        """Ask the sender for a complete picture (PLI); ours, not W3C's. Does nothing for audio."""
        self._core_.receiver_media.request_keyframe()

    def encodedFrames(self) -> EncodedFrameReader:
        """Read what arrives without decoding it; ours, not W3C's.

        For example::

            async for frame in receiver.encodedFrames():
                ...  # RTCEncodedVideoFrame or RTCEncodedAudioFrame

        Frames are whole and in order, and begin with a key frame, which is asked for. Several readers may read at once,
        beside who reads the track; each gets the same frame objects. A reader that falls behind by more than 256 frames
        loses those up to the next key frame. The iteration ends with the receiver; ``await reader.aclose()`` ends it
        before.

        Raises:
            InvalidStateError: the receiver's transceiver is stopped, or the connection closed.
        """
        core = self._core_
        if core.record.stopping or core.session.closed:
            raise InvalidStateError("the receiver is stopped: it has no frames")
        return core.receiver_media.read_encoded()

    @property
    def transform(self) -> FrameTransform | None:
        """The transform of encoded frames before they are decoded: an `RTCRtpScriptTransform` or `SFrameTransform`.

        See webrtc-encoded-transform. Setting None takes it away.

        Raises:
            TypeError: (setting) it is no transform.
            InvalidStateError: (setting) it belongs to a sender or receiver already.
        """
        return self._core_.receiver_media.encoded.transform

    @transform.setter
    @w3c_errors
    def transform(self, value: FrameTransform | None) -> None:
        check_transform(value)
        self._core_.receiver_media.encoded.set_transform(value)

    async def getStats(self) -> RTCStatsReport:
        """Statistics about this receiver only (webrtc-pc 5.3, 8.5)."""
        return await self._core_.session.get_stats(self)

    def __repr__(self) -> str:
        return f"<RTCRtpReceiver {self._core_.kind} {self._core_.record.mid or 'unnegotiated'}>"


class RTCRtpTransceiver:
    """A sender and a receiver that share one media section (webrtc-pc 5.4)."""

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, TransceiverCore):
            raise TypeError("Illegal constructor: transceivers are made by negotiation or addTransceiver()")
        self._core_ = core

    @property
    def mid(self) -> str | None:
        """The mid of its section; None before it is negotiated."""
        return self._core_.record.mid

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video" (as aiortc has it)."""
        return self._core_.kind.value

    @property
    def sender(self) -> RTCRtpSender:
        """The sending half."""
        sender: RTCRtpSender = self._core_.sender
        return sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The receiving half."""
        receiver: RTCRtpReceiver = self._core_.receiver
        return receiver

    @property
    def stopped(self) -> bool:
        """Whether the transceiver has stopped (as aiortc has it; W3C says currentDirection == "stopped")."""
        return self._core_.record.stopped

    @property
    def direction(self) -> Direction:
        """The direction we wish: "sendrecv", "sendonly", "recvonly", "inactive", or "stopped".

        Raises:
            InvalidStateError: (setting) the transceiver is stopping.
            TypeError: (setting) not a direction, or "stopped": use `stop()`.
        """
        return self._core_.record.shown_direction

    @direction.setter
    @w3c_errors
    def direction(self, value: str) -> None:
        direction = webidl.enumeration("direction", value, Direction)
        core = self._core_
        if core.record.stopping:
            raise InvalidStateError("the transceiver is stopped: its direction cannot change")
        core.session.carry_out(core.session.engine.operations.plan_set_direction(core.id, direction))

    @property
    def currentDirection(self) -> Direction | None:
        """The direction that was negotiated last; None before."""
        return self._core_.record.shown_current_direction

    @w3c_errors
    def stop(self) -> None:
        """Stop sending and receiving for good; takes a negotiation to tell the other end (webrtc-pc 5.4).

        Raises:
            InvalidStateError: the connection is closed.
        """
        core = self._core_
        if core.session.closed:
            raise InvalidStateError("the connection is closed")
        if core.record.stopping:
            return
        core.session.carry_out(core.session.engine.operations.plan_stop(core.id))

    @w3c_errors
    def setCodecPreferences(self, codecs: Any) -> None:
        """Choose the codecs that are offered and answered, best first; an empty list restores the default.

        Raises:
            InvalidModificationError: a codec is in no capability, or only RTX and the like are left.
        """
        chosen = [
            dictionaries.read_codec(f"codecs[{i}]", c)
            for i, c in enumerate(webidl.sequence("codecs", codecs))
        ]
        core = self._core_
        core.session.carry_out(core.session.engine.operations.plan_set_codec_preferences(core.id, chosen))

    def getHeaderExtensionsToNegotiate(self) -> list[RTCRtpHeaderExtensionCapability]:
        """The RTP header extensions of this transceiver and the direction that it wants each in (webrtc-extensions).

        A change of the list counts when it is given to `setHeaderExtensionsToNegotiate`.
        """
        core = self._core_
        return dictionaries.header_extension_capabilities(
            wanted_extensions(core.record, core.session.engine.settings)
        )

    @w3c_errors
    def setHeaderExtensionsToNegotiate(self, extensions: Any) -> None:
        """Choose the direction of each RTP header extension; "stopped" keeps it out (webrtc-extensions).

        The next offer or answer goes by it, and transceivers of the same kind that are made later begin with the choice
        of the first. Nothing is negotiated by itself.

        Args:
            extensions: the list of `getHeaderExtensionsToNegotiate` with other directions.

        Raises:
            InvalidModificationError: another extension or another order, or a mandatory extension (that of MID) is not
                "sendrecv".
            TypeError: the uri or the direction is missing, or it is no direction.
        """
        chosen = [
            dictionaries.read_header_extension(f"extensions[{i}]", e)
            for i, e in enumerate(webidl.sequence("extensions", extensions))
        ]
        core = self._core_
        core.session.carry_out(core.session.engine.operations.plan_set_header_extensions(core.id, chosen))

    def getNegotiatedHeaderExtensions(self) -> list[RTCRtpHeaderExtensionCapability]:
        """The RTP header extensions with the direction that was negotiated for each (webrtc-extensions).

        All are "stopped" before the first answer; the specification has an empty list then, browsers have this.
        """
        core = self._core_
        record = core.record
        negotiated = record.negotiated_extensions
        if negotiated is None:
            wanted = wanted_extensions(record, core.session.engine.settings)
            negotiated = tuple(dataclasses.replace(e, direction=Direction.STOPPED) for e in wanted)
        return dictionaries.header_extension_capabilities(negotiated)

    def __repr__(self) -> str:
        record = self._core_.record
        return f"<RTCRtpTransceiver {record.kind} mid={record.mid} {record.shown_direction}>"


ShownTransceiver = TransceiverCore[RTCRtpTransceiver, RTCRtpSender, RTCRtpReceiver]
"""A transceiver with its face objects, as a connection keeps it."""
