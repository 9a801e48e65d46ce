"""``rtcpeer relay``: a WHIP server, a WHEP server and a page to watch at, in one process.

Owns: the HTTP application, the lines on the terminal, the end. Never: media (that is `broadcast`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from rtcpeer.cli.relay.broadcast import Broadcasts
from rtcpeer.cli.relay.table import RelayTable
from rtcpeer.cli.relay.upstream import Upstream
from rtcpeer.cli.report import Reporter, refuse_address
from rtcpeer.cli.running import settle, stop_event
from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.http.headers import same_token
from rtcpeer.signaling.http.listening import Listener
from rtcpeer.signaling.http.sites import LOOPBACK
from rtcpeer.signaling.http.whip_server import WhepServer, WhipServer

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RelaySite:
    """The relay as an aiohttp application.

    Args:
        listener: called with each event and its details, see `Broadcasts`.
        local_only: whether only the names of loopback may be used (it listens on loopback).
        token: what publishers have to show; None lets everybody publish.
        origins: pages that may use it besides its own.
        max_sessions: of publishers, and of viewers.
        configuration: of the connections.
        upstream: WHEP endpoints of relays that are asked for what nobody publishes here.
        upstream_token: the bearer token to show there.

    Attributes:
        app: the application.
        broadcasts: what is on.
    """

    def __init__(
        self,
        listener: Any,
        *,
        local_only: bool = True,
        token: str | None = None,
        origins: Sequence[str] = (),
        max_sessions: int = 100,
        configuration: Any = None,
        upstream: Sequence[str] = (),
        upstream_token: str | None = None,
    ) -> None:
        above = Upstream(upstream, token=upstream_token, configuration=configuration) if upstream else None
        self.broadcasts = Broadcasts(listener, above)
        common: dict[str, Any] = {
            "hosts": LOOPBACK if local_only else None,
            "host": "127.0.0.1" if local_only else "",
            "origins": origins,
            "max_sessions": max_sessions,
            "configuration": configuration,
        }

        def authorize(_request: web.Request, _name: str, given: str | None) -> bool:
            return token is None or same_token(given, token)

        self.whip = WhipServer(self.broadcasts.on_publish, authorize=authorize, **common)
        self.whep = WhepServer(self.broadcasts.on_play, **common)
        self.app = web.Application()
        self.whip.add_to(self.app)
        self.whep.add_to(self.app)
        self.app.on_shutdown.append(self._shut_down)
        self.app.router.add_get("/", self._page)
        self.app.router.add_get("/broadcasts", self._list)
        self.app.router.add_get("/{file}", self._page)

    async def _shut_down(self, _app: web.Application) -> None:
        await self.broadcasts.close()

    def _check(self, request: web.Request) -> None:
        try:
            self.whip.check_site(request)
        except SignalingRefused as error:
            raise web.HTTPForbidden(text=error.reason) from None

    async def _page(self, request: web.Request) -> web.Response:
        self._check(request)
        path = PAGE / request.match_info.get("file", "index.html")
        if path.parent != PAGE or path.suffix not in _TYPES or not path.is_file():
            raise web.HTTPNotFound(text="no such page")
        return web.Response(
            body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=_HEADERS
        )

    async def _list(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response(self.broadcasts.names(), headers=_HEADERS)


async def run_relay(
    host: str,
    port: int,
    *,
    as_json: bool = False,
    token: str | None = None,
    origins: Sequence[str] = (),
    max_sessions: int = 100,
    upstream: Sequence[str] = (),
    upstream_token: str | None = None,
) -> int:
    """Relay until SIGINT or SIGTERM; the exit status."""
    report = RelayTable(Reporter(as_json=as_json), as_json=as_json)
    stopped = stop_event()
    site = RelaySite(
        report,
        local_only=host in LOOPBACK,
        token=token,
        origins=origins,
        max_sessions=max_sessions,
        upstream=upstream,
        upstream_token=upstream_token,
    )
    listener = Listener(site.app, shutdown_timeout=3)
    try:
        try:
            address = await listener.start(host, port)
        except (OSError, UnicodeError) as error:
            return refuse_address(host, port, error)
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        base = f"http://{shown}:{address[1]}"
        report("listening", page=f"{base}/", publish=f"{base}/whip/NAME", watch=f"{base}/whep/NAME")
        report.start(site.broadcasts)
        await stopped.wait()
        settle(0)
        await report.close()
        report("closing", publishers=len(site.whip.sessions), viewers=len(site.whep.sessions))
    finally:
        await report.close()
        await listener.close()
    return 0
