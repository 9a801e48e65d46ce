"""Long-term credentials: which challenges are answered, which messages are believed."""

from __future__ import annotations

import pytest

from rtcpeer.stun import message as stun
from rtcpeer.stun.credentials import Attempts, LongTermCredentials

TXID = bytes(12)


def challenge(nonce: bytes | None, key: bytes | None = None) -> stun.StunMessage:
    body = stun.attribute(stun.REALM, b"example")
    if nonce is not None:
        body += stun.attribute(stun.NONCE, nonce)
    return stun.parse_untrusted(stun.encode(stun.ALLOCATE | 0x110, TXID, body, key))


def accept(credentials: LongTermCredentials, attempts: Attempts, code: int, nonce: bytes | None) -> bool:
    accepted = credentials.accept_challenge(code, challenge(nonce), attempts)
    attempts.nonce = credentials.nonce if accepted else attempts.nonce
    return accepted


def fresh() -> tuple[LongTermCredentials, Attempts]:
    attempts = Attempts()
    attempts.nonce = b""
    return LongTermCredentials("alice", "secret"), attempts


def test_the_first_challenge_gives_realm_nonce_and_key():
    credentials, attempts = fresh()
    assert accept(credentials, attempts, 401, b"first")
    assert credentials.nonce == b"first"
    assert credentials.key == stun.long_term_key("alice", "example", "secret")
    for part in (b"alice", b"example", b"first"):
        assert part in credentials.attributes


def test_a_wrong_password_is_not_tried_for_ever():
    credentials, attempts = fresh()
    assert accept(credentials, attempts, 401, b"first")
    assert not accept(credentials, attempts, 401, b"first"), "the same nonce: the server does not believe us"


def test_a_server_that_is_never_content_is_given_up():
    credentials, attempts = fresh()
    answered = [accept(credentials, attempts, 438, b"%d" % number) for number in range(6)]
    assert answered == [True] * 4 + [False] * 2


def test_401_with_another_nonce_means_a_stale_one_twice_in_a_request_and_no_more():
    """RFC 8489 9.2.5 has 438 for it; servers exist that say 401."""
    credentials, attempts = fresh()
    answered = [accept(credentials, attempts, 401, nonce) for nonce in (b"first", b"second", b"third")]
    assert answered == [True, True, False]
    another = Attempts()
    another.nonce = credentials.nonce
    answered = [accept(credentials, another, 401, nonce) for nonce in (b"fourth", b"fifth", b"sixth")]
    assert answered == [True, True, False]


@pytest.mark.parametrize(("user", "nonce"), [("", b"nonce"), ("alice", None)])
def test_nothing_to_answer_with(user, nonce):
    credentials = LongTermCredentials(user, "secret")
    assert not credentials.accept_challenge(401, challenge(nonce), Attempts())


def test_a_request_that_was_sent_with_an_older_nonce_comes_again_as_it_is():
    credentials, first = fresh()
    late = Attempts()
    late.nonce = b""
    assert accept(credentials, first, 401, b"first")
    assert credentials.accept_challenge(438, challenge(b"first"), late)
    assert (late.outdated, late.challenges) == (1, 0)
    assert credentials.nonce == b"first"
    for _ in range(15):
        assert credentials.accept_challenge(438, challenge(b"first"), late)
    assert not credentials.accept_challenge(438, challenge(b"first"), late)


def test_who_is_believed():
    credentials, attempts = fresh()
    signed = challenge(b"n", b"forged")
    assert credentials.believe_error(signed)
    assert credentials.believe_success(signed), "before there is a key nothing can be checked"
    accept(credentials, attempts, 401, b"first")
    assert not credentials.believe_success(signed)
    assert not credentials.believe_success(challenge(b"n"))
    assert credentials.believe_success(challenge(b"n", credentials.key))
    assert credentials.believe_error(challenge(b"n")), "servers need not sign errors"
    assert not credentials.believe_error(signed)
