"""Names of packages that are loaded on demand."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from rtcpeer import lazy


@pytest.mark.parametrize(
    "package", ["config", "signaling", "supervisor", "testing", "calls", "testing.livekit"]
)
def test_every_name_of_a_face_is_there_and_nothing_else(package):
    module = importlib.import_module(f"rtcpeer.{package}")

    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


_ASK_FOR = """
import asyncio, sys
for name in {absent!r}:
    sys.modules[name] = None
from rtcpeer import join
for line in {lines!r}:
    try:
        exec(line)
    except ModuleNotFoundError as error:
        print(error)
"""


def test_what_needs_an_extra_says_which_one():
    expected = {
        "from rtcpeer.signaling import HttpOfferServer": (
            "rtcpeer.signaling.http.offer_server",
            "aiohttp",
            "signaling",
        ),
        "from rtcpeer.signaling import RedisBackend": ("rtcpeer.signaling.rooms.redis", "redis", "redis"),
        "from rtcpeer.calls import RTCMultiConnection": (
            "rtcpeer.calls.rtcmulticonnection",
            "aiohttp",
            "socketio",
        ),
        "from rtcpeer.metrics import PrometheusCollector": (
            "rtcpeer.metrics.prometheus",
            "prometheus_client",
            "metrics",
        ),
        "from rtcpeer.testing.livekit import LiveKitServer": (
            "rtcpeer.testing.livekit.server",
            "aiohttp",
            "livekit",
        ),
        "join('room+ws://host/?room=lobby')": ("rtcpeer.calls.rooms", "aiohttp", "signaling"),
        "join('livekit+ws://host', token='x')": ("rtcpeer.calls.livekit.room", "google", "livekit"),
    }
    absent = ["aiohttp", "redis", "socketio", "prometheus_client", "google"]
    code = _ASK_FOR.format(absent=absent, lines=list(expected))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        f"{module} needs {package}, which is not installed: pip install 'rtcpeer[{extra}]' "
        f"(in a checkout '.[{extra}]')"
        for module, package, extra in expected.values()
    ]


def test_a_fault_of_ones_own_is_told_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtcpeer.calls.nothing", None)
    with pytest.raises(ModuleNotFoundError, match=r"^import of rtcpeer\.calls\.nothing halted"):
        lazy.import_part("rtcpeer.calls.nothing")
