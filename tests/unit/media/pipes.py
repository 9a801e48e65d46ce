"""An in-memory pair of pipes in place of ICE: synchronous per loop turn, with loss on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from rtcpeer.values import IceRole


class Pipe:
    def __init__(self, role: IceRole) -> None:
        self.role = role
        self.has_path = True
        self.round_trip_time: float | None = None
        self.receiver: Callable[[bytes], None] | None = None
        self.run_receiver: Callable[[list[bytes]], None] | None = None
        self.other: Pipe | None = None
        self.sent: list[bytes] = []
        self.keep = False
        self.blocked = False
        self.has_route = True
        self.drop: Callable[[bytes], bool] = lambda data: False

    def send(self, data: bytes) -> None:
        if self.keep:
            self.sent.append(data)
        if self.blocked or self.drop(data):
            return
        asyncio.get_running_loop().call_soon(self._deliver, data)

    def send_segments(self, data: bytes, size: int) -> None:
        for at in range(0, len(data), size):
            self.send(data[at : at + size])

    def _deliver(self, data: bytes) -> None:
        if self.other is not None and self.other.receiver is not None:
            self.other.receiver(data)


def pipe_pair() -> tuple[Pipe, Pipe]:
    a, b = Pipe(IceRole.CONTROLLING), Pipe(IceRole.CONTROLLED)
    a.other, b.other = b, a
    return a, b


def lossy(
    seed: int, rate: float, only: Callable[[bytes], bool] = lambda data: True
) -> Callable[[bytes], bool]:
    random = Random(seed)
    return lambda data: only(data) and random.random() < rate


async def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Run the loop until the condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.001)
