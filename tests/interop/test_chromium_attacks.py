"""Attacks that need a browser: a page of another site, and one whose name was bound to our address (DNS rebinding)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.signaling import RoomServer, WhipServer
from tests.interop.chromium import Chromium, Page, blank_site

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

# each gives "open" or an HTTP status, or "blocked" where the browser shows nothing of the answer
WEBSOCKET = """new Promise(resolve => {
  const socket = new WebSocket(URL_HERE);
  socket.onopen = () => { socket.send('{"type":"enter","room":"lobby"}'); };
  socket.onmessage = ({data}) => resolve("open: " + data);
  socket.onclose = () => resolve("blocked");
})"""
REQUESTS = """(async () => {
  const said = [];
  for (const options of [
    {method: "POST", body: OFFER, headers: {"Content-Type": "application/sdp"}},  // asks first (preflight)
    {method: "POST", body: OFFER, headers: {"Content-Type": "text/plain"}},       // does not
    {method: "POST", body: OFFER, mode: "no-cors"},
    {method: "GET"},
  ]) said.push(await fetch(URL_HERE, options).then(answer => answer.status, () => "blocked"));
  const form = document.createElement("form");
  form.method = "post", form.action = URL_HERE, form.enctype = "text/plain", form.target = "sink";
  const sink = Object.assign(document.createElement("iframe"), {name: "sink"});
  document.body.append(sink, form);
  const loaded = new Promise(resolve => { sink.onload = resolve; });
  form.submit();
  await loaded;
  return said;
})()"""


@contextlib.asynccontextmanager
async def victims() -> AsyncIterator[tuple[RoomServer, WhipServer, list[Any]]]:
    """Servers on loopback, as a developer or a tool of ours runs them: no authorization, since nobody else can come."""
    asked: list[Any] = []
    async with RoomServer() as rooms, WhipServer(asked.append) as whip:
        yield rooms, whip, asked
        assert asked == []
        assert whip.sessions == ()
        assert rooms.sockets == 0
        assert rooms.statistics.frames_received == 0
        assert rooms.statistics.refusals["site"] >= 1


OFFER_OF_PAGE = """(async () => {
  const pc = new RTCPeerConnection(); pc.createDataChannel("x");
  await pc.setLocalDescription(); return pc.localDescription.sdp; })()"""


async def attack(page: Page, rooms: str, whip: str) -> tuple[str, list[Any]]:
    offer = json.dumps(await page.evaluate(OFFER_OF_PAGE))
    entered = await page.evaluate(WEBSOCKET.replace("URL_HERE", json.dumps(rooms)))
    said = await page.evaluate(REQUESTS.replace("URL_HERE", json.dumps(whip)).replace("OFFER", offer))
    return entered, said


async def test_a_page_of_another_site() -> None:
    async with victims() as (rooms, whip, _), blank_site() as site, Chromium() as browser:
        page = await browser.page(site)
        entered, said = await attack(page, rooms.url, f"{whip.url}/cam")
        assert entered == "blocked"
        # 0: an answer that the page may not look into
        assert said == ["blocked", "blocked", 0, "blocked"]


async def test_a_name_that_was_bound_to_our_address() -> None:
    """The page and the victim have one origin for the browser: only the Host says that the name is none of ours."""
    async with (
        victims() as (rooms, whip, _),
        Chromium("--host-resolver-rules=MAP rebound.example 127.0.0.1") as browser,
    ):
        said = []
        for server in (rooms, whip):
            address = f"rebound.example:{server._port}"
            page = await browser.page(f"http://{address}/nothing")  # what its own server gave before
            path = json.dumps(f"http://{address}{server.url.partition(str(server._port))[2]}")
            if server is rooms:
                assert (
                    await page.evaluate(WEBSOCKET.replace("URL_HERE", path.replace("http", "ws")))
                    == "blocked"
                )
            said.append(
                await page.evaluate(f"fetch({path}, {{method: 'POST'}}).then(answer => answer.status)")
            )
            said.append(await page.evaluate(f"fetch({path}).then(answer => answer.status)"))
            await page.close()
        assert said == [405, 403, 403, 403]
