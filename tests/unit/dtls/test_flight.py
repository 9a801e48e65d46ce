"""Flights by themselves: when they are repeated, and when no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from OpenSSL import SSL

from rtcpeer.dtls.flight import Flight
from rtcpeer.testing.clock import run_virtual


def record(content: bytes) -> bytes:
    """RFC 6347 section 4.1: handshake, DTLS 1.2, epoch and sequence number 0."""
    return b"\x16\xfe\xfd" + bytes(8) + len(content).to_bytes(2) + content


class Connection:
    """What a flight wants of OpenSSL."""

    def __init__(self) -> None:
        self.written = b""
        self.on_timeout: bytes | None = None
        self.asked = 0

    def bio_read(self, _size: int) -> bytes:
        if not self.written:
            raise SSL.WantReadError
        data, self.written = self.written, b""
        return data

    def DTLSv1_handle_timeout(self) -> bool:
        self.asked += 1
        if self.on_timeout is not None:
            self.written = self.on_timeout
        return self.on_timeout is not None


class Rig:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()
        self.sent: list[tuple[float, bytes]] = []
        self.connection: Any = Connection()
        self.flight = Flight(self.connection, self._send, first_rto=lambda: 0.1, rto_max=0.5)

    def _send(self, data: bytes) -> None:
        self.sent.append((round(self.loop.time() - self.begun, 3), data))

    def write(self, data: bytes) -> bool:
        self.connection.written = data
        return self.flight.flush()

    @property
    def times(self) -> list[float]:
        return [when for when, _data in self.sent]


HELLO = record(b"hello")


def test_it_is_repeated_with_doubling_waits() -> None:
    async def main() -> None:
        rig = Rig()
        assert rig.write(HELLO)
        assert not rig.flight.flush()
        await asyncio.sleep(2)
        rig.flight.forget()

        assert rig.times == pytest.approx([0, 0.1, 0.3, 0.7, 1.2, 1.7])
        assert {data for _when, data in rig.sent} == {HELLO}

    run_virtual(main())


def test_a_new_flight_takes_the_place_of_the_old_one() -> None:
    async def main() -> None:
        rig = Rig()
        rig.write(HELLO)
        await asyncio.sleep(0.4)
        rig.write(record(b"finished"))
        await asyncio.sleep(0.15)
        rig.flight.forget()

        assert rig.times == pytest.approx([0, 0.1, 0.3, 0.4, 0.5])
        assert [data for _when, data in rig.sent[3:]] == [record(b"finished")] * 2

    run_virtual(main())


def test_what_openssl_repeats_by_itself_goes_instead_and_it_is_not_asked_for_ever() -> None:
    async def main() -> None:
        rig = Rig()
        rig.connection.on_timeout = record(b"again")
        rig.write(HELLO)
        await asyncio.sleep(20)
        rig.flight.forget()

        assert [data for _when, data in rig.sent[:3]] == [HELLO, record(b"again"), record(b"again")]
        assert len(rig.sent) > 20
        # after its twelfth timeout OpenSSL would end the handshake
        assert rig.connection.asked == 10

    run_virtual(main())


def test_a_path_that_came_back_gets_it_at_once() -> None:
    async def main() -> None:
        rig = Rig()
        rig.flight.restart()
        rig.write(HELLO)
        await asyncio.sleep(1)
        del rig.sent[:]
        rig.flight.restart()
        await asyncio.sleep(0.35)
        rig.flight.forget()

        assert rig.times == pytest.approx([1, 1.1, 1.3])

    run_virtual(main())


def test_after_the_handshake_it_is_only_sent_when_that_is_asked_for() -> None:
    async def main() -> None:
        rig = Rig()
        rig.write(HELLO)
        rig.flight.settle()
        rig.write(record(b"alert"))
        await asyncio.sleep(1)
        assert rig.sent == [(0, HELLO), (0, record(b"alert"))]
        rig.flight.send()
        assert rig.sent[2:] == [(1, HELLO)]
        rig.flight.forget()
        rig.flight.send()
        assert len(rig.sent) == 3

    run_virtual(main())
