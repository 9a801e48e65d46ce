"""The pool of threads: one for the process, and another for a child that `fork()` makes; coders that hang."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from rtcpeer import threads
from rtcpeer.media import workers
from rtcpeer.media.workers import CoderStuckError, Workers
from rtcpeer.testing import run_virtual

_FORK = """
import asyncio, os, warnings
warnings.simplefilter("ignore")
from rtcpeer.media import workers
from rtcpeer.media.workers import Workers

def pid(one):
    async def ask():
        return await asyncio.wait_for(one.run(os.getpid), 5)
    return asyncio.run(ask())

parents = Workers()
assert pid(parents) == os.getpid()
child = os.fork()
if child == 0:
    own = Workers()
    assert pid(own) == os.getpid()
    # what was inherited counts no more, and may be used again
    parents.release()
    assert pid(own) == os.getpid()
    assert pid(parents) == os.getpid()
    own.release()
    assert pid(parents) == os.getpid()
    parents.release()
    assert workers._pool is None
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert pid(parents) == os.getpid()
parents.release()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_a_child_has_threads_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", _FORK], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


async def test_the_pool_ends_with_its_last_user():
    one, other = Workers(), Workers()
    assert await one.run(os.getpid) == await other.run(os.getpid) == os.getpid()
    pool = workers._pool
    one.release()
    one.release()
    assert workers._pool is pool
    other.release()

    assert workers._pool is None
    with pytest.raises(RuntimeError):
        pool.submit(int)


async def test_a_thread_of_ones_own():
    one = Workers("rtcpeer-own")
    assert (await one.run(threading.current_thread)).name == "rtcpeer-own_0"
    assert (await one.run(threading.current_thread)).name == "rtcpeer-own_0"
    assert workers._pool is None
    pool = one._own_pool
    one.release()
    with pytest.raises(RuntimeError):
        pool.submit(int)


async def test_errors_come_back_and_nothing_is_kept():
    one = Workers()
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda: 1 / 0)
    assert one._step is None
    one.release()


