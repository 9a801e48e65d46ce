"""Validation of remote descriptions: by themselves, and as the successor of what was negotiated before.

Owns the semantic checks (RFC 8829 5.8, 5.10, 5.11; RFC 9143; RFC 8839 grammar of credentials; RFC 5761 payload types).
Each refusal is an InvalidAccessError, but for what webrtc-pc calls "all other errors" (OperationError).
Work is linear in the size of the description.
"""

from __future__ import annotations

import re
from itertools import count

from rtcpeer.errors import InvalidAccessError, OperationError
from rtcpeer.jsep.sections import is_supported
from rtcpeer.jsep.transports import described_by, leaders
from rtcpeer.records import replace
from rtcpeer.sdp.model import Group, Media, SdpSession, Setup
from rtcpeer.values import Direction, SdpType

MAX_TRANSPORTS = 64
"""Unbundled sections that a remote description may have; bundled ones share a transport and do not count."""
_UFRAG = re.compile(r"[A-Za-z0-9+/=_#\-]{1,256}")
_PWD = re.compile(r"[A-Za-z0-9+/=_#\-]{8,256}")
"""RFC 8839 5.4 wants 4 and 22 ice-chars at least.

mediasoup, Janus and others have long sent shorter ones, and "=", "-", "_" and "#"; browsers refuse other characters
only.
"""
MAX_MID_LENGTH = 16
"""The longest value that fits into a one-byte header extension (RFC 8285 4.2, RFC 9143 15), as browsers have it."""


def _bad(message: str) -> InvalidAccessError:
    return InvalidAccessError(message, fault="remote")


def complete(session: SdpSession, offer: SdpSession | None, previous: SdpSession | None = None) -> SdpSession:
    """The description with a mid in every section (RFC 8829 5.10: where there is none, one is made up).

    Args:
        offer: what this answers; then sections without a mid have the mid of the offered one.
        previous: the remote description before; a section of a later offer without a mid is still the same section.
    """
    session = _without_remains(session)
    if offer is not None:
        session = _rejected_as_offered(session, offer)
    if any(m.bundle_only for m in session.media):
        session = replace(
            session, media=tuple([_with_bundle_only_settled(session, m) for m in session.media])
        )
    if all(m.mid is not None for m in session.media):
        return session
    taken = {m.mid for m in session.media}
    media: list[Media] = []
    for index, section in enumerate(session.media):
        if section.mid is None:
            if offer is not None and index < len(offer.media):
                mid = offer.media[index].mid
            elif (
                previous is not None
                and index < len(previous.media)
                and not previous.media[index].rejected
                and (before := previous.media[index].mid) not in taken
            ):
                mid = before
            else:
                mid = next(name for name in map("_{}".format, count(index)) if name not in taken)
            taken.add(mid)
            section = replace(section, mid=mid, mid_implied=True)
        media.append(section)
    return replace(session, media=tuple(media))


def _with_bundle_only_settled(session: SdpSession, media: Media) -> Media:
    """The section with ``a=bundle-only`` where it means that port zero is no rejection, and nowhere else.

    Outside a group it is ignored (RFC 9143 6).  In an answer a rejected section is in no group (7.3.3), so port zero
    in the group with that line is what RFC 8843 wrote for an accepted section.
    """
    if media.bundle_only and session.bundle_of(media.mid) is None:
        return replace(media, bundle_only=False)
    return media


def _without_remains(session: SdpSession) -> SdpSession:
    """The description in which a section that has a port, and nothing else that a transport needs, is rejected.

    Firefox leaves a stopped section out of its bundle, inactive and without ICE, as it does with rejected ones; an ICE
    restart in the same offer writes the port of the transport that the section had into it (seen in 153).
    """
    media = [
        replace(m, port=0, candidates=())
        if m.port and m.ice is None and m.direction is Direction.INACTIVE and session.bundle_of(m.mid) is None
        else m
        for m in session.media
    ]
    return session if media == list(session.media) else replace(session, media=tuple(media))


def _rejected_as_offered(session: SdpSession, offer: SdpSession) -> SdpSession:
    """The answer without what it makes of sections that were not offered.

    "A stream that is offered with a port of zero MUST be marked with port zero in the answer" (RFC 3264 6).
    pion accepts such sections, and werift bundles them; nothing can come of it, and the rest of their answer is good.
    """
    pairs = zip(session.media, offer.media, strict=False)
    dead = {theirs.mid for theirs, ours in pairs if ours.rejected and theirs.kind == ours.kind}
    if not dead:
        return session
    media = [
        replace(m, port=0, direction=Direction.INACTIVE, candidates=()) if m.mid in dead else m
        for m in session.media
    ]
    groups = [replace(g, mids=tuple([m for m in g.mids if m not in dead])) for g in session.groups]
    return replace(session, media=tuple(media), groups=tuple([g for g in groups if g.mids]))


