"""Handshakes over an object of OpenSSL that does what a test says: when they begin anew, and what they forget."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from OpenSSL import SSL

from rtcpeer.dtls.handshake import PATIENCE_IN_DOUBT, Handshake
from tests.unit.dtls.forged import message, record

HELLO = b"\xfe\xfd" + bytes(32) + b"\x00\xc0\x2b\x00"
SERVER_HELLO = record(22, message(2, HELLO))
CERTIFICATE = record(22, message(11, b"certificate", 1))
HELLO_DONE = record(22, message(14, b"", 2))
OTHER_SERVER_HELLO = record(22, message(2, b"\xfe\xfd" + bytes(31) + b"x\x00\xc0\x2b\x00"))


class Connection:
    """What a handshake wants of pyOpenSSL."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.written = record(22, message(1, b"hello"))
        self.breaks = False

    def set_ciphertext_mtu(self, _mtu: int) -> None:
        pass

    def set_connect_state(self) -> None:
        pass

    def set_accept_state(self) -> None:
        pass

    def do_handshake(self) -> None:
        if self.breaks:
            self.written = record(21, b"\x02\x28")
            raise SSL.Error([("", "", "it broke")])
        raise SSL.WantReadError

    def bio_write(self, data: bytes) -> None:
        self.read.append(data)

    def bio_read(self, _size: int) -> bytes:
        if not self.written:
            raise SSL.WantReadError
        data, self.written = self.written, b""
        return data

    def DTLSv1_handle_timeout(self) -> bool:
        return False


class Rig:
    """A handshake, what it sends, and the objects that it opened, each with its time."""

    def __init__(self, *, is_server: bool = False, first_rto: float = 0.1) -> None:
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()
        self.opened: list[tuple[float, Connection]] = []
        self.sent: list[bytes] = []
        self.failed: list[Exception] = []
        self.handshake = Handshake(
            self._open, is_server=is_server, send=self.sent.append, first_rto=lambda: first_rto, rto_max=60,
            has_path=lambda: True, refused=lambda: None, on_connected=lambda _attempt: None,
            on_failed=self.failed.append,
        )  # fmt: skip
        self.handshake.begin()

    def _open(self) -> Any:
        connection = Connection()
        self.opened.append((round(self.loop.time() - self.begun, 3), connection))
        return connection

    @property
    def connection(self) -> Connection:
        return self.opened[-1][1]

    def receive(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.handshake.receive_untrusted(datagram)

    def break_by(self, datagram: bytes) -> None:
        self.connection.breaks = True
        self.receive(datagram)


@pytest.mark.parametrize(
    ("first_rto", "waits"), [(0.1, [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1]), (0.4, [0.2, 0.4, 0.8, 1]), (8, [1, 1])]
)
async def test_a_client_waits_longer_each_time_before_it_begins_anew(
    first_rto: float, waits: list[float]
) -> None:
    rig = Rig(first_rto=first_rto)
    for number, wait in enumerate(waits, 1):
        rig.break_by(SERVER_HELLO)
        await asyncio.sleep(wait - 0.001)
        assert len(rig.opened) == number
        await asyncio.sleep(0.002)
        assert len(rig.opened) == number + 1
    rig.handshake.stop()


async def test_what_openssl_would_say_about_a_forgery_is_not_sent() -> None:
    """RFC 6347 section 4.1.2.7: an alert would end the handshake at the other end."""
    rig = Rig()
    rig.break_by(SERVER_HELLO)
    await asyncio.sleep(0.04)
    assert [data[0] for data in rig.sent] == [22]
    rig.handshake.stop()


async def test_a_doubt_is_forgotten_with_the_next_step() -> None:
    rig = Rig()
    rig.receive(record(21, b"\x02\x28"))
    assert "handshake failure" in str(rig.handshake.doubt)
    await asyncio.sleep(PATIENCE_IN_DOUBT - 1)
    # our hello once more is no step
    rig.connection.written = again = record(22, message(1, b"hello"))
    rig.receive(record(22, b"x", 1, 0))
    assert rig.sent[-1] == again
    assert rig.handshake.doubt is not None
    rig.receive(SERVER_HELLO, CERTIFICATE)
    assert rig.handshake.doubt is not None
    rig.connection.written = record(22, message(16, b"key"))
    rig.receive(HELLO_DONE)
    assert rig.handshake.doubt is None
    await asyncio.sleep(PATIENCE_IN_DOUBT)
    assert rig.failed == []
    rig.receive(record(21, b"\x02\x28"))
    await asyncio.sleep(PATIENCE_IN_DOUBT - 1)
    assert rig.failed == []
    await asyncio.sleep(1.5)
    assert [str(error) for error in rig.failed] == [
        "DTLS handshake failed: the other end said, not authenticated: handshake failure (it has no cipher suite in "
        "common with us, perhaps as the key of its certificate is neither EC nor RSA)"
    ]
    rig.handshake.stop()


async def test_an_alert_says_more_than_a_broken_object_and_nothing_takes_its_place() -> None:
    rig = Rig()
    rig.break_by(SERVER_HELLO)
    assert "it broke" in str(rig.handshake.doubt)
    await asyncio.sleep(0.1)
    rig.receive(record(21, b"\x02\x28"))
    assert rig.handshake.doubt is not None
    assert rig.handshake.doubt.receivedAlert == 40
    rig.break_by(SERVER_HELLO)
    assert rig.handshake.doubt.receivedAlert == 40
    rig.handshake.stop()


async def test_a_client_that_is_asked_to_begin_anew_twice_does_so_once() -> None:
    """A server that shows another hello, and an object that breaks before the time that this gives it is over."""
    rig = Rig()
    rig.receive(SERVER_HELLO, CERTIFICATE, HELLO_DONE)
    rig.receive(OTHER_SERVER_HELLO)
    rig.break_by(record(22, b"x", 1, 0))
    await asyncio.sleep(2)
    assert [at for at, _ in rig.opened] == [0, 0.05]
    rig.receive(SERVER_HELLO, CERTIFICATE, HELLO_DONE, OTHER_SERVER_HELLO)
    rig.break_by(record(22, b"x", 1, 0))
    rig.handshake.stop()
    before = len(rig.sent)
    await asyncio.sleep(60)
    assert len(rig.opened) == 2
    assert len(rig.sent) == before
