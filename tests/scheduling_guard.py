"""No test leaves a thread at a real-time scheduling policy, or starts a program from one.

SVT-AV1 and libwebrtc raise the policy of threads when the process is root. What runs at such a policy runs before
everything else on the machine, and every program that such a thread starts inherits it: a compiler can hang a machine
of two processors for minutes. A test that leaves one fails with the names of the threads; the policies are put back, so
that the rest of the run goes on. A program that is about to be started from such a thread is started at the ordinary
policy, and the test fails too.

Only Linux has what this asks for. `tests/conftest.py` registers it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator

import pytest

# linux/sched.h: SCHED_FIFO, SCHED_RR, SCHED_DEADLINE; the flag is SCHED_RESET_ON_FORK
REAL_TIME = {1: "SCHED_FIFO", 2: "SCHED_RR", 6: "SCHED_DEADLINE"}
_POLICY = 0xFF
# what starts a program, or another process, from the calling thread
_STARTS = frozenset(("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"))


class SchedulingGuard:
    """A plugin of pytest: the policies of this process's threads, looked at after each test.

    Attributes:
        started: what was started from a thread at a real-time policy since `take` was asked last, in words.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        # what has such a policy already, as the whole run may be started at one, may keep it
        self._allowed = {thread: self._policy(thread) for thread in self._threads()}
        if sys.platform == "linux":
            sys.addaudithook(self._audit)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """After all that the test has set up is gone."""
        try:
            return (yield)
        finally:
            found = self.take()
            if found:
                pytest.fail("real-time scheduling: the test has " + "; ".join(found), pytrace=False)

    @staticmethod
    def _threads() -> list[int]:
        return [int(name) for name in os.listdir("/proc/self/task")] if sys.platform == "linux" else []

    @staticmethod
    def _policy(thread: int) -> int:
        try:
            return os.sched_getscheduler(thread) & _POLICY
        except ProcessLookupError:
            return 0

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _STARTS:
            self.before_start(str(arguments[0]) if arguments else event)

    def before_start(self, program: str) -> None:
        """A program is about to be started by the calling thread, whose policy it would inherit."""
        thread = threading.get_native_id()
        policy = self._policy(thread)
        if policy in REAL_TIME and policy != self._allowed.get(thread):
            self.started.append(f"{program} by {self._describe(thread, policy)}")
            self._put_back(thread)

    def take(self) -> list[str]:
        """What was wrong since the last time, in words; policies that were raised are put back."""
        found, self.started = [f"started {text}" for text in self.started], []
        for thread in self._threads():
            policy = self._policy(thread)
            if policy in REAL_TIME and policy != self._allowed.get(thread):
                found.append(f"left {self._describe(thread, policy)}")
                self._put_back(thread)
        return found

    @staticmethod
    def _put_back(thread: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))

    @staticmethod
    def _describe(thread: int, policy: int) -> str:
        name = next((t.name for t in threading.enumerate() if t.native_id == thread), "")
        if not name:
            # a library's own
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/comm") as file:
                name = file.read().strip()
        return f"thread {name or thread} at {REAL_TIME[policy]}"
