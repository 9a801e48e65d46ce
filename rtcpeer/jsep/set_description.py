"""Setting a description: webrtc-pc 4.4.1.5 "set a session description", steps 4.7.5 to 4.7.13, RFC 8829 5.9 to 5.11.

Owns the walk over the sections of a description and what it does to transceivers, transports and data.  Works on a
`Draft`; that the description is acceptable was found out before.
"""

from __future__ import annotations

from rtcpeer.jsep import encodings as encoding_rules
from rtcpeer.jsep import transceivers
from rtcpeer.jsep.create_offer import bindings_for_offer
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import (
    AttachData,
    CreateData,
)
from rtcpeer.jsep.extensions import intersect
from rtcpeer.jsep.inputs import PlanContext, TransceiverInit
from rtcpeer.jsep.negotiated import configure, configure_offered, withdraw_offered
from rtcpeer.jsep.remote_tracks import process_remote_tracks, withdraw_track
from rtcpeer.jsep.sections import is_supported
from rtcpeer.jsep.state import Created, Data, Transceiver
from rtcpeer.jsep.transports import (
    bind_answer,
    leaders,
    settle_data,
    start_transports,
)
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.sdp.model import Media, SdpSession
from rtcpeer.values import Direction, IceRole, MediaKind

# --- offers ---------------------------------------------------------------------------------------


def apply_local_offer(context: PlanContext, draft: Draft, created: Created) -> None:
    """Our own offer: mids are given, transports made, gathering begins."""
    session = created.session
    live = [(m.mid or "", m.kind) for m in session.media if not m.rejected]
    group = next((g.mids for g in session.groups if g.semantics == "BUNDLE"), ())
    # 4.7.11.1.1.4 and 4.7.11.1.1.5: an existing transport, or a new one
    plan = bindings_for_offer(context.settings.bundle_policy, context.state, live, group)
    made: dict[str, int] = {}
    draft.bindings = {}
    for mid, _ in live:
        key = plan.keys[mid]
        if isinstance(key, str):
            if key not in made:
                made[key] = draft.new_transport()
            key = made[key]
        draft.bindings[mid] = key
    for index, media in enumerate(session.media):
        mid = media.mid or ""
        id = created.transceivers[index]
        record = draft.get(id) if id is not None else None
        if record is not None:
            # 4.7.11.1.1.2, 4.7.11.1.3
            record = draft.put(replace(record, jsep_mid=mid, mid=mid, mline_index=index))
            if record.stopped:
                continue
            # 4.7.11.1.1.6 and 4.7.11.1.1.7
            record = draft.attach(record, draft.bindings[mid])
            # 4.7.11.1.4 and 4.7.11.1.5; 4.7.11.1.6 is put off:
            # webrtc-pc sets [[ReceiveCodecs]] here; browsers, and the W3C suite, wait for the answer
            configure_offered(draft, withdraw_offered(draft, record, media), media)
        elif media.is_data and not media.rejected:
            # 4.7.7
            _bind_data(draft, mid, draft.bindings[mid])
    for media in session.media:
        id = draft.bindings.get(media.mid or "")
        if id is None or media.ice is None:
            continue
        # 4.7.11.2.14.6 for a local offer
        draft.set_role(id, IceRole.CONTROLLING)
        draft.start_generation(id, media.ice)
    _close_unstable(draft)


def _close_unstable(draft: Draft) -> None:
    """Close what an earlier offer of this round made and this one does not use; what was stable stays for rollback."""
    kept = dict(draft.bindings)
    stable = draft.base.stable if draft.base.stable is not None else draft.base
    spare = {f" {t.id}": t.id for t in stable.transports}
    draft.bindings.update(spare)
    draft.close_unbound()
    draft.bindings = kept


def rename_implied(draft: Draft, previous: SdpSession, session: SdpSession) -> None:
    """A section that had no mid before and has one now is the same section under its new name."""
    for before, now in zip(previous.media, session.media, strict=False):
        if not before.mid_implied:
            continue
        old, new = before.mid or "", now.mid or ""
        record = draft.by_mid(old)
        if record is not None:
            draft.put(replace(record, mid=new, jsep_mid=new))
        if old in draft.bindings:
            draft.bindings[new] = draft.bindings.pop(old)
        if draft.data is not None and draft.data.mid == old:
            draft.data = replace(draft.data, mid=new)


