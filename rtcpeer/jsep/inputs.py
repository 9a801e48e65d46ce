"""Inputs of the engine: settings of an endpoint, chance, options of an offer, the context of a plan. Frozen values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcpeer.jsep.state import SessionState
from rtcpeer.records import record
from rtcpeer.rtp.parameters import Capabilities, SendEncoding
from rtcpeer.sdp.model import SdpSession
from rtcpeer.values import BundlePolicy, Direction, Fingerprint, IceParameters, MediaKind


def _nothing(_kind: str) -> Capabilities:
    return Capabilities()


@record(frozen=True, slots=True)
class EngineSettings:
    """Everything about an endpoint that negotiation must know and that never changes afterwards.

    Attributes:
        capabilities: of one kind ("audio" or "video"), always the same; asked for when the kind is used first.
        bundle_policy: webrtc-pc 4.2.5.
        max_send_encodings: how many simulcast layers a video sender may have ("maxN" of webrtc-pc 5.1).
        receive_simulcast: whether an offered ``a=simulcast:send`` is accepted as several layers.
        max_message_size: what ``a=max-message-size`` says; 0 = no limit (RFC 8841 section 6).
        sctp_port: what ``a=sctp-port`` says.
        declare_ssrcs: write ``a=ssrc`` lines for senders without rids, as browsers do.
    """

    capabilities: Callable[[str], Capabilities] = _nothing
    bundle_policy: BundlePolicy = BundlePolicy.BALANCED
    max_send_encodings: int = 3
    receive_simulcast: bool = True
    max_message_size: int = 262144
    sctp_port: int = 5000
    declare_ssrcs: bool = True


@record(frozen=True, slots=True)
class OfferOptions:
    """RTCOfferOptions with its legacy part (webrtc-pc 4.4.3.2)."""

    ice_restart: bool = False
    offer_to_receive_audio: bool | None = None
    offer_to_receive_video: bool | None = None


@record(frozen=True, slots=True)
class TransceiverInit:
    """The arguments of `addTransceiver` and `addTrack` for a new transceiver, already converted by the face.

    Attributes:
        track_id: id of the sender's track, or None when there is no track.
        encodings: already checked by `rtcpeer.jsep.encodings.check_new`; empty = the default single encoding.
        pairs_with_remote: a section of a remote offer may find it, as if addTrack had made it (aiortc's convention).
    """

    kind: MediaKind
    direction: Direction = Direction.SENDRECV
    stream_ids: tuple[str, ...] = ()
    track_id: str | None = None
    encodings: tuple[SendEncoding, ...] = ()
    pairs_with_remote: bool = False


class Entropy(Protocol):
    """Source of chance; the peer implements it with `secrets`, tests with a counter."""

    def session_id(self) -> int:
        """A number for ``o=``: 62 random bits (RFC 8829 5.2.1)."""

    def ice_parameters(self) -> IceParameters:
        """Fresh credentials."""

    def ssrc(self) -> int:
        """A random SSRC, not 0."""

    def identifier(self) -> str:
        """A random id for a track, a stream or a CNAME (no blanks; at most 64 characters)."""


@record(frozen=True, slots=True)
class PlanContext:
    """The engine at the beginning of one plan, as the functions that make and set descriptions see it.

    Attributes:
        settings: capabilities and policies.
        entropy: the source of chance.
        state: the state that the plan begins from.
        fingerprints: of the local certificates.
        write: model -> text.
    """

    settings: EngineSettings
    entropy: Entropy
    state: SessionState
    fingerprints: tuple[Fingerprint, ...]
    write: Callable[[SdpSession], str]
