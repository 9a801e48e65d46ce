"""The time of day as the running loop has it.

A loop on virtual time (see `rtcpeer.testing.clock`) offers ``wall_time()``; reports, gaps and expiries must follow it.
"""

from __future__ import annotations

import asyncio
import time


def wall_time() -> float:
    """Seconds since the epoch."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time()
    read = getattr(loop, "wall_time", None)
    return time.time() if read is None else float(read())
