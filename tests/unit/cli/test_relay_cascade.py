"""A cascade of relays: who watches at one relay what is published at another one gets it, pulled once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
import pytest

from rtcpeer import NetworkError, RTCPeerConnection, SignalingRefused, SupervisedPeer
from rtcpeer.cli.main import build_parser
from rtcpeer.cli.relay.broadcast import Broadcasts
from rtcpeer.cli.relay.upstream import Pull, Upstream
from rtcpeer.signaling import WhepClient
from tests.unit.cli.test_relay import publishing, relaying, until

pytestmark = pytest.mark.timeout(120)


class Process:
    """`rtcpeer relay` as a process of its own: its events by name."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rtcpeer", "relay", "--listen", "127.0.0.1:0", "--json"),
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())
        await until(lambda: self.events)
        self.url = self.events[0]["page"].rstrip("/")
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] != "status":  # numbers that come by the clock
                self.events.append(event)

    def names(self) -> list[str]:
        return [event["event"] for event in self.events[1:]]

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert await self._process.wait() == 0
        await self._reader


@contextlib.asynccontextmanager
async def watching(url: str) -> AsyncIterator[Any]:
    """A player; gives its picture once it has a frame."""
    tracks: list[Any] = []
    async with SupervisedPeer(WhepClient(url)) as player:
        player.ontrack = lambda event: tracks.append(event.track)
        for kind in ("audio", "video"):
            player.addTransceiver(kind, {"direction": "recvonly"})
        await player.connected(30)
        picture = next(track for track in tracks if track.kind == "video")
        async with asyncio.timeout(30):
            frame = await picture.recv()
        assert (frame.width, frame.height) == (160, 120)
        yield picture


async def test_two_processes() -> None:
    """However many watch at the second relay, the first one sends it once, and only as long as somebody watches."""
    async with Process() as origin, Process("--upstream", f"{origin.url}/whep") as edge:
        async with publishing(f"{origin.url}/whip/cam"):
            async with watching(f"{edge.url}/whep/cam"):
                async with watching(f"{edge.url}/whep/cam"):
                    assert edge.names() == ["pulled", "playing", "playing"]
                    assert origin.names() == ["published", "playing"]
                    pulled = edge.events[1]
                    assert (pulled["name"], pulled["kinds"]) == ("cam", ["video"])
                    assert pulled["upstream"] == f"{origin.url}/whep/cam"
                await until(lambda: edge.names()[-1] == "stopped")
                assert "stopped" not in origin.names()
            await until(lambda: origin.names()[-1] == "stopped")
            assert edge.names()[-2:] == ["stopped", "released"] or edge.names()[-2:] == [
                "released",
                "stopped",
            ]
            async with watching(f"{edge.url}/whep/cam"):  # and again
                assert origin.names().count("playing") == 2
        await until(lambda: edge.names()[-1] in ("stopped", "released"))
        assert await status(f"{edge.url}/whep/cam") == 409


async def status(url: str, **headers: str) -> int:
    """What a player is answered."""
    async with RTCPeerConnection() as pc, aiohttp.ClientSession() as http:
        pc.addTransceiver("video", direction="recvonly")
        await pc.setLocalDescription()
        assert pc.localDescription is not None
        sdp = {"Content-Type": "application/sdp", **headers}
        async with http.post(url, data=pc.localDescription.sdp, headers=sdp) as answer:
            return answer.status


async def test_when_the_publisher_ends_those_who_watch_elsewhere_come_back_to_the_next_one() -> None:
    async with relaying() as origin, relaying(upstream=[f"{origin.url}/whep"]) as edge:
        tracks: list[Any] = []
        async with contextlib.AsyncExitStack() as stack:
            async with publishing(f"{origin.url}/whip/cam"):
                player = await stack.enter_async_context(SupervisedPeer(WhepClient(f"{edge.url}/whep/cam")))
                player.ontrack = lambda event: tracks.append(event.track)
                player.addTransceiver("video", {"direction": "recvonly"})
                await player.connected(30)
                async with asyncio.timeout(30):
                    await tracks[0].recv()
            await until(lambda: "released" in edge.names())
            assert edge.site.broadcasts.names() == origin.site.broadcasts.names() == []
            await until(lambda: not edge.site.whep.sessions)
        assert not origin.site.whep.sessions


