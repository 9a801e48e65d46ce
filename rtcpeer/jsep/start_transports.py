"""The transports and data that an answer settles: bundling, ICE, DTLS roles, the SCTP association.

Works on a `Draft`; RFC 9143 (BUNDLE), RFC 8839 (ICE), RFC 8842 (DTLS), RFC 8841 (SCTP).
"""

from __future__ import annotations

from dataclasses import replace

from rtcpeer.jsep.context import PlanContext
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import AttachData, CloseData, SetRemoteIce, StartData, StartDtls
from rtcpeer.jsep.transports import candidates_of, remote_credentials, remote_fingerprints
from rtcpeer.sdp.model import Media, Setup
from rtcpeer.values import DtlsRole, IceRole

MAX_MESSAGE_SIZE_DEFAULT = 65536
"""RFC 8841 6.1: what a peer takes that does not say."""


def bind_answer(draft: Draft, accepted: list[str], heads: dict[str, str]) -> None:
    """Bundled sections move to the transport of the tagged one; each other one has its own (RFC 9143 7.3, 7.4)."""
    bindings: dict[str, int] = {}
    claimed: set[int] = set()
    for mid in accepted:
        head = heads[mid]
        if head not in bindings:
            found = draft.bindings.get(head)
            if found is None or found in claimed or found not in draft.transports:
                found = draft.new_transport()
            claimed.add(found)
            bindings[head] = found
        bindings[mid] = bindings[head]
    draft.bindings = bindings


def start_transports(
    context: PlanContext,
    draft: Draft,
    local: Description,
    remote: Description,
    heads: dict[str, str],
    *,
    from_remote: bool,
) -> None:
    """ICE and DTLS of every transport that the answer uses."""
    for head in dict.fromkeys(heads.values()):
        id = draft.bindings[head]
        ours = local.session.media[local.session.find(head) or 0]
        remote_ice = remote_credentials(remote.session, head)
        if ours.ice is None or remote_ice is None:
            continue
        lite = remote.session.ice_lite
        controlling = lite or from_remote
        draft.set_role(id, IceRole.CONTROLLING if controlling else IceRole.CONTROLLED)
        draft.start_generation(id, ours.ice)
        candidates, end = candidates_of(remote, head)
        if not candidates:  # some servers list them in any section of the bundle
            for member in [m for m, its_head in heads.items() if its_head == head]:
                candidates, its_end = candidates_of(remote, member)
                end = end or its_end
                if candidates:
                    break
        transport = draft.transports[id]
        named = tuple([c if c.ufrag else replace(c, ufrag=remote_ice.ufrag) for c in candidates])
        if transport.remote != remote_ice or named or end:
            draft.start.append(SetRemoteIce(id, remote_ice, named, end))
        _start_dtls(draft, id, head, local, remote, from_remote=from_remote)
        draft.transports[id] = replace(draft.transports[id], remote=remote_ice)


def _start_dtls(
    draft: Draft, id: int, head: str, local: Description, remote: Description, *, from_remote: bool
) -> None:
    """The DTLS role and the fingerprints (RFC 8842); nothing when they are what they were."""
    transport = draft.transports[id]
    answer = (remote if from_remote else local).session
    index = answer.find(head)
    setup = answer.media[index].setup if index is not None else None
    # an answer without a=setup is taken for "active", as browsers do
    answerer_is_client = setup is not Setup.PASSIVE
    role = DtlsRole.CLIENT if answerer_is_client is not from_remote else DtlsRole.SERVER
    fingerprints = remote_fingerprints(remote.session, head)
    if transport.dtls_role is role and transport.fingerprints == fingerprints:
        return
    known = transport.dtls_role is not DtlsRole.AUTO
    changed = known and set(transport.fingerprints) != set(fingerprints)
    if known and not changed:
        role = transport.dtls_role  # RFC 8842 5.5: the role of a running association does not change
    draft.transports[id] = replace(transport, dtls_role=role, fingerprints=fingerprints)
    if not known or changed:
        draft.start.append(StartDtls(id, role, fingerprints, restart=known))


def settle_data(
    context: PlanContext, draft: Draft, mid: str, answer: Media, theirs: Media, *, final: bool
) -> None:
    """The data section of an answer: begins, goes on, or ends the association (RFC 8841 10.3, 10.4)."""
    data = draft.data
    if data is None or data.mid != mid:
        return
    if answer.rejected:
        if final:
            draft.data = None
            draft.start.append(CloseData())
        return
    transport = draft.bindings.get(mid)
    if transport is None:
        return
    if data.transport != transport:
        draft.start.append(AttachData(transport))
    size = MAX_MESSAGE_SIZE_DEFAULT if theirs.max_message_size is None else theirs.max_message_size
    port = theirs.sctp_port or 5000
    if not data.started or (data.remote_port, data.max_message_size) != (port, size):
        draft.start.append(StartData(transport, context.settings.sctp_port, port, size))
    draft.data = replace(data, transport=transport, remote_port=port, max_message_size=size, started=True)
