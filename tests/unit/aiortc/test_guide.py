"""The programs of docs/moving-from-aiortc.md run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "moving-from-aiortc.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
async def test_program(program):
    source = program.replace("asyncio.run(main())", "")
    assert source != program
    names = {"__name__": "guide"}
    exec(compile(source, "moving-from-aiortc.md", "exec"), names)
    async with asyncio.timeout(60):
        await names["main"]()


def test_every_private_reach_is_named():
    for reach in ("_enabled", "_queue", "jitterBufferTarget", "setParameters", "getW3CStats", "USERDATA_MAX"):
        assert reach in GUIDE
    assert "parse_server_url" in GUIDE
