"""`HttpOfferServer` and `HttpSdpClient`: the dialects that are in use, refusals, what ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer import PeerSettings, RTCPeerConnection, SignalingRefused, SupervisedPeer
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError
from rtcpeer.ice.settings import IceSettings
from rtcpeer.signaling import HttpOfferServer, HttpSdpClient, WhipSession
from rtcpeer.testing import no_leaks

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def described(pc: RTCPeerConnection) -> dict[str, Any]:
    await pc.setLocalDescription()
    await pc.gathered()
    return dict(pc.localDescription.toJSON())


async def post(http: aiohttp.ClientSession, url: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    kind = {"Content-Type": "application/json"}
    async with http.request(method, url, data=data, headers=kind) as answer:
        return answer.status, json.loads(await answer.text())


async def echo(pc: Any, channel: Any, text: str) -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    channel.onmessage = lambda event: heard.done() or heard.set_result(event.data)
    async with asyncio.timeout(20):
        while channel.readyState != "open":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        channel.send(text)
        assert await heard == text


def echoing(peer: Any) -> None:
    def taken(event: Any) -> None:
        event.channel.onmessage = lambda message: event.channel.send(message.data)

    peer.addEventListener("datachannel", taken)


async def test_the_dialect_of_aiortcs_examples(http: aiohttp.ClientSession) -> None:
    sessions: list[WhipSession] = []

    def on_offer(session: WhipSession) -> None:
        sessions.append(session)
        echoing(session.pc)

    async with HttpOfferServer(on_offer) as server, RTCPeerConnection() as pc:
        channel = pc.createDataChannel("chat")
        status, answer = await post(http, server.url, await described(pc) | {"video_transform": "none"})
        assert status == 200
        assert answer["type"] == "answer"
        assert "a=candidate" in answer["sdp"]
        await pc.setRemoteDescription(answer)
        await echo(pc, channel, "hello")
        assert sessions[0].data == {"video_transform": "none"}
        await pc.close()
        assert await sessions[0].ended() == "closed"
        assert server.sessions == ()


async def test_pipecats_dialect(http: aiohttp.ClientSession) -> None:
    called: list[str] = []

    async def on_offer(session: WhipSession) -> None:
        called.append(session.id)
        echoing(session.pc)

    async with HttpOfferServer(on_offer, path="/api/offer") as server, RTCPeerConnection() as pc:
        channel = pc.createDataChannel("chat")
        candidates: list[Any] = []
        pc.onicecandidate = lambda event: candidates.append(event.candidate)
        await pc.setLocalDescription()
        offer = dict(pc.localDescription.toJSON())
        offer["sdp"] = "".join(line for line in offer["sdp"].splitlines(True) if "candidate" not in line)
        status, answer = await post(http, server.url, offer | {"pc_id": None, "restart_pc": False})
        assert status == 200
        await pc.setRemoteDescription(answer)
        await pc.gathered()
        told = [c.toJSON() for c in candidates if c is not None]
        patch = {
            "pc_id": answer["pc_id"],
            "candidates": [
                {
                    "candidate": c["candidate"],
                    "sdp_mid": c["sdpMid"],
                    "sdp_mline_index": c["sdpMLineIndex"],
                }
                for c in told
            ],
        }
        assert await post(http, server.url, patch, "PATCH") == (200, {"status": "success"})
        await echo(pc, channel, "one")
        # another offer of the same connection
        pc.addTransceiver("audio")
        status, again = await post(http, server.url, await described(pc) | {"pc_id": answer["pc_id"]})
        assert (status, again["pc_id"]) == (200, answer["pc_id"])
        await pc.setRemoteDescription(again)
        await echo(pc, channel, "two")
        # a new connection of the client, whose old one is cut off
        async with RTCPeerConnection() as second:
            channel = second.createDataChannel("chat")
            body = await described(second) | {"pc_id": answer["pc_id"], "restart_pc": True}
            status, anew = await post(http, server.url, body)
            assert (status, anew["pc_id"]) == (200, answer["pc_id"])
            await second.setRemoteDescription(anew)
            await echo(second, channel, "three")
            assert called == [answer["pc_id"]] * 2
            assert len(server.sessions) == 1


async def test_a_draining_server_lets_a_session_go_on_with_a_new_connection(
    http: aiohttp.ClientSession,
) -> None:
    async with HttpOfferServer(lambda session: echoing(session.pc)) as server:
        async with RTCPeerConnection() as first, RTCPeerConnection() as second:
            first.createDataChannel("chat")
            _, answer = await post(http, server.url, await described(first))
            server.drain()
            channel = second.createDataChannel("chat")
            body = await described(second)
            assert (await post(http, server.url, body))[0] == 503
            body |= {"pc_id": answer["pc_id"], "restart_pc": True}
            status, anew = await post(http, server.url, body)
            assert (status, anew["pc_id"]) == (200, answer["pc_id"])
            await second.setRemoteDescription(anew)
            await echo(second, channel, "on")
            assert not await server.drained(0.01)
        assert await server.drained(20)


async def test_of_several_new_connections_at_once_one_is_left(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have all found the session when the first of them replaces it."""
    made: list[Any] = []
    all_are_there = asyncio.Barrier(6)

    async def wait(_server: HttpOfferServer) -> None:
        await all_are_there.wait()

    async with HttpOfferServer(lambda session: made.append(session.pc)) as server, RTCPeerConnection() as pc:
        pc.createDataChannel("chat")
        body = await described(pc)
        _, answer = await post(http, server.url, body)
        body |= {"pc_id": answer["pc_id"], "restart_pc": True}
        monkeypatch.setattr(HttpOfferServer, "fetch_servers", wait)
        async with asyncio.timeout(60):
            done = await asyncio.gather(*(post(http, server.url, body) for _ in range(6)))
        assert 200 in {status for status, _ in done} <= {200, 404}
        assert len(server.sessions) == 1
        assert [one.connectionState for one in made].count("closed") == len(made) - 1


