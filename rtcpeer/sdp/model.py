"""A session description as frozen data: what `rtcpeer.sdp.text` reads and writes and `rtcpeer.jsep` thinks in.

Owns the shape of the data only.  No text is parsed or written here and no decision is taken.

Session-level attributes that RFC 8829 5.8 lets sections inherit (ice-ufrag/ice-pwd, ice-options, fingerprint, setup,
direction, extmap, extmap-allow-mixed) are handed down to the sections when a text is read, so a section is complete
by itself.  Attributes that have no field survive, in order, in ``attributes``.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from rtcpeer.records import record
from rtcpeer.values import Candidate, Codec, Direction, Fingerprint, HeaderExtension, IceParameters

Attributes = tuple[tuple[str, str | None], ...]


class Setup(StrEnum):
    """``a=setup`` (RFC 4145 section 4, RFC 8842 section 5.2)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


@record(frozen=True, slots=True)
class Origin:
    """The ``o=`` line (RFC 8866 section 5.2)."""

    session_id: int
    version: int
    username: str = "-"
    net_type: str = "IN"
    address_type: str = "IP4"
    address: str = "127.0.0.1"


@record(frozen=True, slots=True)
class Connection:
    """A ``c=`` line (RFC 8866 section 5.7)."""

    address: str = "0.0.0.0"
    address_type: str = "IP4"
    net_type: str = "IN"


@record(frozen=True, slots=True)
class Group:
    """``a=group`` (RFC 5888); with semantics "BUNDLE" RFC 9143."""

    semantics: str
    mids: tuple[str, ...]


@record(frozen=True, slots=True)
class Msid:
    """One ``a=msid`` (RFC 8830); ``stream`` is "-" when the track is in no stream."""

    stream: str
    track: str | None = None


@record(frozen=True, slots=True)
class Rid:
    """One ``a=rid`` (RFC 8851); ``restrictions`` is the rest of the line, not interpreted."""

    id: str
    direction: str
    restrictions: str = ""


@record(frozen=True, slots=True)
class SimulcastStream:
    """A stream of ``a=simulcast``: alternatives in order of preference; a leading ``~`` means paused."""

    alternatives: tuple[str, ...]

    @property
    def rid(self) -> str:
        """The first alternative, without the pause mark (webrtc-pc takes no other)."""
        return self.alternatives[0].removeprefix("~")

    @property
    def paused(self) -> bool:
        """Whether the first alternative starts paused."""
        return self.alternatives[0].startswith("~")


@record(frozen=True, slots=True)
class Simulcast:
    """``a=simulcast`` (RFC 8853), seen from the one who wrote it."""

    send: tuple[SimulcastStream, ...] = ()
    recv: tuple[SimulcastStream, ...] = ()


@record(frozen=True, slots=True)
class Ssrc:
    """All ``a=ssrc`` lines of one source (RFC 5576)."""

    ssrc: int
    attributes: Attributes = ()

    def get(self, name: str) -> str | None:
        """The value of one source attribute, e.g. "cname"."""
        return next((v for k, v in self.attributes if k == name or k.lower() == name), None)


@record(frozen=True, slots=True)
class SsrcGroup:
    """``a=ssrc-group`` (RFC 5576): "FID" pairs media with retransmission, "SIM" lists layers."""

    semantics: str
    ssrcs: tuple[int, ...]


