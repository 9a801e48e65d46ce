"""Building media sections: what an offer or an answer says about one transceiver or about data (RFC 8829 5.2, 5.3).

Pure: records and capabilities in, `Media` out.  Which sections there are and in which order is decided in
`rtcpeer.jsep.create_offer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtcpeer.jsep import codecs as codec_rules
from rtcpeer.jsep import extensions as extension_rules
from rtcpeer.jsep.codecs import PayloadTypes
from rtcpeer.jsep.descriptions import connection, default_candidate
from rtcpeer.jsep.extensions import ExtensionIdAllocator, intersect
from rtcpeer.jsep.inputs import EngineSettings
from rtcpeer.jsep.state import Transceiver
from rtcpeer.records import record, replace
from rtcpeer.sdp.model import (
    Connection,
    Media,
    Msid,
    Rid,
    Setup,
    Simulcast,
    SimulcastStream,
    Ssrc,
    SsrcGroup,
)
from rtcpeer.values import Candidate, Codec, Direction, Fingerprint, HeaderExtension, IceParameters

RTP_PROTOCOL = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL = "UDP/DTLS/SCTP"
RTP_PROTOCOLS = frozenset(
    (
        "UDP/TLS/RTP/SAVPF",
        "UDP/TLS/RTP/SAVP",
        "TCP/TLS/RTP/SAVPF",
        "TCP/DTLS/RTP/SAVPF",
        "TCP/DTLS/RTP/SAVP",
        "RTP/SAVPF",
        "RTP/SAVP",
        "RTP/AVPF",
        "RTP/AVP",
    )
)
"""RFC 8829 5.1.2: what is accepted; what is sent is the first one, or in answers what was offered."""
DATA_PROTOCOLS = frozenset(("UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"))


@record(frozen=True, slots=True)
class TransportPart:
    """The transport attributes of a section.

    Attributes:
        candidates, gathered: of the transport, in the one section that speaks for it.
    """

    ice: IceParameters
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup
    candidates: tuple[Candidate, ...] = ()
    gathered: bool = False
    bundle_only: bool = False


def with_transport(media: Media, part: TransportPart) -> Media:
    """The section with its transport attributes and its default candidate."""
    default = default_candidate(part.candidates)
    return replace(
        media,
        port=0 if part.bundle_only else default[1] if default else 9,
        connection=connection(default),
        bundle_only=part.bundle_only,
        ice=part.ice,
        fingerprints=part.fingerprints,
        setup=part.setup,
        candidates=part.candidates,
        end_of_candidates=part.gathered,
    )


def offered_rtp(
    record: Transceiver,
    mid: str,
    previous: Media | None,
    agreed: Media | None,
    settings: EngineSettings,
    numbers: PayloadTypes,
    ids: ExtensionIdAllocator,
    cname: str,
) -> Media:
    """The RTP section of an offer, without transport.

    Args:
        previous: what this section said in the last description of ours, if the transceiver had it then.
        agreed: what it said in the most recent answer, of either side.
    """
    abilities = settings.capabilities(record.kind)
    wanted = codec_rules.preferred(
        record.preferred_codecs, abilities.send, abilities.receive, record.direction
    )
    if agreed is not None and not record.preferred_codecs:
        wanted = codec_rules.in_order_of(agreed.codecs, wanted)
    codecs = codec_rules.numbered(wanted, numbers, codec_rules.keys_of(previous.codecs) if previous else {})
    section = previous.header_extensions if previous else ()
    media = Media(
        kind=record.kind.value,
        protocol=RTP_PROTOCOL,
        formats=tuple([str(c.payload_type) for c in codecs]),
        mid=mid,
        direction=record.direction,
        codecs=codecs,
        header_extensions=ids.numbered(
            extension_rules.to_offer(wanted_extensions(record, settings)), section
        ),
        rtcp_mux=True,
        rtcp_mux_only=previous is None,
        rtcp_reduced_size=agreed is None or agreed.rtcp_reduced_size,
    )
    receiving = record.receive_parameters
    if receiving is not None and receiving.rids and record.direction.receives:
        # webrtc-pc offers to send only; who has answered to receive layers must go on asking for them, since an
        # offer without a=simulcast:recv takes them away (4.4.1.5 "missing all of the previously negotiated layers")
        media = _receiving(media, receiving.rids)
    if not record.direction.sends:
        return _pausing(media, record, cname, settings)
    rids = tuple([e.rid for e in record.encodings if e.rid is not None]) if len(record.encodings) > 1 else ()
    return _sending(media, record, rids, cname, settings)


def wanted_extensions(record: Transceiver, settings: EngineSettings) -> tuple[HeaderExtension, ...]:
    """[[HeaderExtensionsToNegotiate]] of a transceiver (webrtc-extensions)."""
    chosen = record.extensions_to_negotiate
    return settings.capabilities(record.kind).header_extensions if chosen is None else chosen


def _answerable_extensions(record: Transceiver, settings: EngineSettings) -> tuple[HeaderExtension, ...]:
    """The extensions that an answer may have: what the program has chosen, else all that we have.

    Deviation: "and is also present in [[HeaderExtensionsToNegotiate]] with a direction different from stopped". One
    that we never offer by ourselves is answered where the program has not decided: the other side asked for it.
    """
    return tuple(
        [
            replace(e, direction=Direction.SENDRECV)
            if record.extensions_to_negotiate is None and e.direction is Direction.STOPPED
            else e
            for e in wanted_extensions(record, settings)
        ]
    )


def answered_rtp(
    record: Transceiver, offer: Media, mid: str | None, settings: EngineSettings, cname: str
) -> Media | None:
    """The RTP section of an answer, without transport; None when there is no common codec."""
    abilities = settings.capabilities(record.kind)
    codecs = codec_rules.answered(
        offer.codecs, record.preferred_codecs, abilities.send, abilities.receive, record.direction
    )
    if not codecs:
        return None
    direction = intersect(record.direction, offer.direction.reversed)
    media = Media(
        kind=offer.kind,
        protocol=offer.protocol,
        formats=tuple([str(c.payload_type) for c in codecs]),
        mid=mid,
        direction=direction,
        codecs=codecs,
        header_extensions=extension_rules.with_feedback(
            extension_rules.answered(offer.header_extensions, _answerable_extensions(record, settings)),
            codecs,
        ),
        rtcp_mux=True,
        rtcp_reduced_size=offer.rtcp_reduced_size,
    )
    if direction.receives and settings.receive_simulcast and offer.simulcast and offer.simulcast.send:
        declared = {r.id for r in offer.rids if r.direction == "send"}
        rids = tuple(dict.fromkeys(s.rid for s in offer.simulcast.send if s.rid in declared))
        if rids:
            media = _receiving(media, rids)
    if not direction.sends:
        media = _pausing(media, record, cname, settings)
        # RFC 8829 5.3.1 asks for the transceiver's direction; so does the check for negotiation-needed
        return replace(media, msids=_msids(record)) if record.direction.sends else media
    allowed = {s.rid for s in offer.simulcast.recv} if offer.simulcast else set()
    return _sending(
        media,
        record,
        tuple([e.rid for e in record.encodings if e.rid is not None and e.rid in allowed]),
        cname,
        settings,
    )


def _receiving(media: Media, rids: Sequence[str]) -> Media:
    """The section with the layers that it takes."""
    return replace(
        media,
        rids=tuple([Rid(r, "recv") for r in rids]),
        simulcast=Simulcast(recv=tuple([SimulcastStream((r,)) for r in rids])),
    )


def _msids(record: Transceiver) -> tuple[Msid, ...]:
    """One ``a=msid`` per stream of the sender; "-" when its track is in none (RFC 8829 5.2.1)."""
    return tuple([Msid(stream, record.track_id) for stream in record.stream_ids]) or (
        Msid("-", record.track_id),
    )


def _sending(
    media: Media, record: Transceiver, rids: Sequence[str], cname: str, settings: EngineSettings
) -> Media:
    """The section with what a sender announces: streams, layers or sources."""
    msids = _msids(record)
    if rids:
        simulcast = media.simulcast or Simulcast()
        return replace(
            media,
            msids=msids,
            rids=(*[Rid(r, "send") for r in rids], *media.rids),
            simulcast=replace(simulcast, send=tuple([SimulcastStream((r,)) for r in rids])),
        )
    if not settings.declare_ssrcs:
        return replace(media, msids=msids)
    return replace(_with_sources(media, record, cname), msids=msids)


def _pausing(media: Media, record: Transceiver, cname: str, settings: EngineSettings) -> Media:
    """The section of a sender that does not send now.

    Its sources stay announced once it has sent, as browsers do it: libwebrtc takes a stream that vanishes from
    the description and comes back under the same SSRC without connecting it to its track again. The ``a=msid`` says
    that they are one track's: libwebrtc refuses a section with two sources that nothing holds together.
    """
    if not record.has_sent or not settings.declare_ssrcs or any(e.rid is not None for e in record.encodings):
        return media
    return replace(_with_sources(media, record, cname), msids=_msids(record))


def _with_sources(media: Media, record: Transceiver, cname: str) -> Media:
    """The section with ``a=ssrc`` lines of the only encoding, and of its retransmissions."""
    encoding = record.encodings[0]
    ssrcs = [Ssrc(encoding.ssrc, (("cname", cname),))]
    groups: tuple[SsrcGroup, ...] = ()
    if encoding.rtx_ssrc and any(codec_rules.is_rtx(c) for c in media.codecs):
        ssrcs.append(Ssrc(encoding.rtx_ssrc, (("cname", cname),)))
        groups = (SsrcGroup("FID", (encoding.ssrc, encoding.rtx_ssrc)),)
    return replace(media, ssrcs=tuple(ssrcs), ssrc_groups=groups)


def data_section(mid: str | None, settings: EngineSettings, offer: Media | None = None) -> Media:
    """The data section of an offer, or of an answer to ``offer``."""
    if offer is None:
        return Media(
            kind="application",
            protocol=DATA_PROTOCOL,
            formats=("webrtc-datachannel",),
            mid=mid,
            has_direction=False,
            sctp_port=settings.sctp_port,
            max_message_size=settings.max_message_size,
        )
    old = offer.protocol.upper() == "DTLS/SCTP"  # the syntax before RFC 8841: port in m=, sctpmap
    return Media(
        kind="application",
        protocol=offer.protocol,
        formats=(str(settings.sctp_port),) if old else ("webrtc-datachannel",),
        mid=mid,
        has_direction=False,
        sctp_port=None if old else settings.sctp_port,
        max_message_size=settings.max_message_size,
        attributes=(("sctpmap", f"{settings.sctp_port} webrtc-datachannel 65535"),) if old else (),
    )


def rejected(offer: Media, mid: str | None) -> Media:
    """A section with port zero in the place of this one (RFC 8829 5.2.2, 5.3.1)."""
    codecs: tuple[Codec, ...] = offer.codecs[:1] if offer.is_rtp else ()
    formats = tuple([str(c.payload_type) for c in codecs]) or offer.formats or ("0",)
    return Media(
        kind=offer.kind,
        port=0,
        protocol=offer.protocol,
        formats=formats,
        connection=Connection(),
        mid=mid,
        direction=Direction.INACTIVE,
        has_direction=offer.is_rtp,
        codecs=tuple([replace(c, feedback=(), fmtp=()) for c in codecs]),
    )


def is_supported(media: Media) -> bool:
    """Whether we can take part in such a section at all."""
    protocol = media.protocol.upper()
    if media.is_rtp:
        return protocol in RTP_PROTOCOLS
    return media.is_data and protocol in DATA_PROTOCOLS
