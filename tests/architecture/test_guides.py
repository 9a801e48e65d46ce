"""The how-to pages tell the truth: blocks marked `python` are programs that run, `py` marks fragments.

Pages with tests of their own (signaling, staying connected, testing, ...) are not listed here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
# what each block of a page prints
SAID = {
    "deploying": ["503\nempty: True\n"],
    "moving-from-a-browser": ["hello\n"],
    "networks": ["all in range: True\n"],
    "relay": ["160 x 120\n"],
    "security": ["401\n"],
    "servers": ["turn:turn.example.org for 60 minutes\n"],
    "streaming": ["160 x 120\n"],
    "voice": ["interrupted\n"],
}


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("page", SAID)
def test_each_block_runs_and_prints_what_is_expected(page, capsys):
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"docs/{page}.md, block {number + 1}", "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out == SAID[page][number]
    assert len(blocks(page)) == len(SAID[page])


def test_every_page_with_a_program_has_a_test():
    tests = "".join(
        path.read_text(encoding="utf-8")
        for path in (DOCS.parent / "tests").rglob("test_*.py")
        if path != Path(__file__)
    )
    for page in sorted(path.stem for path in DOCS.glob("*.md") if blocks(path.stem)):
        assert page in SAID or f'"{page}.md"' in tests or f"docs/{page}.md" in tests, page


@pytest.mark.parametrize("page", sorted(path.stem for path in DOCS.glob("*.md")))
def test_fragments_compile(page):
    for fragment in re.findall(r"```py\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.S):
        lines = "".join(f"    {line}\n" for line in fragment.splitlines())
        compile(f"async def fragment():\n{lines}", f"docs/{page}.md", "exec")


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/decisions.md", "CONTRIBUTING.md"])
def test_modules_that_a_page_names_exist(page):
    package = DOCS.parent / "rtcpeer"
    folders = {path.name for path in package.iterdir() if path.is_dir()}
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    named = {
        name.removeprefix("rtcpeer/").removesuffix(".py") for name in re.findall(r"`([a-z_0-9/.]+)`", text)
    }
    paths = {name.replace(".", "/") for name in named if name.replace(".", "/").split("/")[0] in folders}
    missing = []
    for path in paths:
        name = package / path
        # the last part may be a name of the module: `peer.errors.w3c_errors`
        holder = name.parent.with_suffix(".py")
        inside = holder.is_file() and re.search(rf"\b{name.name}\b", holder.read_text(encoding="utf-8"))
        if not (name.is_dir() or name.with_suffix(".py").is_file() or inside):
            missing.append(path)
    assert missing == []
    assert paths
