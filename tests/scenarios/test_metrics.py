"""Metrics of connections: what Prometheus reads, counters that never fall, nothing that is held."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import subprocess
import weakref
from pathlib import Path

import aiohttp
import pytest

from rtcpeer import Forwarder, RTCPeerConnection
from rtcpeer.metrics import METRICS, Metrics
from rtcpeer.signaling import RoomServer
from rtcpeer.signaling.rooms.statistics import REASONS, RoomStatistics
from rtcpeer.testing import PeerPair
from tests.unit.signaling.roomkit import raw

prometheus_client = pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from rtcpeer.metrics import PrometheusCollector  # noqa: E402


def registry_of(metrics):
    registry = prometheus_client.CollectorRegistry()
    registry.register(PrometheusCollector(metrics))
    return registry


def scrape(registry):
    text = prometheus_client.generate_latest(registry).decode()
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, *sorted(v for k, v in sample.labels.items() if k != "group")] = sample.value
    return text, samples


async def test_a_call_in_numbers(virtual_network):
    metrics = Metrics()
    registry = registry_of(metrics)
    async with PeerPair(network=virtual_network) as pair:
        metrics.add(pair.offerer, group="test")
        metrics.add(pair.offerer, group="again")  # no effect
        channel = pair.offerer.createDataChannel("x")
        _, before = scrape(registry)
        assert before["rtcpeer_connections", "new"] == 1
        await pair.connect()
        await channel.opened()
        channel.send(b"x" * 1000)
        await pair.restart_ice()
        await asyncio.sleep(1)
        text, now = scrape(registry)
        assert now["rtcpeer_connections", "connected"] == 1
        assert now["rtcpeer_connections", "new"] == 0
        assert now["rtcpeer_connections_opened_total",] == 1
        assert now["rtcpeer_ice_restarts_total",] == 1
        assert now["rtcpeer_paths", "host"] == 1
        assert now["rtcpeer_data_channel_bytes_total", "sent"] == 1000
        assert now["rtcpeer_data_channels",] == 1
        assert now["rtcpeer_transport_packets_total", "received"] > 5
        assert 0 < now["rtcpeer_round_trip_seconds", "max"] < 1
        assert 'group="test"' in text
        assert 'group="again"' not in text
        channel.send(b"x" * 500)
        await asyncio.sleep(1)
    # what came after the last reading is not lost with the connection
    _, after = scrape(registry)
    assert after["rtcpeer_data_channel_bytes_total", "sent"] == 1500
    assert ("rtcpeer_connections", "connected") not in after or after["rtcpeer_connections", "connected"] == 0
    assert all(after[key] >= value for key, value in now.items() if key[0].endswith("_total"))


async def test_a_connection_is_held_by_nobody(virtual_network):
    metrics = Metrics()
    pair = PeerPair(network=virtual_network)
    metrics.add(pair.offerer)
    ref = weakref.ref(pair.offerer)
    await pair.close()
    del pair
    gc.collect()
    assert ref() is None
    _, samples = scrape(registry_of(metrics))
    assert samples["rtcpeer_connections_opened_total",] == 1


async def test_failures_count(virtual_network):
    metrics = Metrics()
    async with PeerPair(network=virtual_network) as pair:
        metrics.add(pair.offerer)
        pair.offerer.createDataChannel("x")
        await pair.connect()
        await virtual_network.hosts["bob"].link.outage_of(60)
        _, samples = scrape(registry_of(metrics))
        assert samples["rtcpeer_connections_failed_total",] == 1
        assert samples["rtcpeer_connections", "failed"] == 1


async def test_groups_are_bounded():
    metrics = Metrics(groups_max=2)
    connections = [RTCPeerConnection() for _ in range(5)]
    for index, pc in enumerate(connections):
        metrics.add(pc, group=f"caller-{index}")
    text, _ = scrape(registry_of(metrics))
    assert set(re.findall(r'group="([^"]*)"', text)) == {"caller-0", "caller-1", "other"}
    for pc in connections:
        await pc.close()


async def test_a_forwarder_is_measured_and_a_string_is_not():
    metrics = Metrics()
    async with RTCPeerConnection() as publisher, RTCPeerConnection() as viewer:
        forwarder = Forwarder(publisher.addTransceiver("video", direction="recvonly").receiver)
        output = forwarder.add(viewer.addTransceiver("video", direction="sendonly").sender)
        output.paused = True
        metrics.add(forwarder)
        _, samples = scrape(registry_of(metrics))
        assert samples["rtcpeer_forwarder_outputs", "paused"] == 1
        assert samples["rtcpeer_forwarded_packets_total",] == 0
        with pytest.raises(TypeError, match="not 'pc'"):
            metrics.add("pc")


async def test_another_thread_reads_in_the_loop_of_the_connection():
    metrics = Metrics()
    registry = registry_of(metrics)
    async with PeerPair() as pair:
        metrics.add(pair.offerer)
        pair.offerer.createDataChannel("x")
        await pair.connect()
        _, samples = await asyncio.to_thread(scrape, registry)
        assert samples["rtcpeer_connections", "connected"] == 1


def test_every_metric_is_documented_and_well_named():
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    assert [m.name for m in METRICS if f"| `{m.name}`" not in page] == []
    assert set(re.findall(r"`(rtcpeer_\w+)`", page)) == {m.name for m in METRICS}
    for metric in METRICS:
        assert metric.name.endswith("_total") is (metric.kind == "counter")
        assert metric.labels[0] == "group"


UNPACKED = Path(__file__).parents[2] / "build" / "debian13" / "usr" / "bin"
PROMTOOL = shutil.which("promtool", path=os.pathsep.join((os.environ.get("PATH", os.defpath), str(UNPACKED))))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: make system unpacks it")
async def test_promtool_has_no_complaint():
    """Of any metric: every one has a sample."""

    class Everything(Metrics):
        def write(self, sink):
            for metric in METRICS:
                sink.sample(metric, ("a", *metric.labels[1:]), 1.0)

    text, samples = scrape(registry_of(Everything()))
    assert len(samples) == len(METRICS)
    assert PROMTOOL is not None
    run = await asyncio.to_thread(
        subprocess.run, [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


async def test_rooms_in_numbers():
    """Members, sockets, frames and bytes both ways, refusals by reason, and how long a client lets frames wait."""
    metrics = Metrics()
    registry = registry_of(metrics)
    server = RoomServer(max_per_address=3)
    metrics.add(server, group="rooms")
    metrics.add(server)
    assert scrape(registry)[1]["rtcpeer_room_members",] == 0
    async with server, aiohttp.ClientSession() as session:
        async with raw(server) as one, raw(server) as two, raw(server) as three:
            a, b = await one.enter(), await two.enter()
            await one.receive("joined")
            await one.send({"type": "message", "to": b["id"], "message": {"x": 1}})
            await two.receive("message")
            await three.ask({"type": "enter", "room": "lobby", "mode": "open"}, "error")
            await three.ask("rubbish", "error")
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(server.url)
            (stuck, *_) = (socket for socket in server._sockets if socket.id == a["id"])
            stuck._writing_since = asyncio.get_running_loop().time() - 3
            samples = await asyncio.to_thread(lambda: scrape(registry)[1])  # read in its own loop
            assert (samples["rtcpeer_room_members",], samples["rtcpeer_room_sockets",]) == (2, 3)
            assert samples["rtcpeer_room_lag_seconds",] >= 3
            assert samples["rtcpeer_room_frames_total", "received"] == 5
            assert samples["rtcpeer_room_frames_total", "sent"] >= 6
            assert (
                samples["rtcpeer_room_bytes_total", "sent"]
                > samples["rtcpeer_room_bytes_total", "received"]
                > 100
            )
            reasons = {
                key[1]: value for key, value in samples.items() if key[0] == "rtcpeer_room_refusals_total"
            }
            assert reasons == {"exists": 1, "bad-frame": 1, "too-many": 1}
        before = samples["rtcpeer_room_frames_total", "sent"]
    del server, stuck
    gc.collect()
    samples = scrape(registry)[1]
    assert samples["rtcpeer_room_frames_total", "sent"] >= before
    assert ("rtcpeer_room_members",) not in samples


def test_reasons_are_a_fixed_set():
    statistics = RoomStatistics()
    for reason in ("full", "of an attacker", "another"):
        statistics.refuse(reason)
    assert statistics.refusals == {"full": 1, "other": 2}
    assert len(set(REASONS)) == len(REASONS)
