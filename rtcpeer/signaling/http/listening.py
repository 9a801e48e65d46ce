"""Listening for an aiohttp application, with bounds on connections before there is a request.

Owns: the listening socket, how many connections one address and all together may have, how long a connection may take
to ask for something. Never: a request. Needs aiohttp.

Theory of operation. What a server checks in its handlers begins with a whole request. Whoever only opens connections,
or sends a header a byte at a time, never comes so far, and every connection costs a descriptor. So each accepted
connection is counted by its address and given a time for its first header; then aiohttp gets its bytes without
anything between.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, Final

from aiohttp import http_exceptions, web

from rtcpeer.signaling.http.limits import client_key

logger = logging.getLogger(__name__)

#: A connection asks for something within this time, in seconds, or is cut.
ASK_TIME: Final = 10.0
#: A connection that has asked may be silent for so long before it asks again, in seconds.
KEEP_ALIVE: Final = 30.0
#: For how long the rest of a body that was refused is read, in seconds, so that the client sees the answer.
LINGER: Final = 2.0
_MOST: Final = 20_000
_BACKLOG: Final = 1024
_END_OF_HEADER: Final = b"\r\n\r\n"


def most_connections() -> int:
    """How many connections a process can have at once; a quarter of its descriptors is left for everything else."""
    try:
        import resource
    except ImportError:  # Windows
        return _MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft * 3 // 4)


class Listener:
    """Listens for one application, which starts and ends with it.

    Args:
        application: what answers.
        max_connections: of all addresses; more are cut. By default what the process has descriptors for.
        max_per_address: of one address (of one /64 of IPv6); more are cut. By default half of all. A proxy in front is
            one address.
        ask_time: how long the first request of a connection may take to arrive, in seconds.
        shutdown_timeout: how long requests that are being answered may go on, in seconds.

    Attributes:
        connections: how many there are.
        cut: how many were too many, or asked for nothing.
    """

    def __init__(
        self,
        application: web.Application,
        *,
        max_connections: int | None = None,
        max_per_address: int | None = None,
        ask_time: float | None = None,
        shutdown_timeout: float = 60.0,
    ) -> None:
        self._most = most_connections() if max_connections is None else max_connections
        self._most_per_address = max(1, self._most // 2) if max_per_address is None else max_per_address
        self.ask_time: float = ASK_TIME if ask_time is None else ask_time
        self.connections: int = 0
        self.cut: int = 0
        self._by_address: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_RequestLog(logger),
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
            shutdown_timeout=shutdown_timeout,
        )

    def __repr__(self) -> str:
        return f"<Listener with {self.connections} connections>"

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; gives the address, with the port that was found for port 0.

        Raises:
            OSError: the port is taken, or the host is none of ours.
        """
        await self._runner.setup()
        handlers = self._runner.server
        assert handlers is not None
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(handlers(), self), host, port, backlog=_BACKLOG
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        address = self._server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    def stop(self) -> None:
        """Accept no new connection. Idempotent."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Accept nothing more, and end what there is. Idempotent."""
        self.stop()
        server, self._server = self._server, None
        await self._runner.cleanup()
        if server is not None:
            await server.wait_closed()

    def admit(self, key: str) -> bool:
        """Count a connection, unless there are too many."""
        if self.connections >= self._most or self._by_address[key] >= self._most_per_address:
            self.cut += 1
            return False
        self.connections += 1
        self._by_address[key] += 1
        return True

    def leave(self, key: str) -> None:
        """A connection is gone."""
        self.connections -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]


class _RequestLog(logging.LoggerAdapter[logging.Logger]):
    """A log for aiohttp, in which what a client has done wrong is no error of ours and not worth a traceback."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **options: Any) -> None:
        """Log what a request has raised."""
        if isinstance(exc_info, (http_exceptions.HttpProcessingError, web.RequestPayloadError)):
            self.debug("a request is malformed: %.200r", str(exc_info))
        else:
            super().exception(msg, *args, exc_info=exc_info, **options)


class _Connection(asyncio.Protocol):
    """One connection, until its first header is there: from then on its bytes go to aiohttp's protocol directly."""

    def __init__(self, inner: asyncio.Protocol, listener: Listener) -> None:
        self._inner = inner
        self._listener = listener
        self._key: str | None = None
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        key = client_key(str(peer[0]) if peer else "")
        if not self._listener.admit(key):
            self._transport.abort()
            return
        self._key = key
        self._timer = asyncio.get_running_loop().call_later(self._listener.ask_time, self._too_late)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._key is None:
            return
        tail = self._tail + data
        self._tail = tail[1 - len(_END_OF_HEADER) :]
        if _END_OF_HEADER in tail:
            self._stop_timer()
            self.data_received = self._inner.data_received  # type: ignore[method-assign]
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._key is not None:
            self._listener.leave(self._key)
            self._inner.connection_lost(exc)

    def _too_late(self) -> None:
        self._listener.cut += 1
        self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
