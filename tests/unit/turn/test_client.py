"""The TURN client against a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import pytest

from rtcpeer.stun import message as stun
from rtcpeer.turn.client import Allocated, Lost, Refused, Released, TurnClient

RELAYED = ("203.0.113.1", 50000)
RELAYED6 = ("2001:db8::1", 50001)
PEER = ("198.51.100.9", 9999)
REALM, NONCE = b"example", b"nonce-1"
KEY = stun.long_term_key("user", "example", "pass")


class Server:
    """Answers what the client sends as a test wants it."""

    def __init__(self, *, reliable: bool = False, ipv6: bool = False) -> None:
        self.now = 0.0
        self.requests: list[stun.StunMessage] = []
        self.raw: list[bytes] = []
        self.data: list[tuple[bytes, tuple[str, int]]] = []
        self.nonce = NONCE
        # Method -> error code, or a body.
        self.errors: dict[int, int] = {}
        self.extra: dict[int, bytes] = {}
        self.silent = False
        self.relayed = [RELAYED]
        self.lifetime = 600
        self._inbox: list[bytes] = []
        self.client = TurnClient(
            username="user",
            password="pass",
            send=self._receive,
            receive_data=lambda data, peer: self.data.append((data, peer)),
            reliable=reliable,
            ipv6=ipv6,
            rto=0.5,
            timeout=8,
        )

    def _receive(self, data: bytes) -> None:
        self.raw.append(data)
        if data[0] & 0xC0 == 0x40:
            return
        message = stun.parse_untrusted(data)
        self.requests.append(message)
        if not self.silent and message.kind & stun.CLASS_MASK != stun.BINDING_INDICATION & stun.CLASS_MASK:
            self._inbox.append(self._answer(message))

    def _answer(self, message: stun.StunMessage) -> bytes:
        method, transaction_id = message.kind, message.transaction_id
        challenge = stun.attribute(stun.REALM, REALM) + stun.attribute(stun.NONCE, self.nonce)
        if not message.authentic(KEY):
            body = stun.error_code(401, "Unauthorized") + challenge
            return stun.encode(method | stun.ERROR, transaction_id, body)
        if message.attributes.get(stun.NONCE) != self.nonce:
            return stun.encode(
                method | stun.ERROR, transaction_id, stun.error_code(438, "Stale Nonce") + challenge
            )
        if method in self.errors:
            body = stun.error_code(self.errors[method], "no") + self.extra.get(method, b"")
            return stun.encode(method | stun.ERROR, transaction_id, body, KEY)
        body = b""
        if method == stun.ALLOCATE:
            for address in self.relayed:
                body += stun.xor_address(stun.XOR_RELAYED_ADDRESS, address, transaction_id)
            body += stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 7), transaction_id)
        if method in (stun.ALLOCATE, stun.REFRESH) and self.lifetime:
            body += stun.u32(stun.LIFETIME, self.lifetime)
        return stun.encode(method | stun.SUCCESS, transaction_id, body, KEY)

    def pump(self) -> None:
        """Deliver answers until there are none."""
        while self._inbox:
            self.client.receive_untrusted(self.now, self._inbox.pop(0))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.pump()
        while self.client.next_time() <= end:
            self.now = max(self.now, self.client.next_time())
            self.client.tick(self.now)
            self.pump()
        self.now = end

    def allocated(self) -> Self:
        self.client.allocate(self.now)
        self.pump()
        assert isinstance(self.client.events.pop(), Allocated)
        return self

    def kinds(self) -> list[int]:
        return [message.kind for message in self.requests]


def test_allocation_with_credentials() -> None:
    server = Server()
    server.client.allocate(0)
    server.pump()
    assert server.client.events == [Allocated((RELAYED,), ("192.0.2.1", 7))]
    assert len(server.requests) == 2
    assert stun.USERNAME not in server.requests[0].attributes


def test_both_families_in_one_allocation() -> None:
    server = Server(ipv6=True)
    server.relayed.append(RELAYED6)
    server.client.allocate(0)
    server.pump()
    assert server.client.relayed == (RELAYED, RELAYED6)
    assert server.requests[0].attributes[stun.ADDITIONAL_ADDRESS_FAMILY] == b"\2\0\0\0"


@pytest.mark.parametrize("code", [400, 420, 440])
def test_a_server_without_ipv6_is_asked_again_without_it(code: int) -> None:
    server = Server(ipv6=True)
    server.errors[stun.ALLOCATE] = code
    server.client.allocate(0)
    server._inbox, first = [], server._inbox
    server.client.receive_untrusted(0, first[0])
    server.client.receive_untrusted(0, server._inbox.pop(0))
    server.errors.clear()
    last = server.requests[-1]
    assert stun.ADDITIONAL_ADDRESS_FAMILY not in last.attributes
    server._inbox[:] = [server._answer(last)]
    server.pump()
    assert server.client.phase == "allocated"


def test_a_server_with_ipv6_alone() -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = 440
    server.client.allocate(0)
    server.pump()
    assert server.requests[-1].attributes[stun.REQUESTED_ADDRESS_FAMILY] == b"\2\0\0\0"
    assert isinstance(server.client.events[-1], Refused)


def test_wrong_credentials_are_refused_with_401() -> None:
    server = Server()
    server.client._credentials._password = "wrong"
    server.client.allocate(0)
    server.pump()
    assert server.client.events == [Refused(401, "Unauthorized")]
    assert len(server.requests) <= 4


def test_stale_nonce() -> None:
    server = Server().allocated()
    server.nonce = b"nonce-2"
    server.client.verify(1)
    server.pump()
    assert isinstance(server.client.events[-1], Allocated)


def test_a_server_that_is_never_content_is_given_up() -> None:
    server = Server()

    def answer(message: stun.StunMessage) -> bytes:
        server.nonce += b"x"
        body = stun.error_code(438, "Stale") + stun.attribute(stun.NONCE, server.nonce)
        return stun.encode(message.kind | stun.ERROR, message.transaction_id, body)

    server._answer = answer  # type: ignore[method-assign]
    server.client.allocate(0)
    server.pump()
    assert isinstance(server.client.events[-1], Refused)
    assert len(server.requests) < 8


@pytest.mark.parametrize("code", [403, 437, 442, 486, 508])
def test_errors_keep_their_code(code: int) -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = code
    server.client.allocate(0)
    server.run(4)
    assert server.client.events == [Refused(code, "no", signed=True)]
    assert server.client.next_time() == float("inf")


def test_redirect_names_the_other_server() -> None:
    server = Server()
    server.errors[stun.ALLOCATE] = 300
    server.extra[stun.ALLOCATE] = stun.attribute(stun.ALTERNATE_SERVER, b"\0\1\x0d\x96\xc0\0\2\x09")
    server.client.allocate(0)
    server.pump()
    assert server.client.events == [Refused(300, "no", ("192.0.2.9", 3478), signed=True)]


def test_a_dead_server_is_unreachable_after_its_time() -> None:
    server = Server()
    server.silent = True
    server.client.allocate(0)
    server.run(7.9)
    assert not server.client.events
    assert 3 <= len(server.requests) <= 7
    server.run(0.2)
    assert server.client.events == [Refused(701, "the server did not answer")]


def test_no_retransmission_over_a_stream() -> None:
    server = Server(reliable=True)
    server.silent = True
    server.client.allocate(0)
    server.run(7.9)
    assert len(server.requests) == 1
    server.run(0.2)
    assert isinstance(server.client.events[0], Refused)


def test_an_allocation_without_an_address_is_none() -> None:
    server = Server()
    server.relayed = []
    server.client.allocate(0)
    server.pump()
    assert isinstance(server.client.events[0], Refused)


def test_a_forged_success_is_ignored() -> None:
    server = Server().allocated()
    server.silent = True
    server.client.verify(0)
    request = server.requests[-1]
    body = stun.u32(stun.LIFETIME, 600)
    forged = stun.encode(stun.REFRESH | stun.SUCCESS, request.transaction_id, body, b"guess")
    server.client.receive_untrusted(0, forged)
    server.client.receive_untrusted(
        0, stun.encode(stun.REFRESH | stun.ERROR, b"x" * 12, stun.error_code(437, ""))
    )
    bad = stun.encode(stun.REFRESH | stun.ERROR, request.transaction_id, stun.error_code(437, ""), b"guess")
    server.client.receive_untrusted(0, bad)
    assert not server.client.events


def test_data_waits_for_the_permission_then_uses_indications_then_the_channel() -> None:
    server = Server().allocated()
    server.client.send_data(0, b"one", PEER)
    assert server.kinds()[-1] == stun.CREATE_PERMISSION
    server.pump()
    assert server.kinds()[-1] == stun.SEND_INDICATION
    assert server.requests[-1].attributes[stun.DATA] == b"one"
    assert server.client.permitted_hosts == {PEER[0]}
    server.client.bind(0, PEER)
    server.client.send_data(0, b"two", PEER)
    assert server.kinds()[-1] == stun.SEND_INDICATION
    server.pump()
    server.client.send_data(0, b"three", PEER)
    assert server.raw[-1] == b"\x40\x00\x00\x05three"


def test_channel_data_is_padded_on_streams() -> None:
    server = Server(reliable=True).allocated()
    server.client.bind(0, PEER)
    server.pump()
    server.client.send_data(0, b"three", PEER)
    assert server.raw[-1] == b"\x40\x00\x00\x05three\0\0\0"


def test_the_queue_for_a_permission_is_bounded() -> None:
    server = Server().allocated()
    for number in range(100):
        server.client.send_data(0, b"%d" % number, PEER)
    server.pump()
    sent = [m.attributes[stun.DATA] for m in server.requests if m.kind == stun.SEND_INDICATION]
    assert sent == [b"96", b"97", b"98", b"99"]


def test_a_refused_permission_sends_nothing() -> None:
    server = Server().allocated()
    server.errors[stun.CREATE_PERMISSION] = 403
    server.client.send_data(0, b"one", PEER)
    server.pump()
    server.client.send_data(0, b"two", PEER)
    assert stun.SEND_INDICATION not in server.kinds()


def test_data_arrives_by_indication_and_channel() -> None:
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.pump()
    transaction_id = bytes(12)
    body = stun.xor_address(stun.XOR_PEER_ADDRESS, PEER, transaction_id) + stun.attribute(stun.DATA, b"hello")
    server.client.receive_untrusted(0, stun.encode(stun.DATA_INDICATION, transaction_id, body))
    server.client.receive_untrusted(0, b"\x40\x00\x00\x02hi")
    server.client.receive_untrusted(0, b"\x40\x01\x00\x02no")
    server.client.receive_untrusted(0, b"\x40\x00\x00\x09short")
    server.client.receive_untrusted(0, b"\x40")
    stranger = stun.xor_address(stun.XOR_PEER_ADDRESS, ("203.0.113.200", 1), transaction_id)
    server.client.receive_untrusted(
        0, stun.encode(stun.DATA_INDICATION, transaction_id, stranger + stun.attribute(stun.DATA, b"x"))
    )
    assert server.data == [(b"hello", PEER), (b"hi", PEER)]


def test_everything_is_refreshed_for_an_hour() -> None:
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.pump()
    for _ in range(60):
        server.run(60)
        server.client.send_data(server.now, b"x", PEER)
    assert server.client.phase == "allocated"
    kinds = server.kinds()
    assert kinds.count(stun.REFRESH) >= 6
    assert kinds.count(stun.CHANNEL_BIND) >= 6
    assert kinds.count(stun.CREATE_PERMISSION) >= 12


@pytest.mark.parametrize(("reliable", "count"), [(False, 23), (True, 11)])
def test_a_nat_on_the_way_is_kept_from_forgetting_an_unused_allocation(reliable: bool, count: int) -> None:
    server = Server(reliable=reliable).allocated()
    server.run(590)
    assert abs(server.kinds().count(stun.BINDING_INDICATION) - count) <= 1
    server.client.bind(server.now, PEER)
    server.pump()
    before = server.kinds().count(stun.BINDING_INDICATION)
    for _ in range(40):
        server.run(5)
        server.client.send_data(server.now, b"x", PEER)
    assert server.kinds().count(stun.BINDING_INDICATION) == before


def test_unused_permissions_lapse() -> None:
    server = Server().allocated()
    server.client.prepare(0, PEER)
    server.pump()
    server.run(1000)
    assert not server.client.permitted_hosts


def test_a_short_lifetime_is_respected() -> None:
    server = Server()
    server.lifetime = 30
    server.allocated()
    server.run(100)
    assert server.kinds().count(stun.REFRESH) >= 6


def test_a_lost_allocation_is_told_once() -> None:
    server = Server().allocated()
    server.errors[stun.REFRESH] = 437
    server.run(600)
    assert server.client.events == [Lost(437, "no")]
    assert server.client.next_time() == float("inf")


def test_a_server_that_dies_is_noticed_when_the_allocation_ends() -> None:
    server = Server().allocated()
    server.silent = True
    server.run(700)
    assert [type(e) for e in server.client.events] == [Lost]


@pytest.mark.parametrize("answer", [None, 437])
def test_release(answer: int | None) -> None:
    server = Server().allocated()
    if answer:
        server.errors[stun.REFRESH] = answer
    server.client.release(0)
    server.pump()
    assert server.requests[-1].number(stun.LIFETIME) == 0
    assert server.client.events == [Released()]


def test_release_while_allocating_gives_back_what_comes() -> None:
    server = Server()
    server.client.allocate(0)
    server.client.release(0)
    assert not server.client.events
    server.pump()
    assert server.requests[-1].number(stun.LIFETIME) == 0
    assert server.client.events == [Released()]


def test_release_of_nothing() -> None:
    server = Server()
    server.client.release(0)
    assert server.client.events == [Released()]


def test_frames_of_a_stream_in_any_pieces() -> None:
    server = Server(reliable=True)
    server.client.allocate(0)
    for _ in range(2):
        for byte in server._inbox.pop(0):
            assert server.client.feed_untrusted(0, bytes([byte]))
    assert server.client.phase == "allocated"
    server.client.bind(0, PEER)
    data = server._inbox.pop(0)
    assert server.client.feed_untrusted(0, data + b"\x40\x00\x00\x03abc\0\x40\x00")
    assert server.data == [(b"abc", PEER)]


@pytest.mark.parametrize("chunk", [b"HTTP/1.1 400 Bad Request\r\n", b"\xff" * 10])
def test_a_stream_that_is_not_turn(chunk: bytes) -> None:
    server = Server(reliable=True)
    assert not server.client.feed_untrusted(0, b"\x80" + chunk)


def test_a_path_that_ends() -> None:
    server = Server(reliable=True)
    server.client.allocate(0)
    server.client.path_lost("closed")
    assert server.client.events == [Refused(701, "closed")]
    other = Server(reliable=True).allocated()
    other.client.path_lost("closed")
    other.client.path_lost("closed")
    assert other.client.events == [Lost(701, "closed")]


@pytest.mark.parametrize(
    "call", [lambda c: c.prepare(0, PEER), lambda c: c.bind(0, PEER), lambda c: c.verify(0)]
)
def test_calls_before_the_allocation_do_nothing(call: Callable[[TurnClient], None]) -> None:
    server = Server()
    call(server.client)
    server.client.send_data(0, b"x", PEER)
    assert not server.raw


def test_peers_are_bounded() -> None:
    server = Server().allocated()
    for number in range(5000):
        server.client.send_data(0, b"x", (f"10.{number >> 8}.{number & 255}.1", 1))
    assert len(server.requests) < 400


def test_channel_numbers_end() -> None:
    """RFC 8656 12: 0x4000 to 0x4FFF; whoever has none is reached by indications."""
    server = Server().allocated()
    server.client._next_channel = 0x4FFF
    others = [("198.51.100.8", 1), ("198.51.100.7", 2)]
    for peer in others:
        server.client.bind(0, peer)
        server.client.prepare(0, peer)
    server.pump()
    assert [(peer, channel.number) for peer, channel in server.client.channels.items()] == [
        (others[0], 0x4FFF)
    ]
    server.client.send_data(1, b"x", others[1])
    assert server.kinds()[-1] == stun.SEND_INDICATION


def test_a_response_of_another_method_is_none() -> None:
    server = Server().allocated()
    server.silent = True
    server.client.prepare(0, PEER)
    request = server.requests[-1]
    server.client.receive_untrusted(
        0, stun.encode(stun.CHANNEL_BIND | stun.SUCCESS, request.transaction_id, b"", KEY)
    )
    assert not server.client.permitted_hosts
    server.client.receive_untrusted(
        0, stun.encode(stun.CREATE_PERMISSION | stun.SUCCESS, request.transaction_id, b"", KEY)
    )
    assert server.client.permitted_hosts == {PEER[0]}


def test_numbers_on_the_wire() -> None:
    """RFC 8656 sections 7.1, 18.1 and 18.7."""
    server = Server().allocated()
    server.client.bind(0, PEER)
    server.pump()
    first, *_, last = server.requests
    assert first.attributes[stun.REQUESTED_TRANSPORT] == b"\x11\0\0\0"
    assert first.attributes[stun.LIFETIME] == (600).to_bytes(4)
    assert last.attributes[stun.CHANNEL_NUMBER] == b"\x40\0\0\0"


@pytest.mark.parametrize(("reliable", "after"), [(False, 25.0), (True, 50.0)])
def test_when_a_nat_on_the_way_is_reminded(reliable: bool, after: float) -> None:
    assert Server(reliable=reliable).allocated().client.next_time() == after


def test_an_allocation_is_refreshed_a_minute_before_its_end() -> None:
    server = Server().allocated()
    server.run(539.9)
    assert stun.REFRESH not in server.kinds()
    server.run(0.1)
    assert server.kinds().count(stun.REFRESH) == 1


def test_a_refresh_that_is_not_heard_is_sent_anew_while_the_allocation_stands() -> None:
    server = Server().allocated()
    server.run(539.9)
    server.silent = True
    server.run(20)
    server.silent = False
    server.run(600)
    assert server.client.phase == "allocated"
    assert not any(isinstance(event, Lost) for event in server.client.events)


@pytest.mark.parametrize("ask", ["prepare", "bind"])
def test_what_is_not_heard_is_asked_for_again(ask: str) -> None:
    server = Server().allocated()
    server.silent = True
    getattr(server.client, ask)(0, PEER)
    server.run(8.5)
    server.silent = False
    server.client.send_data(server.now, b"data", PEER)
    server.run(9)
    assert server.client.permitted_hosts == {PEER[0]}
    assert ask == "prepare" or server.client.channels[PEER].bound


@pytest.mark.parametrize(
    ("ask", "method"), [("prepare", stun.CREATE_PERMISSION), ("bind", stun.CHANNEL_BIND)]
)
def test_what_alone_is_forbidden_is_asked_for_by_the_next_generation(ask: str, method: int) -> None:
    server = Server().allocated()
    server.errors = {method: 403}
    for _ in range(2):
        getattr(server.client, ask)(0, PEER)
        server.pump()
    assert server.kinds().count(method) == 1
    server.errors.clear()
    server.client.verify(0)
    getattr(server.client, ask)(0, PEER)
    server.pump()
    assert server.kinds().count(method) == 2
    assert server.client.permitted_hosts == {PEER[0]}
