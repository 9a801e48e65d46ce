"""Model -> text: the lines of a description in the order that browsers and RFC 8829 use.

Pure; never fails for a model that `rtcpeer.sdp.text` or the engine made.
"""

from __future__ import annotations

from rtcpeer.sdp.candidate import candidate_to_text
from rtcpeer.sdp.model import Media, SdpSession, SimulcastStream
from rtcpeer.values import Codec, Direction


def write(session: SdpSession) -> str:
    """The text of a description, every line ended by CRLF."""
    o = session.origin
    lines = [
        "v=0",
        f"o={o.username} {o.session_id} {o.version} {o.net_type} {o.address_type} {o.address}",
        f"s={session.name}",
    ]
    if session.information is not None:
        lines.append(f"i={session.information}")
    if session.uri is not None:
        lines.append(f"u={session.uri}")
    lines += [f"e={value}" for value in session.emails]
    lines += [f"p={value}" for value in session.phones]
    if session.connection is not None:
        c = session.connection
        lines.append(f"c={c.net_type} {c.address_type} {c.address}")
    lines += [f"b={kind}:{value}" for kind, value in session.bandwidth]
    lines += session.timing
    for group in session.groups:
        lines.append(" ".join([f"a=group:{group.semantics}", *group.mids]))
    if session.ice_lite:
        lines.append("a=ice-lite")
    if session.ice_options:
        lines.append("a=ice-options:" + " ".join(session.ice_options))
    if session.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    if session.msid_semantic is not None:
        lines.append(f"a=msid-semantic: {session.msid_semantic}")
    _attributes(lines, session.attributes)
    for media in session.media:
        _section(lines, media, session)
    lines.append("")
    return "\r\n".join(lines)


def format_fmtp(parameters: tuple[tuple[str, str | None], ...]) -> str:
    """``sdpFmtpLine``: the parameters joined as in ``a=fmtp``."""
    return ";".join([name if value is None else f"{name}={value}" for name, value in parameters])


def _attributes(lines: list[str], attributes: tuple[tuple[str, str | None], ...]) -> None:
    for name, value in attributes:
        lines.append(f"a={name}" if value is None else f"a={name}:{value}")


def _section(lines: list[str], m: Media, session: SdpSession) -> None:
    port = f"{m.port}/{m.port_count}" if m.port_count is not None else str(m.port)
    lines.append(" ".join([f"m={m.kind} {port} {m.protocol}", *m.formats]))
    if m.title is not None:
        lines.append(f"i={m.title}")
    if m.connection is not None:
        c = m.connection
        lines.append(f"c={c.net_type} {c.address_type} {c.address}")
    lines += [f"b={kind}:{value}" for kind, value in m.bandwidth]
    _transport(lines, m, session)
    if m.mid is not None:
        lines.append(f"a=mid:{m.mid}")
    if m.bundle_only:
        lines.append("a=bundle-only")
    for e in m.header_extensions:
        direction = "" if e.direction is Direction.SENDRECV else f"/{e.direction.value}"
        lines.append(f"a=extmap:{e.id}{direction} {e.uri}")
    if m.extmap_allow_mixed and not session.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    if m.has_direction:
        lines.append(f"a={m.direction.value}")
    lines += [f"a=msid:{i.stream}" if i.track is None else f"a=msid:{i.stream} {i.track}" for i in m.msids]
    _payloads(lines, m)
    _streams(lines, m)
    if m.sctp_port is not None:
        lines.append(f"a=sctp-port:{m.sctp_port}")
    if m.max_message_size is not None:
        lines.append(f"a=max-message-size:{m.max_message_size}")
    _attributes(lines, m.attributes)


def _transport(lines: list[str], m: Media, session: SdpSession) -> None:
    """The ICE and DTLS attributes of a section."""
    if m.rtcp is not None:
        lines.append(f"a=rtcp:{m.rtcp}")
    lines += ["a=" + candidate_to_text(candidate) for candidate in m.candidates]
    if m.end_of_candidates:
        lines.append("a=end-of-candidates")
    if m.ice is not None:
        if m.ice.ufrag:
            lines.append(f"a=ice-ufrag:{m.ice.ufrag}")
        if m.ice.pwd:
            lines.append(f"a=ice-pwd:{m.ice.pwd}")
    if m.ice_options and m.ice_options != session.ice_options:
        lines.append("a=ice-options:" + " ".join(m.ice_options))
    lines += [f"a=fingerprint:{f.algorithm} {f.value}" for f in m.fingerprints]
    if m.setup is not None:
        lines.append(f"a=setup:{m.setup.value}")


def _payloads(lines: list[str], m: Media) -> None:
    """The RTCP options and codecs of a section."""
    if m.rtcp_mux:
        lines.append("a=rtcp-mux")
    if m.rtcp_mux_only:
        lines.append("a=rtcp-mux-only")
    if m.rtcp_reduced_size:
        lines.append("a=rtcp-rsize")
    for codec in m.codecs:
        _codec(lines, codec)
    if m.packet_time is not None:
        lines.append(f"a=ptime:{m.packet_time}")
    if m.max_packet_time is not None:
        lines.append(f"a=maxptime:{m.max_packet_time}")


def _streams(lines: list[str], m: Media) -> None:
    """The RTP streams of a section: layers and sources."""
    lines += [f"a=rid:{r.id} {r.direction} {r.restrictions}".rstrip() for r in m.rids]
    if m.simulcast is not None:
        parts = [
            f"{name} {_alternatives(streams)}"
            for name, streams in (("send", m.simulcast.send), ("recv", m.simulcast.recv))
            if streams
        ]
        lines.append("a=simulcast:" + " ".join(parts))
    lines += [" ".join([f"a=ssrc-group:{g.semantics}", *map(str, g.ssrcs)]) for g in m.ssrc_groups]
    for source in m.ssrcs:
        for name, value in source.attributes:
            lines.append(
                f"a=ssrc:{source.ssrc} {name}" if value is None else f"a=ssrc:{source.ssrc} {name}:{value}"
            )


def _alternatives(streams: tuple[SimulcastStream, ...]) -> str:
    return ";".join([",".join(stream.alternatives) for stream in streams])


def _codec(lines: list[str], codec: Codec) -> None:
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels not in (None, 1) else ""
    lines.append(f"a=rtpmap:{number} {codec.name}/{codec.clock_rate}{channels}")
    lines += [f"a=rtcp-fb:{number} {f.type} {f.parameter}".rstrip() for f in codec.feedback]
    if codec.fmtp:
        lines.append(f"a=fmtp:{number} {format_fmtp(codec.fmtp)}")
