"""A session with Janus over its WebSocket API: requests, handles, keep-alives, and the way back after a loss.

Owns: the WebSocket, the session, its handles. Never: a peer connection, what a plugin says.

Theory of operation. A request gets "success", "error", or "ack" and later an "event" with the same transaction, which
may overtake the "ack". Everything else belongs to a handle. A lost socket is opened again and the session claimed,
which leaves handles as they were, if Janus is configured for it (`reclaim_session_timeout`); where Janus does not know
the session any more, another one is made and the handles of the old one are gone. Needs `rtcpeer[signaling]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from rtcpeer.aio import TaskSet
from rtcpeer.calls.patience import Patience
from rtcpeer.errors import InvalidStateError, NetworkError, RtcPeerError, RTCTimeoutError, SignalingRefused

REQUEST_TIMEOUT: Final = 10.0
KEEPALIVE: Final = 25.0  # Janus forgets a session after 60 s of silence
_HEARTBEAT: Final = 20.0
# For so long, in seconds, Janus may be away.
PATIENCE: Final = 120.0
_MESSAGE_MAX: Final = 4 << 20
# How long Janus may take to say farewell, in seconds: to the session, and to the socket.
_DESTROY_TIME: Final = 2.0
_CLOSE_TIME: Final = 1.0
_NO_SUCH_SESSION: Final = 458


class JanusError(SignalingRefused):
    """Janus or a plugin of it has refused a request.

    Attributes:
        code: Janus' number of the error (426 of the VideoRoom: there is no such room).
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason, status=code, fatal=False)
        self.code = code


