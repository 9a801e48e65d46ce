"""RTP header extensions: ids for offers, and what two sides have in common (RFC 8285, RFC 9143 section 16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtcpeer.errors import InvalidModificationError
from rtcpeer.records import replace
from rtcpeer.values import Codec, Direction, HeaderExtension

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
MANDATORY = frozenset((MID,))
"""Extensions that are always sent and received: BUNDLE needs MID (RFC 9143 section 9.1, RFC 8834 section 5.2.4)."""
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
    known = {e.uri: e for e in ours if e.direction is not Direction.STOPPED}
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


def to_offer(wanted: Sequence[HeaderExtension]) -> tuple[HeaderExtension, ...]:
    """The extensions of [[HeaderExtensionsToNegotiate]] that an offer has."""
    return tuple([e for e in wanted if e.direction is not Direction.STOPPED])


def check_wanted(
    present: Sequence[HeaderExtension], proposed: Sequence[HeaderExtension]
) -> tuple[HeaderExtension, ...]:
    """The rules of setHeaderExtensionsToNegotiate (webrtc-extensions, RTP header extension control).

    Args:
        present: [[HeaderExtensionsToNegotiate]]; proposed: what it is to become.

    Raises:
        InvalidModificationError: another extension or another order, or a mandatory one is not to be sent and received.
    """
    if [e.uri for e in proposed] != [e.uri for e in present]:
        raise InvalidModificationError(
            "the header extensions and their order cannot be changed, only their directions: "
            "change the list that getHeaderExtensionsToNegotiate() gives"
        )
    for extension in proposed:
        if extension.uri in MANDATORY and extension.direction is not Direction.SENDRECV:
            raise InvalidModificationError(f"{extension.uri} is mandatory: its direction is 'sendrecv'")
    return tuple([replace(e, direction=p.direction) for e, p in zip(present, proposed, strict=True)])


def agreed(
    wanted: Sequence[HeaderExtension], answer: Sequence[HeaderExtension], *, from_remote: bool
) -> tuple[HeaderExtension, ...]:
    """The [[NegotiatedHeaderExtensions]] that an answer makes of the extensions, with directions as seen from us.

    Args:
        wanted: [[HeaderExtensionsToNegotiate]].
        answer: those that are in use by the answer.
        from_remote: the answer is the other side's.
    """
    found = {e.uri: e for e in answer}
    result: list[HeaderExtension] = []
    for extension in wanted:
        answer_line = found.get(extension.uri)
        direction = Direction.STOPPED if answer_line is None else answer_line.direction
        if from_remote and answer_line is not None:
            direction = direction.reversed
        result.append(replace(extension, direction=direction))
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
