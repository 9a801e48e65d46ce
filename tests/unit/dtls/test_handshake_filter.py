from __future__ import annotations

import random

import pytest

from rtcpeer.dtls.handshake_filter import BeginsAnew, HandshakeFilter


def record(kind, body, epoch=0, number=0):
    return (
        bytes((kind, 0xFE, 0xFD))
        + epoch.to_bytes(2, "big")
        + number.to_bytes(6, "big")
        + len(body).to_bytes(2, "big")
        + body
    )


def fragment(kind, body, number, start=0, end=None):
    part = body[start:end]
    return (
        bytes((kind,))
        + len(body).to_bytes(3, "big")
        + number.to_bytes(2, "big")
        + start.to_bytes(3, "big")
        + len(part).to_bytes(3, "big")
        + part
    )


# the unencrypted messages of a client, and of a server, by type
CLIENT = [(1, b"hello" * 9), (11, b"certificate" * 90), (16, b"key" * 20), (15, b"proof" * 14)]
SERVER = [(2, b"hello" * 9), (11, b"certificate" * 90), (12, b"key" * 20), (13, b"request"), (14, b"")]


def genuine(messages):
    return [record(22, fragment(kind, body, n), 0, n) for n, (kind, body) in enumerate(messages)]


def given(side, datagrams):
    return [step for datagram in datagrams for step in side.take(datagram)]


def bodies(steps):
    """Type and content of messages; the number of each record is its place."""
    for place, step in enumerate(steps):
        assert step[3:11] == place.to_bytes(8, "big")
    return [(step[13], step[25:]) for step in steps if step[0] == 22]


@pytest.mark.parametrize(("is_server", "messages"), [(True, CLIENT), (False, SERVER)])
@pytest.mark.parametrize("seed", range(20))
def test_messages_are_whole_in_order_and_once(is_server, messages, seed):
    rng = random.Random(seed)
    datagrams = []
    for number, (kind, body) in enumerate(messages):
        size = rng.choice((50, 200, 2000))
        datagrams += [
            record(22, fragment(kind, body, number, start, start + size), 0, rng.randrange(9))
            for start in range(0, max(1, len(body)), size)
        ]
    datagrams.append(record(20, b"\x01"))
    datagrams *= 2
    rng.shuffle(datagrams)
    side = HandshakeFilter(is_server=is_server)

    steps = given(side, datagrams)

    assert bodies(steps) == messages
    # where it is due: behind the last message in the clear
    assert [step[0] for step in steps].index(20) == len(messages)
    assert side.is_complete


def test_fragments_that_promise_another_length_are_another_message():
    side = HandshakeFilter(is_server=True)
    forged = [record(22, fragment(11, bytes(size), 1, 0, 16)) for size in range(100, 400)]

    steps = given(side, [*forged, *genuine(CLIENT)])

    assert bodies(steps) == CLIENT
    assert len(side._assemblies) <= 32


@pytest.mark.parametrize("is_server", [True, False])
def test_what_the_other_role_never_sends_is_dropped(is_server):
    side = HandshakeFilter(is_server=is_server)

    assert given(side, genuine(SERVER if is_server else CLIENT)) == []
    assert side.is_mirror


def test_what_is_not_encrypted_and_no_handshake_is_dropped():
    side = HandshakeFilter(is_server=True)
    steps = given(
        side,
        [record(21, b"\x02\x28"), record(23, b"data"), record(24, b"x"), record(20, b"\x02"), b"", b"\x16"],
    )

    assert steps == []
    assert side.alert == 40


def test_encrypted_records_pass_as_they_are():
    side = HandshakeFilter(is_server=True)
    encrypted = [record(kind, b"secret", 1, 77) for kind in (21, 22, 23)]

    assert given(side, [b"".join(encrypted), record(20, b"secret", 1), record(24, b"secret", 1)]) == encrypted


def test_another_first_message_is_another_handshake():
    side = HandshakeFilter(is_server=True)
    given(side, genuine(CLIENT)[:2])
    other = [(1, b"HELLO" * 9)]

    assert given(side, genuine(CLIENT)[:1]) == []
    assert given(side, genuine(other)) == [BeginsAnew(fragment(1, other[0][1], 0))]


def test_a_request_to_verify_comes_before_the_hello_or_not_at_all():
    verify = (3, b"\xfe\xfd\x04cook")
    side = HandshakeFilter(is_server=False)
    assert bodies(given(side, genuine([verify, *SERVER]))) == [verify, *SERVER]

    side = HandshakeFilter(is_server=False)
    given(side, genuine([verify]))
    assert given(side, genuine(SERVER)[:1]) == [BeginsAnew(fragment(2, SERVER[0][1], 0))]


def test_parts_of_a_message_are_bounded_however_many_come():
    """Forged fragments with holes between them cost no more each than the first, and do not stop the message."""
    side = HandshakeFilter(is_server=True)
    hello, certificate = genuine(CLIENT)[0], bytes(range(250)) * 16
    given(side, [hello])
    for start in range(2, 4000, 2):
        given(side, [record(22, fragment(11, bytes(4000), 1, start, start + 1))])
    (assembly,) = side._assemblies.values()
    assert len(assembly.known) <= 32

    steps = given(
        side, [record(22, fragment(11, certificate, 1, at, at + 1000)) for at in (3000, 0, 2000, 1000)]
    )

    assert [step[25:] for step in steps] == [certificate]


@pytest.mark.parametrize(
    "parts",
    [[(0, 4), (4, 9)], [(4, 9), (0, 4)], [(0, 6), (3, 9)], [(5, 6), (0, 9)], [(0, 3), (6, 9), (3, 6)]],
)
def test_a_message_is_whole_when_its_parts_cover_it(parts):
    side = HandshakeFilter(is_server=True)
    message = b"hello you"
    given(side, [record(22, fragment(1, message, 0, 3, 3))])  # a part of nothing
    for start, end in parts[:-1]:
        assert given(side, [record(22, fragment(1, message, 0, start, end))]) == []
    assert bodies(given(side, [record(22, fragment(1, message, 0, *parts[-1]))])) == [(1, message)]


def test_of_two_whole_messages_with_one_number_the_first_is_kept():
    side = HandshakeFilter(is_server=True)
    ahead = genuine(CLIENT)[1]
    given(side, [ahead, record(22, fragment(11, b"forged", 1))])
    assert bodies(given(side, genuine(CLIENT)[:1])) == CLIENT[:2]


def test_a_message_of_a_server_comes_once_and_in_its_order():
    side = HandshakeFilter(is_server=False)
    hello, certificate, key = SERVER[:3]
    steps = given(side, genuine([hello, certificate, certificate]))
    assert bodies(steps) == [hello, certificate]
    assert given(side, [record(22, fragment(*key, 2))])[0][13] == 12
    assert given(side, [record(22, fragment(*certificate, 3))]) == []


def test_records_of_tls_are_dropped():
    side = HandshakeFilter(is_server=True)
    (hello,) = genuine(CLIENT)[:1]
    assert given(side, [hello[:1] + b"\x03" + hello[2:]]) == []
    assert bodies(given(side, [hello])) == CLIENT[:1]


def test_messages_are_bounded():
    side = HandshakeFilter(is_server=True)

    assert given(side, [record(22, fragment(1, bytes(16001), 0))]) == []
    given(side, [record(22, fragment(11, bytes(100), n)) for n in range(1, 1000)])

    assert len(side._whole) <= 8
