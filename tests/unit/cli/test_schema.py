"""The schema of ``--json`` is complete, and on the page. Real output is held against it where it is made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rtcpeer.cli.main import build_parser, main
from tests.unit.cli.schema import FILE, SCHEMA, check

PAGE = FILE.with_name("command-line.md").read_text(encoding="utf-8")
PACKAGE = FILE.parents[2] / "rtcpeer" / "cli"


def events(command: str) -> dict[str, list[str]]:
    """Members by event."""
    return {
        event["properties"]["event"]["const"]: [m for m in event["properties"] if m not in ("event", "time")]
        for event in SCHEMA["$defs"][command].get("oneOf", ())
    }


def test_it_is_a_schema_and_has_every_command() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    verbs = next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    with_json = {name for name, verb in verbs.items() if "--json" in verb._option_string_actions}
    assert set(SCHEMA["$defs"]) == with_json
    assert set(verbs) - with_json == {"completion"}


@pytest.mark.parametrize("command", [name for name, part in SCHEMA["$defs"].items() if "oneOf" in part])
def test_the_page_has_every_event_with_its_members(command: str) -> None:
    section = PAGE.split(f"### `{command} --json`", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*)\|", section, re.M)
    assert {name: re.findall(r"`([^`]+)`", members) for name, members in rows} == events(command)


@pytest.mark.parametrize("command", ["demo", "doctor", "report"])
def test_the_page_has_the_members_of_the_objects(command: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{command} --json`"))
    assert set(re.findall(r"`(\w+)`", row)) >= set(SCHEMA["$defs"][command]["properties"])


@pytest.mark.parametrize("command", ["whip", "join", "relay"])
def test_every_event_that_a_command_can_print_is_in_it(command: str) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / command).glob("*.py"))
    printed = set(re.findall(r'\b(?:report|_tell|shown)\(\s*"([\w -]+)"', sources))
    known = {**events(command), **(events("whep") if command == "whip" else {})}
    assert printed
    assert printed <= set(known)


def test_what_report_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"PeerConnections": {"1-2": {}}}))
    assert main(["report", str(dump), "-o", str(tmp_path / "x.html"), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    check("report", told)
    assert told["connections"] == ["1-2"]


def test_something_else_is_refused() -> None:
    with pytest.raises(AssertionError, match="relay --json printed"):
        check("relay", {"event": "closing", "time": 1.0, "publishers": 0})
    with pytest.raises(AssertionError, match="report --json printed"):
        check("report", {"file": "x", "connections": [], "more": 1})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_code_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "rtcpeer" in code
    assert "_ARGCOMPLETE" in code


def test_the_shell_is_told_what_could_come_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = tmp_path / "answer"
    line = "rtcpeer doctor --ca"
    for name, value in {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }.items():
        monkeypatch.setenv(name, value)
    # the process ends with its answer
    subprocess.run([sys.executable, "-m", "rtcpeer"], check=True, timeout=60)
    assert answer.read_text().split() == ["--cafile"]
