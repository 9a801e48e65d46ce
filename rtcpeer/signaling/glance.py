"""Facts of a description that can be read without parsing it: its session, its version, its ICE credentials.

Owns: a few regular expressions over lines. Never: parsing for real (the connection does that, and refuses
what is wrong), an exception because of what the text says.
"""

from __future__ import annotations

import re

_ORIGIN = re.compile(r"^o=\S+ (\d{1,20}) (\d{1,20}) ", re.MULTILINE)
_UFRAG = re.compile(r"^a=ice-ufrag:(\S{4,256})\s*$", re.MULTILINE)
_FINGERPRINT = re.compile(r"^a=fingerprint:(\S+ \S+)\s*$", re.MULTILINE)
_CANDIDATE_UFRAG = re.compile(r" ufrag (\S{4,256})(?: |$)")
# what changes in a description while candidates are gathered
_TRICKLED = re.compile(r"^(?:a=candidate:|a=end-of-candidates|a=rtcp:|c=).*\n?", re.MULTILINE)
_PORT = re.compile(
    r"^(m=\w+) [1-9]\d*", re.MULTILINE
)  # port 0 means rejected, and is no matter of candidates


def origin_untrusted(sdp: str) -> tuple[str, int] | None:
    """Session id and version (RFC 8866 section 5.2); None when there is no readable ``o=`` line.

    RFC 9429 section 5.2.1: the id is random and stays for the life of a connection, the version grows. So
    another id is another connection, and a smaller version is an older description.
    """
    found = _ORIGIN.search(sdp)
    return (found[1], int(found[2])) if found else None


def is_other_connection_untrusted(before: str, now: str) -> bool:
    """Whether two descriptions come from two different connections: the remote side has begun anew.

    The session ids tell. Some stacks (aiortc) take a new id, equal to the version, for every description:
    between two of those the certificates' fingerprints tell.
    """
    first, second = origin_untrusted(before), origin_untrusted(now)
    if first is None or second is None or first[0] == second[0]:
        return False
    if all(identity == str(version) for identity, version in (first, second)):
        return not set(_FINGERPRINT.findall(before)) & set(_FINGERPRINT.findall(now))
    return True


def ufrags_untrusted(sdp: str) -> frozenset[str]:
    """The ICE user fragments of all sections."""
    return frozenset(_UFRAG.findall(sdp))


def essence_untrusted(sdp: str) -> str:
    """The description without its candidates: equal for two copies that were sent while gathering."""
    return _PORT.sub(r"\1 9", _TRICKLED.sub("", sdp.replace("\r\n", "\n")))


def candidates_untrusted(sdp: str) -> list[dict[str, str | int]]:
    """The candidates in a description, in the form of RTCIceCandidateInit."""
    found: list[dict[str, str | int]] = []
    session, *sections = re.split(r"^m=", sdp.replace("\r\n", "\n"), flags=re.MULTILINE)
    common = _UFRAG.search(session)
    for index, section in enumerate(sections):
        mid = re.search(r"^a=mid:(\S+)$", section, re.MULTILINE)
        ufrag = _UFRAG.search(section) or common
        for candidate in re.findall(r"^a=(candidate:.*)$", section, re.MULTILINE):
            init: dict[str, str | int] = {"candidate": candidate.strip(), "sdpMLineIndex": index}
            if mid:
                init["sdpMid"] = mid[1]
            if ufrag:
                init["usernameFragment"] = ufrag[1]
            found.append(init)
    return found


def candidate_ufrag_untrusted(candidate: str) -> str | None:
    """The user fragment that a candidate line itself carries (RFC 8839 section 5.1), if any."""
    found = _CANDIDATE_UFRAG.search(candidate)
    return found[1] if found else None
