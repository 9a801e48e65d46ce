"""RTCSessionDescription and RTCIceCandidate, and their reading from whatever signaling delivers.

Owns: the two classes, their JSON form, the readers of arguments, and which objects a connection has shown. Never: a
rule about the state of a connection (that is `jsep`) or a grammar (that is `sdp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rtcpeer import webidl
from rtcpeer.errors import RTCSyntaxError
from rtcpeer.jsep.descriptions import Description
from rtcpeer.records import record
from rtcpeer.sdp.candidate import candidate_to_text, parse_candidate_untrusted
from rtcpeer.values import Candidate, CandidateType, SdpType

__all__ = [
    "CandidateInit",
    "DescriptionInit",
    "RTCIceCandidate",
    "RTCSessionDescription",
    "RTCSessionDescriptionInit",
    "read_candidate",
    "read_description",
]

_COMPONENTS = {1: "rtp", 2: "rtcp"}
_CANDIDATE_MEMBERS = ("candidate", "sdpMid", "sdpMLineIndex", "usernameFragment", "relayProtocol", "url")
_RELAY_PROTOCOLS = ("udp", "tcp", "tls")


class RTCSessionDescription:
    """A session description (webrtc-pc 4.6.2): its type, and its SDP as text. Read-only.

    Args:
        init: a mapping (such as a browser's JSON) or an object with ``type`` and ``sdp``; or the text, with
            `type` as second argument (aiortc's order).
        type, sdp: the members, also as keywords.

    Attributes:
        type: "offer", "pranswer", "answer" or "rollback".
        sdp: the text; "" for a rollback.

    Raises:
        TypeError: type is missing or unknown, or sdp is no string.
    """

    __slots__ = ("_sdp", "_type")

    def __init__(self, init: Any = None, type: Any = None, *, sdp: Any = None) -> None:
        if isinstance(init, str):
            init = {"sdp": init}
        given = _description_members(init, type=type, sdp=sdp)
        kind = webidl.required("RTCSessionDescriptionInit", given, "type")
        self._type = webidl.enumeration("type", kind, SdpType)
        self._sdp = webidl.string("sdp", given.get("sdp") or "")

    @property
    def type(self) -> SdpType:
        """The type of the description: "offer", "answer", "pranswer" or "rollback"."""
        return self._type

    @property
    def sdp(self) -> str:
        """The text of the description."""
        return self._sdp

    def toJSON(self) -> dict[str, str]:
        """The description as a mapping, as a browser's ``new RTCSessionDescription(...)`` takes it."""
        return {"type": self._type.value, "sdp": self._sdp}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RTCSessionDescription):
            return self._type == other._type and self._sdp == other._sdp
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._type, self._sdp))

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self._type.value}, {len(self._sdp)} characters>"


class RTCSessionDescriptionInit(RTCSessionDescription):
    """A description as `createOffer` and `createAnswer` return it.

    In W3C it is a dictionary, so a program may change it before it applies it.
    """

    __slots__ = ()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it can change

    @property
    def type(self) -> SdpType:
        """The type of the description: "offer", "answer", "pranswer" or "rollback"."""
        return self._type

    @type.setter
    def type(self, value: str) -> None:
        self._type = webidl.enumeration("type", value, SdpType)

    @property
    def sdp(self) -> str:
        """The text of the description."""
        return self._sdp

    @sdp.setter
    def sdp(self, value: str) -> None:
        self._sdp = webidl.string("sdp", value)


@record(frozen=True, slots=True)
class DescriptionInit:
    """A description argument, converted. `type` is None only for `setLocalDescription`: "what fits now"."""

    type: SdpType | None
    sdp: str


def read_description(value: Any = None, /, *, local: bool = False, **keywords: Any) -> DescriptionInit:
    """Convert the argument of `setLocalDescription` or `setRemoteDescription`.

    Implements: the WebIDL conversion of RTC(Local)SessionDescriptionInit (webrtc-pc 4.6.3).

    Args:
        value: a mapping, an `RTCSessionDescription`, aiortc's, any object with ``type`` and ``sdp``, or None.
        local: type may be absent.
        **keywords: the members; they win.

    Raises:
        TypeError: type is missing (unless `local`) or unknown, or sdp is no string.
    """
    given = _description_members(value, **keywords)
    kind = given.get("type")
    sdp = webidl.string("sdp", given.get("sdp") or "")
    if kind is None:
        if not local:
            raise TypeError("RTCSessionDescriptionInit: the member 'type' is required")
        return DescriptionInit(None, sdp)
    return DescriptionInit(webidl.enumeration("type", kind, SdpType), sdp)


def _description_members(value: Any, **keywords: Any) -> dict[str, Any]:
    webidl.check_keywords("RTCSessionDescriptionInit", keywords, ("type", "sdp"))
    keywords = {name: member for name, member in keywords.items() if member is not None}
    if value is None or isinstance(value, Mapping):
        return webidl.members("RTCSessionDescriptionInit", value) | keywords
    if hasattr(value, "type") and hasattr(value, "sdp"):
        return {"type": value.type, "sdp": value.sdp} | keywords
    return webidl.members("RTCSessionDescriptionInit", value) | keywords


