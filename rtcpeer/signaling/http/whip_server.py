"""WHIP and WHEP servers: sessions over HTTP, alone or within an aiohttp application (RFC 9725; draft-ietf-wish-whep).

Owns: the requests, their statuses, the table of sessions, the limits. Never: media; what a session does is up to the
handler, and how it answers is in `whip_session`. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

    method and path              goes well       refused with
    ---------------------------  --------------  ----------------------------------------------------------------------
    POST PREFIX/NAME             201             400 no description or no name, 401, 403, 409 (WHEP) nobody publishes,
                                                 413, 415, 422 not acceptable, 429, 503 full or draining,
                                                 504 nobody answered
    PATCH PREFIX/NAME/ID         204, 200        400, 401, 403, 404, 412 another ETag, 413, 415, 422, 428 no If-Match,
                                                 429
    DELETE PREFIX/NAME/ID        200             401, 403, 404
    OPTIONS                      204             403
    anything else                                405, 404

The checks run in this order: host and origin, rate of the address, the name, `authorize`, rate of the token, draining
and number of sessions, media type, size, and only then the text. What is refused leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from rtcpeer.errors import RTCSyntaxError, SignalingRefused
from rtcpeer.signaling.http.fragment import FRAGMENT_TYPE, read_fragment_untrusted, write_fragment
from rtcpeer.signaling.http.headers import is_any, matches, read_bearer, same_token
from rtcpeer.signaling.http.requester import SDP_TYPE
from rtcpeer.signaling.http.session_server import Handler, SessionServer, check_offer, read_body
from rtcpeer.signaling.http.whip_session import SessionKind, WhipSession

_PATHS = ("", "/{name:[^/]+}")


class _WhipRequests(SessionServer):
    """The requests of WHIP and WHEP, which are the same."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the endpoint's and the sessions' paths."""
        for path in _PATHS:
            router.add_route("*", self.path + path, self.handle)
        router.add_route("*", self.path + "/{name:[^/]+}/{id:[^/]+}", self.handle_session)

    async def handle(self, request: web.Request) -> web.Response:
        """A request to an endpoint: POST makes a session. For one's own routes: `name` is a part of the path."""
        return await self.respond(request, self._endpoint(request), allow="POST, OPTIONS")

    async def handle_session(self, request: web.Request) -> web.Response:
        """A request to a session's URL: PATCH and DELETE; `name` and `id` are parts of the path."""
        return await self.respond(request, self._resource(request), allow="PATCH, DELETE, OPTIONS")

    async def _endpoint(self, request: web.Request) -> web.Response:
        self.check_site(request)
        if request.method == "OPTIONS":
            return await self._options(request, "POST, OPTIONS", post=True)
        if request.method != "POST":
            raise SignalingRefused("an endpoint takes POST", status=405)
        name = request.match_info.get("name", "")
        self.check_address(request)
        _check_name(name)
        token = await self.check_token(request, name)
        self.check_room()
        offer = await read_body(request, SDP_TYPE)
        check_offer(offer)
        await self.fetch_servers()
        session, answer = await self.begin(request, name, token, offer)
        path = request.rel_url.raw_path.rstrip("/")  # (the other one is decoded: no URL)
        if not name:
            path += "/-"
        response = web.Response(
            status=201,
            text=answer,
            content_type=SDP_TYPE,
            headers={
                "Location": f"{path}/{session.id}",
                "ETag": session.etag,
                "Accept-Patch": FRAGMENT_TYPE,
            },
        )
        response.charset = None
        self.add_links(response)
        return response

    async def _resource(self, request: web.Request) -> web.Response:
        self.check_site(request)
        if request.method == "OPTIONS":
            return await self._options(request, "PATCH, DELETE, OPTIONS", post=False)
        self.check_address(request)
        session = self._find(request)
        if not same_token(read_bearer(request.headers.get("Authorization")), session.token):
            raise SignalingRefused("the session belongs to another token", status=401)
        if request.method == "DELETE":
            await self.end_session(session, "client")
            return web.Response(status=200)
        if request.method != "PATCH":
            raise SignalingRefused("a session takes PATCH and DELETE", status=405)
        return await self._patch(request, session)

    async def _options(self, request: web.Request, allow: str, *, post: bool) -> web.Response:
        """A preflight gets the CORS fields alone; any other OPTIONS also learns the ICE servers, if it may."""
        headers = {"Allow": allow}
        headers.update({"Accept-Post": SDP_TYPE} if post else {"Accept-Patch": FRAGMENT_TYPE})
        response = web.Response(status=204, headers=headers)
        if post and "Access-Control-Request-Method" not in request.headers:
            self.check_address(request)
            await self.check_token(request, request.match_info.get("name", ""))
            await self.fetch_servers()
            self.add_links(response)
        return response

    def _find(self, request: web.Request) -> WhipSession:
        session = self.find_session(request.match_info["id"])
        if session is None or (session.name or "-") != request.match_info["name"]:
            raise SignalingRefused("there is no such session, or it has ended", status=404)
        return session

    async def _patch(self, request: web.Request, session: WhipSession) -> web.Response:
        # some clients (Eyevinn's) say the tag in a field of that name
        if_match = request.headers.get("If-Match", request.headers.get("ETag"))
        body = await read_body(request, FRAGMENT_TYPE)
        if if_match is None and self.kind != "play":
            raise SignalingRefused("say which session is meant: If-Match with its ETag, or *", status=428)
        try:
            fragment = read_fragment_untrusted(body)
        except RTCSyntaxError as error:
            raise SignalingRefused(str(error), status=400) from None
        if if_match is None:
            # WHEP is a draft, and its author's own client says none: then the credentials have to tell
            if fragment.ufrag is None or not session.is_current(fragment):
                raise SignalingRefused("say which session is meant: If-Match with its ETag, or *", status=428)
            if_match = session.etag
        if not matches(if_match, session.etag):
            raise SignalingRefused("the session was restarted, and has another ETag", status=412)
        if session.is_current(fragment):
            session.take_candidates(fragment)
            return web.Response(status=204)
        if fragment.pwd is not None and session.is_past(fragment):
            raise SignalingRefused("a restart needs new credentials; these were used before", status=412)
        if fragment.pwd is None:
            if is_any(if_match):
                raise SignalingRefused("a restart needs a=ice-pwd", status=400)
            return web.Response(status=204)  # candidates of a generation that nobody knows
        said = await session.restart(fragment, self.answer_timeout)
        response = web.Response(
            status=200,
            text=write_fragment(said),
            content_type=FRAGMENT_TYPE,
            headers={"ETag": session.etag},
        )
        response.charset = None
        return response


