"""Remote procedure calls between participants of a LiveKit room: a method by name, a text there and a text back.

Owns: the methods, the calls that wait for an answer. Never: a channel; packets come from the room and go to it.

A request is acknowledged at once and answered when the method is done. Numbers and names of errors are LiveKit's own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from rtcpeer.errors import InvalidStateError, NetworkError, RtcPeerError
from rtcpeer.records import record
from rtcpeer.signaling.livekit.messages import models

# The longest payload, in bytes.
PAYLOAD_MAX: Final = 15 << 10
# How long the other side may take to acknowledge, in seconds.
ACK_TIMEOUT: Final = 7.0
_VERSION: Final = 1
_CALLS_MAX: Final = 1000

APPLICATION_ERROR: Final = 1500
CONNECTION_TIMEOUT: Final = 1501
RESPONSE_TIMEOUT: Final = 1502
RECIPIENT_DISCONNECTED: Final = 1503
RESPONSE_PAYLOAD_TOO_LARGE: Final = 1504
SEND_FAILED: Final = 1505
UNSUPPORTED_METHOD: Final = 1400
RECIPIENT_NOT_FOUND: Final = 1401
REQUEST_PAYLOAD_TOO_LARGE: Final = 1402
UNSUPPORTED_VERSION: Final = 1404

_MESSAGES: Final = {
    APPLICATION_ERROR: "Application error in method handler",
    CONNECTION_TIMEOUT: "Connection timeout",
    RESPONSE_TIMEOUT: "Response timeout",
    RECIPIENT_DISCONNECTED: "Recipient disconnected",
    RESPONSE_PAYLOAD_TOO_LARGE: "Response payload too large",
    SEND_FAILED: "Failed to send",
    UNSUPPORTED_METHOD: "Method not supported at destination",
    RECIPIENT_NOT_FOUND: "Recipient not found",
    REQUEST_PAYLOAD_TOO_LARGE: "Request payload too large",
    UNSUPPORTED_VERSION: "Unsupported RPC version",
}


class LiveKitRpcError(NetworkError):
    """A remote call has failed; a method may raise it to say why.

    Attributes:
        code: LiveKit's number; from 1 to 1399 the application's own.
        reason: what went wrong.
        data: what the method says besides.
    """

    def __init__(self, code: int, reason: str = "", data: str = "") -> None:
        self.reason: str = reason or _MESSAGES.get(code, "")
        super().__init__(f"{self.reason} ({code})", fault="remote")
        self.code = code
        self.data = data


@record(frozen=True, slots=True)
class RpcInvocation:
    """A call that somebody makes of a method of ours.

    Attributes:
        id: unique.
        caller: identity.
        payload: what it sends.
        timeout: how long it waits for the answer, in seconds.
    """

    id: str
    caller: str
    payload: str
    timeout: float


Method = Callable[[RpcInvocation], Awaitable[str] | str]
SendPacket = Callable[[models.DataPacket, list[str]], Coroutine[Any, Any, None]]


class LiveKitRpc:
    """The calls of a room; `LiveKitRoom.rpc`.

    Args:
        send: sends a packet reliably to identities.
        is_there: whether a participant of this identity is in the room.
        spawn: begins a task of the call.
        ignored: counts what makes no sense.
    """

    def __init__(
        self,
        send: SendPacket,
        is_there: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, Any], str], object],
        ignored: Callable[[str, object], object],
    ) -> None:
        self._send = send
        self._is_there = is_there
        self._spawn = spawn
        self._ignored = ignored
        self._methods: dict[str, Method] = {}
        self._acks: dict[str, asyncio.Event] = {}
        self._answers: dict[str, tuple[str, asyncio.Future[str]]] = {}  # identity and answer, by id
        self._running = 0

    def register(self, method: str, function: Method | None) -> None:
        """Answer calls of a method by a function or coroutine function; None: no more."""
        if function is None:
            self._methods.pop(method, None)
        else:
            self._methods[method] = function

    async def call(self, identity: str, method: str, payload: str = "", *, timeout: float = 15.0) -> str:
        """Call a method of a participant.

        Args:
            identity: whose.
            method: its name.
            payload: at most 15 KiB.
            timeout: how long the answer may take, in seconds.

        Returns:
            What the method returned.

        Raises:
            LiveKitRpcError: the method or the way to it has failed; `code` says how.
            InvalidStateError: the call is over.
        """
        if len(payload.encode()) > PAYLOAD_MAX:
            raise LiveKitRpcError(REQUEST_PAYLOAD_TOO_LARGE)
        if not self._is_there(identity):
            raise LiveKitRpcError(RECIPIENT_NOT_FOUND)
        id_ = str(uuid.uuid4())
        request = models.RpcRequest(
            id=id_, method=method, payload=payload, response_timeout_ms=int(timeout * 1000), version=_VERSION
        )
        acknowledged = self._acks[id_] = asyncio.Event()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[id_] = identity, answer
        try:
            try:
                await self._send(models.DataPacket(rpc_request=request), [identity])
            except RtcPeerError as error:
                raise LiveKitRpcError(SEND_FAILED, str(error)) from error
            return await self._wait(acknowledged, answer, timeout)
        finally:
            del self._acks[id_], self._answers[id_]
            answer.cancel()

    async def _wait(self, acknowledged: asyncio.Event, answer: asyncio.Future[str], timeout: float) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        answer.add_done_callback(lambda _: acknowledged.set())
        try:
            async with asyncio.timeout_at(min(until, loop.time() + ACK_TIMEOUT)):
                await acknowledged.wait()
        except TimeoutError:
            raise LiveKitRpcError(CONNECTION_TIMEOUT) from None
        try:
            async with asyncio.timeout_at(until):
                return await answer
        except TimeoutError:
            raise LiveKitRpcError(RESPONSE_TIMEOUT) from None

    # -- for the room ----------------------------------------------------------------------------------

    def take(self, sender: str, packet: models.DataPacket) -> None:
        """A packet of a call."""
        kind = packet.WhichOneof("value")
        if kind == "rpc_request":
            if self._running >= _CALLS_MAX:
                self._ignored("call too many", sender)
                return
            self._running += 1
            self._spawn(
                self._serve(sender, packet.rpc_request), f"LiveKit: call of {packet.rpc_request.method}"
            )
            return
        answers = packet.rpc_response
        id_ = packet.rpc_ack.request_id if kind == "rpc_ack" else answers.request_id
        identity, answer = self._answers.get(id_, ("", None))
        if answer is None or answer.done() or identity != sender:
            self._ignored("answer to no call", sender)
        elif kind == "rpc_ack":
            self._acks[id_].set()
        elif answers.HasField("error"):
            error = answers.error
            answer.set_exception(LiveKitRpcError(error.code, error.message, error.data))
        else:
            answer.set_result(answers.payload)

    async def _serve(self, caller: str, request: models.RpcRequest) -> None:
        try:
            await self._tell(caller, models.DataPacket(rpc_ack=models.RpcAck(request_id=request.id)))
            response = models.RpcResponse(request_id=request.id)
            try:
                response.payload = await self._run(caller, request)
            except LiveKitRpcError as error:
                response.error.CopyFrom(
                    models.RpcError(
                        code=error.code, message=error.reason[:256], data=error.data[:PAYLOAD_MAX]
                    )
                )
            await self._tell(caller, models.DataPacket(rpc_response=response))
        finally:
            self._running -= 1

    async def _run(self, caller: str, request: models.RpcRequest) -> str:
        if request.version != _VERSION:
            raise LiveKitRpcError(UNSUPPORTED_VERSION)
        method = self._methods.get(request.method)
        if method is None:
            raise LiveKitRpcError(UNSUPPORTED_METHOD)
        timeout = max(request.response_timeout_ms / 1000, 0.0)
        try:
            async with asyncio.timeout(timeout):
                returned = method(RpcInvocation(request.id, caller, request.payload, timeout))
                payload = returned if isinstance(returned, str) else await returned
        except LiveKitRpcError:
            raise
        except TimeoutError:
            raise LiveKitRpcError(RESPONSE_TIMEOUT) from None
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the method {request.method!r} of a LiveKit room failed", "exception": error}
            )
            raise LiveKitRpcError(APPLICATION_ERROR) from error
        if not isinstance(payload, str):
            raise LiveKitRpcError(APPLICATION_ERROR, "the method returned no text")
        if len(payload.encode()) > PAYLOAD_MAX:
            raise LiveKitRpcError(RESPONSE_PAYLOAD_TOO_LARGE)
        return payload

    async def _tell(self, identity: str, packet: models.DataPacket) -> None:
        try:
            await self._send(packet, [identity])
        except (NetworkError, InvalidStateError) as error:
            self._ignored("answer that was not sent", error)

    def gone(self, identity: str) -> None:
        """A participant has left: calls of its methods fail."""
        for owner, answer in self._answers.values():
            if owner == identity and not answer.done():
                answer.set_exception(LiveKitRpcError(RECIPIENT_DISCONNECTED))

    def close(self) -> None:
        """The call is over."""
        for _, answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LiveKitRpcError(SEND_FAILED, "the call is over"))
