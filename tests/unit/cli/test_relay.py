"""`rtcpeer relay`: our own publishers and players through it, its page, its lines, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer import RTCPeerConnection, SignalingRefused, SupervisedPeer
from rtcpeer.cli.main import build_parser, main
from rtcpeer.cli.relay import table
from rtcpeer.cli.relay.relay import RelaySite
from rtcpeer.cli.relay.table import RelayTable
from rtcpeer.cli.report import Reporter
from rtcpeer.signaling import WhepClient, WhipClient
from rtcpeer.testing import synthetic_track
from tests.unit.cli.schema import check

pytestmark = pytest.mark.timeout(60)


class Relaying:
    def __init__(self, **options: Any) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.site = RelaySite(self.note, **options)
        self.url = ""

    def note(self, event: str, **details: Any) -> None:
        check("relay", {"event": event, "time": 0.0, **details})
        self.events.append((event, details))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


@contextlib.asynccontextmanager
async def relaying(*middlewares: Any, **options: Any) -> AsyncIterator[Relaying]:
    made = Relaying(**options)
    made.site.app.middlewares.extend(middlewares)
    runner = web.AppRunner(made.site.app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def publishing(url: str, token: str | None = None) -> AsyncIterator[SupervisedPeer]:
    track = synthetic_track("video", {"width": 160, "height": 120, "frameRate": 15})
    async with SupervisedPeer(WhipClient(url, token=token)) as peer:
        peer.addTrack(track)
        await peer.connected(20)
        yield peer
    track.stop()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_player_that_comes_first_gets_what_is_published_later() -> None:
    async with relaying() as relay:
        errors: list[SignalingRefused] = []
        tracks: list[Any] = []
        async with SupervisedPeer(WhepClient(f"{relay.url}/whep/cam")) as player:
            player.onsignalingerror = lambda event: errors.append(event.error)
            player.ontrack = lambda event: tracks.append(event.track)
            player.addTransceiver("video", {"direction": "recvonly"})
            player.addTransceiver("audio", {"direction": "recvonly"})
            await until(lambda: errors)
            assert (errors[0].status, errors[0].retry_after) == (409, 2.0)
            async with publishing(f"{relay.url}/whip/cam"):
                await player.connected(20)
                async with asyncio.timeout(20):
                    frame = await next(track for track in tracks if track.kind == "video").recv()
                assert (frame.width, frame.height) == (160, 120)
                assert relay.site.broadcasts.names() == [{"name": "cam", "kinds": ["video"], "viewers": 1}]
                with pytest.raises(AssertionError, match="somebody publishes 'cam' already"):
                    await refused(f"{relay.url}/whip/cam")
            await until(lambda: "unpublished" in relay.names())
            await until(lambda: not relay.site.whep.sessions)
        assert relay.names() == ["published", "playing", "unpublished", "stopped"]
        assert relay.events[0][1] == {"name": "cam", "kinds": ["video"], "remote": "127.0.0.1"}


async def refused(url: str) -> None:
    async with RTCPeerConnection() as pc, aiohttp.ClientSession() as http:
        pc.addTransceiver("audio", direction="sendonly")
        await pc.setLocalDescription()
        sdp = {"Content-Type": "application/sdp"}
        async with http.post(url, data=pc.localDescription.sdp, headers=sdp) as answer:
            assert answer.status == 201, await answer.text()


async def test_publishers_show_their_token() -> None:
    async with relaying(token="secret") as relay:
        with pytest.raises(AssertionError, match="Unauthorized"):
            await refused(f"{relay.url}/whip/cam")
        async with publishing(f"{relay.url}/whip/cam", token="secret"):
            assert relay.names() == ["published"]


async def test_what_cannot_be_had() -> None:
    async with relaying() as relay:
        for name in ("", "/%1b%5B31m", "/" + "x" * 101):
            with pytest.raises(AssertionError, match="a readable name"):
                await refused(f"{relay.url}/whip{name}")
        async with publishing(f"{relay.url}/whip/cam"):
            with pytest.raises(AssertionError, match="nothing of the kinds"):
                await refused(f"{relay.url}/whep/cam")
        assert "playing" not in relay.names()


async def test_the_page_is_for_its_own_host() -> None:
    async with relaying() as relay, aiohttp.ClientSession() as http:
        found = dict.fromkeys(("/", "/watch.js", "/broadcasts"), 200)
        for path, status in (found | {"/relay.py": 404, "/%2e%2e%2frelay.py": 404}).items():
            async with http.get(relay.url + path) as answer:
                assert answer.status == status, path
                if status == 200:
                    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            async with http.get(relay.url + "/broadcasts", headers=headers) as answer:
                assert answer.status == 403


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(as_json=False)("published", name="cam", kinds=["audio", "video"], remote=None)
    assert capsys.readouterr().out.rstrip().endswith("published cam (kinds audio video)")
    Reporter(as_json=False)("refused", error="\x1b[31mred\r\n")
    assert capsys.readouterr().out.rstrip().endswith("refused (error ?[31mred??)")
    Reporter(as_json=True)("published", name="cam")
    said = json.loads(capsys.readouterr().out)
    assert said.pop("time") > 1e9
    assert said == {"event": "published", "name": "cam"}


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    options = build_parser().parse_args(["relay", "--listen", "[::1]:9000", "--json", "--origin", "*"])
    assert (options.listen, options.json, options.origin) == (("::1", 9000), True, ["*"])
    assert build_parser().parse_args(["relay"]).listen == ("127.0.0.1", 8080)
    for wrong in ("9000", ":9000", "::1:9000", "host:", "host:x", "a:99999"):
        with pytest.raises(SystemExit):
            build_parser().parse_args(["relay", "--listen", wrong])
        assert "is not HOST:PORT" in (said := capsys.readouterr().err) or "is no port" in said
    assert main(["relay", "--listen", "no such host:0"]) == 2


async def test_it_ends_with_ctrl_c_and_status_0() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rtcpeer", "relay", "--listen", "127.0.0.1:0", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    listening = json.loads(await process.stdout.readline())
    assert listening["event"] == "listening"
    check("relay", listening)
    assert listening["publish"].endswith("/whip/NAME")
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    closing = json.loads(out)
    assert closing["event"] == "closing"
    check("relay", closing)


class Terminal:
    """A terminal that remembers what stands on it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        size = len(text)
        while text.startswith("\x1b["):
            count, _, text = text[2:].partition("F\x1b[J")
            del self.lines[len(self.lines) - int(count) :]
        self.lines += [line for line in text.split("\n") if line]
        return size

    def flush(self) -> None:
        pass


