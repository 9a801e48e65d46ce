"""A client and a server of `stuns:` and `turns:` over UDP, and a wire."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.dtls.trust import client_connection, server_connection
from rtcpeer.testing.net.tls import CertificateAuthority
from rtcpeer.testing.turn.dtls import ServerChannel


class Ends:
    """A client and a server with a wire between them that can lose."""

    def __init__(
        self, trust: ssl.SSLContext, authority: CertificateAuthority, host: str = "a.example"
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.lost: set[int] = set()
        self.count = 0
        self.got: dict[str, list[bytes]] = {"client": [], "server": []}
        self.over: list[str] = []
        self.client = DtlsChannel(
            partial(client_connection, trust, host),
            send=lambda data: self._carry(data, self.server),
            receive=self.got["client"].append,
            on_end=lambda: self.over.append("client"),
            rto=0.25,
        )
        self.server = ServerChannel(
            server_connection(*authority.issue(["a.example"])),
            send=lambda data: self._carry(data, self.client),
            receive=self.got["server"].append,
            on_end=lambda: self.over.append("server"),
        )

    def _carry(self, data: bytes, other: Any) -> None:
        self.count += 1
        if self.count not in self.lost:
            self.loop.call_later(0.01, lambda: other.received_untrusted(data))
