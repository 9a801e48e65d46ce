"""`run`: a bot's main program that ends cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from rtcpeer.aio import start_task

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T | None:
    """Run a program as `asyncio.run` does, and end it in order when it is told to stop.

    The first SIGINT (Ctrl-C) or SIGTERM (what containers and service managers send) cancels `main`, so that each
    ``async with`` leaves its call and closes its connections. A second one ends the process at once.

    Args:
        main: the program's coroutine.
        debug: as of `asyncio.run`.

    Returns:
        What `main` returned; None when a signal has ended it.
    """
    with asyncio.Runner(debug=debug) as runner:
        return runner.run(_until_told(main))


async def _until_told(main: Coroutine[Any, Any, T]) -> T | None:
    loop = asyncio.get_running_loop()
    task = start_task(main)
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        task.cancel()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = True
    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
    except (NotImplementedError, ValueError, RuntimeError):  # Windows, or not the main thread
        handled = False
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        return None
    finally:
        if handled:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                with contextlib.suppress(TypeError):  # a handler that was not set from Python
                    signal.signal(number, before[number])
