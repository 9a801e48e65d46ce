"""A loop whose time jumps when all is quiet: enough for tests of code that has timers and no sockets."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout is None:
            events = super().select(5)
            assert events, "everybody waits, and nothing will happen any more"
        if not events and timeout:
            self.loop.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        self.errors: list[dict[str, Any]] = []
        super().__init__(_Selector(self))
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.now


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time; no task may be left, no error unreported."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            await test(*args, **kwargs)
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            assert not loop.errors, loop.errors

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    return run


def errors() -> list[dict[str, Any]]:
    """What was told to the exception handler of the running loop; clear it when it was expected."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.errors
