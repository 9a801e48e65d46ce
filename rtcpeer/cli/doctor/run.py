"""Runs the tests of all servers at once: every URL, every address family, within a bounded time.

Owns: name resolution, the attempts, redirects. Never: printing, sentences (`verdicts`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from rtcpeer.cli.doctor.clock import clock_skew
from rtcpeer.cli.doctor.context import RESOLVE_BY, ExaminationContext
from rtcpeer.cli.doctor.stun_check import ask, ask_over_dtls
from rtcpeer.cli.doctor.turn_check import ask_relay
from rtcpeer.cli.doctor.verdicts import NatFinding, ServerAttempt, ServerReport, nat_behaviour
from rtcpeer.config.rest import expiry_of
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.net.network import Address, Family, Network
from rtcpeer.testing.clock import wall_time

_MAX_REDIRECTS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that was found.

    Attributes:
        reports: one per URL, in order.
        nats: one per local socket that got an answer.
        families: that this host has beyond loopback.
        seconds: how long it took.
    """

    reports: list[ServerReport]
    nats: list[NatFinding]
    families: tuple[Family, ...]
    seconds: float


async def check_up(
    entries: Sequence[IceServerEntry], network: Network, tls: ssl.SSLContext | None = None
) -> Result:
    """Examine all servers in parallel; takes less than 10 s.

    Args:
        entries: one per URL.
        network: the way to them.
        tls: for ``turns:`` and ``stuns:``; None trusts the system's authorities.
    """
    around = ExaminationContext(network, tls)
    interfaces = network.interfaces()
    families = tuple(sorted({i.family for i in interfaces if not i.is_loopback}))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_examine(around, entry, families)) for entry in entries]
    finally:
        around.close()
    seen = [lookout.observations for lookout in around.lookouts.values()]
    nats = [nat_behaviour(observations) for observations in seen if observations]
    return Result([task.result() for task in tasks], nats, families, around.elapsed)


async def _examine(
    around: ExaminationContext, entry: IceServerEntry, families: tuple[Family, ...]
) -> ServerReport:
    url = entry.url
    report = ServerReport(url)
    expiry = expiry_of(entry.username)
    if expiry is not None:
        report.expired_for = wall_time() - expiry
    addresses = await _addresses(around, report, families)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_attempt(around, entry, family, (host, url.port)))
            for family, host in addresses.items()
        ]
    report.attempts = [task.result() for task in tasks]
    await _compare_clocks(around, report)
    return report


async def _compare_clocks(around: ExaminationContext, report: ServerReport) -> None:
    """Ask what time it is elsewhere, where the time of day may be what is wrong."""
    report.now = wall_time()
    for attempt in report.attempts:
        if attempt.depends_on_clock or (attempt.outcome == "credential" and report.expired_for is not None):
            report.clock_skew = await clock_skew(around, attempt.address[0], report.url.host)
            return


async def _addresses(
    around: ExaminationContext, report: ServerReport, families: tuple[Family, ...]
) -> dict[Family, str]:
    """An address of the server for each family that can be reached from here."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        async with asyncio.timeout(around.left(RESOLVE_BY)):
            found = await around.network.resolve(report.url.host)
    except TimeoutError:
        report.problem, report.detail = "unresolved", "no answer from the resolver"
        return {}
    except OSError as error:
        report.problem, report.detail = "unresolved", error.strerror or str(error)
        return {}
    if report.url.host not in found:
        report.resolve_time = loop.time() - begin
    addresses: dict[Family, str] = {}
    for address in found:
        addresses.setdefault("ipv6" if ":" in address else "ipv4", address)
    # a server on this machine is reached over loopback whatever the interfaces are
    reachable = {
        family: address
        for family, address in addresses.items()
        if family in families or around.network.source_address(address) is not None
    }
    report.skipped = tuple(family for family in addresses if family not in reachable)
    if not reachable:
        report.problem = "no-address"
    return reachable


async def _attempt(
    around: ExaminationContext, entry: IceServerEntry, family: Family, address: Address
) -> ServerAttempt:
    """Try one address; redirects (RFC 8656 7.4) are followed."""
    visited: list[Address] = []
    while True:
        attempt = ServerAttempt(family, address, redirected_from=visited[-1] if visited else None)
        visited.append(address)
        attempt.local = around.network.source_address(address[0])
        if attempt.local is None:
            attempt.outcome = "no-route"
            return attempt
        if not entry.url.is_turn:
            await (ask_over_dtls if entry.url.is_secure else ask)(around, entry, attempt, attempt.local)
            return attempt
        alternate = await ask_relay(around, entry, attempt, attempt.local)
        if alternate is None or alternate in visited or len(visited) > _MAX_REDIRECTS:
            return attempt
        address = alternate
