"""No credential is in a log at DEBUG, a trace, a metric, an error or a `repr`, whatever it looks like."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rtcpeer import RTCConfiguration, RTCIceServer, RTCPeerConnection, SupervisedPeer
from rtcpeer.metrics import Metrics
from rtcpeer.signaling import (
    HttpOfferServer,
    HttpSdpClient,
    Permit,
    RoomClient,
    RoomServer,
    WhepClient,
    WhepServer,
    WhipClient,
    WhipServer,
)
from rtcpeer.testing import PeerPair, TurnServer, VirtualNetwork, run_virtual
from rtcpeer.trace import Tracer

pytestmark = pytest.mark.timeout(300)

# what a header field, a URL after quoting, SASLprep and JSON can all carry; the beginning makes it unlike anything else
LETTERS = "abcXYZ019-_.~!$*+=:;,@%&/?"
# a bearer token has fewer letters (RFC 6750 section 2.1)
TOKEN = st.text("abcXYZ019-_.~+/", min_size=6, max_size=24).map(lambda text: f"Zq7{text}")
# one example takes a whole call: what is found says enough as it is
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
SECRET = st.text(LETTERS, min_size=6, max_size=24).map(lambda text: f"Zq7{text}")


class Heard(logging.Handler):
    """Everything that is said while it is in use, in every form it could be kept."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.counted = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.counted += 1
        self.add(record.getMessage(), record.args)
        if record.exc_info:
            self.texts.append("".join(traceback.format_exception(*record.exc_info)))

    def add(self, *values: Any) -> None:
        for value in values:
            self.texts += [str(value), repr(value)]

    def error(self, error: BaseException) -> None:
        """An exception with all that caused it; not the source lines of this file, which a traceback would show."""
        seen: BaseException | None = error
        while seen is not None:
            self.add(seen, seen.args, getattr(seen, "reason", ""), getattr(seen, "findings", ""))
            # what a traceback shows
            seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)

    async def expect_failure(self, work: Awaitable[Any]) -> None:
        with pytest.raises(Exception) as caught:
            await work
        self.error(caught.value)

    def sample(self, metric: Any, labels: tuple[str, ...], value: float) -> None:
        """A sink of metrics."""
        self.add(metric, labels, value)


