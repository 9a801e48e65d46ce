"""The protocol of services: what `join` needs of a kind of call.

To add a service, write a class with the methods of `CallService` and a factory (often the class itself) that takes a
`JoinRequest`, and name the factory in the entry points of your package:

    [project.entry-points."rtcpeer.calls"]
    mine = "my_package.calls:MyService"          # join("mine+wss://example.org/room")

The factory makes no connection and raises `TypeError` or `ValueError` for a request that makes no sense
(`JoinRequest.take` and `check_options` help). Then `enter` is awaited. From there on the service tells its `CallHost`
what happens, and carries out what the call asks for:

    join() -> factory(request) -> enter(host)
                                    host.entered(id)                     who we are
                                    host.participant_joined(id, name)    those who are there and those who come
                                    host.track_subscribed(id, name, track), ...
    call.publish(track)  -> publish(publication)
    call.send(data, to)  -> send(data, to)
    call.close()         -> leave()
                                    host.ended(reason)                   when the service itself ends the call

Rules. Media run on supervised connections: `host.supervise(channel)` makes one, with the configuration and settings of
the call; the service closes it. A remote track is one object for as long as its participant publishes it. Tasks are
begun by `host.spawn`, which the call awaits. Nothing that the other side says raises out of the service: it is counted
with `host.ignored(what)`, or the call ends with a reason. `leave` takes everything back (sessions, handles, sockets),
is bounded in time and may be called at any moment, also after a failed or cancelled `enter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rtcpeer.calls.host import CallHost
from rtcpeer.calls.participant import Participant, Publication


class CallService(Protocol):
    """A service: how a call is entered and left, and how its orders are carried out. See the module."""

    async def enter(self, host: CallHost) -> None:
        """Enter the call. Afterwards `host.id` is known, and those who are there are told or will be soon.

        Raises:
            SignalingRefused: the service does not let us in.
            NetworkError, RTCTimeoutError: it cannot be reached or does not answer.
        """
        ...

    async def publish(self, publication: Publication) -> None:
        """Send a track to all, now and to those who come later.

        Raises:
            NotSupportedError: the service cannot carry it.
            SignalingRefused, NetworkError: it was not published.
        """
        ...

    async def unpublish(self, publication: Publication) -> None:
        """Send it no more."""
        ...

    async def set_muted(self, publication: Publication) -> None:
        """Put `publication.muted` into force and tell the others."""
        ...

    async def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Tell all what we say of ourselves, now and those who come later.

        Raises:
            NotSupportedError: the service has no such thing.
        """
        ...

    async def send(self, data: Any, to: Participant | None) -> None:
        """Send a message to one participant, or (None) to all.

        Raises:
            NotSupportedError: the service has no such thing.
            InvalidStateError: there is no connection for it, and it cannot wait.
        """
        ...

    async def leave(self) -> None:
        """Leave, and leave nothing behind. Idempotent, bounded; failures are not raised."""
        ...
