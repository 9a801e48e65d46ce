"""New ICE servers for a living connection, with a restart only where its path depends on the old ones.

Owns: the question whether it does; the wiring between a provider and one connection. Never: fetching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer, read_configuration
from rtcpeer.config.manager import Difference, difference
from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.supervisor.looking import ice_transports


def replace_servers(pc: Any, servers: Iterable[RTCIceServer]) -> Difference:
    """Replace the server list of a connection and nothing else of its configuration.

    Returns:
        What has changed; `needs_restart` tells what follows from it.

    Raises:
        InvalidStateError: the connection is closed.
        RTCSyntaxError, InvalidAccessError: a server is not valid; nothing was changed.
    """
    old: RTCConfiguration = pc.getConfiguration()
    new = read_configuration(old, iceServers=list(servers))
    pc.setConfiguration(new)
    return difference(read_configuration(old), new)


def needs_restart(pc: Any, change: Difference) -> bool:
    """Whether a path in use runs over a relay of a server that the change takes away.

    Others go on as they are: their next gathering uses the new servers anyway.
    """
    for transport in ice_transports(pc):
        pair = transport.getSelectedCandidatePair()
        local = getattr(pair, "local", None)
        if local is None or str(local.type) != "relay":
            continue
        url = getattr(local, "url", None)
        # a relay whose server is not known might be any of those that were taken away
        if change.touches(url) if url else bool(change.removed):
            return True
    return False


class Rotation:
    """Keeps the servers of one connection fresh, for applications that do without a supervisor.

        provider = IceServerProvider(fetch)
        pc = RTCPeerConnection(iceServers=await provider.servers())
        with Rotation(pc, provider):
            ...

    Args:
        pc: the connection.
        provider: where servers come from; one for all connections.
        on_error: called when fetching failed or an answer could not be applied.
    """

    def __init__(
        self,
        pc: Any,
        provider: IceServerProvider,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._pc = pc
        self._on_error = on_error
        self._subscription = provider.subscribe(self._replace, self._failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Follow the provider no more. Idempotent."""
        self._subscription.close()

    def _replace(self, grant: IceServerGrant) -> None:
        if self._pc.signalingState == "closed":
            self.close()
            return
        try:
            change = replace_servers(self._pc, grant.servers)
            if needs_restart(self._pc, change):
                self._pc.restartIce()
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)
        elif not isinstance(error, IceServersUnavailable):  # those the provider keeps as `last_error`
            raise error
