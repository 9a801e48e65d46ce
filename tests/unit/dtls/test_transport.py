from __future__ import annotations

import asyncio

import pytest
from OpenSSL import SSL

from rtcpeer.dtls import certificates
from rtcpeer.dtls.certificates import Certificate, KeyAlgorithm
from rtcpeer.dtls.records import split_records, standard_cipher
from rtcpeer.errors import InvalidStateError
from rtcpeer.values import DtlsRole, DtlsTransportState, Fingerprint
from tests.unit.media.pipes import lossy, pipe_pair, until
from tests.unit.media.rig import End, connect, make_ends, start

CONNECTED = DtlsTransportState.CONNECTED
CLOSED = DtlsTransportState.CLOSED
FAILED = DtlsTransportState.FAILED
# content type of a record (RFC 5246 section 6.2.1)
CHANGE_CIPHER_SPEC = 20


class User:
    def __init__(self):
        self.data = []
        self.log = []

    def on_dtls_connected(self):
        self.log.append("connected")

    def on_dtls_data(self, data):
        self.data.append(data)

    def on_dtls_run(self, messages):
        self.log.append(("run", len(messages)))
        self.data += messages

    def on_dtls_closed(self, error):
        self.log.append(("closed", error))

    def on_dtls_wake(self):
        self.log.append("wake")


def content_types(datagram):
    """Of the records in a datagram (RFC 6347 section 4.1)."""
    at, types = 0, []
    while at < len(datagram):
        types.append(datagram[at])
        at += 13 + int.from_bytes(datagram[at + 11 : at + 13])
    return types


async def stop(*ends):
    for end in ends:
        await end.stop()


async def test_handshake_and_data_both_ways():
    a, b = make_ends()
    users = User(), User()
    a.dtls.set_data_user(users[0])
    b.dtls.set_data_user(users[1])

    await connect(a, b)
    a.dtls.send_data(b"to b")
    b.dtls.send_data(b"to a")
    await until(lambda: users[0].data and users[1].data)

    assert users[0].data == [b"to a"]
    assert users[1].data == [b"to b"]
    assert [state for state, _ in a.states] == [DtlsTransportState.CONNECTING, CONNECTED]
    assert a.dtls.remote_certificates == [b.certificate.der]
    await stop(a, b)


@pytest.mark.parametrize("role", [DtlsRole.CLIENT, DtlsRole.SERVER])
async def test_rsa_and_ecdsa_ends_in_both_roles(role):
    a, b = make_ends(Certificate.generate(KeyAlgorithm("RSA")))

    start(a, b, role)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    await stop(a, b)


async def test_two_rsa_ends():
    rsa = Certificate.generate(KeyAlgorithm("RSA"))
    a, b = make_ends(rsa, rsa)

    await connect(a, b)

    assert a.dtls.stats()["dtlsCipher"] == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    await stop(a, b)


@pytest.mark.parametrize("first", ["ECDSA", "RSA"])
async def test_a_server_shows_the_one_of_its_certificates_that_the_client_can_use(monkeypatch, first):
    pair = [Certificate.generate(KeyAlgorithm(name)) for name in ("ECDSA", "RSA")]
    mine = pair if first == "ECDSA" else pair[::-1]
    one, two = pipe_pair()
    rsa_only = with_ciphers(monkeypatch, b"ECDHE-RSA-AES128-GCM-SHA256")
    a, b = End(one, mine[0], alternatives=(mine[1],)), End(two, rsa_only)

    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)
    b.dtls.start(DtlsRole.CLIENT, [f for c in mine for f in c.fingerprints])
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    assert b.dtls.remote_certificates == [pair[1].der]
    assert a.dtls.certificate is pair[1]
    await stop(a, b)


@pytest.mark.parametrize("role", [DtlsRole.SERVER, DtlsRole.CLIENT])
async def test_the_first_certificate_is_shown_where_any_would_do(role):
    mine = [Certificate.generate(KeyAlgorithm(name)) for name in ("ECDSA", "RSA", "ECDSA")]
    one, two = pipe_pair()
    a, b = End(one, mine[0], alternatives=tuple(mine[1:])), End(two, Certificate.generate())

    start(a, b, role)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    assert b.dtls.remote_certificates == [mine[0].der]
    assert a.dtls.certificate is mine[0]
    await stop(a, b)


