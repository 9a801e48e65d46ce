"""Questions to STUN servers."""

from __future__ import annotations

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
