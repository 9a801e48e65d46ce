"""A WebRTC stack of other people in a process of its own, driven by JSON lines over its standard input and output.

We say ``{"id": 1, "do": "offer", ...}`` and are answered ``{"id": 1, "result": ...}`` or ``{"id": 1, "error": text}``;
in between it tells events: ``{"event": "candidate" | "state" | "open" | "message" | "closed" | "track", ...}``. Of a
message only size and digest are told, and the text when it is short; a channel whose name begins with "echo" gives back
what comes. `Call` is one of our connections and such a peer, with the signaling between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import pytest

from rtcpeer import RTCPeerConnection, RTCSessionDescription
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.testing import OutageNetwork
from tests.interop.chromium import PATIENCE


def missing(reason: str) -> None:
    """Skip with a reason; under CI=true a missing program is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def digest(data: bytes | str) -> str:
    """As the peers tell it."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


class RemotePeer:
    """The other program.

    Attributes:
        events: everything it told, in order.
    """

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._env = {**os.environ, **(env or {})}
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self.events: list[dict[str, Any]] = []
        self.on_candidate: Callable[[dict[str, Any] | None], None] = lambda _: None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._env,
            limit=1 << 24,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader

    def kill(self) -> None:
        """At once, without a word to anybody."""
        self._process.kill()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            message = json.loads(text)
            if "event" in message:
                self.events.append(message)
                if message["event"] == "candidate":
                    self.on_candidate(message["candidate"])
            elif (answer := self._answers.pop(message["id"], None)) is None:
                pass  # who asked has given up
            elif message.get("error") is not None:
                answer.set_exception(AssertionError(message["error"]))
            else:
                answer.set_result(message["result"])
            self._changed.set()
        for answer in list(self._answers.values()):
            answer.set_exception(AssertionError("the other program has ended"))

    async def do(self, verb: str, **members: Any) -> Any:
        """Have something done, and wait until it is."""
        assert self._process.stdin is not None
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        request = {"id": number, "do": verb, **members}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        finally:
            self._answers.pop(number, None)

    def told(self, event: str, **members: Any) -> list[dict[str, Any]]:
        """The events of a name so far, those with these members."""
        wanted = {"event": event, **members}
        return [e for e in self.events if all(e.get(k) == v for k, v in wanted.items())]

    async def wait_for(
        self, event: str, count: int = 1, timeout: float = PATIENCE, **members: Any
    ) -> dict[str, Any]:
        """Wait until so many of these were told; gives the last."""
        async with asyncio.timeout(timeout):
            while len(found := self.told(event, **members)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[-1]

    @property
    def states(self) -> list[str]:
        """The connection states that it told."""
        return [e["state"] for e in self.told("state")]


class Call:
    """`pc` of ours and the `peer`; candidates trickle both ways once both have a description."""

    def __init__(self, pc: RTCPeerConnection, peer: RemotePeer, network: OutageNetwork) -> None:
        self.pc, self.peer, self.network = pc, peer, network
        self.eyes = MediaObserver()
        self.states: list[str] = []
        self.errors: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ours: (
            list[Any] | None
        ) = []  # held back until the other side has our description; None: not held
        self._theirs: list[Any] | None = []
        pc.addEventListener("track", lambda event: self.eyes.watch(event.track))
        pc.addEventListener("connectionstatechange", lambda _: self.states.append(str(pc.connectionState)))
        pc.addEventListener("icecandidate", lambda event: self._hand(event.candidate, ours=True))
        peer.on_candidate = lambda candidate: self._hand(candidate, ours=False)

    def _hand(self, candidate: Any, *, ours: bool) -> None:
        held = self._ours if ours else self._theirs
        if held is not None:
            held.append(candidate)
            return
        task = asyncio.create_task(self._deliver(candidate, ours=ours))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, candidate: Any, *, ours: bool) -> None:
        try:
            if ours:
                await self.peer.do("candidate", candidate=candidate.toJSON() if candidate else None)
            else:
                await self.pc.addIceCandidate(candidate)
        except Exception as error:
            if self.pc.signalingState != "closed":  # a candidate may come late
                self.errors.append(error)

    def _flow(self, *, ours: bool) -> None:
        held = self._ours if ours else self._theirs
        if ours:
            self._ours = None
        else:
            self._theirs = None
        for candidate in held or ():
            self._hand(candidate, ours=ours)

    async def offer(self, *, restart: bool = False, trickle: bool = True) -> tuple[str, str]:
        """We offer, the peer answers; gives both descriptions."""
        self._ours, self._theirs = [], []
        await self.pc.setLocalDescription(await self.pc.createOffer(iceRestart=restart))
        if not trickle:
            await self.pc.gathered(PATIENCE)
        offer = self.pc.localDescription
        await self.peer.do("remote", description={"type": "offer", "sdp": offer.sdp})
        if trickle:
            self._flow(ours=True)
        answer = await self.peer.do("answer")
        if not trickle:
            answer = await self.peer.do("gathered")
        await self.pc.setRemoteDescription(answer)
        if trickle:
            self._flow(ours=False)
        return offer.sdp, answer["sdp"]

    async def be_offered(self, *, restart: bool = False, trickle: bool = True) -> tuple[str, str]:
        """The peer offers, we answer; gives both descriptions."""
        self._ours, self._theirs = [], []
        offer = await self.peer.do("offer", restart=restart)
        if not trickle:
            offer = await self.peer.do("gathered")
        await self.pc.setRemoteDescription(RTCSessionDescription(**offer))
        if trickle:
            self._flow(ours=False)
        await self.pc.setLocalDescription()
        if not trickle:
            await self.pc.gathered(PATIENCE)
        answer = self.pc.localDescription
        await self.peer.do("remote", description={"type": "answer", "sdp": answer.sdp})
        if trickle:
            self._flow(ours=True)
        return offer["sdp"], answer.sdp

    async def negotiate(self, by: str, **how: bool) -> tuple[str, str]:
        """`offer` when it is by "us", else `be_offered`."""
        return await (self.offer if by == "us" else self.be_offered)(**how)

    async def up(self) -> None:
        """Both say that they are connected."""
        await self.pc.connected(timeout=PATIENCE)
        await self.peer.wait_for("state", state="connected")


@contextlib.asynccontextmanager
async def calling(
    *command: str,
    env: Mapping[str, str] | None = None,
    configuration: Mapping[str, Any] | None = None,
    ours: Mapping[str, Any] | None = None,
    **begin: Any,
) -> AsyncIterator[Call]:
    """A connection of ours, configured with `ours`, and a peer: with `configuration`, and whatever `begin` says."""
    network = OutageNetwork()
    async with RemotePeer(*command, env=env) as peer:
        await peer.do("begin", configuration=dict(configuration or {}), **begin)
        with network.installed():
            pc = RTCPeerConnection(dict(ours or {}))
        async with pc:
            call = Call(pc, peer, network)
            yield call
            await call.eyes.close()
    if call.errors:
        raise call.errors[0]
