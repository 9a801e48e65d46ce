"""`WhipServer` and `WhepServer`: the table of statuses row by row, who may, limits, draining, bad input."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from rtcpeer import RTCPeerConnection, SignalingRefused, SupervisedPeer
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.signaling import RateLimit, WhepServer, WhipServer, WhipSession
from rtcpeer.signaling.http.fragment import fragment_of, read_fragment_untrusted
from tests.work import Work

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
TOKEN = {"Authorization": "Bearer secret"}
NEW = "a=ice-ufrag:newfrag\r\na=ice-pwd:newpwdnewpwdnewpwdnewpwd\r\n"
CANDIDATE = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 61764 typ host\r\n"


@pytest.fixture
async def offer() -> AsyncIterator[str]:
    async with RTCPeerConnection(bundlePolicy="max-bundle") as pc:
        pc.addTransceiver("audio", direction="sendonly")
        pc.addTransceiver("video", direction="sendonly")
        await pc.setLocalDescription()
        yield pc.localDescription.sdp


class Harness:
    def __init__(self, server: WhipServer | WhepServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str | bytes | None = None
    ) -> tuple[int, Any, str]:
        url = self.server.url.removesuffix("/whip").removesuffix("/whep") + path
        async with self.http.request(
            method, url, data=body, headers=headers, allow_redirects=False, skip_auto_headers=["Content-Type"]
        ) as response:
            return response.status, response.headers, await response.text()

    async def begin(self, offer: str, path: str = "/whip/cam") -> tuple[str, str]:
        status, headers, _ = await self.ask("POST", path, SDP | TOKEN, offer)
        assert status == 201
        return headers["Location"], headers["ETag"]


async def prepare(session: WhipSession) -> None:
    assert session.pc is session.pc


def authorize(_request: web.Request, name: str, token: str | None) -> bool:
    if name == "forbidden":
        raise SignalingRefused("not this one", status=403)
    return token == "secret"


@pytest.fixture
async def whip() -> AsyncIterator[Harness]:
    async with aiohttp.ClientSession() as http, WhipServer(prepare, authorize=authorize) as server:
        yield Harness(server, http)
        await server.close()
        assert server.sessions == ()


async def test_a_whole_session(whip: Harness, offer: str) -> None:
    status, headers, answer = await whip.ask("POST", "/whip/cam", SDP | TOKEN, offer)
    assert status == 201
    assert headers["Content-Type"] == "application/sdp"
    assert headers["Accept-Patch"] == FRAGMENT["Content-Type"]
    assert headers["Location"].startswith("/whip/cam/")
    assert len(headers["Location"].rpartition("/")[2]) >= 32
    assert headers["ETag"][0] == headers["ETag"][-1] == '"'
    assert "a=candidate:" in answer
    assert "a=end-of-candidates" in answer
    assert answer.count("a=recvonly") == 2
    where, etag = headers["Location"], headers["ETag"]
    (session,) = whip.server.sessions
    assert (session.name, session.kind, session.token, session.remote) == (
        "cam",
        "publish",
        "secret",
        "127.0.0.1",
    )
    # candidates
    match = {"If-Match": etag}
    assert (await whip.ask("PATCH", where, FRAGMENT | TOKEN | match, CANDIDATE))[0] == 204
    # a restart
    status, headers, text = await whip.ask(
        "PATCH", where, FRAGMENT | TOKEN | {"If-Match": "*"}, NEW + CANDIDATE
    )
    assert status == 200
    assert headers["Content-Type"] == FRAGMENT["Content-Type"]
    assert headers["ETag"] not in (etag, "")
    again = read_fragment_untrusted(text)
    assert again.ufrag not in (None, fragment_of(answer)[0].ufrag)
    assert any(c.line for c in again.candidates)
    assert (await whip.ask("PATCH", where, FRAGMENT | TOKEN | match, CANDIDATE))[0] == 412  # of the past
    # the end
    assert (await whip.ask("DELETE", where, TOKEN))[0] == 200
    assert await session.ended() == "client"
    assert session.pc.connectionState == "closed"
    assert (await whip.ask("DELETE", where, TOKEN))[0] == 404
    assert (await whip.ask("PATCH", where, FRAGMENT | TOKEN | {"If-Match": "*"}, NEW))[0] == 404


async def test_a_name_may_have_any_letters(whip: Harness, offer: str) -> None:
    where, etag = await whip.begin(offer, "/whip/caf%C3%A9%20100%25")
    assert where.startswith("/whip/caf%C3%A9%20100%25/")
    (session,) = whip.server.sessions
    assert session.name == "café 100%"
    whole = URL(whip.server.url).origin().join(URL(where, encoded=True))
    patch = FRAGMENT | TOKEN | {"If-Match": etag}
    async with whip.http.patch(whole, data=CANDIDATE, headers=patch) as response:
        assert response.status == 204
    async with whip.http.delete(whole, headers=TOKEN) as response:
        assert response.status == 200


async def test_of_several_restarts_the_last_one_wins(whip: Harness, offer: str) -> None:
    where, _ = await whip.begin(offer)
    asked = [
        whip.ask(
            "PATCH", where, FRAGMENT | TOKEN | {"If-Match": star}, NEW.replace("newfrag", f"frag{number}")
        )
        for number, star in enumerate(("*", '"*"', "*", '"*"'))
    ]
    done = await asyncio.gather(*asked)
    assert [status for status, _, _ in done] == [200] * 4
    (session,) = whip.server.sessions
    await asyncio.sleep(0.05)
    assert session.etag in [headers["ETag"] for _, headers, _ in done]
    assert fragment_of(session.offer)[0].ufrag in session.pc.remoteDescription.sdp
    assert session.pc.signalingState == "stable"


async def test_a_replayed_patch_changes_nothing(whip: Harness, offer: str) -> None:
    """Candidates of before a restart, and a restart that somebody sends again after the next one."""
    where, etag = await whip.begin(offer)
    (session,) = whip.server.sessions
    restart = ("PATCH", where, FRAGMENT | TOKEN | {"If-Match": "*"})
    assert (await whip.ask(*restart, NEW))[0] == 200
    assert (await whip.ask(*restart, NEW.replace("newfrag", "newerfrag")))[0] == 200
    before = session.offer, session.etag, session.pc.remoteDescription.sdp
    for if_match in ("*", '"*"', session.etag):
        assert (await whip.ask(*restart[:2], FRAGMENT | TOKEN | {"If-Match": if_match}, NEW))[0] == 412
    first = fragment_of(offer)[0]
    old = f"a=ice-ufrag:{first.ufrag}\r\na=ice-pwd:{first.pwd}\r\n"
    assert (await whip.ask(*restart, old))[0] == 412
    assert (await whip.ask("PATCH", where, FRAGMENT | TOKEN | {"If-Match": etag}, CANDIDATE))[0] == 412
    assert (session.offer, session.etag, session.pc.remoteDescription.sdp) == before


async def answer_directly(offer: str) -> None:
    """What is left of a POST without HTTP and sessions."""
    async with RTCPeerConnection() as pc:
        await pc.setRemoteDescription({"type": "offer", "sdp": offer})
        await pc.setLocalDescription()
        await pc.gathered()


async def test_a_post_costs_little_more_than_its_answer(offer: str) -> None:
    """The whole session, the client's part included: POST and DELETE, beside one answer that nobody asked for by HTTP.

    `make bench` says how many a second that is.
    """
    calm = RateLimit(1000, 1000)
    async with (
        aiohttp.ClientSession() as http,
        WhipServer(prepare, address_rate=calm, token_rate=calm) as server,
    ):
        harness = Harness(server, http)

        async def post() -> None:
            where, _ = await harness.begin(offer)
            assert (await harness.ask("DELETE", where, TOKEN))[0] == 200

        async def least_work(run: Callable[[], Awaitable[None]]) -> int:
            await run()  # what is imported and made once
            counts = []
            for _ in range(3):
                with Work() as work:
                    await run()
                counts.append(work.calls)
            return min(counts)

        direct, posted = await least_work(lambda: answer_directly(offer)), await least_work(post)
        assert server.sessions == ()
    print(f"an answer takes {direct} calls of functions, a POST and a DELETE {posted}")
    assert posted < 1.5 * direct  # 1.4 today


# -- refusals: (method, path, headers, body) -> status. WHERE and ETAG stand for a session's.

BAD_OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
ROWS: list[tuple[str, str, dict[str, str], Any, int]] = [
    ("POST", "/whip/cam", SDP | TOKEN, "rubbish", 400),
    ("POST", "/whip/cam", SDP | TOKEN, "", 400),
    ("POST", "/whip/cam", SDP | TOKEN, BAD_OFFER, 400),
    ("POST", "/whip/cam", SDP | TOKEN, b"\xff\xfe", 400),
    ("POST", "/whip/cam", SDP | TOKEN | {"Content-Encoding": "gzip"}, "OFFER", 400),
    ("POST", "/whip/a%2fb", SDP | TOKEN, "OFFER", 400),
    ("POST", "/whip/..%5Ccam", SDP | TOKEN, "OFFER", 400),
    ("POST", "/whip/cam%00", SDP | TOKEN, "OFFER", 400),
    ("POST", "/whip/cam%0D%0AX-Injected:%20y", SDP | TOKEN, "OFFER", 400),
    ("POST", "/whip/%E2%80%AEcam", SDP | TOKEN, "OFFER", 400),
    ("POST", "/whip/cam", SDP, "OFFER", 401),
    ("POST", "/whip/cam", SDP, "rubbish", 401),  # nothing is read of those who may not
    ("POST", "/whip/cam", {}, "x" * 70_000, 401),
    ("POST", "/whip/cam", SDP | {"Authorization": "Bearer wrong"}, "OFFER", 401),
    ("POST", "/whip/cam", SDP | {"Authorization": "Basic c2VjcmV0"}, "OFFER", 401),
    ("POST", "/whip/forbidden", SDP | TOKEN, "OFFER", 403),
    ("POST", "/whip/cam", SDP | TOKEN | {"Origin": "https://evil.example"}, "OFFER", 403),
    ("POST", "/whip/cam", SDP | TOKEN | {"Host": "rebound.example"}, "OFFER", 403),
    ("POST", "/whip/cam", SDP | TOKEN, "x" * 70_000, 413),
    ("POST", "/whip/cam", TOKEN | {"Content-Type": "text/plain"}, "OFFER", 415),
    ("POST", "/whip/cam", TOKEN, "OFFER", 415),
    ("POST", "/whip/cam", SDP | TOKEN, "NO CODEC", 422),
    ("GET", "/whip/cam", TOKEN, None, 405),
    ("PUT", "/whip", SDP | TOKEN, "OFFER", 405),
    ("DELETE", "/whip/cam", TOKEN, None, 405),
    ("GET", "WHERE", TOKEN, None, 405),
    ("POST", "WHERE", SDP | TOKEN, "OFFER", 405),
    ("DELETE", "WHERE", {}, None, 401),
    ("DELETE", "WHERE", {"Authorization": "Bearer other"}, None, 401),
    ("DELETE", "/whip/cam/" + "x" * 32, TOKEN, None, 404),
    ("DELETE", "/whip/other/ID", TOKEN, None, 404),
    ("PATCH", "/whip/cam/" + "x" * 32, FRAGMENT | TOKEN | {"If-Match": "*"}, NEW, 404),
    ("PATCH", "WHERE", FRAGMENT | {"If-Match": "ETAG"}, CANDIDATE, 401),
    ("PATCH", "WHERE", FRAGMENT | TOKEN, CANDIDATE, 428),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": '"wrong"'}, CANDIDATE, 412),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, "rubbish", 400),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "*"}, "a=ice-ufrag:newfrag", 400),
    ("PATCH", "WHERE", SDP | TOKEN | {"If-Match": "ETAG"}, CANDIDATE, 415),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, "a=x\n" * 20_000, 413),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, CANDIDATE, 204),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, "a=candidate:unusable\r\n", 204),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, "a=mid:77\r\n" + CANDIDATE[9:], 204),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "ETAG"}, "a=ice-ufrag:older\r\n" + CANDIDATE, 204),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": "*"}, NEW, 200),
    ("PATCH", "WHERE", FRAGMENT | TOKEN | {"If-Match": '"*"'}, NEW, 200),
    ("OPTIONS", "/whip/cam", TOKEN, None, 204),
    ("OPTIONS", "/whip/cam", {}, None, 401),
    ("OPTIONS", "WHERE", {}, None, 204),
    ("POST", "/elsewhere", SDP | TOKEN, "OFFER", 404),
    ("DELETE", "WHERE", TOKEN, None, 200),
]


async def test_the_table_of_statuses(whip: Harness, offer: str) -> None:
    where, etag = await whip.begin(offer)
    for number, (method, path, headers, body, expected) in enumerate(ROWS):
        if "PATCH" in method and expected == 200:
            where, etag = await whip.begin(offer)
        path = where if path == "WHERE" else path.replace("ID", where.rpartition("/")[2])
        headers = {name: etag if value == "ETAG" else value for name, value in headers.items()}
        if body in ("OFFER", "NO CODEC"):
            body = (
                offer
                if body == "OFFER"
                else offer.replace(" opus/48000/2", " x-unknown/8000").replace(
                    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 110 126", "m=audio 9 UDP/TLS/RTP/SAVPF 111"
                )
            )
            if "x-unknown" in body:
                body = "\r\n".join(
                    line
                    for line in body.split("\r\n")
                    if not line.startswith(
                        ("a=rtpmap:63", "a=fmtp:63", "a=rtpmap:9 ", "a=rtpmap:0 ", "a=rtpmap:8 ")
                    )
                    and not line.startswith(("a=rtpmap:110", "a=rtpmap:126", "a=fmtp:111"))
                )
        status, answered, text = await whip.ask(method, path, headers, body)
        assert status == expected, (number, method, path, headers, text)
        if status >= 400 and path != "/elsewhere":
            assert answered["Content-Type"].startswith("application/problem+json"), number
            assert "Traceback" not in text
            assert "secret" not in text
        if status == 401:
            assert answered["WWW-Authenticate"] == "Bearer"
        if status == 405:
            assert "OPTIONS" in answered["Allow"]
        if status == 204 and method == "OPTIONS":
            assert "OPTIONS" in answered["Allow"]
    assert len(whip.server.sessions) == 2


async def test_nothing_of_what_was_refused_is_left(whip: Harness, offer: str) -> None:
    for method, path, headers, body, _ in ROWS:
        if "WHERE" not in path:
            await whip.ask(method, path, headers, body if body != "OFFER" else "v=0\r\n")
    assert whip.server.sessions == ()


# -- handlers


async def test_what_a_handler_raises(offer: str) -> None:
    def nobody(session: WhipSession) -> None:
        if session.name == "empty":
            raise SignalingRefused("nobody publishes this", status=409, retry_after=1.2)
        raise ZeroDivisionError("a secret")

    async with aiohttp.ClientSession() as http, WhepServer(nobody) as server:
        whep = Harness(server, http)
        status, headers, text = await whep.ask("POST", "/whep/empty", SDP, offer)
        assert (status, headers["Retry-After"]) == (409, "2")
        assert "nobody publishes this" in text
        status, _, text = await whep.ask("POST", "/whep", SDP, offer)
        assert status == 500
        assert "secret" not in text
        assert server.sessions == ()


async def test_a_handler_may_answer_by_itself(offer: str) -> None:
    done = []

    async def play(session: WhipSession) -> None:
        async with SupervisedPeer(session):
            done.append(await session.ended())

    async with aiohttp.ClientSession() as http, WhepServer(play) as server:
        where, _ = await Harness(server, http).begin(offer, "/whep")
        assert where.startswith("/whep/-/")
        status, _, _ = await Harness(server, http).ask(
            "PATCH", where, FRAGMENT | TOKEN | {"If-Match": "*"}, NEW
        )
        assert status == 200
        assert (await Harness(server, http).ask("DELETE", where, TOKEN))[0] == 200
        async with asyncio.timeout(30):
            while not done:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert done == ["client"]


async def test_players_may_leave_if_match_out_where_the_credentials_tell(offer: str) -> None:
    async with aiohttp.ClientSession() as http, WhepServer(prepare) as server:
        whep = Harness(server, http)
        where, _ = await whep.begin(offer, "/whep")
        ufrag = fragment_of(offer)[0].ufrag
        assert (await whep.ask("PATCH", where, FRAGMENT | TOKEN, f"a=ice-ufrag:{ufrag}\r\n{CANDIDATE}"))[
            0
        ] == 204
        for body in (CANDIDATE, NEW, "a=ice-ufrag:older\r\n" + CANDIDATE):
            assert (await whep.ask("PATCH", where, FRAGMENT | TOKEN, body))[0] == 428


async def test_a_handler_that_never_answers(offer: str) -> None:
    async def never(session: WhipSession) -> None:
        await asyncio.Event().wait()

    async with aiohttp.ClientSession() as http, WhipServer(never, answer_timeout=0.1) as server:
        assert (await Harness(server, http).ask("POST", "/whip", SDP, offer))[0] == 504
        assert server.sessions == ()


@pytest.mark.parametrize("late", [False, True])
async def test_a_session_that_ends_before_its_handler_has_answered(
    offer: str, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    """By the handler itself, or by the owner while the handler still runs: a refusal, no error of the server."""

    async def end(session: WhipSession) -> None:
        if late:
            ending.append(asyncio.ensure_future(session.end("server")))
            await asyncio.Event().wait()
        await session.end("server")

    ending: list[asyncio.Future[None]] = []
    async with aiohttp.ClientSession() as http, WhipServer(end) as server:
        assert (await Harness(server, http).ask("POST", "/whip", SDP, offer))[0] == 404
        assert server.sessions == ()
        await asyncio.gather(*ending)
    assert not caplog.records


async def test_no_connection_is_made_for_an_answer_that_is_too_late(offer: str) -> None:
    made: list[RTCPeerConnection] = []

    def make() -> RTCPeerConnection:
        made.append(RTCPeerConnection())
        return made[-1]

    async def never(session: WhipSession) -> None:
        await asyncio.Event().wait()

    async with (
        aiohttp.ClientSession() as http,
        WhipServer(never, answer_timeout=0.01, make_connection=make) as server,
    ):
        assert (await Harness(server, http).ask("POST", "/whip", SDP, offer))[0] == 504
    assert made == []


async def test_a_lost_connection_ends_the_session(whip: Harness, offer: str) -> None:
    await whip.begin(offer)
    (session,) = whip.server.sessions
    await session.pc.close()
    session._on_state(None)
    assert await session.ended() == "closed"
    assert whip.server.sessions == ()


async def test_a_client_that_never_connects_is_dropped(offer: str) -> None:
    async with aiohttp.ClientSession() as http, WhipServer(prepare, connect_timeout=0.2) as server:
        await Harness(server, http).begin(offer, "/whip")
        (session,) = server.sessions
        async with asyncio.timeout(30):
            assert await session.ended() == "failed"
        assert server.sessions == ()


async def test_ice_servers_are_told_by_options_to_those_who_may(offer: str) -> None:
    servers = [{"urls": "turn:t.example", "username": "u", "credential": "c"}]
    async with (
        aiohttp.ClientSession() as http,
        WhipServer(prepare, authorize=authorize, configuration={"iceServers": servers}) as server,
    ):
        whip = Harness(server, http)
        _, headers, _ = await whip.ask("OPTIONS", "/whip/cam", TOKEN)
        assert 'credential="c"' in headers["Link"]
        preflight = {"Origin": server.url.removesuffix("/whip"), "Access-Control-Request-Method": "POST"}
        for fields in (preflight, {}):
            _, headers, _ = await whip.ask("OPTIONS", "/whip/cam", fields)
            assert "Link" not in headers


async def test_a_client_that_does_not_wait_leaves_nothing(offer: str) -> None:
    async def slow(session: WhipSession) -> None:
        await asyncio.sleep(0.2)

    async with aiohttp.ClientSession() as http, WhipServer(slow) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await Harness(server, http).ask("POST", "/whip", SDP, offer)
        await asyncio.sleep(0.05)
        assert await server.drained(30)


# -- who may, limits, draining


async def test_a_dead_stun_server_does_not_delay_the_answer(offer: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        WhipServer(prepare, configuration={"iceServers": [{"urls": "stun:192.0.2.77:9"}]}) as server,
    ):
        began = asyncio.get_running_loop().time()
        status, headers, answer = await Harness(server, http).ask("POST", "/whip", SDP, offer)
        assert asyncio.get_running_loop().time() - began < 7.0  # it is asked for 8 s
        assert status == 201
        assert "typ host" in answer
        assert headers.getall("Link") == ['<stun:192.0.2.77:9>; rel="ice-server"']


async def test_a_provider_that_hangs_does_not_either(offer: str) -> None:
    async def fetch() -> Any:
        await asyncio.Event().wait()

    async with (
        IceServerProvider(fetch) as provider,
        aiohttp.ClientSession() as http,
        WhipServer(prepare, provider=provider) as server,
        asyncio.timeout(30),
    ):
        assert (await Harness(server, http).ask("POST", "/whip", SDP, offer))[0] == 201


async def test_cors(offer: str) -> None:
    origin = {"Origin": "https://app.example"}
    async with (
        aiohttp.ClientSession() as http,
        WhipServer(prepare, origins=["https://app.example"]) as server,
    ):
        whip = Harness(server, http)
        preflight = origin | {"Access-Control-Request-Method": "PATCH"}
        status, headers, _ = await whip.ask("OPTIONS", "/whip/cam", preflight)
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "PATCH" in headers["Access-Control-Allow-Methods"]
        assert "If-Match" in headers["Access-Control-Allow-Headers"]
        status, headers, _ = await whip.ask("POST", "/whip/cam", SDP | origin, offer)
        assert status == 201
        for name in ("Location", "ETag", "Link", "WWW-Authenticate"):
            assert name in headers["Access-Control-Expose-Headers"]
        status, headers, _ = await whip.ask("POST", "/whip", {"Origin": "https://app.example"} | TOKEN, "x")
        assert status == 415
        assert headers["Access-Control-Allow-Origin"] == "https://app.example"
        own = {"Origin": server.url.removesuffix("/whip")}
        assert (await whip.ask("POST", "/whip", SDP | own, offer))[0] == 201
        status, headers, _ = await whip.ask("OPTIONS", "/whip", {"Origin": "null"})
        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers
    async with aiohttp.ClientSession() as http, WhipServer(prepare, origins=["*"]) as server:
        assert (await Harness(server, http).ask("POST", "/whip", SDP | origin, offer))[0] == 201


async def test_rates_and_the_number_of_sessions(offer: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        WhipServer(prepare, max_sessions=2, token_rate=RateLimit(0.1, 4)) as server,
    ):
        whip = Harness(server, http)
        statuses = [(await whip.ask("POST", "/whip", SDP | TOKEN, offer))[0] for _ in range(4)]
        assert statuses == [201, 201, 503, 503]
        status, headers, _ = await whip.ask("POST", "/whip", SDP | TOKEN, offer)
        assert status == 429
        assert int(headers["Retry-After"]) >= 9
        assert (await whip.ask("POST", "/whip", SDP, offer))[0] == 503  # another token, or none
    async with aiohttp.ClientSession() as http, WhipServer(prepare, address_rate=RateLimit(0.1, 3)) as server:
        statuses = [(await Harness(server, http).ask("GET", "/whip"))[0] for _ in range(3)]
        assert statuses == [405, 405, 405]  # what costs nothing is not counted
        statuses = [(await Harness(server, http).ask("POST", "/whip", SDP, "x"))[0] for _ in range(5)]
        assert statuses == [400, 400, 400, 429, 429]


async def test_a_hundred_at_once_never_exceed_the_limit(offer: str) -> None:
    async with aiohttp.ClientSession() as http, WhipServer(prepare, max_sessions=3) as server:
        whip = Harness(server, http)
        done = await asyncio.gather(*(whip.ask("POST", "/whip", SDP, offer) for _ in range(30)))
        assert sorted(status for status, _, _ in done) == [201] * 3 + [503] * 27


async def test_draining(offer: str) -> None:
    async with aiohttp.ClientSession() as http, WhipServer(prepare) as server:
        whip = Harness(server, http)
        where, etag = await whip.begin(offer)
        server.drain()
        status, headers, _ = await whip.ask("POST", "/whip", SDP, offer)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert (await whip.ask("PATCH", where, FRAGMENT | TOKEN | {"If-Match": etag}, CANDIDATE))[0] == 204
        assert not await server.drained(0.01)
        await whip.ask("DELETE", where, TOKEN)
        assert await server.drained(30)
        assert repr(server) == "<WhipServer /whip, 0 sessions, draining>"


async def test_within_an_application_of_ones_own(offer: str) -> None:
    application, inner = web.Application(), web.Application()
    server = WhipServer(prepare, hosts=["127.0.0.1"])
    server.add_to(inner)
    application.add_subapp("/media", inner)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        async with http.post(base + "/media/whip/cam", data=offer, headers=SDP) as response:
            assert response.status == 201
            where = response.headers["Location"]
            assert where.startswith("/media/whip/cam/")
        async with http.delete(base + where) as response:
            assert response.status == 200
        async with http.post(base + "/media/whip/cam", data=offer, headers=SDP) as response:
            assert response.status == 201
    (session,) = server.sessions
    await runner.cleanup()
    assert session.reason == "server"


# -- bad input


async def test_fuzzed_requests(whip: Harness, offer: str) -> None:
    """Mutated requests get a status that says so, and the server goes on. RTCPEER_FUZZ_CASES makes it longer."""
    cases = int(os.environ.get("RTCPEER_FUZZ_CASES", "300"))
    source = random.Random(11)
    whip.server._address_rate = RateLimit(1e9, 10**9)
    whip.server._token_rate = RateLimit(1e9, 10**9)
    whip.server._connect_timeout = 3600  # nobody connects
    where, etag = await whip.begin(offer)
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    for _ in range(cases):
        method = source.choice(["POST", "POST", "PATCH", "PATCH", "DELETE", "OPTIONS", "BREW"])
        path = source.choice(
            ["/whip/cam", where, "/whip", where + "x", "/whip/%00/..%2f", "/whip/" + "y" * 300]
        )
        if (method, path) == ("DELETE", where):
            continue
        text = bytearray(source.choice([offer, NEW + CANDIDATE, CANDIDATE, "", "v=0\r\n"]).encode())
        for _ in range(source.choice([0, 1, 3, 30])):
            if text:
                place = source.randrange(len(text))
                piece = source.choice(
                    [b"", b"\x00", b"\xff", b"\r\n", b"m=audio 9 ", b"a=ice-ufrag:", b"9" * 40]
                )
                text[place : place + source.choice([0, 1, 5, 200])] = piece
        headers = {
            "Content-Type": source.choice([*SDP.values(), *FRAGMENT.values(), "a/b"]),
            "If-Match": source.choice([etag, "*", '"', ",", "W/x"]),
            "Authorization": source.choice(["Bearer secret", "Bearer", "Bearer " + "z" * 5000]),
        }
        status, _, said = await whip.ask(method, path, headers, bytes(text))
        assert status in (200, 201, 204, 400, 401, 404, 405, 412, 413, 415, 422), (status, method, path, said)
        for session in whip.server.sessions:
            if session.id not in where:
                await session.close()
    asyncio.get_running_loop().set_exception_handler(None)
    assert not errors
    assert [session.id in where for session in whip.server.sessions] == [True]
