"""Servers whose clients have sessions over HTTP: who may, limits, draining, handlers, the end of sessions.

Owns: the table of sessions and everything that is checked before there is one. Never: the requests of one protocol
(that is `whip_server` and `offer_server`), media. Needs the extra ``rtcpeer[signaling]`` (aiohttp).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final, Self

from aiohttp import web

from rtcpeer.aio import Ending, start_task
from rtcpeer.config.configuration import RTCIceServer, read_configuration
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.errors import RtcPeerError, SignalingRefused
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.protocols import PeerConnection
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.signaling.http.fragment import FRAGMENT_TYPE, fragment_of
from rtcpeer.signaling.http.headers import read_bearer, write_ice_servers
from rtcpeer.signaling.http.limits import RateLimit, client_key
from rtcpeer.signaling.http.listening import Listener
from rtcpeer.signaling.http.requester import SDP_TYPE
from rtcpeer.signaling.http.sites import allows_origin, hosts_for, refuse_site
from rtcpeer.signaling.http.statuses import PROBLEM_TYPE, problem
from rtcpeer.signaling.http.whip_session import EndReason, SessionKind, WhipSession

logger = logging.getLogger(__name__)

#: A body is at most so long, in bytes.
MAX_BODY: Final = 65_536

_SERVERS_TIME = 1.0
_BODY_TIME = 10.0
_EXPOSED = "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate, Access-Control-Allow-Methods"

Handler = Callable[[WhipSession], Awaitable[object] | object]
Authorize = Callable[[web.Request, str, str | None], Awaitable[bool] | bool]


class SessionServer:
    """Base of the servers with sessions over HTTP; the arguments are described at `WhipServer`.

    A subclass adds routes (`add_routes`) whose handlers run through `respond`.

    Attributes:
        path: of the endpoint.
        max_sessions: more are refused with 503; may be changed at any time.
        answer_timeout: how long a handler may take to have an offer answered, in seconds.
    """

    kind: SessionKind = "publish"

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
        make_connection: Callable[[], PeerConnection] | None = None,
        origins: Collection[str] = (),
        hosts: Collection[str] | None = None,
        max_sessions: int = 100,
        address_rate: RateLimit | None = None,
        token_rate: RateLimit | None = None,
        gathering_time: float = 0.5,
        answer_timeout: float = 10.0,
        connect_timeout: float = 30.0,
    ) -> None:
        self._handler = handler
        self.path: str = "/" + path.strip("/")
        self._host, self._port = host, port
        self._authorize = authorize
        self._configuration = read_configuration(configuration)
        self._provider = provider
        self._recommend = recommend
        self._make_connection = make_connection
        self._origins = frozenset(origins)
        self._hosts = hosts_for(host, hosts)
        self.max_sessions = max_sessions
        self._address_rate = RateLimit(50, 100) if address_rate is None else address_rate
        self._token_rate = RateLimit(20, 50) if token_rate is None else token_rate
        self._gathering_time = gathering_time
        self._connect_timeout = connect_timeout
        self.answer_timeout = answer_timeout
        self._sessions: dict[str, WhipSession] = {}
        self._servers: list[RTCIceServer] = list(self._configuration.iceServers)
        self._draining = False
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._listener: Listener | None = None
        self._ending = Ending("rtcpeer sessions close")

    def __repr__(self) -> str:
        draining = ", draining" if self._draining else ""
        return f"<{type(self).__name__} {self.path}, {len(self._sessions)} sessions{draining}>"

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
        return f"http://{host}:{self._port}{self.path}"

    def add_to(self, application: web.Application) -> None:
        """Serve as a part of another aiohttp application; the sessions end when it shuts down."""
        self.add_routes(application.router)

        async def shut_down(_: web.Application) -> None:
            await self.close()

        application.on_shutdown.append(shut_down)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this kind of server."""
        raise NotImplementedError

    async def start(self) -> None:
        """Listen at `host` and `port`.

        Raises:
            OSError: the port is taken.
        """
        application = web.Application()
        self.add_to(application)
        listener = Listener(application)
        _, self._port = await listener.start(self._host, self._port)
        self._listener = listener

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
        """End all sessions and stop listening. Idempotent, and done even if it is cancelled."""
        self._closed = self._draining = True
        await self._ending.run(self._close)  # which the listener's application asks for as well

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.stop()  # first: clients that lose their sessions come back at once
        await asyncio.gather(*(session.end("server") for session in self.sessions))
        while tasks := [task for task in self._tasks if task is not asyncio.current_task()]:
            for task in tasks:
                if not task.get_name().endswith("ending"):
                    task.cancel()
            await asyncio.wait(tasks)
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()

    # -- requests ----------------------------------------------------------------------------------

    async def respond(
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
        if request.content.exception() is not None:
            response.force_close()  # where the next request begins is not known
        return response

    def check_room(self, *, replaces: bool = False) -> None:
        """Refuse when there are too many sessions, or the server is draining.

        Args:
            replaces: it is asked for what takes the place of a session, which a draining server lets go on.

        Raises:
            SignalingRefused: 503.
        """
        if self._closed or (self._draining and not replaces):
            raise SignalingRefused("the server takes no new sessions", status=503, retry_after=5)
        if len(self._sessions) >= self.max_sessions:
            raise SignalingRefused("there are too many sessions", status=503, retry_after=5)

    # -- sessions ----------------------------------------------------------------------------------

    async def begin(
        self,
        request: web.Request,
        name: str,
        token: str | None,
        offer: str,
        data: dict[str, Any] | None = None,
        *,
        id: str | None = None,
    ) -> tuple[WhipSession, str]:
        """Make a session and have its offer answered; nothing is left of it if that fails.

        Args:
            request: of the client.
            name: as of the session.
            token: as of the session.
            offer: checked before.
            data: as of the session.
            id: of a session that it replaces; None for a new one.

        Raises:
            SignalingRefused: it cannot be accepted, or there is no room.
        """
        self.check_room(replaces=id is not None)  # once more: others may have come meanwhile
        session = WhipSession(
            name,
            self.kind,
            offer,
            make_connection=self._connection,
            gathering_time=self._gathering_time,
            connect_timeout=self._connect_timeout,
            token=token,
            remote=request.remote,
            headers=request.headers,
            data=data,
            id=id,
        )
        session.bind(end=self._end_later, ended=self._forget)
        self._sessions[session.id] = session
        self._idle.clear()
        try:
            answer = await self._run_handler(session)
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client did not wait for its answer")
        except BaseException:
            await self.end_session(session, "server")
            raise
        return session, answer

    def find_session(self, id: str) -> WhipSession | None:
        """A session that lives, by its id."""
        return self._sessions.get(id)

    async def _run_handler(self, session: WhipSession) -> str:
        """Let the handler prepare the session, and have its offer answered: by the handler's own reader, else by `pc`.

        A handler that answers by itself may run on as long as the session lives.
        """
        answering: asyncio.Task[str] = self._spawn(session.first_answer(self.answer_timeout), "answer")
        handling: asyncio.Task[None] | None = None
        try:
            work = self._handler(session)
            if inspect.isawaitable(work):
                handling = self._spawn(self._handle_on(session, work), "handler")
                await asyncio.wait([handling, answering], return_when=asyncio.FIRST_COMPLETED)
                if handling.done():
                    handling.result()
            if not (session.is_read or answering.done() or session.reason):
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

    def _end_later(self, session: WhipSession, reason: EndReason) -> None:
        self._spawn(session.end(reason), "ending")

    async def end_session(self, session: WhipSession, reason: EndReason) -> None:
        """End a session whoever is cancelled meanwhile."""
        await asyncio.shield(self._spawn(session.end(reason), "ending"))

    def _forget(self, session: WhipSession) -> None:
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
        if not self._sessions:
            self._idle.set()

    def _connection(self) -> PeerConnection:
        if self._make_connection is not None:
            return self._make_connection()
        return RTCPeerConnection(read_configuration(self._configuration, iceServers=self._servers))

    # -- who may -----------------------------------------------------------------------------------

    def check_site(self, request: web.Request) -> None:
        """Refuse foreign names for a loopback address (DNS rebinding), and foreign pages whose origin is not allowed.

        Raises:
            SignalingRefused: 403.
        """
        origin = request.headers.get("Origin")
        reason = refuse_site(request.host, origin, hosts=self._hosts, origins=self._origins)
        if reason is not None:
            raise SignalingRefused(reason, status=403)

    def check_address(self, request: web.Request) -> None:
        """Count a request of this address.

        Raises:
            SignalingRefused: 429, there are too many.
        """
        self._check_rate(self._address_rate, client_key(request.remote or ""), "this address")

    def _check_rate(self, limit: RateLimit, key: str, whose: str) -> None:
        wait = limit.take(key, asyncio.get_running_loop().time())
        if wait:
            raise SignalingRefused(f"too many requests from {whose}", status=429, retry_after=math.ceil(wait))

    async def check_token(self, request: web.Request, name: str) -> str | None:
        """The client's bearer token, if `authorize` lets it in.

        Raises:
            SignalingRefused: 401, or what `authorize` raises; 429 for too many requests with this token.
        """
        token = read_bearer(request.headers.get("Authorization"))
        if self._authorize is not None:
            allowed = self._authorize(request, name, token)
            if not (await allowed if inspect.isawaitable(allowed) else allowed):
                raise SignalingRefused("the token is missing or not valid here", status=401)
        if token is not None:
            self._check_rate(self._token_rate, token, "this token")
        return token

    async def fetch_servers(self) -> None:
        """The newest ICE servers; late or failing ones do not delay a session."""
        if self._provider is None:
            return
        try:
            async with asyncio.timeout(_SERVERS_TIME):
                self._servers = list(await self._provider.servers())
        except (TimeoutError, RtcPeerError) as error:
            logger.warning("%r: no new ICE servers: %s", self, str(error) or "they took too long")

    def add_links(self, response: web.Response) -> None:
        """Recommend the ICE servers."""
        if self._recommend:
            for field in write_ice_servers(self._servers):
                response.headers.add("Link", field)

    def _add_cors(self, request: web.Request, response: web.Response) -> None:
        origin = request.headers.get("Origin")
        if origin is None or not allows_origin(request.host, origin, self._origins):
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers.add("Vary", "Origin")
        if request.method == "OPTIONS":  # pages also read these fields of one that is no preflight
            response.headers["Access-Control-Allow-Methods"] = "POST, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, ETag, If-Match"
            response.headers["Access-Control-Max-Age"] = "600"

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = start_task(work, name=f"rtcpeer whip {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and task.get_name().endswith("ending"):
            logger.error("%r: a session did not end well", self, exc_info=task.exception())


async def read_body(request: web.Request, expected: str) -> str:
    """The body of a request.

    Raises:
        SignalingRefused: another media type (415), too long (413), not coded as it says or not UTF-8 (400), or too
            slow (408).
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
    except web.RequestPayloadError:
        raise SignalingRefused("the body is not coded as its header says", status=400) from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise SignalingRefused("the body is not UTF-8", status=400) from None


def check_offer(offer: str) -> None:
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
            SDP_TYPE if "POST" in allow else FRAGMENT_TYPE
        )
    return response
