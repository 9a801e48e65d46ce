"""Builders: a session and its sections while they are read, and how they freeze into the model.

Owns what a text leaves open: what sections inherit (RFC 8829 5.8), and codecs put together from their lines.
"""

from __future__ import annotations

from rtcpeer.sdp.model import Connection, Group, Media, Msid, Origin, Rid, Setup, Simulcast, Ssrc, SsrcGroup
from rtcpeer.values import Candidate, Codec, Direction, Feedback, Fingerprint, HeaderExtension, IceParameters

_STATIC = {  # RFC 3551 section 6: payload types that need no rtpmap
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    13: ("CN", 8000, 1),
    18: ("G729", 8000, 1),
    26: ("JPEG", 90000, None),
    31: ("H261", 90000, None),
    34: ("H263", 90000, None),
}


class BadValue(Exception):
    """The value does not follow its grammar."""


LIMITS = {
    "fingerprint": (16, 1024),
    "extmap": (255, 8192),
    "msid": (64, 1024),
    "rid": (64, 2048),
    "rtcp-fb": (1024, 16_384),
    "rtcp-fb for all formats": (64, 2048),
    "ssrc": (2048, 8192),
    "ssrc-group": (512, 4096),
    "group": (64, 64),
    "format": (512, 16_384),
    "format parameter": (1024, 16_384),
    "grouped source": (2048, 8192),
    "layer": (64, 2048),
    "ICE option": (64, 2048),
    "grouped mid": (1024, 1024),
}
"""How often each of these may stand in one section or at session level, and how often in a whole description.

Far above what any endpoint writes; what is handed down, or looked at for every section, codec or source, would
multiply without a bound (a few hundred kB of text took minutes of work).
"""


class Reader:
    """Base of the readers of session level and sections: a bound for what costs work.

    Args:
        total: what was read of the whole description so far.
    """

    def __init__(self, total: dict[str, int]) -> None:
        self.total = total
        self._spent: dict[str, int] = {}

    def spend(self, what: str, count: int = 1) -> None:
        """Count what was read.

        Raises:
            BadValue: it is more than there may be.
        """
        limits = LIMITS.get(what)
        if limits is None:
            return
        here = self._spent[what] = self._spent.get(what, 0) + count
        total = self.total[what] = self.total.get(what, 0) + count
        if here > limits[0]:
            raise BadValue(f"more than {limits[0]} of {what!r} in one place")
        if total > limits[1]:
            raise BadValue(f"more than {limits[1]} of {what!r} in one description")


class SessionReader(Reader):
    """The session level under construction."""

    def __init__(self) -> None:
        super().__init__({})
        self.seen: set[str] = set()
        self.origin: Origin | None = None
        self.name = "-"
        self.information: str | None = None
        self.uri: str | None = None
        self.emails: list[str] = []
        self.phones: list[str] = []
        self.connection: Connection | None = None
        self.bandwidth: list[tuple[str, int]] = []
        self.timing: list[str] = []
        self.groups: list[Group] = []
        self.ice_lite = False
        self.ice_options: tuple[str, ...] = ()
        self.ufrag: str | None = None
        self.pwd: str | None = None
        self.fingerprints: list[Fingerprint] = []
        self.setup: Setup | None = None
        self.direction: Direction | None = None
        self.header_extensions: list[HeaderExtension] = []
        self.extmap_allow_mixed = False
        self.msid_semantic: str | None = None
        self.end_of_candidates = False
        self.attributes: list[tuple[str, str | None]] = []


class Inherited:
    """Values that sections inherit, made once: all of them share it."""

    def __init__(self, session: SessionReader) -> None:
        self.fingerprints = tuple(session.fingerprints)
        self.header_extensions = tuple(session.header_extensions)


