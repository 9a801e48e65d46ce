"""Janus, started for a test with a configuration of its own, and a small client of its WebSocket API.

Owns: the server's process and its folder; sessions and handles of the client. Never retries a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from tests.interop.remote import missing

MODULES = Path("/usr/lib/x86_64-linux-gnu/janus")
PLUGINS = ("echotest", "videoroom", "textroom", "streaming")

JANUS = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{modules}/plugins"
    transports_folder = "{modules}/transports"
    events_folder = "{modules}/events"
    loggers_folder = "{modules}/loggers"
    log_to_stdout = true
    debug_level = 4
    debug_colors = false
    session_timeout = 0
    admin_secret = "admin"
    reclaim_session_timeout = {reclaim}
}}
nat: {{
    ice_lite = {lite}
    full_trickle = {trickle}
    ipv6 = false
    nice_debug = false
}}
plugins: {{ disable = "{unwanted}" }}
transports: {{ disable = "{silent}" }}
events: {{ broadcast = false }}
"""

WEBSOCKETS = """
general: {{ ws = true, ws_ip = "127.0.0.1", ws_port = {port}, wss = false }}
admin: {{ admin_ws = true, admin_ws_ip = "127.0.0.1", admin_ws_port = {admin}, admin_wss = false }}
"""


def _why_not() -> str | None:
    """Why Janus cannot be run here; None if it can."""
    if not shutil.which("janus") or not MODULES.exists():
        return "Janus is not installed (Debian: apt-get install janus)"
    return None


def require() -> None:
    """Skip where Janus cannot be run; in CI fail, unless this release of the system has no package of it."""
    reason = _why_not()
    if reason is None:
        return
    if has_package("coturn") and not has_package("janus"):
        pytest.skip("NOT TESTED against Janus: this release of Debian has no package of it")
    missing(reason)


def has_package(name: str) -> bool:
    """Whether Debian's package lists have it."""
    if not shutil.which("apt-cache"):
        return False
    policy = subprocess.run(["apt-cache", "policy", name], capture_output=True, text=True, check=True).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


class Janus:
    """``async with Janus(lite=True) as janus, janus.session() as session``.

    Args:
        lite: ICE-lite, as on a server with a public address.
        trickle: it tells its candidates one by one, instead of in its descriptions.
        reclaim: for how many seconds a session outlives its WebSocket.
    """

    def __init__(self, *, lite: bool = False, trickle: bool = False, reclaim: int = 0) -> None:
        self._lite, self._trickle, self._reclaim = lite, trickle, reclaim

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="rtcpeer-janus-")
        folder = Path(self._folder.name)
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port, self._admin_port = probe.getsockname()[1], other.getsockname()[1]
        keep = {f"libjanus_{name}.so" for name in (*PLUGINS, "websockets")}
        unwanted = [
            ",".join(sorted(f.name for f in (MODULES / kind).glob("*.so") if f.name not in keep))
            for kind in ("plugins", "transports")
        ]
        (folder / "janus.jcfg").write_text(
            JANUS.format(
                folder=folder,
                modules=MODULES,
                lite=str(self._lite).lower(),
                trickle=str(self._trickle).lower(),
                reclaim=self._reclaim,
                unwanted=unwanted[0],
                silent=unwanted[1],
            )
        )
        (folder / "janus.transport.websockets.jcfg").write_text(
            WEBSOCKETS.format(port=self.port, admin=self._admin_port)
        )
        for name in PLUGINS:
            (folder / f"janus.plugin.{name}.jcfg").write_text("general: { }\n")
        self._log = folder / "log"
        await self._start()
        return self

    async def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                "janus",
                f"--configs-folder={self._folder.name}",
                stdout=log,
                stderr=log,
                cwd=self._folder.name,
            )
        await self._listens()

    async def restart(self) -> None:
        """Kill it and start it again: it remembers nothing."""
        self._process.kill()
        await self._process.wait()
        await self._start()

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Inside it does nothing at all (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def _listens(self) -> None:
        for _ in range(600):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise RuntimeError(f"Janus does not start:\n{self.log[-3000:]}")

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def handles(self) -> list[int]:
        """The handles of all sessions that Janus has at present, by its admin API."""
        url = f"ws://127.0.0.1:{self._admin_port}/"
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(url, protocols=("janus-admin-protocol",)) as admin,
        ):

            async def ask(verb: str, member: str, **members: Any) -> list[int]:
                await admin.send_json({"janus": verb, "transaction": "t", "admin_secret": "admin", **members})
                answer: list[int] = (await admin.receive_json(timeout=20))[member]
                return answer

            sessions = await ask("list_sessions", "sessions")
            return [h for s in sessions for h in await ask("list_handles", "handles", session_id=s)]

    async def handles_are_gone(self) -> None:
        """Wait until it has none any more."""
        async with asyncio.timeout(20):
            while await self.handles():  # noqa: ASYNC110 (Janus tells nobody)
                await asyncio.sleep(0.1)

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._folder.cleanup()

    def session(self) -> Session:
        return Session(f"ws://127.0.0.1:{self.port}/")