def apply_remote_offer(context: PlanContext, draft: Draft, description: Description) -> None:
    """An offer of the other side: transceivers are found or made, remote tracks announced; transports wait."""
    session = description.session
    _bind_remote_offer(context, draft, session)
    for index, media in enumerate(session.media):
        mid = media.mid or ""
        if media.is_data:
            if not media.rejected and is_supported(media):
                # 4.7.7
                _bind_data(draft, mid, draft.bindings[mid])
            continue
        if not media.is_rtp:
            continue
        # 4.7.11.2.5 and 4.7.11.2.7
        record = _associate(context, draft, media, mid, index)
        if record is None:
            continue
        # 4.7.11.2.1 to 4.7.11.2.4, 4.7.11.2.6
        record = _propose_encodings(context, draft, record, media)
        # 4.7.11.2.9
        # browsers, and the W3C suite, void [[LastReturnedParameters]] whatever the offer asks for
        revision = record.parameters_revision + 1
        record = draft.put(
            replace(record, mid=mid, jsep_mid=mid, mline_index=index, parameters_revision=revision)
        )
        # 4.7.11.2.10 to 4.7.11.2.12; 4.7.11.2.13 waits for the answer, as browsers have it
        direction = Direction.INACTIVE if media.rejected else media.direction.reversed
        record = process_remote_tracks(draft, record, direction, _msids(context, media, direction))
        # 4.7.11.2.15
        if media.rejected:
            transceivers.stop(draft, record)


def _bind_remote_offer(context: PlanContext, draft: Draft, session: SdpSession) -> None:
    """Give every section that we may accept a transport; nothing is attached before the answer."""
    usable = {m.mid or "": m for m in session.media if not m.rejected and is_supported(m)}
    heads = leaders(usable, session.groups)
    bindings: dict[str, int] = {}
    claimed: dict[int, str] = {}
    for mid in usable:
        head = heads[mid]
        if head not in bindings:
            members = [head, *[m for m, h in heads.items() if h == head]]
            found = next(
                (draft.bindings[m] for m in members if draft.bindings.get(m) in draft.transports), None
            )
            if found is None or claimed.get(found, head) != head:
                found = draft.new_transport()
            claimed[found] = head
            bindings[head] = found
        bindings[mid] = bindings[head]
    draft.bindings = bindings
    for id in dict.fromkeys(bindings.values()):
        # webrtc-pc 4.4.1.5: the role "always has a value after the first offer is processed"
        # 4.7.11.2.14.6, which W3C has among the steps of answers
        draft.set_role(id, IceRole.CONTROLLING if session.ice_lite else IceRole.CONTROLLED)
    _close_unstable(draft)


def _associate(context: PlanContext, draft: Draft, media: Media, mid: str, index: int) -> Transceiver | None:
    """Find or make the transceiver of a remote section (RFC 8829 5.10)."""
    record = draft.by_mid(mid)
    if record is not None:
        return record
    other = draft.at_line(index)
    if other is not None:  # the m-line is reused: what it had before is dissociated
        draft.put(replace(other, jsep_mid=None, mid=None, mline_index=None))
    if media.rejected:
        return None  # RFC 8829 would make a transceiver only to stop it; browsers do not
    kind = MediaKind(media.kind)
    if media.direction.receives:
        waiting = draft.waiting(kind)
        if waiting is not None:
            return waiting
    track_id = next((m.track for m in media.msids if m.track is not None), None)
    return transceivers.create(
        draft,
        TransceiverInit(kind, Direction.RECVONLY),
        context.entropy.identifier,
        context.entropy.ssrc,
        by_remote=True,
        remote_track_id=track_id,
    )


def _propose_encodings(context: PlanContext, draft: Draft, record: Transceiver, media: Media) -> Transceiver:
    """An offer to receive simulcast makes a unicast sender ready for it (webrtc-pc 4.4.1.5, proposedSendEncodings)."""
    if media.simulcast is None or not media.simulcast.recv or record.kind is not MediaKind.VIDEO:
        return record
    if any(e.rid is not None for e in record.encodings):
        return record
    rids = list(dict.fromkeys(s.rid for s in media.simulcast.recv))[: context.settings.max_send_encodings]
    proposed = encoding_rules.scaled([SendEncoding(rid=rid) for rid in rids])
    return draft.put(
        replace(
            record,
            encodings=tuple(
                [transceivers.with_ssrcs(e, record.kind, context.entropy.ssrc) for e in proposed]
            ),
        )
    )


def _msids(context: PlanContext, media: Media, direction: Direction) -> tuple[str, ...]:
    """The ids of the streams that the remote track is in (RFC 8829 5.10: without a=msid, in a default one).

    GStreamer and others say it in ``a=ssrc:... msid:`` only, as browsers did before RFC 8830.
    """
    if not direction.receives:
        return ()
    if media.msids:
        return tuple(dict.fromkeys(m.stream for m in media.msids if m.stream != "-"))
    said = [value.split()[0] for s in media.ssrcs if (value := s.get("msid")) and not value.isspace()]
    return tuple(dict.fromkeys(said)) or (context.state.default_stream,)


def _bind_data(draft: Draft, mid: str, transport: int) -> None:
    """Bind data to its section: the association exists from now on, or moves with the section."""
    data = draft.data
    if data is None:
        draft.data = Data(mid, transport)
        draft.prepare.append(CreateData(transport))
    elif (data.mid, data.transport) != (mid, transport):
        if data.transport != transport:
            draft.start.append(AttachData(transport))
        draft.data = replace(data, mid=mid, transport=transport)