@record(frozen=True, slots=True)
class Media:
    """A media section.

    Attributes:
        kind: the first word of ``m=``: "audio", "video", "application" or anything else.
        port: 0 together with ``bundle_only`` False means rejected.
        formats: the last words of ``m=`` as they stand there, also for RTP sections.
        codecs: RTP sections only, in the order of ``formats``.
        direction: from the section, else from the session, else sendrecv.
        has_direction: whether anything said it; only the writer cares.
        ice: credentials; ``lite`` is the session's.
        mid_implied: the text had no mid; the engine gave it one and will not write it (RFC 8829 5.10).
        rtcp: the raw value of ``a=rtcp``.
        line: line number of ``m=`` in the text it was read from, 0 when it was not read.
    """

    kind: str
    port: int = 9
    protocol: str = "UDP/TLS/RTP/SAVPF"
    formats: tuple[str, ...] = ()
    port_count: int | None = None
    title: str | None = None
    connection: Connection | None = None
    bandwidth: tuple[tuple[str, int], ...] = ()
    mid: str | None = None
    direction: Direction = Direction.SENDRECV
    has_direction: bool = True
    msids: tuple[Msid, ...] = ()
    ice: IceParameters | None = None
    ice_options: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    bundle_only: bool = False
    rtcp: str | None = None
    rtcp_mux: bool = False
    rtcp_mux_only: bool = False
    rtcp_reduced_size: bool = False
    codecs: tuple[Codec, ...] = ()
    packet_time: int | None = None
    max_packet_time: int | None = None
    header_extensions: tuple[HeaderExtension, ...] = ()
    extmap_allow_mixed: bool = False
    rids: tuple[Rid, ...] = ()
    simulcast: Simulcast | None = None
    ssrcs: tuple[Ssrc, ...] = ()
    ssrc_groups: tuple[SsrcGroup, ...] = ()
    sctp_port: int | None = None
    max_message_size: int | None = None
    attributes: Attributes = ()
    mid_implied: bool = field(default=False, compare=False, repr=False)
    line: int = field(default=0, compare=False, repr=False)

    @property
    def rejected(self) -> bool:
        """Port zero, and not merely waiting for its bundle (RFC 8829 5.3.1, RFC 9143 6)."""
        return self.port == 0 and not self.bundle_only

    @property
    def is_rtp(self) -> bool:
        """Whether this is an RTP section of a kind that a transceiver can have."""
        return self.kind in ("audio", "video")

    @property
    def is_data(self) -> bool:
        """Whether this is an SCTP section (RFC 8841); other ``m=application`` sections are not."""
        return self.kind == "application" and "SCTP" in self.protocol.upper()


@record(frozen=True, slots=True)
class SdpSession:
    """A whole description."""

    origin: Origin
    media: tuple[Media, ...] = ()
    name: str = "-"
    information: str | None = None
    uri: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    connection: Connection | None = None
    bandwidth: tuple[tuple[str, int], ...] = ()
    timing: tuple[str, ...] = ("t=0 0",)
    groups: tuple[Group, ...] = ()
    ice_lite: bool = False
    ice_options: tuple[str, ...] = ()
    extmap_allow_mixed: bool = False
    msid_semantic: str | None = None
    attributes: Attributes = ()
    # made once, since every section asks: mid -> index of its section, mid -> its BUNDLE group,
    # id of a group -> the section that speaks for it
    _places: dict[str, int] = field(init=False, repr=False, compare=False)
    _bundles: dict[str, Group] = field(init=False, repr=False, compare=False)
    _speakers: dict[int, Media] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places: dict[str, int] = {}
        bundles: dict[str, Group] = {}
        speakers: dict[int, Media] = {}
        for index, media in enumerate(self.media):
            if media.mid is not None:
                places.setdefault(media.mid, index)
        for group in self.groups:
            if group.semantics == "BUNDLE":
                members = [self.media[places[mid]] for mid in group.mids if mid in places]
                speaker = next((media for media in members if media.ice is not None), None)
                if speaker is not None:
                    speakers[id(group)] = speaker
                for mid in group.mids:
                    bundles.setdefault(mid, group)
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "_bundles", bundles)
        object.__setattr__(self, "_speakers", speakers)

    def speaker_of(self, group: Group) -> Media | None:
        """The first section of a BUNDLE group that has transport attributes."""
        return self._speakers.get(id(group))

    def find(self, mid: str) -> int | None:
        """The index of the section with this mid."""
        return self._places.get(mid)

    def bundle_of(self, mid: str | None) -> Group | None:
        """The BUNDLE group that holds this mid."""
        return None if mid is None else self._bundles.get(mid)

    @property
    def data_index(self) -> int | None:
        """The index of the first SCTP section."""
        return next((i for i, m in enumerate(self.media) if m.is_data), None)
