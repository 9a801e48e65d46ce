"""Candidates that come one by one: local ones into our descriptions, remote ones into theirs and on to the transport.

Implements webrtc-pc 4.4.2 addIceCandidate (from "remoteDescription is null" on) and 5.6 "surface the candidate".
"""

from __future__ import annotations

from typing import Any

from rtcpeer.errors import InvalidStateError, OperationError, RTCSyntaxError
from rtcpeer.jsep.descriptions import END_OF_CANDIDATES, Description, default_candidate, with_line
from rtcpeer.jsep.effects import (
    AddRemoteCandidate,
    Announce,
    EndOfRemoteCandidates,
    LocalCandidate,
    Plan,
    Start,
)
from rtcpeer.jsep.state import SessionState
from rtcpeer.jsep.transports import credentials_of
from rtcpeer.records import replace
from rtcpeer.sdp.candidate import candidate_to_text, parse_candidate_untrusted
from rtcpeer.values import Candidate, SdpType, SignalingState

MAX_ADDED = 500
"""Lines that trickling may add to one section; later candidates still reach the transport's own bound."""


def plan_local(state: SessionState, transport: int, ufrag: str, candidate: Candidate | None) -> Plan:
    """Put a local candidate, or the end of a generation, where it belongs."""
    members: dict[str, Any] = {}
    record = state.transport(transport)
    default: tuple[str, int] | None = None
    plain = None if candidate is None else candidate.in_generation(None)
    if record is not None and record.local is not None and record.local.ufrag == ufrag:
        if plain is None:
            record = replace(record, gathered=True)
        else:
            record = replace(record, candidates=(*record.candidates, plain))
        default = default_candidate(record.candidates)
        members["transports"] = tuple(record if t.id == transport else t for t in state.transports)
    line = END_OF_CANDIDATES if plain is None else "a=" + candidate_to_text(plain)
    announcement: LocalCandidate | None = None
    stable = state.stable if state.stable is not None else state
    for name, bindings in (("pending_local", state.bindings), ("current_local", stable.bindings)):
        description: Description | None = getattr(state, name)
        if description is None:
            continue
        index = _local_section(description, dict(bindings), transport, ufrag)
        if index is None:
            continue
        members[name] = with_line(description, index, line, default)
        if announcement is None:
            text = "" if candidate is None else candidate_to_text(candidate.in_generation(ufrag))
            mid = description.session.media[index].mid
            announcement = LocalCandidate(text, mid or "", index, ufrag, candidate)
    return _plan(state, members, announce=(announcement,) if announcement is not None else ())


def _plan(
    state: SessionState,
    members: dict[str, Any],
    start: tuple[Start, ...] = (),
    announce: tuple[Announce, ...] = (),
) -> Plan:
    """A plan without a `Draft`: a candidate changes little, and there are many of them."""
    return Plan(state, state.with_members(members), (), start, announce)


def _local_section(
    description: Description, bindings: dict[str, int], transport: int, ufrag: str
) -> int | None:
    """The first section of a description that speaks for this generation of this transport."""
    for index, media in enumerate(description.session.media):
        if media.bundle_only or media.ice is None or media.ice.ufrag != ufrag:
            continue
        if bindings.get(media.mid or "") == transport:
            return index
    return None


def check_candidate_init(candidate: str, mid: str | None, mline_index: int | None) -> None:
    """Refuse arguments that addIceCandidate refuses before it joins the operations chain.

    Raises:
        TypeError: a candidate without a section.
    """
    if candidate and mid is None and mline_index is None:
        raise TypeError("addIceCandidate: sdpMid or sdpMLineIndex is required with a candidate")


def plan_remote(
    state: SessionState, candidate: str, mid: str | None, mline_index: int | None, ufrag: str | None
) -> Plan:
    """Add a remote candidate, or the end of candidates, to the remote descriptions and to the transport."""
    check_candidate_init(candidate, mid, mline_index)
    if state.signaling is SignalingState.CLOSED:
        raise InvalidStateError("the connection is closed")
    remote = state.remote_description
    if remote is None:
        raise InvalidStateError("addIceCandidate: there is no remote description yet")
    ufrag = ufrag or None  # "" says as little as nothing, and browsers take it so
    sections = _sections(remote, mid, mline_index)
    # of a section that is rejected or stopped nothing is expected, and nothing refused
    needless = False
    if mid is not None or mline_index is not None:
        (named,) = sections
        name = remote.session.media[named].mid
        record = next((t for t in state.transceivers if name is not None and t.jsep_mid == name), None)
        living = _living(state, remote, named)
        needless = living != named or (record is not None and record.stopped)
        if needless and living == named:
            return _plan(state, {})
        sections = [living]
    parsed: Candidate | None = None
    if candidate:
        try:
            parsed = parse_candidate_untrusted(candidate)
        except RTCSyntaxError as error:
            if needless:
                return _plan(state, {})
            raise OperationError(f"addIceCandidate: {error}", fault="remote") from None
    known = False
    members: dict[str, Any] = {}
    start: list[Start] = []
    for index in sections:
        known |= _add(state, members, start, remote, index, candidate, parsed, ufrag)
    if not known and sections and not needless:  # the end of no candidates is as good as any
        raise OperationError(
            f"addIceCandidate: no remote description has usernameFragment {ufrag!r} there", fault="remote"
        )
    return _plan(state, members, tuple(start))


