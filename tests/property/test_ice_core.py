"""Whatever happens in whatever order, the invariants of the ICE core hold and no exception escapes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.events import StateChanged
from rtcpeer.stun import message as stun
from rtcpeer.values import CandidateType, IceRole, IceTransportState
from tests.unit.turn.test_client import KEY, Server


def _support() -> ModuleType:
    """The helpers of the unit tests, by path: test folders are no packages."""
    path = Path(__file__).parents[1] / "unit" / "ice" / "support.py"
    spec = importlib.util.spec_from_file_location("ice_support", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ice_support"] = module
    spec.loader.exec_module(module)
    return module


support = _support()

S = IceTransportState
# webrtc-pc 5.6.2, and from where a restart leads.
TRANSITIONS = {
    S.NEW: {S.CHECKING, S.CONNECTED, S.FAILED},
    S.CHECKING: {S.CONNECTED, S.COMPLETED, S.FAILED, S.NEW, S.DISCONNECTED},
    S.CONNECTED: {S.COMPLETED, S.DISCONNECTED, S.FAILED, S.CHECKING},
    S.COMPLETED: {S.CONNECTED, S.DISCONNECTED, S.FAILED, S.CHECKING},
    S.DISCONNECTED: {S.CONNECTED, S.COMPLETED, S.CHECKING, S.FAILED},
    S.FAILED: {S.CHECKING, S.CONNECTED, S.COMPLETED, S.NEW},
}


class TwoCores(RuleBasedStateMachine):
    """Two cores, a wire that misbehaves, and signalling in any order."""

    @initialize(seed=st.integers(0, 2**16), both=st.booleans())
    def begin(self, seed: int, both: bool) -> None:
        self.wire = support.Wire(delay=0.02)
        self.wire.random.seed(seed)
        self.sides = [support.Side(self.wire, True, seed=seed), support.Side(self.wire, both, seed=seed + 1)]
        for index, side in enumerate(self.sides):
            side.base(f"192.0.2.{index + 1}", 1000)
            side.base(f"192.0.2.{index + 1}", 1001)
            side.base(f"198.51.100.{index + 1}", 9, CandidateType.RELAY)
        self.seen = [0, 0]

    @rule(which=st.integers(0, 1), bases=st.integers(1, 3))
    def gather(self, which: int, bases: int) -> None:
        side = self.sides[which]
        generation = side.start()
        for base in side.bases[:bases]:
            kind = CandidateType.RELAY if base.relay_protocol else CandidateType.HOST
            side.offer_base(generation, base, kind, priority=300 - 10 * bases)
        side.core.set_gathered(self.wire.now, generation)

    @rule(bases=st.integers(1, 3), seconds=st.sampled_from([0.0, 0.05, 0.5]), which=st.integers(0, 1))
    def negotiate(self, bases: int, seconds: float, which: int) -> None:
        """Offer and answer as they should be; the second time it is a restart."""
        self.gather(which, bases)
        self.gather(1 - which, bases)
        for index in (1 - which, which):
            self.signal(index, True, True)
        self.wire.run(seconds)

    @rule(which=st.integers(0, 1), candidates=st.booleans(), ended=st.booleans())
    def signal(self, which: int, candidates: bool, ended: bool) -> None:
        mine, theirs = self.sides[which], self.sides[1 - which]
        if not (mine.core.generations and theirs.core.generations):
            return
        newest = theirs.core.generations[-1]
        mine.core.set_remote(self.wire.now, newest.local)
        if candidates:
            for local in newest.locals:
                candidate = local.candidate
                mine.core.add_remote(self.wire.now, candidate, (candidate.address, candidate.port))
        if ended:
            mine.core.end_of_remote(self.wire.now, newest.local.ufrag)

    @rule(which=st.integers(0, 1))
    def rollback(self, which: int) -> None:
        self.sides[which].core.rollback(self.wire.now)

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.1, 1.0, 3.0, 7.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.wire.run(seconds)

    @rule(loss=st.sampled_from([0.0, 0.3, 1.0]))
    def lose(self, loss: float) -> None:
        self.wire.loss = loss

    @rule(which=st.integers(0, 1), base=st.integers(0, 2))
    def darken(self, which: int, base: int) -> None:
        self.wire.dark ^= {self.sides[which].bases[base].address}

    @rule(which=st.integers(0, 1), base=st.integers(0, 2))
    def lose_base(self, which: int, base: int) -> None:
        side = self.sides[which]
        side.core.lose_base(self.wire.now, side.bases[base])

    @rule(which=st.integers(0, 1))
    def change_network(self, which: int) -> None:
        self.sides[which].core.network_changed(self.wire.now)

    @rule(which=st.integers(0, 1), amount=st.floats(0.3, 20))
    def lag(self, which: int, amount: float) -> None:
        self.wire.now += amount
        self.sides[which].core.lagged(amount)

    @rule(which=st.integers(0, 1), role=st.sampled_from([IceRole.CONTROLLING, IceRole.CONTROLLED]))
    def decide_role(self, which: int, role: IceRole) -> None:
        self.sides[which].core.set_role(self.wire.now, role)

    @rule(which=st.integers(0, 1), data=st.binary(max_size=80), port=st.integers(1, 5))
    def throw(self, which: int, data: bytes, port: int) -> None:
        side = self.sides[which]
        side.core.on_stun_untrusted(self.wire.now, side.bases[0], data, ("203.0.113.5", port))

    @precondition(lambda self: self.wire.log)
    @rule(which=st.integers(0, 1), index=st.integers(0, 10**6), port=st.integers(1, 2000))
    def replay(self, which: int, index: int, port: int) -> None:
        """A datagram that was on the wire once, from anywhere, to either side."""
        side = self.sides[which]
        data = self.wire.log[index % len(self.wire.log)][1]
        source = self.sides[1 - which].bases[0].address if port % 2 else ("203.0.113.6", port)
        side.core.on_stun_untrusted(self.wire.now, side.bases[0], data, source)

    @precondition(lambda self: self.wire.log)
    @rule(which=st.integers(0, 1), index=st.integers(0, 10**6), at=st.integers(0, 200), bit=st.integers(0, 7))
    def corrupt(self, which: int, index: int, at: int, bit: int) -> None:
        side = self.sides[which]
        data = bytearray(self.wire.log[index % len(self.wire.log)][1])
        data[at % len(data)] ^= 1 << bit
        side.core.on_stun_untrusted(
            self.wire.now, side.bases[0], bytes(data), self.sides[1 - which].bases[0].address
        )

    @invariant()
    def holds(self) -> None:
        for index, side in enumerate(getattr(self, "sides", [])):
            core = side.core
            side.drain()
            assert len(core.generations) <= 3
            assert sum(g.remote is None for g in core.generations) <= 1
            for generation in core.generations:
                pairs = list(generation.checklist.pairs.values())
                nominated = [p for p in pairs if p.nominated]
                assert len(nominated) <= 1
                assert nominated in ([], [generation.nominated])
                assert len(pairs) <= side.context.settings.max_pairs
                assert len(generation.remotes) <= 200
                assert len(generation._checks) <= 400
                assert len(set(map(id, generation.checklist.in_progress))) == len(
                    generation.checklist.in_progress
                )
            if core.route is not None:
                # Data goes only where a check of ours was answered within the time of RFC 7675.
                side.core.tick(self.wire.now)
                side.drain()
            if core.route is not None:
                assert self.wire.now - core.route.consented_at <= 30.01
                assert core.state not in (S.NEW, S.FAILED, S.CLOSED)
            states = [e.state for e in side.events if isinstance(e, StateChanged)]
            for before, after in zip([S.NEW, *states], states, strict=False):
                assert after in TRANSITIONS[before], (before, after)
            self.seen[index] = len(states)
            # Time goes on: whatever is due can be done.
            for _ in range(50):
                if core.next_time(self.wire.now) > self.wire.now:
                    break
                core.tick(self.wire.now)
            else:
                raise AssertionError("the core wants the same moment for ever")


TestTwoCores = TwoCores.TestCase
TestTwoCores.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(data=st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    for candidate in (data, data[:4] + stun.COOKIE_BYTES + data[8:]):
        try:
            message = stun.parse_untrusted(candidate)
        except stun.StunError:
            continue
        read(message)


@given(attributes=st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=20))
@settings(max_examples=300)
def test_any_attributes_can_be_read(attributes: list[tuple[int, bytes]]) -> None:
    known = [stun.XOR_MAPPED_ADDRESS, stun.MAPPED_ADDRESS, stun.ERROR_CODE, stun.USERNAME, stun.PRIORITY]
    body = b"".join(stun.attribute(kind, value) for kind, value in attributes)
    body += b"".join(stun.attribute(kind, value) for kind, (_, value) in zip(known, attributes, strict=False))
    try:
        message = stun.parse_untrusted(stun.encode(stun.BINDING_REQUEST, bytes(12), body))
    except stun.StunError:
        return
    read(message)


def read(message: stun.StunMessage) -> None:
    """Everything that can be asked of a message."""
    message.authentic(b"key")
    _ = message.username, message.error, message.mapped_address, message.unknown_required()
    for kind in message.attributes:
        message.number(kind)
        message.long_number(kind)
        message.text(kind)
        message.address(kind)
        message.plain_address(kind)


def bodies(answer: bytes) -> list[bytes]:
    """The attributes of an answer, without those that authenticate it."""
    found, at = [], 20
    while at < len(answer) and (kind := int.from_bytes(answer[at : at + 2], "big")) != stun.MESSAGE_INTEGRITY:
        end = at + 4 + (int.from_bytes(answer[at + 2 : at + 4], "big") + 3 & ~3)
        if kind != stun.FINGERPRINT:
            found.append(answer[at:end])
        at = end
    return found


def mutate(answer: bytes, how: int, where: int, data: bytes) -> bytes:
    """An answer of a TURN server as it should not be; but for the first two ways it is authentic all the same."""
    if how == 0:
        return answer[: where % len(answer)] + data
    if how == 1:
        changed = bytearray(answer)
        changed[where % len(changed)] ^= 1 + where % 255
        return bytes(changed)
    kind, parts = int.from_bytes(answer[:2], "big"), bodies(answer)
    if how == 2:
        # another class, or another method
        kind ^= (stun.ERROR, stun.SUCCESS, 1, 8)[where % 4]
    elif how == 3 and parts:
        del parts[where % len(parts)]
    elif how == 4 and parts:
        # the value of one attribute, whose length stays as it is or not
        one = parts[where % len(parts)]
        length = len(data) if where & 1 else int.from_bytes(one[2:4], "big")
        value = (data + bytes(length))[:length]
        parts[where % len(parts)] = stun.attribute(int.from_bytes(one[:2], "big"), value)
    else:
        parts.insert(where % (len(parts) + 1), stun.attribute(where & 0x3F, data))
    return stun.encode(kind, answer[8:20], b"".join(parts), KEY)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.binary(max_size=24), st.booleans()),
        max_size=25,
    ),
    stream=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_turn_server_may_answer_anything(steps: list[tuple[int, int, bytes, bool]], stream: bool) -> None:
    """Answers in the middle of what a client does: some as they should be, each before or after one that is not."""
    server = Server(reliable=stream, ipv6=True)
    client, peer = server.client, ("198.51.100.9", 9999)
    client.allocate(0)
    for number, (how, where, data, is_first) in enumerate(steps):
        server.now = number * 0.3
        if server._inbox:
            genuine = server._inbox.pop(0)
            wrong = mutate(genuine, how, where, data)
            for one in (wrong, genuine) if is_first else (genuine, wrong):
                # what damages the framing of a stream ends it; that is another test's
                client.receive_untrusted(server.now, one)
        (client.prepare if where & 1 else client.bind)(server.now, peer)
        client.send_data(server.now, data, peer)
        client.tick(server.now)
        assert client.permitted_hosts <= {peer[0]}
        assert client.relayed or client.phase != "allocated"
    client.release(server.now)
    server.run(60)
    # whatever was believed, it ends
    assert client.next_time() == float("inf")


@given(transaction=st.binary(min_size=12, max_size=12), host=st.ip_addresses(), port=st.integers(0, 65535))
def test_xor_addresses_come_back(transaction: bytes, host: object, port: int) -> None:
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, (str(host), port), transaction)
    message = stun.parse_untrusted(stun.encode(stun.BINDING_SUCCESS, transaction, body))
    assert message.mapped_address == (str(host), port)


def test_new_credentials_are_long_and_different() -> None:
    many = {new_credentials().ufrag for _ in range(100)}
    assert len(many) == 100