class RTCIceCandidate:
    """A candidate and its place in a description (webrtc-pc 4.8.1). Read-only.

    A candidate text that cannot be read is kept as it is, and what would be read from it is None.

    Args:
        init: a mapping (such as a browser's JSON) or another candidate; members also as keywords: candidate,
            sdpMid, sdpMLineIndex, usernameFragment, relayProtocol, url.

    Raises:
        TypeError: neither sdpMid nor sdpMLineIndex is given, or a member has the wrong type.
    """

    __slots__ = (
        "_candidate",
        "_mid",
        "_mline_index",
        "_parsed",
        "_relay_protocol",
        "_ufrag",
        "_url",
    )

    def __init__(self, init: Any = None, **keywords: Any) -> None:
        given = _candidate_members(init, keywords)
        converted = _convert_candidate(given)
        if converted.mid is None and converted.mline_index is None:
            raise TypeError("RTCIceCandidate needs sdpMid or sdpMLineIndex")
        relay_protocol = webidl.optional_string("relayProtocol", given.get("relayProtocol"))
        if relay_protocol is not None and relay_protocol not in _RELAY_PROTOCOLS:
            raise TypeError(f"relayProtocol must be one of 'udp', 'tcp', 'tls', not {relay_protocol!r}")
        url = webidl.optional_string("url", given.get("url"))
        self._set(converted, _parse(converted.candidate), relay_protocol, url)

    def _set(
        self, init: CandidateInit, parsed: Candidate | None, relay_protocol: str | None, url: str | None
    ) -> None:
        self._candidate = init.candidate
        self._mid = init.mid
        self._mline_index = init.mline_index
        self._ufrag = init.ufrag
        self._parsed = parsed
        self._relay_protocol = relay_protocol
        self._url = url

    @property
    def candidate(self) -> str:
        """The candidate attribute; "" for end-of-candidates."""
        return self._candidate

    @property
    def sdpMid(self) -> str | None:
        """The identification tag of its media section."""
        return self._mid

    @property
    def sdpMLineIndex(self) -> int | None:
        """The index of its media section, from 0."""
        return self._mline_index

    @property
    def usernameFragment(self) -> str | None:
        """The ufrag of its generation."""
        return self._ufrag

    @property
    def foundation(self) -> str | None:
        """Equal for candidates that share type, base and server."""
        return None if self._parsed is None else self._parsed.foundation

    @property
    def component(self) -> str | None:
        """The component: "rtp" or "rtcp"."""
        return None if self._parsed is None else _COMPONENTS[self._parsed.component]

    @property
    def priority(self) -> int | None:
        """The priority of the candidate."""
        return None if self._parsed is None else self._parsed.priority

    @property
    def address(self) -> str | None:
        """IP address or name."""
        return None if self._parsed is None else self._parsed.address

    @property
    def ip(self) -> str | None:
        """`address`, under the name that aiortc has for it."""
        return self.address

    @property
    def protocol(self) -> str | None:
        """The transport protocol: "udp" or "tcp"."""
        return None if self._parsed is None else self._parsed.protocol

    @property
    def port(self) -> int | None:
        """The port of the candidate."""
        return None if self._parsed is None else self._parsed.port

    @property
    def type(self) -> CandidateType | None:
        """The type of the candidate: "host", "srflx", "prflx" or "relay"."""
        return None if self._parsed is None else self._parsed.type

    @property
    def tcpType(self) -> str | None:
        """The TCP type, by who connects: "active", "passive" or "so"; None for UDP."""
        return None if self._parsed is None else self._parsed.tcp_type

    @property
    def relatedAddress(self) -> str | None:
        """The address it is derived from."""
        return None if self._parsed is None else self._parsed.related_address

    @property
    def relatedPort(self) -> int | None:
        """The port it is derived from."""
        return None if self._parsed is None else self._parsed.related_port

    @property
    def relayProtocol(self) -> str | None:
        """The transport to the TURN server: "udp", "tcp" or "tls"; of local relay candidates only."""
        return self._relay_protocol

    @property
    def url(self) -> str | None:
        """The server it came from; local candidates only."""
        return self._url

    def toJSON(self) -> dict[str, Any]:
        """The candidate as a mapping for a browser's ``new RTCIceCandidate(...)``; url and relayProtocol are local."""
        return {
            "candidate": self._candidate,
            "sdpMid": self._mid,
            "sdpMLineIndex": self._mline_index,
            "usernameFragment": self._ufrag,
        }

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RTCIceCandidate):
            return self.toJSON() == other.toJSON()
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._candidate, self._mid, self._mline_index, self._ufrag))

    def __repr__(self) -> str:
        shown = self._candidate.partition(":")[2] or self._candidate or "end of candidates"
        return f"<RTCIceCandidate {shown}, mid {self._mid}>"


