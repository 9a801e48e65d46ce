"""rtcpeer doctor against coturn, over UDP, TCP, TLS and DTLS on real sockets."""

from __future__ import annotations

import time

import pytest

from rtcpeer.cli.doctor.doctor import SECRET, read_servers, run_doctor
from rtcpeer.net.current import current_network
from rtcpeer.testing import no_leaks
from rtcpeer.testing.turn.settings import rest_password
from tests.interop import coturn
from tests.interop.coturn import Coturn

REASON = coturn.why_not()

pytestmark = [pytest.mark.interop, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


class Here:
    """This machine, as `Coturn` wants it."""

    @property
    def ipv4(self):
        found = [i.address for i in current_network.get().interfaces() if ":" not in i.address]
        # coturn relays nothing to loopback addresses
        return next((a for a in found if not a.startswith("127.")), None) or pytest.skip("loopback only")

    def command(self, *command):
        return list(map(str, command))


async def test_every_transport(capsys):
    async with no_leaks(), Coturn(Here(), ports=(13481, 13491)) as server:
        urls = [server.stun["urls"], server.stuns["urls"]]
        urls += [server.url(transport) for transport in ("udp", "tcp", "tls", "dtls")]
        entries = read_servers(urls, user="user", credential="pass", environment={})
        status = await run_doctor(entries, tls=server.authority.client_context())
        shown = capsys.readouterr().out
        assert status == 0, shown
        assert shown.count("credential accepted for 600 s") == 4
        assert "6 of 6 servers work" in shown


async def test_credentials_good_wrong_and_expired(capsys):
    async with no_leaks(), Coturn(Here(), secret="shared-secret", ports=(13482, 13492)) as server:
        assert await run_doctor(read_servers([server.url()], environment={SECRET: "shared-secret"})) == 0
        assert await run_doctor(read_servers([server.url()], environment={SECRET: "another-secret"})) == 1
        assert "refuses the credential (401)" in capsys.readouterr().out
        user = f"{int(time.time()) - 7200}:someone"
        credential = rest_password("shared-secret", user)
        assert await run_doctor(read_servers([server.url()], user=user, credential=credential)) == 1
        shown = capsys.readouterr().out
        assert "which expired 2 hours ago" in shown
        assert credential not in shown