async def test_relays_that_name_each_other_do_not_go_round() -> None:
    """Two viewers at once of what nobody has: each relay asks the other one, and both say no, soon."""
    async with relaying() as one, relaying(upstream=[f"{one.url}/whep"]) as two:
        assert one.site.broadcasts._upstream is None
        one.site.broadcasts._upstream = Upstream([f"{two.url}/whep"])
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(status(f"{relay.url}/whep/cam") for relay in (one, two)))
        assert answers == [409, 409]
        async with publishing(f"{one.url}/whip/cam"), watching(f"{two.url}/whep/cam"):
            assert two.names()[-2:] == ["pulled", "playing"]
        await until(lambda: not one.site.whep.sessions and not two.site.whep.sessions)
        name = one.site.broadcasts._upstream._name
        assert await status(f"{one.url}/whep/cam", Via=f"1.1 elsewhere, 1.1 {name}") == 508
        assert await status(f"{one.url}/whep/cam", Via="1.1 x," * 500) == 508


async def test_a_chain_of_three() -> None:
    async with (
        relaying() as origin,
        relaying(upstream=[f"{origin.url}/whep"]) as middle,
        relaying(upstream=["http://127.0.0.1:9/whep", f"{middle.url}/whep"]) as edge,  # the first one is dead
        publishing(f"{origin.url}/whip/cam"),
        watching(f"{edge.url}/whep/cam"),
    ):
        assert [relay.names()[-1] for relay in (origin, middle, edge)] == ["playing"] * 3
        assert [len(relay.site.whep.sessions) for relay in (origin, middle, edge)] == [1, 1, 1]


class Slow(Upstream):
    """Upstream relays that take their time."""

    def __init__(self, answer: Pull | None = None) -> None:
        super().__init__(["http://127.0.0.1:9/whep"])
        self.asked: list[str] = []
        self.cancelled = 0
        self.go_on = asyncio.Event()
        self.answer = answer

    async def pull(self, name: str, via: str) -> Pull | None:
        self.asked.append(name)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.answer


class Viewer:
    """As much of a session as asking needs."""

    def __init__(self, via: str = "") -> None:
        self.name = "cam"
        self.headers = {"Via": via} if via else {}


async def test_those_who_ask_meanwhile_wait_for_one_answer_and_nobody_is_asked_for_nobody() -> None:
    upstream = Slow()
    broadcasts = Broadcasts(lambda *_, **__: None, upstream)
    first, second = (asyncio.create_task(broadcasts._find(Viewer())) for _ in range(2))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert upstream.asked == ["cam"]
    with pytest.raises(SignalingRefused, match="looking for it, too") as caught:
        await broadcasts._find(Viewer(via="1.1 other"))  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
    first.cancel()
    await asyncio.wait([first])
    assert upstream.cancelled == 0
    second.cancel()
    await asyncio.wait([second])
    await broadcasts.close()
    assert (upstream.cancelled, broadcasts._pulling, dict(broadcasts._waiting)) == (1, {}, {})
    third = asyncio.create_task(broadcasts._find(Viewer()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    upstream.go_on.set()
    assert await third is None
    await broadcasts.close()


class Pulled:
    """A stream that was pulled."""

    url = "http://upstream/whep/cam"

    def __init__(self) -> None:
        self.forwarders: dict[str, Any] = {}
        self.over = asyncio.Event()

    async def ended(self) -> str:
        await self.over.wait()
        return "closed"

    async def close(self) -> None:
        self.over.set()


async def test_a_stream_that_arrives_when_nobody_waits_any_more_is_given_back() -> None:
    told: list[str] = []
    pulled = Pulled()
    upstream = Slow(pulled)  # type: ignore[arg-type]
    broadcasts = Broadcasts(lambda event, **_: told.append(event), upstream)
    asked = asyncio.create_task(broadcasts._find(Viewer()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    upstream.go_on.set()
    assert (await asked) is not None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["pulled", "released"]
    assert pulled.over.is_set()
    assert broadcasts.names() == []
    await broadcasts.close()


async def test_a_relay_that_cannot_be_reached_is_told_as_such() -> None:
    pull = Pull("http://127.0.0.1:9/whep/cam", "1.1 x", None, None)
    with pytest.raises(NetworkError):
        await pull.start()
    await pull.close()


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    options = build_parser().parse_args(
        ["relay", "--upstream", "http://a/whep", "--upstream", "https://b/x/"]
    )
    assert options.upstream == ["http://a/whep", "https://b/x/"]
    for wrong in ("a/whep", "ftp://a/whep", "http://a/whep?key=1", "http://user:word@a/whep", "http:///whep"):
        with pytest.raises(SystemExit):
            build_parser().parse_args(["relay", "--upstream", wrong])
        said = capsys.readouterr().err
        assert "WHEP endpoint" in said
        assert "key=1" not in said
        assert "word" not in said