def candidate_of(
    candidate: Candidate | None,
    *,
    mid: str | None = None,
    mline_index: int | None = None,
    ufrag: str | None = None,
    text: str | None = None,
) -> RTCIceCandidate:
    """The face of a candidate of the floors below, or (None) of an end-of-candidates indication.

    Args:
        candidate: what was found.
        mid: of its section; None, and the index too, for a candidate that was never signaled.
        mline_index: of its section.
        ufrag: of its generation.
        text: the candidate as it was signaled, if it was.
    """
    face = RTCIceCandidate.__new__(RTCIceCandidate)
    if text is None:
        text = "" if candidate is None else candidate_to_text(candidate)
    init = CandidateInit(text, mid, mline_index, ufrag)
    if candidate is None:
        face._set(init, None, None, None)
    else:
        face._set(init, candidate, candidate.relay_protocol, candidate.url)
    return face


def parsed_candidate(candidate: RTCIceCandidate) -> Candidate | None:
    """A candidate as the floors below speak of it; None when it cannot be read."""
    return candidate._parsed


@record(frozen=True, slots=True)
class CandidateInit:
    """A candidate argument, converted.

    Attributes:
        candidate: the text; "" at the end of candidates.
    """

    candidate: str
    mid: str | None
    mline_index: int | None
    ufrag: str | None


def read_candidate(value: Any = None, /, **keywords: Any) -> CandidateInit:
    """Convert the argument of `addIceCandidate`.

    Implements: the WebIDL conversion of RTCIceCandidateInit; webrtc-pc "addIceCandidate" step 3 (TypeError).

    Args:
        value: None or "" (the end of all candidates), a mapping from a browser, an `RTCIceCandidate`, or
            aiortc's.
        **keywords: the members; they win.

    Raises:
        TypeError: a candidate without sdpMid and sdpMLineIndex, or a member of the wrong type.
    """
    if value is None or value == "":
        value = {}
    init = _convert_candidate(_candidate_members(value, keywords))
    if init.candidate and init.mid is None and init.mline_index is None:
        raise TypeError("a candidate needs sdpMid or sdpMLineIndex to say which section it belongs to")
    return init


def _convert_candidate(given: Mapping[str, Any]) -> CandidateInit:
    text = webidl.string("candidate", given.get("candidate") or "")
    return CandidateInit(
        text,
        webidl.optional_string("sdpMid", given.get("sdpMid")),
        webidl.optional_unsigned("sdpMLineIndex", given.get("sdpMLineIndex"), webidl.UNSIGNED_SHORT),
        webidl.optional_string("usernameFragment", given.get("usernameFragment")),
    )


def _parse(text: str) -> Candidate | None:
    """webrtc-pc "creating an RTCIceCandidate": a failure, or a value no attribute can have, gives nothing."""
    if not text:
        return None
    try:
        candidate = parse_candidate_untrusted(text)
    except RTCSyntaxError:
        return None
    return candidate if candidate.component in _COMPONENTS else None


def _candidate_members(value: Any, keywords: dict[str, Any]) -> dict[str, Any]:
    webidl.check_keywords("RTCIceCandidateInit", keywords, _CANDIDATE_MEMBERS)
    if isinstance(value, RTCIceCandidate):
        given = value.toJSON() | {"relayProtocol": value.relayProtocol, "url": value.url}
    elif not isinstance(value, Mapping) and hasattr(value, "foundation") and hasattr(value, "ip"):
        given = _from_aiortc(value)
    else:
        given = webidl.members("RTCIceCandidateInit", value)
    return given | keywords


def _from_aiortc(value: Any) -> dict[str, Any]:
    """The members of aiortc's RTCIceCandidate, which has the parts of the text but not the text."""
    try:
        candidate = Candidate(
            # `candidate_from_sdp` counts a "candidate:" in front, as browsers send it, to the foundation
            foundation=str(value.foundation).removeprefix("candidate:"),
            component=int(value.component),
            protocol=str(value.protocol).lower(),
            priority=int(value.priority),
            address=str(value.ip),
            port=int(value.port),
            type=CandidateType(value.type),
            related_address=value.relatedAddress,
            related_port=value.relatedPort,
            tcp_type=value.tcpType,
        )
    except (ValueError, AttributeError) as error:
        raise TypeError(f"not a candidate: {error}") from error
    return {
        "candidate": candidate_to_text(candidate),
        "sdpMid": value.sdpMid,
        "sdpMLineIndex": value.sdpMLineIndex,
    }


class ShownDescriptions:
    """The objects that the description attributes of one RTCPeerConnection give."""

    def __init__(self) -> None:
        # replaced whole, never changed
        self._shown: tuple[tuple[Description, RTCSessionDescription], ...] = ()

    def show(self, description: Description | None) -> RTCSessionDescription | None:
        """The object of a description; the same one as long as the description has not changed."""
        if description is None:
            return None
        for known, face in self._shown:
            if known is description:
                return face
        face = RTCSessionDescription(type=description.type.value, sdp=description.text)
        # no more than one each is in force; an old one that is asked for again is simply made again
        self._shown = (*self._shown[-3:], (description, face))
        return face
