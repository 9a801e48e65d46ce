"""ICE servers as services hand them out, read into `RTCIceServer` objects.

Owns: the JSON of Twilio, Cloudflare, Amazon Kinesis Video, the TURN REST draft (coturn), W3C's own form, and
the Link headers of WHIP (RFC 9725). Never: a request; whoever fetched the answer passes its body (text,
bytes, or what `json.loads` made of it) or its headers.

Everything here comes from outside: whatever is wrong with it is an `RTCSyntaxError` whose fault is "remote",
names the place, and shows no credential.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rtcpeer.config.configuration import RTCIceServer, read_configuration
from rtcpeer.config.servers import parse_server_url
from rtcpeer.errors import RtcPeerError, RTCSyntaxError
from rtcpeer.records import record

# an answer of any of these services has a few kilobytes
_MAX_SIZE = 1_000_000
_MAX_SERVERS = 1_000


@record(frozen=True, slots=True)
class IceServerGrant:
    """Servers, and for how long their credentials are good.

    Attributes:
        servers: validated.
        ttl: seconds from the moment of the answer; None when it did not say.
        dropped: what of the answer cannot be used, a sentence for each URL or server, without credentials.
    """

    servers: tuple[RTCIceServer, ...]
    ttl: float | None = None
    dropped: tuple[str, ...] = ()


def read_ice_servers(document: Any) -> IceServerGrant:
    """Read any of the JSON forms below: which one it is shows in its members.

    Raises:
        RTCSyntaxError: it is none of them, or not valid.
    """
    value = _load(document)
    if isinstance(value, Mapping):
        if "ice_servers" in value:
            return read_twilio(value)
        if "IceServerList" in value:
            return read_kinesis_video(value)
        if "uris" in value:
            return read_rest(value)
        if "iceServers" in value:
            return read_cloudflare(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        return _grant(value, None)
    raise _wrong("it has none of: iceServers, ice_servers, IceServerList, uris")


def read_twilio(document: Any) -> IceServerGrant:
    """Twilio's "Network Traversal Service Token": ``ice_servers`` and ``ttl`` (a string of seconds)."""
    value = _object(document)
    return _grant(_required(value, "ice_servers"), value.get("ttl"))


def read_cloudflare(document: Any) -> IceServerGrant:
    """Cloudflare's ``iceServers``, one object or a list of them; also W3C's own form.

    Cloudflare repeats no time to live: it is what the request asked for, and the caller knows it.
    A ``ttl`` or ``lifetimeDuration`` ("86400s", as Google's services write it) is read where there is one.
    """
    value = _object(document)
    servers = _required(value, "iceServers")
    if isinstance(servers, Mapping):
        servers = [servers]
    return _grant(servers, value.get("ttl", value.get("lifetimeDuration")))


def read_kinesis_video(document: Any) -> IceServerGrant:
    """Amazon's GetIceServerConfig: ``IceServerList`` of ``Uris``, ``Username``, ``Password``, ``Ttl``.

    Amazon's STUN server is not in the answer and is not added. The shortest ``Ttl`` is the grant's.
    """
    value = _object(document)
    entries = _list("IceServerList", _required(value, "IceServerList"))
    servers = []
    lives = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise _wrong(f"IceServerList[{index}] is not an object")
        servers.append(
            {
                "urls": entry.get("Uris"),
                "username": entry.get("Username"),
                "credential": entry.get("Password"),
            }
        )
        life = _seconds(entry.get("Ttl"))
        if life is not None:
            lives.append(life)
    return _grant(servers, min(lives, default=None))


def read_rest(document: Any) -> IceServerGrant:
    """The answer of draft-uberti-behave-turn-rest-00: ``username``, ``password``, ``ttl``, ``uris``."""
    value = _object(document)
    server = {
        "urls": _required(value, "uris"),
        "username": value.get("username"),
        "credential": value.get("password"),
    }
    return _grant([server], value.get("ttl"))


def read_link_headers(headers: str | Iterable[str]) -> IceServerGrant:
    """The ``Link`` headers of a WHIP or WHEP answer (RFC 9725 section 4.6, RFC 8288 section 3).

    Args:
        headers: the values of all Link headers of the answer; one value may hold several links. Links with
            another relation than "ice-server" are passed over.

    Raises:
        RTCSyntaxError: a header is not a list of links, or an ice-server link is not valid.
    """
    values = [headers] if isinstance(headers, str) else list(headers)
    if sum(map(len, values)) > _MAX_SIZE:
        raise _wrong("the Link headers are longer than a megabyte")
    servers = []
    for value in values:
        for url, parameters in _links(value):
            if "ice-server" in parameters.get("rel", "").lower().split():
                servers.append(
                    {
                        "urls": url,
                        "username": parameters.get("username"),
                        "credential": parameters.get("credential"),
                        "credentialType": parameters.get("credential-type"),
                    }
                )
    return _grant(servers, None)


