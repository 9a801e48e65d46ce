"""The page of `rtcpeer serve` for those who use a keyboard or a screen reader, and what it says of what it cannot know.

axe-core, which judges the page, comes from npm (`make npm`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interop import node
from tests.interop.chromium import Chromium, Page
from tests.interop.test_chromium_serve import CONNECTED, dial, serving

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

AXE = """axe.run(document, {resultTypes: ["violations"]}).then(({violations, passes}) => ({checked: passes.length,
  found: violations.filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, nodes}) => [id, ...nodes.map(node => node.html.slice(0, 120) + " " + node.failureSummary)])}))"""


async def judge(page: Page, what: str) -> None:
    for dark in (False, True):
        await page.viewport(1360, 900, dark=dark)
        await page.evaluate("new Promise(r => setTimeout(r, 300))")
        result = await page.evaluate(AXE)
        assert result["checked"] > 15, result
        assert result["found"] == [], (what, "dark" if dark else "light", result["found"])


async def test_axe_has_no_serious_complaint() -> None:
    """Idle, in a call, during an outage and after the end; light and dark."""
    script = node.file_of("axe-core", "axe.min.js").read_text(encoding="utf-8")
    async with serving() as (_, url), Chromium() as browser:
        page = await browser.page(url)
        await page.evaluate(script + "; true")
        await judge(page, "idle")
        await dial(page)
        await page.wait_for("rtcpeer.view.headline.tone === 'good'")
        await judge(page, "in a call")
        await page.click("#outage")
        await page.wait_for("rtcpeer.view.headline.tone === 'bad'")
        await judge(page, "outage")
        await page.wait_for(CONNECTED)
        await page.click("#call")
        await judge(page, "over")
        assert page.errors == []


async def press(page: Page, key: str) -> None:
    text = {"Enter": "\r", "Space": " "}.get(key)
    more: dict[str, Any] = {"text": text} if text else {}
    code = {"Tab": 9, "Enter": 13, "Space": 32}[key]
    name = " " if key == "Space" else key
    for kind in ("keyDown", "keyUp"):
        await page.command(
            "Input.dispatchKeyEvent", type=kind, key=name, code=key, windowsVirtualKeyCode=code,
            **(more if kind == "keyDown" else {}),
        )  # fmt: skip


async def test_a_call_by_keyboard_alone() -> None:
    async with serving() as (site, url), Chromium() as browser:
        page = await browser.page(url)
        await page.command("Page.bringToFront")
        focus = "document.activeElement.id || document.activeElement.className"
        await press(page, "Tab")
        assert await page.evaluate(focus) == "call-big"
        await press(page, "Enter")
        await page.wait_for(CONNECTED)
        assert await page.evaluate(focus) == "call"  # the button that was pressed is gone, the focus is not
        found = [await page.evaluate(focus)]
        for _ in range(7):
            await press(page, "Tab")
            found.append(await page.evaluate(focus))
        assert found == [
            "call",
            "policy",
            "replace",
            "restart-browser",
            "restart-bot",
            "outage",
            "recreate",
            "scroll",
        ]
        await page.evaluate("document.getElementById('call').focus()")
        await press(page, "Space")
        await page.wait_for("rtcpeer.room === null")
        assert page.errors == []
        assert site is not None


# here, there, ages in ms -> tone and words
HEALTH = [
    ({"here": "connected", "there": "connected", "age": 100, "silence": 20, "silenceThere": 30}, ["good", "connected"]),
    ({"here": "connected", "there": "disconnected", "age": 100, "silence": 20, "silenceThere": 30},
     ["bad", "disconnected, waiting for the path (the bot)"]),
    ({"here": "failed", "there": "failed", "age": 100, "silence": 9e3, "silenceThere": 9e3},
     ["bad", "failed: restart ICE or recreate (both sides)"]),
    ({"here": "connected", "there": "connected", "age": 100, "silence": 3e3, "silenceThere": 20},
     ["bad", "nothing arrives from the bot", "3 s"]),
    ({"here": "connected", "there": "connected", "age": 100, "silence": 3e3, "silenceThere": 4e3},
     ["bad", "nothing arrives on either side", "4 s"]),
    ({"here": "connected", "there": "connected", "age": 4e3, "silence": 20, "silenceThere": 30},
     ["busy", "connected; the bot's word is missing", "4 s"]),
    ({"here": "connected", "there": "connecting", "age": 100, "silence": None, "silenceThere": None},
     ["busy", "connecting… (the bot)"]),
    ({"here": "connected", "there": "connected", "age": 100, "silence": None, "silenceThere": None},
     ["busy", "connected; no messages yet"]),
    ({"here": "disconnected", "there": "connected", "age": 6e3, "silence": 6e3, "silenceThere": 30, "away": 6e3},
     ["bad", "neither the server nor the bot answers", "6 s"]),
    ({"here": "connected", "there": "connected", "age": 100, "silence": 20, "silenceThere": 30, "away": 6e3},
     ["good", "connected"]),
]  # fmt: skip

# the browser's state, ms of silence, ms without the room's socket -> whether there is nobody left
OVER = [
    ("connected", 20, 60e3, False),  # the call needs no signaling
    ("disconnected", 4e3, 4e3, False),
    ("disconnected", 11e3, 10.1e3, True),
    ("new", None, 10.1e3, True),
    ("failed", 30e3, 500, True),
    ("failed", 30e3, None, False),  # the server is there: ICE may restart
]

CLOCK = """(async () => {
  const { Clock } = await import("./truth.js");
  const clock = new Clock();
  const before = clock.here(5, 777);
  clock.answer(1000, 61.05, 1100);  // the bot's 61.05 s is our 1.05 s
  clock.answer(2000, 99, 2900);     // a slower answer says less
  return [before, clock.here(61.5, 9000), clock.here(80, 9000)];
})()"""

COUNTS = """(async () => {
  const { counts, isFresh } = await import("./truth.js");
  const seen = {}, pair = (answers) => ({id: "p", responsesReceived: answers});
  return [counts({sent: 10}, {received: 14, next: 15, lost: 1}).sent, counts(null, {received: 0, next: 0}).sent,
    counts({sent: 20}, {received: 14, next: 15}).sent,
    isFresh(seen, pair(1), 0), isFresh(seen, pair(1), 7000), isFresh(seen, pair(1), 9000), isFresh(seen, pair(2), 9100),
    isFresh(seen, undefined, 9200)];
})()"""


async def test_what_may_be_said() -> None:
    async with serving() as (_, url), Chromium() as browser:
        page = await browser.page(url)
        for given, said in HEALTH:
            call = f"import('./truth.js').then(({{ health }}) => health({json.dumps(given)}))"
            assert await page.evaluate(call) == said, given
        for here, silence, away, over in OVER:
            given = {"here": here, "silence": silence, "away": away}
            call = f"import('./truth.js').then(({{ isOver }}) => [isOver({json.dumps(given)})])"
            assert await page.evaluate(call) == [over], given
        assert await page.evaluate(CLOCK) == [777, 1500, 9000]
        assert await page.evaluate(COUNTS) == [15, 0, 20, True, True, False, True, False]
