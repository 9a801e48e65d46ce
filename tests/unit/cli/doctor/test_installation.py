"""``rtcpeer doctor`` without a server: what is installed here."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from rtcpeer.cli import main as command
from rtcpeer.cli.doctor import installation
from rtcpeer.cli.doctor.installation import Extra, Installation, as_document, as_lines, sort_requirements
from rtcpeer.rtp.fan_out import HelperState
from tests.unit.cli.schema import check

LISTED = [
    "aiortc<2,>=1.14",
    "pylibsrtp>=1",
    "tomli>=2; python_version < '3.11'",
    'aiohttp>=3.12; extra == "cli"',
    'argcomplete>=3.5; extra == "cli"',
    "redis>=5; extra == 'redis'",
    'ruff>=0.13; extra == "dev"',
]


def found(code: str = "not-built", **packages: str | None) -> Installation:
    state = HelperState(code, Path("/opt/fan_out.helper"), f"Helper of forwarding: {code}.")
    extras = (
        Extra("cli", (("aiohttp", "3.13"), ("argcomplete", None))),
        Extra("redis", (("redis", "5.1"),)),
    )
    return Installation("3.13.0", "Linux x86_64", (("rtcpeer", "0.2.0"), *packages.items()), extras, state)


def test_requirements_are_sorted_by_extra() -> None:
    needed, extras = sort_requirements(LISTED)
    assert needed == ["aiortc", "pylibsrtp", "tomli"]
    assert extras == {"cli": ["aiohttp", "argcomplete"], "redis": ["redis"]}


def test_lines_say_what_is_missing_and_how_to_get_it() -> None:
    text = "\n".join(as_lines(found()))
    assert "rtcpeer 0.2.0" in text
    assert "missing: argcomplete; pip install 'rtcpeer[cli]'" in text
    assert "redis 5.1" in text
    assert "Helper of forwarding: not-built." in text


def test_what_is_optional_may_be_missing_and_nothing_may_be_broken() -> None:
    assert found().works
    assert found("loaded", aiortc="1.14").works
    assert not found("unusable").works
    assert not found(aiortc=None).works


@pytest.mark.parametrize("code", ["loaded", "off", "not-built", "unusable"])
def test_the_document_keeps_to_the_schema(code: str) -> None:
    document = {"works": True, "seconds": 0.1, "families": [], "udpBlocked": False, "servers": [], "nat": []}
    check("doctor", {**document, "installation": as_document(found(code, aiortc=None))})


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert f"aioice {metadata.version('aioice')}" in shown
    assert "livekit-protocol" in shown
    assert command.main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    check("doctor", document)
    assert document["installation"]["extras"]["redis"]["complete"]
    assert document["servers"] == []


def test_a_folder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PACKAGE", "rtcpeer-that-is-nowhere")
    here = installation.look_up()
    assert here.extras == ()
    assert "not installed" in as_lines(here)[-1]
