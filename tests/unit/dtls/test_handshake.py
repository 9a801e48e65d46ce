"""Handshakes that somebody disturbs with forged packets, and handshakes that cannot end well."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random

import pytest
from OpenSSL import SSL

from rtcpeer.dtls.certificates import Certificate
from rtcpeer.dtls.handshake import ANEW_MAX, ATTEMPTS_MAX, PATIENCE, PATIENCE_IN_DOUBT
from rtcpeer.dtls.records import split_records
from rtcpeer.values import DtlsRole, DtlsTransportState
from tests.unit.dtls.forged import FORGED, fragments, message, record
from tests.unit.media.pipes import until
from tests.unit.media.rig import connect, make_ends, start

CONNECTED = DtlsTransportState.CONNECTED
CONNECTING = DtlsTransportState.CONNECTING
FAILED = DtlsTransportState.FAILED
CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))


class User:
    def __init__(self):
        self.data = []

    def on_dtls_connected(self):
        pass

    def on_dtls_data(self, data):
        self.data.append(data)

    def on_dtls_closed(self, error):
        pass

    def on_dtls_wake(self):
        pass


def inject(pipe, place, forged):
    """Put a datagram before the one that has this place among those that arrive at an end."""
    deliver, arrived = pipe.receiver, 0

    def receive(data):
        nonlocal arrived
        if arrived == place:
            deliver(forged)
        arrived += 1
        deliver(data)

    pipe.receiver = receive


async def assert_usable(a, b):
    users = User(), User()
    a.dtls.set_data_user(users[0])
    b.dtls.set_data_user(users[1])
    a.dtls.send_data(b"to b")
    b.dtls.send_data(b"to a")
    await until(lambda: users[0].data and users[1].data, 5)
    assert (users[0].data, users[1].data) == ([b"to a"], [b"to b"])


@pytest.mark.parametrize("victim", ["server", "client"])
@pytest.mark.parametrize("name", FORGED)
async def test_forged_packets_do_not_end_a_handshake(name, victim):
    for place in ("before", 0, 1, 2, "after"):
        a, b = make_ends()
        pipe = (a if victim == "server" else b).pipe
        if place == "before":
            pipe.receiver(FORGED[name])
        elif place != "after":
            inject(pipe, place, FORGED[name])
        start(a, b)
        await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 3)  # noqa: B023
        if place == "after":
            pipe.receiver(FORGED[name])

        await assert_usable(a, b)
        await a.stop()
        await b.stop()


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0, 0, 1, 1], [1, 1, 0, 0]])
async def test_a_client_hello_in_two_datagrams(order):
    """Keys that stand against quantum computers make it longer than a datagram."""
    a, b = make_ends()
    deliver = a.pipe.receiver
    seen = []

    def receive(data):
        if data[0] != 22 or data[13] != 1:
            deliver(data)
            return
        seen.append(data)
        parts = fragments(data, len(data) // 2)
        assert len(parts) == 2
        for place in order:
            deliver(parts[place])

    a.pipe.receiver = receive
    start(a, b)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 3)
    assert len(seen) == 1
    await assert_usable(a, b)
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("victim", ["server", "client"])
async def test_a_flood_delays_a_handshake_and_does_not_end_it(victim):
    a, b = make_ends()
    pipe = (a if victim == "server" else b).pipe
    opened = 0
    open_connection = Certificate.open_connection

    def count(certificate, others=()):
        nonlocal opened
        opened += 1
        return open_connection(certificate, others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Certificate, "open_connection", count)
        start(a, b)
        for second in range(20):
            for number in range(50):
                noise = random.Random(second * 50 + number).randbytes(32)
                if victim == "server":
                    hello = b"\xfe\xfd" + noise + b"\x00\x00\x00\x02\xc0\x2b\x01\x00"
                    pipe.receiver(record(22, message(1, hello)))
                else:
                    pipe.receiver(record(22, message(2, b"\xfe\xfd" + noise + b"\x00\xc0\x2b\x00")))
                if a.dtls._handshake is not None:
                    assert len(a.dtls._handshake._attempts) <= ATTEMPTS_MAX
            if a.dtls.is_connected and b.dtls.is_connected:
                break
            await asyncio.sleep(1)
            assert FAILED not in (a.dtls.state, b.dtls.state)
    # one for each end, ten at once, and two a second
    assert opened <= 2 * (12 + 2 * (second + 1))
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 10)

    await assert_usable(a, b)
    await a.stop()
    await b.stop()


async def test_the_same_hello_again_is_no_other_attempt_and_a_pause_saves_no_more_than_ten():
    a, b = make_ends()
    a.pipe.keep = a.pipe.blocked = True
    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)
    handshake = a.dtls._handshake
    opened = []
    open_connection = handshake._open_connection
    handshake._open_connection = lambda: opened.append(1) or open_connection()

    hellos = []
    for client in [raw_client(None) for _ in range(6)]:
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        hellos.append(client.bio_read(65536))

    for _ in range(8):
        for hello in hellos[:2]:
            a.pipe.receiver(hello)
    assert len(opened) == 1  # beside the one that waited
    for hello in hellos[2:]:
        a.pipe.receiver(hello)
    before = len(opened)
    assert before == 5
    assert len(handshake._attempts) == ATTEMPTS_MAX
    a.pipe.has_path = False  # nobody loses patience meanwhile
    await asyncio.sleep(60)
    for number in range(50):
        noise = random.Random(number).randbytes(32)
        a.pipe.receiver(record(22, message(1, b"\xfe\xfd" + noise + b"\x00\x00\x00\x02\xc0\x2b\x01\x00")))

    assert len(opened) - before == ANEW_MAX
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("role", [DtlsRole.SERVER, DtlsRole.CLIENT])
async def test_ends_with_the_same_role_fail(role):
    a, b = make_ends()
    a.dtls.start(role, b.certificate.fingerprints)
    b.dtls.start(role, a.certificate.fingerprints)
    patience = PATIENCE if role is DtlsRole.SERVER else PATIENCE_IN_DOUBT

    await asyncio.sleep(patience - 1)
    assert (a.dtls.state, b.dtls.state) == (CONNECTING, CONNECTING)
    await asyncio.sleep(3)

    for end in (a, b):
        state, error = end.states[-1]
        assert state is FAILED
        assert error.errorDetail == "dtls-failure"
        assert ("a=setup:passive" if role is DtlsRole.SERVER else "same DTLS role") in str(error)
    await a.stop()
    await b.stop()


async def test_a_handshake_waits_for_a_path_as_long_as_it_takes():
    a, b = make_ends()
    for end in (a, b):
        end.pipe.blocked, end.pipe.has_path = True, False
    start(a, b)
    await asyncio.sleep(600)
    assert (a.dtls.state, b.dtls.state) == (CONNECTING, CONNECTING)

    for end in (a, b):
        end.pipe.blocked, end.pipe.has_path = False, True
        end.dtls.wake()
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 1)

    await a.stop()
    await b.stop()


async def test_a_client_without_a_certificate_is_refused():
    a, b = make_ends()
    a.pipe.keep = a.pipe.blocked = True
    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)
    client = raw_client(None)

    await shake(a, client)
    await until(lambda: a.dtls.state is FAILED, PATIENCE + 1)

    assert a.dtls.remote_certificates == []
    await a.stop()
    await b.stop()


async def test_the_keys_of_srtp_are_those_of_the_handshake():
    a, b = make_ends()
    await connect(a, b)

    # nobody has asked for media yet
    assert a.dtls._srtp_keys == b.dtls._srtp_keys
    assert len(a.dtls._srtp_keys.material) == 56
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("media", [False, True])
async def test_without_an_srtp_profile_media_is_an_error_and_data_is_none(media):
    a, b = make_ends()
    if media:
        assert not a.dtls.rtp.connected
    a.pipe.keep = a.pipe.blocked = True
    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)
    client = raw_client(b.certificate)

    await shake(a, client)

    if media:
        assert a.dtls.state is FAILED
        assert "SRTP profile" in str(a.states[-1][1])
    else:
        assert a.dtls.state is CONNECTED
        assert a.dtls.stats()["srtpCipher"] is None
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("role", [DtlsRole.SERVER, DtlsRole.CLIENT])
@pytest.mark.parametrize("other", [False, True])
async def test_there_is_no_renegotiation(role, other):
    a, b = make_ends()
    certificate, second = b.certificate, Certificate.generate()
    a.pipe.keep = a.pipe.blocked = True
    a.dtls.start(role, certificate.fingerprints)
    peer = raw_client(certificate, is_server=role is DtlsRole.CLIENT)
    await shake(a, peer)
    assert a.dtls.state is CONNECTED
    keys = a.dtls._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)

    if other:
        peer.use_certificate(second._certificate)
        peer.use_privatekey(second._key)
    peer.renegotiate()
    await shake(a, peer)

    assert a.dtls.state is CONNECTED
    assert a.dtls._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 56) == keys
    assert a.dtls.remote_certificates == [certificate.der]
    a.dtls.update_fingerprints(second.fingerprints)
    assert a.dtls.state is FAILED
    await a.stop()
    await b.stop()


async def test_a_refused_certificate_is_never_the_remote_one():
    a, b = make_ends()
    await connect(a, b)

    assert not a.dtls.accepts(Certificate.generate().der)

    assert a.dtls.remote_certificates == [b.certificate.der]
    await a.stop()
    await b.stop()


async def test_the_last_flight_is_repeated_twenty_times_at_most():
    a, b = make_ends()
    b.pipe.keep = True
    await connect(a, b)
    last = next(data for data in reversed(b.pipe.sent) if data[0] in (20, 22))
    a.pipe.keep = True

    for _ in range(100):
        a.pipe.receiver(last)

    assert len(a.pipe.sent) == 20
    await a.stop()
    await b.stop()


async def test_who_does_not_repeat_a_handshake_gets_no_flight():
    a, b = make_ends()
    await connect(a, b)
    a.pipe.keep = True

    for _ in range(10):
        a.pipe.receiver(record(21, b"\x02\x28", 1, 9))
        a.pipe.receiver(record(23, b"clear", 0, 9))

    assert a.pipe.sent == []
    await a.stop()
    await b.stop()


def raw_client(certificate: Certificate | None, *, is_server: bool = False) -> SSL.Connection:
    """An end of OpenSSL's own that shows what it likes, and offers no SRTP."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | 0x100)  # ALLOW_CLIENT_RENEGOTIATION
    context.set_verify(SSL.VERIFY_PEER if is_server else SSL.VERIFY_NONE, lambda *_: True)
    connection = SSL.Connection(context)
    if certificate is not None:
        connection.use_certificate(certificate._certificate)
        connection.use_privatekey(certificate._key)
    connection.set_ciphertext_mtu(1200)
    if is_server:
        connection.set_accept_state()
    else:
        connection.set_connect_state()
    return connection


