"""Transports of a description: which section uses which (RFC 9143), and what sections say of them (RFC 8839, RFC 8842).

Pure helpers over models; the changes they lead to are made in `rtcpeer.jsep.set_description`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rtcpeer.jsep.descriptions import Description
from rtcpeer.sdp.candidate import parse_candidate_untrusted
from rtcpeer.sdp.model import Group, Media, SdpSession
from rtcpeer.values import Candidate, Fingerprint, IceParameters


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


def remote_credentials(session: SdpSession, head: str) -> IceParameters | None:
    """The ICE credentials that a description gives for a transport."""
    media = described_by(session, head)
    return media.ice if media is not None else None


def remote_fingerprints(session: SdpSession, head: str) -> tuple[Fingerprint, ...]:
    """The certificate fingerprints that a description gives for a transport."""
    media = described_by(session, head)
    return media.fingerprints if media is not None else ()


def candidates_of(description: Description, mid: str | None) -> tuple[tuple[Candidate, ...], bool]:
    """All candidates of a section: those in the text and those that came later; and whether that is all."""
    if mid is None:
        return (), False
    index = description.session.find(mid)
    if index is None:
        return (), False
    media = description.session.media[index]
    found = list(media.candidates)
    end = media.end_of_candidates
    for line in description.added[index]:
        if line.startswith("a=candidate:"):
            found.append(parse_candidate_untrusted(line))
        else:
            end = True
    return tuple(found), end
