"""The TURN client towards servers that renew nonces, fail for a while, or say no."""

from __future__ import annotations

import pytest

from rtcpeer.stun import message as stun
from rtcpeer.turn.client import Allocated, Lost, Refused, Released
from tests.unit.turn.test_client import KEY, PEER, Server

PEERS = [(f"198.51.100.{number}", 5000) for number in range(1, 21)]


class Unlucky(Server):
    """Says 401 where 438 belongs, or renews its nonce with each challenge, as a test wants it."""

    def __init__(self, *, code: int = 438, renews: bool = False) -> None:
        super().__init__()
        self.code = code
        self.renews = renews

    def _answer(self, message: stun.StunMessage) -> bytes:
        known = message.authentic(KEY)
        if known and message.attributes.get(stun.NONCE) == self.nonce:
            return super()._answer(message)
        if self.renews and known:
            self.nonce += b"+"
        body = stun.error_code(self.code if known else 401, "again")
        body += stun.attribute(stun.REALM, b"example") + stun.attribute(stun.NONCE, self.nonce)
        return stun.encode(message.kind | stun.ERROR, message.transaction_id, body)


@pytest.mark.parametrize("code", [401, 438])
@pytest.mark.parametrize("count", [1, 4, 8, 20])
def test_a_nonce_that_goes_stale_under_many_requests_costs_none_of_them(code: int, count: int) -> None:
    server = Unlucky(code=code).allocated()
    server.nonce = b"later"
    for peer in PEERS[:count]:
        server.client.prepare(1, peer)
    server.client.verify(1)
    server.pump()
    assert server.client.permitted_hosts == {peer[0] for peer in PEERS[:count]}
    assert [type(event) for event in server.client.events] == [Allocated]
    # each request is sent twice, not more
    assert server.kinds().count(stun.CREATE_PERMISSION) == 2 * count


def test_a_nonce_that_is_renewed_with_every_challenge_ends_within_a_bound() -> None:
    server = Unlucky(renews=True).allocated()
    server.nonce = b"later"
    for peer in PEERS:
        server.client.prepare(1, peer)
    server.pump()
    assert server.kinds().count(stun.CREATE_PERMISSION) <= 20 * 18
    assert not server.client.events


def test_nonces_go_stale_for_hours_and_nothing_is_lost() -> None:
    server = Unlucky().allocated()
    for hour in range(24):
        server.nonce = b"hour %d" % hour
        for peer in PEERS[:6]:
            server.client.send_data(server.now, b"x", peer)
        server.run(200)
    assert server.client.permitted_hosts == {peer[0] for peer in PEERS[:6]}
    assert not [event for event in server.client.events if isinstance(event, Lost | Refused)]


@pytest.mark.parametrize("code", [500, 508])
def test_an_allocation_is_asked_for_again_while_gathering_waits(code: int) -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = code
    server.client.allocate(0)
    server.run(0.4)
    assert server.kinds() == [stun.ALLOCATE] * 2
    server.run(0.2)
    assert server.kinds() == [stun.ALLOCATE] * 3
    server.errors.clear()
    server.run(2)
    assert [type(event) for event in server.client.events] == [Allocated]


def test_an_allocation_that_is_not_to_be_had_is_refused_in_time() -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = 508
    server.client.allocate(0)
    server.run(4)
    assert server.client.events == [Refused(508, "no", signed=True)]
    assert server.kinds() == [stun.ALLOCATE] * 5


def test_an_allocation_that_waits_for_its_next_try_can_be_given_up_at_once() -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = 500
    server.client.allocate(0)
    server.pump()
    server.client.release(0)
    assert server.client.events == [Released()]
    server.run(60)
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [500, 508])
def test_a_permission_and_a_channel_are_asked_for_again_until_the_server_can(code: int) -> None:
    server = Server().allocated()
    server.errors = {stun.CREATE_PERMISSION: code, stun.CHANNEL_BIND: code}
    server.client.send_data(0, b"early", PEER)
    server.client.bind(0, PEER)
    server.run(10)
    assert server.kinds().count(stun.CREATE_PERMISSION) == 5  # at 0, 0.5, 1.5, 3.5 and 7.5 s
    server.errors.clear()
    server.run(8)
    assert server.client.permitted_hosts == {PEER[0]}
    assert server.client.channels[PEER].bound
    assert b"early" in [m.attributes.get(stun.DATA) for m in server.requests]


def test_the_pause_before_another_try_is_bounded() -> None:
    server = Server().allocated()
    server.errors = {stun.CREATE_PERMISSION: 500}
    server.client.prepare(0, PEER)
    server.run(400)
    before = server.kinds().count(stun.CREATE_PERMISSION)
    server.run(150)
    assert server.kinds().count(stun.CREATE_PERMISSION) - before == 5


def test_a_refresh_that_fails_is_repeated_as_long_as_the_allocation_can_stand() -> None:
    server = Server().allocated()
    server.errors = {stun.REFRESH: 500}
    server.run(580)
    assert not server.client.events
    server.errors.clear()
    server.run(20)
    assert [type(event) for event in server.client.events] == [Allocated]
    server.errors = {stun.REFRESH: 500}
    server.run(600)
    assert server.client.events[-1] == Lost(500, "no")


