"""WHIP and WHEP servers: sessions over HTTP, alone or within an aiohttp application (RFC 9725; draft-ietf-wish-whep).

Owns: the requests, their statuses, the table of sessions, the limits. Never: media; what a session does is up to the
handler, and how it answers is in `whip_session`. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

    method and path              goes well       refused with
    ---------------------------  --------------  ----------------------------------------------------------------------
    POST PREFIX/NAME             201             400 no description, 401, 403, 409 (WHEP) nobody publishes, 413, 415,
                                                 422 not acceptable, 429, 503 full or draining, 504 nobody answered
    PATCH PREFIX/NAME/ID         204, 200        400, 401, 403, 404, 412 another ETag, 413, 415, 422, 428 no If-Match,
                                                 429
    DELETE PREFIX/NAME/ID        200             401, 403, 404
    OPTIONS                      204             403
    anything else                                405, 404

The checks run in this order: host and origin, rate of the address, draining, `authorize`, rate of the token, number of
sessions, media type, size, and only then the text. What is refused leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from aiohttp import web

from rtcpeer.config.configuration import RTCIceServer, read_configuration
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.errors import RtcPeerError, RTCSyntaxError, SignalingRefused
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.signaling.http.fragment import (
    FRAGMENT_TYPE,
    fragment_of,
    read_fragment_untrusted,
    write_fragment,
)
from rtcpeer.signaling.http.headers import is_any, matches, read_bearer, same_token, write_ice_servers
from rtcpeer.signaling.http.limits import RateLimit
from rtcpeer.signaling.http.statuses import PROBLEM_TYPE, problem
from rtcpeer.signaling.http.whip_session import EndReason, WhipSession

logger = logging.getLogger(__name__)

#: A description or fragment is at most so long, in bytes.
MAX_BODY: Final = 65_536
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_SDP_TYPE = "application/sdp"
_PATHS = ("", "/{name:[^/]+}")
_SERVERS_TIME = 1.0
_BODY_TIME = 10.0
_EXPOSED = "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"

Handler = Callable[[WhipSession], Awaitable[object] | object]
Authorize = Callable[[web.Request, str, str | None], Awaitable[bool] | bool]


class _Server:
    """What WHIP and WHEP servers have in common; see `WhipServer`."""

    kind: Literal["publish", "play"] = "publish"

    def __init__(
        self,
        handler: Handler,
        *,
        path: str,
        host: str = "127.0.0.1",
        port: int = 0,
        authorize: Authorize | None = None,
        configuration: Any = None,
        provider: IceServerProvider | None = None,
        recommend: bool = True,
        make_connection: Callable[[], Any] | None = None,
        origins: Collection[str] = (),
        hosts: Collection[str] | None = None,
        max_sessions: int = 100,
        address_rate: RateLimit | None = None,
        token_rate: RateLimit | None = None,
        gathering_time: float = 0.5,
        answer_timeout: float = 10.0,
    ) -> None:
        self._handler = handler
        self._path = "/" + path.strip("/")
        self._host, self._port = host, port
        self._authorize = authorize
        self._configuration = read_configuration(configuration)
        self._provider = provider
        self._recommend = recommend
        self._make_connection = make_connection
        self._origins = frozenset(origins)
        self._hosts = LOOPBACK if hosts is None and host in LOOPBACK else hosts
        self.max_sessions = max_sessions
        self._address_rate = RateLimit(50, 100) if address_rate is None else address_rate
        self._token_rate = RateLimit(20, 50) if token_rate is None else token_rate
        self._gathering_time = gathering_time
        self._answer_timeout = answer_timeout
        self._sessions: dict[str, WhipSession] = {}
        self._servers: list[RTCIceServer] = list(self._configuration.iceServers)
        self._draining = False
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        draining = ", draining" if self._draining else ""
        return f"<{type(self).__name__} {self._path}, {len(self._sessions)} sessions{draining}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def sessions(self) -> tuple[WhipSession, ...]:
        """The sessions that live."""
        return tuple(self._sessions.values())

    @property
    def url(self) -> str:
        """The endpoint, where this server listens by itself."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{self._path}"

    def add_to(self, application: web.Application) -> None:
        """Serve as a part of another aiohttp application; the sessions end when it shuts down."""
        for path in _PATHS:
            application.router.add_route("*", self._path + path, self.handle)
        application.router.add_route("*", self._path + "/{name:[^/]+}/{id:[^/]+}", self.handle_session)

        async def shut_down(_: web.Application) -> None:
            await self.close()

        application.on_shutdown.append(shut_down)

    async def start(self) -> None:
        """Listen at `host` and `port`.

        Raises:
            OSError: the port is taken.
        """
        application = web.Application()
        self.add_to(application)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        if not self._port:
            self._port = runner.addresses[0][1]

    def drain(self) -> None:
        """Refuse new sessions (503) and let those that live go on; see `drained`."""
        self._draining = True

    async def drained(self, timeout: float | None = None) -> bool:
        """Wait until no session is left.

        Args:
            timeout: seconds; None waits as long as it takes.

        Returns:
            Whether none is left; False when the time is over.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End all sessions and stop listening. Idempotent."""
        self._closed = self._draining = True
        await asyncio.gather(*(session.end("server") for session in self.sessions))
        while tasks := [task for task in self._tasks if task is not asyncio.current_task()]:
            for task in tasks:
                if not task.get_name().endswith("ending"):
                    task.cancel()
            await asyncio.wait(tasks)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # -- requests ----------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.Response:
        """A request to an endpoint: POST makes a session. For one's own routes: `name` is a part of the path."""
        return await self._answer(request, self._endpoint(request), allow="POST, OPTIONS")

    async def handle_session(self, request: web.Request) -> web.Response:
        """A request to a session's URL: PATCH and DELETE; `name` and `id` are parts of the path."""
        return await self._answer(request, self._resource(request), allow="PATCH, DELETE, OPTIONS")

    async def _answer(
        self, request: web.Request, work: Coroutine[Any, Any, web.Response], *, allow: str
    ) -> web.Response:
        """Run a request; every refusal becomes problem details, and nothing that fails is told in full."""
        try:
            response = await work
        except SignalingRefused as error:
            response = _refused(error, allow)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise  # the client is gone
        except Exception:
            logger.exception("%r: a request failed", self)
            response = _refused(SignalingRefused("", status=500), allow)
        self._add_cors(request, response)
        return response

    async def _endpoint(self, request: web.Request) -> web.Response:
        self.check_site(request)
        if request.method == "OPTIONS":
            return await self._options(request, "POST, OPTIONS", post=True)
        if request.method != "POST":
            raise SignalingRefused("an endpoint takes POST", status=405)
        name = request.match_info.get("name", "")
        self._check_rate(self._address_rate, request.remote or "", "this address")
        if self._draining:
            raise SignalingRefused("the server takes no new sessions", status=503, retry_after=5)
        token = await self._check_token(request, name)
        self._check_room()
        offer = await _read_body(request, _SDP_TYPE)
        _check_offer(offer)
        await self._fetch_servers()
        return await self._begin(request, name, token, offer)

    def _check_room(self) -> None:
        if self._draining:
            raise SignalingRefused("the server takes no new sessions", status=503, retry_after=5)
        if len(self._sessions) >= self.max_sessions:
            raise SignalingRefused("there are too many sessions", status=503, retry_after=5)

    async def _resource(self, request: web.Request) -> web.Response:
        self.check_site(request)
        if request.method == "OPTIONS":
            return await self._options(request, "PATCH, DELETE, OPTIONS", post=False)
        self._check_rate(self._address_rate, request.remote or "", "this address")
        session = self._find(request)
        if not same_token(read_bearer(request.headers.get("Authorization")), session.token):
            raise SignalingRefused("the session belongs to another token", status=401)
        if request.method == "DELETE":
            await self._end(session, "client")
            return web.Response(status=200)
        if request.method != "PATCH":
            raise SignalingRefused("a session takes PATCH and DELETE", status=405)
        return await self._patch(request, session)

    def _find(self, request: web.Request) -> WhipSession:
        session = self._sessions.get(request.match_info["id"])
        if session is None or (session.name or "-") != request.match_info["name"]:
            raise SignalingRefused("there is no such session, or it has ended", status=404)
        return session

    async def _options(self, request: web.Request, allow: str, *, post: bool) -> web.Response:
        """A preflight gets the CORS fields alone; any other OPTIONS also learns the ICE servers, if it may."""
        headers = {"Allow": allow}
        headers.update({"Accept-Post": _SDP_TYPE} if post else {"Accept-Patch": FRAGMENT_TYPE})
        response = web.Response(status=204, headers=headers)
        if post and "Access-Control-Request-Method" not in request.headers:
            self._check_rate(self._address_rate, request.remote or "", "this address")
            await self._check_token(request, request.match_info.get("name", ""))
            await self._fetch_servers()
            self._add_links(response)
        return response

    # -- sessions ----------------------------------------------------------------------------------

    async def _begin(self, request: web.Request, name: str, token: str | None, offer: str) -> web.Response:
        self._check_room()  # once more: others may have come meanwhile
        session = WhipSession(
            name,
            self.kind,
            offer,
            make_connection=self._connection,
            gathering_time=self._gathering_time,
            token=token,
            remote=request.remote,
        )
        session.bind(end=self._end_later, ended=self._forget)
        self._sessions[session.id] = session
        self._idle.clear()
        try:
            answer = await self._run_handler(session)
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client did not wait for its answer")
        except BaseException:
            await self._end(session, "server")
            raise
        path = request.path.rstrip("/") if name else f"{request.path.rstrip('/')}/-"
        response = web.Response(
            status=201,
            text=answer,
            content_type=_SDP_TYPE,
            headers={
                "Location": f"{path}/{session.id}",
                "ETag": session.etag,
                "Accept-Patch": FRAGMENT_TYPE,
            },
        )
        response.charset = None
        self._add_links(response)
        return response

    async def _run_handler(self, session: WhipSession) -> str:
        """Let the handler prepare the session, and have its offer answered: by the handler's own reader, else by `pc`.

        A handler that answers by itself may run on as long as the session lives.
        """
        answering: asyncio.Task[str] = self._spawn(session.first_answer(self._answer_timeout), "answer")
        handling: asyncio.Task[None] | None = None
        try:
            work = self._handler(session)
            if inspect.isawaitable(work):
                handling = self._spawn(self._handle_on(session, work), "handler")
                await asyncio.wait([handling, answering], return_when=asyncio.FIRST_COMPLETED)
                if handling.done():
                    handling.result()
            if not session.is_read:
                session.negotiate()
            return await answering
        except BaseException:
            answering.cancel()
            if handling is not None:
                handling.cancel()
            raise

    async def _handle_on(self, session: WhipSession, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception:
            if not session.is_answered:
                raise  # into the request
            logger.exception("%r: the handler of %r failed", self, session)
            await session.end("server")

    async def _patch(self, request: web.Request, session: WhipSession) -> web.Response:
        if_match = request.headers.get("If-Match")
        body = await _read_body(request, FRAGMENT_TYPE)
        if if_match is None:
            raise SignalingRefused("say which session is meant: If-Match with its ETag, or *", status=428)
        try:
            fragment = read_fragment_untrusted(body)
        except RTCSyntaxError as error:
            raise SignalingRefused(str(error), status=400) from None
        if not matches(if_match, session.etag):
            raise SignalingRefused("the session was restarted, and has another ETag", status=412)
        if session.is_current(fragment):
            session.take_candidates(fragment)
            return web.Response(status=204)
        if fragment.pwd is None:
            if is_any(if_match):
                raise SignalingRefused("a restart needs a=ice-pwd", status=400)
            return web.Response(status=204)  # candidates of a generation that nobody knows
        said = await session.restart(fragment, self._answer_timeout)
        response = web.Response(
            status=200,
            text=write_fragment(said),
            content_type=FRAGMENT_TYPE,
            headers={"ETag": session.etag},
        )
        response.charset = None
        return response

    def _end_later(self, session: WhipSession, reason: EndReason) -> None:
        self._spawn(session.end(reason), "ending")

    async def _end(self, session: WhipSession, reason: EndReason) -> None:
        """End a session whoever is cancelled meanwhile."""
        await asyncio.shield(self._spawn(session.end(reason), "ending"))

    def _forget(self, session: WhipSession) -> None:
        self._sessions.pop(session.id, None)
        if not self._sessions:
            self._idle.set()

    def _connection(self) -> Any:
        if self._make_connection is not None:
            return self._make_connection()
        return RTCPeerConnection(read_configuration(self._configuration, iceServers=self._servers))

    # -- who may -----------------------------------------------------------------------------------

    def check_site(self, request: web.Request) -> None:
        """No foreign name for a loopback address (DNS rebinding), no foreign page unless its origin is allowed.

        Raises:
            SignalingRefused: 403.
        """
        if self._hosts is not None and urlsplit(f"//{request.host}").hostname not in self._hosts:
            raise SignalingRefused("this server does not answer to that host name", status=403)
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin, request):
            raise SignalingRefused("pages of that origin may not use this server", status=403)

    def _is_allowed(self, origin: str, request: web.Request) -> bool:
        if "*" in self._origins or origin in self._origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc == request.host

    def _check_rate(self, limit: RateLimit, key: str, whose: str) -> None:
        wait = limit.take(key, asyncio.get_running_loop().time())
        if wait:
            raise SignalingRefused(f"too many requests from {whose}", status=429, retry_after=math.ceil(wait))

    async def _check_token(self, request: web.Request, name: str) -> str | None:
        token = read_bearer(request.headers.get("Authorization"))
        if self._authorize is not None:
            allowed = self._authorize(request, name, token)
            if not (await allowed if inspect.isawaitable(allowed) else allowed):
                raise SignalingRefused("the token is missing or not valid here", status=401)
        if token is not None:
            self._check_rate(self._token_rate, token, "this token")
        return token

    async def _fetch_servers(self) -> None:
        """The newest ICE servers; late or failing ones do not delay a session."""
        if self._provider is None:
            return
        try:
            async with asyncio.timeout(_SERVERS_TIME):
                self._servers = list(await self._provider.servers())
        except (TimeoutError, RtcPeerError) as error:
            logger.warning("%r: no new ICE servers: %s", self, str(error) or "they took too long")

    def _add_links(self, response: web.Response) -> None:
        if self._recommend:
            for field in write_ice_servers(self._servers):
                response.headers.add("Link", field)

    def _add_cors(self, request: web.Request, response: web.Response) -> None:
        origin = request.headers.get("Origin")
        if origin is None or not self._is_allowed(origin, request):
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers.add("Vary", "Origin")
        if "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = "POST, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match"
            response.headers["Access-Control-Max-Age"] = "600"

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=f"rtcpeer whip {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and task.get_name().endswith("ending"):
            logger.error("%r: a session did not end well", self, exc_info=task.exception())


