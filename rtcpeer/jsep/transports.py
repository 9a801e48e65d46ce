"""Transports of a description: which section uses which, what sections say of them, what an answer starts on them.

RFC 9143 (BUNDLE), RFC 8839 (ICE), RFC 8842 (DTLS), RFC 8841 (SCTP). What is read of models comes first, pure; the
changes that an answer makes, on a `Draft`, come behind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import AttachData, CloseData, SetRemoteIce, StartData, StartDtls
from rtcpeer.jsep.inputs import PlanContext
from rtcpeer.records import replace
from rtcpeer.sdp.candidate import parse_candidate_untrusted
from rtcpeer.sdp.model import Group, Media, SdpSession, Setup
from rtcpeer.values import Candidate, DtlsRole, Fingerprint, IceParameters, IceRole

MAX_MESSAGE_SIZE_DEFAULT = 65536
"""RFC 8841 6.1: what a peer takes that does not say."""


def leaders(accepted: Collection[str], groups: Sequence[Group]) -> dict[str, str]:
    """Mid -> the mid whose section speaks for its transport: the tagged one of its BUNDLE group, or itself."""
    result = {mid: mid for mid in accepted}
    for group in groups:
        if group.semantics != "BUNDLE":
            continue
        members = [mid for mid in group.mids if mid in result]
        for mid in members:
            result[mid] = members[0]
    return result


def described_by(session: SdpSession, head: str) -> Media | None:
    """The section of a description that has the transport attributes for ``head``.

    Its own, or, when it is bundled and leaves them out (bundle-only, or a later offer), another one of its group.
    """
    index = session.find(head)
    if index is None:
        return None
    if session.media[index].ice is not None:
        return session.media[index]
    group = session.bundle_of(head)
    return (session.speaker_of(group) if group is not None else None) or session.media[index]


def credentials_of(session: SdpSession, head: str) -> IceParameters | None:
    """The ICE credentials that a description gives for a transport."""
    media = described_by(session, head)
    return media.ice if media is not None else None


def remote_fingerprints(session: SdpSession, head: str) -> tuple[Fingerprint, ...]:
    """The certificate fingerprints that a description gives for a transport."""
    media = described_by(session, head)
    return media.fingerprints if media is not None else ()


def candidates_of(description: Description, mid: str) -> tuple[tuple[Candidate, ...], bool]:
    """All candidates of a section: those in the text and those that came later; and whether that is all."""
    index = description.session.find(mid)
    assert index is not None
    media = description.session.media[index]
    found = list(media.candidates)
    end = media.end_of_candidates
    for line in description.added[index]:
        if line.startswith("a=candidate:"):
            found.append(parse_candidate_untrusted(line))
        else:
            end = True
    return tuple(found), end


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
        local_ice, remote_ice = credentials_of(local.session, head), credentials_of(remote.session, head)
        assert local_ice is not None
        assert remote_ice is not None  # or the description was refused
        lite = remote.session.ice_lite
        controlling = lite or from_remote
        draft.set_role(id, IceRole.CONTROLLING if controlling else IceRole.CONTROLLED)
        draft.start_generation(id, local_ice)
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
    if (data.remote_port, data.max_message_size) != (port, size):  # none, before an answer has accepted it
        draft.start.append(StartData(transport, context.settings.sctp_port, port, size))
    draft.data = replace(data, transport=transport, remote_port=port, max_message_size=size, started=True)
