"""The configuration of a supervised peer: what is in force, and what its path may still depend on.

Owns: the configuration for the present and the next connection, the subscription to a provider, and the memory of
servers that were taken away while a path may run over them. Never: a decision to act now (that is `controller`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self

from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer, read_configuration
from rtcpeer.config.manager import Difference, difference
from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable, ServersSubscription
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.protocols import PeerConnection
from rtcpeer.supervisor.observe import ice_transports

# how long fresh servers are waited for (twilio-video's number)
FETCH_TIME = 3.0


class Servers:
    """The configuration of one supervised peer, and where its servers come from.

    Args:
        configuration: in force at first.
        provider: where servers come from; None leaves those of the configuration.
        failed: is told why servers could not be had.

    Attributes:
        configuration: in force.
    """

    def __init__(
        self,
        configuration: RTCConfiguration,
        provider: IceServerProvider | None,
        failed: Callable[[Exception], None],
    ) -> None:
        self.configuration: RTCConfiguration = configuration
        self._provider = provider
        self._failed = failed
        self._subscription: ServersSubscription | None = None
        self._recommended: list[RTCIceServer] = []  # by the signaling service, and in force
        # those that the path may still use, since others are in force
        self._outdated: RTCConfiguration | None = None
        # whether an attempt is under way that gathers from those in force
        self._renewing = False

    def subscribe(self, rotated: Callable[[IceServerGrant], None]) -> None:
        """Be told of other servers, and of failures to get some."""
        if self._provider is not None:
            self._subscription = self._provider.subscribe(rotated, self._failed)

    def close(self) -> None:
        """Be told no more."""
        if self._subscription is not None:
            self._subscription.close()

    def newest(self) -> RTCConfiguration:
        """A copy for a new connection, with the servers that the provider has at hand."""
        if self._provider is not None and self._provider.current is not None:
            self._put(self._provider.current.servers)
        return read_configuration(self.configuration)

    async def fetch(self, *, fresh: bool = False) -> bool:
        """Get the newest servers; those at hand stay if that takes too long or fails. Whether there are some."""
        if self._provider is None:
            return False
        try:
            async with asyncio.timeout(FETCH_TIME):
                servers = await self._provider.servers(fresh=fresh)
        except TimeoutError:
            late = f"the ICE servers took longer than {FETCH_TIME:g} s"
            self._failed(IceServersUnavailable(late, expires_in=self._provider.expires_in))
            return False
        except (IceServersUnavailable, InvalidStateError) as error:
            self._failed(error)
            return False
        self._put(servers)
        return True

    def recommend(self, servers: list[RTCIceServer]) -> bool:
        """Use what the signaling service recommends beside the application's own servers. Whether something changed.

        A provider knows better: with one, recommendations are passed over.
        """
        if self._provider is not None or servers == self._recommended:
            return False
        own = [s for s in self.configuration.iceServers if s not in self._recommended]
        self._recommended = list(servers)
        self._put(own + [server for server in servers if server not in own])
        return True

    def apply(self, pc: PeerConnection | None) -> None:
        """Put the servers in force into a connection that lives."""
        if pc is not None and str(pc.signalingState) != "closed":
            replace_servers(pc, self.configuration.iceServers)

    def rotate(self, pc: PeerConnection, grant: IceServerGrant) -> None:
        """Other servers are in force from now on; the path may still run over the former ones."""
        self._outdated = self._outdated or self.configuration
        self._renewing = False
        self._put(grant.servers)
        replace_servers(pc, grant.servers)

    def begin_attempt(self) -> None:
        """Note that what is gathered from now on comes from the servers in force."""
        self._renewing = True

    def begin_connection(self) -> None:
        """A connection that is new depends on nothing older."""
        self._outdated = None

    def is_restart_due(self, pc: PeerConnection, negotiated: Callable[[], bool]) -> bool:
        """Whether the path depends on servers that were taken away; asked once, then forgotten.

        Args:
            pc: the connection, which is connected.
            negotiated: whether both sides have new ICE credentials since the attempt began.
        """
        if self._outdated is None:
            return False
        change = difference(self._outdated, self.configuration)
        served = self._renewing and negotiated()
        self._outdated, self._renewing = None, False
        return not served and needs_restart(pc, change)

    def _put(self, servers: Any) -> None:
        self.configuration = read_configuration(self.configuration, iceServers=servers)


# ---- Replacing the ICE servers of a live connection, with a restart only where its path depends on the old ones.


def replace_servers(pc: PeerConnection, servers: Iterable[RTCIceServer]) -> Difference:
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


def needs_restart(pc: PeerConnection, change: Difference) -> bool:
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
        pc: PeerConnection,
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
