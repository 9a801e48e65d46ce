from __future__ import annotations

import subprocess
import sys


def test_the_engine_comes_alone() -> None:
    code = (
        "import sys; import rtcpeer.jsep.engine; "
        "print([m for m in ('asyncio', 'socket', 'av', 'aiortc', 'random', 'logging') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
