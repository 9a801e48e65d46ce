"""ICMP errors that the system keeps for a UDP socket."""

from __future__ import annotations

import select
import socket

import pytest

from rtcpeer.net import icmp


@pytest.mark.skipif(not icmp.IS_POSSIBLE, reason="Linux alone tells")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_at_which_nothing_listens_is_named(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as closed, socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            closed.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} is not here")
        port = closed.getsockname()[1]
        sock.bind((host, 0))
        sock.setblocking(False)
        assert icmp.listen(sock)
        assert list(icmp.read(sock)) == []
        closed.close()
        sock.sendto(b"anybody?", (host, port))
        errors = select.poll()
        errors.register(sock, 0)  # POLLERR is told in any case
        assert errors.poll(5000)
        assert list(icmp.read(sock)) == [((host, port), "port unreachable: nothing listens there")]
        assert list(icmp.read(sock)) == []


def test_elsewhere_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icmp, "IS_POSSIBLE", False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert not icmp.listen(sock)
