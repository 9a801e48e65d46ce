"""RTP header extensions: ids for offers, and what two sides have in common (RFC 8285, RFC 9143 section 16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rtcpeer.values import Codec, Direction, HeaderExtension

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_IDS = (*range(1, 15), *range(16, 256))
"""Ids to give out: the one-byte form first (RFC 8285 4.2), 15 left alone."""


class ExtensionIdAllocator:
    """Gives out ids for one description; one URI has one id in the whole session, as BUNDLE demands."""

    def __init__(self, known: Iterable[tuple[int, str]]) -> None:
        self._by_uri: dict[str, int] = {}
        self._taken: set[int] = set()
        for number, uri in known:
            self._by_uri[uri] = number
            self._taken.add(number)

    def numbered(
        self, wanted: Sequence[HeaderExtension], section: Sequence[HeaderExtension]
    ) -> tuple[HeaderExtension, ...]:
        """The extensions of an offered section; ids the section has already are kept."""
        present = {e.uri: e.id for e in section}
        used: set[int] = set()
        result: list[HeaderExtension] = []
        for extension in wanted:
            number = present.get(extension.uri) or self._by_uri.get(extension.uri)
            if number is None or number in used:
                number = next((i for i in _IDS if i not in self._taken and i not in used), None)
            if number is None:
                continue
            used.add(number)
            self._taken.add(number)
            self._by_uri[extension.uri] = number
            result.append(replace(extension, id=number))
        return tuple(result)


def answered(
    offered: Sequence[HeaderExtension], ours: Sequence[HeaderExtension]
) -> tuple[HeaderExtension, ...]:
    """The offered extensions that are known, with the offered ids; directions as seen from us (RFC 8285 section 5)."""
    known = {e.uri: e for e in ours}
    result: list[HeaderExtension] = []
    seen: set[str] = set()
    for extension in offered:
        mine = known.get(extension.uri)
        if mine is None or extension.uri in seen or not extension.id or extension.id > 255:
            continue
        seen.add(extension.uri)
        direction = intersect(mine.direction, extension.direction.reversed)
        if direction is not Direction.INACTIVE:
            result.append(HeaderExtension(extension.uri, extension.id, direction))
    return tuple(result)


def with_feedback(
    extensions: tuple[HeaderExtension, ...], codecs: Iterable[Codec]
) -> tuple[HeaderExtension, ...]:
    """The extensions that make sense: transport-wide numbers only where feedback about them was agreed on."""
    if any(f.type == "transport-cc" for codec in codecs for f in codec.feedback):
        return extensions
    return tuple([e for e in extensions if e.uri != TRANSPORT_CC])


def intersect(ours: Direction, allowed: Direction) -> Direction:
    """The direction both permit."""
    return Direction.of(sends=ours.sends and allowed.sends, receives=ours.receives and allowed.receives)


def sendable(
    remote: Sequence[HeaderExtension], local: Sequence[HeaderExtension]
) -> tuple[HeaderExtension, ...]:
    """Extensions that may stand in packets we send: known to both, ids as the receiver (remote) mapped them."""
    ours = {e.uri: e for e in local}
    return tuple(
        [
            HeaderExtension(e.uri, e.id)
            for e in remote
            if e.uri in ours and e.direction.receives and ours[e.uri].direction.sends
        ]
    )


def receivable(
    local: Sequence[HeaderExtension], remote: Sequence[HeaderExtension]
) -> tuple[HeaderExtension, ...]:
    """Extensions that may stand in packets we receive: ids as we mapped them."""
    theirs = {e.uri: e for e in remote}
    return tuple(
        [
            HeaderExtension(e.uri, e.id)
            for e in local
            if e.uri in theirs and e.direction.receives and theirs[e.uri].direction.sends
        ]
    )
