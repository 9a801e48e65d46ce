"""Records through OpenSSL's own functions, and each private name of pyOpenSSL that they rely on."""

from __future__ import annotations

import contextlib
import threading

import pytest
from OpenSSL import SSL

from rtcpeer.dtls import openssl
from rtcpeer.dtls.certificates import Certificate
from rtcpeer.dtls.openssl import RECORD_OVERHEAD_MAX, RecordLayer


@pytest.mark.parametrize(
    "name",
    ["SSL_write", "SSL_read", "BIO_read", "BIO_write", "ERR_clear_error", "SSL_get_error", "ERR_peek_error"],
)
def test_function_of_openssl(name):
    assert callable(getattr(SSL._lib, name))


@pytest.mark.parametrize("name", ["_ssl", "_into_ssl", "_from_ssl", "_raise_ssl_error"])
def test_name_of_a_connection(name):
    assert getattr(Certificate.generate().open_connection(), name) is not None


@pytest.mark.parametrize("name", ["new", "buffer"])
def test_name_of_the_binding(name):
    assert callable(getattr(SSL._ffi, name))


class Accepting:
    def check_certificate(self, certificate):
        return True


def move(source, target):
    try:
        while True:
            target.bio_write(source.bio_read(65536))
    except SSL.Error:
        return


@pytest.fixture
def connections():
    client, server = (Certificate.generate().open_connection() for _ in range(2))
    for connection in (client, server):
        connection.set_app_data(Accepting())
        connection.set_ciphertext_mtu(1200)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):
        for source, target in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                source.do_handshake()
            move(source, target)
    assert client.get_cipher_name() is not None
    return client, server


@pytest.fixture
def pair(connections):
    return tuple(RecordLayer(connection) for connection in connections)


@pytest.mark.parametrize("size", [1, 16, 1188, 5000, 16000])
def test_there_and_back(pair, connections, size):
    one, other = pair
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)

    sealed = one.seal(content)

    assert size < len(sealed) <= size + RECORD_OVERHEAD_MAX
    assert other.open(sealed) == content
    # and as pyOpenSSL's own functions do
    connections[0].send(content)
    assert other.open(connections[0].bio_read(20000)) == content


def test_records_of_one_size_stand_one_behind_the_other(pair):
    one, other = pair
    contents = [bytes((n,)) * 1188 for n in range(64)] + [b"short"]

    sealed = one.seal_all(contents)

    size = 13 + (sealed[11] << 8 | sealed[12])
    assert len(sealed) == 64 * size + size - 1183
    assert [other.open(sealed[at : at + size]) for at in range(0, len(sealed), size)] == contents


@pytest.mark.parametrize("forge", ["repeat", "change", "cut", "nonsense"])
def test_what_is_not_authentic_leaves_nothing_behind(pair, forge):
    """OpenSSL would take an error that stays in its queue for one of the next call."""
    one, other = pair
    good = one.seal(b"good")
    bad = {
        "repeat": good,
        "change": good[:-1] + bytes((good[-1] ^ 1,)),
        "cut": good[:-3],
        "nonsense": b"\x17\xfe\xfd" + bytes(8) + b"\0\x05hello",
    }[forge]
    if forge == "repeat":
        assert other.open(good) == b"good"
    for _ in range(3):
        with pytest.raises(SSL.Error):
            other.open(bad)
        assert SSL._lib.ERR_peek_error() == 0

    assert other.open(one.seal(b"next")) == b"next"
    assert one.open(other.seal(b"back")) == b"back"


def test_the_other_end_says_goodbye(pair, connections):
    connections[0].shutdown()
    with pytest.raises(SSL.ZeroReturnError):
        pair[1].open(connections[0].bio_read(1000))


def test_a_connection_that_is_not_connected():
    records = RecordLayer(Certificate.generate().open_connection())
    with pytest.raises(SSL.Error):
        records.seal(b"x")
    with pytest.raises(SSL.Error):
        records.seal_all([b"x"])
    assert SSL._lib.ERR_peek_error() == 0


def test_each_thread_has_a_buffer_of_its_own():
    found = [openssl._buffer(), openssl._buffer()]
    thread = threading.Thread(target=lambda: found.append(openssl._buffer()))
    thread.start()
    thread.join()

    assert found[0] is found[1]
    assert found[2] is not found[0]
