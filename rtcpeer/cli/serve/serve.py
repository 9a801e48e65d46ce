"""``rtcpeer serve``: the page, the signaling and a bot for each browser that calls.

Owns: the HTTP server and its WebSockets.  Never: a call; that is `rtcpeer.cli.serve.bot`.

One WebSocket is one page; it has at most one call at a time. The page numbers its calls and both sides put
the number into each message, so what belongs to a call that is over is recognised and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from rtcpeer.cli.serve.bot import Bot
from rtcpeer.errors import RtcPeerError
from rtcpeer.testing import synthetic_track

PAGE = Path(__file__).parent / "page"
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
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_CALLS = 16
MAX_MESSAGE = 1024 * 1024
PICTURE = {"width": 640, "height": 480, "frameRate": 25}


class Site:
    """The page and its bots.

    Attributes:
        bots: the calls that are up.
    """

    def __init__(self, *, local_only: bool = True) -> None:
        self.bots: set[Bot] = set()
        self._local_only = local_only
        self._sockets: set[web.WebSocketResponse] = set()
        self._tracks: list[Any] = []
        self.app = web.Application()
        self.app.router.add_get("/", self._file)
        self.app.router.add_get("/signaling", self._signaling)
        self.app.router.add_get("/{name}", self._file)
        self.app.on_shutdown.append(self._shutdown)

    @property
    def tracks(self) -> list[Any]:
        """One picture and one tone for all calls: a track may feed many connections."""
        if not self._tracks:
            self._tracks = [synthetic_track("audio", {}), synthetic_track("video", PICTURE)]
        return self._tracks

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._check_host(request)
        path = PAGE / request.match_info.get("name", "index.html")
        if path.parent != PAGE or path.suffix not in CONTENT_TYPES or not path.is_file():
            raise web.HTTPNotFound(text="no such page")
        return web.Response(
            body=path.read_bytes(), content_type=CONTENT_TYPES[path.suffix], charset="utf-8", headers=HEADERS
        )

    def _check_host(self, request: web.Request) -> None:
        """Only our own page may talk to us: no foreign origin, no foreign name for a loopback address."""
        try:
            host = urlsplit(f"//{request.host}").hostname
            origin = request.headers.get("Origin")
            source = None if origin is None else urlsplit(origin).netloc
        except ValueError:  # "[::1" and the like
            raise web.HTTPBadRequest(text="the Host or Origin of this request is malformed") from None
        if self._local_only and host not in LOOPBACK:
            raise web.HTTPForbidden(text="this server answers to localhost only")
        if source is not None and source != request.host:
            raise web.HTTPForbidden(text="this server answers to its own page only")

    async def _signaling(self, request: web.Request) -> web.WebSocketResponse:
        self._check_host(request)
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        # the address the browser reached us at is one it can reach our STUN and TURN servers at
        name = request.transport.get_extra_info("sockname") if request.transport else None
        self._sockets.add(socket)
        try:
            await Visit(self, socket, name[0] if name else "127.0.0.1").run()
        finally:
            self._sockets.discard(socket)
        return socket

    async def _shutdown(self, _app: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"the bot goes home")
        for bot in list(self.bots):
            await bot.close()
        for track in self._tracks:
            track.stop()


class Visit:
    """One page that is open: its WebSocket and its call."""

    def __init__(self, site: Site, socket: web.WebSocketResponse, host: str) -> None:
        self._site, self._socket, self._host = site, socket, host
        self._bot: Bot | None = None
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        """Serve the page until it is gone."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type == WSMsgType.TEXT:
                    await self._take(message.data)
        finally:
            await self._hang_up()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._socket.send_json(await self._outgoing.get())

    async def _take(self, text: str) -> None:
        call = None
        try:
            message = json.loads(text)
            call, type = message["call"], message["type"]
            if type == "call":
                await self._hang_up()
                await self._begin(call, message.get("policy", "all"))
            elif self._bot is not None and self._bot.call == call:
                if type == "hangup":
                    await self._hang_up()
                else:
                    await self._bot.take(message)
        except RecursionError:
            self._outgoing.put_nowait({"type": "error", "call": call, "message": "SyntaxError: too deep"})
        except (RtcPeerError, ValueError, TypeError, KeyError, OSError) as error:
            # a page that says something wrong hears about it; its call goes on
            told = f"{getattr(error, 'name', type_name(error))}: {error}"
            self._outgoing.put_nowait({"type": "error", "call": call, "message": told})

    async def _begin(self, call: int, policy: str) -> None:
        if len(self._site.bots) >= MAX_CALLS:
            reason = f"{MAX_CALLS} calls are up already"
            self._outgoing.put_nowait({"type": "error", "call": call, "message": reason})
            return
        self._bot = Bot(call, self._outgoing.put_nowait, self._site.tracks, self._host, policy)
        self._site.bots.add(self._bot)
        try:
            await self._bot.start()
        except BaseException:
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        bot, self._bot = self._bot, None
        if bot is not None:
            try:
                await bot.close()
            finally:
                self._site.bots.discard(bot)


def type_name(error: BaseException) -> str:
    """The name under which an exception is told."""
    return type(error).__name__


async def run_server(host: str, port: int, *, browser: bool = True) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    stopped = stop_event()
    site = Site(local_only=host in LOOPBACK)
    runner = web.AppRunner(site.app, shutdown_timeout=3)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "that is no host"
            print(f"rtcpeer: cannot listen on {host}:{port}: {reason} (try --port 0)", file=sys.stderr)
            return 2
        address = runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        url = f"http://{shown}:{address[1]}/"
        print(f"rtcpeer serve: open {url} in a browser (Ctrl-C ends)", flush=True)
        if browser and sys.stdout.isatty() and has_screen():
            webbrowser.open(url)
        await stopped.wait()
        print("rtcpeer serve: closing", flush=True)
    finally:
        await runner.cleanup()
    return 0


def has_screen() -> bool:
    """Whether a browser could open a window here."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def stop_event() -> asyncio.Event:
    """An event that is set at SIGINT or SIGTERM, from now on, where loops can listen for them."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    return stopped