async def shake(end, peer: SSL.Connection) -> None:
    """Carry datagrams between an end and a connection until both are silent."""
    for _ in range(20):
        for call in (peer.do_handshake, lambda: peer.recv(1000)):
            # nothing to read, or the end of it: what matters is seen at our end
            with contextlib.suppress(SSL.Error):
                call()
        try:
            datagrams = split_records(peer.bio_read(65536), 1200)
        except SSL.WantReadError:
            datagrams = []
        for datagram in datagrams:
            if end.pipe.receiver is not None:
                end.pipe.receiver(datagram)
        for datagram in end.pipe.sent:
            peer.bio_write(datagram)
        end.pipe.sent.clear()
        await asyncio.sleep(0)


async def test_fuzz_records_of_a_handshake_survives():
    """Mutated copies of genuine datagrams, before each of them, at both ends; then the handshake is finished."""
    rng = random.Random(8)
    for _ in range(max(4, CASES // 2000)):
        a, b = make_ends()
        for end in (a, b):
            disturb(end.pipe, rng)
        start(a, b)
        await until(lambda: CONNECTED is a.dtls.state is b.dtls.state, 60)  # noqa: B023
        await assert_usable(a, b)
        await a.stop()
        await b.stop()


def disturb(pipe, rng: random.Random) -> None:
    deliver = pipe.receiver

    def receive(data):
        for _ in range(rng.randrange(6)):
            mutant = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                # bytes of headers count more than those of keys; never the certificate itself, whose
                # forgery is a fingerprint mismatch
                mutant[rng.randrange(min(len(mutant), 26))] = rng.choice(
                    (0, 1, 2, 11, 14, 20, 255, rng.randrange(256))
                )
            deliver(bytes(mutant[: rng.randrange(1, len(mutant) + 1)] if rng.random() < 0.3 else mutant))
        deliver(data)

    pipe.receiver = receive


@pytest.mark.parametrize("together", [1, 16384])
async def test_openssl_reads_what_came_in_one_datagram_at_once(monkeypatch, together):
    # more than fits into OpenSSL's buffer is read in parts
    monkeypatch.setattr("rtcpeer.dtls.handshake._TOGETHER_MAX", together)
    steps = []
    monkeypatch.setattr(
        SSL.Connection,
        "do_handshake",
        lambda connection, do=SSL.Connection.do_handshake: (steps.append(connection), do(connection))[1],
    )
    a, b = make_ends()
    start(a, b)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 3)
    # to say hello, and once for each of the four flights (RFC 6347 section 4.2.4)
    assert (len(steps) == 5) is (together > 1)
    await assert_usable(a, b)
