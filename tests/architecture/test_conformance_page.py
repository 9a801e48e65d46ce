"""The page about conformance, and the README, say what the baseline holds."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
BASELINE = json.loads((ROOT / "tests/conformance/baseline.json").read_text(encoding="utf-8"))


def counted() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By folder of the suite: subtests that pass, all subtests, files."""
    passed: Counter[str] = Counter()
    of: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for name, outcome in BASELINE.items():
        folder = name.partition("/")[0]
        passed[folder] += outcome["passed"]
        of[folder] += outcome["passed"] + len(outcome["failing"])
        files[folder] += 1
    return passed, of, files


def test_the_totals_are_those_of_the_baseline() -> None:
    passed, of, _ = counted()
    share = f"{100 * passed['webrtc'] / of['webrtc']:.1f}"
    assert f"| **all** | **{passed['webrtc']}** | **{of['webrtc']}** | **{share}** |" in PAGE
    assert f"[{share} % of W3C's own test suite]" in (ROOT / "README.md").read_text(encoding="utf-8")
    areas = re.findall(
        r"^\| [a-z/]+ \| (\d+) \| (\d+) \| ", PAGE.split("## The rest of the suite")[0], re.MULTILINE
    )
    assert [sum(map(int, column)) for column in zip(*areas, strict=True)] == [passed["webrtc"], of["webrtc"]]


def test_the_smaller_suites_are_those_of_the_baseline() -> None:
    passed, of, files = counted()
    rows = re.findall(r"^\| (webrtc-[\w-]+) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    assert rows == [(folder, str(passed[folder]), str(of[folder])) for folder, *_ in rows]
    assert {folder for folder, *_ in rows} == set(files) - {"webrtc"}
    others = sum(files.values()) - files["webrtc"]
    assert f"runs {files['webrtc']} files of it, and {others} of the smaller suites beside it" in PAGE


def test_what_does_not_pass_is_accounted_for() -> None:
    passed, of, _ = counted()
    reasons = PAGE.split("## What does not pass, and why")[1].split("## The rest of the suite")[0]
    assert sum(map(int, re.findall(r"\((\d+)\) \|", reasons))) == of["webrtc"] - passed["webrtc"]