class WhipServer(_Server):
    """Takes WHIP publishers (RFC 9725).

        async def on_publish(session):
            session.pc.ontrack = lambda event: recorder.addTrack(event.track)

        server = WhipServer(on_publish, authorize=lambda request, name, token: token == "secret")
        server.add_to(application)          # an aiohttp application: POST /whip/NAME
        async with WhipServer(on_publish, port=8080):   # or by itself
            ...

    Args:
        on_publish: called with a `WhipSession` before its offer is applied; may be a coroutine function. Raising
            `SignalingRefused` with a status refuses the client; any other exception is logged and answered with 500.
        path: of the endpoint; clients use PATH or PATH/NAME.
        host, port: where to listen, for `start`; port 0 for any.
        authorize: called with the request, the name and the bearer token (or None) before anything is read; may be a
            coroutine function. False refuses with 401. By default everybody may.
        configuration: for the connections, as for RTCPeerConnection; its iceServers are recommended to clients.
        provider: where ICE servers come from, instead.
        recommend: whether clients learn the ICE servers, credentials included (Link fields); only those who pass
            `authorize` do.
        make_connection: makes the connection of a session, instead of RTCPeerConnection.
        origins: pages of these origins may use the server, besides those of its own host; "*" for all, which suits
            servers with `authorize`.
        hosts: the names by which the server may be called; by default any, but for a server that listens on loopback
            only those of loopback.
        max_sessions: more are refused with 503.
        address_rate, token_rate: requests of one address, or with one token.
        gathering_time: how long an answer waits for candidates, in seconds.
        answer_timeout: how long a handler may take to have an offer answered, in seconds.

    Attributes:
        max_sessions: see above; may be changed at any time.
    """

    kind = "publish"

    def __init__(self, on_publish: Handler, *, path: str = "/whip", **options: Any) -> None:
        super().__init__(on_publish, path=path, **options)


