"""`join`: from a URL to a call. Which service a scheme means is said by entry points.

Owns: the reading of the URL, the table of services. Never: a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final
from urllib.parse import urlsplit

from rtcpeer.calls.call import Joining
from rtcpeer.calls.request import JoinRequest
from rtcpeer.calls.service import CallService
from rtcpeer.config.configuration import read_configuration
from rtcpeer.lazy import import_part

GROUP: Final = "rtcpeer.calls"
# The services of this package, as its entry points name them: a program that was frozen has no entry points.
OWN: Final[Mapping[str, str]] = {
    "room": "rtcpeer.calls.rooms:RoomService",
    "janus": "rtcpeer.calls.janus.services:janus_service",
    "rtcmc": "rtcpeer.calls.rtcmulticonnection:RtcmcService",
    "peerjs": "rtcpeer.calls.peerjs.service:PeerJSService",
    "livekit": "rtcpeer.calls.livekit.room:LiveKitRoom",
    "whip": "rtcpeer.calls.whip:WhipService",
    "whep": "rtcpeer.calls.whip:WhepService",
}
_TRANSPORTS: Final = ("ws", "wss", "http", "https")


def services() -> dict[str, str]:
    """The services that are installed: the first part of their schemes, and where their factories are."""
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**found, **OWN}


def join(
    url: str,
    *,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    token: str | None = None,
    configuration: Any = None,
    iceServers: Iterable[Any] | None = None,
    timeout: float = 15.0,
    **options: Any,
) -> Joining:
    """Join a call.

        async with join("janus+ws://localhost:8188/?room=1234", name="bot") as call:
            async for event in call.events():
                ...

    Args:
        url: service, transport and place: "room+wss://...", "janus+ws://...". See docs/calls.md for each service.
        name: how we are called in the call.
        metadata: what we say of ourselves; a mapping that JSON can carry.
        token: a credential for the service, if it wants one. It appears in no log.
        configuration: as for RTCPeerConnection, for all connections of the call.
        iceServers: the servers alone. Without any, those that the service recommends are used.
        timeout: how long entering may take, in seconds.
        **options: of the service.

    Returns:
        To be awaited, or used with `async with`; either gives the `Call`.

    Raises:
        ValueError: the URL names no service that is installed, or makes no sense to it.
        TypeError: an option is not known to the service.
        ModuleNotFoundError: the service needs an extra of the package that is not installed; it says which one.
    Awaiting it raises:
        SignalingRefused: the service does not let us in.
        NetworkError, RTCTimeoutError: it cannot be reached, or does not answer.
    """
    factory, plain = _service_of(url)
    members = {} if iceServers is None else {"iceServers": list(iceServers)}
    request = JoinRequest(
        plain,
        name=name,
        metadata=dict(metadata or {}),
        token=token,
        configuration=read_configuration(configuration, **members),
        timeout=timeout,
        options=options,
    )
    return Joining(request, factory(request))


def _service_of(url: str) -> tuple[Callable[[JoinRequest], CallService], str]:
    scheme, colon, rest = url.partition("://")
    service, plus, transport = scheme.lower().partition("+")
    known = services()
    if not colon or not plus or service not in known or transport not in _TRANSPORTS:
        names = ", ".join(f"{name}+..." for name in sorted(known))
        raise ValueError(f"{url.split('?')[0][:80]!r} names no service of calls; there are {names}")
    plain = f"{transport}://{rest}"
    if not urlsplit(plain).hostname:
        raise ValueError(f"{url.split('?')[0][:80]!r} names no host")
    module, _, attribute = known[service].partition(":")
    factory: Callable[[JoinRequest], CallService] = getattr(import_part(module), attribute)
    return factory, plain