def _check_name(name: str) -> None:
    """Refuse a name that is more than a name: handlers make keys, log lines and file names of it.

    Raises:
        SignalingRefused: 400.
    """
    if not name.isprintable() or "/" in name or "\\" in name or name in (".", ".."):
        raise SignalingRefused("use a readable name, without slashes or control characters", status=400)


class WhipServer(_WhipRequests):
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
        connect_timeout: a client whose connection (`session.pc`) is not up after so many seconds is dropped.

    Attributes:
        max_sessions: see above; may be changed at any time.
    """

    kind: SessionKind = "publish"

    def __init__(self, on_publish: Handler, *, path: str = "/whip", **options: Any) -> None:
        super().__init__(on_publish, path=path, **options)


class WhepServer(_WhipRequests):
    """Serves WHEP players (draft-ietf-wish-whep); arguments as of `WhipServer`.

    Example::

        async def on_play(session):
            if session.name not in cameras:
                raise SignalingRefused("nobody publishes this", status=409, retry_after=2)
            session.pc.addTrack(cameras[session.name])

        WhepServer(on_play).add_to(application)     # POST /whep/NAME
    """

    kind: SessionKind = "play"

    def __init__(self, on_play: Handler, *, path: str = "/whep", **options: Any) -> None:
        super().__init__(on_play, path=path, **options)