async def test_no_handshake_datagram_is_larger_than_the_path():
    a, b = make_ends(Certificate.generate(KeyAlgorithm("RSA", modulus_length=4096)))
    a.pipe.keep = b.pipe.keep = True

    await connect(a, b)

    assert max(len(data) for data in a.pipe.sent + b.pipe.sent) <= 1200
    await stop(a, b)


async def test_auto_role_follows_ice():
    a, b = make_ends()

    a.dtls.start(DtlsRole.AUTO, b.certificate.fingerprints)
    b.dtls.start(DtlsRole.AUTO, a.certificate.fingerprints)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    assert (a.dtls.role, b.dtls.role) == (DtlsRole.SERVER, DtlsRole.CLIENT)
    await stop(a, b)


async def test_a_client_hello_before_start_is_kept():
    a, b = make_ends()

    b.dtls.start(DtlsRole.CLIENT, a.certificate.fingerprints)
    await asyncio.sleep(0.01)
    started = asyncio.get_running_loop().time()
    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    assert asyncio.get_running_loop().time() - started < 0.15
    await stop(a, b)


async def test_it_starts_once():
    a, b = make_ends()
    a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)

    with pytest.raises(InvalidStateError):
        a.dtls.start(DtlsRole.SERVER, b.certificate.fingerprints)

    await stop(a, b)


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_wrong_fingerprint_fails_both_ends(liar):
    ends = make_ends()
    wrong = Certificate.generate().fingerprints
    right = ends[0].certificate.fingerprints

    ends[0].dtls.start(DtlsRole.SERVER, wrong if liar == 0 else right)
    ends[1].dtls.start(DtlsRole.CLIENT, wrong if liar == 1 else right)
    await until(lambda: ends[liar].dtls.state is FAILED)

    state, error = ends[liar].states[-1]
    assert state is FAILED
    assert error.errorDetail == "fingerprint-failure"
    await until(lambda: ends[1 - liar].dtls.state is FAILED)
    other_error = ends[1 - liar].states[-1][1]
    assert other_error.errorDetail == "dtls-failure"
    assert other_error.receivedAlert in (42, 46, 48)
    assert ends[liar].dtls.remote_certificates == []
    await stop(*ends)


@pytest.mark.parametrize("algorithm", ["sha-1", "sha-224", "sha-256", "sha-384", "sha-512", "SHA-256"])
async def test_fingerprints_of_each_algorithm(algorithm):
    import hashlib

    a, b = make_ends()
    digest = hashlib.new(algorithm.lower().replace("-", ""), b.certificate.der).digest()
    good = Fingerprint(algorithm, digest.hex(":").upper())
    bad = Fingerprint(algorithm, bytes(len(digest)).hex(":"))

    for listed, accepted in (([good], True), ([bad, good], True), ([bad], False), ([], False)):
        a.dtls.fingerprints = tuple(listed)
        assert a.dtls.accepts(b.certificate.der) is accepted


async def test_the_strongest_algorithm_counts_and_unknown_ones_prove_nothing():
    a, b = make_ends()
    (sha256,) = b.certificate.fingerprints
    a.dtls.fingerprints = (Fingerprint("sha-512", "00:11"), sha256)
    assert not a.dtls.accepts(b.certificate.der)

    a.dtls.fingerprints = (Fingerprint("md5", "00"), Fingerprint("sha3-999", "00"))
    assert not a.dtls.accepts(b.certificate.der)

    a.dtls.fingerprints = (Fingerprint("md5", "00"), sha256)
    assert a.dtls.accepts(b.certificate.der)


async def test_a_later_description_with_another_fingerprint_fails_it():
    a, b = make_ends()
    await connect(a, b)

    a.dtls.update_fingerprints(b.certificate.fingerprints)
    assert a.dtls.is_connected
    a.dtls.update_fingerprints(Certificate.generate().fingerprints)

    assert a.dtls.state is FAILED
    await stop(a, b)


async def test_the_other_ends_close_is_seen_at_once():
    a, b = make_ends()
    user = User()
    b.dtls.set_data_user(user)
    await connect(a, b)

    await a.dtls.stop()
    await until(lambda: b.dtls.state is CLOSED)

    assert b.states[-1] == (CLOSED, None)
    assert user.log == ["connected", ("closed", None)]
    # who stops it is not told
    assert a.states[-1][0] is CONNECTED
    await stop(a, b)


