import asyncio
import concurrent.futures
import socket
import threading
import time

import pytest

from rtcpeer import aio
from rtcpeer.testing.clock import (
    VirtualClock,
    VirtualDeadlockError,
    VirtualTimeLoop,
    run_virtual,
    wall_time,
)


@pytest.fixture
def quick():
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < 20


@pytest.mark.usefixtures("quick")
class TestJumping:
    def test_an_hour_passes_at_once_and_exactly(self):
        async def main():
            loop = asyncio.get_running_loop()
            assert loop.time() == 0
            await asyncio.sleep(3600)
            assert loop.time() == 3600
            return "done"

        assert run_virtual(main()) == "done"

    def test_timers_keep_their_order(self):
        async def main():
            loop, order = asyncio.get_running_loop(), []
            for delay in (3, 1, 2, 1.5):
                loop.call_later(delay, order.append, delay)
            await asyncio.sleep(10)
            return order

        assert run_virtual(main()) == [1, 1.5, 2, 3]

    def test_timeouts_are_virtual(self):
        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await asyncio.Event().wait()
            assert asyncio.get_running_loop().time() == 60

        run_virtual(main())

    def test_equal_runs_take_equal_time(self):
        async def main():
            loop, seen = asyncio.get_running_loop(), []

            async def worker(pause):
                for _ in range(5):
                    await asyncio.sleep(pause)
                    seen.append((pause, loop.time()))

            await asyncio.gather(*(worker(p) for p in (0.3, 0.1, 0.7)))
            return seen

        assert run_virtual(main()) == run_virtual(main())

    def test_wall_time_goes_along(self):
        async def main():
            before = wall_time()
            assert abs(before - time.time()) < 5
            await asyncio.sleep(1000)
            assert wall_time() - before == pytest.approx(1000)
            # who knows the loop is spared to look for it
            assert aio.wall_time(asyncio.get_running_loop()) == pytest.approx(aio.wall_time(), abs=5)
            assert aio.wall_time(asyncio.get_running_loop()) - before == pytest.approx(1000, abs=5)

        run_virtual(main())
        assert abs(aio.wall_time() - time.time()) < 5
        assert aio.running_loop() is None


@pytest.mark.usefixtures("quick")
class TestStandingStill:
    def test_executor_jobs_take_no_virtual_time(self):
        async def main():
            loop = asyncio.get_running_loop()
            ticks = []
            loop.call_later(0.001, ticks.append, 1)
            await asyncio.to_thread(time.sleep, 0.05)
            assert ticks == []
            assert loop.time() == 0
            await asyncio.sleep(1)
            assert ticks == [1]

        run_virtual(main())

    def test_a_job_that_waits_for_a_timer_does_not_hang(self):
        async def main():
            loop, event = asyncio.get_running_loop(), threading.Event()
            loop.call_later(5, event.set)
            await loop.run_in_executor(None, event.wait, 10)
            assert loop.time() == 5

        with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=0.05)) as runner:
            runner.run(main())

    def test_own_executors_count_too(self):
        async def main():
            loop = asyncio.get_running_loop()
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                async with asyncio.timeout(0.01):
                    await loop.run_in_executor(pool, time.sleep, 0.03)
            assert loop.time() == 0

        run_virtual(main())

    def test_hold(self):
        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            timer = threading.Timer(0.03, loop.call_soon_threadsafe, (future.set_result, "from a thread"))
            timer.start()
            with loop.clock.hold():
                async with asyncio.timeout(0.001):
                    assert await future == "from a thread"
            timer.join()

        run_virtual(main())

    def test_real_sockets_are_heard_before_a_jump(self):
        async def main():
            loop = asyncio.get_running_loop()
            left, right = socket.socketpair()
            left.setblocking(False)
            right.setblocking(False)
            async with asyncio.timeout(0.5):
                for _ in range(20):
                    await loop.sock_sendall(left, b"ping")
                    assert await loop.sock_recv(right, 10) == b"ping"
            assert loop.time() == 0
            left.close()
            right.close()

        run_virtual(main())


