"""A WHIP server without media that does as a test says, and remembers every request."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

ANSWER = (
    "v=0\r\no=- 77 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    "a=ice-ufrag:servr\r\na=ice-pwd:serverserverserverserver\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"
    "a=ice-ufrag:servr\r\na=ice-pwd:serverserverserverserver\r\n"
)
RESTART = "a=ice-ufrag:again\r\na=ice-pwd:againagainagainagainagain\r\n"


@dataclass
class Seen:
    method: str
    path: str
    headers: Any
    body: str


@dataclass
class FakeServer:
    """Answers as `rules` say: per method a callable from the request to a response, or None for the usual answer."""

    rules: dict[str, Callable[[Seen], web.Response | None]] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    location: Callable[[str], str] = lambda id: f"/session/{id}"
    seen: list[Seen] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    created: int = 0
    etag: str | None = '"first"'
    port: int = 0

    async def __aenter__(self) -> Self:
        self._numbers = itertools.count(1)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/whip"

    def methods(self) -> list[str]:
        return [one.method for one in self.seen]

    async def _handle(self, request: web.Request) -> web.Response:
        seen = Seen(request.method, request.path, request.headers, await request.text())
        self.seen.append(seen)
        rule = self.rules.get(request.method)
        special = rule(seen) if rule is not None else None
        usual = getattr(self, f"_{request.method.lower()}")(seen) if special is None else special
        await asyncio.sleep(self.delays.get(request.method, 0))
        return usual  # type: ignore[no-any-return]

    def _post(self, _: Seen) -> web.Response:
        self.created += 1
        id = f"s{next(self._numbers)}"
        self.sessions.add(id)
        headers = {"Location": self.location(id)} | ({} if self.etag is None else {"ETag": self.etag})
        return sdp(ANSWER, 201, headers)

    def _patch(self, seen: Seen) -> web.Response:
        if "ice-ufrag:second" in seen.body and "If-Match" in seen.headers and "*" in seen.headers["If-Match"]:
            return fragment(RESTART, {"ETag": '"second"'})
        return web.Response(status=204)

    def _delete(self, seen: Seen) -> web.Response:
        id = seen.path.rpartition("/")[2]
        if id not in self.sessions:
            return web.Response(status=404)
        self.sessions.discard(id)
        return web.Response(status=200)

    def _options(self, _: Seen) -> web.Response:
        return web.Response(status=204, headers={"Link": '<stun:stun.example.net>; rel="ice-server"'})


def sdp(text: str, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status, body=text.encode(), headers={**headers, "Content-Type": "application/sdp"}
    )


def fragment(text: str, headers: dict[str, str]) -> web.Response:
    kind = {"Content-Type": "application/trickle-ice-sdpfrag"}
    return web.Response(status=200, body=text.encode(), headers={**headers, **kind})