# --- answers --------------------------------------------------------------------------------------


def apply_answer(
    context: PlanContext,
    draft: Draft,
    local: Description,
    remote: Description,
    *,
    from_remote: bool,
    final: bool,
) -> None:
    """An answer or pranswer of either side: bundling is settled, transports start, media flows.

    Args:
        local, remote: the two descriptions that now belong together.
        from_remote: the answer is the remote one.
        final: it is not a pranswer.
    """
    answer = (remote if from_remote else local).session
    accepted = [m.mid or "" for m in answer.media if not m.rejected and is_supported(m)]
    heads = leaders(accepted, answer.groups)
    bind_answer(draft, accepted, heads)
    start_transports(context, draft, local, remote, heads, from_remote=from_remote)
    for index, media in enumerate(answer.media):
        mid = media.mid or ""
        ours, theirs = local.session.media[index], remote.session.media[index]
        if media.is_data:
            # 4.7.8 and 4.7.10; identifiers (4.7.10.2) are given by the SCTP transport
            settle_data(context, draft, mid, media, theirs, final=final)
            continue
        record = draft.by_mid(mid)
        if record is None or not media.is_rtp:
            continue
        record = draft.put(replace(record, mid=mid))
        if media.rejected:
            # 4.7.11.2.11 (no msids), 4.7.11.2.15
            _reject(draft, record, from_remote=from_remote, final=final)
            continue
        if not record.stopped:
            record = draft.attach(record, draft.bindings[mid])
            _agree(context, draft, record, ours, theirs, from_remote=from_remote)
    if final:
        # 4.7.14.1: transports that nothing uses any more
        draft.close_unbound()


def _agree(
    context: PlanContext, draft: Draft, record: Transceiver, ours: Media, theirs: Media, *, from_remote: bool
) -> None:
    """An accepted section of an answer: layers, direction, tracks and parameters, as both sides have them."""
    # 4.7.11.1.7.1 and 4.7.11.2.8
    record = _prune_encodings(draft, record, ours, theirs)
    # 4.7.11.1.4 and 4.7.11.2.10
    # an answer is inside its offer (RFC 3264 6.1), or it was refused; were it not, it would still widen nothing
    direction = intersect(ours.direction, theirs.direction.reversed)
    # 4.7.11.2.12, or 4.7.11.1.7.3 and 4.7.11.1.7.4 where the answer is ours
    if from_remote:
        record = process_remote_tracks(draft, record, direction, _msids(context, theirs, direction))
    else:
        if not direction.receives and record.announced:
            record = withdraw_track(draft, record)
        record = replace(record, fired_direction=direction)
    # 4.7.11.1.7.4 and 4.7.11.2.14.2
    record = replace(record, current_direction=direction, has_sent=record.has_sent or direction.sends)
    # 4.7.11.1.6, 4.7.11.1.7.2, 4.7.11.2.13, 4.7.11.2.14.1
    configure(context, draft, draft.put(record), ours, theirs, answered_by_us=not from_remote)


def _reject(draft: Draft, record: Transceiver, *, from_remote: bool, final: bool) -> None:
    """A rejected section: its tracks go, and with a final answer its transceiver stops."""
    record = process_remote_tracks(draft, record, Direction.INACTIVE, ())
    if final or from_remote:
        transceivers.stop(draft, record)


def _prune_encodings(draft: Draft, record: Transceiver, ours: Media, theirs: Media) -> Transceiver:
    """Layers that were not agreed on leave [[SendEncodings]] (webrtc-pc 4.4.1.5)."""
    agreed = {s.rid for s in theirs.simulcast.recv} if theirs.simulcast else set()
    if ours.simulcast is not None:
        agreed &= {s.rid for s in ours.simulcast.send}
    elif ours.direction.sends:
        agreed = set()
    else:
        return record  # not sending now: the envelope waits
    kept = tuple([e for e in record.encodings if e.rid in agreed]) or record.encodings[:1]
    return draft.put(replace(record, encodings=kept))


def drop_stopped(draft: Draft, local: SdpSession, remote: SdpSession, *, by_us: bool) -> None:
    """After an answer: stopped transceivers whose section is rejected leave the set (4.7.13.1).

    A section that only our answer has rejected (``by_us``) stops its transceiver now and removes it the next time:
    webrtc-pc has no step that would stop it before the one that removes.

    So do those that were stopped before any description knew them: webrtc-pc leaves them "stopping" for ever, in
    need of a negotiation that has nothing to say; browsers drop them here.
    """
    known = {t.id: t for t in draft.base.transceivers}
    for record in draft.transceivers:
        if record.stopping and record.jsep_mid is None:
            draft.remove(record.id)
            continue
        index = record.mline_index
        if index is None:
            continue
        before = known.get(record.id)
        if by_us and before is not None and not before.stopped:
            continue
        sections = local.media[index], remote.media[index]
        if any(m.mid != record.jsep_mid or m.rejected for m in sections):  # rejected, or reused already
            draft.remove(record.id)
