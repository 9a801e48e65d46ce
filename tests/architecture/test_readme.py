"""The README tells the truth: its program runs as it stands, its commands and links exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def programs(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_first_program_runs_as_it_stands():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", programs(README)[0]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
    )
    assert run.stderr == ""
    assert run.stdout == "you said: hello\n"


def test_every_other_program_compiles():
    for program in programs(README)[1:]:
        wrapped = "async def program(pc):\n" + "".join(f"    {line}\n" for line in program.splitlines())
        compile(wrapped, "README.md", "exec")
    assert len(programs(README)) >= 2


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"\bmake ([a-z]+)\b", README))))
def test_every_make_command_exists(verb):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{verb}:", makefile, re.M), f"README names `make {verb}`"


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_every_link_to_a_file_leads_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in t]
    missing = [t for t in targets if not ((ROOT / document).parent / t).exists()]
    assert missing == []
