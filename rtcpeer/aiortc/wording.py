"""Descriptions with their lines in aiortc's order, and error messages with aiortc's texts.

Programs cut and parse these texts. Two habits of aiortc matter to them: the transport's lines stand at the end of
a section, and there is an ``a=rtcp`` line, without which `aiortc.sdp` loses ``a=rtcp-mux`` when it writes a
description that it has read.
"""

from __future__ import annotations

from aiortc.sdp import SessionDescription

from rtcpeer.aiortc import values
from rtcpeer.errors import RTCError
from rtcpeer.peer.errors import OperationError
from rtcpeer.sdp.model import Media
from rtcpeer.sdp.text import parse_untrusted

_AT_THE_END = (
    "a=candidate:",
    "a=end-of-candidates",
    "a=ice-ufrag:",
    "a=ice-pwd:",
    "a=ice-options:",
    "a=fingerprint:",
    "a=setup:",
)
# RFC 3605; the port and address that say "see the candidates" (RFC 8839 section 4.2.1.4)
_RTCP = "a=rtcp:9 IN IP4 0.0.0.0"


def in_aiortcs_order(text: str) -> str:
    """A description with its lines in aiortc's order."""
    head, *sections = text.split("\r\nm=")
    return "\r\n".join([head, *[_section(f"m={section}") for section in sections]]) + (
        "\r\n" if sections else ""
    )


def _section(text: str) -> str:
    lines = [line for line in text.split("\r\n") if line]
    kept = [line for line in lines if not line.startswith(_AT_THE_END)]
    if "a=rtcp-mux" in kept and not any(line.startswith("a=rtcp:") for line in kept):
        after = next((i for i, line in enumerate(kept) if line.startswith("c=")), 0) + 1
        kept.insert(after, _RTCP)
    for prefix in _AT_THE_END:
        kept += [line for line in lines if line.startswith(prefix)]
    return "\r\n".join(kept)


def refusal(text: str, type: str, offered: str | None) -> str | None:
    """The message with which aiortc refuses a description, if it has words for it.

    Args:
        text: of the description.
        type: of the description.
        offered: for an answer, the text of our offer.
    """
    try:
        media = SessionDescription.parse(text).media
        ours = SessionDescription.parse(offered).media if offered else None
    except (ValueError, KeyError, IndexError, AssertionError, StopIteration):
        return None
    answer = type in ("answer", "pranswer")
    for section in media:
        if section.ice is None or not section.ice.usernameFragment or not section.ice.password:
            return "ICE username fragment or password is missing"
        if answer and (section.dtls is None or section.dtls.role not in ("client", "server")):
            return "DTLS setup attribute must be 'active' or 'passive' for an answer"
        if section.kind in ("audio", "video") and not section.rtcp_mux:
            return "RTCP mux is not enabled"
    if answer and ours is not None and [m.kind for m in media] != [m.kind for m in ours]:
        return "Media sections in answer do not match offer"
    return None


def check_usable(text: str) -> None:
    """Refuse an offer of nothing but media that cannot be used.

    One such section beside others is rejected alone, as browsers do it; but when nothing would be left, a program
    of aiortc's kind is told so, and does not answer.

    Raises:
        OperationError: no codec in common.
        ValueError: no rtcp-mux.
    """
    try:
        sections = parse_untrusted(text).media
    except RTCError:
        return  # refused, in other words, by who applies it
    reasons = [_useless(section) for section in sections]
    first = next(iter(reasons), None)
    if first is not None and None not in reasons:
        raise first


def _useless(section: Media) -> Exception | None:
    if section.kind not in ("audio", "video") or section.rejected:
        return None
    if not section.rtcp_mux:
        return values.InvalidDescriptionError("RTCP mux is not enabled")
    found = values.capabilities(section.kind, sending=False).codecs
    ours = {(c.mimeType.lower(), c.clockRate) for c in found if c.name.lower() != "rtx"}
    if not any((codec.mime_type.lower(), codec.clock_rate) in ours for codec in section.codecs):
        return OperationError(f"Failed to set remote {section.kind} description send parameters")
    return None