@pytest.fixture
def gate():
    """Opened at the end: what a test leaves hanging ends."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if isinstance(thread, threads.PoolThread):
            thread.join(10)


def in_virtual_time(main):
    """As `run_virtual`, without five real seconds of patience for each job that hangs."""

    async def run():
        asyncio.get_running_loop().clock._patience = 0.05
        return await main

    return run_virtual(run())


def test_steps_that_never_end_are_given_up_and_the_next_one_has_a_thread(gate):
    async def main():
        loop, several, one = asyncio.get_running_loop(), [Workers() for _ in range(8)], Workers()
        # what hung in an earlier test, in a foreign library, hangs still
        stuck_before = set(threads.stuck)
        begun = loop.time()
        hangs = [each.run(gate.wait, 60) for each in several]
        # it waits for a thread all the while, and hangs in nothing
        waiting = one.run(os.getpid)
        results = await asyncio.gather(*hangs, return_exceptions=True)
        assert [type(result) for result in results] == [CoderStuckError] * 8
        assert loop.time() - begun > workers.PATIENCE
        assert await waiting == os.getpid()
        assert len(threads.stuck - stuck_before) == 8
        for each in (*several, one):
            each.release()
        assert workers._pool is None

    in_virtual_time(main())


async def test_a_step_that_takes_long_is_none_that_hangs_and_each_has_its_own_time(gate):
    one = Workers()
    for _ in range(2):
        entered = asyncio.Event()
        loop = asyncio.get_running_loop()
        step = one.run(
            lambda loop=loop, entered=entered: (loop.call_soon_threadsafe(entered.set), gate.wait(60))
        )
        await entered.wait()
        for _ in range(workers._LOOKS):
            one._timer.cancel()
            one._look()
        assert not step.done()
        gate.set()
        assert (await step)[1] is True
        gate.clear()
    one.release()


def test_a_process_that_stood_still_gives_nothing_up():
    """Stopped for an hour (SIGSTOP, a laptop that sleeps), it finds every timer due at once."""

    async def main():
        one = Workers()
        gate = threading.Event()
        step = one.run(gate.wait, 60)
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().clock._now += 3600
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not step.done()
        gate.set()
        while not step.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        one.release()

    in_virtual_time(main())


def busy_machine(monkeypatch, run, waited):
    """Between two looks the threads of this process run and wait for a processor for so long, in seconds."""
    looks = iter(range(1000))
    monkeypatch.setattr(workers, "processor_times", lambda: (run * (look := next(looks)), waited * look))


@pytest.mark.parametrize(
    ("run", "waited", "patience"),
    [(0.4, 2.1, workers.PATIENCE_MAX), (4.0, 2.1, workers.PATIENCE), (0.01, 0.05, workers.PATIENCE)],
    ids=["no processor", "others of us run", "idle"],
)
def test_a_machine_that_gives_no_processor_is_waited_for(gate, monkeypatch, run, waited, patience):
    busy_machine(monkeypatch, run, waited)

    async def main():
        loop, one = asyncio.get_running_loop(), Workers()
        begun = loop.time()
        with pytest.raises(CoderStuckError):
            await one.run(gate.wait, 60)
        assert patience <= loop.time() - begun <= patience * 1.5
        one.release()

    in_virtual_time(main())


def test_a_system_that_says_nothing_of_processors_changes_nothing(gate, monkeypatch):
    monkeypatch.setattr(workers, "processor_times", lambda: None)

    async def main():
        loop, one = asyncio.get_running_loop(), Workers()
        with pytest.raises(CoderStuckError):
            await one.run(gate.wait, 60)
        assert loop.time() < workers.PATIENCE * 1.5
        one.release()

    in_virtual_time(main())


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this system does not say it")
def test_processor_times_are_those_of_all_threads():
    run, waited = workers.processor_times()
    thread = threading.Thread(target=sum, args=(range(10**6),))
    thread.start()
    ran = 0
    while thread.is_alive():
        ran = max(ran, workers.processor_times()[0])
    thread.join()
    assert ran > run > 0
    assert waited >= 0


@pytest.mark.parametrize("found", [OSError("no"), ["1"], ["x"]])
def test_processor_times_of_another_system(monkeypatch, found, tmp_path):
    def listdir(_path):
        if isinstance(found, OSError):
            raise found
        return [str(os.getpid())] if found == ["1"] else found

    monkeypatch.setattr(workers.os, "listdir", listdir)
    if found == ["1"]:
        monkeypatch.setattr("builtins.open", lambda *_args, **_options: (tmp_path / "none").open())
    expected = (0.0, 0.0) if found == ["x"] else None
    assert workers.processor_times() == expected


def test_who_has_gone_does_not_wait_long(gate):
    async def main():
        loop, one = asyncio.get_running_loop(), Workers()
        step = one.run(gate.wait, 60)
        await asyncio.sleep(1)
        begun = loop.time()
        one.release()
        with pytest.raises(CoderStuckError):
            await step
        assert loop.time() - begun == pytest.approx(workers.PATIENCE_AT_END, abs=0.1)

    in_virtual_time(main())


def test_the_last_step_lets_the_coder_go(gate):
    async def main():
        one, done = Workers(), []
        assert one.finish(lambda: done.append(1)) is None
        await one.run(os.getpid)
        last = one.finish(lambda: done.append(threading.current_thread().name))
        assert workers._pool is None
        await last
        assert done[0].startswith("rtcpeer-codec")
        # one that hangs in letting go holds nobody up for long
        await one.run(os.getpid)
        last = one.finish(lambda: gate.wait(60))
        await asyncio.wait([last])
        assert isinstance(last.exception(), CoderStuckError)

    in_virtual_time(main())


async def test_threads_are_not_given_away_without_end(gate, monkeypatch):
    monkeypatch.setattr(threads, "stuck", {threading.Thread() for _ in range(workers.STUCK_MAX)})
    one = Workers()
    with pytest.raises(CoderStuckError, match="no more are used"):
        await one.run(os.getpid)
    threads.stuck.pop()
    assert await one.run(os.getpid) == os.getpid()
    one.release()


async def test_who_loses_interest_before_a_call_begins_has_it_not_made(gate):
    one, calls = Workers("rtcpeer-own"), []
    first = one.run(gate.wait, 60)
    second = one.run(calls.append, 1)
    second.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    assert await first is True
    await one.run(calls.append, 2)
    assert calls == [2]
    one.release()
