"""SessionState: the whole state of one session as one frozen value.

Owns: the shape of the state.  It decides nothing; `engine` makes a new value out of an old one.
Everything that the face shows of signaling is read from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from rtcpeer.jsep.descriptions import Description
from rtcpeer.records import record
from rtcpeer.rtp.parameters import ReceiveParameters, SendEncoding, SendParameters
from rtcpeer.sdp.model import SdpSession
from rtcpeer.values import (
    Candidate,
    Codec,
    Direction,
    DtlsRole,
    Fingerprint,
    HeaderExtension,
    IceParameters,
    IceRole,
    MediaKind,
    SdpType,
    SignalingState,
)


@record(frozen=True, slots=True)
class Created:
    """A description that createOffer/createAnswer made and that has not been set yet.

    Attributes:
        text: [[LastCreatedOffer]] / [[LastCreatedAnswer]].
        transceivers: per section, the id of the transceiver it was made for (None: data, foreign, or dead).
        basis: what it was made from; when the present basis is another, it "no longer accurately represents
        the system".
    """

    type: SdpType
    text: str = field(repr=False)
    session: SdpSession = field(repr=False)
    transceivers: tuple[int | None, ...]
    basis: tuple[object, ...] = field(repr=False)


@record(frozen=True, slots=True)
class Transceiver:
    """Record of an RTCRtpTransceiver with its sender's and receiver's slots (webrtc-pc 5.2 to 5.4); `id` never changes.

    Attributes:
        mid: [[Mid]]; jsep_mid: [[JsepMid]].
        mline_index: the m-section it was offered in or associated with; None before.
        direction: [[Direction]] (the preferred one); while stopping the face shows "stopped".
        current_direction: [[CurrentDirection]]; None before negotiation and after stopping.
        fired_direction, stopping, stopped: the slots of these names. [[Receptive]] is ``receive_parameters.active``.
        preferred_codecs: [[PreferredCodecs]].
        extensions_to_negotiate: [[HeaderExtensionsToNegotiate]] (webrtc-extensions) once the program has set it; None:
            those of the capabilities.
        negotiated_extensions: [[NegotiatedHeaderExtensions]]; None before an answer.
        has_track: whether the sender has a track now; track_id: id of its (last) track, for msid.
        used_add_track: a track was attached by addTrack (such a transceiver survives rollback).
        made_by_add_track: addTrack made it, or kept it alive; only such a one is found for a remote section.
        has_sent: [[CurrentDirection]] was once sendrecv or sendonly.
        stream_ids: the sender's [[AssociatedMediaStreamIds]]; None is not used, empty = no stream.
        encodings: [[SendEncodings]].
        parameters_revision: rises whenever [[LastReturnedParameters]] is to become null: what getParameters gave
            under another revision cannot be set any more.
        remote_stream_ids: ids of [[AssociatedRemoteMediaStreams]], in order.
        remote_track_id: the id that the remote description gave the track (appdata of msid), if any.
        send_codecs, receive_codecs: [[SendCodecs]], [[ReceiveCodecs]].
        reduced_size_rtcp: both sides take RTCP packets that are not compound (RFC 5506).
        send_parameters, receive_parameters: what was last handed to the media layer (None: never, or taken back).
        transport: id of the transport of sender and receiver; None = null.
        created_by_remote: it was made by a remote description.
    """

    id: int
    kind: MediaKind
    direction: Direction
    mid: str | None = None
    jsep_mid: str | None = None
    mline_index: int | None = None
    current_direction: Direction | None = None
    fired_direction: Direction | None = None
    stopping: bool = False
    stopped: bool = False
    preferred_codecs: tuple[Codec, ...] = ()
    extensions_to_negotiate: tuple[HeaderExtension, ...] | None = None
    negotiated_extensions: tuple[HeaderExtension, ...] | None = None
    has_track: bool = False
    track_id: str | None = None
    used_add_track: bool = False
    made_by_add_track: bool = False
    has_sent: bool = False
    stream_ids: tuple[str, ...] = ()
    encodings: tuple[SendEncoding, ...] = ()
    parameters_revision: int = 0
    remote_stream_ids: tuple[str, ...] = ()
    remote_track_id: str | None = None
    send_codecs: tuple[Codec, ...] = ()
    receive_codecs: tuple[Codec, ...] = ()
    send_header_extensions: tuple[HeaderExtension, ...] = ()
    receive_header_extensions: tuple[HeaderExtension, ...] = ()
    reduced_size_rtcp: bool = False
    send_parameters: SendParameters | None = None
    receive_parameters: ReceiveParameters | None = None
    transport: int | None = None
    created_by_remote: bool = False

    @property
    def announced(self) -> bool:
        """Whether the receiver's track was announced, and not taken back since (by [[FiredDirection]])."""
        return self.fired_direction is not None and self.fired_direction.receives

    @property
    def shown_direction(self) -> Direction:
        """``RTCRtpTransceiver.direction``."""
        return Direction.STOPPED if self.stopping else self.direction

    @property
    def shown_current_direction(self) -> Direction | None:
        """``RTCRtpTransceiver.currentDirection``."""
        return Direction.STOPPED if self.stopped else self.current_direction