def check_remote(
    session: SdpSession,
    type_: SdpType,
    *,
    previous: SdpSession | None,
    answered: SdpSession | None,
    offer: SdpSession | None,
) -> None:
    """Refuse what cannot be applied.

    Args:
        session: with a mid in every section.
        previous: the remote description before (for an offer: the newest one, pending or current).
        answered: the current local description; what it rejected may be reused as well.
        offer: for an answer, the local offer.

    Raises:
        InvalidAccessError: the content is not valid.
        OperationError: two sections announce the same track of the same stream (RFC 8830 section 2).
    """
    mids = [m.mid for m in session.media]
    if len(set(mids)) != len(mids):
        raise _bad("two media sections have the same mid")
    for mid in mids:
        if mid is not None and len(mid) > MAX_MID_LENGTH:
            raise _bad(f"mid {mid[:32]!r} has {len(mid)} characters; at most {MAX_MID_LENGTH} are taken")
    _check_groups(session)
    live = [media for media in session.media if not media.rejected and is_supported(media)]
    for media in live:
        _check_section(session, media)
    for media in {id(m.header_extensions): m for m in live}.values():
        _check_extensions(media)
    _check_bundled(session)
    _check_msids(session)
    _check_transports(session)
    if offer is not None:
        _check_answer(session, offer, type_)
    elif previous is not None:
        _check_later_offer(session, previous, answered)


def _check_groups(session: SdpSession) -> None:
    known = {m.mid for m in session.media}
    seen: set[str] = set()
    for group in session.groups:
        if group.semantics != "BUNDLE":
            continue
        for mid in group.mids:
            if mid not in known:
                raise _bad(f"a=group:BUNDLE names mid {mid!r}, which no media section has")
            if mid in seen:
                raise _bad(f"mid {mid!r} is bundled twice")
            seen.add(mid)


def _check_section(session: SdpSession, media: Media) -> None:
    """Transport attributes and payload types of one section that is not rejected."""
    group = session.bundle_of(media.mid)
    follower = group is not None and group.mids[0] != media.mid
    # whichever section of a bundle has them, they are those of its one transport (RFC 9143 7.1.3)
    source = described_by(session, media.mid or "") or media
    if source.ice is None or not source.ice.ufrag or not source.ice.pwd:
        raise _bad(f"section {media.mid!r} has no ice-ufrag and ice-pwd")
    if _UFRAG.fullmatch(source.ice.ufrag) is None or _PWD.fullmatch(source.ice.pwd) is None:
        raise _bad(f"section {media.mid!r}: ice-ufrag or ice-pwd is malformed")
    if not source.fingerprints:
        raise _bad(f"section {media.mid!r} has no certificate fingerprint; only DTLS-SRTP is spoken here")
    if media.is_rtp:
        # the tagged section speaks for its bundle: rtcp-mux is a property of the transport (RFC 9143 7.1.3)
        if not media.rtcp_mux and not media.rtcp_mux_only and not media.bundle_only and not follower:
            raise _bad(f"section {media.mid!r} does not use rtcp-mux, which is required")
        for codec in media.codecs:
            if codec.payload_type is not None and 64 <= codec.payload_type <= 95:
                raise _bad(f"payload type {codec.payload_type} collides with RTCP (RFC 5761 4)")


def _check_extensions(media: Media) -> None:
    """Check that one id is one URI; an inherited tuple is the same in many sections, and looked at once."""
    by_id: dict[int | None, str] = {}
    for extension in media.header_extensions:
        if by_id.setdefault(extension.id, extension.uri) != extension.uri:
            raise _bad(f"section {media.mid!r} maps header extension id {extension.id} twice")


def _check_bundled(session: SdpSession) -> None:
    """Check that in a bundle an extension id is one URI (RFC 9143 16).

    Payload types should be one codec each as well (9.1), but are not looked at: Firefox gives sections that it adds
    to a call of ours its own numbers, browsers take that, and packets are told apart by MID and SSRC before.
    """
    for group in session.groups:
        if group.semantics != "BUNDLE":
            continue
        ids: dict[int | None, str] = {}
        seen: set[int] = set()  # of extensions: what is inherited is one tuple for all
        for mid in group.mids:
            media = session.media[session.find(mid) or 0]
            if media.rejected or not is_supported(media):
                continue
            if id(media.header_extensions) in seen:
                continue
            seen.add(id(media.header_extensions))
            for extension in media.header_extensions:
                if ids.setdefault(extension.id, extension.uri) != extension.uri:
                    raise _bad(f"header extension id {extension.id} stands for two URIs in one bundle")


def _check_transports(session: SdpSession) -> None:
    """Each transport costs sockets on every interface: a stranger may not ask for any number of them."""
    accepted = [m.mid or "" for m in session.media if not m.rejected and is_supported(m)]
    wanted = len(set(leaders(accepted, session.groups).values()))
    if wanted > MAX_TRANSPORTS:
        raise OperationError(
            f"the description asks for {wanted} transports; at most {MAX_TRANSPORTS} are made", fault="remote"
        )


