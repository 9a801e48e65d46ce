"""docs/troubleshooting.md: its programs run as they stand, and it lists every code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE, re.S)


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_first_program() -> None:
    assert "waiting waits-for-answer - Our offer waits" in run(PROGRAMS[0])


def test_the_second_program_prints_what_the_guide_shows() -> None:
    shown = re.search(r"^prints\n\n((?:    .*\n)+)", GUIDE, re.M)
    assert shown is not None
    assert run(PROGRAMS[1]).splitlines() == [line[4:] for line in shown[1].splitlines()]


def test_the_third_program() -> None:
    assert "credential accepted for 600 s" in run(PROGRAMS[2])
    assert len(PROGRAMS) == 3


def codes_of(file: str, *patterns: str) -> set[str]:
    text = (ROOT / "rtcpeer" / file).read_text(encoding="utf-8")
    return {code for pattern in patterns for code in re.findall(pattern, text)}


EXPLAIN = codes_of("peer/session/explain.py", r'Finding\(\s*"([a-z-]+)"', r'State\.\w+: \(\s*"([a-z-]+)"')
DOCTOR = {"works", "silent", "no-route", "refused"}
for _file in ("verdicts", "context", "stun_check", "turn_check", "run"):
    DOCTOR |= codes_of(
        f"cli/doctor/{_file}.py", r'outcome = "([a-z-]+)"', r'problem = "([a-z-]+)"', r'case "([a-z-]+)"'
    )


@pytest.mark.parametrize("code", sorted(EXPLAIN | DOCTOR))
def test_every_code_is_in_the_guide(code: str) -> None:
    assert f"`{code}`" in GUIDE


def test_the_codes_were_found() -> None:
    assert len(EXPLAIN) > 35
    assert len(DOCTOR) > 12
