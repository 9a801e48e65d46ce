"""createOffer: which sections there are, in which order, over which transports (RFC 8829 5.2).

Owns: assignment of m-lines (reuse, recycling), of mids, of BUNDLE groups, and of ICE credentials to a new description.
"""

from __future__ import annotations

from collections.abc import Collection

from rtcpeer.jsep.codecs import PayloadTypes
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.extensions import ExtensionIdAllocator
from rtcpeer.jsep.inputs import PlanContext
from rtcpeer.jsep.sections import (
    TransportPart,
    data_section,
    offered_rtp,
    rejected,
    with_transport,
)
from rtcpeer.jsep.state import Created, SessionState, Transceiver
from rtcpeer.records import record, replace
from rtcpeer.sdp.model import Group, Media, Origin, SdpSession, Setup
from rtcpeer.values import BundlePolicy, IceParameters, SdpType

ICE_OPTIONS = ("trickle", "ice2")
"""The ICE options that our agent has (RFC 8840 4.1.1, RFC 8445 10); RFC 9429 5.2.1 wants both."""


@record(slots=True)
class _Slot:
    """An m-line of an offer that is being made."""

    mid: str
    previous: Media | None = None  # the section with this mid in our last description
    record: Transceiver | None = None
    dead: Media | None = None  # stays rejected; what it looked like


# --- offers ---------------------------------------------------------------------------------------


def basis(state: SessionState, restart: bool = False) -> tuple[object, ...]:
    """The values that an offer or answer is made from; equal ones give equal descriptions (but for new credentials)."""
    return (
        state.transceivers,
        state.data_wanted,
        state.credentials_to_replace,
        state.credentials_outdated,
        state.bindings,
        state.current_local and state.current_local.session,
        state.pending_local and state.pending_local.session,
        state.pending_remote and state.pending_remote.session,
        tuple([(t.id, t.local, t.remote, t.dtls_role) for t in state.transports]),
        restart,
    )


def make_offer(context: PlanContext, draft: Draft, *, restart: bool) -> Created:
    """Generate an offer from the state of a draft (webrtc-pc 4.4.2 "final steps to create an offer")."""
    state = context.state
    slots = _slots(draft, state)
    numbers = PayloadTypes(state.payload_types)
    ids = ExtensionIdAllocator(state.extension_ids)
    live = [s for s in slots if s.dead is None]
    group = _tagged_first(draft, live, _negotiated_group(state))
    parts = _offer_transports(context, draft, state, live, group, restart)
    media: list[Media] = []
    for slot in slots:
        if slot.dead is not None:
            media.append(rejected(slot.dead, slot.mid))
            continue
        if slot.record is not None:
            section = offered_rtp(
                slot.record,
                slot.mid,
                slot.previous,
                _agreed(state, slot),
                context.settings,
                numbers,
                ids,
                state.cname,
            )
        else:
            section = data_section(slot.mid, context.settings)
        media.append(with_transport(section, parts[slot.mid]))
    session = make_session(
        context,
        state,
        tuple(media),
        (Group("BUNDLE", group),) if group else (),
        ice_options=ICE_OPTIONS,
        mixed=True,
    )
    return Created(
        SdpType.OFFER,
        context.write(session),
        session,
        tuple([slot.record.id if slot.record is not None and slot.dead is None else None for slot in slots]),
        basis(state, restart),
    )


def _slots(draft: Draft, state: SessionState) -> list[_Slot]:
    """The m-lines: those there are, in place; then what is new, into recycled m-lines first (RFC 8829 5.2.2)."""
    base = state.local_description
    slots: list[_Slot] = []
    recyclable: list[int] = []
    has_data = False
    if base is not None:
        for index, media in enumerate(base.session.media):
            mid = media.mid or ""
            record = draft.by_mid(mid)
            if media.is_data and draft.data is not None and draft.data.mid == mid and not media.rejected:
                slots.append(_Slot(mid, media))
                has_data = True
            elif record is not None and not record.stopping:
                slots.append(_Slot(mid, media, record))
            else:
                slots.append(_Slot(mid, dead=media))
                if _rejected_now(state, index):
                    recyclable.append(index)
    mids = _fresh_mids(state)
    if state.data_wanted and state.data_first and not has_data:
        _place(slots, recyclable, _Slot(next(mids)))
        has_data = True
    for record in draft.transceivers:
        if not record.stopping and record.jsep_mid is None:
            _place(slots, recyclable, _Slot(next(mids), record=record))
    if state.data_wanted and not has_data:
        _place(slots, recyclable, _Slot(next(mids)))
    return slots