async def test_a_supervised_peer_outlives_a_new_connection_of_the_client(http: aiohttp.ClientSession) -> None:
    peers: list[SupervisedPeer] = []

    async def on_offer(session: WhipSession) -> None:
        async with SupervisedPeer(session) as peer:
            peers.append(peer)
            echoing(peer)
            await session.ended()

    async with HttpOfferServer(on_offer) as server:
        id = None
        for round in range(2):
            async with RTCPeerConnection() as pc:
                channel = pc.createDataChannel("chat")
                body = await described(pc) | {"pc_id": id, "restart_pc": round > 0}
                status, answer = await post(http, server.url, body)
                assert status == 200
                assert answer["pc_id"] == (id or answer["pc_id"])
                id = answer["pc_id"]
                await pc.setRemoteDescription(answer)
                await echo(pc, channel, f"round {round}")
                assert (len(peers), peers[0].generation) == (1, round + 1)


async def test_fastrtcs_dialect(http: aiohttp.ClientSession) -> None:
    async with HttpOfferServer(lambda session: echoing(session.pc), path="/webrtc/offer") as server:
        async with RTCPeerConnection() as pc:
            channel = pc.createDataChannel("text")
            candidates: list[Any] = []
            pc.onicecandidate = lambda event: candidates.append(event.candidate)
            await pc.setLocalDescription()
            offer = dict(pc.localDescription.toJSON())
            offer["sdp"] = "".join(line for line in offer["sdp"].splitlines(True) if "candidate" not in line)
            status, answer = await post(http, server.url, offer | {"webrtc_id": "abc"})
            assert status == 200
            await pc.setRemoteDescription(answer)
            await pc.gathered()
            for candidate in candidates:
                if candidate is not None:
                    body = {"type": "ice-candidate", "webrtc_id": "abc", "candidate": candidate.toJSON()}
                    assert await post(http, server.url, body) == (200, {"status": "success"})
            await echo(pc, channel, "hi")
        body = {"type": "ice-candidate", "webrtc_id": "other", "candidate": {"candidate": "", "sdpMid": "0"}}
        assert (await post(http, server.url, body))[0] == 404


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", "rubbish", 400),
        ("POST", "[]", 400),
        ("POST", "[" * 60_000, 400),
        ("POST", {"sdp": "v=0", "type": "answer"}, 400),
        ("POST", {"sdp": 7, "type": "offer"}, 400),
        ("POST", {"sdp": "v=0\r\n", "type": "offer"}, 400),
        ("POST", "x" * 70_000, 413),
        ("PATCH", {"pc_id": "x" * 32, "candidates": []}, 404),
        ("PATCH", {"pc_id": None, "candidates": []}, 404),
        ("GET", "{}", 405),
    ],
)
async def test_what_is_refused(http: aiohttp.ClientSession, method: str, body: Any, status: int) -> None:
    async with HttpOfferServer(lambda session: None) as server:
        said, details = await post(http, server.url, body, method)
        assert said == status
        assert details["status"] == status
        assert server.sessions == ()


async def test_bad_candidates_and_other_tokens(http: aiohttp.ClientSession) -> None:
    async with HttpOfferServer(lambda session: session.pc and None) as server, RTCPeerConnection() as pc:
        pc.createDataChannel("x")
        offer = json.dumps(await described(pc))
        headers = {"Content-Type": "application/json", "Authorization": "Bearer a"}
        async with http.post(server.url, data=offer, headers=headers) as answer:
            id = (await answer.json())["pc_id"]
        assert (await post(http, server.url, {"pc_id": id, "candidates": []}, "PATCH"))[0] == 401
        assert (await post(http, server.url, json.loads(offer) | {"pc_id": id}))[0] == 401
        for wrong in ("x", [7], [{}], [{"candidate": 7}], [{"candidate": "c"}] * 101):
            body = json.dumps({"pc_id": id, "candidates": wrong})
            async with http.patch(server.url, data=body, headers=headers) as answer:
                assert answer.status == 400, wrong