def test_what_is_forbidden_is_final_until_the_next_generation_asks() -> None:
    server = Server().allocated()
    server.errors = {stun.CREATE_PERMISSION: 403, stun.CHANNEL_BIND: 403}
    server.client.bind(0, PEER)
    server.client.prepare(0, PEER)
    server.run(100)
    assert server.kinds().count(stun.CREATE_PERMISSION) == server.kinds().count(stun.CHANNEL_BIND) == 1
    server.client.prepare(100, PEER)
    server.client.bind(100, PEER)
    server.pump()
    assert server.kinds().count(stun.CREATE_PERMISSION) == server.kinds().count(stun.CHANNEL_BIND) == 1
    server.errors.clear()
    server.client.verify(100)
    server.client.prepare(100, PEER)
    server.client.bind(100, PEER)
    server.pump()
    assert server.client.permitted_hosts == {PEER[0]}
    assert server.client.channels[PEER].bound
    assert server.kinds().count(stun.CREATE_PERMISSION) == server.kinds().count(stun.CHANNEL_BIND) == 2


def test_a_server_that_can_not_even_release_is_not_asked_again() -> None:
    server = Server().allocated()
    server.errors = {stun.REFRESH: 500}
    server.client.release(0)
    server.run(60)
    assert [type(event) for event in server.client.events] == [Released]
    assert server.kinds().count(stun.REFRESH) == 1


@pytest.mark.parametrize("method", [stun.CREATE_PERMISSION, stun.CHANNEL_BIND])
def test_an_allocation_that_the_server_does_not_know_is_lost(method: int) -> None:
    server = Server().allocated()
    server.errors = {method: 437}
    if method == stun.CREATE_PERMISSION:
        server.client.prepare(0, PEER)
    else:
        server.client.bind(0, PEER)
    server.pump()
    assert server.client.events == [Lost(437, "no")]


@pytest.mark.parametrize("code", [400, 401, 403, 441, 486])
def test_an_allocation_that_is_not_prolonged_stands_until_it_expires(code: int) -> None:
    """RFC 8656 8: 437 alone says that there is none."""
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.pump()
    server.errors = {stun.REFRESH: code}
    server.client.verify(100)
    server.now = 100
    server.pump()
    assert server.client.events == [Refused(code, "no")]
    assert server.client.problem == (code, "no")
    server.client.send_data(server.now, b"x", PEER)
    assert server.raw[-1][:1] == b"\x40"
    server.run(499)
    assert server.client.phase == "allocated"
    assert server.kinds().count(stun.REFRESH) == 1
    server.run(1)
    assert server.client.events[1:] == [Lost(code, "no")]
    assert server.client.next_time() == float("inf")


def test_an_allocation_that_is_prolonged_after_all_goes_on() -> None:
    server = Server().allocated()
    server.errors = {stun.REFRESH: 486}
    server.client.verify(0)
    server.pump()
    server.errors.clear()
    server.client.verify(0)
    server.pump()
    assert server.client.problem is None
    server.run(1200)
    assert server.client.phase == "allocated"
    assert [type(event) for event in server.client.events] == [Refused, *[Allocated] * 3]


def test_a_refresh_that_is_under_way_is_repeated_at_once_and_not_doubled() -> None:
    """The network is back, and a restart asks: the next repetition would be seconds away."""
    server = Server().allocated()
    server.silent = True
    server.client.verify(0)
    server.run(5)
    sent = len(server.requests)
    server.client.verify(server.now)
    assert server.kinds()[sent:] == [stun.REFRESH]
    assert len({r.transaction_id for r in server.requests if r.kind == stun.REFRESH}) == 1
    server.run(0.5)
    assert server.kinds()[sent:] == [stun.REFRESH] * 2
    server.run(594)
    assert server.client.phase == "gone"


def test_a_refresh_over_a_stream_is_neither_repeated_nor_doubled() -> None:
    server = Server(reliable=True).allocated()
    server.silent = True
    server.client.verify(0)
    server.client.verify(1)
    assert server.kinds().count(stun.REFRESH) == 1


def test_a_refresh_that_waits_for_a_server_in_trouble_is_sent_when_somebody_asks() -> None:
    server = Server().allocated()
    server.errors = {stun.REFRESH: 500}
    server.client.verify(0)
    server.run(100)
    sent = len(server.requests)
    server.errors.clear()
    server.client.verify(server.now)
    server.run(0)
    assert server.kinds()[sent:] == [stun.REFRESH]
    assert [type(event) for event in server.client.events] == [Allocated]


def test_a_permission_that_is_taken_back_is_a_problem_and_one_that_was_never_given_is_none() -> None:
    server = Server().allocated()
    server.errors = {stun.CREATE_PERMISSION: 403}
    server.client.prepare(0, PEER)
    server.pump()
    assert server.client.problem is None
    server.errors = {}
    other = ("198.51.100.77", 9)
    server.client.prepare(0, other)
    server.pump()
    server.client.send_data(0, b"x", other)
    server.errors = {stun.CREATE_PERMISSION: 401}
    server.run(300)
    assert server.client.problem == (401, "no")
