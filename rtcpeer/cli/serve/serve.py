"""``rtcpeer serve``: the page, a room server, and a bot for each browser that calls.

Owns: the HTTP server, who gets a bot.  Never: a call; that is `rtcpeer.cli.serve.bot`. Never a signaling of its own:
page and bot are members of a room (docs/rooms-wire.md), one room for each call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import webbrowser
from pathlib import Path
from typing import Any

from aiohttp import web

from rtcpeer.aio import start_task
from rtcpeer.cli.picture import uplot
from rtcpeer.cli.report import Reporter, refuse_address
from rtcpeer.cli.running import say, settle, stop_event
from rtcpeer.cli.serve.bot import Bot
from rtcpeer.errors import RtcPeerError
from rtcpeer.signaling.http.headers import read_bearer, same_token
from rtcpeer.signaling.http.listening import Listener
from rtcpeer.signaling.http.sites import LOOPBACK, refuse_site
from rtcpeer.signaling.rooms.backend import MemoryBackend
from rtcpeer.signaling.rooms.client import RoomClient
from rtcpeer.signaling.rooms.server import Permit, RoomServer
from rtcpeer.signaling.rooms.wire import RoomError
from rtcpeer.testing import synthetic_track

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
# what draws the charts is a part of this package, too: no page of ours asks anybody else for anything
CHARTS = {path.name: path for path in (uplot.SCRIPT, uplot.STYLE)}
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MAX_CALLS = 16
# a browser and its bot
ROOM_SIZE = 2
# How long a page may be without signaling, in seconds; the call itself does not need it.
GRACE = 10.0
PICTURE = {"width": 640, "height": 480, "frameRate": 25}


class Site:
    """The page, its rooms and its bots.

    Args:
        local_only: whether only the names of loopback may be used (it listens on loopback).

    Attributes:
        app: the aiohttp application.
        bots: the calls that are up.
    """

    def __init__(self, *, local_only: bool = True) -> None:
        self.bots: set[Bot] = set()
        self._hosts = LOOPBACK if local_only else None
        self._secret = secrets.token_urlsafe(24)  # by which the bots are known to the room server
        self._calls: dict[str, asyncio.Task[None]] = {}  # by room
        self._tracks: list[Any] = []
        self.app = web.Application()
        self.app.router.add_get("/", self._file)
        self.app.on_shutdown.append(self._shutdown)  # before the rooms end
        RoomServer(
            host="127.0.0.1" if local_only else "",
            authorize=self._authorize,
            backend=MemoryBackend(max_rooms=MAX_CALLS, max_members=ROOM_SIZE),
            grace=GRACE,
        ).add_to(self.app)
        self.app.router.add_get("/{name}", self._file)

    @property
    def tracks(self) -> list[Any]:
        """The tracks for all calls, a picture and a tone: a track may feed many connections."""
        if not self._tracks:
            self._tracks = [synthetic_track("audio", {}), synthetic_track("video", PICTURE)]
        return self._tracks

    async def _file(self, request: web.Request) -> web.StreamResponse:
        reason = refuse_site(request.host, request.headers.get("Origin"), hosts=self._hosts, origins=())
        if reason is not None:
            raise web.HTTPForbidden(text=reason)
        name = request.match_info.get("name", "index.html")
        path = CHARTS.get(name, PAGE / name)
        if path.parent not in (PAGE, uplot.FOLDER) or path.suffix not in CONTENT_TYPES or not path.is_file():
            raise web.HTTPNotFound(text="no such page")
        return web.Response(
            body=path.read_bytes(), content_type=CONTENT_TYPES[path.suffix], charset="utf-8", headers=HEADERS
        )

    def _authorize(self, request: web.Request, room: str, name: str | None) -> Permit:
        """Let a browser in, and send a bot after it; `name` is None for who only asks how many are there."""
        token = read_bearer(request.headers.get("Authorization"))
        if token is not None:
            if not same_token(token, self._secret):
                raise RoomError("forbidden", "that is no bot of this server")
            return Permit(user="bot")
        if name is not None and room not in self._calls:
            if len(self._calls) >= MAX_CALLS:
                raise RoomError("full", f"{MAX_CALLS} calls are up already")
            # the address the browser reached us at is one it can reach our STUN and TURN servers at
            at = request.transport.get_extra_info("sockname") if request.transport else None
            task = start_task(self._call(room, at or ("127.0.0.1", 80)))
            self._calls[room] = task
        return Permit(user="browser")

    async def _call(self, room: str, at: tuple[Any, ...]) -> None:
        """Run a bot in one room, until the browser leaves."""
        host = f"[{at[0]}]" if ":" in at[0] else at[0]
        headers = {"Authorization": f"Bearer {self._secret}"}
        bot = Bot(room, self.tracks, at[0])
        self.bots.add(bot)
        try:
            async with RoomClient(f"ws://{host}:{at[1]}/rooms", name="bot", headers=headers) as client:
                await bot.run(client)
        except (RtcPeerError, TimeoutError) as error:
            logger.info("a bot had nobody to call: %s", str(error) or type(error).__name__)
        except Exception:
            logger.exception("a bot has failed")
        finally:
            self.bots.discard(bot)
            del self._calls[room]

    async def _shutdown(self, _app: web.Application) -> None:
        bots, calls = tuple(self.bots), tuple(self._calls.values())
        await asyncio.gather(*(bot.close() for bot in bots))  # they leave their rooms
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for track in self._tracks:
            track.stop()


async def run_server(host: str, port: int, *, browser: bool = True, as_json: bool = False) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    stopped = stop_event()
    site = Site(local_only=host in LOOPBACK)
    listener = Listener(site.app, shutdown_timeout=3)
    try:
        try:
            address = await listener.start(host, port)
        except (OSError, UnicodeError) as error:
            return refuse_address(host, port, error)
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        url = f"http://{shown}:{address[1]}/"
        if as_json:
            Reporter(as_json=True)("listening", page=url)
        else:
            say(f"rtcpeer serve: open {url} in a browser (Ctrl-C ends)")
        if browser and sys.stdout.isatty() and has_screen():
            webbrowser.open(url)
        await stopped.wait()
        settle(0)
        if as_json:
            Reporter(as_json=True)("closing")
        else:
            say("rtcpeer serve: closing")
    finally:
        await listener.close()
    return 0


def has_screen() -> bool:
    """Whether a browser could open a window here."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