async def test_stop_is_final_and_may_be_repeated():
    a, b = make_ends()
    await connect(a, b)

    await a.dtls.stop()
    await a.dtls.stop()
    a.dtls.send_data(b"x")
    a.dtls.wake()

    assert a.dtls.state is CLOSED
    assert a.pipe.receiver is None
    await stop(b)


async def test_stop_in_the_middle_of_the_handshake_leaves_no_timer():
    a, b = make_ends()
    b.pipe.blocked = True
    b.dtls.start(DtlsRole.CLIENT, a.certificate.fingerprints)

    handshake = b.dtls._handshake
    flight = handshake.flight
    assert flight._timer is not None

    await b.dtls.stop()

    assert flight._timer is None
    assert handshake._tick_timer is None
    await stop(a)


@pytest.mark.parametrize("seed", range(8))
async def test_handshake_over_a_lossy_path(seed, monkeypatch):
    monkeypatch.setattr("rtcpeer.dtls.transport.FLIGHT_RTO_INITIAL", 0.01)
    monkeypatch.setattr("rtcpeer.dtls.transport.FLIGHT_RTO_MAX", 0.03)
    a, b = make_ends()
    a.pipe.drop, b.pipe.drop = lossy(seed, 0.35), lossy(seed + 100, 0.35)

    await connect(a, b)

    a.pipe.drop = b.pipe.drop = lambda data: False
    await stop(a, b)


async def test_data_that_overtake_the_end_of_the_handshake_are_read():
    server, client = make_ends()
    user = User()
    client.dtls.set_data_user(user)
    # the server's last flight; what it sends when it is connected passes
    server.pipe.drop = lambda data: CHANGE_CIPHER_SPEC in content_types(data)
    start(server, client)
    await until(lambda: server.dtls.is_connected)
    server.dtls.send_data(b"x" * 300)
    await asyncio.sleep(0.01)
    assert not client.dtls.is_connected

    server.pipe.drop = lambda data: False
    await until(lambda: client.dtls.is_connected)
    server.dtls.send_data(b"y" * 10)
    await until(lambda: len(user.data) == 2)

    # each whole, and none a packet late
    assert user.data == [b"x" * 300, b"y" * 10]
    await stop(server, client)


@pytest.mark.parametrize("flight", range(4))
async def test_wake_sends_a_lost_flight_again(flight):
    a, b = make_ends()
    ends = (b, a) if flight % 2 == 0 else (a, b)
    sender = ends[0]
    # block the end whose turn it is after the flights before
    seen = 0

    def drop(data):
        nonlocal seen
        seen += 1
        return seen > flight // 2

    sender.pipe.drop = drop
    start(a, b)
    await asyncio.sleep(0.03)
    assert not (a.dtls.is_connected and b.dtls.is_connected)

    sender.pipe.drop = lambda data: False
    a.dtls.wake()
    b.dtls.wake()
    await until(lambda: a.dtls.is_connected and b.dtls.is_connected, 0.15)

    await stop(a, b)


async def test_wake_reaches_the_data_user():
    a, b = make_ends()
    user = User()
    await connect(a, b)
    a.dtls.set_data_user(user)

    a.dtls.wake()

    assert user.log == ["connected", "wake"]
    await stop(a, b)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x14",
        b"\x16\xfe\xfd",
        bytes(100),
        b"\x17\xfe\xfd" + bytes(60),
        b"\x15\xfe\xfd" + bytes(12),
        b"\xff" * 30,
        b"\x80" * 5,
        b"\x17\xfe\xfd" + bytes(8) + b"\x00\x05hello",
    ],
)
async def test_garbage_changes_nothing(datagram):
    a, b = make_ends()
    a.pipe.receiver(datagram)
    await connect(a, b)

    a.pipe.receiver(datagram)
    user = User()
    a.dtls.set_data_user(user)
    b.dtls.send_data(b"still here")
    await until(lambda: user.data)

    assert user.data == [b"still here"]
    await stop(a, b)


async def test_garbage_during_the_handshake():
    a, b = make_ends()
    start(a, b)
    for _ in range(50):
        a.pipe.receiver(b"\x16\xfe\xfd" + bytes(60))
        b.pipe.receiver(b"\x17\xfe\xfd" + bytes(60))

    await until(lambda: a.dtls.is_connected and b.dtls.is_connected)

    await stop(a, b)


async def test_early_datagrams_are_bounded():
    a, b = make_ends()

    for _ in range(1000):
        a.pipe.receiver(b"\x16" + bytes(50))

    assert len(a.dtls._early) <= 16
    await stop(a, b)


