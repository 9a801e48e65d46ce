"""The record of the demo."""

from __future__ import annotations

import json

import pytest

from rtcpeer.cli.demo.timeline import Timeline, describe, paint


def test_a_run_in_which_all_went_well(capsys: pytest.CaptureFixture[str]) -> None:
    timeline = Timeline()
    timeline.act("Connect")
    timeline.note("caller", "connection", "connected")
    timeline.promise("connected within 3 s", True, "12 ms")
    timeline.summary["messages_lost"] = 0
    timeline.finish()
    out = capsys.readouterr().out
    assert timeline.ok
    assert "Connect" in out
    assert "ok      connected within 3 s: 12 ms" in out
    assert "1 of 1 promises kept" in out
    assert "messages lost" in out


def test_a_broken_promise_is_told_twice_and_the_run_is_not_ok(capsys: pytest.CaptureFixture[str]) -> None:
    timeline = Timeline()
    timeline.promise("nothing is lost", False, "3 of 9")
    timeline.finish()
    assert not timeline.ok
    assert capsys.readouterr().out.count("BROKEN") == 2


def test_json_has_it_all_and_prints_nothing_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    timeline = Timeline(show=False)
    timeline.act("Connect")
    timeline.note("server", "is up", 7)
    timeline.promise("p", True, 1)
    timeline.summary["x"] = 1.5
    assert capsys.readouterr().out == ""
    told = json.loads(timeline.as_json())
    assert told["ok"] is True
    assert [entry["who"] for entry in told["timeline"]] == ["act", "server"]
    assert told["promises"] == [{"text": "p", "kept": True, "measured": "1"}]
    assert told["summary"] == {"x": 1.5}


def test_numbers_for_people() -> None:
    assert describe(1234567) == "1,234,567"
    assert describe(12.345) == "12.3"
    assert describe({"caller": 1, "callee": 2.0}) == "caller 1, callee 2.0"
    assert describe("text") == "text"


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("caller", "x") == "x"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert paint("caller", "x") == "\x1b[36mx\x1b[0m"
    assert paint("nobody", "x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("caller", "x") == "x"
