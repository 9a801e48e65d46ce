"""Threads for foreign libraries: daemons, given up when a call never ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from rtcpeer import threads
from rtcpeer.threads import DaemonPool, PoolThread


@pytest.fixture
def gate():
    """Opened at the end: what a test leaves hanging ends."""
    event = threading.Event()
    yield event
    event.set()


def in_call(pool: DaemonPool, gate: threading.Event) -> threading.Thread:
    """A thread of the pool in a call that does not end before the gate opens."""
    entered: list[threading.Thread] = []
    begun = threading.Event()

    def call() -> None:
        entered.append(threading.current_thread())
        begun.set()
        gate.wait(30)

    pool.submit(call)
    assert begun.wait(10)
    return entered[0]


def test_calls_are_made_in_turn_by_few_threads_and_results_come_back():
    pool = DaemonPool(2, "few")
    names = [
        future.result(10)
        for future in [pool.submit(lambda: threading.current_thread().name) for _ in range(50)]
    ]
    assert set(names) <= {"few_0", "few_1"}
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(10)
    assert pool.submit(int, "7", base=8).result(10) == 7
    pool.shutdown()
    assert not [t for t in threading.enumerate() if t.name.startswith("few")]
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_another_thread_takes_the_place_of_one_that_hangs(gate):
    pool = DaemonPool(1, "hangs")
    stuck = in_call(pool, gate)
    assert isinstance(stuck, PoolThread)
    assert stuck.daemon
    waiting = pool.submit(threading.current_thread)
    time.sleep(0.01)
    assert not waiting.done()

    pool.give_up(stuck)

    assert waiting.result(10) is not stuck
    assert stuck in threads.stuck
    # and it does no more when it comes back after all
    gate.set()
    stuck.join(10)
    assert not stuck.is_alive()
    assert stuck not in threads.stuck
    assert pool.submit(threading.current_thread).result(10) is not stuck
    pool.give_up(stuck)
    assert stuck not in threads.stuck
    pool.shutdown()


def test_one_that_was_given_up_is_not_waited_for(gate):
    pool = DaemonPool(2, "given-up")
    stuck = in_call(pool, gate)
    pool.give_up(stuck)
    pool.shutdown()
    assert stuck.is_alive()


def test_what_has_not_begun_can_be_cancelled(gate):
    pool = DaemonPool(1, "cancel")
    in_call(pool, gate)
    first, second = pool.submit(int), pool.submit(int)
    assert first.cancel()
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()


def test_at_the_end_calls_are_waited_for_and_for_a_while_only(gate):
    pool = DaemonPool(1, "end")
    done = []
    pool.submit(lambda: (time.sleep(0.05), done.append(1)))
    pool.submit(done.append, 2)
    pool.finish(time.monotonic() + 10)
    assert done == [1, 2]

    pool = DaemonPool(1, "endless")
    in_call(pool, gate)
    begun = time.monotonic()
    pool.finish(begun + 0.05)
    assert time.monotonic() - begun < 5


_PROGRAM = """
import threading, time
from rtcpeer import threads
from rtcpeer.threads import DaemonPool
threads.PATIENCE_AT_EXIT = 0.2
pool, busy, last = DaemonPool(1, "x"), DaemonPool(1, "y"), DaemonPool(1, "z")
last.submit(lambda: (time.sleep(0.05), print("whole", flush=True)))
pool.submit(time.sleep, 3600)
while not any(pool._threads.values()):
    time.sleep(0.001)
print("over", flush=True)
"""


def test_a_program_ends_although_a_call_hangs():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["over", "whole"])