@pytest.mark.usefixtures("quick")
async def test_a_running_loop_can_be_given_virtual_time_and_take_it_back():
    loop = asyncio.get_running_loop()
    before = loop.time()
    later = []
    loop.call_later(1000, later.append, "never")
    with VirtualClock(loop) as clock:
        await asyncio.sleep(500)
        assert loop.time() - before == pytest.approx(500, abs=1)
        assert clock.elapsed == pytest.approx(500)
        assert clock.jumps >= 1
        left = loop.call_later(0.01, later.append, "soon")
        assert "elapsed" not in repr(clock)
    assert loop.time() - before < 2
    await asyncio.sleep(0.03)
    assert later == ["soon"]
    left.cancel()


async def test_virtual_time_cannot_be_installed_twice():
    loop = asyncio.get_running_loop()
    with VirtualClock(loop), pytest.raises(RuntimeError, match="already"):
        VirtualClock(loop).install()


def test_foreign_loops_are_refused():
    with pytest.raises(TypeError, match="asyncio itself"):
        VirtualClock(object())


class TestDeadlock:
    def test_tasks_that_wait_for_each_other_are_named_at_once(self):
        async def inner(event):
            await event.wait()

        async def main():
            event = asyncio.Event()
            await asyncio.sleep(5)
            await asyncio.gather(*(asyncio.create_task(inner(event), name=f"waits {n}") for n in range(3)))

        began = time.monotonic()
        with pytest.raises(VirtualDeadlockError, match="waits 0 at ") as caught:
            run_virtual(main())
        assert time.monotonic() - began < 3
        assert "5 s of virtual time after the start" in str(caught.value)
        assert "waits 2" in str(caught.value)
        assert "Event.wait" in str(caught.value)

    def test_the_line_of_the_test_is_named_beside_what_it_waits_in(self):
        async def received(queue):
            return await queue.get()

        async def main():
            await received(asyncio.Queue())

        with pytest.raises(VirtualDeadlockError) as caught:
            run_virtual(main())
        line = main.__code__.co_firstlineno + 1
        assert f" at {__file__}:{line} (" in str(caught.value)
        assert "main), in " in str(caught.value)
        assert "(Queue.get)" in str(caught.value)
        assert "received" not in str(caught.value)

    def test_many_tasks_are_counted(self):
        async def main():
            await asyncio.gather(*(asyncio.create_task(asyncio.Event().wait()) for _ in range(50)))

        with pytest.raises(VirtualDeadlockError, match="and 41 more"):
            run_virtual(main())

    def test_a_thread_that_calls_back_is_waited_for(self):
        async def main():
            loop = asyncio.get_running_loop()
            event = asyncio.Event()
            threading.Timer(0.2, loop.call_soon_threadsafe, [event.set]).start()
            await event.wait()
            return loop.time()

        assert run_virtual(main()) == 0

    def test_a_thread_that_never_calls_back_is_named(self):
        stop = threading.Event()

        async def main():
            await asyncio.Event().wait()

        thread = threading.Thread(target=stop.wait, name="sleeper", daemon=True)
        thread.start()
        try:
            with (
                asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=0.1)) as runner,
                pytest.raises(
                    VirtualDeadlockError, match=r"threads .*sleeper.* have said nothing for 0\.1 s"
                ),
            ):
                runner.run(main())
        finally:
            stop.set()
            thread.join()

    def test_idle_threads_of_executors_do_not_count(self):
        async def main():
            await asyncio.to_thread(lambda: None)
            await asyncio.Event().wait()

        began = time.monotonic()
        with pytest.raises(VirtualDeadlockError):
            run_virtual(main())
        assert time.monotonic() - began < 3

    def test_jobs_and_descriptors_are_waited_for(self):
        async def main():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, time.sleep, 0.2)
            left, right = socket.socketpair()
            left.setblocking(False)
            threading.Timer(0.2, right.send, [b"x"]).start()
            assert await loop.sock_recv(left, 1) == b"x"
            left.close()
            right.close()

        run_virtual(main())