def _rejected_now(state: SessionState, index: int) -> bool:
    """Whether an m-line was rejected in the current descriptions, so that it may be used again (RFC 8829 5.2.2)."""
    return any(
        description is not None
        and index < len(description.session.media)
        and description.session.media[index].rejected
        for description in (state.current_local, state.current_remote)
    )


def _place(slots: list[_Slot], recyclable: list[int], slot: _Slot) -> None:
    if recyclable:
        slots[recyclable.pop(0)] = slot
    else:
        slots.append(slot)


def _fresh_mids(state: SessionState) -> _Mids:
    taken = {
        media.mid
        for description in (
            state.current_local,
            state.pending_local,
            state.current_remote,
            state.pending_remote,
        )
        if description is not None
        for media in description.session.media
    }
    return _Mids(state.next_mid, taken)


class _Mids:
    """Short mids that no description of this session ever had."""

    def __init__(self, number: int, taken: set[str | None]) -> None:
        self._number, self._taken = number, taken

    def __next__(self) -> str:
        while True:
            mid = str(self._number)
            self._number += 1
            if mid not in self._taken:
                return mid


def _tagged_first(draft: Draft, live: list[_Slot], negotiated: tuple[str, ...]) -> tuple[str, ...]:
    """The BUNDLE group: the section of the first transceiver that is not stopped is tagged (webrtc-pc 4.4.2).

    A section that was negotiated as tagged stays so while it lives. Deviation: "The user agent MUST choose the
    m= section that corresponds to the first non-stopped transceiver": when media join a data channel, that would
    move the tag, and some answerers (aiortc) take this for a new transport and drop the one in use.
    """
    mids = [slot.mid for slot in live]
    tagged = next((mid for mid in negotiated if mid in mids), None)
    if tagged is None:
        by_record = {slot.record.id: slot.mid for slot in live if slot.record is not None}
        tagged = next((by_record[t.id] for t in draft.transceivers if t.id in by_record), None)
    if tagged is not None:
        mids.remove(tagged)
        mids.insert(0, tagged)
    return tuple(mids)


def _offer_transports(
    context: PlanContext,
    draft: Draft,
    state: SessionState,
    live: list[_Slot],
    group: tuple[str, ...],
    restart: bool,
) -> dict[str, TransportPart]:
    """The transport attributes of each live section; sections of one transport or one bundle share credentials."""
    fresh: IceParameters | None = None
    plan = bindings_for_offer(context.settings.bundle_policy, state, [(s.mid, _kind(s)) for s in live], group)
    replaced = state.credentials_to_replace | state.credentials_outdated
    owners: set[int | str] = set()
    parts: dict[str, TransportPart] = {}
    for slot in live:
        key = plan.keys[slot.mid]
        transport = draft.transports.get(key) if isinstance(key, int) else None
        local = transport.local if transport is not None else None
        if local is None or restart or (local.ufrag, local.pwd) in replaced:
            if fresh is None:
                fresh = context.entropy.ice_parameters()
            local, transport = fresh, None
        owner = key not in owners and slot.mid not in plan.bundle_only
        if owner:
            owners.add(key)
        parts[slot.mid] = TransportPart(
            ice=local,
            fingerprints=context.fingerprints,
            setup=Setup.ACTPASS,
            candidates=transport.candidates if transport is not None and owner else (),
            gathered=transport is not None and owner and transport.gathered,
            bundle_only=slot.mid in plan.bundle_only,
        )
    return parts


def _kind(slot: _Slot) -> str:
    return slot.record.kind.value if slot.record is not None else "application"


@record(frozen=True, slots=True)
class OfferBindings:
    """The transports of an offer's sections: an id, or the mid of the section that a new one is made for."""

    keys: dict[str, int | str]
    bundle_only: frozenset[str]


