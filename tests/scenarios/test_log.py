"""The log of a call: enough to debug it, each line with its connection, and no secret in it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest

from rtcpeer import log
from rtcpeer.testing import PeerPair, TurnServer


@pytest.fixture
def debug(caplog):
    caplog.set_level(logging.DEBUG, logger="rtcpeer")
    return caplog


async def relayed_call(network):
    """A call over a relay, with a restart and bad input; gives the pair."""
    host = network.add_host("turn.example")
    secret = "tUrNsEcReT42"
    async with TurnServer(users={"user": secret}, network=host.network, hostname="turn.example") as server:
        url = server.turn_url
        servers = [
            {"urls": url, "username": "user", "credential": secret},
            {"urls": url, "username": "user", "credential": "wRoNgSeCrEt"},
            {"urls": server.stun_url},
        ]
        async with PeerPair({"iceServers": servers}, network=network) as pair:
            channel = pair.offerer.createDataChannel("private-label")
            await pair.connect()
            await channel.opened()
            await pair.restart_ice()
            for _ in range(2000):
                channel.send("x" * 100)
            bad = pair.offerer.localDescription.sdp.replace("a=ice-pwd:", "a=ice-pwd: é")
            with pytest.raises(Exception, match=r"."):
                await pair.answerer.setRemoteDescription({"type": "offer", "sdp": bad})
            return pair


async def test_a_call_can_be_followed_at_debug_and_holds_no_secret(virtual_network, debug):
    pair = await relayed_call(virtual_network)
    lines = [r.getMessage() for r in debug.records if r.name.startswith("rtcpeer")]
    text = "\n".join(lines)
    for wanted in (
        "asks turn:",
        "relays at",
        "gave nothing: 401",
        "is mapped to",
        "local candidate: host",
        "local candidate: relay",
        "remote candidate: host",
        "check sent",
        "check received",
        "succeeded in",
        "nominated",
        "selected pair:",
        "DTLS sends ClientHello",
        "DTLS is connected",
        "signaling is have-local-offer",
        "restarts ICE",
        "setRemoteDescription(offer)",
        "setRemoteDescription failed: ",
        "is connected",
        "is closed",
    ):
        assert wanted in text, wanted
    # the connection is in each line, and the traffic is in none
    assert [line for line in lines if not re.match(r"pc-[0-9a-f]{6}", line)] == []
    assert len(lines) < 600
    secrets = {"tUrNsEcReT42", "wRoNgSeCrEt", "private-label", "a=ice", "v=0"}
    for _sender, message in pair.messages:
        secrets.update(re.findall(r"ice-pwd:(\S+)", str(message.get("sdp", "")).replace("\\r\\n", " ")))
    assert len(secrets) > 7
    assert [secret for secret in secrets if secret in text] == []


async def test_info_tells_states_pairs_and_restarts_and_little_else(virtual_network, caplog):
    caplog.set_level(logging.INFO, logger="rtcpeer")
    async with PeerPair(network=virtual_network) as pair:
        pair.offerer.createDataChannel("x")
        await pair.connect()
        await pair.restart_ice()
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.INFO]
    assert any("selected pair" in line for line in lines)
    assert any("restarts ICE" in line for line in lines)
    assert any(line.endswith("is connected") for line in lines)
    assert len(lines) < 60


async def test_nothing_is_logged_while_the_level_is_off(virtual_network, caplog):
    async with PeerPair(network=virtual_network) as pair:
        pair.offerer.createDataChannel("x")
        await pair.connect()
        agent = next(iter(pair.offerer._session_.executor.transports.values())).agent
        assert agent.log._pairs == {}  # no bookkeeping either
    assert [r for r in caplog.records if r.name.startswith("rtcpeer")] == []


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("debug", {"rtcpeer": logging.DEBUG}),
        (
            " rtcpeer.ice = DEBUG, rtcpeer=info,",
            {"rtcpeer.ice": logging.DEBUG, "rtcpeer": logging.INFO},
        ),
        ("", {}),
        ("off", {"rtcpeer": logging.CRITICAL + 10}),
    ],
)
def test_the_variable_names_levels(text, levels):
    assert log.parse(text) == levels


@pytest.mark.parametrize("text", ["loud", "asyncio=debug", "rtcpeerx=info", "rtcpeer.ice="])
def test_what_cannot_be_read_changes_nothing_and_is_told(text, caplog):
    with pytest.raises(ValueError, match=r"rtcpeer|level"):
        log.parse(text)
    before = logging.getLogger("rtcpeer").level
    log.configure(text)
    assert logging.getLogger("rtcpeer").level == before
    assert "RTCPEER_LOG is ignored" in caplog.text


@pytest.mark.parametrize(("own", "lines"), [(False, 1), (True, 1)])
def test_the_environment_gives_an_output_once(own, lines):
    code = "import logging, rtcpeer\n"
    if own:
        code += "logging.basicConfig(format='mine %(message)s')\n"
    code += "logging.getLogger('rtcpeer.ice').debug('hello'); logging.getLogger('rtcpeer.sctp').debug('no')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"RTCPEER_LOG": "rtcpeer.ice=debug", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr.count("hello") == lines
    assert ("mine hello" in run.stderr) is own
    assert "no" not in run.stderr.replace("hello", "")