@record(frozen=True, slots=True)
class Transport:
    """Record of an ICE + DTLS transport, as descriptions know it; `id` never changes and is never used again.

    Attributes:
        local: credentials of the newest local generation; None before gathering was started.
        remote: the newest remote credentials.
        ice_role: set by the first offer that is applied; conflicts are the agent's business.
        dtls_role: AUTO until an answer has decided.
        fingerprints: of the remote certificate; empty until an answer (or pranswer) was applied.
        candidates: local candidates of the newest generation, as told by `plan_local_candidate`.
        gathered: the newest generation has no more local candidates to come.
    """

    id: int
    local: IceParameters | None = None
    remote: IceParameters | None = None
    ice_role: IceRole = IceRole.UNKNOWN
    dtls_role: DtlsRole = DtlsRole.AUTO
    fingerprints: tuple[Fingerprint, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    gathered: bool = False


@record(frozen=True, slots=True)
class Data:
    """The SCTP association ([[SctpTransport]]); it exists from the first offer with a data section.

    Attributes:
        transport: id of its transport.
        max_message_size: [[MaxMessageSize]] (webrtc-pc 6.1.1.1); None until an answer was applied; 0 = no limit.
        started: an answer has accepted it.
    """

    mid: str
    transport: int
    remote_port: int = 5000
    max_message_size: int | None = None
    started: bool = False


@record(frozen=True)
class SessionState:
    """Everything that negotiation knows.

    Attributes:
        transceivers: the set of transceivers in order of creation (removed ones are gone).
        transports: live ones.
        bindings: (mid, transport id) of every section that has a transport in the newest description.
        credentials_to_replace: [[LocalIceCredentialsToReplace]] as (ufrag, pwd).
        credentials_outdated: of generations that the configuration has left behind: the next offer replaces them, but
            nothing asks for an offer (RFC 8829 4.1.18).
        stable: while not stable, the state as it was when the offer was applied; else None.
        can_trickle: ``canTrickleIceCandidates``.
        data_wanted: a data channel was created, ever.
        data_first: a new data section stands before those of media (webrtc-extensions, alwaysNegotiateDataChannels).
        session_version: of the description that we created last, set, rolled back or neither: `versioned`.
        cname: of all our senders; default_stream: id of the stream of remote tracks whose description has no a=msid.
        payload_types: (payload type, codec key) of all that were ever negotiated; never given to another codec.
        extension_ids: (id, uri) likewise.
    """

    signaling: SignalingState = SignalingState.STABLE
    current_local: Description | None = None
    pending_local: Description | None = None
    current_remote: Description | None = None
    pending_remote: Description | None = None
    last_offer: Created | None = None
    last_answer: Created | None = None
    transceivers: tuple[Transceiver, ...] = ()
    transports: tuple[Transport, ...] = ()
    bindings: tuple[tuple[str, int], ...] = ()
    data: Data | None = None
    data_wanted: bool = False
    data_first: bool = False
    credentials_to_replace: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    credentials_outdated: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    can_trickle: bool | None = None
    stable: SessionState | None = None
    session_id: int = 0
    session_version: int = 0
    versioned: SdpSession | None = field(default=None, repr=False)
    cname: str = ""
    default_stream: str = ""
    next_transceiver: int = 0
    next_transport: int = 0
    next_mid: int = 0
    payload_types: tuple[tuple[int, str], ...] = ()
    extension_ids: tuple[tuple[int, str], ...] = ()

    def with_members(self, members: Mapping[str, Any]) -> SessionState:
        """This state with other values of some members: as `dataclasses.replace`, but each candidate makes one."""
        known = self.__dict__
        if not members.keys() <= known.keys():
            raise TypeError(f"a state has no {', '.join(members.keys() - known.keys())}")
        state = object.__new__(SessionState)
        state.__dict__.update(known | dict(members))
        return state

    @property
    def local_description(self) -> Description | None:
        """``localDescription``: the pending one, else the current one."""
        return self.pending_local or self.current_local

    @property
    def remote_description(self) -> Description | None:
        """``remoteDescription``."""
        return self.pending_remote or self.current_remote

    def transceiver(self, id: int) -> Transceiver | None:
        """The record with this id, or None when it was removed."""
        return next((t for t in self.transceivers if t.id == id), None)

    def transport(self, id: int) -> Transport | None:
        """The transport with this id, or None when it is gone."""
        return next((t for t in self.transports if t.id == id), None)

    def transport_of(self, mid: str) -> int | None:
        """The id of the transport that the section with this mid uses."""
        return next((t for m, t in self.bindings if m == mid), None)
