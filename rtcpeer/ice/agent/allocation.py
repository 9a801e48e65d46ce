"""Allocation of a relayed address at one TURN server: its addresses are tried in turn, redirections followed.

Owns: the attempts, and what is done about each refusal.  What comes of it, the gathering tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rtcpeer.dtls.trust import client_connection
from rtcpeer.ice.agent.pool import BasePool
from rtcpeer.ice.agent.relay import RelayPath
from rtcpeer.ice.agent.sockets import BaseContext
from rtcpeer.ice.candidates import canonical_address, is_ipv6, reach_of
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, Interface, Network
from rtcpeer.net.system import default_tls_context
from rtcpeer.turn.client import Allocated, Lost, Refused

if TYPE_CHECKING:
    from rtcpeer.config.servers import IceServerEntry, ServerUrl

# Head start of a server's first address before its other family is tried (RFC 8305 would say 0.25 s; a TURN
# server charges us for a second allocation, so be slower).
_FAMILY_STAGGER = 1.0
_MAX_REDIRECTS = 2
# A server that takes our address for one in use (437) is asked from three in all (RFC 8656 7.4).
_MAX_MISMATCHES = 2
# How long the server of a standing allocation may take to say that it stands, before another is asked for.
_VERIFY_TIME = 3.0

#: STUN error code or 701, text, and our end.
Failure = tuple[int, str, Address | None]


class AllocationAttempt:
    """A server's share of a gathering: it tries to get allocations from it.

    Args:
        owner: the user of the path.
        on_change: called when a path's deadline may be earlier than before.
        on_lost: called with a path whose allocation had been granted and is gone.
        interfaces: that may be used.
    """

    def __init__(
        self,
        network: Network,
        settings: IceSettings,
        pipe: BaseContext,
        pool: BasePool,
        owner: object,
        on_change: Callable[[], None],
        on_lost: Callable[[RelayPath], None],
        interfaces: list[Interface],
    ) -> None:
        self._network = network
        self._settings = settings
        self._pipe = pipe
        self._pool = pool
        self._owner = owner
        self._on_change = on_change
        self._on_lost = on_lost
        self._interfaces = interfaces

    async def obtain(
        self, entry: IceServerEntry, addresses: list[str], deadline: float
    ) -> RelayPath | Failure:
        """Get one allocation; the server's second address is tried when the first does not answer soon."""
        here = frozenset(interface.address for interface in self._interfaces)
        key = (entry.url.url, entry.username or "", entry.credential or "")
        kept = self._pool.reusable_path(key, here)
        if kept is not None:
            kept.users.add(self._owner)
            try:
                async with asyncio.timeout(_VERIFY_TIME):
                    outcome = await self._outcome(kept, kept.verify)
            except TimeoutError:
                # A server that was started anew knows nothing of our DTLS association, and says nothing.
                kept.on_outcome = None
            else:
                if isinstance(outcome, Allocated):
                    return kept
            kept.users.discard(self._owner)
            if not kept.users:
                self._pool.abandon(kept, self._pipe.clock() + self._settings.release_timeout)
        attempts = {asyncio.ensure_future(self._attempt(entry, key, addresses[0], deadline))}
        errors: list[Failure] = []
        rest = addresses[1:]
        try:
            while attempts:
                timeout = _FAMILY_STAGGER if rest else None
                done, attempts = await asyncio.wait(
                    attempts, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    result = task.result()
                    if isinstance(result, RelayPath):
                        return result
                    errors.append(result)
                if rest:
                    attempts.add(asyncio.ensure_future(self._attempt(entry, key, rest.pop(0), deadline)))
        finally:
            for task in attempts:
                task.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)
        # What a server said is worth more than its silence.
        return min(errors, key=lambda error: error[0] == 701)

    async def _attempt(
        self, entry: IceServerEntry, key: tuple[str, str, str], host: str, deadline: float
    ) -> RelayPath | Failure:
        """Try one address, follow redirects (RFC 8656 7.4), take a new port when ours is in use (437)."""
        server = (host, entry.url.port)
        visited = {server}
        retries = _MAX_MISMATCHES
        while True:
            path, problem = await self._open_path(entry, key, server, deadline)
            if path is None:
                return problem
            self._pool.adopt(path)
            path.users.add(self._owner)
            try:
                outcome = await self._outcome(path, path.start)
            except asyncio.CancelledError:
                self._pool.abandon(path, self._pipe.clock() + self._settings.release_timeout)
                raise
            if isinstance(outcome, Allocated):
                return path
            local = path.local_address
            self._pool.discard(path)
            if outcome.code == 437 and retries:
                retries -= 1
                continue
            alternate = outcome.alternate if isinstance(outcome, Refused) and outcome.code == 300 else None
            if alternate is None or alternate in visited or len(visited) > _MAX_REDIRECTS:
                return outcome.code, outcome.text, local
            assert isinstance(outcome, Refused)
            if not _may_follow(server, alternate, signed=outcome.signed):
                text = f"it sends us to {alternate[0]}, which nothing but this host or its link could be"
                return outcome.code, text, local
            visited.add(alternate)
            server = alternate

    async def _outcome(self, path: RelayPath, begin: Callable[[], None]) -> Allocated | Refused | Lost:
        future: asyncio.Future[Allocated | Refused | Lost] = asyncio.get_running_loop().create_future()

        def settle(outcome: Allocated | Refused | Lost) -> None:
            if not future.done():
                future.set_result(outcome)

        path.on_outcome = settle
        begin()
        return await future

    async def _open_path(
        self, entry: IceServerEntry, key: tuple[str, str, str], server: Address, deadline: float
    ) -> tuple[RelayPath | None, Failure]:
        loop = asyncio.get_running_loop()
        settings = self._settings
        url = entry.url
        relay_protocol = "udp" if url.transport == "udp" else ("tls" if url.scheme == "turns" else "tcp")
        remaining = max(0.5, deadline - loop.time())
        path = RelayPath(
            self._pipe,
            settings,
            url=url.url,
            key=key,
            server=server,
            relay_protocol=relay_protocol,
            on_change=self._on_change,
            on_lost=self._on_lost,
            timeout=min(settings.server_timeout, remaining),
        )
        source = self._source_for(server[0])
        if source is None:
            return None, (701, "no local address can reach the server", None)
        try:
            async with asyncio.timeout(min(settings.server_timeout, remaining)):
                await self._connect(path, url, source)
        except TimeoutError:
            path.close()
            return None, (701, "the server did not accept a connection in time", (source, 0))
        except OSError as exc:
            path.close()
            return None, (701, f"the server can not be reached: {exc}", (source, 0))
        except asyncio.CancelledError:
            path.close()
            raise
        return path, (0, "", None)

    async def _connect(self, path: RelayPath, url: ServerUrl, source: str) -> None:
        """Have a way to the server: datagrams, DTLS, or a stream."""
        settings = self._settings
        if url.transport == "udp":
            socket = await self._network.open_udp(
                source, 0, path.datagram_received, port_range=settings.port_range
            )
            if url.is_secure:
                await path.secure(socket, partial(client_connection, settings.ssl_context, url.host))
            else:
                path.attach_socket(socket)
            return
        tls = (settings.ssl_context or default_tls_context()) if url.is_secure else None
        path.attach_stream(
            await self._network.open_stream(
                *path.server,
                receiver=path.stream_received,
                tls=tls,
                server_hostname=url.host,
                local_host=source,
            )
        )

    def _source_for(self, host: str) -> str | None:
        """The local address toward a server: what the routing table says, unless the user excludes it."""
        family = "ipv6" if is_ipv6(host) else "ipv4"
        usable = [interface.address for interface in self._interfaces if interface.family == family]
        routed = self._network.source_address(host)
        if routed in usable:
            return routed
        # The route to a server on this host leads over loopback, which is no interface to offer candidates
        # on.
        if routed is not None and any(
            i.address == routed and i.is_loopback for i in self._network.interfaces()
        ):
            return routed
        return usable[0] if usable else None


def _may_follow(server: Address, alternate: Address, *, signed: bool) -> bool:
    """Whether a redirect (RFC 8489 10) is followed.

    The first refusal comes before the server has told its realm, so that nothing proves who sent it; such a one must
    not lead us to our own host or link, unless the server is there itself.
    """
    if canonical_address(alternate[0]) is None or not alternate[1]:
        return False
    reach = reach_of(alternate[0])
    return reach is None or signed or reach == reach_of(server[0])