class JanusHandle:
    """A handle: the use of one plugin, with at most one peer connection.

    Attributes:
        id: Janus' number of it.
        on_event: called with the plugin's data and a description (or None) that nobody has asked for.
        on_candidate: called with each candidate of Janus.
        on_hangup: called with the reason when Janus has closed the peer connection.
        is_gone: whether Janus does not know it any more.
    """

    def __init__(self, session: JanusSession, id: int) -> None:
        self.id = id
        self.is_gone: bool = False
        self.on_event: Callable[[dict[str, Any], dict[str, Any] | None], object] = lambda _data, _jsep: None
        self.on_candidate: Callable[[dict[str, Any]], object] = lambda _: None
        self.on_hangup: Callable[[str], object] = lambda _: None
        self._session = session

    def __repr__(self) -> str:
        return f"<JanusHandle {self.id}{', gone' if self.is_gone else ''}>"

    async def ask(
        self, body: Mapping[str, Any], jsep: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """A request to the plugin: its data and its description, if there is one.

        Raises:
            JanusError: it is refused.
            NetworkError, RTCTimeoutError: nobody answers, or the answer makes no sense.
            InvalidStateError: the handle is gone.
        """
        members: dict[str, Any] = {"body": dict(body)}
        if jsep is not None:
            members["jsep"] = dict(jsep)
        message = await self._session.request("message", handle=self, **members)
        return plugin_data(message), _jsep(message)

    async def trickle(self, candidates: list[dict[str, Any]]) -> None:
        """Tell candidates, in the form of RTCIceCandidateInit; an empty one is the end of candidates."""
        said = [c if c.get("candidate") else {"completed": True} for c in candidates]
        members = {"candidate": said[0]} if len(said) == 1 else {"candidates": said}
        await self._session.request("trickle", handle=self, **members)

    async def hang_up(self) -> None:
        """End its peer connection; `on_hangup` follows. Raises as `ask`."""
        await self._session.request("hangup", handle=self)

    async def detach(self) -> None:
        """Give it back. What Janus says to that does not matter."""
        if not self.is_gone:
            with contextlib.suppress(NetworkError, RTCTimeoutError, InvalidStateError):
                await self._session.request("detach", handle=self)
            self._session.forget(self)


class JanusSession:
    """A session.

    Args:
        url: of Janus' WebSocket.
        api_secret: as Janus is configured; sent with each request.
        token: for the token authentication.
        on_lost: called when the socket is lost.
        on_back: called with whether the session is the same one when there is a socket again.
        on_end: called with the error when Janus stays away.
        on_nonsense: called with what was said that makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        api_secret: str | None = None,
        token: str | None = None,
        on_lost: Callable[[], object] = lambda: None,
        on_back: Callable[[bool], object] = lambda _: None,
        on_end: Callable[[Exception], object] = lambda _: None,
        on_nonsense: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.url = url
        self.id: int | None = None
        self._secrets = {k: v for k, v in (("apisecret", api_secret), ("token", token)) if v is not None}
        self._on_lost, self._on_back, self._on_end = on_lost, on_back, on_end
        self._on_nonsense = on_nonsense
        self._client: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(4)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._messages: set[str] = set()  # of those, the ones whose "ack" is not the last word
        self.handles: dict[int, JanusHandle] = {}
        self._tasks = TaskSet("Janus")
        self._beginning_anew = False
        self._returning = False
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "lost" if self._socket is None else "open"
        return f"<JanusSession {self.url.split('?')[0]}, {state}, {len(self.handles)} handles>"

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    async def open(self) -> None:
        """Connect and make the session.

        Raises:
            SignalingRefused: Janus does not want us.
            NetworkError, RTCTimeoutError: it cannot be reached, or does not answer.
        """
        self._client = aiohttp.ClientSession()
        await self._connect()
        self._tasks.start(self._keep(), "keep-alive", on_error=self._on_end)

    async def attach(self, plugin: str) -> JanusHandle:
        """A handle of a plugin ("janus.plugin.videoroom")."""
        answer = await self.request("attach", plugin=plugin)
        handle = JanusHandle(self, _id(answer))
        self.handles[handle.id] = handle
        return handle

    async def request(
        self, verb: str, *, handle: JanusHandle | None = None, **members: Any
    ) -> dict[str, Any]:
        """Ask, and wait for the answer: of a message that is acknowledged, for the event that follows.

        Raises:
            JanusError: it is refused.
            NetworkError, RTCTimeoutError: the socket is lost, or nobody answers.
            InvalidStateError: the handle is gone.
        """
        if handle is not None:
            if handle.is_gone:
                raise InvalidStateError(f"Janus does not know the handle {handle.id} any more")
            members["handle_id"] = handle.id
        if self.id is not None and verb != "create":
            members["session_id"] = self.id
        return await self._ask(verb, members)

    async def close(self) -> None:
        """End the session: Janus drops its handles. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._socket is not None and self.id is not None:
                with contextlib.suppress(NetworkError, RTCTimeoutError, TimeoutError):
                    async with asyncio.timeout(_DESTROY_TIME):
                        await self.request("destroy")
            for handle in tuple(self.handles.values()):
                self.forget(handle)
            await self._tasks.end()
            if self._socket is not None:
                await self._socket.close()
        finally:
            self._tasks.cancel_others()  # also when there was no time for it
            if self._client is not None:
                await self._client.close()

    def forget(self, handle: JanusHandle) -> None:
        """Forget a handle that is gone (for handles)."""
        handle.is_gone = True
        self.handles.pop(handle.id, None)

    # -- inside ----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Open the socket; claim the session, or make one."""
        assert self._client is not None
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                socket = await self._client.ws_connect(
                    self.url,
                    protocols=("janus-protocol",),
                    heartbeat=_HEARTBEAT,
                    max_msg_size=_MESSAGE_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIME),
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NetworkError(f"Janus cannot be reached: {error}", fault="network") from error
        self._socket = socket
        self._tasks.start(self._read(socket), "reader", on_error=self._on_end)
        try:
            if self.id is not None and await self._claim():
                return
            self.id = _id(await self.request("create"))
        except BaseException:
            self._socket = None
            await socket.close()
            raise

    async def _claim(self) -> bool:
        try:
            await self.request("claim")
        except JanusError as error:
            if error.code != _NO_SUCH_SESSION:
                raise
            for handle in tuple(self.handles.values()):
                self.forget(handle)
            return False
        return True

    async def _ask(self, verb: str, members: dict[str, Any]) -> dict[str, Any]:
        socket = self._socket
        if socket is None or socket.closed:
            raise NetworkError("the connection to Janus is lost", fault="network")
        transaction = f"{self._prefix}{next(self._numbers)}"
        answer = self._answers[transaction] = asyncio.get_running_loop().create_future()
        if verb == "message":
            self._messages.add(transaction)
        request = {"janus": verb, "transaction": transaction, **self._secrets, **members}
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                await socket.send_str(json.dumps(request))
                message: dict[str, Any] = await answer
        except TimeoutError:
            raise RTCTimeoutError(
                f"Janus has not answered {verb!r} within {REQUEST_TIMEOUT:g} s", fault="network"
            ) from None
        except (ConnectionError, RuntimeError) as error:
            raise NetworkError("the connection to Janus is lost", fault="network") from error
        finally:
            del self._answers[transaction]
            self._messages.discard(transaction)
        if message.get("janus") == "error":
            said = message.get("error")
            said = said if isinstance(said, dict) else {}
            raise JanusError(_number(said.get("code")), str(said.get("reason"))[:200])
        return message

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for frame in socket:
                if frame.type == aiohttp.WSMsgType.TEXT:
                    self._hear(frame.data)
                else:
                    self._on_nonsense("binary frame")
        finally:
            if self._socket is socket:
                self._socket = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(NetworkError("the connection to Janus is lost", fault="network"))
        await socket.close()
        if not self._closed and self.id is not None and not self._returning:
            self._returning = True
            self._tasks.start(self._return(), "return", on_error=self._on_end)

    def _hear(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = str(message["janus"])
            transaction, sender = message.get("transaction"), message.get("sender")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._on_nonsense(f"message: {error!r}")
            return
        transaction = transaction if isinstance(transaction, str) else ""
        handle = self.handles.get(sender) if isinstance(sender, int) else None
        answer = self._answers.get(transaction)
        if kind == "ack" and transaction in self._messages:
            return  # the event follows, or has overtaken it
        if answer is not None and kind in ("success", "error", "event", "ack"):
            if not answer.done():
                answer.set_result(message)
        elif kind == "timeout":
            if not self._beginning_anew:
                self._beginning_anew = True
                self._tasks.start(self._begin_anew(), "timeout", on_error=self._on_end)
        elif handle is not None:
            try:
                self._tell(handle, kind, message)
            except (RtcPeerError, LookupError, TypeError, ValueError, AttributeError) as error:
                self._on_nonsense(f"{kind[:20]}: {error!r}")

    def _tell(self, handle: JanusHandle, kind: str, message: dict[str, Any]) -> None:
        if kind == "event":
            handle.on_event(plugin_data(message), _jsep(message))
        elif kind == "trickle":
            candidate = message.get("candidate")
            if isinstance(candidate, dict):
                handle.on_candidate(candidate)
        elif kind == "hangup":
            handle.on_hangup(str(message.get("reason"))[:200])
        elif kind == "detached":
            self.forget(handle)
            handle.on_hangup("detached")

    async def _keep(self) -> None:
        while not self._closed:
            await asyncio.sleep(KEEPALIVE)
            socket = self._socket
            if socket is None:
                continue
            try:
                await self.request("keepalive")
            except RTCTimeoutError:
                await socket.close()
            except NetworkError:
                continue

    async def _return(self) -> None:
        """The socket is lost: come back, with the same session or another one."""
        self._on_lost()
        patience, before = Patience(PATIENCE), self.id
        error: Exception = NetworkError("the connection to Janus is lost", fault="network")
        while True:
            await patience.pause()
            if self._closed:
                return
            if patience.is_over:
                self._on_end(error)
                return
            try:
                await self._connect()
            except JanusError as refusal:
                self._on_end(refusal)
                return
            except (NetworkError, RTCTimeoutError) as late:
                error = late
            else:
                if self._socket is not None:  # else it was lost at once
                    self._returning = False
                    self._on_back(self.id == before)
                    return

    async def _begin_anew(self) -> None:
        """Janus has forgotten the session, the socket stands."""
        self._on_lost()
        for handle in tuple(self.handles.values()):
            self.forget(handle)
        try:
            self.id = _id(await self.request("create"))
        except (NetworkError, RTCTimeoutError) as error:
            self._on_end(error)
        else:
            self._on_back(False)
        finally:
            self._beginning_anew = False


def plugin_data(message: Mapping[str, Any]) -> dict[str, Any]:
    """The plugin's data of a message.

    Raises:
        JanusError: the plugin refuses.
        NetworkError: there are none.
    """
    carried = message.get("plugindata")
    data = carried.get("data") if isinstance(carried, Mapping) else None
    if not isinstance(data, dict):
        raise NetworkError("Janus has answered without data", fault="remote")
    if "error" in data or "error_code" in data:
        raise JanusError(_number(data.get("error_code")), str(data.get("error"))[:200])
    return data


def _jsep(message: Mapping[str, Any]) -> dict[str, Any] | None:
    jsep = message.get("jsep")
    return jsep if isinstance(jsep, dict) and isinstance(jsep.get("sdp"), str) else None


def _id(message: Mapping[str, Any]) -> int:
    data = message.get("data")
    id_ = data.get("id") if isinstance(data, Mapping) else None
    if not isinstance(id_, int):
        raise NetworkError("Janus has answered without an id", fault="remote")
    return id_


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list of Janus; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
