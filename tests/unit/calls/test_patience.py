"""The pauses before the attempts to come back to a server."""

import asyncio

from rtcpeer.calls.patience import Patience


async def test_the_first_attempt_is_at_once_and_the_others_are_further_and_further_apart(virtual_time):
    loop = asyncio.get_running_loop()
    patience = Patience(10.0)
    at: list[float] = []
    start = loop.time()
    while not patience.is_over:
        await patience.pause()
        at.append(round(loop.time() - start, 1))
    assert at == [0.0, 0.5, 1.5, 3.5, 8.5, 13.5]