async def test_a_live_table_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(table, "INTERVAL", 0.2)
    async with relaying() as relay:
        shown = RelayTable(Reporter(as_json=False), as_json=False)
        shown.start(relay.site.broadcasts)
        watching = SupervisedPeer(WhepClient(f"{relay.url}/whep/cam"))
        async with publishing(f"{relay.url}/whip/cam"), watching as player:
            player.addTransceiver("video", {"direction": "recvonly"})
            await player.connected(20)
            await until(lambda: shown._status.get("packets", 0) > 10)
            await until(lambda: shown._status["streams"][0]["bitrate"] > 1000)
            shown("playing", name="cam")
            status = shown.update()
            (row,) = status["streams"]
            assert (row["name"], row["kinds"], row["subscribers"]) == ("cam", ["video"], 1)
            assert row["lost"] == 0
            assert row["bytes"] > 1000
            assert 0 < status["cpu"] < 400
            check("relay", {"event": "status", "time": 0.0, **status})
        await until(lambda: not shown._status["streams"])
        await until(lambda: not any(line.startswith("cam ") for line in terminal.lines))
        await shown.close()
    head = [index for index, line in enumerate(terminal.lines) if line.startswith("stream ")]
    # one table, however often it was drawn, and the line above it
    assert len(head) == 1
    assert terminal.lines[head[0] - 1].endswith("playing cam")
    assert terminal.lines[-1].endswith("% of a processor")


async def test_programs_are_told_the_same_as_events(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "INTERVAL", 0.02)
    async with relaying() as relay:
        shown = RelayTable(Reporter(as_json=True), as_json=True)
        shown.start(relay.site.broadcasts)
        await asyncio.sleep(0.1)
        await shown.close()
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert {
        "event": "status",
        "streams": [],
        "subscribers": 0,
        "packets": 0,
        "lost": 0,
    }.items() <= told.items()
    check("relay", told)
