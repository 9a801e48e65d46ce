"""RTCConfiguration and RTCIceServer: what the application asks for, and the check of it.

Owns: the two dictionaries as dataclasses (W3C spelling: this is the face), their conversion from mappings,
dataclasses and keywords, the complete validation. Never: I/O, asyncio, a partly read configuration. What
changes over time is in `manager`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, TypeVar

from rtcpeer import webidl
from rtcpeer.config.servers import IceServerEntry, parse_server_url, shown_url
from rtcpeer.errors import InvalidAccessError, NotSupportedError, RTCSyntaxError
from rtcpeer.records import record
from rtcpeer.values import BundlePolicy, IceTransportPolicy, RtcpMuxPolicy

_E = TypeVar("_E", bound=enum.StrEnum)

# RFC 8489 section 14.3: "less than 509 bytes"
_USERNAME_SIZE = 508


@record(slots=True)
class RTCIceServer:
    """One STUN or TURN server (webrtc-pc 4.2.2), with one or more URLs.

    Attributes:
        urls: a URL or a list of them; always a list in what `getConfiguration()` returns.
        username: required for turn: and turns:.
        credential: the password; required for turn: and turns:. Never shown by ``repr()``.
    """

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        urls = shown_url(self.urls) if isinstance(self.urls, str) else [shown_url(str(u)) for u in self.urls]
        shown = f"urls={urls!r}"
        if self.username is not None:
            shown += ", username=..."  # it may name a person, or be half of a credential that was bought
        if self.credential is not None:
            shown += ", credential=..."
        return f"RTCIceServer({shown})"


@record(slots=True)
class RTCConfiguration:
    """Parameters of a connection (webrtc-pc 4.2.1).

    The defaults name no server: nobody is contacted whom the application did not name.

    Attributes:
        iceServers: `RTCIceServer` objects or mappings with the same members.
        iceTransportPolicy: "all", or "relay" to use relayed candidates only.
        bundlePolicy: "balanced", "max-compat" or "max-bundle".
        rtcpMuxPolicy: "require"; "negotiate", which webrtc-pc no longer has, raises NotSupportedError.
        certificates: `RTCCertificate` objects; when empty, the connection makes one.
        iceCandidatePoolSize: 0..255, how many components gather before they are needed.
    """

    iceServers: list[RTCIceServer] = field(default_factory=list)
    iceTransportPolicy: IceTransportPolicy | str = IceTransportPolicy.ALL
    bundlePolicy: BundlePolicy | str = BundlePolicy.BALANCED
    rtcpMuxPolicy: RtcpMuxPolicy | str = RtcpMuxPolicy.REQUIRE
    certificates: list[Any] = field(default_factory=list)
    iceCandidatePoolSize: int = 0

    def __repr__(self) -> str:
        """The members that differ from the defaults."""
        told = []
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            default = one.default if one.default is not dataclasses.MISSING else []
            if value != default:
                shown = str(value) if isinstance(value, enum.Enum) else repr(value)
                told.append(f"{one.name}={shown}")
        return f"RTCConfiguration({', '.join(told)})"

    @property
    def entries(self) -> tuple[IceServerEntry, ...]:
        """Every URL of every server with its credentials, in the order given.

        Raises:
            RTCSyntaxError: a URL is malformed; never in a configuration that `read_configuration` returned.
        """
        return tuple(
            IceServerEntry(parse_server_url(url), server.username, server.credential)
            for server in self.iceServers
            for url in ([server.urls] if isinstance(server.urls, str) else server.urls)
        )


# the names that keywords may have
CONFIGURATION_MEMBERS = webidl.names(RTCConfiguration)


def read_configuration(value: Any = None, /, **members: Any) -> RTCConfiguration:
    """Convert and validate a configuration: all of it, or an exception and nothing.

    Implements: the WebIDL conversion of RTCConfiguration, then webrtc-pc 4.4.1.6 "set a configuration", steps
    4 to 6 (what does not depend on an earlier configuration).

    Args:
        value: None, a mapping with W3C member names (as `json.loads` gives), an `RTCConfiguration`, or
            another dataclass with these attributes. Unknown members are ignored, missing ones take their
            defaults.
        **members: single members, which win over those in `value`.

    Returns:
        A new configuration that shares no list with the argument. Enumerations are members of their enum,
        `urls` are lists. Certificates keep their identity.

    Raises:
        TypeError: a member has the wrong type or is not a value of its enumeration, or a keyword is no member;
            the message names both.
        RTCSyntaxError: a server URL is malformed, or a list of URLs is empty.
        InvalidAccessError: turn: or turns: without username or credential, or with one that TURN cannot
            carry.
        NotSupportedError: a server asks for a `credentialType` other than "password", or rtcpMuxPolicy is
            "negotiate".
    """
    configuration = convert_configuration(value, **members)
    if configuration.rtcpMuxPolicy == RtcpMuxPolicy.NEGOTIATE:
        raise NotSupportedError(
            "rtcpMuxPolicy 'negotiate' is not supported: RTCP shares RTP's port; leave it out, or say 'require'"
        )
    validate_servers(configuration)
    return configuration


def convert_configuration(value: Any = None, /, **members: Any) -> RTCConfiguration:
    """The first half of `read_configuration`: types and enumerations, which is all that raises TypeError."""
    webidl.check_keywords("RTCConfiguration", members, CONFIGURATION_MEMBERS)
    given = _members("RTCConfiguration", value) | members
    servers = webidl.sequence("iceServers", given.get("iceServers", ()))
    certificates = webidl.sequence("certificates", given.get("certificates", ()))
    for index, certificate in enumerate(certificates):
        if not (hasattr(certificate, "expires") and hasattr(certificate, "getFingerprints")):
            raise TypeError(
                f"certificates[{index}] must be an RTCCertificate, not {webidl.kind(certificate)}"
            )
    plain = RTCConfiguration()

    def choice(name: str, kind: type[_E]) -> _E:
        return webidl.enumeration(name, given.get(name, getattr(plain, name)), kind)

    return RTCConfiguration(
        iceServers=[_convert_server(f"iceServers[{index}]", server) for index, server in enumerate(servers)],
        iceTransportPolicy=choice("iceTransportPolicy", IceTransportPolicy),
        bundlePolicy=choice("bundlePolicy", BundlePolicy),
        rtcpMuxPolicy=choice("rtcpMuxPolicy", RtcpMuxPolicy),
        certificates=certificates,
        iceCandidatePoolSize=webidl.unsigned(
            "iceCandidatePoolSize", given.get("iceCandidatePoolSize", 0), webidl.OCTET
        ),
    )


def validate_servers(configuration: RTCConfiguration) -> None:
    """The second half of `read_configuration`: webrtc-pc 4.4.1.6 step 6 on a converted configuration.

    Step 5, truncating the list to what is supported, does nothing: there is no limit.
    """
    for index, server in enumerate(configuration.iceServers):
        if not server.urls:
            raise RTCSyntaxError(f"iceServers[{index}].urls is empty: a server has at least one URL")
        for url in server.urls:
            if parse_server_url(url).is_turn:
                _check_credential(f"iceServers[{index}]", "username", server.username, url)
                _check_credential(f"iceServers[{index}]", "credential", server.credential, url)


def check_certificates(configuration: RTCConfiguration, now: datetime | None = None) -> None:
    """Refuse expired certificates.

    Implements: webrtc-pc 4.4.1.1 (constructor) step 3. It is for new connections only: a certificate that
    expires later does not make `setConfiguration` fail.

    Args:
        configuration: a converted configuration.
        now: an aware datetime; the present when None.

    Raises:
        InvalidAccessError: a certificate has expired.
    """
    present = (now or datetime.now(UTC)).timestamp() * 1000
    for index, certificate in enumerate(configuration.certificates):
        expires = certificate.expires
        if isinstance(expires, datetime):
            expires = (expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp() * 1000
        if expires < present:
            raise InvalidAccessError(f"certificates[{index}] has expired")


def copy_configuration(configuration: RTCConfiguration) -> RTCConfiguration:
    """A copy down to the servers' lists of URLs; certificates keep their identity."""
    return dataclasses.replace(
        configuration,
        iceServers=[
            RTCIceServer(
                server.urls if isinstance(server.urls, str) else list(server.urls),
                server.username,
                server.credential,
            )
            for server in configuration.iceServers
        ],
        certificates=list(configuration.certificates),
    )


