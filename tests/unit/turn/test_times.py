"""When the TURN client says something, and what it believes, at the bounds."""

from __future__ import annotations

import pytest

from rtcpeer.stun import message as stun
from rtcpeer.turn.client import Allocated, Lost, Refused, Released, TurnClient
from tests.unit.turn.test_client import PEER, RELAYED, RELAYED6, Server

OTHER = ("198.51.100.10", 9999)


class Timed(Server):
    """Keeps when each request came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def _receive(self, data: bytes) -> None:
        self.times.append(self.now)
        super()._receive(data)

    def times_of(self, kind: int) -> list[float]:
        pairs = zip(self.times, self.raw, strict=True)
        return [
            round(at, 3) for at, raw in pairs if raw[0] & 0xC0 == 0 and stun.parse_untrusted(raw).kind == kind
        ]


def test_a_request_is_repeated_after_pauses_that_double() -> None:
    """RFC 8489 section 6.2.1, and an end after the time that was given."""
    server = Timed()
    server.silent = True
    server.client.allocate(0)
    server.run(60)
    assert server.times_of(stun.ALLOCATE) == [0, 0.5, 1.5, 3.5, 7.5]
    assert len(set(server.raw)) == 1  # the same transaction
    assert server.client.events == [Refused(701, "the server did not answer")]


@pytest.mark.parametrize(
    ("lifetime", "after"), [(30, 15), (100, 50), (120, 60), (600, 540), (3600, 3540), (None, 540)]
)
def test_when_an_allocation_is_refreshed(lifetime: int | None, after: float) -> None:
    """A minute before its end, or at half its time; 600 s if the server does not say (RFC 8656 section 3.2)."""
    server = Timed()
    server.lifetime = lifetime or 0
    server.allocated()
    server.run(after + 1)
    assert server.times_of(stun.REFRESH) == [after]
    assert server.requests[-1].number(stun.LIFETIME) == 600
    server.run(after)
    assert server.times_of(stun.REFRESH) == [after, 2 * after]


def test_a_permission_and_a_channel_are_refreshed_before_they_end() -> None:
    """RFC 8656 sections 9 and 12: they stand for 300 and 600 s."""
    server = Timed().allocated()
    server.client.prepare(0, PEER)
    server.client.bind(0, PEER)
    server.pump()
    server.client.prepare(0, OTHER)
    server.pump()
    for _ in range(50):
        server.run(10)
        server.client.send_data(server.now, b"x", PEER)
        server.client.send_data(server.now, b"x", OTHER)
    assert server.times_of(stun.CHANNEL_BIND) == [0, 480]
    assert server.times_of(stun.CREATE_PERMISSION) == [0, 0, 240, 240, 480, 480]


def test_a_permission_that_nobody_uses_lapses_unless_there_is_a_channel_to_that_host() -> None:
    server = Timed().allocated()
    server.client.prepare(0, PEER)
    server.client.bind(0, (PEER[0], 1))
    server.client.prepare(0, OTHER)
    server.pump()
    server.run(241)  # each was used when it was asked for
    assert server.client.permitted_hosts == {PEER[0], OTHER[0]}
    server.run(240)
    assert server.client.permitted_hosts == {PEER[0]}
    assert server.client.next_time() < float("inf")


def test_a_nat_is_reminded_though_there_is_data_that_nobody_may_send() -> None:
    """What does not leave keeps no binding: the peer is one that the server forbids."""
    server = Timed().allocated()
    server.errors[stun.CREATE_PERMISSION] = 403
    server.client.send_data(0, b"x", PEER)
    server.pump()
    for _ in range(20):
        server.run(5)
        server.client.send_data(server.now, b"x", PEER)
    assert server.times_of(stun.BINDING_INDICATION) == [25, 50, 75, 100]


def test_indications_remind_a_nat_too() -> None:
    server = Timed().allocated()
    server.client.send_data(0, b"x", PEER)
    server.pump()
    for _ in range(20):
        server.run(5)
        server.client.send_data(server.now, b"x", PEER)
    assert server.times_of(stun.BINDING_INDICATION) == []
    assert server.client.next_time() == 100 + 25


def test_as_many_peers_as_there_may_be() -> None:
    server = Server().allocated()
    for number in range(257):
        server.client.prepare(0, (f"198.51.{number >> 8}.{number & 255}", 1))
    server.pump()
    assert len(server.client.permitted_hosts) == 256
    server.client.send_data(0, b"x", ("198.51.1.0", 1))
    assert server.kinds()[-1] == stun.CREATE_PERMISSION
    server.client.send_data(0, b"x", ("198.51.0.255", 2))  # another port of a host that has a permission
    assert server.kinds()[-1] == stun.SEND_INDICATION


def test_families_are_asked_for_one_after_the_other() -> None:
    """RFC 8656 section 7.2: both, then IPv4, then IPv6 alone."""
    server = Server(ipv6=True)
    server.errors[stun.ALLOCATE] = 440
    server.client.allocate(0)
    server.pump()
    asked = [
        (stun.ADDITIONAL_ADDRESS_FAMILY in r.attributes, r.attributes.get(stun.REQUESTED_ADDRESS_FAMILY))
        for r in server.requests
        if stun.USERNAME in r.attributes
    ]
    assert asked == [(True, None), (False, None), (False, b"\x02\0\0\0")]
    assert server.client.events == [Refused(440, "no", signed=True)]


@pytest.mark.parametrize("code", [400, 420])
def test_a_bad_request_without_a_second_family_is_refused(code: int) -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = code
    server.client.allocate(0)
    server.pump()
    assert server.client.events == [Refused(code, "no", signed=True)]
    assert len(server.requests) == 2


@pytest.mark.parametrize(("code", "tries"), [(499, 1), (500, 4), (599, 4), (600, 1)])
def test_which_codes_are_the_server_s_own_trouble(code: int, tries: int) -> None:
    """RFC 8489 section 6.3.4: 500 to 599."""
    server = Timed()
    server.errors[stun.ALLOCATE] = code
    server.client.allocate(0)
    server.run(60)
    assert server.times_of(stun.ALLOCATE) == [0, 0, 0.5, 1.5, 3.5][: tries + 1]
    assert server.client.events == [Refused(code, "no", signed=True)]


def test_the_pauses_of_a_server_in_trouble_double_up_to_half_a_minute() -> None:
    server = Timed().allocated()
    server.errors = {stun.CREATE_PERMISSION: 500}
    server.client.prepare(0, PEER)
    server.run(130)
    assert server.times_of(stun.CREATE_PERMISSION) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5, 121.5]


def test_the_last_refresh_of_a_server_in_trouble_comes_a_second_before_the_end() -> None:
    server = Timed().allocated()
    server.errors = {stun.REFRESH: 500}
    server.run(700)
    assert server.times_of(stun.REFRESH) == [540, 540.5, 541.5, 543.5, 547.5, 555.5, 571.5, 599, 599.5]
    assert server.client.events == [Lost(500, "no")]
    assert server.client.phase == "gone"


def test_a_refresh_is_begun_anew_while_an_answer_can_come_in_time() -> None:
    server = Timed().allocated()
    server.run(530)
    server.silent = True
    server.run(100)
    # a request takes 8 s to be given up; the last one ends with the allocation
    begun = [at for at in server.times_of(stun.REFRESH) if (at - 540) % 8 == 0]
    assert begun == [
        540,
        548,
        556,
        564,
        572,
        580,
        588,
    ]
    assert server.client.events == [Lost(701, "the server did not answer")]
    assert server.client.channels == {}


def test_channel_data_of_any_length() -> None:
    """RFC 8656 section 12.4: padded over streams, not over UDP; what is behind the data is padding."""
    for reliable in (False, True):
        server = Server(reliable=reliable).allocated()
        server.client.bind(0, PEER)
        server.pump()
        for size in range(9):
            server.client.send_data(0, b"x" * size, PEER)
            padding = b"\0" * (-size % 4) if reliable else b""
            assert server.raw[-1] == b"\x40\0\0" + bytes([size]) + b"x" * size + padding
    server.client.receive_channel_data_untrusted(b"\x40\0\0\x02abcd")
    server.client.receive_channel_data_untrusted(b"\x40\0\0\0")
    server.client.receive_channel_data_untrusted(b"\x40\0\0\x05abcd")
    server.client.receive_channel_data_untrusted(b"\x40\0\0")
    server.client.receive_channel_data_untrusted(b"\x40\x01\0\0")
    assert server.data == [(b"ab", PEER), (b"", PEER)]


def test_an_indication_without_data_or_peer_is_none() -> None:
    server = Server().allocated()
    server.client.prepare(0, PEER)
    server.pump()
    peer, data = stun.xor_address(stun.XOR_PEER_ADDRESS, PEER, bytes(12)), stun.attribute(stun.DATA, b"x")
    for body in (peer, data, b""):
        server.client.receive_untrusted(0, stun.encode(stun.DATA_INDICATION, bytes(12), body))
    server.client.receive_untrusted(0, b"")
    server.client.receive_untrusted(0, b"\0")
    server.client.receive_untrusted(0, b"\x80" * 30)
    assert server.data == []
    server.client.receive_untrusted(0, stun.encode(stun.DATA_INDICATION, bytes(12), peer + data))
    assert server.data == [(b"x", PEER)]


@pytest.mark.parametrize(
    ("phase", "events"),
    [
        ("new", []),
        ("allocating", [Refused(701, "closed")]),
        ("allocated", [Lost(701, "closed")]),
        ("releasing", [Released()]),
        ("gone", []),
    ],
)
def test_a_path_that_ends_in_any_phase(phase: str, events: list[object]) -> None:
    server = Server(reliable=True)
    client = server.client
    if phase != "new":
        client.allocate(0)
    if phase not in ("new", "allocating"):
        server.pump()
        client.events.clear()
    if phase in ("releasing", "gone"):
        client.release(0)
    if phase == "gone":
        server.pump()
        client.events.clear()
    assert client.phase == phase
    client.path_lost("closed")
    assert client.events == events
    assert client.phase == ("new" if phase == "new" else "gone")
    assert client.next_time() == float("inf")


def test_a_refused_channel_leaves_indications() -> None:
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.pump()
    assert server.client.channels[PEER].bound
    server.errors = {stun.CHANNEL_BIND: 400}
    server.run(481)
    assert not server.client.channels[PEER].bound
    server.client.send_data(server.now, b"x", PEER)
    assert server.kinds()[-1] == stun.SEND_INDICATION
    server.client.bind(server.now, PEER)
    assert server.kinds()[-1] == stun.SEND_INDICATION


def test_a_permission_that_is_taken_back_sends_nothing_more() -> None:
    server = Server().allocated()
    server.client.send_data(0, b"x", PEER)
    server.pump()
    server.errors = {stun.CREATE_PERMISSION: 403}
    server.run(241)
    assert server.client.permitted_hosts == set()
    before = len(server.raw)
    server.client.send_data(server.now, b"x", PEER)
    assert len(server.raw) == before


def test_what_waited_for_a_permission_that_nobody_gave_is_forgotten() -> None:
    server = Server().allocated()
    server.silent = True
    server.client.send_data(0, b"old", PEER)
    server.run(8.5)
    server.silent = False
    server.client.send_data(server.now, b"new", PEER)
    server.pump()
    assert [m.attributes[stun.DATA] for m in server.requests if m.kind == stun.SEND_INDICATION] == [b"new"]


def test_relayed_addresses_of_both_families_in_any_order_and_once_each() -> None:
    server = Server(ipv6=True)
    server.relayed = [RELAYED6, RELAYED]
    server.client.allocate(0)
    server.pump()
    assert server.client.events == [Allocated((RELAYED6, RELAYED), ("192.0.2.1", 7))]
    server = Server(ipv6=True)
    server.relayed = [RELAYED, RELAYED]
    assert server.allocated().client.relayed == (RELAYED,)


def test_a_refresh_tells_that_the_allocation_stands_and_how_long() -> None:
    server = Timed().allocated()
    server.run(10)
    server.lifetime = 200
    server.client.verify(10)
    server.pump()
    assert server.client.events == [Allocated((RELAYED,), None)]
    server.run(150)
    assert server.times_of(stun.REFRESH) == [10, 150]


def test_after_the_release_nothing_is_sent() -> None:
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.client.prepare(0, OTHER)
    server.pump()
    server.client.release(0)
    server.pump()
    before = len(server.raw)
    assert server.client.events == [Released()]
    assert server.client.next_time() == float("inf")
    server.client.send_data(0, b"x", PEER)
    server.client.prepare(0, PEER)
    server.client.bind(0, OTHER)
    server.client.verify(0)
    server.client.tick(10_000)
    assert len(server.raw) == before
    assert (server.client.channels, server.client.permitted_hosts) == ({}, frozenset())


def test_a_release_that_nobody_answers_ends() -> None:
    server = Timed().allocated()
    server.silent = True
    server.client.release(0)
    server.run(100)
    assert server.times_of(stun.REFRESH) == [0, 0.5, 1.5, 3.5, 7.5]
    assert server.client.events == [Released()]


def test_what_a_client_does_before_it_is_told() -> None:
    client = TurnClient(
        username="u", password="p", send=lambda _data: None, receive_data=lambda _data, _peer: None,
        reliable=False, ipv6=False, rto=0.5, timeout=8,
    )  # fmt: skip
    assert (client.phase, client.relayed, client.events, client.channels) == ("new", (), [], {})
    assert client.next_time() == float("inf")
    client.tick(1000)
    assert client.events == []


def test_each_request_is_repeated_at_its_own_times() -> None:
    server = Timed().allocated()
    server.silent = True
    server.client.prepare(0, PEER)
    server.run(0.3)
    server.client.bind(server.now, OTHER)
    server.run(3)
    assert server.times_of(stun.CREATE_PERMISSION) == [0, 0.5, 1.5]
    assert server.times_of(stun.CHANNEL_BIND) == [0.3, 0.8, 1.8]


def test_a_request_that_is_sent_anew_has_its_whole_time_again() -> None:
    server = Timed().allocated()
    server.errors = {stun.CREATE_PERMISSION: 500}
    server.client.send_data(0, b"x", PEER)
    server.run(0.4)
    server.silent = True
    server.run(8)
    assert server.times_of(stun.CREATE_PERMISSION) == [0, 0.5, 1, 2, 4, 8]


def test_a_permission_whose_refresh_is_not_heard_is_asked_for_again() -> None:
    server = Timed().allocated()
    server.client.prepare(0, PEER)
    server.pump()
    server.run(239)
    server.silent = True
    server.run(8.7)
    assert server.client.permitted_hosts == {PEER[0]}  # it stands for another minute
    server.silent = False
    server.run(10)
    assert server.times_of(stun.CREATE_PERMISSION) == [0, 240, 240.5, 241.5, 243.5, 247.5, 248]
    assert server.client.permitted_hosts == {PEER[0]}


def test_what_stands_is_kept_when_the_allocation_is_verified() -> None:
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.client.prepare(0, OTHER)
    server.pump()
    server.client.verify(0)
    server.pump()
    assert set(server.client.channels) == {PEER}
    assert server.client.permitted_hosts == {PEER[0], OTHER[0]}


def test_what_data_cost_on_the_way() -> None:
    """RFC 8656 sections 11.1 and 12.4: 36 bytes in an indication, 4 in a channel."""
    server = Server().allocated()
    server.client.prepare(0, PEER)
    server.pump()
    server.client.send_data(0, b"data", PEER)
    assert len(server.raw[-1]) == 36 + 4
    server.client.bind(0, PEER)
    server.pump()
    server.client.send_data(0, b"data", PEER)
    assert len(server.raw[-1]) == 4 + 4


def test_channels_of_all_numbers_are_heard() -> None:
    """RFC 8656 section 12: 0x4000 to 0x4FFF."""
    server = Server().allocated()
    for number in (0x4000, 0x4001, 0x4100, 0x4FFF):
        server.client._next_channel = number
        peer = ("198.51.100.9", number)
        server.client.bind(0, peer)
        server.pump()
        server.client.receive_untrusted(0, number.to_bytes(2) + b"\0\1x")
        assert server.data[-1] == (b"x", peer)
