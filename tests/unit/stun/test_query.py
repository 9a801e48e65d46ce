"""Questions to STUN servers."""

from __future__ import annotations

import functools

from rtcpeer.stun import message as stun
from rtcpeer.stun.query import Queries

SERVER = ("192.0.2.9", 3478)


class Asker:
    def __init__(self) -> None:
        self.queries = Queries()
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.answers: list[tuple[tuple[str, int] | None, tuple[int, str]]] = []

    def ask(self) -> bytes:
        self.queries.ask(
            0,
            SERVER,
            lambda data, to: self.sent.append((data, to)),
            lambda mapped, error: self.answers.append((mapped, error)),
            rto=0.5,
            timeout=4,
        )
        return stun.parse_untrusted(self.sent[-1][0]).transaction_id


def test_an_answer() -> None:
    asker = Asker()
    txid = asker.ask()
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("203.0.113.4", 5), txid)
    good = stun.encode(stun.BINDING_SUCCESS, txid, body)
    assert not asker.queries.on_stun_untrusted(good, ("192.0.2.10", 3478))
    assert asker.queries.on_stun_untrusted(stun.encode(stun.BINDING_SUCCESS, txid, b""), SERVER)
    assert asker.queries.on_stun_untrusted(good[:-1] + b"x", SERVER)
    assert asker.answers == []
    assert asker.queries.on_stun_untrusted(good, SERVER)
    assert asker.answers == [(("203.0.113.4", 5), (0, ""))]
    assert not asker.queries.on_stun_untrusted(good, SERVER)


def test_an_error() -> None:
    asker = Asker()
    txid = asker.ask()
    asker.queries.on_stun_untrusted(stun.encode(stun.BINDING_ERROR, txid, stun.error_code(500, "no")), SERVER)
    assert asker.answers == [(None, (500, "no"))]


def test_silence() -> None:
    asker = Asker()
    asker.ask()
    while (now := asker.queries.next_time()) < 10:
        asker.queries.tick(now)
    assert asker.answers == [(None, (701, "the server did not answer"))]
    assert 3 <= len(asker.sent) <= 5


def test_clear() -> None:
    asker = Asker()
    asker.ask()
    asker.queries.clear()
    assert asker.queries.next_time() == float("inf")


def test_a_query_is_repeated_after_pauses_that_double() -> None:
    """RFC 8489 section 6.2.1; the last pause ends with the time for the whole."""
    asker = Asker()
    asker.ask()
    times = []
    while (now := asker.queries.next_time()) < 10:
        before = len(asker.sent)
        asker.queries.tick(now - 0.01)  # not due yet
        assert len(asker.sent) == before
        times.append(now)
        asker.queries.tick(now)
        asker.queries.tick(now)  # done already
        assert len(asker.sent) + len(asker.answers) == before + 1
    assert times == [0.5, 1.5, 3.5, 4]
    assert len(set(asker.sent)) == 1
    assert asker.sent[0][1] == SERVER
    assert stun.parse_untrusted(asker.sent[0][0]).kind == stun.BINDING_REQUEST


def test_a_timer_that_fires_a_moment_early_is_in_time() -> None:
    asker = Asker()
    asker.ask()
    asker.queries.tick(0.4995)
    assert len(asker.sent) == 2
    asker.queries.tick(3.9995)
    assert asker.answers == [(None, (701, "the server did not answer"))]


def test_each_query_is_answered_for_itself() -> None:
    asker, other = Asker(), Asker()
    other.queries = asker.queries
    first = asker.ask()
    asker.queries.tick(0.5)
    second = other.ask()
    assert first != second
    assert asker.queries.next_time() == 0.5
    error = stun.encode(stun.BINDING_ERROR, first, stun.error_code(400, "bad"))
    assert asker.queries.on_stun_untrusted(error, SERVER)
    assert not asker.queries.on_stun_untrusted(error, SERVER)
    assert (asker.answers, other.answers) == ([(None, (400, "bad"))], [])
    assert not asker.queries.on_stun_untrusted(b"", SERVER)


def test_what_is_no_answer_leaves_the_query_open() -> None:
    asker = Asker()
    txid = asker.ask()
    for kind in (stun.BINDING_REQUEST, stun.ALLOCATE | stun.SUCCESS, stun.BINDING_INDICATION):
        assert asker.queries.on_stun_untrusted(stun.encode(kind, txid, b""), SERVER)
    assert asker.answers == []
    assert asker.queries.next_time() == 0.5


def test_a_server_is_given_up_with_all_queries_to_it_and_no_others() -> None:
    asker = Asker()
    asker.ask()
    asker.ask()
    others: list[tuple[object, tuple[int, str]]] = []
    asker.queries.ask(
        0, ("192.0.2.9", 3479), lambda _data, _to: None, lambda m, e: others.append((m, e)), rto=1, timeout=2
    )
    asker.queries.give_up(SERVER, (701, "unreachable"))
    assert asker.answers == [(None, (701, "unreachable"))] * 2
    assert others == []
    assert asker.queries.next_time() == 1


def test_a_query_that_is_not_due_does_not_hold_up_one_that_is() -> None:
    asker = Asker()
    sent: list[str] = []
    for name, now in (("late", 0.3), ("early", 0.0)):
        send = functools.partial(lambda name, _data, _to: sent.append(name), name)
        asker.queries.ask(now, SERVER, send, lambda _mapped, _error: None, rto=0.5, timeout=4)
    asker.queries.tick(0.5)
    assert sent == ["late", "early", "early"]
