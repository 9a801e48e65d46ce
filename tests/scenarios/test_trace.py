"""A tracer records a call: bounded, without secrets, in the form of webrtc-internals; the page made of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
from html import escape

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.cli.main import main
from rtcpeer.testing import PeerPair, TurnServer, synthetic_track
from rtcpeer.trace import Tracer


async def traced_call(network, to=None, **bounds):
    """A relayed call with a restart; gives the tracer and the signaling messages."""
    host = network.add_host("turn.example")
    async with TurnServer(
        users={"someuser": "tUrNsEcReT"}, network=host.network, hostname="turn.example"
    ) as server:
        servers = [{"urls": server.turn_url, "username": "someuser", "credential": "tUrNsEcReT"}]
        async with PeerPair({"iceServers": servers}, network=network) as pair:
            async with Tracer(pair.offerer, to, **bounds) as tracer:
                channel = pair.offerer.createDataChannel("x")
                await pair.connect()
                await channel.opened()
                for _ in range(5):
                    channel.send(b"private message")
                    await asyncio.sleep(1)
                tracer.note("application", "hello")
                await pair.restart_ice()
                offer = pair.answerer.localDescription.sdp.replace("a=ice-pwd:", "a=ice-pwd: é")
                with pytest.raises(Exception, match=r"."):
                    await pair.offerer.setRemoteDescription({"type": "offer", "sdp": offer})
            return tracer, pair.messages


async def test_a_call_is_recorded_in_the_form_of_webrtc_internals(virtual_network, tmp_path):
    path = tmp_path / "call.json"
    tracer, messages = await traced_call(virtual_network, path)
    dump = json.loads(path.read_text())
    assert dump == tracer.dump()
    (record,) = dump["PeerConnections"].values()
    types = [line["type"] for line in record["updateLog"]]
    for wanted in (
        "createDataChannel",
        "setLocalDescription",
        "setRemoteDescription",
        "setRemoteDescriptionOnFailure",
        "addIceCandidate",
        "icecandidate",
        "signalingstatechange",
        "iceconnectionstatechange",
        "application",
    ):
        assert wanted in types, wanted
    states = [line["value"] for line in record["updateLog"] if line["type"] == "connectionstatechange"]
    assert states[:2] == ["connecting", "connected"]
    for key, series in record["stats"].items():
        assert set(series) == {"startTime", "endTime", "statsType", "values"}, key
        assert isinstance(json.loads(series["values"]), list)
    sent = next(
        v for k, v in record["stats"].items() if v["statsType"] == "data-channel" and "bytesSent" in k
    )
    assert json.loads(sent["values"])[-1] == 75
    text = path.read_text()
    secrets = {"tUrNsEcReT", "someuser", "private message"}
    for _sender, message in messages:
        secrets.update(re.findall(r"ice-pwd:(\S+)", str(message.get("sdp", ""))))
    assert len(secrets) > 6
    assert [secret for secret in secrets if secret in text] == []


async def test_the_page_shows_it_and_asks_for_nothing(virtual_network, tmp_path, capsys):
    path, page = tmp_path / "call.json", tmp_path / "call.html"
    tracer, _ = await traced_call(virtual_network, path)
    tracer.note("<script>alert(1)</script>", "<img src=x>")
    path.write_text(json.dumps(tracer.dump()))
    assert main(["report", str(path), "-o", str(page)]) == 0
    assert "1 connection" in capsys.readouterr().out
    html = page.read_text()
    for wanted in (
        "iceconnectionstate",
        "selected",
        "turn:turn.example",
        "data-chart",
        "Round trip",
        "setLocalDescription",
    ):
        assert wanted in html, wanted
    assert "<script>alert" not in html
    assert "<img" not in html
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    (block,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    drawn = {curve["name"] for chart in json.loads(block)["charts"] for curve in chart["curves"]}
    assert {"sent x", "received x"} <= drawn


async def test_trouble_is_recorded_with_its_reasons_and_the_page_shows_them(virtual_network, tmp_path):
    path, page = tmp_path / "call.json", tmp_path / "call.html"
    async with PeerPair(network=virtual_network) as pair, Tracer(pair.offerer, path):
        await pair.connect()
        await virtual_network.hosts["bob"].link.outage_of(60)
    (record,) = json.loads(path.read_text())["PeerConnections"].values()
    types = [line["type"] for line in record["updateLog"]]
    reasons = [line["value"] for line in record["updateLog"] if line["type"] == "explain"]
    assert types.count("explain") == 2  # disconnected, failed
    assert "disconnected" in reasons[0]
    assert main(["report", str(path), "-o", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    for reason in reasons:
        assert escape(reason.splitlines()[-1]) in html
    (block,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    bands = json.loads(block)["bands"]
    assert [band["state"] for band in bands] == ["disconnected", "failed"]
    assert bands[0]["to"] == bands[1]["from"]


async def test_the_page_allows_its_own_scripts_alone(virtual_network, tmp_path):
    path, page = tmp_path / "call.json", tmp_path / "call.html"
    await traced_call(virtual_network, path)
    assert main(["report", str(path), "-o", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert policy.startswith("default-src 'none'; ")
    assert set(re.findall(r"'sha256-([^']*)'", policy)) == hashes
    assert len(hashes) == 2
    assert "script-src 'unsafe" not in policy


async def test_what_is_kept_is_bounded(virtual_network):
    tracer, _ = await traced_call(virtual_network, events_max=20, samples_max=3, series_max=10)
    (record,) = tracer.dump()["PeerConnections"].values()
    assert len(record["updateLog"]) == 20
    assert len(record["stats"]) == 10
    assert max(len(json.loads(series["values"])) for series in record["stats"].values()) == 3
    assert record["updateLog"][0]["type"] == "createDataChannel"  # the beginning is kept
    assert record["updateLog"][-1]["type"] == "setRemoteDescriptionOnFailure"  # and the end


async def test_closing_the_connection_first_keeps_its_last_numbers(virtual_time):
    out = io.StringIO()
    async with Tracer(pc := RTCPeerConnection(), out):
        pc.createDataChannel("x")
        await pc.close()
        await asyncio.sleep(5)
    (record,) = json.loads(out.getvalue())["PeerConnections"].values()
    assert [line["type"] for line in record["updateLog"]][-1] == "close"
    assert record["stats"]


async def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(virtual_time, tmp_path):
    tracer = Tracer(RTCPeerConnection(), tmp_path / "missing" / "call.json")
    with pytest.raises(FileNotFoundError):
        await tracer.stop()
    await tracer.stop()
    with pytest.raises(TypeError, match="not 'pc'"):
        Tracer("pc")
    with pytest.raises(ValueError, match="interval must be above 0, not 0"):
        Tracer(RTCPeerConnection(), interval=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        '{"PeerConnections": 3}',
        '{"PeerConnections": {"a": {"updateLog": [{"time": "never", "type": "x"}]}}}',
        '{"PeerConnections": {"a": {"stats": {"k-m": {"values": "[1", "startTime": 1, "endTime": 2}}}}}',
        '{"PeerConnections": {"a": {"stats": {"k-timestamp": {"values": "[NaN]", "startTime": 1, "endTime": 2}}}}}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_dump_is_a_sentence(text, tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert main(["report", str(path), "-o", str(tmp_path / "x.html")]) == 2
    err = capsys.readouterr().err
    assert "is no dump" in err
    assert "Traceback" not in err
    assert not (tmp_path / "x.html").exists()


def test_a_missing_file_is_a_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none.json"), "-o", str(tmp_path / "x.html")]) == 2
    assert "No such file" in capsys.readouterr().err


async def test_what_changes_a_running_call_is_recorded_with_its_arguments(virtual_network):
    async with PeerPair(network=virtual_network) as pair, Tracer(pair.offerer) as tracer:
        sender = pair.offerer.addTrack(synthetic_track("video"))
        channel = pair.offerer.createDataChannel("chat", ordered=False, maxRetransmits=3)
        await pair.connect()
        await channel.opened()
        await sender.replaceTrack(other := synthetic_track("video"))
        parameters = sender.getParameters()
        parameters.encodings[0].maxBitrate = 300_000
        await sender.setParameters(parameters)
        await sender.replaceTrack(None)
        channel.close()
        await asyncio.sleep(1)
        (record,) = tracer.dump()["PeerConnections"].values()
    told = [(line["type"], line["value"]) for line in record["updateLog"]]
    assert (
        "createDataChannel",
        "label: chat, ordered: false, protocol: , negotiated: false, maxRetransmits: 3",
    ) in told
    assert ("replaceTrack", f"mid: 0, kind: video, track: id: {other.id}") in told
    assert ("replaceTrack", "mid: 0, kind: video, track: null") in told
    (asked,) = [value for type, value in told if type == "setParameters"]
    assert "max_bitrate: 300000" in asked
    types = [type for type, _ in told]
    assert types.index("datachannelopen") < types.index("setParameters") < types.index("datachannelclose")


async def test_the_text_of_an_implicit_description_is_recorded_without_its_password(virtual_network):
    async with PeerPair(network=virtual_network) as pair, Tracer(pair.offerer) as tracer:
        pair.offerer.createDataChannel("x")
        await pair.offerer.createOffer()
        await pair.offerer.setLocalDescription()
        (record,) = tracer.dump()["PeerConnections"].values()
        secret = re.findall(r"a=ice-pwd:(\S+)", pair.offerer.localDescription.sdp)[0]
    told = {line["type"]: line["value"] for line in record["updateLog"]}
    for call in ("createOfferOnSuccess", "setLocalDescriptionOnSuccess"):
        assert told[call].startswith("type: offer, sdp: v=0")
        assert "m=application" in told[call]
        assert "a=ice-pwd***" in told[call]
        assert secret not in told[call]
