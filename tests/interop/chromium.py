"""A small driver for headless Chromium over the DevTools protocol, on aiohttp's WebSocket client.

Owns one browser process and its profile directory; a `Page` is one tab. Never retries and never hides what
the page complains about: its uncaught exceptions are in `Page.errors`, which the tests assert to be empty.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",  # root, as in CI containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--remote-debugging-port=0",
)

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"

# How long to wait for what must come: a machine that is busy elsewhere fails no test, it only takes longer.
PATIENCE = 60.0

# Two browsers at once on a small machine measure the machine: test processes take turns.
_TURN = Path(tempfile.gettempdir()) / f"rtcpeer-browser-{os.getuid()}.lock"


def executable() -> str | None:
    """The browser's path, or None when there is none."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


def require() -> str:
    """The browser's path; without one the test is skipped with a reason, or fails under CI=true."""
    path = executable()
    if path is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium, or set CHROMIUM=)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextlib.asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """While it lasts, no other test process works with a browser."""
    with _TURN.open("w") as lock:
        # in the system's queue, which is first come, first served: looking again and again could take for ever
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


# The mouse's events arrive when the page has time for them (and a tab in the background never has a frame).
HIT = """new Promise(resolve => { let looks = 0; const timer = setInterval(() => {
  if (wasHit || ++looks > 100) { clearInterval(timer); resolve(wasHit); } }, 20); })"""


class PageError(AssertionError):
    """An expression evaluated in the page threw."""


