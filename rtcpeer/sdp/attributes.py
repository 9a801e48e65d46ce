"""The readers of attributes: what stands behind ``a=name:`` goes into a section or session under construction.

Owns the grammar of attribute values.  A reader raises `BadValue` and `rtcpeer.sdp.text` adds the line number.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

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

MAX_CANDIDATES = 200
MAX_CANDIDATES_IN_ALL = 2000
"""Candidates read from one section, and from one description; further ones are ignored."""

RTP_ATTRIBUTES = frozenset(
    ("rtpmap", "fmtp", "rtcp-fb", "extmap", "ssrc", "ssrc-group", "rid", "simulcast", "ptime", "maxptime")
)
"""Attributes of RTP, which are kept unread in other sections: what they mean there is not ours to judge."""

_NAMES = (
    *("opus", "PCMU", "PCMA", "G722", "G729", "GSM", "CN", "telephone-event", "red", "ulpfec", "rtx"),
    *("flexfec-03", "VP8", "VP9", "H264", "H265", "AV1", "L16", "ISAC", "iLBC", "multiopus", "speex"),
)
_CANONICAL = {name.lower(): name for name in _NAMES}
"""Encoding names in the case of the registry; peers write them in any."""
_DIRECTIONS = {d.value: d for d in Direction if d is not Direction.STOPPED}
_SETUPS = {s.value: s for s in Setup}
_RTPMAP = re.compile(r"([0-9]{1,3}) +([!-.0-~]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?")
_FMTP = re.compile(r"(\S+) +(.+)")
_FEEDBACK = re.compile(r"([0-9]{1,3}|\*) +([!-~]+)(?: +(.+))?")
_EXTMAP = re.compile(r"([0-9]{1,5})(?:/([A-Za-z]+))? +(\S+)(?: +.*)?")
_SSRC = re.compile(r"([0-9]{1,10}) +([^: ]+)(?::(.*))?")
_FINGERPRINT = re.compile(r"([!-~]+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*)")
_RID = re.compile(r"([A-Za-z0-9_-]{1,255}) +(send|recv)(?: +(.+))?", re.IGNORECASE)
_TOKEN = re.compile(r"[!#-'*+.0-9A-Z^-~-]+")
_DIGITS = re.compile(r"[0-9]+")
_MANY_DIGITS = 600
"""Numbers with more digits are as large as this one: RFC 8866 9 sets no limit, and int() is not linear."""

_LARGEST_MESSAGE = 2**63 - 1

# ABNF literals may be written in any case (RFC 5234 2.3); here is how they are written
_FEEDBACK_LITERALS = frozenset(
    (
        "ack",
        "nack",
        "ccm",
        "app",
        "pli",
        "fir",
        "sli",
        "rpsi",
        "tmmbr",
        "tstr",
        "trr-int",
        "goog-remb",
        "transport-cc",
    )
)
_GROUP_LITERALS = frozenset(("BUNDLE", "LS", "FID", "SRF", "ANAT", "FEC", "FEC-FR", "SIM"))
_ICE_OPTIONS = frozenset(("trickle", "ice2", "renomination"))


def _number(value: str) -> int:
    if _DIGITS.fullmatch(value) is None:
        raise BadValue(f"expected a number, not {value[:40]!r}")
    return read_digits(value)


def read_digits(digits: str) -> int:
    """A number of any length; beyond what anybody counts to, all are the same."""
    return int(digits) if len(digits) <= _MANY_DIGITS else 10**_MANY_DIGITS


def _upper(word: str) -> str:
    upper = word.upper()
    return upper if upper in _GROUP_LITERALS else word


def _lower(word: str, literals: frozenset[str]) -> str:
    lower = word.lower()
    return lower if lower in literals else word


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
        if value and " " not in value:
            return  # "a=fmtp:96" without parameters is seen in the wild
        raise BadValue("malformed a=fmtp")
    if not section.is_rtp or not is_payload_type(match[1]):
        # RFC 8866 6.15: a format is a token, and a number in RTP sections alone
        section.attributes.append(("fmtp", value))
        return
    section.spend("format parameter", match[2].count(";") + 1)
    section.fmtps.setdefault(int(match[1]), []).extend(parse_fmtp(match[2]))


def is_payload_type(word: str) -> bool:
    """Whether a word can be the payload type of an RTP section, in range or not."""
    return word.isascii() and word.isdigit() and len(word) <= 3


def _feedback(section: SectionReader, value: str) -> None:
    match = _FEEDBACK.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=rtcp-fb")
    key = None if match[1] == "*" else int(match[1])
    if key is None:
        section.spend("rtcp-fb for all formats")
    kind, parameter = match[2], match[3] or ""
    feedback = Feedback(_lower(kind, _FEEDBACK_LITERALS), _lower(parameter, _FEEDBACK_LITERALS))
    section.feedbacks.setdefault(key, []).append(feedback)


def _extension(value: str) -> HeaderExtension:
    match = _EXTMAP.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=extmap")
    direction = Direction.SENDRECV
    if match[2]:
        found = _DIRECTIONS.get(match[2].lower())
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
    if len(words) < 2:
        raise BadValue("malformed a=ssrc-group")
    section.spend("grouped source", len(words) - 1)
    sources = [_number(word) for word in words[1:]]
    if max(sources) > 0xFFFFFFFF:
        raise BadValue("malformed a=ssrc-group")
    section.ssrc_groups.append(SsrcGroup(_upper(words[0]), tuple(sources)))


def _mid(section: SectionReader, value: str) -> None:
    if _TOKEN.fullmatch(value) is None:
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
    section.rids.append(Rid(match[1], match[2].lower(), match[3] or ""))


def _simulcast(section: SectionReader, value: str) -> None:
    words = value.split()
    parts: dict[str, tuple[SimulcastStream, ...]] = {}
    if len(words) not in (2, 4):
        raise BadValue("malformed a=simulcast")
    for name, streams in zip(words[::2], words[1::2], strict=True):
        name = name.lower()
        if name not in ("send", "recv") or name in parts:
            raise BadValue("malformed a=simulcast")
        section.spend("layer", streams.count(",") + streams.count(";") + 1)
        found = tuple([SimulcastStream(tuple(s.split(","))) for s in streams.split(";")])
        if not all(re.fullmatch(r"~?[A-Za-z0-9_-]{1,255}", a) for s in found for a in s.alternatives):
            raise BadValue("malformed rid in a=simulcast")
        parts[name] = found
    if section.simulcast is not None:
        raise BadValue("a=simulcast twice in one section")
    section.simulcast = Simulcast(parts.get("send", ()), parts.get("recv", ()))


def _candidate(section: SectionReader, value: str) -> None:
    seen = section.total.get("candidate", 0)
    if len(section.candidates) >= MAX_CANDIDATES or seen >= MAX_CANDIDATES_IN_ALL:
        return
    section.total["candidate"] = seen + 1
    # RFC 8839 5.1: what cannot be read is ignored; a candidate costs itself, never the description
    with contextlib.suppress(RTCSyntaxError):
        section.candidates.append(parse_candidate_untrusted("candidate:" + value))


def _fingerprint(reader: SectionReader | SessionReader, value: str) -> None:
    match = _FINGERPRINT.fullmatch(value)
    if match is None:
        raise BadValue("malformed a=fingerprint")
    reader.fingerprints.append(Fingerprint(match[1].lower(), match[2].upper()))


def _setup(reader: SectionReader | SessionReader, value: str) -> None:
    found = _SETUPS.get(value.strip().lower())
    if found is None:
        raise BadValue(f"unknown setup role {value[:20]!r}")
    reader.setup = found


def _ufrag(reader: SectionReader | SessionReader, value: str) -> None:
    reader.ufrag = value


def _pwd(reader: SectionReader | SessionReader, value: str) -> None:
    reader.pwd = value


def _ice_options(reader: SectionReader | SessionReader, value: str) -> None:
    words = value.split()
    reader.spend("ICE option", len(words))
    reader.ice_options = tuple([_lower(word, _ICE_OPTIONS) for word in words])


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


def _end_of_candidates(reader: SectionReader | SessionReader, _value: str) -> None:
    reader.end_of_candidates = True


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
    section.max_message_size = min(_number(value), _LARGEST_MESSAGE)


def _group(session: SessionReader, value: str) -> None:
    words = value.split()
    if not words:
        raise BadValue("malformed a=group")
    session.spend("grouped mid", len(words) - 1)
    session.groups.append(Group(_upper(words[0]), tuple(words[1:])))


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
    "end-of-candidates": _end_of_candidates,  # RFC 8840 4.4: for all sections, or for one
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


def known(readers: Mapping[str, Any], name: str) -> str | None:
    """The name under which an attribute is read, None when nobody knows it; case means nothing (RFC 5234 2.3)."""
    if name in readers:
        return name
    lower = name.lower()
    return lower if lower in readers else None
