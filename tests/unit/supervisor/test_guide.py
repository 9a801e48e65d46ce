"""The guide tells the truth: every Python block of it runs, and its diagram is the code's table."""

import re
from pathlib import Path

import pytest

from rtcpeer.supervisor.diagram import state_diagram

GUIDE = Path(__file__).parents[3] / "docs" / "staying-connected.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number: int) -> None:
    # in this process: starting another would cost more than what is shown
    exec(compile(BLOCKS[number], f"{GUIDE.name}, block {number + 1}", "exec"), {"__name__": "__main__"})


def test_diagram() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert diagram.strip() == state_diagram()
