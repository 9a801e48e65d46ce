"""The examples run as they stand and print what their READMEs promise."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# a checkout that was never installed does not announce its plugin
INSTALLED = importlib.metadata.entry_points(group="pytest11", name="rtcpeer")
PLUGIN = [] if INSTALLED else ["-p", "rtcpeer.testing.plugin"]
READMES = sorted(ROOT.glob("examples/*/README.md"))


def promised(readme: Path) -> tuple[list[str], list[str]]:
    """The command and the lines of output that a README names; ``...`` in a line stands for anything."""
    text = readme.read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .+\n)+", text, flags=re.MULTILINE)
    command, output = blocks[0], blocks[1]
    return shlex.split(command), [line[4:] for line in output.splitlines()]


def test_there_are_examples() -> None:
    assert {path.parent.name for path in READMES} >= {"bot", "relay", "harness"}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
async def test_example(readme: Path) -> None:
    command, expected = promised(readme)
    assert command[0] in ("python", "pytest")
    start = ["-m", "pytest", *PLUGIN] if command[0] == "pytest" else ["-W", "error"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *start,
        *command[1:],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 50)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert process.returncode == 0, text
    missing = [
        line
        for line in expected
        if not re.search("^" + ".*".join(map(re.escape, line.split("..."))) + "$", text, re.MULTILINE)
    ]
    assert not missing, text
