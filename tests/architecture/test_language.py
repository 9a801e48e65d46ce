"""The first line of a docstring says what the thing is, to a reader who did not write the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Words that begin a riddle: "What is for the members of this node", "Whose it is", "Likewise, of an SSRC", "The same,
# as text", "Its end".
_RIDDLE = re.compile(
    r'^ *r?"""((?:What|Who|Whose|Whom|Those|Likewise|See|Such|Others|The same|Its?|Their|They)\b.*?)(?:"""|$)',
    re.MULTILINE,
)


def riddles(text: str) -> list[str]:
    """The first lines of docstrings that only their writer understands."""
    return _RIDDLE.findall(text)


def test_docstrings_begin_with_what_the_thing_is():
    found = {
        path.relative_to(ROOT).as_posix(): riddles(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "rtcpeer").rglob("*.py"))
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_riddle_is_found():
    assert riddles('def f():\n    """What an output gets."""\n') == ["What an output gets."]
    assert riddles('class A:\n    """Whatever."""\n    x = 1\n') == []
