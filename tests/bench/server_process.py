"""A server in a process of its own, which tells its CPU time and memory whenever it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.bench.run import memory_kb


async def answer(address: str, more: Callable[[], dict[str, Any]] = dict) -> None:
    """In the server's process: print the address, and for each line on the input the costs so far, and `more`."""
    print(address, flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        told = {"cpu": time.process_time(), "kb": memory_kb(), **more()}
        print(json.dumps(told), flush=True)


@contextlib.asynccontextmanager
async def serving(module: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[dict[str, Any]]]]]:
    """Run ``python -m module serve``; gives the address that it prints, and a coroutine function that asks it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "serve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def ask() -> dict[str, Any]:
        stdin.write(b"\n")
        told: dict[str, Any] = json.loads(await stdout.readline())
        return told

    try:
        yield (await stdout.readline()).decode().strip(), ask
    finally:
        process.kill()
        await process.wait()
