"""DTLS to a server that somebody disturbs with forged packets: it is delayed, and never ended."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from rtcpeer.dtls.handshake import PATIENCE_IN_DOUBT
from rtcpeer.testing.net.tls import CertificateAuthority
from tests.unit.dtls.ends import Ends
from tests.unit.dtls.forged import FORGED, message, record


async def opened() -> Ends:
    authority = CertificateAuthority()
    ends = Ends(authority.client_context(), authority)
    ends.client.start()
    await asyncio.wait_for(ends.client.opened, 8)
    await asyncio.sleep(0.1)
    return ends


async def assert_usable(ends: Ends) -> None:
    ends.client.write(b"there")
    ends.server.write(b"back")
    await asyncio.sleep(0.1)
    assert ends.got == {"server": [b"there"], "client": [b"back"]}
    assert ends.over == []


async def finish(ends: Ends) -> None:
    ends.client.close()
    ends.server.close()
    await asyncio.sleep(0.1)


# What takes the place of a first word of the server, which knows a client by its port and begins anew with nobody who
# is in the middle of a handshake: another port is needed.
FIRST_WORDS = {"ServerHello", "ServerHello of another server", "HelloVerifyRequest"}


@pytest.mark.parametrize("name", FORGED)
async def test_forged_packets_do_not_end_a_handshake(name: str) -> None:
    authority = CertificateAuthority()
    for place in range(1 if name in FIRST_WORDS else 0, 5):
        ends = Ends(authority.client_context(), authority)
        deliver, arrived = ends.client.received_untrusted, 0

        def receive(data: bytes, place=place, deliver=deliver) -> None:
            nonlocal arrived
            if arrived == place:
                deliver(FORGED[name])
            arrived += 1
            deliver(data)

        ends.client.received_untrusted = receive  # type: ignore[method-assign]
        if place == 0:
            ends.client.start()
            receive(b"")
        else:
            ends.client.start()
        await asyncio.wait_for(ends.client.opened, PATIENCE_IN_DOUBT)
        await asyncio.sleep(0.1)
        await assert_usable(ends)
        await finish(ends)


@pytest.mark.parametrize("name", sorted(FIRST_WORDS))
async def test_a_false_first_word_is_an_error_after_a_while(name: str) -> None:
    authority = CertificateAuthority()
    ends = Ends(authority.client_context(), authority)
    ends.client.start()
    ends.client.received_untrusted(FORGED[name])
    with pytest.raises(ssl.SSLError, match="DTLS handshake failed"):
        await asyncio.wait_for(ends.client.opened, 31)
    await finish(ends)


@pytest.mark.parametrize("name", FORGED)
async def test_nor_what_is_open(name: str) -> None:
    ends = await opened()
    for _ in range(3):
        ends.client.received_untrusted(FORGED[name])
    # short ones that claim to be encrypted
    ends.client.received_untrusted(record(21, b"\x02\x28", 1, 5))
    ends.client.received_untrusted(record(23, b"", 1, 6))
    assert ends.over == []
    await assert_usable(ends)
    await finish(ends)


async def test_the_end_that_the_server_tells_is_one() -> None:
    ends = await opened()
    ends.server.close()
    await asyncio.sleep(0.1)
    assert ends.over == ["client"]
    assert ends.client.ended.is_set()
    ends.client.write(b"nobody hears it")
    ends.client.received_untrusted(record(23, bytes(40), 1, 9))


async def test_a_server_that_refuses_is_an_error_after_a_while() -> None:
    """Its alert is not authenticated, so it may be anybody's."""
    authority = CertificateAuthority()
    ends = Ends(authority.client_context(), authority)
    ends._carry = lambda data, other: None  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    ends.client.start()
    begun = loop.time()
    ends.client.received_untrusted(record(21, b"\x02\x28"))
    with pytest.raises(ssl.SSLError, match="handshake failure"):
        await ends.client.opened
    assert PATIENCE_IN_DOUBT <= loop.time() - begun < PATIENCE_IN_DOUBT + 1.5


async def test_closed_in_the_middle_of_a_handshake() -> None:
    authority = CertificateAuthority()
    ends = Ends(authority.client_context(), authority)
    ends.client.start()
    ends.client.received_untrusted(record(22, message(2, b"\xfe\xfd" + bytes(60))))
    ends.client.close()
    with pytest.raises(ConnectionAbortedError):
        await ends.client.opened
    assert ends.client.ended.is_set()
    ends.client.received_untrusted(record(22, message(2, b"\xfe\xfd" + bytes(60))))
    ends.client.write(b"x")