# -- the client


class Endpoint:
    """Answers like a voice model: plain SDP or a form, by POST alone."""

    def __init__(self, settings: PeerSettings | None = None) -> None:
        self.pc = RTCPeerConnection(settings=settings)
        echoing(self.pc)
        self.requests: list[tuple[str, Any]] = []
        self.refuse: web.Response | None = None
        self.delay = 0.0
        self.strip = ""

    async def handle(self, request: web.Request) -> web.Response:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            self.requests.append(
                (
                    "form",
                    {
                        n: bytes(v).decode() if isinstance(v, (bytes, bytearray)) else v
                        for n, v in form.items()
                    },
                )
            )
            sdp = form["sdp"]
            offer = sdp.decode() if isinstance(sdp, (bytes, bytearray)) else str(sdp)
        else:
            offer = await request.text()
            self.requests.append((request.content_type, request.headers.get("Authorization")))
        await asyncio.sleep(self.delay)
        if self.refuse is not None:
            return self.refuse
        await self.pc.setRemoteDescription({"type": "offer", "sdp": self.stripped(offer)})
        await self.pc.setLocalDescription()
        await self.pc.gathered()
        text = self.stripped(self.pc.localDescription.sdp)
        return web.Response(status=201, text=text, content_type="application/sdp")

    def stripped(self, sdp: str) -> str:
        if not self.strip:
            return sdp
        return "".join(line for line in sdp.splitlines(True) if self.strip not in line)


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, str]]:
    made = Endpoint(PeerSettings(ice=IceSettings(tcp="both")))
    application = web.Application()
    application.router.add_post("/realtime", made.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/realtime"
    await made.pc.close()
    await runner.cleanup()


@pytest.mark.parametrize("form", [None, {"session": {"type": "realtime", "model": "m"}, "plain": "text"}])
async def test_a_voice_model(endpoint: tuple[Endpoint, str], form: Any) -> None:
    served, url = endpoint
    async with SupervisedPeer(HttpSdpClient(url, token="key", form=form)) as peer:
        channel = peer.createDataChannel("events")
        await peer.connected(20)
        await echo(peer, channel, "hello")
        with pytest.raises(Exception, match="cannot carry what a restart needs"):
            peer.restart()
    if form is None:
        assert served.requests == [("application/sdp", "Bearer key")]
    else:
        ((_, fields),) = served.requests
        assert fields["sdp"].startswith("v=0")
        assert json.loads(fields["session"]) == form["session"]
        assert fields["plain"] == "text"


async def test_an_answer_with_tcp_candidates_alone(endpoint: tuple[Endpoint, str]) -> None:
    served, url = endpoint
    served.strip = " udp "
    async with SupervisedPeer(HttpSdpClient(url)) as peer:
        channel = peer.createDataChannel("events")
        await peer.connected(20)
        await echo(peer, channel, "over TCP")
    candidates = [s for s in (await served.pc.getStats()).values() if s["type"] == "remote-candidate"]
    assert {candidate["protocol"] for candidate in candidates} == {"tcp"}


async def test_refusals_time_and_close(endpoint: tuple[Endpoint, str]) -> None:
    served, url = endpoint
    offer = {"type": "offer", "sdp": "v=0"}
    served.refuse = web.Response(status=401, text='{"error": "bad key"}', content_type="application/json")
    async with HttpSdpClient(url) as channel:
        with pytest.raises(SignalingRefused, match="bad key") as caught:
            await channel.send(offer)
        assert caught.value.fatal
        served.refuse = web.Response(status=200, text="hello")
        with pytest.raises(NetworkError):
            await channel.send(offer)
        await channel.send({"candidate": ""})
    assert repr(channel) == f"<HttpSdpClient {url}, closed>"
    with pytest.raises(InvalidStateError):
        await channel.send(offer)
    served.delay = 10.0
    async with HttpSdpClient(url, timeout=0.1) as channel:
        with pytest.raises(RTCTimeoutError):
            await channel.send(offer)
    channel = HttpSdpClient(url)
    sending = asyncio.ensure_future(channel.send(offer))
    await asyncio.sleep(0.05)
    await channel.close()
    with pytest.raises(InvalidStateError, match="closed meanwhile"):
        await sending
    with pytest.raises(StopAsyncIteration):
        await anext(channel)


@pytest.mark.parametrize("turns", range(1, 5))
async def test_a_server_whose_close_is_cancelled_closes(turns: int) -> None:
    async with no_leaks():
        server = HttpOfferServer(lambda session: None)
        await server.start()
        async with RTCPeerConnection() as pc:
            pc.createDataChannel("chat")
            await pc.setLocalDescription()
            async with aiohttp.ClientSession() as http:
                async with http.post(server.url, json=pc.localDescription.toJSON()) as response:
                    assert response.status == 200
                closing = asyncio.create_task(server.close())
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing.cancel()
                await asyncio.wait([closing])
                async with asyncio.timeout(20):
                    await server.drained()
        assert not server.sessions