async def test_several_records_in_one_datagram():
    a, b = make_ends()
    user = User()
    b.dtls.set_data_user(user)
    await connect(a, b)
    a.pipe.keep = True
    a.pipe.blocked = True

    for message in (b"one", b"two", b"three"):
        a.dtls.send_data(message)
    b.pipe.receiver(b"".join(a.pipe.sent[-3:]))

    assert user.data == [b"one", b"two", b"three"]
    a.pipe.blocked = False
    await stop(a, b)


async def test_statistics():
    a, b = make_ends()
    assert a.dtls.stats()["dtlsState"] == "new"
    await connect(a, b)

    stats = a.dtls.stats()

    assert stats["tlsVersion"] == "FEFD"
    assert stats["dtlsCipher"] == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    assert stats["srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
    assert stats["dtlsRole"] == "server"
    assert stats["bytesSent"] > 500
    assert stats["packetsReceived"] >= 2
    await stop(a, b)


async def test_a_user_who_comes_late_is_told():
    a, b = make_ends()
    await connect(a, b)
    await stop(a, b)
    user = User()

    a.dtls.set_data_user(user)

    assert user.log == [("closed", None)]


def test_records_are_never_cut():
    record = b"\x16\xfe\xfd" + bytes(8) + (100).to_bytes(2, "big") + bytes(100)
    flight = record * 5

    assert [len(d) for d in split_records(flight, 300)] == [226, 226, 113]
    assert split_records(flight, 50) == [record] * 5
    assert split_records(b"", 300) == []


@pytest.mark.parametrize(
    ("openssl", "iana"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    ],
)
def test_names_of_suites(openssl, iana):
    assert standard_cipher(openssl) == iana


async def test_a_failing_openssl_does_not_reach_the_pipe(monkeypatch):
    a, b = make_ends()
    await connect(a, b)

    class Broken:
        def send(self, data):
            raise SSL.Error([("lib", "func", "broken")])

    monkeypatch.setattr(a.dtls, "_ssl", Broken())
    a.dtls.send_data(b"x")

    b.pipe.blocked = True  # what is broken takes no farewell
    await stop(b)


async def test_a_lost_last_flight_is_repeated_for_who_asks():
    a, b = make_ends()
    # of the server's two flights the second one, which begins with ChangeCipherSpec, does not arrive
    a.pipe.drop = lambda data: data[0] == 20 or a.dtls.is_connected
    start(a, b)
    await until(lambda: a.dtls.is_connected)
    await asyncio.sleep(0.01)
    assert not b.dtls.is_connected

    a.pipe.drop = lambda data: False
    b.dtls.wake()
    await until(lambda: b.dtls.is_connected, 0.15)

    await stop(a, b)


async def test_an_alert_ends_a_connection():
    a, b = make_ends()
    await connect(a, b)
    error = SSL.Error([("SSL routines", "", "ssl/tls alert internal error")])

    a.dtls._read_error(error)

    state, reason = a.states[-1]
    assert state is FAILED
    assert (reason.errorDetail, reason.receivedAlert) == ("dtls-failure", 80)
    await stop(a, b)


def with_ciphers(monkeypatch, ciphers: bytes) -> Certificate:
    """A certificate whose connections offer these suites only."""
    monkeypatch.setattr("rtcpeer.dtls.certificates.CIPHERS", ciphers)
    context = certificates._context.__wrapped__()
    certificate = Certificate.generate()

    def open_connection(_others) -> SSL.Connection:
        with monkeypatch.context() as patch:
            patch.setattr(certificates, "_context", lambda: context)
            return Certificate.open_connection(certificate)

    monkeypatch.setattr(certificate, "open_connection", open_connection)
    return certificate


async def test_ends_without_a_common_suite(monkeypatch):
    odd = with_ciphers(monkeypatch, b"ECDHE-ECDSA-AES256-SHA")
    other = with_ciphers(monkeypatch, b"ECDHE-ECDSA-CHACHA20-POLY1305")
    a, b = make_ends(odd, other)

    start(a, b)
    await until(lambda: a.dtls.state is b.dtls.state is FAILED)

    assert a.states[-1][1].errorDetail == b.states[-1][1].errorDetail == "dtls-failure"
    assert "no shared cipher" in str(a.states[-1][1])
    await stop(a, b)


async def test_media_before_and_after():
    a, b = make_ends()
    packet = b"\x80\x60" + bytes(40)
    a.pipe.receiver(packet)
    session = a.dtls.rtp
    session.send_rtp(packet)
    session.send_rtcp(packet)
    a.pipe.receiver(packet)
    await connect(a, b)
    a.pipe.receiver(packet)
    a.pipe.receiver(b"\x80\xc9" + bytes(40))
    session.send_rtp(bytes(3))
    session.send_rtp(bytes(5000))
    session.send_rtcp(bytes(5000))
    await a.dtls.stop()

    session.send_rtp(packet)

    assert not session.connected
    assert not a.dtls.rtp.connected
    await stop(b)


async def sealed(end, messages):
    """The datagrams in which an end sends these; they are lost."""
    end.pipe.blocked = end.pipe.keep = True
    del end.pipe.sent[:]
    for message in messages:
        end.dtls.send_data(message)
    end.pipe.blocked = end.pipe.keep = False
    return list(end.pipe.sent)


async def test_datagrams_that_came_together_are_what_they_are_one_by_one():
    a, b = make_ends()
    user = User()
    b.dtls.set_data_user(user)
    await connect(a, b)
    media = []
    b.dtls._rtp_receive = media.append
    one, two, three, four = await sealed(a, [b"one", b"two", b"three", b"four"])
    forged = two[:-1] + bytes((two[-1] ^ 1,))
    unencrypted = b"\x17\xfe\xfd" + bytes(8) + b"\0\x20" + bytes(32)
    received = b.dtls.stats()["packetsReceived"]
    log = len(user.log)

    b.pipe.run_receiver([one, b"\x80media", two, forged, two, b"", unencrypted, three, four])

    assert user.data == [b"one", b"two", b"three", b"four"]
    assert user.log[log:] == [("run", 1), ("run", 1), ("run", 2)]
    assert media == [b"\x80media"]
    assert b.dtls.stats()["packetsReceived"] - received == 9
    assert b.dtls.is_connected
    await stop(a, b)


async def test_what_comes_with_the_end_is_delivered_before_it_and_nothing_after_it():
    a, b = make_ends()
    user = User()
    b.dtls.set_data_user(user)
    await connect(a, b)
    (last,) = await sealed(a, [b"last"])
    a.pipe.blocked = a.pipe.keep = True
    await a.dtls.stop()
    end = a.pipe.sent[-1]
    log = len(user.log)

    b.pipe.run_receiver([last, end, last, end])

    assert user.data == [b"last"]
    assert user.log[log:] == [("run", 1), ("closed", None)]
    assert b.dtls.state is DtlsTransportState.CLOSED
    await stop(b)


@pytest.mark.parametrize(("measured", "sent"), [(None, 1), (0.02, 2), (0.005, 3), (0.3, 1)])
async def test_a_flight_is_repeated_by_the_round_trip_that_ice_measured(measured, sent):
    a, b = make_ends()
    a.pipe.round_trip_time = measured
    a.pipe.blocked = a.pipe.keep = True
    start(a, b, DtlsRole.CLIENT)
    await asyncio.sleep(0.19)
    assert len(a.pipe.sent) == sent
    await stop(a, b)


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ([1188] * 2, []),
        ([1188] * 3, [3]),
        ([1188] * 2 + [20], [3]),
        # messages of 16 KiB
        (([1096] * 14 + [1040]) * 2, [15, 15]),
        ([100] * 2 + [1188] * 20 + [50] * 2 + [1188] * 2, [21]),
        ([1188] * 150, [64, 64, 22]),
        (list(range(1000, 1030)), []),
    ],
)
async def test_runs_of_messages_of_one_size_leave_together(sizes, runs):
    a, b = make_ends()
    user = User()
    b.dtls.set_data_user(user)
    await connect(a, b)
    together = []
    send_segments = a.pipe.send_segments

    def watch(data, size):
        together.append(-(-len(data) // size))
        send_segments(data, size)

    a.pipe.send_segments = watch
    messages = [bytes((n % 256,)) * size for n, size in enumerate(sizes)]
    before = a.dtls.stats()["packetsSent"]

    a.dtls.send_messages(messages)
    await until(lambda: len(user.data) == len(messages))

    assert user.data == messages
    assert together == runs
    assert a.dtls.stats()["packetsSent"] - before == len(messages)
    await a.stop()
    await b.stop()
    a.dtls.send_messages(messages)
    assert together == runs
