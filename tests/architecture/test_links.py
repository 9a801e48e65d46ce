"""The link check of `make docs` finds what is broken; and the Markdown that is read on its own has no broken link."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def load() -> Any:
    specification = importlib.util.spec_from_file_location("rtcpeer_links", ROOT / ".ci" / "links.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses and the like look there
    specification.loader.exec_module(module)
    return module


links = load()


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#here">fine</a><a href="#top">fine</a><a href="b.html#gone">no</a>'
        '<a href="c.html">no</a><a href="#none">no</a><img src="x.png"><a href="../up.html">no</a>'
        '<a href="https://a.example/x#y">out</a><a href="https://other.net/x#y">out</a><a href="mailto:x@y">-</a>'
    )
    (tmp_path / "b.html").write_text('<a name="here">B</a>')
    faults, external = links.check_internal([tmp_path / "a.html", tmp_path / "b.html"], tmp_path)
    assert faults == [
        "a.html: b.html#gone leads to no place on its page",
        "a.html: c.html leads nowhere",
        "a.html: #none leads to no place on its page",
        "a.html: x.png leads nowhere",
        "a.html: ../up.html leads nowhere",
    ]
    assert external == {"https://a.example/x": ["a.html"], "https://other.net/x": ["a.html"]}


def test_markdown_that_is_read_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Old, and `new` [things](x.md)!\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[fine](b.md#old-and-new-things) [no](b.md#other)\n\n"
        "```\n[code](none.md)\n```\n`[code](none.md)`\n[no](none.md)\n"
    )
    faults, _ = links.check_internal([page], tmp_path)
    assert faults == ["a.md: b.md#other leads to no place on its page", "a.md: none.md leads nowhere"]


def test_the_files_of_this_repository() -> None:
    alone = [path for pattern in links.ALONE for path in sorted(ROOT.glob(pattern))]
    assert len(alone) > 5
    assert links.check_internal(alone, ROOT)[0] == []


ANSWERS = {
    "https://a.net/1": (200, "answers"),
    "https://a.net/2": (404, "answers 404"),
    "https://b.net/": (403, "answers 403"),
    "https://c.net/": (0, "does not answer (timed out)"),
    "https://c.net/2": (200, "answers"),
}


def test_outside_only_what_is_gone_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "ask", ANSWERS.__getitem__)
    where = {
        url: ["p.html", "p.html"] for url in (*ANSWERS, "https://x.example/none", "http://127.0.0.1:8080")
    }
    assert links.check_external(where) == (
        ["p.html: https://a.net/2 answers 404"],
        [
            "*** NOT CHECKED: https://b.net/ answers 403",
            "*** NOT CHECKED: https://c.net/ does not answer (timed out)",
            "*** NOT CHECKED: https://c.net/2 is at a host that does not answer",
        ],
    )


def test_a_closed_network_is_told_and_its_stand_ins_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = {
        "https://a.net/": (404, "answers 404"),
        "https://b.net/": (0, "-"),
        "https://c.net/": (0, "-"),
    }
    monkeypatch.setattr(links, "ask", stand_in.__getitem__)
    assert links.check_external({url: ["p.html"] for url in stand_in}) == (
        [],
        ["*** 3 external links NOT CHECKED: 2 of their 3 hosts cannot be reached from here"],
    )