def bindings_for_offer(
    policy: BundlePolicy, state: SessionState, live: list[tuple[str, str]], group: tuple[str, ...]
) -> OfferBindings:
    """Distribute the sections of an offer over transports (webrtc-pc 4.2.5, RFC 8829 4.1.1, RFC 9143 7.2).

    A section that has a transport keeps it.  Once BUNDLE has been negotiated, new sections join that transport at once,
    as long as a section of it lives on: else the other side could not tell which transport they mean.
    """
    bound = dict(state.bindings)
    established = _established(state, bound, {mid for mid, _ in live})
    keys: dict[str, int | str] = {mid: bound[mid] for mid, _ in live if mid in bound}
    bundle_only: set[str] = set()
    seen_kinds: set[str] = set()
    pending = () if state.pending_local is None else state.pending_local.session.media
    waiting = {media.mid for media in pending if media.bundle_only}
    if group and group[0] not in keys:
        keys[group[0]] = established if established is not None else group[0]
    for mid, kind in live:
        first_of_kind = kind not in seen_kinds
        seen_kinds.add(kind)
        if mid in waiting:
            bundle_only.add(mid)  # still the same first offer
        if mid in keys:
            continue
        if established is not None:
            keys[mid] = established
        elif policy is BundlePolicy.MAX_COMPAT or (policy is BundlePolicy.BALANCED and first_of_kind):
            keys[mid] = mid
        else:
            keys[mid] = keys[group[0]]
            bundle_only.add(mid)
    return OfferBindings(keys, frozenset(bundle_only))


def _last_answer(state: SessionState) -> Description | None:
    """The most recent answer, of either side."""
    answer = state.current_local
    if answer is not None and answer.type is SdpType.OFFER:
        answer = state.current_remote
    return answer


def _agreed(state: SessionState, slot: _Slot) -> Media | None:
    """The section of the most recent answer for a slot that stays what it was; None if there is none."""
    answer = _last_answer(state)
    index = None if answer is None or slot.previous is None else answer.session.find(slot.mid)
    if answer is None or index is None or answer.session.media[index].rejected:
        return None
    return answer.session.media[index]


def _established(state: SessionState, bound: dict[str, int], live: Collection[str]) -> int | None:
    """The transport of a negotiated BUNDLE group, if there is one and a live section uses it."""
    return next((bound[mid] for mid in _negotiated_group(state) if mid in bound and mid in live), None)


def _negotiated_group(state: SessionState) -> tuple[str, ...]:
    """The mids of the negotiated BUNDLE group that have a transport, the tagged one first."""
    answer = _last_answer(state)
    bound = {mid for mid, _ in state.bindings}
    for group in () if answer is None else answer.session.groups:
        if group.semantics == "BUNDLE":
            mids = tuple(mid for mid in group.mids if mid in bound)
            if mids:
                return mids
    return ()


# --- both -----------------------------------------------------------------------------------------


def make_session(
    context: PlanContext,
    state: SessionState,
    media: tuple[Media, ...],
    groups: tuple[Group, ...],
    *,
    ice_options: tuple[str, ...],
    mixed: bool,
) -> SdpSession:
    """The session part; its version is raised when something differs from what was created last (RFC 9429 5.2.2).

    What was created last may not have been set, or been rolled back: the other side may have seen it all the same.
    """
    session_id = state.session_id
    session = SdpSession(
        origin=Origin(session_id, state.session_version),
        media=_with_formalities(media),
        groups=groups,
        ice_options=ice_options,
        extmap_allow_mixed=mixed,
    )
    before, local = state.versioned, state.local_description
    if local is not None and local.session.origin.version == state.session_version:
        before = local.session  # the same one, and candidates that were found since are no difference
    if before is not None and (before.media, before.groups) != (session.media, session.groups):
        session = replace(session, origin=Origin(session_id, state.session_version + 1))
    return session


def _with_formalities(media: tuple[Media, ...]) -> tuple[Media, ...]:
    """Rejected sections with the transport attributes of a living one.

    They mean nothing there and RFC 9429 does not ask for them, but webrtcbin refuses a description that has a section
    without, and a refused section would end the whole call.
    """
    living = next((m for m in media if m.ice is not None), None)
    if living is None:
        return media
    return tuple(
        [
            replace(m, ice=living.ice, fingerprints=living.fingerprints, setup=living.setup)
            if m.rejected
            else m
            for m in media
        ]
    )
