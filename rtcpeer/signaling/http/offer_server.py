"""One offer over HTTP, as JSON: the server for pages that POST a description and get one back.

Owns: the requests of this dialect. Never: a session's inside (`whip_session`), who may (`session_server`). Needs the
extra ``rtcpeer[signaling]`` (aiohttp).

Three dialects that are in use, told apart by what a request has:

    request                                                     answer
    ----------------------------------------------------------  -------------------------------------------------------
    POST {"sdp", "type": "offer", ...}                          {"sdp", "type": "answer", "pc_id"}
    POST ... with "pc_id" of a session: another offer of it     the same; "restart_pc": true, or an offer of another
                                                                connection, begins its connection anew
    POST {"type": "ice-candidate", "candidate", "webrtc_id"}    {"status": "success"}
    PATCH {"pc_id", "candidates": [{"candidate", "sdp_mid",     {"status": "success"}
    "sdp_mline_index"}, ...]}

The first is that of aiortc's examples, "webrtc_id" is fastrtc's, and "pc_id" with its PATCH is Pipecat's. What else a
request says is in `WhipSession.data`. Refusals have the statuses of `WhipServer`, as problem details.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from rtcpeer.errors import RTCSyntaxError, SignalingRefused
from rtcpeer.signaling.channel import read_message_untrusted
from rtcpeer.signaling.glance import is_other_connection_untrusted
from rtcpeer.signaling.http.headers import read_bearer, same_token
from rtcpeer.signaling.http.session_server import Handler, SessionServer, check_offer, read_body
from rtcpeer.signaling.http.whip_session import SessionKind, WhipSession

_JSON = "application/json"
_MAX_CANDIDATES = 100
_OWN = ("sdp", "type", "pc_id", "restart_pc")


class HttpOfferServer(SessionServer):
    """Answers offers that are posted as JSON; arguments as of `WhipServer`.

        async def on_offer(session):
            session.pc.ontrack = lambda event: session.pc.addTrack(transformed(event.track))

        HttpOfferServer(on_offer, path="/offer").add_to(application)

    Further arguments: `page`: HTML that is given at "/", for a bot that brings its page along.

    A handler that gives the session to a `SupervisedPeer` keeps that peer when the client begins a new connection in
    the same session (Pipecat's "restart_pc"); one that uses `session.pc` is called again, with a session of that `id`.
    """

    kind: SessionKind = "offer"

    def __init__(
        self, on_offer: Handler, *, path: str = "/offer", page: str | None = None, **options: Any
    ) -> None:
        super().__init__(on_offer, path=path, **options)
        self._page = page
        self._by_webrtc_id: dict[str, WhipSession] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the one path, and "/" if there is a page."""
        router.add_route("*", self.path, self.handle)
        if self._page is not None:
            router.add_get("/", self._give_page)

    async def _give_page(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def handle(self, request: web.Request) -> web.Response:
        """A request to the path; for one's own routes."""
        return await self.respond(request, self._handle(request), allow="POST, PATCH, OPTIONS")

    async def _handle(self, request: web.Request) -> web.Response:
        self.check_site(request)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": "POST, PATCH, OPTIONS", "Accept-Post": _JSON})
        if request.method not in ("POST", "PATCH"):
            raise SignalingRefused("this path takes POST and PATCH", status=405)
        self.check_address(request)
        token = await self.check_token(request, "")
        body = _read_json(await read_body(request, _JSON))
        if request.method == "PATCH":
            self._take_candidates(request, body)
            return web.json_response({"status": "success"})
        if body.get("type") == "ice-candidate":
            self._take_candidate(request, body)
            return web.json_response({"status": "success"})
        return await self._offer(request, token, body)

    async def _offer(self, request: web.Request, token: str | None, body: dict[str, Any]) -> web.Response:
        offer = body.get("sdp")
        if body.get("type") != "offer" or not isinstance(offer, str):
            raise SignalingRefused('the body must have "sdp" and "type": "offer"', status=400)
        check_offer(offer)
        session = self._find(request, body.get("pc_id"), must_exist=False)
        if session is None:
            return await self._begin(request, token, body)
        anew = body.get("restart_pc") is True or is_other_connection_untrusted(session.offer, offer)
        if anew and not session.is_read:
            return await self._begin(request, token, body, replaced=session)
        answer = await session.renegotiate(offer, self.answer_timeout)
        return web.json_response({"sdp": answer, "type": "answer", "pc_id": session.id})

    async def _begin(
        self,
        request: web.Request,
        token: str | None,
        body: dict[str, Any],
        *,
        replaced: WhipSession | None = None,
    ) -> web.Response:
        if replaced is None:
            self.check_room()
        await self.fetch_servers()
        # others may have replaced it meanwhile: the last one wins
        while replaced is not None and (before := self.find_session(replaced.id)) is not None:
            await self.end_session(before, "client")
        data = {name: value for name, value in body.items() if name not in _OWN}
        session, answer = await self.begin(
            request, "", token, body["sdp"], data, id=replaced.id if replaced is not None else None
        )
        name = body.get("webrtc_id")
        if isinstance(name, str) and 0 < len(name) <= 200:
            self._by_webrtc_id[name] = session
            session.add_end_listener(lambda ended: self._forget_name(name, ended))
        return web.json_response({"sdp": answer, "type": "answer", "pc_id": session.id})

    def _forget_name(self, name: str, session: WhipSession) -> None:
        if self._by_webrtc_id.get(name) is session:
            del self._by_webrtc_id[name]

    def _find(self, request: web.Request, id: Any, *, must_exist: bool) -> WhipSession | None:
        """The session of that id, if it is the client's own."""
        session = self.find_session(id) if isinstance(id, str) else None
        if session is None:
            if must_exist:
                raise SignalingRefused("there is no such session, or it has ended", status=404)
            return None
        self._check_owner(request, session)
        return session

    def _check_owner(self, request: web.Request, session: WhipSession) -> None:
        if not same_token(read_bearer(request.headers.get("Authorization")), session.token):
            raise SignalingRefused("the session belongs to another token", status=401)

    def _take_candidates(self, request: web.Request, body: dict[str, Any]) -> None:
        """Pipecat's form: several at once, with names of its own."""
        session = self._find(request, body.get("pc_id"), must_exist=True)
        assert session is not None
        candidates = body.get("candidates")
        if not isinstance(candidates, list) or len(candidates) > _MAX_CANDIDATES:
            raise SignalingRefused(f'"candidates" must be a list of at most {_MAX_CANDIDATES}', status=400)
        session.take_messages([_candidate(candidate) for candidate in candidates])

    def _take_candidate(self, request: web.Request, body: dict[str, Any]) -> None:
        """Fastrtc's form: one at a time, the session named by the client's own id."""
        session = self._by_webrtc_id.get(str(body.get("webrtc_id")))
        if session is None:
            raise SignalingRefused("there is no such session, or it has ended", status=404)
        self._check_owner(request, session)
        session.take_messages([_candidate(body.get("candidate"))])


def _read_json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise SignalingRefused("the body is no JSON", status=400) from None
    if not isinstance(body, dict):
        raise SignalingRefused("the body must be a JSON object", status=400)
    return body


def _candidate(value: Any) -> dict[str, Any]:
    """A candidate in the form of RTCIceCandidateInit, from that form or Pipecat's.

    Raises:
        SignalingRefused: it is neither (400).
    """
    if isinstance(value, dict):
        names = {
            "sdp_mid": "sdpMid",
            "sdp_mline_index": "sdpMLineIndex",
            "username_fragment": "usernameFragment",
        }
        value = {names.get(name, name): member for name, member in value.items()}
    try:
        message = dict(read_message_untrusted(value))
    except RTCSyntaxError:
        message = {}
    if "candidate" not in message:
        raise SignalingRefused("a candidate must be an object with a candidate", status=400)
    return message