class WhepServer(_Server):
    """Serves WHEP players (draft-ietf-wish-whep); arguments as of `WhipServer`.

    async def on_play(session):
        if session.name not in cameras:
            raise SignalingRefused("nobody publishes this", status=409, retry_after=2)
        session.pc.addTrack(cameras[session.name])

    WhepServer(on_play).add_to(application)     # POST /whep/NAME
    """

    kind = "play"

    def __init__(self, on_play: Handler, *, path: str = "/whep", **options: Any) -> None:
        super().__init__(on_play, path=path, **options)


async def _read_body(request: web.Request, expected: str) -> str:
    """The body of a request.

    Raises:
        SignalingRefused: another media type (415), too long (413), not UTF-8 (400), or too slow (408).
    """
    if request.content_type != expected:
        raise SignalingRefused(f"the body must be {expected}", status=415)
    if (request.content_length or 0) > MAX_BODY:
        raise SignalingRefused(f"the body may have {MAX_BODY} bytes", status=413)
    body = b""
    try:
        async with asyncio.timeout(_BODY_TIME):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > MAX_BODY:
                    raise SignalingRefused(f"the body may have {MAX_BODY} bytes", status=413)
    except TimeoutError:
        raise SignalingRefused("the body did not arrive in time", status=408) from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise SignalingRefused("the body is not UTF-8", status=400) from None


def _check_offer(offer: str) -> None:
    """Refuse what is no offer before there is a session.

    Raises:
        SignalingRefused: it is no SDP, has no section, or lacks ICE credentials or a fingerprint.
    """
    try:
        session = parse_untrusted(offer)
        fragment_of(offer)
    except (RtcPeerError, ValueError) as error:
        raise SignalingRefused(str(error), status=400) from None
    if not session.media:
        raise SignalingRefused("the offer has no section", status=400)
    if "\na=fingerprint:" not in offer:
        raise SignalingRefused("the offer has no DTLS fingerprint", status=400)


def _refused(error: SignalingRefused, allow: str) -> web.Response:
    status = error.status if error.status is not None and 400 <= error.status < 600 else 422
    response = web.Response(status=status, text=problem(status, error.reason), content_type=PROBLEM_TYPE)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(0, math.ceil(error.retry_after)))
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 405:
        response.headers["Allow"] = allow
    if status == 415:
        response.headers["Accept-Post" if "POST" in allow else "Accept-Patch"] = (
            _SDP_TYPE if "POST" in allow else FRAGMENT_TYPE
        )
    return response
