"""Settings that cannot be meant are refused where they are written, by name."""

from typing import Any

import pytest

from rtcpeer import RTCRangeError
from rtcpeer.ice.settings import IceSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp", "passiv"),
        ("tcp", True),
        ("nat_1to1_type", "hosts"),
        ("include_loopback", "yes"),
        ("include_loopback", 1),
        ("server_timeout", "5"),
        ("keepalive", True),
        ("max_pairs", None),
        ("bind_addresses", "192.0.2.17"),
    ],
)
def test_what_is_of_another_kind(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        IceSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keepalive", -1),
        ("connect_timeout", float("nan")),
        ("port_range", (50100, 50000)),
        ("port_range", (0, 99)),
        ("port_range", (50000, 65536)),
    ],
)
def test_what_is_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(RTCRangeError, match=name):
        IceSettings(**{name: value})


def test_what_is_fine() -> None:
    for tcp in ("auto", "active", "passive", "both", None):
        assert IceSettings(tcp=tcp).tcp == tcp  # type: ignore[arg-type]
    for loopback in ("auto", True, False):
        assert IceSettings(include_loopback=loopback).include_loopback == loopback  # type: ignore[arg-type]
    settings = IceSettings(
        port_range=(5000, 5000), revive_for=float("inf"), failed_after=0, bind_addresses=()
    )
    assert settings.port_range == (5000, 5000)
    assert IceSettings(port_range=(1, 65535)).port_range == (1, 65535)
