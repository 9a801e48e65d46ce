"""createAnswer: which offered sections are accepted, bundled how, with which credentials and roles (RFC 8829 5.3)."""

from __future__ import annotations

from rtcpeer.errors import InvalidStateError
from rtcpeer.jsep.create_offer import ICE_OPTIONS, basis, make_session
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.inputs import PlanContext
from rtcpeer.jsep.sections import (
    TransportPart,
    answered_rtp,
    data_section,
    is_supported,
    rejected,
    with_transport,
)
from rtcpeer.jsep.state import Created, Transport
from rtcpeer.jsep.transports import credentials_of, leaders
from rtcpeer.records import replace
from rtcpeer.sdp.model import Group, Media, SdpSession, Setup
from rtcpeer.values import BundlePolicy, DtlsRole, IceParameters, SdpType


def make_answer(context: PlanContext, draft: Draft) -> Created:
    """Generate an answer to the pending remote offer (webrtc-pc 4.4.2 "final steps to create an answer")."""
    state = context.state
    offer = state.pending_remote
    if offer is None:
        raise InvalidStateError("there is no remote offer to answer")
    sections: list[Media] = []
    records: list[int | None] = []
    accepted: set[str] = set()
    allowed = _bundle_rule(context.settings.bundle_policy, offer.session)
    for index, media in enumerate(offer.session.media):
        mid = media.mid or str(index)
        section, record = _answer_section(context, draft, media, mid, allowed=mid in allowed)
        if section is not None:
            accepted.add(mid)
        written = None if media.mid_implied else mid
        sections.append(replace(section, mid=written) if section is not None else rejected(media, written))
        records.append(record)
    groups = tuple(
        [
            Group("BUNDLE", mids)
            for group in offer.session.groups
            if group.semantics == "BUNDLE"
            and (mids := tuple(dict.fromkeys(m for m in group.mids if m in accepted)))
        ]
    )
    session = _with_answer_transports(context, draft, offer.session, sections, accepted, groups)
    return Created(SdpType.ANSWER, context.write(session), session, tuple(records), basis(state))


def _bundle_rule(policy: BundlePolicy, offer: SdpSession) -> set[str]:
    """The mids that may be accepted at all: under max-bundle only what travels with the first acceptable section."""
    mids = {m.mid or str(i) for i, m in enumerate(offer.media)}
    if policy is BundlePolicy.MAX_BUNDLE:
        first = next((m.mid for m in offer.media if not m.rejected and is_supported(m)), None)
        group = offer.bundle_of(first)
        mids &= set(group.mids) if group is not None else {first or ""}
    return mids


def _answer_section(
    context: PlanContext, draft: Draft, media: Media, mid: str, *, allowed: bool
) -> tuple[Media | None, int | None]:
    """The answer to one section, without transport (None = rejected), and the id of its transceiver."""
    record = draft.by_mid(mid)
    id = record.id if record is not None else None
    if media.rejected or not allowed or not is_supported(media):
        return None, id
    if media.is_data:
        data = draft.data
        return (
            data_section(mid, context.settings, media) if data is not None and data.mid == mid else None
        ), None
    if record is None or record.stopped:
        return None, id
    return answered_rtp(record, media, mid, context.settings, context.state.cname), id


def _with_answer_transports(
    context: PlanContext,
    draft: Draft,
    offer: SdpSession,
    sections: list[Media],
    accepted: set[str],
    groups: tuple[Group, ...],
) -> SdpSession:
    """The answer with transport attributes; credentials are new where the offer has new ones (RFC 8829 5.3.1)."""
    state = context.state
    heads = leaders(accepted, groups)
    fresh: dict[str, IceParameters] = {}
    owners: set[str] = set()
    media: list[Media] = []
    for index, section in enumerate(sections):
        mid = offer.media[index].mid or str(index)
        if mid not in accepted:
            media.append(section)
            continue
        head = heads[mid]
        transport = draft.transports[draft.bindings[head]]
        local = _answer_credentials(offer, head, transport)
        if local is None:
            if head not in fresh:
                fresh[head] = context.entropy.ice_parameters()
            local, reused = fresh[head], None
        else:
            reused = transport
        owner = head not in owners
        owners.add(head)
        media.append(
            with_transport(
                section,
                TransportPart(
                    ice=local,
                    fingerprints=context.fingerprints,
                    setup=_answer_setup(offer, head, transport),
                    candidates=reused.candidates if reused is not None and owner else (),
                    gathered=reused is not None and owner and reused.gathered,
                ),
            )
        )
    return make_session(
        context,
        state,
        tuple(media),
        groups,
        ice_options=tuple([option for option in ICE_OPTIONS if _offers_option(offer, option)]),
        mixed=offer.extmap_allow_mixed or any(m.extmap_allow_mixed for m in offer.media),
    )


def _answer_credentials(offer: SdpSession, head: str, transport: Transport) -> IceParameters | None:
    """The credentials in use, or None when new ones are needed (first time, or the offer restarts ICE)."""
    if transport.remote is None:
        return None
    remote = credentials_of(offer, head)
    if remote is not None and (remote.ufrag, remote.pwd) != (transport.remote.ufrag, transport.remote.pwd):
        return None
    return transport.local


def _answer_setup(offer: SdpSession, head: str, transport: Transport) -> Setup:
    """RFC 8842 5.3: a role in use stays; else we are active unless the offerer wants to be."""
    if transport.dtls_role is not DtlsRole.AUTO:
        return Setup.ACTIVE if transport.dtls_role is DtlsRole.CLIENT else Setup.PASSIVE
    index = offer.find(head)
    offered = offer.media[index].setup if index is not None else None
    return Setup.PASSIVE if offered is Setup.ACTIVE else Setup.ACTIVE


def _offers_option(offer: SdpSession, option: str) -> bool:
    return option in offer.ice_options or any(option in m.ice_options for m in offer.media)
