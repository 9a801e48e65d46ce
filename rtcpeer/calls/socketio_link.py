"""The Socket.IO connection of a service, opened again by its owner when it is lost. Needs ``rtcpeer[socketio]``.

Owns: the client of python-socketio and the HTTP session below it. Never: a decision to come back, what events mean.

The library's own reconnecting is not used: its task cannot be awaited by anybody, and it never gives up. Nor may it
handle SIGINT, which belongs to the program. Each connection has a client of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import socketio

from rtcpeer.errors import NetworkError

_TIMEOUT: Final = 10.0
_CLOSE_TIME: Final = 2.0
# what the library raises for a server that speaks otherwise
_NONSENSE: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
_FAILURES: Final = (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError, *_NONSENSE)


class SocketIoLink:
    """A connection; `on` says who hears what, then `open`."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[..., Any]] = {}
        self._client: Any = None
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._closed = False

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        """Call a coroutine function or function at each such event, "disconnect" included."""
        self._handlers[event] = handler

    @property
    def is_open(self) -> bool:
        """Whether there is a connection at present."""
        return self._client is not None and bool(self._client.connected)

    async def open(self, url: str, query: Mapping[str, Any]) -> None:
        """Connect; a connection that there was is dropped.

        Raises:
            NetworkError: the server cannot be reached, or speaks otherwise; or the link is closed.
        """
        await self._drop()
        if self._closed:
            raise NetworkError("the connection to the server was ended by us", fault="network")
        if self._http is None:
            self._http = aiohttp.ClientSession(ws_response_class=self._make_socket)  # type: ignore[arg-type]
        client = self._client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            http_session=self._http,
            websocket_extra_options={"timeout": aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIME)},
        )
        for event, handler in self._handlers.items():
            client.on(event, handler)
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        try:
            await client.connect(
                f"{base}/?{urlencode(query)}",
                socketio_path=parts.path.strip("/") or "socket.io",
                wait_timeout=_TIMEOUT,
                transports=["websocket"],
            )
        except _FAILURES as error:
            raise NetworkError(
                f"the server at {base} cannot be reached: {error!r}", fault="network"
            ) from error

    def _make_socket(self, *arguments: Any, **options: Any) -> aiohttp.ClientWebSocketResponse:
        self._socket = aiohttp.ClientWebSocketResponse(*arguments, **options)
        return self._socket

    async def call(self, event: str, data: Any) -> Any:
        """Emit an event and wait for its acknowledgement.

        Raises:
            NetworkError: nobody answers, or there is no connection.
        """
        try:
            return await self._open_client().call(event, data, timeout=_TIMEOUT)
        except _FAILURES as error:
            raise NetworkError(f"the server does not answer {event!r}: {error!r}", fault="network") from error

    async def emit(self, event: str, data: Any) -> None:
        """Emit an event.

        Raises:
            NetworkError: there is no connection.
        """
        try:
            await self._open_client().emit(event, data)
        except _FAILURES as error:
            raise NetworkError(f"the connection to the server is lost: {error!r}", fault="network") from error

    def _open_client(self) -> Any:
        if self._client is None:
            raise NetworkError("there is no connection to the server", fault="network")
        return self._client

    async def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        try:
            await self._drop()
        finally:
            if self._http is not None:
                await self._http.close()
                self._http = None

    async def _drop(self) -> None:
        # kept until all is done: a cancelled attempt is made again by whoever closes in the end
        client = self._client
        if client is None:
            return
        with contextlib.suppress(*_FAILURES):  # it is over, whatever the library says of it
            async with asyncio.timeout(_CLOSE_TIME):
                await client.shutdown()
        with contextlib.suppress(*_FAILURES):
            await client.eio.disconnect(abort=True)
        tasks = [t for t in (client.eio.read_loop_task, client.eio.write_loop_task) if t is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._socket is not None:
            # the library leaves it open where a server says what is none of Engine.IO
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(_CLOSE_TIME):
                    await self._socket.close()
        self._client = self._socket = None