class Page:
    """One tab.

    Attributes:
        errors: uncaught exceptions and failed promises of the page, as text.
        console: what the page wrote to its console.
    """

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self.errors: list[str] = []
        self.bindings: dict[str, Callable[[str], object]] = {}
        self.console: list[str] = []

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one DevTools command to this tab."""
        return await self._browser.command(method, self._session, **parameters)

    async def goto(self, url: str) -> None:
        """Navigate and wait for the load event."""
        loaded = self._browser.expect(self._session, "Page.loadEventFired")
        answer = await self.command("Page.navigate", url=url)
        if "errorText" in answer:
            raise PageError(f"{url}: {answer['errorText']}")
        await asyncio.wait_for(loaded, PATIENCE)

    async def evaluate(self, expression: str, *, timeout: float = PATIENCE) -> Any:
        """The value of an expression (promises are awaited), with the rights of a user's gesture."""
        async with asyncio.timeout(timeout):
            answer = await self.command(
                "Runtime.evaluate",
                expression=expression,
                awaitPromise=True,
                returnByValue=True,
                userGesture=True,
            )
        if "exceptionDetails" in answer:
            raise PageError(describe_exception(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def click(self, selector: str) -> None:
        """Click an element in the middle, with a real mouse event; again if it moved away meanwhile, as people do."""
        name = json.dumps(selector)
        for _ in range(20):
            box = await self.evaluate(
                f"""(() => {{ const e = document.querySelector({name});
                    if (!e) throw new Error("no element " + {name});
                    if (e.disabled) throw new Error("disabled: " + {name});
                    e.scrollIntoView({{block: "center", behavior: "instant"}});
                    globalThis.wasHit = false;
                    e.addEventListener("click", () => {{ wasHit = true; }}, {{once: true, capture: true}});
                    const b = e.getBoundingClientRect();
                    return [b.x + b.width / 2, b.y + b.height / 2]; }})()"""
            )
            for kind in ("mousePressed", "mouseReleased"):
                await self.command(
                    "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
                )
            if await self.evaluate(HIT):
                return
        raise AssertionError(f"the mouse does not reach {selector}")

    async def wait_for(self, expression: str, *, timeout: float = PATIENCE, what: str = "") -> Any:
        """Evaluate until the value is true, and return it.

        An object is no answer: whatever it is, it arrives here as an empty one.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            value = await self.evaluate(expression)
            if value:
                return value
            if value == {}:
                raise PageError(f"neither true nor false: {expression}")
            if asyncio.get_running_loop().time() > deadline:
                told = f"errors: {self.errors}\nconsole: {self.console[-20:]}"
                raise AssertionError(f"not true within {timeout} s: {what or expression}\n{told}")
            await asyncio.sleep(0.05)

    async def viewport(self, width: int, height: int, *, scale: float = 1, dark: bool = False) -> None:
        """Set the window's size and the preferred colour scheme."""
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        await self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    async def screenshot(self, name: str, *, full: bool = False) -> Path:
        """Store a picture of the page under artifacts/ and return its path."""
        answer = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / name
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    async def bind(self, name: str, callback: Callable[[str], object]) -> None:
        """Give the page a function of one string that calls back here."""
        self.bindings[name] = callback
        await self.command("Runtime.addBinding", name=name)

    async def close(self) -> None:
        """Close the tab."""
        await self._browser.command("Target.closeTarget", targetId=self._target)


def describe_exception(details: dict[str, Any]) -> str:
    """The text of a DevTools exceptionDetails."""
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details.get("text"))


class Chromium:
    """A headless Chromium with fake camera and microphone: ``async with Chromium() as browser``."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._expected: dict[tuple[str, str], asyncio.Future[None]] = {}
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
        await self._stack.enter_async_context(turn())
        profile = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="rtcpeer-chromium-", ignore_cleanup_errors=True)
        )
        process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            *self._flags,
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.push_async_callback(_stop, process)
        url = await _devtools_url(Path(profile), process)
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._socket = await self._stack.enter_async_context(
            session.ws_connect(url, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=1.0))
        )
        reader = asyncio.create_task(self._read())
        self._stack.push_async_callback(_cancel, reader)

    async def page(self, url: str = "about:blank") -> Page:
        """Open a tab."""
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        answer = await self.command("Target.attachToTarget", targetId=target, flatten=True)
        page = self._pages[answer["sessionId"]] = Page(self, answer["sessionId"], target)
        await page.command("Page.enable")
        await page.command("Runtime.enable")
        if url != "about:blank":
            await page.goto(url)
        return page

    async def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one DevTools command and wait for its answer."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json(message)
            async with asyncio.timeout(2 * PATIENCE):
                answer = await future
        finally:
            del self._answers[number]
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def expect(self, session: str, event: str) -> asyncio.Future[None]:
        """A future that is done at the next such event of a tab."""
        return self._expected.setdefault((session, event), asyncio.get_running_loop().create_future())

    async def _read(self) -> None:
        async for message in self._socket:
            data = json.loads(message.data)
            if "id" in data:
                future = self._answers.get(data["id"])
                if future is not None and not future.done():
                    future.set_result(data)
                continue
            expected = self._expected.pop((data.get("sessionId", ""), data["method"]), None)
            if expected is not None and not expected.done():
                expected.set_result(None)
            page = self._pages.get(data.get("sessionId", ""))
            if page is None:
                continue
            if data["method"] == "Runtime.exceptionThrown":
                page.errors.append(describe_exception(data["params"]["exceptionDetails"]))
            elif data["method"] == "Runtime.bindingCalled":
                try:
                    page.bindings[data["params"]["name"]](data["params"]["payload"])
                except Exception as error:
                    page.errors.append(f"in the function for the page: {error!r}")
            elif data["method"] == "Runtime.consoleAPICalled":
                arguments = data["params"]["args"]
                page.console.append(" ".join(str(a.get("value", a.get("description"))) for a in arguments))
        for future in self._answers.values():
            if not future.done():
                future.set_exception(PageError("the browser has gone"))


async def _devtools_url(profile: Path, process: asyncio.subprocess.Process) -> str:
    port_file = profile / "DevToolsActivePort"
    for _ in range(1200):
        lines = port_file.read_text().splitlines() if port_file.exists() else []
        if len(lines) >= 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.returncode is not None:
            raise AssertionError(f"Chromium ended at once with status {process.returncode}")
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not open its DevTools port within a minute")


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


async def until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Look twenty times a second until something in this process is true."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  (what changes has no event to wait for)
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def blank_site() -> AsyncIterator[str]:
    """A localhost site with one empty page: a secure context for getUserMedia."""
    from aiohttp import web

    async def index(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>blank</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", index)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
