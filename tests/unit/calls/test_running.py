"""`run`: what a signal does to a program."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from rtcpeer.calls.running import run

PROGRAM = """
import asyncio, sys
from rtcpeer import run

async def main():
    try:
        print("begun", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        print("left", flush=True)

print("result", run(main()), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number):
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "begun\n"
        program.send_signal(number)
        assert program.communicate(timeout=60)[0] == "left\nresult None\n"
    assert program.returncode == 0


def test_results_and_errors():
    async def good():
        return 7

    async def bad():
        raise LookupError("x")

    async def cancelled():
        raise asyncio.CancelledError

    assert run(good()) == 7
    with pytest.raises(LookupError):
        run(bad())
    with pytest.raises(asyncio.CancelledError):
        run(cancelled())


def test_handlers_are_as_before_and_other_threads_may_run():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    results = []

    async def main():
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    assert run(main()) is None
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    thread = threading.Thread(target=lambda: results.append(run(asyncio.sleep(0, 5))))
    thread.start()
    thread.join()
    assert results == [5]
