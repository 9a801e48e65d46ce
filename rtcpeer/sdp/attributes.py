"""One reader per attribute: what stands behind ``a=name:`` goes into a section or session under construction.

Owns the grammar of attribute values.  A reader raises `BadValue` and `rtcpeer.sdp.text` adds the line number.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.sdp.building import BadValue, SectionReader, SessionReader
from rtcpeer.sdp.candidate import parse_candidate_untrusted
from rtcpeer.sdp.model import (
    Group,
    Msid,
    Rid,
    Setup,
    Simulcast,
    SimulcastStream,
    SsrcGroup,
)
from rtcpeer.values import Direction, Feedback, Fingerprint, HeaderExtension

MAX_CANDIDATES = 500
"""Candidates read from one section; further ones are ignored."""

_NAMES = (
    *("opus", "PCMU", "PCMA", "G722", "G729", "GSM", "CN", "telephone-event", "red", "ulpfec", "rtx"),
    *("flexfec-03", "VP8", "VP9", "H264", "H265", "AV1", "L16", "ISAC", "iLBC", "multiopus", "speex"),
)
_CANONICAL = {name.lower(): name for name in _NAMES}
"""Encoding names in the case of the registry; peers write them in any."""
_DIRECTIONS = {d.value: d for d in Direction if d is not Direction.STOPPED}
_SETUPS = {s.value: s for s in Setup}
_RTPMAP = re.compile(r"([0-9]{1,3}) +([!-.0-~]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?")
_FMTP = re.compile(r"([0-9]{1,3}) +(.+)")
_FEEDBACK = re.compile(r"([0-9]{1,3}|\*) +([!-~]+)(?: +(.+))?")
_EXTMAP = re.compile(r"([0-9]{1,5})(?:/([a-z]+))? +(\S+)(?: +.*)?")
_SSRC = re.compile(r"([0-9]{1,10}) +([^: ]+)(?::(.*))?")
_FINGERPRINT = re.compile(r"([!-~]+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*)")
_RID = re.compile(r"([A-Za-z0-9_-]{1,255}) +(send|recv)(?: +(.+))?")
_TOKEN = re.compile(r"[!#-'*+.0-9A-Z^-~-]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


def _number(value: str) -> int:
    if _NUMBER.fullmatch(value) is None:
        raise BadValue(f"expected a number, not {value[:40]!r}")
    return int(value)


def _rtpmap(section: SectionReader, value: str) -> None:
    match = _RTPMAP.fullmatch(value)
    if match is None:
        if "RTP/" not in section.protocol:  # an old data section writes no RTP payload types
            return
        raise BadValue("malformed a=rtpmap")
    name = match[2]
    section.rtpmaps.setdefault(
        int(match[1]),
        (_CANONICAL.get(name.lower(), name), int(match[3]), int(match[4]) if match[4] else None),
    )


def parse_fmtp(text: str) -> tuple[tuple[str, str | None], ...]:
    """The parameters of ``a=fmtp`` or ``sdpFmtpLine`` as (name, value) pairs."""
    pairs: list[tuple[str, str | None]] = []
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if name:
            pairs.append((name, value if equals else None))
    return tuple(pairs)


def _fmtp(section: SectionReader, value: str) -> None:
    match = _FMTP.fullmatch(value)
    if match is None:
        if value.partition(" ")[0] in section.formats and "RTP/" in section.protocol and " " not in value:
            return  # "a=fmtp:96" without parameters is seen in the wild
        raise BadValue("malformed a=fmtp")
    section.fmtps.setdefault(int(match[1]), []).extend(parse_fmtp(match[2]))


def _feedback(section: SectionReader, value: str) -> None:
    match = _FEEDBACK.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=rtcp-fb")
    key = None if match[1] == "*" else int(match[1])
    section.feedbacks.setdefault(key, []).append(Feedback(match[2], match[3] or ""))


def _extension(value: str) -> HeaderExtension:
    match = _EXTMAP.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=extmap")
    direction = Direction.SENDRECV
    if match[2]:
        found = _DIRECTIONS.get(match[2])
        if found is None:
            raise BadValue(f"unknown direction {match[2]!r} in a=extmap")
        direction = found
    return HeaderExtension(match[3], int(match[1]), direction)


def _extmap(section: SectionReader, value: str) -> None:
    section.header_extensions.append(_extension(value))


def _ssrc(section: SectionReader, value: str) -> None:
    match = _SSRC.fullmatch(value)
    if match is None or int(match[1]) > 0xFFFFFFFF:
        raise BadValue("malformed a=ssrc")
    section.ssrcs.setdefault(int(match[1]), []).append((match[2], match[3]))


def _ssrc_group(section: SectionReader, value: str) -> None:
    words = value.split()
    if len(words) < 2 or not all(
        w.isascii() and w.isdigit() and int(w[:11]) <= 0xFFFFFFFF for w in words[1:]
    ):
        raise BadValue("malformed a=ssrc-group")
    section.ssrc_groups.append(SsrcGroup(words[0], tuple([int(w) for w in words[1:]])))


def _mid(section: SectionReader, value: str) -> None:
    if _TOKEN.fullmatch(value) is None or len(value) > 256:
        raise BadValue("malformed a=mid")
    section.mid = value


def _msid(section: SectionReader, value: str) -> None:
    words = value.split()
    if len(words) not in (1, 2) or any(len(w) > 256 for w in words):
        raise BadValue("malformed a=msid")
    section.msids.append(Msid(words[0], words[1] if len(words) == 2 else None))


def _rid(section: SectionReader, value: str) -> None:
    match = _RID.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=rid")
    section.rids.append(Rid(match[1], match[2], match[3] or ""))


def _simulcast(section: SectionReader, value: str) -> None:
    words = value.split()
    parts: dict[str, tuple[SimulcastStream, ...]] = {}
    if len(words) not in (2, 4):
        raise BadValue("malformed a=simulcast")
    for name, streams in zip(words[::2], words[1::2], strict=True):
        if name not in ("send", "recv") or name in parts:
            raise BadValue("malformed a=simulcast")
        found = tuple([SimulcastStream(tuple(s.split(","))) for s in streams.split(";")])
        if not all(re.fullmatch(r"~?[A-Za-z0-9_-]{1,255}", a) for s in found for a in s.alternatives):
            raise BadValue("malformed rid in a=simulcast")
        parts[name] = found
    if section.simulcast is not None:
        raise BadValue("a=simulcast twice in one section")
    section.simulcast = Simulcast(parts.get("send", ()), parts.get("recv", ()))


def _candidate(section: SectionReader, value: str) -> None:
    try:
        candidate = parse_candidate_untrusted("candidate:" + value)
    except RTCSyntaxError:
        # RFC 8839 5.1: candidates with unknown transport or type are to be ignored
        words = value.split()
        if len(words) >= 8 and words[6] == "typ":
            return
        raise
    if len(section.candidates) < MAX_CANDIDATES:
        section.candidates.append(candidate)


def _fingerprint(reader: SectionReader | SessionReader, value: str) -> None:
    match = _FINGERPRINT.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=fingerprint")
    reader.fingerprints.append(Fingerprint(match[1].lower(), match[2].upper()))


def _setup(reader: SectionReader | SessionReader, value: str) -> None:
    found = _SETUPS.get(value)
    if found is None:
        raise BadValue(f"unknown setup role {value[:20]!r}")
    reader.setup = found


def _ufrag(reader: SectionReader | SessionReader, value: str) -> None:
    reader.ufrag = value


def _pwd(reader: SectionReader | SessionReader, value: str) -> None:
    reader.pwd = value


def _ice_options(reader: SectionReader | SessionReader, value: str) -> None:
    reader.ice_options = tuple(value.split())


def _allow_mixed(reader: SectionReader | SessionReader, _value: str) -> None:
    reader.extmap_allow_mixed = True


def _direction(direction: Direction) -> Callable[[SectionReader | SessionReader, str], None]:
    def read(reader: SectionReader | SessionReader, _value: str) -> None:
        reader.direction = direction

    return read


def _flag(name: str) -> Callable[[SectionReader, str], None]:
    def read(section: SectionReader, _value: str) -> None:
        setattr(section, name, True)

    return read


def _rtcp(section: SectionReader, value: str) -> None:
    section.rtcp = value


def _packet_time(section: SectionReader, value: str) -> None:
    section.packet_time = _number(value.partition(".")[0])


def _max_packet_time(section: SectionReader, value: str) -> None:
    section.max_packet_time = _number(value.partition(".")[0])


def _sctp_port(section: SectionReader, value: str) -> None:
    section.sctp_port = _number(value)
    if section.sctp_port > 65535:
        raise BadValue("sctp-port out of range")


def _sctpmap(section: SectionReader, value: str) -> None:
    """``a=sctpmap:5000 webrtc-datachannel 1024``: the syntax before RFC 8841, still sent by old stacks."""
    port = value.partition(" ")[0]
    if section.sctp_port is None:
        section.sctp_port = _number(port)
    section.attributes.append(("sctpmap", value))


def _max_message_size(section: SectionReader, value: str) -> None:
    section.max_message_size = _number(value)


def _group(session: SessionReader, value: str) -> None:
    words = value.split()
    if not words:
        raise BadValue("malformed a=group")
    session.groups.append(Group(words[0], tuple(words[1:])))


def _ice_lite(session: SessionReader, _value: str) -> None:
    session.ice_lite = True


def _session_extmap(session: SessionReader, value: str) -> None:
    session.header_extensions.append(_extension(value))


def _msid_semantic(session: SessionReader, value: str) -> None:
    session.msid_semantic = value.strip()


_BOTH: dict[str, Callable[[SectionReader | SessionReader, str], None]] = {
    "fingerprint": _fingerprint,
    "setup": _setup,
    "ice-ufrag": _ufrag,
    "ice-pwd": _pwd,
    "ice-options": _ice_options,
    "extmap-allow-mixed": _allow_mixed,
    **{name: _direction(direction) for name, direction in _DIRECTIONS.items()},
}
SECTION_READERS: dict[str, Callable[[SectionReader, str], None]] = {
    **_BOTH,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "rtcp-fb": _feedback,
    "extmap": _extmap,
    "ssrc": _ssrc,
    "ssrc-group": _ssrc_group,
    "mid": _mid,
    "msid": _msid,
    "rid": _rid,
    "simulcast": _simulcast,
    "candidate": _candidate,
    "end-of-candidates": _flag("end_of_candidates"),
    "bundle-only": _flag("bundle_only"),
    "rtcp-mux": _flag("rtcp_mux"),
    "rtcp-mux-only": _flag("rtcp_mux_only"),
    "rtcp-rsize": _flag("rtcp_reduced_size"),
    "rtcp": _rtcp,
    "ptime": _packet_time,
    "maxptime": _max_packet_time,
    "sctp-port": _sctp_port,
    "sctpmap": _sctpmap,
    "max-message-size": _max_message_size,
}
SESSION_READERS: dict[str, Callable[[SessionReader, str], None]] = {
    **_BOTH,
    "group": _group,
    "ice-lite": _ice_lite,
    "extmap": _session_extmap,
    "msid-semantic": _msid_semantic,
}