# RFC 8288 section 3; a parameter's value is a token or a quoted string
_BLANK = re.compile(r"[\s,]*")
_LINK = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER = re.compile(
    r"\s*;\s*(?:([^\s\"(),/:;<=>?@\[\\\]{}]+)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",;]*)))?)?"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_END = re.compile(r"\s*(?:,|$)")


def _links(header: str) -> Iterable[tuple[str, dict[str, str]]]:
    position = 0
    while _BLANK.fullmatch(header, position) is None:
        link = _LINK.match(header, position)
        if link is None:
            raise _wrong("a Link header is not a list of <url>; name=value")
        position = link.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(header, position):
            position = found.end()
            if found[1]:
                value = _ESCAPE.sub(r"\1", found[2]) if found[2] is not None else found[3] or ""
                parameters.setdefault(found[1].lower(), value)  # RFC 8288 section 3.3: the first rel counts
        end = _END.match(header, position)
        if end is None:
            raise _wrong("a Link header has something unreadable after a link")
        position = end.end()
        yield link[1].strip(), parameters


def _grant(servers: Any, ttl: Any) -> IceServerGrant:
    entries = _list("the list of servers", servers)
    normalised = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise _wrong(f"server {index} is not an object")
        server = dict(entry)
        if server.get("urls") is None and isinstance(server.get("url"), str):
            server["urls"] = server["url"]  # the name before 2014, which services still repeat
        normalised.append(server)
    servers, dropped = usable_servers(normalised)
    return IceServerGrant(servers, _seconds(ttl), dropped)


def usable_servers(servers: Sequence[Any]) -> tuple[tuple[RTCIceServer, ...], tuple[str, ...]]:
    """The servers of a service's answer that can be used, and why the others cannot.

    Services write URLs that no browser takes beside good ones ("stun:...?transport=udp" is a classic); one of them must
    not cost the others.

    Args:
        servers: mappings, or `RTCIceServer` objects.

    Raises:
        RTCSyntaxError: there are servers, and none can be used.
    """
    good: list[RTCIceServer] = []
    dropped: list[str] = []
    for index, server in enumerate(servers):
        whole = isinstance(server, RTCIceServer)
        entry = {m: getattr(server, m) for m in ("urls", "username", "credential")} if whole else dict(server)
        if isinstance(entry.get("urls"), str):
            entry["urls"] = [entry["urls"]]
        if isinstance(entry.get("urls"), list | tuple):
            entry["urls"] = [url for url in entry["urls"] if _is_usable(url, dropped)]
            if not entry["urls"] and dropped:
                continue
        try:
            good += read_configuration({"iceServers": [entry]}).iceServers
        except (RtcPeerError, TypeError) as error:
            dropped.append(str(error).replace("iceServers[0]", f"server {index}"))
    if dropped and not good:
        raise _wrong("; ".join(dropped[:3]))
    return tuple(good), tuple(dropped)


def _is_usable(url: Any, dropped: list[str]) -> bool:
    if not isinstance(url, str):
        dropped.append("a URL of an ICE server is no text")
        return False
    try:
        parse_server_url(url)
    except RTCSyntaxError as error:
        dropped.append(str(error))
        return False
    return True


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip().removesuffix("s")
    try:
        if isinstance(value, bool):
            raise TypeError
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong("the time to live is not a number") from None
    if not math.isfinite(seconds):
        raise _wrong("the time to live is not a finite number")
    return seconds


def _load(document: Any) -> Any:
    if not isinstance(document, (str, bytes, bytearray)):
        return document
    if len(document) > _MAX_SIZE:
        raise _wrong("it is longer than a megabyte")
    try:
        return json.loads(document)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError too
        raise _wrong("it is not JSON") from None


def _object(document: Any) -> Mapping[str, Any]:
    value = _load(document)
    if not isinstance(value, Mapping):
        raise _wrong("it is not an object")
    return value


def _required(value: Mapping[str, Any], member: str) -> Any:
    if member not in value:
        raise _wrong(f"the member {member!r} is missing")
    return value[member]


def _list(name: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise _wrong(f"{name} is not a list")
    if len(value) > _MAX_SERVERS:
        raise _wrong(f"{name} has more than {_MAX_SERVERS} items")
    return value


def _wrong(reason: str) -> RTCSyntaxError:
    return RTCSyntaxError(f"not an answer with ICE servers: {reason}", fault="remote")
