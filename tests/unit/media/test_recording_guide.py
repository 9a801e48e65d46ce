"""The guide tells the truth: its Python blocks run."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "recording.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number, capsys):
    exec(compile(BLOCKS[number], f"{GUIDE.name}, block {number + 1}", "exec"), {"__name__": "__main__"})
    assert "VideoFrame" in capsys.readouterr().out
