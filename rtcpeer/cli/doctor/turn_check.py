"""Test of a TURN server: an allocation, and data through it in both directions.

Theory of operation. Data go two ways at once. To a second allocation on the same server: it is what two
relay-only peers need, and works from networks that let nothing but this transport out. And to a UDP socket of
our own (the lookout): that needs no second allocation and no permission for the server's own address, and the
address that the relay reports for it is one more answer about our NAT. A server relays when one of the two works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_bytes

from rtcpeer.cli.doctor.allocation import ExaminedRelay
from rtcpeer.cli.doctor.context import (
    ALLOCATE_BY,
    ANSWER_WITHIN,
    DATA_BY,
    DATA_WITHIN,
    RELEASE_WITHIN,
    ExaminationContext,
    note_failure,
    note_refusal,
    without_secrets,
)
from rtcpeer.cli.doctor.udp_socket import ProbeSocket
from rtcpeer.cli.doctor.verdicts import Bounce, ServerAttempt
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.net.network import Address
from rtcpeer.turn.client import Allocated, Refused

_REPEAT = 0.2
# A quota that our other examinations fill is waited for until then.
_QUOTA_BY = 4.0
# What goes through the relays; the rest is random, so that nothing else is taken for ours.
_PREFIX = b"rtcpeer doctor "


async def ask_relay(
    around: ExaminationContext, entry: IceServerEntry, attempt: ServerAttempt, source: str
) -> Address | None:
    """Fill in the attempt; returns the server that we are sent on to, if that is the answer."""
    holder = (entry.url.host, entry.username)
    while True:
        relay = ExaminedRelay(entry, attempt.address, around.left(ALLOCATE_BY, ANSWER_WITHIN))
        looking = asyncio.ensure_future(_look(around, entry, attempt.address, source))
        around.held[holder] += 1
        try:
            outcome = await _allocate(around, entry, attempt, relay, source)
            if isinstance(outcome, Allocated):
                await _send_data(around, entry, attempt, relay, source)
        finally:
            around.held[holder] -= 1
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await relay.close(RELEASE_WITHIN)
        if not isinstance(outcome, Refused):
            return None
        if outcome.code != 486 or not await _alone(around, holder):
            return outcome.alternate


async def _alone(around: ExaminationContext, holder: tuple[str, str | None]) -> bool:
    """Whether other examinations hold allocations, and gave them back in time."""
    if not around.held[holder]:
        return False
    while around.held[holder]:
        if around.elapsed > _QUOTA_BY:
            return False
        await asyncio.sleep(0.05)
    return True


async def _look(around: ExaminationContext, entry: IceServerEntry, server: Address, source: str) -> None:
    """TURN servers answer binding requests too: one more view of our NAT."""
    answers = entry.url.transport == "udp" and not entry.url.is_secure
    lookout = await around.lookout(source) if answers else None
    if lookout is not None:
        await lookout.ask(server, around.left(ALLOCATE_BY, ANSWER_WITHIN))


async def _allocate(
    around: ExaminationContext,
    entry: IceServerEntry,
    attempt: ServerAttempt,
    relay: ExaminedRelay,
    source: str,
) -> Allocated | Refused | None:
    try:
        await relay.open(around.network, source, around.tls, around.left(ALLOCATE_BY, ANSWER_WITHIN))
    except OSError as error:
        note_failure(attempt, error)
        return None
    outcome = await relay.allocate(around.left(ALLOCATE_BY, ANSWER_WITHIN))
    attempt.rtt, attempt.software = relay.rtt, without_secrets(relay.software, entry)
    attempt.challenges = [code for _, code in relay.errors if code in (401, 438)]
    if isinstance(outcome, Allocated):
        attempt.mapped, attempt.relayed, attempt.lifetime = outcome.mapped, outcome.relayed, relay.lifetime
        return outcome
    note_refusal(attempt, entry, outcome.code, outcome.text)
    if relay.unsigned:
        attempt.outcome = "unverifiable"
    elif attempt.outcome == "silent":
        if relay.unreadable and not relay.errors:
            attempt.outcome = "not-stun"
        elif relay.stream_ended or relay.unreachable:
            attempt.outcome = "unreachable"
            attempt.error_text = relay.unreachable or attempt.error_text
    return outcome


# --- data -----------------------------------------------------------------------------------------


async def _send_data(
    around: ExaminationContext,
    entry: IceServerEntry,
    attempt: ServerAttempt,
    relay: ExaminedRelay,
    source: str,
) -> None:
    exchange = _Exchange(relay)
    async with asyncio.TaskGroup() as group:
        group.create_task(_to_relay(around, entry, attempt, exchange, source))
        for relayed in attempt.relayed:
            group.create_task(_to_host(around, attempt, exchange, relayed))
    bounces = attempt.bounces
    if any(bounce.works for bounce in bounces):
        attempt.outcome = "works"
    elif any(bounce.outbound or bounce.inbound for bounce in bounces):
        attempt.outcome = "relays-one-way"
    elif bounces and all(bounce.forbidden for bounce in bounces):
        attempt.outcome = "peer-forbidden"
    else:
        attempt.outcome = "relays-nothing"


class _Exchange:
    """The state of the exchange through the first relay: who waits for what."""

    def __init__(self, relay: ExaminedRelay) -> None:
        self.relay = relay
        self._waiting: dict[bytes, Callable[[Address], None]] = {}
        relay.on_data = self._arrived

    def expect(self, token: bytes, arrived: Callable[[Address], None]) -> None:
        """Call `arrived` with the sender when these bytes come out of the relay."""
        self._waiting[token] = arrived

    def _arrived(self, data: bytes, peer: Address) -> None:
        if data in self._waiting:
            self._waiting[data](peer)


async def _to_relay(
    around: ExaminationContext,
    entry: IceServerEntry,
    attempt: ServerAttempt,
    exchange: _Exchange,
    source: str,
) -> None:
    """Between the allocation and a second one."""
    other = ExaminedRelay(entry, attempt.address, around.left(DATA_BY, DATA_WITHIN))
    try:
        try:
            await other.open(around.network, source, around.tls, around.left(DATA_BY, DATA_WITHIN))
        except OSError:
            return  # the first one could: the other way to try data remains
        outcome = await other.allocate(around.left(DATA_BY, DATA_WITHIN))
        if not isinstance(outcome, Allocated):
            attempt.second_refused = outcome.code if outcome.code != 701 else 0
            return
        there = {":" in address[0]: address for address in outcome.relayed}
        pairs = [(here, there[":" in here[0]]) for here in attempt.relayed if (":" in here[0]) in there]
        async with asyncio.TaskGroup() as group:
            for pair in pairs:
                group.create_task(_between(around, attempt, exchange, other, *pair))
    finally:
        await other.close(RELEASE_WITHIN)


async def _between(
    around: ExaminationContext,
    attempt: ServerAttempt,
    exchange: _Exchange,
    other: ExaminedRelay,
    here: Address,
    there: Address,
) -> None:
    bounce = Bounce("relay")
    attempt.bounces.append(bounce)
    out, back = _token(), _token()
    before = other.on_data

    def at_other(data: bytes, peer: Address) -> None:
        if data == out:
            bounce.outbound = True
        elif before is not None:
            before(data, peer)

    def at_relay(_peer: Address) -> None:
        bounce.inbound = True

    other.on_data = at_other
    exchange.expect(back, at_relay)

    def send() -> None:
        exchange.relay.send(out, there)
        other.send(back, here)

    await _repeat(around, bounce, send)
    bounce.forbidden = exchange.relay.forbidden or other.forbidden


async def _to_host(
    around: ExaminationContext, attempt: ServerAttempt, exchange: _Exchange, relayed: Address
) -> None:
    """Between the allocation and a socket of our own."""
    source = around.network.source_address(relayed[0])
    lookout = await around.lookout(source) if source is not None else None
    if lookout is None:
        return
    bounce = Bounce("host")
    attempt.bounces.append(bounce)
    relay = exchange.relay
    out, back = _token(), _token()
    seen: set[Address] = set()

    def at_host(data: bytes) -> None:
        if data == out:
            bounce.outbound = True

    def at_relay(peer: Address) -> None:
        bounce.inbound = True
        seen.add(peer)
        lookout.saw(relayed, peer)

    def send() -> None:
        # first outwards: it opens our own NAT for what comes back
        lookout.send(back, relayed)
        hosts = _hosts(lookout, attempt, relayed)
        for host in hosts:
            relay.permit(host)
        for address in seen or {o.mapped for o in lookout.observations if o.mapped[0] in hosts}:
            relay.send(out, address)

    lookout.on_data[relayed] = at_host
    exchange.expect(back, at_relay)
    try:
        await _repeat(around, bounce, send)
    finally:
        del lookout.on_data[relayed]
    bounce.forbidden = relay.forbidden


def _hosts(lookout: ProbeSocket, attempt: ServerAttempt, relayed: Address) -> list[str]:
    """Under which addresses the relay may see our socket."""
    known = [lookout.local[0], *(seen.mapped[0] for seen in lookout.observations)]
    if attempt.mapped is not None:
        known.append(attempt.mapped[0])
    return list(dict.fromkeys(host for host in known if (":" in host) is (":" in relayed[0])))


async def _repeat(around: ExaminationContext, bounce: Bounce, send: Callable[[], None]) -> None:
    """Send now and again until data came through both ways, or it is no use any more."""
    loop = asyncio.get_running_loop()
    end = loop.time() + around.left(DATA_BY, DATA_WITHIN)
    while not bounce.works and loop.time() < end:
        send()
        for _ in range(10):
            if bounce.works:
                break
            await asyncio.sleep(_REPEAT / 10)


def _token() -> bytes:
    return _PREFIX + token_bytes(12)
