"""Leak check: finds tasks, sockets, threads and unretrieved exceptions that a test has left behind.

async with no_leaks():
    ...                             # raises AssertionError with the list
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any, Self

from rtcpeer.threads import stuck

# Real seconds that things may take to end by themselves: an executor's last job, a transport's end
GRACE = 0.5
_PAUSE = 0.005
# Where libav's coders are called, as part of a file's name
_CODERS = os.path.join("rtcpeer", "media", "")
# How far, and how widely, the owner of a socket is looked for
_OWNERS_DEPTH, _OWNERS_MAX = 5, 50


class LeakCheck:
    """Compares the end of a test with its beginning.

    Attributes:
        errors: what was told to the loop's exception handler; a test that provokes some removes them.
    """

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self._reports: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: set[threading.Thread] = set()
        self._sockets: set[str] = set()
        self._previous: Callable[..., Any] | None = None

    def start(self) -> Self:
        """Remember what is there."""
        loop = asyncio.get_running_loop()
        self._tasks = asyncio.all_tasks(loop)
        self._threads = set(threading.enumerate())
        self._sockets = _socket_names()
        self._previous = loop.get_exception_handler()
        loop.set_exception_handler(self._record)
        # what is there already is not looked at by the collection at the end, which is quick therefore
        gc.freeze()
        return self

    def report(self, text: str) -> None:
        """Add a finding of one's own."""
        self._reports.append(text)

    def _record(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context)
        if self._previous is not None:
            self._previous(loop, context)
        else:
            loop.default_exception_handler(context)

    async def finish(self, grace: float = GRACE) -> list[str]:
        """The leaks that were found, one sentence each; empty if there are none.

        Args:
            grace: seconds to wait for things that are about to end; on virtual time, virtual ones and then
                as many real ones.
        """
        loop = asyncio.get_running_loop()
        end = time.monotonic() + grace
        await asyncio.sleep(0)
        is_virtual = hasattr(loop, "wall_time")
        if is_virtual and self._left(loop):
            await asyncio.sleep(grace)
        # threads and sockets set no event when they end
        while self._left(loop) and time.monotonic() < end:
            if is_virtual:
                # sleeping would take no real time and very much virtual time
                time.sleep(_PAUSE)  # noqa: ASYNC251
            await asyncio.sleep(0 if is_virtual else _PAUSE)
        gc.collect()
        gc.unfreeze()
        # callbacks of what was just collected
        await asyncio.sleep(0)
        loop.set_exception_handler(self._previous)
        errors = [_describe(context) for context in self.errors]
        return [*self._reports, *self._left(loop, _describe_socket), *errors]

    def _left(self, loop: asyncio.AbstractEventLoop, describe: Callable[[str], str] = str) -> list[str]:
        own = {asyncio.current_task()}
        tasks = asyncio.all_tasks(loop) - self._tasks - own
        # the threads of the loop's own executor end with the loop
        executor = getattr(loop, "_default_executor", None)
        pooled: set[threading.Thread] = getattr(executor, "_threads", set())
        threads = [
            t
            for t in threading.enumerate()
            if t not in self._threads and t not in pooled and not _hangs_in_coder(t)
        ]
        return [
            *(f"a task is left: {task!r}" for task in tasks),
            *(f"a thread is left: {thread!r}" for thread in threads),
            *(f"a socket is left: {describe(name)}" for name in sorted(_socket_names() - self._sockets)),
        ]


def _hangs_in_coder(thread: threading.Thread) -> bool:
    """Whether a thread was given up in a call into one of libav's coders, which can hang for ever: no test's doing.

    SVT-AV1 4.1 does on a busy machine. What hangs in Python's own locks is ours, and is left.
    """
    if thread not in stuck:
        return False
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and _CODERS in frame.f_code.co_filename


def _socket_names() -> set[str]:
    """Sockets of this process, as the system names them; nothing where it does not tell."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{entry}")
                if target.startswith("socket:"):
                    found.add(target)
    return found


def _describe_socket(name: str) -> str:
    """A socket with its addresses and who holds it, as far as that can be found."""
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}") != name:
                continue
            number = int(entry)
            with socket.socket(fileno=os.dup(number)) as copy:
                kind = "TCP" if copy.type == socket.SOCK_STREAM else "UDP"
                where = f"{kind} {_address(copy.getsockname())}"
                with contextlib.suppress(OSError):
                    where += f" to {_address(copy.getpeername())}"
            return f"{name}, {where}{_owner(number)}"
    return name


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) > 1 else str(name)


def _owner(number: int) -> str:
    """The holder of a socket: the nearest object, or variable of a module, of neither Python nor this module."""
    seen: set[int] = set()
    level: list[Any] = [
        one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() == number
    ]
    for _ in range(_OWNERS_DEPTH):
        following = []
        for one in level:
            for holder in gc.get_referrers(one):
                if id(holder) in seen or isinstance(holder, FrameType) or holder is level:
                    continue
                seen.add(id(holder))
                if (module := _module_of(holder)) is not None:
                    name = next((name for name, value in holder.items() if value is one), "?")
                    return f", held by {name} of the module {module}"
                top = type(holder).__module__.partition(".")[0]
                if top != "builtins" and top not in sys.stdlib_module_names:
                    return f", held by {holder!r:.120}"
                following.append(holder)
        level = following[:_OWNERS_MAX]
    return ""


def _module_of(holder: Any) -> str | None:
    """The module whose variables these are, unless it is Python's own."""
    name = holder.get("__name__") if isinstance(holder, dict) else None
    if not isinstance(name, str) or name.partition(".")[0] in sys.stdlib_module_names:
        return None
    return name if getattr(sys.modules.get(name), "__dict__", None) is holder else None


def _describe(context: dict[str, Any]) -> str:
    exception = context.get("exception")
    return f"an exception was not retrieved: {context.get('message', '')} {exception!r}"


@contextlib.asynccontextmanager
async def no_leaks(grace: float = GRACE) -> AsyncIterator[LeakCheck]:
    """Demand that nothing is left at the end.

    Raises:
        AssertionError: something is; each is named.
    """
    check = LeakCheck().start()
    try:
        yield check
    except BaseException:
        # the body's own failure is what matters; leaks follow from it
        await check.finish(0)
        raise
    found = await check.finish(grace)
    if found:
        raise AssertionError("\n".join(found))