class SectionReader(Reader):
    """A media section under construction."""

    def __init__(
        self,
        kind: str,
        port: int,
        port_count: int | None,
        protocol: str,
        formats: tuple[str, ...],
        line: int,
        total: dict[str, int],
    ) -> None:
        super().__init__(total)
        self.spend("format", len(formats))
        self.kind, self.port, self.port_count, self.protocol, self.formats, self.line = (
            kind,
            port,
            port_count,
            protocol,
            formats,
            line,
        )
        self.is_rtp = "RTP/" in protocol.upper()
        self.title: str | None = None
        self.connection: Connection | None = None
        self.bandwidth: list[tuple[str, int]] = []
        self.mid: str | None = None
        self.direction: Direction | None = None
        self.msids: list[Msid] = []
        self.ufrag: str | None = None
        self.pwd: str | None = None
        self.ice_options: tuple[str, ...] = ()
        self.candidates: list[Candidate] = []
        self.end_of_candidates = False
        self.fingerprints: list[Fingerprint] = []
        self.setup: Setup | None = None
        self.bundle_only = False
        self.rtcp: str | None = None
        self.rtcp_mux = False
        self.rtcp_mux_only = False
        self.rtcp_reduced_size = False
        self.rtpmaps: dict[int, tuple[str, int, int | None]] = {}
        self.fmtps: dict[int, list[tuple[str, str | None]]] = {}
        self.feedbacks: dict[int | None, list[Feedback]] = {}
        self.packet_time: int | None = None
        self.max_packet_time: int | None = None
        self.header_extensions: list[HeaderExtension] = []
        self.extmap_allow_mixed = False
        self.rids: list[Rid] = []
        self.simulcast: Simulcast | None = None
        self.ssrcs: dict[int, list[tuple[str, str | None]]] = {}
        self.ssrc_groups: list[SsrcGroup] = []
        self.sctp_port: int | None = None
        self.max_message_size: int | None = None
        self.attributes: list[tuple[str, str | None]] = []

    def build(self, session: SessionReader, frozen: Inherited) -> Media:
        """Freeze, with what is inherited from the session level (RFC 8829 5.8)."""
        rtp = self.is_rtp
        # each by itself: one may stand in the section and the other one at session level
        ufrag = session.ufrag if self.ufrag is None else self.ufrag
        pwd = session.pwd if self.pwd is None else self.pwd
        direction = self.direction or session.direction
        return Media(
            kind=self.kind,
            port=self.port,
            protocol=self.protocol,
            formats=self.formats,
            port_count=self.port_count,
            title=self.title,
            connection=self.connection,
            bandwidth=tuple(self.bandwidth),
            mid=self.mid,
            direction=direction or Direction.SENDRECV,
            has_direction=direction is not None,
            msids=tuple(self.msids),
            ice=None
            if ufrag is None and pwd is None
            else IceParameters(ufrag or "", pwd or "", session.ice_lite),
            ice_options=self.ice_options or session.ice_options,
            candidates=tuple(self.candidates),
            end_of_candidates=self.end_of_candidates or session.end_of_candidates,
            fingerprints=tuple(self.fingerprints) or frozen.fingerprints,
            setup=self.setup or session.setup,
            bundle_only=self.bundle_only,
            rtcp=self.rtcp,
            rtcp_mux=self.rtcp_mux,
            rtcp_mux_only=self.rtcp_mux_only,
            rtcp_reduced_size=self.rtcp_reduced_size,
            codecs=self._codecs() if rtp else (),
            packet_time=self.packet_time,
            max_packet_time=self.max_packet_time,
            header_extensions=tuple(self.header_extensions) or (frozen.header_extensions if rtp else ()),
            extmap_allow_mixed=rtp and (self.extmap_allow_mixed or session.extmap_allow_mixed),
            rids=tuple(self.rids),
            simulcast=self.simulcast,
            ssrcs=tuple([Ssrc(n, tuple(a)) for n, a in self.ssrcs.items()]),
            ssrc_groups=tuple(self.ssrc_groups),
            sctp_port=self.sctp_port,
            max_message_size=self.max_message_size,
            attributes=tuple(self.attributes),
            line=self.line,
        )

    def _codecs(self) -> tuple[Codec, ...]:
        """The codecs of the formats in ``m=``, in that order; formats without a mapping are left out."""
        everybody = self.feedbacks.get(None, [])
        codecs: list[Codec] = []
        seen: set[int] = set()
        for word in self.formats:
            if not (word.isascii() and word.isdigit() and len(word) <= 3):
                raise BadValue(f"payload type {word!r} is not a number")
            number = int(word)
            entry = self.rtpmaps.get(number) or _STATIC.get(number)
            if number > 127:
                raise BadValue(f"payload type {number} is out of range")
            if entry is None or number in seen:
                continue
            seen.add(number)
            name, rate, channels = entry
            if self.kind == "audio" and channels is None:
                channels = 1
            codecs.append(
                Codec(
                    f"{self.kind}/{name}",
                    rate,
                    channels if self.kind == "audio" else None,
                    tuple(self.fmtps.get(number, ())),
                    (*everybody, *self.feedbacks.get(number, ())),
                    number,
                )
            )
        return tuple(codecs)
