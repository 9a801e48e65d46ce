"""A small driver for headless Firefox over WebDriver BiDi, on aiohttp's WebSocket client.

Owns one browser process and its profile directory; a `Page` is one tab, of the same shape as Chromium's. Never
retries and never hides what the page complains about: its uncaught exceptions are in `Page.errors`, which the tests
assert to be empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from tests.interop.chromium import PATIENCE, PageError

PREFERENCES: dict[str, bool | int | str] = {
    # a camera and a microphone that are made up, and nobody to ask
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    # host candidates as they are; the test of mDNS switches this back on
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    # a first start without calls home
    "app.update.disabledForTesting": True,
    "app.normandy.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,
    "dom.min_background_timeout_value": 4,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
    "toolkit.startup.max_resumed_crashes": -1,
}


def executable() -> str | None:
    """The browser's path, or None when there is none."""
    named = os.environ.get("FIREFOX")
    names = [named] if named else ["firefox-esr", "firefox"]
    return next((path for path in map(shutil.which, names) if path), None)


def require() -> str:
    """The browser's path; without one the test is skipped with a reason, or fails under CI=true."""
    path = executable()
    if path is None:
        reason = "Firefox is not installed (Debian: apt-get install firefox-esr, or set FIREFOX=)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class Page:
    """One tab.

    Attributes:
        errors: uncaught exceptions and failed promises of the page, as text.
        console: what the page wrote to its console.
    """

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser, self._context = browser, context
        self.errors: list[str] = []
        self.bindings: dict[str, Callable[[str], object]] = {}
        self.console: list[str] = []

    async def goto(self, url: str) -> None:
        """Navigate and wait for the load event."""
        await self._browser.command(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def evaluate(self, expression: str, *, timeout: float = PATIENCE) -> Any:
        """The value of an expression (promises are awaited), with the rights of a user's gesture."""
        async with asyncio.timeout(timeout):
            answer = await self._browser.command(
                "script.evaluate",
                expression=expression,
                target={"context": self._context},
                awaitPromise=True,
                userActivation=True,
            )
        if answer["type"] == "exception":
            raise PageError(answer["exceptionDetails"]["text"])
        return plain(answer["result"])

    async def wait_for(self, expression: str, *, timeout: float = PATIENCE, what: str = "") -> Any:
        """Evaluate until the value is true, and return it."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            value = await self.evaluate(expression)
            if value:
                return value
            if asyncio.get_running_loop().time() > deadline:
                told = f"errors: {self.errors}\nconsole: {self.console[-20:]}"
                raise AssertionError(f"not true within {timeout} s: {what or expression}\n{told}")
            await asyncio.sleep(0.05)

    async def bind(self, name: str, callback: Callable[[str], object]) -> None:
        """Give the page a function of one string that calls back here."""
        self.bindings[name] = callback
        await self._browser.command(
            "script.callFunction",
            functionDeclaration=f"(send) => {{ globalThis[{json.dumps(name)}] = send; }}",
            arguments=[{"type": "channel", "value": {"channel": f"{self._context}/{name}"}}],
            target={"context": self._context},
            awaitPromise=False,
        )

    async def close(self) -> None:
        """Close the tab."""
        await self._browser.command("browsingContext.close", context=self._context)

    def hear(self, method: str, parameters: dict[str, Any]) -> None:
        """Take an event of this tab."""
        if method == "script.message":
            name = parameters["channel"].partition("/")[2]
            try:
                self.bindings[name](plain(parameters["data"]))
            except Exception as error:
                self.errors.append(f"in the function for the page: {error!r}")
        elif parameters["type"] == "javascript" and parameters["level"] == "error":
            self.errors.append(parameters["text"])
        else:
            self.console.append(str(parameters["text"]))


_NUMBERS = {"NaN": math.nan, "-0": -0.0, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(value: dict[str, Any]) -> Any:
    """A BiDi remote value as JSON would have it; what JSON has no word for becomes {}."""
    kind, inner = value["type"], value.get("value")
    if kind in ("undefined", "null"):
        return None
    if kind in ("string", "boolean"):
        return inner
    if kind == "number":
        return _NUMBERS[inner] if isinstance(inner, str) else inner
    if kind == "array":
        return [plain(item) for item in inner or ()]
    if kind == "object":
        return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in inner or ()}
    return {}


class Firefox:
    """A headless Firefox with fake camera and microphone: ``async with Firefox() as browser``.

    Start it and work with it inside of `tests.interop.chromium.turn`; it may wait outside.

    Args:
        preferences: additions to PREFERENCES, or others in their place.
    """

    def __init__(self, preferences: dict[str, bool | int | str] | None = None) -> None:
        self._preferences = {**PREFERENCES, **(preferences or {})}
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._stack:
            await self._start()
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        path = require()
        profile = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="rtcpeer-firefox-", ignore_cleanup_errors=True)
            )
        )
        (profile / "user.js").write_text(
            "".join(
                f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                for name, value in self._preferences.items()
            )
        )
        process = await asyncio.create_subprocess_exec(
            path,
            "--headless",
            "--no-remote",
            "--remote-debugging-port=0",
            "--profile",
            str(profile),
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
            start_new_session=True,
        )
        self._stack.push_async_callback(_stop, process)
        url = await _bidi_url(profile, process)
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._socket = await self._stack.enter_async_context(
            session.ws_connect(url, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=1.0))
        )
        reader = asyncio.create_task(self._read())
        self._stack.push_async_callback(_cancel, reader)
        await self.command("session.new", capabilities={})
        await self.command("session.subscribe", events=["log.entryAdded", "script.message"])

    async def page(self, url: str = "about:blank") -> Page:
        """Open a tab."""
        answer = await self.command("browsingContext.create", type="tab")
        page = self._pages[answer["context"]] = Page(self, answer["context"])
        if url != "about:blank":
            await page.goto(url)
        return page

    async def command(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Send one BiDi command and wait for its answer."""
        number = next(self._ids)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json({"id": number, "method": method, "params": parameters})
            async with asyncio.timeout(60):
                answer = await future
        finally:
            del self._answers[number]
        if answer["type"] == "error":
            raise PageError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            data = json.loads(message.data)
            if data["type"] != "event":
                future = self._answers.get(data.get("id"))
                if future is not None and not future.done():
                    future.set_result(data)
                continue
            page = self._pages.get(data["params"]["source"].get("context", ""))
            if page is not None:
                page.hear(data["method"], data["params"])
        for future in self._answers.values():
            if not future.done():
                future.set_exception(PageError("the browser has gone"))


async def _bidi_url(profile: Path, process: asyncio.subprocess.Process) -> str:
    told = profile / "WebDriverBiDiServer.json"
    for _ in range(600):
        with contextlib.suppress(json.JSONDecodeError, FileNotFoundError):
            server = json.loads(told.read_text())
            return f"ws://{server['ws_host']}:{server['ws_port']}/session"
        if process.returncode is not None:
            raise AssertionError(f"Firefox ended at once with status {process.returncode}")
        await asyncio.sleep(0.05)
    raise AssertionError("Firefox did not open its BiDi port within 30 s")


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