def _check_msids(session: SdpSession) -> None:
    seen: set[tuple[str, str]] = set()
    for media in session.media:
        if media.rejected:
            continue
        for msid in set(media.msids):  # said twice in one section is said once
            if msid.track is None:
                continue
            key = (msid.stream, msid.track)
            if key in seen:
                raise OperationError(
                    f"a=msid:{msid.stream} {msid.track} stands in two places", fault="remote"
                )
            seen.add(key)


def _check_answer(session: SdpSession, offer: SdpSession, type_: SdpType) -> None:
    """RFC 8829 5.11, RFC 3264 6: an answer answers each section of the offer."""
    if len(session.media) != len(offer.media):
        raise _bad(f"the {type_} has {len(session.media)} media sections, the offer has {len(offer.media)}")
    for theirs, ours in zip(session.media, offer.media, strict=True):
        if theirs.kind != ours.kind:
            raise _bad(f"section {ours.mid!r} was offered as {ours.kind} and answered as {theirs.kind}")
        if theirs.mid != ours.mid:
            raise _bad(f"section {ours.mid!r} was answered with mid {theirs.mid!r}")
        if theirs.rejected:
            continue
        if ours.rejected:
            raise _bad(f"section {ours.mid!r} was offered as rejected and answered as accepted")
        if not is_supported(theirs):
            raise _bad(f"section {ours.mid!r} was answered with protocol {theirs.protocol!r}")
        if theirs.is_data != ours.is_data:
            raise _bad(f"section {ours.mid!r}: {ours.protocol} was answered with {theirs.protocol}")
        _check_direction(theirs, ours)
        if theirs.setup in (Setup.ACTPASS, Setup.HOLDCONN):
            raise _bad(f"section {ours.mid!r}: a=setup of an answer is active or passive, not {theirs.setup}")
        by_id = {e.id: e.uri for e in ours.header_extensions}
        for extension in theirs.header_extensions:
            if by_id.get(extension.id, extension.uri) != extension.uri:
                raise _bad(f"header extension id {extension.id} was given to another URI by the answer")
    offered = {mid: group for group in offer.groups if group.semantics == "BUNDLE" for mid in group.mids}
    for group in session.groups:
        if group.semantics == "BUNDLE":
            _check_answered_group(group, offered)


def _check_direction(theirs: Media, ours: Media) -> None:
    """An answer takes no more than was offered (RFC 3264 6.1); without a direction it says sendrecv."""
    if not theirs.is_rtp:
        return
    for wants, offered, verb, word in (
        (theirs.direction.receives, ours.direction.sends, "receive", "send"),
        (theirs.direction.sends, ours.direction.receives, "send", "receive"),
    ):
        if wants and not offered:
            said = theirs.direction.value if theirs.has_direction else "no direction, which means sendrecv"
            raise _bad(
                f"section {ours.mid!r} was offered as {ours.direction.value} and answered with {said}: "
                f"the answer wants to {verb}, the offer does not want to {word}"
            )


def _check_answered_group(group: Group, offered: dict[str, Group]) -> None:
    """RFC 9143 7.3: an answered group is part of one offered group."""
    of = {id(offered[mid]) for mid in group.mids if mid in offered}
    if len(of) > 1 or any(mid not in offered for mid in group.mids):
        raise _bad("the answer bundles sections that the offer did not bundle together")


def _check_later_offer(session: SdpSession, previous: SdpSession, answered: SdpSession | None) -> None:
    """RFC 8829 5.2.2 from the other side: m-lines stay; a mid changes only when a dead m-line is reused."""
    if len(session.media) < len(previous.media):
        raise _bad(
            f"the offer has {len(session.media)} media sections; there were {len(previous.media)} before"
        )
    ours = answered.media if answered is not None else ()
    compared: set[tuple[int, int, int]] = set()  # what is inherited is one tuple for all
    for index, (now, before) in enumerate(zip(session.media, previous.media, strict=False)):
        if now.rejected or before.rejected or (index < len(ours) and ours[index].rejected):
            continue
        if now.mid != before.mid and not (now.mid_implied or before.mid_implied):
            raise _bad(f"m-line {index} was {before.mid!r} and is now {now.mid!r}")
        if now.kind != before.kind:
            raise _bad(f"m-line {index} was {before.kind} and is now {now.kind}")
        agreed = ours[index].header_extensions if index < len(ours) else before.header_extensions
        key = id(now.header_extensions), id(before.header_extensions), id(agreed)
        if key not in compared:
            compared.add(key)
            _check_extensions_kept(now, before, {e.uri for e in agreed})


def _check_extensions_kept(now: Media, before: Media, agreed: set[str]) -> None:
    """An id that is in use keeps its URI: packets that are on their way would change their meaning (RFC 8285 5).

    What only one side knows is in no packet; browsers let its id go.
    """
    known = {e.id: e.uri for e in before.header_extensions if e.uri in agreed}
    for extension in now.header_extensions:
        if known.get(extension.id, extension.uri) != extension.uri:
            raise _bad(
                f"section {now.mid!r}: header extension id {extension.id} was {known[extension.id]} "
                f"and is now {extension.uri}"
            )
