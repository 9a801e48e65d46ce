"""The WebSocket to a LiveKit server: opened, watched by pings, closed.

Owns: one socket. Never: what its messages mean. The token is sent in a header, so that it is in no log of addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp

from rtcpeer import __version__
from rtcpeer.errors import NetworkError, SignalingRefused
from rtcpeer.signaling.livekit.messages import (
    MESSAGE_MAX,
    PROTOCOL,
    MessageError,
    read_message_untrusted,
    rtc,
)

CLOSE_TIMEOUT = 2.0


class LiveKitLink:
    """A socket to the server; made by `open`.

    Attributes:
        last_heard: when something arrived, in the loop's time.
    """

    def __init__(self, http: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._http = http
        self._ws = ws
        self._pinging: asyncio.Task[None] | None = None
        self.last_heard: float = asyncio.get_running_loop().time()

    @classmethod
    async def open(
        cls, url: str, token: str, *, resume: str | None = None, auto_subscribe: bool = True
    ) -> Self:
        """Connect.

        Args:
            url: of the server.
            token: the access token.
            resume: the sid of the participant whose session shall go on.
            auto_subscribe: whether every track is to be sent to us without asking.

        Raises:
            SignalingRefused: the server does not let us in.
            NetworkError: it cannot be reached, or is no LiveKit server.
        """
        http = aiohttp.ClientSession()
        try:
            ws = await http.ws_connect(
                _rtc_url(url, resume, auto_subscribe),
                headers={"Authorization": f"Bearer {token}"},
                max_msg_size=MESSAGE_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        except aiohttp.WSServerHandshakeError as error:
            await http.close()
            raise SignalingRefused(error.message, status=error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            await http.close()
            raise NetworkError(f"the LiveKit server cannot be reached: {error}") from None
        except BaseException:
            await http.close()
            raise
        return cls(http, ws)

    async def receive(self, ignored: Callable[[str], object]) -> rtc.SignalResponse | None:
        """The next message; None when the socket has ended. What is no message is told and passed over."""
        while True:
            message = await self._ws.receive()
            self.last_heard = asyncio.get_running_loop().time()
            if message.type is aiohttp.WSMsgType.BINARY:
                try:
                    return read_message_untrusted(rtc.SignalResponse, message.data)
                except MessageError:
                    ignored("no message")
            elif message.type is aiohttp.WSMsgType.TEXT:
                ignored("text")
            else:
                return None

    async def send(self, request: rtc.SignalRequest) -> None:
        """Send a request; nothing happens when the socket has ended."""
        with contextlib.suppress(ConnectionError):
            await self._ws.send_bytes(request.SerializeToString())

    def watch(
        self,
        interval: float,
        timeout: float,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        """Ping from now on, and end the socket when nothing has arrived for a while (both in seconds)."""
        self._pinging = spawn(self._ping(max(interval, 1.0), max(timeout, 2.0)), "LiveKit pings")

    async def _ping(self, interval: float, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        while not self._ws.closed:
            await self.send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(time.time() * 1000))))
            await asyncio.sleep(interval)
            if loop.time() - self.last_heard > timeout:
                await self._ws.close()

    async def close(self) -> None:
        """End the socket."""
        if self._pinging is not None:
            self._pinging.cancel()
        try:
            await self._ws.close()
        finally:
            await self._http.close()


def _rtc_url(url: str, resume: str | None, auto_subscribe: bool) -> str:
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    query = {
        "auto_subscribe": "1" if auto_subscribe else "0",
        "sdk": "python",
        "version": __version__,
        "protocol": str(PROTOCOL),
    }
    if resume is not None:
        query |= {"reconnect": "1", "sid": resume}
    path = parts.path.rstrip("/") + "/rtc"
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))
