"""`WhipClient` and `WhepClient` against a server that does as told: requests, statuses, redirects, orphans."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from rtcpeer.errors import InvalidStateError, NetworkError, RTCSyntaxError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling import WhepClient, WhipClient
from rtcpeer.signaling.http.statuses import PROBLEM_TYPE, problem
from tests.unit.signaling.http.fake_server import ANSWER, RESTART, FakeServer, fragment, sdp
from tests.unit.signaling.http.test_fragment import HOST, OFFER, PWD, UFRAG

CANDIDATE = {"candidate": HOST, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": UFRAG}
SECOND = OFFER.replace(UFRAG, "second").replace(PWD, "second" * 4).replace(" 2 IN IP4", " 3 IN IP4")
OTHER = OFFER.replace("5228595038118931041", "42")


def offer(text: str = OFFER) -> dict[str, str]:
    return {"type": "offer", "sdp": text}


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as made:
        yield made


async def settle(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_whole_session(server: FakeServer) -> None:
    async with WhipClient(server.url, token="secret", trickle=True) as client:
        await client.send(offer())
        assert await anext(client) == {"type": "answer", "sdp": ANSWER}
        assert (str(client.location), client.etag) == (
            f"http://127.0.0.1:{server.port}/session/s1",
            '"first"',
        )
        await client.send(CANDIDATE)
        await settle(lambda: "PATCH" in server.methods())
    assert server.methods() == ["POST", "PATCH", "DELETE"]
    post, patch, delete = server.seen
    assert {one.headers["Authorization"] for one in server.seen} == {"Bearer secret"}
    assert post.headers["Content-Type"] == "application/sdp"
    assert post.body == OFFER
    assert patch.headers["Content-Type"] == "application/trickle-ice-sdpfrag"
    assert patch.headers["If-Match"] == '"first"'
    assert f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\nm=audio 9" in patch.body
    assert f"a=mid:0\r\na={HOST}\r\n" in patch.body
    assert delete.path == "/session/s1"
    assert not server.sessions
    with pytest.raises(InvalidStateError):
        await client.send(CANDIDATE)
    with pytest.raises(StopAsyncIteration):
        await anext(client)
    await client.close()
    assert repr(client) == f"<WhipClient http://127.0.0.1:{server.port}/whip, closed>"


async def test_candidates_before_the_session_go_out_in_one_patch(server: FakeServer) -> None:
    server.delays["POST"] = 0.1
    async with WhipClient(server.url, trickle=True) as client:
        sending = asyncio.ensure_future(client.send(offer()))
        await asyncio.sleep(0.02)
        for number in range(10):
            await client.send_candidates([CANDIDATE | {"candidate": f"candidate:{number}"}])
        await client.send(CANDIDATE | {"candidate": "", "sdpMid": "1"})  # of a section that is not used
        await client.send(CANDIDATE | {"usernameFragment": "old"})
        await client.send(CANDIDATE | {"candidate": ""})
        await sending
        await settle(lambda: "PATCH" in server.methods())
        await asyncio.sleep(0.02)
    assert server.methods() == ["POST", "PATCH", "DELETE"]
    body = server.seen[1].body
    assert body.count("a=candidate:") == 10
    assert body.count("a=end-of-candidates") == 1


async def test_one_patch_at_a_time(server: FakeServer) -> None:
    server.delays["PATCH"] = 0.05
    async with WhipClient(server.url, trickle=True) as client:
        await client.send(offer())
        for number in range(6):
            await client.send(CANDIDATE | {"candidate": f"candidate:{number}"})
            await asyncio.sleep(0.01)
        await settle(
            lambda: sum(s.body.count("a=candidate") for s in server.seen if s.method == "PATCH") == 6
        )
    assert 2 <= server.methods().count("PATCH") <= 4


async def test_a_patch_that_is_not_answered_delays_nothing(server: FakeServer) -> None:
    async with WhipClient(server.url, trickle=True) as client:
        await client.send(offer())
        server.delays["PATCH"] = 30.0
        async with asyncio.timeout(20):
            await client.send(CANDIDATE)
            await anext(client)
            await settle(lambda: "PATCH" in server.methods())
            server.delays.clear()
            await client.send(offer(SECOND))  # a restart does not wait for it either
            assert (await anext(client))["type"] == "answer"


@pytest.mark.parametrize("status", [405, 422, 501, 400])
async def test_no_trickle_means_gathering_first_the_next_time(server: FakeServer, status: int) -> None:
    server.rules["PATCH"] = lambda _: web.Response(status=status)
    async with WhipClient(server.url) as client:
        assert client.capabilities.trickle == "auto"
        await client.send(offer())
        await client.send(CANDIDATE)
        await settle(lambda: client.capabilities.trickle is False)
        assert client.capabilities.gathering_time > 1
        assert client.location is not None  # the call goes on
        await client.send(CANDIDATE)
        await client.send(offer(OTHER))
    assert server.methods() == ["POST", "PATCH", "DELETE", "POST", "DELETE"]


async def test_an_etag_of_the_past_is_no_reason_to_stop_trickling(server: FakeServer) -> None:
    server.rules["PATCH"] = lambda _: web.Response(status=412)
    async with WhipClient(server.url) as client:
        await client.send(offer())
        await client.send(CANDIDATE)
        await settle(lambda: "PATCH" in server.methods())
        await asyncio.sleep(0.02)
        assert client.capabilities.trickle == "auto"


# -- restart


@pytest.mark.parametrize("strict", [False, True])
async def test_restart(server: FakeServer, strict: bool) -> None:
    """Some servers compare the star as if it were a tag, and want its quotes (412 without)."""

    def patch(seen: Any) -> web.Response | None:
        return web.Response(status=412) if strict and seen.headers["If-Match"] == "*" else None

    server.rules["PATCH"] = patch
    async with WhipClient(server.url) as client:
        await client.send(offer())
        await anext(client)
        await client.send(offer(SECOND))
        answer = await anext(client)
        assert answer["type"] == "answer"
        assert "o=- 77 2 IN IP4" in answer["sdp"]
        assert answer["sdp"].count("a=ice-ufrag:again\r\n") == 2
        assert "candidate" not in answer["sdp"]
        assert client.etag == '"second"'
        await client.send(CANDIDATE | {"usernameFragment": "second"})
        await settle(lambda: server.seen[-1].headers.get("If-Match") == '"second"')
    assert server.methods() == ["POST", *["PATCH"] * (2 + strict), "DELETE"]
    restart = server.seen[1]
    assert "a=ice-ufrag:second\r\n" in restart.body


@pytest.mark.parametrize("status", [204, 404, 405, 422, 500, 501])
async def test_a_refused_restart_leaves_the_session(server: FakeServer, status: int) -> None:
    server.rules["PATCH"] = lambda _: web.Response(status=status)
    async with WhipClient(server.url) as client:
        await client.send(offer())
        with pytest.raises(SignalingRefused) as caught:
            await client.send(offer(SECOND))
        assert (caught.value.fatal, caught.value.retry_after, caught.value.status) == (False, None, status)
        assert client.capabilities.restart == "no"
        assert server.sessions == {"s1"}
        await client.send(offer(OTHER))  # the supervisor begins anew
        assert client.capabilities.restart == "offer"
        assert server.sessions == {"s2"}
    assert not server.sessions


async def test_a_restart_that_is_answered_with_rubbish_is_refused(server: FakeServer) -> None:
    server.rules["PATCH"] = lambda _: fragment("rubbish", {})
    async with WhipClient(server.url) as client:
        await client.send(offer())
        with pytest.raises(SignalingRefused, match="unusable"):
            await client.send(offer(SECOND))


async def test_what_is_neither_restart_nor_new_is_refused(server: FakeServer) -> None:
    async with WhipClient(server.url) as client:
        await client.send(offer())
        with pytest.raises(SignalingRefused, match="nothing but ICE can change"):
            await client.send(offer())
        with pytest.raises(NetworkError, match="makes no offers"):
            await client.send({"type": "answer", "sdp": ANSWER})
    assert server.created == 1


# -- statuses


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 415, 422, 501])
async def test_refused_for_good(server: FakeServer, status: int) -> None:
    server.rules["POST"] = lambda _: web.Response(
        status=status, text=problem(status, "for a reason"), content_type=PROBLEM_TYPE
    )
    async with WhipClient(server.url) as client:
        with pytest.raises(SignalingRefused, match=rf"\({status}\).*for a reason") as caught:
            await client.send(offer())
    assert (caught.value.status, caught.value.fatal) == (status, True)
    assert server.methods() == ["POST"]


@pytest.mark.parametrize(("status", "retry_after"), [(429, "7"), (503, "7"), (409, "7"), (500, None)])
async def test_refused_for_now(server: FakeServer, status: int, retry_after: str | None) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    server.rules["POST"] = lambda _: web.Response(status=status, headers=headers)
    async with WhepClient(server.url) as client:
        with pytest.raises(SignalingRefused) as caught:
            await client.send(offer())
    assert (caught.value.fatal, caught.value.retry_after) == (False, float(retry_after or 2))


async def test_answers_that_are_none(server: FakeServer) -> None:
    async with WhipClient(server.url) as client:
        for answer in (
            web.Response(status=200, text="hello"),
            web.Response(status=204),
            web.Response(status=302),
        ):
            server.rules["POST"] = lambda _, answer=answer: answer  # type: ignore[misc]
            with pytest.raises(SignalingRefused) as caught:
                await client.send(offer())
            assert caught.value.fatal
        server.rules["POST"] = lambda _: web.Response(text="x" * 1_100_000)
        with pytest.raises(NetworkError, match="longer than a megabyte"):
            await client.send(offer())


async def test_nobody_there_and_nobody_answering(server: FakeServer) -> None:
    async with WhipClient("http://127.0.0.1:1/whip") as client:
        with pytest.raises(NetworkError, match=r"POST http://127\.0\.0\.1:1/whip failed"):
            await client.send(offer())
    server.delays["POST"] = 30.0
    async with WhipClient(server.url + "?key=secret", timeout=0.1) as client:
        with pytest.raises(RTCTimeoutError, match=r"longer than 0.1 s") as caught:
            await client.send(offer())
        assert "secret" not in str(caught.value)
        assert "secret" not in repr(client)


@pytest.mark.parametrize("url", ["ws://example.net/x", "example.net", "/whip", ""])
def test_urls_that_are_no_endpoints(url: str) -> None:
    with pytest.raises(RTCSyntaxError, match="http or https"):
        WhipClient(url)
    with pytest.raises(RTCSyntaxError, match="Authorization"):
        WhipClient("http://example.net", token="a\nb")


# -- locations, redirects, servers


@pytest.mark.parametrize(
    "location",
    [
        lambda id: f"/session/{id}",
        lambda id: f"session/{id}",
        lambda id: f"../session/{id}",
        lambda id: f"?id={id}",
    ],
)
async def test_locations_of_every_kind(server: FakeServer, location: Any) -> None:
    server.location = location
    async with WhipClient(f"http://127.0.0.1:{server.port}/a/whip") as client:
        await client.send(offer())
        expected = {"/": "/session/s1", "s": "/a/session/s1", ".": "/session/s1", "?": "/a/whip"}
        assert client.location is not None
        assert client.location.path == expected[location("x")[0]]


async def test_an_absolute_location_and_none(server: FakeServer) -> None:
    server.location = lambda id: f"http://127.0.0.1:{server.port}/session/{id}"
    async with WhipClient(server.url) as client:
        await client.send(offer())
    assert not server.sessions
    server.rules["POST"] = lambda _: sdp(ANSWER, 201, {})
    async with WhipClient(server.url) as client:
        await client.send(offer())
        assert (await anext(client))["type"] == "answer"
        assert client.location is None
        assert (client.capabilities.trickle, client.capabilities.restart) == (False, "no")


@pytest.mark.parametrize("status", [307, 308, 302])
async def test_redirects_keep_method_and_body(server: FakeServer, status: int) -> None:
    async with FakeServer() as second:
        server.rules["POST"] = lambda _: web.Response(status=status, headers={"Location": second.url})
        async with WhipClient(server.url, token="secret") as client:
            await client.send(offer())
            assert client.location is not None
            assert client.location.port == second.port
        assert second.methods() == ["POST", "DELETE"]
        assert second.seen[0].body == OFFER
        assert "Authorization" in server.seen[0].headers
        assert all("Authorization" not in one.headers for one in second.seen)  # another origin
        assert not second.sessions


async def test_redirects_are_bounded(server: FakeServer) -> None:
    server.rules["POST"] = lambda _: web.Response(status=307, headers={"Location": "/whip"})
    async with WhipClient(server.url) as client:
        with pytest.raises(NetworkError, match="more than 5 redirects"):
            await client.send(offer())
    assert len(server.seen) == 6


async def test_recommended_servers(server: FakeServer) -> None:
    links = [
        '<stun:stun.example.net>; rel="ice-server", <turn:t.example>; rel="ice-server"; username="u"; credential="c"',
        'turn:u.example?transport=udp; rel="ice-server"; username="u"; credential="c"',
    ]

    def post(_: Any) -> web.Response:
        server.sessions.add("s1")
        response = sdp(ANSWER, 201, {"Location": "/session/s1"})
        for link in links:
            response.headers.add("link", link)
        return response

    server.rules["POST"] = post
    async with WhipClient(server.url) as client:
        assert [str(one.urls) for one in await client.options()] == [str(client.ice_servers[0].urls)]
        await client.send(offer())
        assert len(client.ice_servers) == 3
        assert client.ice_servers[1].credential == "c"


# -- no orphans


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_a_cancel_at_any_await_leaves_no_session(server: FakeServer, steps: int) -> None:
    server.delays = {"POST": 0.003, "DELETE": 0.001}
    client = WhipClient(server.url)
    await client.send(offer())
    sending = asyncio.ensure_future(client.send(offer(OTHER)))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    sending.cancel()
    await asyncio.wait([sending])
    closing = asyncio.ensure_future(client.close())
    for _ in range(steps % 7):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await client.close()
    assert not server.sessions
    assert server.methods().count("POST") == server.created <= 2


async def test_a_session_that_comes_after_the_cancel_is_deleted(server: FakeServer) -> None:
    server.delays["POST"] = 0.1
    async with WhipClient(server.url) as client:
        sending = asyncio.ensure_future(client.send(offer()))
        await settle(lambda: server.sessions)
        sending.cancel()
        await settle(lambda: not server.sessions)
        assert client.location is None
        await client.send(offer(OTHER))  # and the channel can be used
        assert (await anext(client))["sdp"] == ANSWER
    assert server.methods() == ["POST", "DELETE", "POST", "DELETE"]


async def test_close_waits_for_the_session_that_is_being_made(server: FakeServer) -> None:
    server.delays["POST"] = 0.1
    client = WhipClient(server.url)
    sending = asyncio.ensure_future(client.send(offer()))
    await settle(lambda: server.sessions)
    await client.close()
    with pytest.raises(InvalidStateError, match="closed meanwhile"):
        await sending
    assert not server.sessions


# -- WHEP


async def test_a_counter_offer(server: FakeServer) -> None:
    def post(_: Any) -> web.Response:
        server.sessions.add("s1")
        return sdp(ANSWER, 406, {"Location": "/session/s1", "ETag": '"c"'})

    server.rules["POST"] = post
    async with WhepClient(server.url) as client:
        assert client.capabilities.polite is True
        await client.send(offer())
        assert await anext(client) == {"type": "offer", "sdp": ANSWER}
        await client.send({"type": "answer", "sdp": OFFER})
        patch = server.seen[-1]
        assert (patch.method, patch.body, patch.headers["Content-Type"]) == (
            "PATCH",
            OFFER,
            "application/sdp",
        )
        assert patch.headers["If-Match"] == '"c"'
        server.rules["PATCH"] = lambda _: web.Response(status=422)
        with pytest.raises(SignalingRefused):
            await client.send({"type": "answer", "sdp": OFFER})
    assert not server.sessions
    async with WhipClient(server.url) as client:  # WHIP knows no counter-offers
        with pytest.raises(SignalingRefused):
            await client.send(offer())


# -- bad answers


async def test_fuzzed_answers(server: FakeServer) -> None:
    """Whatever a server answers, `send` raises one of our errors or has an answer (RTCPEER_FUZZ_CASES of them)."""
    source = random.Random(7)

    def rubbish(_: Any) -> web.Response:
        text = bytearray(source.choice([ANSWER, RESTART, "", "<html>", "{", problem(422, "x")]).encode())
        for _ in range(source.choice([0, 0, 2, 20])):
            if text:
                place = source.randrange(len(text))
                text[place : place + source.choice([0, 1, 9])] = source.choice(
                    [b"\x00", b"\xff\xfe", b"a=ice-ufrag:", b"\n"]
                )
        response = web.Response(
            status=source.choice([200, 201, 204, 301, 307, 400, 401, 406, 409, 412, 418, 429, 500, 503]),
            body=bytes(text),
            headers={
                "Content-Type": source.choice(["application/sdp", "text/html", PROBLEM_TYPE, "x"]),
                "ETag": source.choice(['"a"', "a", "W/", '"']),
                "Retry-After": source.choice(["1", "never", "-5", "9" * 30]),
                "Link": source.choice(["<", '<turn:x>; rel="ice-server"', "stun:a; rel=ice-server", ";;,"]),
            },
        )
        where = source.choice(
            [None, "/session/s1", "http://[::1", "javascript:1", "//", "\u00e9", server.url]
        )
        if where is not None:
            response.headers["Location"] = where
        return response

    server.rules = dict.fromkeys(("POST", "PATCH", "DELETE"), rubbish)
    for number in range(int(os.environ.get("RTCPEER_FUZZ_CASES", "60"))):
        async with (WhepClient if number % 2 else WhipClient)(server.url, timeout=5) as client:
            for text in (OFFER, SECOND, OTHER):
                with contextlib.suppress(NetworkError, RTCTimeoutError):
                    await client.send(offer(text))
            await client.send(CANDIDATE)