class Session:
    """One WebSocket and the Janus session on it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._later: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.handles: dict[int, Handle] = {}

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        client = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._socket = await self._stack.enter_async_context(
            client.ws_connect(self._url, protocols=("janus-protocol",), max_msg_size=0)
        )
        self._reader = asyncio.create_task(self._read())
        self.id = (await self.request("create"))["data"]["id"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._stack.aclose()

    async def _read(self) -> None:
        async for frame in self._socket:
            message = frame.json()
            kind, transaction = message["janus"], message.get("transaction", "")
            # the event that a request leads to may overtake the request's "ack"
            waiting = self._later if kind == "event" else self._answers
            if transaction in waiting:
                waiting.pop(transaction).set_result(message)
            if (handle := self.handles.get(message.get("sender"))) is not None and kind != "ack":
                handle.hear(message)

    async def request(self, verb: str, *, later: bool = False, **members: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; with `later`, for the event that comes of it."""
        transaction = f"t{next(self._numbers)}"
        loop = asyncio.get_running_loop()
        answer = self._answers[transaction] = loop.create_future()
        event = loop.create_future()
        if later:
            self._later[transaction] = event
        session = {"session_id": self.id} if verb != "create" else {}
        await self._socket.send_json({"janus": verb, "transaction": transaction, **session, **members})
        async with asyncio.timeout(20):
            message = await answer
            if message["janus"] == "error":
                raise AssertionError(f"Janus: {verb}: {message['error']['reason']}")
            return await event if later else message

    async def attach(self, plugin: str) -> Handle:
        """A handle of a plugin: one PeerConnection's worth."""
        answer = await self.request("attach", plugin=f"janus.plugin.{plugin}")
        handle = Handle(self, answer["data"]["id"])
        self.handles[handle.id] = handle
        return handle


class Handle:
    """One handle.

    Attributes:
        events: what came for it, in order: "event", "trickle", "webrtcup", "hangup", "media", ...
    """

    def __init__(self, session: Session, id: int) -> None:
        self.session, self.id = session, id
        self.events: list[dict[str, Any]] = []
        self.on_candidate: Callable[[dict[str, Any]], None] = lambda _: None
        self._changed = asyncio.Event()

    def hear(self, message: dict[str, Any]) -> None:
        self.events.append(message)
        if message["janus"] == "trickle":
            self.on_candidate(message["candidate"])
        self._changed.set()

    async def ask(self, body: dict[str, Any], jsep: dict[str, Any] | None = None) -> dict[str, Any]:
        """A synchronous request to the plugin; gives its data."""
        members = {"jsep": jsep} if jsep else {}
        answer = await self.session.request("message", handle_id=self.id, body=body, **members)
        return _data(answer)

    async def tell(
        self, body: dict[str, Any], jsep: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """An asynchronous request; gives the data and the description of the event that answers it."""
        members = {"jsep": jsep} if jsep else {}
        event = await self.session.request("message", later=True, handle_id=self.id, body=body, **members)
        return _data(event), event.get("jsep")

    async def trickle(self, candidate: dict[str, Any]) -> None:
        await self.session.request("trickle", handle_id=self.id, candidate=candidate)

    async def detach(self) -> None:
        await self.session.request("detach", handle_id=self.id)

    async def wait_for(self, kind: str, *, after: int = 0, timeout: float = 20) -> dict[str, Any]:
        """The first event of a kind, from a place in `events` on."""
        async with asyncio.timeout(timeout):
            while not (found := [e for e in self.events[after:] if e["janus"] == kind]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]


def _data(message: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = message["plugindata"]["data"]
    if "error" in data:
        raise AssertionError(f"Janus: {data['error']}")
    return data