@contextlib.contextmanager
def hearing() -> Any:
    heard = Heard()
    loggers = [logging.getLogger(name) for name in ("", "rtcpeer", "aiohttp", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    loggers[0].addHandler(heard)
    try:
        yield heard
    finally:
        loggers[0].removeHandler(heard)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def expect_none_of(secrets: list[str], heard: Heard) -> None:
    """A secret may also have been quoted for a URL or written as JSON on its way."""
    text = "\n".join(heard.texts)
    assert heard.counted > 10, "nothing was logged: this proves nothing"
    for secret in secrets:
        for form in {
            secret,
            quote(secret, safe=""),
            quote(secret),
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
        }:
            place = text.find(form)
            assert place < 0, f"{secret!r} in {text[max(0, place - 200) : place + 100]!r}"


async def relayed_call(heard: Heard, user: str, secret: str, wrong: str) -> list[str]:
    """Over TURN, with a restart, a wrong password, refused input and a change of servers; gives secrets of its own."""
    network = VirtualNetwork()
    host = network.add_host("turn.example")
    server = TurnServer(users={user: secret}, network=host.network, hostname="turn.example")
    metrics, found = Metrics(), []
    async with server:
        good = {"urls": server.turn_url, "username": user, "credential": secret}
        bad = {"urls": server.turn_url, "username": user, "credential": wrong}
        heard.add(RTCIceServer(**good), RTCConfiguration(iceServers=[RTCIceServer(**bad)]))
        for odd in (
            {**good, "urls": f"turn:{wrong}@host"},
            {**good, "urls": f"http://x/{wrong}"},
            {**good, "urls": [""]},
        ):
            await heard.expect_failure(raising(odd))
        async with PeerPair(
            {"iceServers": [good, bad], "iceTransportPolicy": "relay"}, network=network
        ) as pair:
            metrics.add(pair.offerer)
            async with Tracer(pair.offerer) as tracer:
                for pc in (pair.offerer, pair.answerer):
                    pc.addEventListener("icecandidateerror", lambda e: heard.add(e, e.errorText, e.url))
                channel = pair.offerer.createDataChannel("x")
                await pair.connect()
                await channel.opened()
                await pair.restart_ice()
                pair.offerer.setConfiguration({"iceServers": [good]})
                offer = pair.answerer.localDescription.sdp.replace("a=ice-pwd:", "a=ice-pwd: \u00e9")
                await heard.expect_failure(pair.offerer.setRemoteDescription({"type": "offer", "sdp": offer}))
                heard.add(
                    tracer.dump(), json.dumps(tracer.dump()), pair.offerer.explain(), pair.offerer, pair
                )
                heard.add(pair.offerer.localDescription, pair.offerer.getConfiguration(), server, network)
            metrics.write(heard)
            for message in pair.messages:
                found += re.findall(r"ice-pwd:([^\s\\]+)", json.dumps(message))
    network.close()
    assert len(set(found)) >= 4, "both sides, before and after the restart"
    return found


async def raising(server: dict[str, Any]) -> None:
    RTCPeerConnection({"iceServers": [server]})


@settings(max_examples=8, deadline=None, phases=UNSHRUNK)
@given(SECRET, SECRET, SECRET)
def test_of_a_call_over_turn(user: str, secret: str, wrong: str) -> None:
    with hearing() as heard:
        found = run_virtual(relayed_call(heard, user, secret, wrong))
        expect_none_of([user, secret, wrong, *found], heard)


@contextlib.asynccontextmanager
async def player(channel: Any) -> AsyncIterator[Any]:
    async with SupervisedPeer(channel) as peer:
        peer.createDataChannel("x")
        yield peer


async def over_http(heard: Heard, token: str, wrong: str, key: str) -> None:
    """WHIP, WHEP and offers over HTTP: with the right and the wrong token, and a key in the query."""
    query = f"?key={quote(key, safe='')}"
    options: dict[str, Any] = {"authorize": lambda request, name, given: given == token}
    whip, whep = WhipServer(lambda session: None, **options), WhepServer(lambda session: None, **options)
    offers = HttpOfferServer(lambda session: None, **options)
    async with whip, whep, offers:
        for make, server in ((WhipClient, whip), (WhepClient, whep)):
            client = make(f"{server.url}/cam{query}", token=token)
            async with player(client) as peer:
                await peer.connected(30)
                peer.restart()
                await asyncio.sleep(0)
                heard.add(client, peer, server, server.sessions, client.ice_servers, peer.history)
            refused = make(f"{server.url}/cam{query}", token=wrong)
            async with player(refused) as peer:
                peer.onsignalingerror = lambda event: heard.error(event.error)
                await heard.expect_failure(peer.closed())
                heard.add(refused, peer)
        await heard.expect_failure(raising_async(WhipClient, f"{whip.url}{query}", token=f"{wrong}\n"))
        for url in (
            f"ftp://{wrong}@host/{query}",
            f"http://host:{wrong}/{query}",
            f"http://[{wrong}/",
            f"//{wrong}{query}",
        ):
            await heard.expect_failure(raising_async(WhipClient, url, token=token))
        async with HttpSdpClient(f"{offers.url}{query}", token=wrong) as channel, player(channel) as peer:
            await heard.expect_failure(peer.closed())
            heard.add(channel, offers)
        nobody = WhipClient(f"http://127.0.0.1:9/{query}", token=token)
        await heard.expect_failure(nobody.options())
        await nobody.close()


async def raising_async(make: Any, *arguments: Any, **options: Any) -> None:
    make(*arguments, **options)


async def in_a_room(heard: Heard, token: str, wrong: str, key: str) -> list[str]:
    """Entered with a token and a key in the URL, socket lost, resumed, refused; gives the tokens to resume."""
    metrics = Metrics()

    def authorize(request: Any, room: str, name: str | None) -> Permit | bool:
        return Permit(user=token) if request.headers.get("Authorization") == f"Bearer {token}" else False

    async with RoomServer(authorize=authorize, secret=key) as server:
        metrics.add(server)
        url = f"{server.url}?key={quote(key, safe='')}"
        async with (
            RoomClient(url, name="a", headers={"Authorization": f"Bearer {token}"}) as a,
            RoomClient(url, name="b", headers={"Authorization": f"Bearer {token}"}) as b,
        ):
            room, other = await a.openOrJoin("lobby"), await b.openOrJoin("lobby")
            member = await anext(room)
            back = asyncio.Event()
            room.onconnectionback = lambda _: back.set()
            for socket in tuple(server._sockets):
                assert socket.request.transport is not None
                socket.request.transport.abort()
            await back.wait()
            resume = [one._token for one in (room, other)]
            heard.add(a, room, member, server, server.backend, server._sockets, server.statistics)
            metrics.write(heard)
        async with RoomClient(url, headers={"Authorization": f"Bearer {wrong}"}) as thief:
            await heard.expect_failure(thief.openOrJoin("lobby"))
        query = f"?key={quote(key, safe='')}"
        for wrong_url in (
            f"http://127.0.0.1:9/{query}",
            f"ftp://x/{query}",
            f"//{query}",
            f"ws://[{wrong}/{query}",
        ):
            async with RoomClient(wrong_url) as nobody:
                await heard.expect_failure(nobody.openOrJoin("lobby"))
    return [str(one) for one in resume]


@settings(max_examples=2, deadline=None, phases=UNSHRUNK)
@given(TOKEN, TOKEN, SECRET)
def test_of_signaling(token: str, wrong: str, key: str) -> None:
    if token == wrong:
        return
    with hearing() as heard:
        asyncio.run(over_http(heard, token, wrong, key))
        resume = asyncio.run(in_a_room(heard, token, wrong, key))
        expect_none_of([token, wrong, key, *resume], heard)
