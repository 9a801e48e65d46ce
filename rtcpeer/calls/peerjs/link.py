"""The WebSocket of a PeerServer: a peer registers by it, stays by heartbeats, and comes back after a loss.

Owns: the socket, the tasks of the peer, what was ignored. Never: what a message means to a connection; `on_message`
is called with each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from rtcpeer.aio import TaskSet
from rtcpeer.calls.patience import Patience
from rtcpeer.errors import NetworkError, RTCTimeoutError, SignalingRefused

logger = logging.getLogger(__name__)

_TIMEOUT: Final = 10.0
_CLOSE_TIME: Final = 2.0
# what a PeerServer says instead of "OPEN"
_REFUSALS: Final = ("ID-TAKEN", "INVALID-KEY", "ERROR")
_HEARTBEAT: Final = 5.0
_PATIENCE: Final = 120.0


class PeerServerLink:
    """A peer's connection to a PeerServer.

    Args:
        url: of the server, with its path.
        id: ours; drawn by the server if empty.
        key: of the server.
        on_message: called with type, source and payload of each message that arrives; an exception means that it makes
            no sense.
        on_lost: called when the connection is lost.
        on_back: called when it is there again.
        on_end: called with the error when the server stays away, or does not take us any more.
        on_nonsense: called with what was ignored, and details.

    Attributes:
        id: ours.
        error: why the server stays away; None while it does not.
        counters: what was ignored, by kind.
    """

    def __init__(
        self,
        url: str,
        id: str,
        key: str,
        *,
        on_message: Callable[[str, str, Any], object],
        on_lost: Callable[[], object],
        on_back: Callable[[], object],
        on_end: Callable[[Exception], object],
        on_nonsense: Callable[[str, object], object],
    ) -> None:
        self.url: str = url.rstrip("/")
        self.id: str = id
        self.error: Exception | None = None
        self.counters: Counter[str] = Counter()
        self._key = key
        self._on_message = on_message
        self._on_lost, self._on_back, self._on_end = on_lost, on_back, on_end
        self._on_nonsense = on_nonsense
        self._token = secrets.token_hex(8)
        self._client: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks = TaskSet("PeerJS")
        self._leaving = False

    async def open(self) -> None:
        """Register at the server.

        Raises:
            SignalingRefused: the id is taken, or the key is wrong.
            NetworkError, RTCTimeoutError: it cannot be reached, or does not answer.
        """
        self._client = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(_TIMEOUT):
                if not self.id:
                    async with self._client.get(f"{self.url}/{self._key}/id") as response:
                        self.id = (await response.text()).strip()[:256]
                await self._register()
        except TimeoutError:
            raise RTCTimeoutError("the PeerServer does not answer", fault="network") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NetworkError(f"the PeerServer cannot be reached: {error}", fault="network") from error
        self._tasks.start(self._read(), "reader", on_error=self._on_end)
        self._tasks.start(self._beat(), "heartbeat", on_error=self._on_end)

    async def tell(self, kind: str, peer_id: str, payload: Mapping[str, Any]) -> None:
        """Send a message to a peer by the server.

        Raises:
            NetworkError: the socket is lost at present.
        """
        try:
            if self._socket is None or self._socket.closed:
                raise ConnectionError
            await self._socket.send_str(json.dumps({"type": kind, "dst": peer_id, "payload": dict(payload)}))
        except (ConnectionError, RuntimeError) as error:
            raise NetworkError("the connection to the PeerServer is lost", fault="network") from error

    def spawn(self, coroutine: Any, name: str) -> None:
        """Begin a task that ends with the link."""
        self._tasks.start(coroutine, name)

    def ignored(self, what: str, detail: object) -> None:
        """Count what makes no sense."""
        self.counters[what] += 1
        if self.counters[what] == 1:
            logger.warning("PeerJS: ignored: %s %s", what, str(detail)[:200])
        self._on_nonsense(what, detail)

    def begin_leaving(self) -> None:
        """From now on a loss is none."""
        self._leaving = True

    async def leave(self) -> None:
        """End the tasks, and the WebSocket in peace."""
        await self._tasks.end()
        if self._socket is not None:
            await self._socket.close()

    async def release(self) -> None:
        """Let go of all there is; after `leave`, or when there was no time for it."""
        self._tasks.cancel_others()
        if self._client is not None:
            await self._client.close()

    # -- inside ----------------------------------------------------------------------------------------

    async def _register(self) -> None:
        assert self._client is not None
        base = self.url.replace("http", "ws", 1)
        query = urlencode({"key": self._key, "id": self.id, "token": self._token, "version": "1.5.5"})
        socket = await self._client.ws_connect(
            f"{base}/peerjs?{query}",
            max_msg_size=4 << 20,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIME),
        )
        try:
            async for message in socket:
                said = _object_untrusted(message)
                if said.get("type") == "OPEN":
                    break
                if said.get("type") in _REFUSALS:
                    raise SignalingRefused(f"{said['type']} {said.get('payload')}"[:200], fatal=True)
                self.ignored("frame before OPEN", str(message.data)[:50])
            else:
                raise NetworkError("the PeerServer has closed the connection", fault="network")
        except BaseException:
            await socket.close()
            raise
        self._socket = socket

    async def _read(self) -> None:
        while not self._leaving:
            if self._socket is not None:
                async for frame in self._socket:
                    if frame.type == aiohttp.WSMsgType.TEXT:
                        self.hear_untrusted(frame.data)
            self._socket = None
            if self._leaving:
                return
            self._on_lost()
            self.error = await self._return()
            if self.error is not None:
                self._on_end(self.error)
                return
            self._on_back()

    async def _return(self) -> Exception | None:
        """Register again after a loss; the error if that is in vain."""
        patience = Patience(_PATIENCE)
        while True:
            await patience.pause()
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self._register()
            except SignalingRefused as error:
                return error
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, NetworkError) as error:
                if patience.is_over:
                    return error
            else:
                return None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            if self._socket is not None and not self._socket.closed:
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await self._socket.send_str('{"type": "HEARTBEAT"}')

    def hear_untrusted(self, text: str) -> None:
        """A frame of the server."""
        try:
            message = json.loads(text)
            self._on_message(message["type"], str(message.get("src")), message.get("payload"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.ignored("frame", repr(error))


def _object_untrusted(message: aiohttp.WSMessage) -> dict[str, Any]:
    """The JSON object of a frame; empty when it is none."""
    try:
        said = json.loads(message.data) if message.type == aiohttp.WSMsgType.TEXT else None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