def _sections(remote: Description, mid: str | None, mline_index: int | None) -> list[int]:
    """The sections meant; all of them when nothing is said.

    Deviation: "If candidate.sdpMid is not equal to the mid of any media description, [reject]" (webrtc-pc 4.4.2).
    pion writes an empty sdpMid beside the right sdpMLineIndex, and browsers go by the index then.
    """
    if mid is not None:
        index = remote.session.find(mid)
        if index is None and not (mid == "" and mline_index is not None):
            raise OperationError(f"addIceCandidate: no section has sdpMid {mid!r}", fault="remote")
        if index is not None:
            return [index]
    if mline_index is not None:
        if not 0 <= mline_index < len(remote.session.media):
            raise OperationError(
                f"addIceCandidate: there is no section with sdpMLineIndex {mline_index}", fault="remote"
            )
        return [mline_index]
    return list(range(len(remote.session.media)))


def _living(state: SessionState, remote: Description, index: int) -> int:
    """The section that speaks for a rejected one: it was offered in a bundle, and the bundle's transport lives.

    Who rejects the first section of a bundle may go on naming it, since the transport was offered there.
    """
    media = remote.session.media[index]
    local = state.local_description
    if not media.rejected or local is None:
        return index
    group = local.session.bundle_of(media.mid)
    for mid in () if group is None else group.mids:
        other = remote.session.find(mid)
        if other is not None and not remote.session.media[other].rejected:
            return other
    return index


def _add(
    state: SessionState,
    members: dict[str, Any],
    start: list[Start],
    remote: Description,
    index: int,
    text: str,
    candidate: Candidate | None,
    ufrag: str | None,
) -> bool:
    """Add to one section; False when no applied remote description has this generation there."""
    wanted = ufrag
    said = candidate.ufrag if candidate is not None else None
    if wanted is None and said is not None and _has_ufrag(state, index, said):
        wanted = said
    if wanted is None:
        wanted = _ufrag_at(remote, index)
    elif not _has_ufrag(state, index, wanted):
        return False
    line = "a=" + text.removeprefix("a=").strip() if candidate is not None else END_OF_CANDIDATES
    for name in ("pending_remote", "current_remote"):
        description: Description | None = members[name] if name in members else getattr(state, name)
        if description is None or index >= len(description.session.media):
            continue
        if _ufrag_at(description, index) == wanted and len(description.added[index]) < MAX_ADDED:
            members[name] = with_line(description, index, line)
    _hand_over(state, start, remote, index, candidate, wanted)
    return True


def _has_ufrag(state: SessionState, index: int, ufrag: str) -> bool:
    return any(
        d is not None and index < len(d.session.media) and _ufrag_at(d, index) == ufrag
        for d in (state.pending_remote, state.current_remote)
    )


def _ufrag_at(description: Description, index: int) -> str | None:
    """The username fragment of a section, or of the one that speaks for its bundle."""
    ice = credentials_of(description.session, description.session.media[index].mid or "")
    return None if ice is None else ice.ufrag


def _hand_over(
    state: SessionState,
    start: list[Start],
    remote: Description,
    index: int,
    candidate: Candidate | None,
    ufrag: str | None,
) -> None:
    """Tell the transport, if it knows this generation already; else the candidate waits in the description."""
    mid = remote.session.media[index].mid
    id = state.transport_of(mid or "")
    transport = None if id is None else state.transport(id)
    if transport is None or transport.remote is None or transport.remote.ufrag != ufrag:
        return
    if not _speaks(remote, state.bindings, transport.id, mid):
        return
    effect: Any
    if candidate is None:
        effect = EndOfRemoteCandidates(transport.id, ufrag)
    else:
        effect = AddRemoteCandidate(transport.id, candidate.in_generation(ufrag))
    if effect not in start:
        start.append(effect)


def _speaks(
    remote: Description, bindings: tuple[tuple[str, int], ...], transport: int, mid: str | None
) -> bool:
    """Whether candidates of this section are for this transport.

    An offerer that has not heard of our bundling yet sends candidates for each of its sections; those of sections
    that were bundled away lead to sockets that it will close.
    """
    if remote.type is not SdpType.OFFER:
        return True
    group = remote.session.bundle_of(mid)
    if group is None:
        return True
    of_transport = {m for m, id in bindings if id == transport}
    return mid == next((m for m in group.mids if m in of_transport), mid)