def _convert_server(name: str, value: Any) -> RTCIceServer:
    if value is None:
        raise TypeError(f"{name} must be an RTCIceServer or a mapping, not None")
    given = _members(name, value)
    if "urls" not in given:
        raise TypeError(f"{name}: the member 'urls' is required")
    urls = given["urls"]
    if isinstance(urls, str):
        urls = [urls]
    else:
        urls = webidl.sequence(f"{name}.urls", urls, what="a string or a sequence of strings")
    for index, url in enumerate(urls):
        if not isinstance(url, str):
            raise TypeError(f"{name}.urls[{index}] must be a string, not {webidl.kind(url)}")
    # A member of WebIDL's first edition: today it is unknown and would be ignored, with credentials that
    # cannot work.
    if given.get("credentialType") not in (None, "password"):
        raise NotSupportedError(f"{name}.credentialType: only 'password' is supported")
    # WebIDL makes the string "null" of null. In Python None means that there is none, in dataclasses and JSON alike
    return RTCIceServer(
        urls,
        webidl.optional_string(f"{name}.username", given.get("username")),
        webidl.optional_string(f"{name}.credential", given.get("credential")),
    )


def _check_credential(name: str, member: str, value: str | None, url: str) -> None:
    """Implements: webrtc-pc "validate an ICE server URL" step 7. Messages never show the value."""
    if value is None:
        raise InvalidAccessError(f"{name}: {url} needs a {member}, and there is none")
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidAccessError(f"{name}.{member} has characters that UTF-8 cannot carry") from None
    if member == "username" and len(encoded) > _USERNAME_SIZE:
        raise InvalidAccessError(
            f"{name}.username has {len(encoded)} bytes, a TURN user name at most {_USERNAME_SIZE}"
        )
    # RFC 8265 section 4.2 allows what is in the FreeformClass of RFC 8264, which no control character is
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise InvalidAccessError(f"{name}.{member} has control characters")


def _members(name: str, value: Any) -> dict[str, Any]:
    """The members of a dictionary argument, by name."""
    found = webidl.members(name, value)
    if isinstance(value, (Mapping, RTCConfiguration)):
        return found
    # in aiortc's dataclasses None is what a member is by default
    return {key: member for key, member in found.items() if member is not None}
