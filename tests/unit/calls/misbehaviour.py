"""What a service may do wrong, the same for all: changes to what a scripted fake says in one step, or how it ends.

A fake of a service is honest. It says everything by `Fake.say(step, ...)`, and in the step that it was told to
misbehave in, what goes out is what the misbehaviour makes of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

Frame = str | bytes
HUGE = 6 << 20  # more than any service says at once
DEEP = "[" * 50_000


class End(Exception):
    """The socket ends here, without a word."""


class Stall(Exception):
    """Nothing is said any more."""


def falsify(value: Any) -> Any:
    """JSON of the same shape whose leaves are of other types."""
    if isinstance(value, dict):
        return {key: falsify(member) for key, member in value.items()}
    if isinstance(value, list):
        return [falsify(member) for member in value]
    return {"str": 7, "int": "seven", "float": [], "bool": "yes", "NoneType": {"x": 1}}[type(value).__name__]


class Fake:
    """The base of the fakes: one WebSocket at a time, one step in which it misbehaves.

    Class attributes:
        steps: what it says, in order.
        later: what it says besides, if it is asked in time.
        scheme, path: of its URL: what stands before the host, and what follows the port.
        unknown: a message that nobody knows.
        options: for `join`.
        recovers: whether a client that is not answered in the first step tries again, and the call goes on meanwhile.
        honest: what becomes of a call with it; a fake has no media, and some services wait for them.
    """

    steps: tuple[str, ...]
    later: tuple[str, ...] = ()
    scheme: str
    path: str
    unknown: Frame
    request: web.Request
    options: Mapping[str, Any] = {}
    recovers = False
    honest = "goes on"

    def __init__(self, step: str = "", wrong: str = "honest") -> None:
        self.step, self.wrong = step, wrong
        self.said: list[str] = []
        self.held: list[Frame] = []
        self.stalled = False
        self.over = asyncio.Event()  # the test has seen enough

    def lie(self, frame: Frame) -> Frame:
        """The frame with other values in it."""
        return json.dumps(falsify(json.loads(frame)))

    async def say(self, socket: web.WebSocketResponse, step: str, *frames: Frame) -> None:
        """Say something, or what is made of it."""
        self.said.append(step)
        if self.stalled:
            return
        if self.held:
            held, self.held = self.held, []
            frames = (*frames, *held)
        for frame in self.change(list(frames)) if step == self.step else frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))

    def change(self, frames: list[Frame]) -> list[Frame]:
        """What goes out instead."""
        match self.wrong:
            case "ends":
                raise End
            case "stalls":
                self.stalled = True
                return []
            case "lies":
                return [self.lie(frame) for frame in frames]
            case "repeats":
                return [*frames, *frames]
            case "reorders":
                self.held = frames  # after what it says next
                return []
            case "unknown":
                return [self.unknown, *frames]
            case "huge":
                return [" " * HUGE, *frames]
            case "nonsense":
                return ["", "{", DEEP, b"\xff\x00\xff", "null", *frames]
            case _:
                return frames

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Serve one socket."""
        raise NotImplementedError

    async def serve_body(
        self,
        request: web.Request,
        step: str,
        body: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer a request, or what is made of the answer."""
        self.said.append(step)
        try:
            frames = self.change([body]) if step == self.step else [body]
        except End:
            if request.transport is not None:
                request.transport.abort()
            frames = []
        if self.stalled:
            await self.over.wait()
        whole = b"".join(frame.encode() if isinstance(frame, str) else frame for frame in frames)
        return web.Response(body=whole, status=status, headers=headers)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """For an aiohttp application."""
        self.request = request
        socket = web.WebSocketResponse(protocols=("janus-protocol",))
        await socket.prepare(request)
        try:
            await self.run(socket)
        except (End, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return socket


WRONGS = ("ends", "stalls", "lies", "repeats", "reorders", "unknown", "huge", "nonsense")
