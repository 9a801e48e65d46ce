"""How long a service tries to come back after its connection to the server is lost."""

from __future__ import annotations

import asyncio
from typing import Final

_WAITS: Final = (0.0, 0.5, 1.0, 2.0, 5.0)


class Patience:
    """The pauses before the attempts to come back: longer and longer, until there were enough of them.

    Args:
        seconds: how long attempts are made, from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds
        self._attempts = 0

    @property
    def is_over(self) -> bool:
        """Whether an attempt that fails now is the last one."""
        return asyncio.get_running_loop().time() > self._until

    async def pause(self) -> None:
        """Wait until the next attempt; the first one is at once."""
        wait = _WAITS[min(self._attempts, len(_WAITS) - 1)]
        self._attempts += 1
        await asyncio.sleep(wait)
