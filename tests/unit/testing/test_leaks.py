import asyncio
import os
import socket
import sys
import threading
import time

import pytest

from rtcpeer.testing import leaks, no_leaks, run_virtual


async def test_nothing_is_left():
    async with no_leaks():
        await asyncio.sleep(0)


async def test_things_may_take_a_moment():
    async with no_leaks():
        asyncio.get_running_loop().call_later(0.02, asyncio.create_task(asyncio.sleep(9)).cancel)


async def test_what_is_left_is_named():
    left = []

    async def careless():
        async with no_leaks(grace=0):
            left.append(asyncio.create_task(asyncio.sleep(9), name="leftover"))
            left.append(socket.socket())
            asyncio.get_running_loop().call_exception_handler({"message": "unseen"})

    with pytest.raises(AssertionError) as caught:
        await careless()
    for sign in ("leftover", "socket:", "unseen"):
        assert sign in str(caught.value)
    left[0].cancel()
    left[1].close()


def test_virtual_time_does_not_hide_what_is_left():
    async def main():
        async with no_leaks(grace=0.05):
            left.append(asyncio.create_task(asyncio.sleep(30), name="leftover"))

    left = []
    with pytest.raises(AssertionError, match="leftover"):
        run_virtual(main())


def test_virtual_time_gives_its_moment_too():
    async def main():
        async with no_leaks():
            left.append(asyncio.create_task(asyncio.sleep(0.1)))

    left = []
    run_virtual(main())


async def test_the_bodys_own_failure_wins():
    async def fails():
        async with no_leaks():
            asyncio.get_running_loop().call_exception_handler({"message": "a consequence"})
            raise LookupError

    with pytest.raises(LookupError):
        await fails()


class Held:
    """A thread in a call that does not end until `end`: of a coder, or of Python's own lock."""

    def __init__(self, *, in_coder):
        self._reading, self._writing = os.pipe()
        self._gate = threading.Event()
        # a system call stands for the foreign library; who calls it is a line of a file that calls coders
        names = {"read": os.read}
        exec(compile("def call(end): read(end, 1)", f"/x/{leaks._CODERS}video.py", "exec"), names)
        call, arguments = (names["call"], (self._reading,)) if in_coder else (self._gate.wait, ())
        self.thread = threading.Thread(target=call, args=arguments, daemon=True)
        self.thread.start()
        while not (frame := sys._current_frames().get(self.thread.ident)) or frame.f_code.co_name not in (
            "call",
            "wait",
        ):
            time.sleep(0)

    def end(self):
        self._gate.set()
        os.write(self._writing, b"x")
        self.thread.join(10)
        os.close(self._reading)
        os.close(self._writing)


@pytest.mark.parametrize(
    ("in_coder", "given_up", "is_left"), [(True, True, False), (True, False, True), (False, True, True)]
)
async def test_a_thread_that_hangs_in_a_foreign_coder_is_no_leak(monkeypatch, in_coder, given_up, is_left):
    """It was given up, and nothing can end it; what hangs in Python's own locks is a leak all the same."""
    check = leaks.LeakCheck().start()
    held = Held(in_coder=in_coder)
    monkeypatch.setattr(leaks, "stuck", {held.thread} if given_up else set())
    try:
        assert any("a thread is left" in text for text in await check.finish(0)) is is_left
    finally:
        held.end()
