"""Requests to a LiveKit server that wait for its answer.

Owns: who waits for what. Never: the way that a request takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from rtcpeer.errors import NetworkError, RTCTimeoutError

# How long the server may take to answer a request, in seconds.
ANSWER_TIMEOUT = 10.0


class Requests:
    """The requests of one participant that are not answered yet, each under a key of its own."""

    def __init__(self) -> None:
        self._waiting: dict[str | int, asyncio.Future[Any]] = {}

    async def ask(self, key: str | int, sending: Awaitable[None], what: str) -> Any:
        """Send a request, and give the server's answer.

        Args:
            key: of the request, which its answer names.
            sending: sends it.
            what: it is about, for messages.

        Raises:
            SignalingRefused: the server says no.
            RTCTimeoutError: there is no answer.
            NetworkError: the session has ended meanwhile.
        """
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await sending
            return await _in_time(future, what)
        finally:
            del self._waiting[key]

    def answer(self, key: str | int, result: Any) -> None:
        """The server has done it; an answer that nobody waits for is ignored."""
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(result)

    def refuse(self, key: str | int, error: Exception) -> None:
        """The server says no."""
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_exception(error)

    def abandon(self) -> None:
        """The session has ended: nothing is answered any more."""
        for future in self._waiting.values():
            future.cancel()


async def _in_time(future: asyncio.Future[Any], what: str) -> Any:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await asyncio.shield(future)
    except TimeoutError:
        raise RTCTimeoutError(f"{what}: no answer in {ANSWER_TIMEOUT:g} s", fault="network") from None
    except asyncio.CancelledError:
        if future.cancelled():
            raise NetworkError(f"{what}: the session has ended meanwhile") from None
        raise
