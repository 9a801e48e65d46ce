"""Inboxes between a producer that never waits and readers that do, sets of tasks, ends that callers share."""

import asyncio
import time

import pytest

from rtcpeer.aio import Ending, Inbox, TaskSet, start_task, wall_time


async def turn():
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_items_come_in_order_and_end():
    inbox = Inbox([1])
    inbox.put(2)
    inbox.end()
    inbox.put(3)  # too late

    assert [await inbox.get(), await inbox.get()] == [1, 2]
    assert inbox.is_ended
    with pytest.raises(StopAsyncIteration):
        await inbox.get()


async def test_the_oldest_is_dropped():
    inbox = Inbox(bound=2)
    for item in range(5):
        inbox.put(item)

    assert (list(inbox.items), inbox.dropped) == ([3, 4], 3)


async def test_a_reader_waits():
    inbox = Inbox()
    reader = asyncio.ensure_future(inbox.get())
    await turn()
    assert not reader.done()

    inbox.put("x")
    assert await reader == "x"


async def test_a_cancelled_reader_takes_nothing_from_the_others():
    inbox = Inbox()
    first, second = (asyncio.ensure_future(inbox.get()) for _ in range(2))
    await turn()
    first.cancel()
    await turn()
    inbox.put("x")

    assert await second == "x"


async def test_the_end_wakes_all_readers():
    inbox = Inbox()

    async def read():
        async for _ in aiter(Readable(inbox)):
            raise AssertionError

    readers = [asyncio.ensure_future(read()) for _ in range(3)]
    await turn()
    inbox.end()
    await asyncio.gather(*readers)


class Readable:
    def __init__(self, inbox):
        self.inbox = inbox

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.inbox.get()


async def test_a_task_set_ends_all_tasks_but_the_callers_own():
    tasks = TaskSet("owner")
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def end_all() -> None:
        await tasks.end()
        ended.append("the caller")

    tasks.start(wait("first"))
    tasks.start(wait("second"))
    await turn()
    await tasks.start(end_all())
    assert sorted(ended[:2]) == ["first", "second"]
    assert ended[2:] == ["the caller"]
    await turn()
    assert len(tasks) == 0


async def test_the_end_of_a_task_set_without_tasks_is_at_once():
    tasks = TaskSet("owner")
    assert tasks.cancel_others() == set()
    await tasks.end()


async def test_a_task_that_fails_is_logged_with_its_owner_and_its_name(caplog):
    tasks = TaskSet("owner")

    async def fail() -> None:
        raise ValueError("broken")

    task = tasks.start(fail(), "work")
    assert task.get_name() == "rtcpeer owner: work"
    await tasks.done()
    assert "owner: a task failed: rtcpeer owner: work" in caplog.text
    assert "broken" in caplog.text


async def test_the_owner_is_told_of_a_task_that_it_cannot_do_without():
    tasks = TaskSet("owner")
    told: list[Exception] = []

    async def fail() -> None:
        raise ValueError("broken")

    tasks.start(fail(), on_error=told.append)
    tasks.start(turn(), on_error=told.append)
    tasks.start(asyncio.sleep(60), on_error=told.append).cancel()
    await tasks.done()
    await turn()
    assert [str(error) for error in told] == ["broken"]


@pytest.mark.parametrize("offset", [-3600.0, 3600.0, 1e9])
async def test_a_system_clock_that_is_set_moves_nothing(offset, monkeypatch):
    """What is due by differences of this time (sound, key frames, reports) would wait for an hour, or come at once."""
    set_to = time.time() + offset
    before = wall_time()
    monkeypatch.setattr(time, "time", lambda: set_to)

    assert 0 <= wall_time() - before < 600
    assert 0 <= await asyncio.to_thread(wall_time) - before < 600


def test_wall_time_is_that_of_the_system():
    assert wall_time() == pytest.approx(time.time(), abs=600)


def test_tasks_of_a_loop_that_was_closed_are_left_where_they_are() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a task that never ends is what this is about
    tasks = TaskSet("somebody")

    async def begin() -> None:
        tasks.start(asyncio.sleep(60))

    loop.run_until_complete(begin())
    loop.close()
    gone = tasks.cancel()

    async def wait() -> None:
        await gone

    asyncio.run(wait())


async def test_an_ending_is_done_once_at_a_time_even_if_who_waits_is_cancelled() -> None:
    ending, done, gate = Ending("ending"), [], asyncio.Event()

    async def work() -> None:
        await ending.run(work)  # from inside it is no wait for itself
        await gate.wait()
        done.append("work")

    first, second = (asyncio.create_task(ending.run(work)) for _ in range(2))
    await turn()
    first.cancel()
    await turn()
    gate.set()
    await second
    assert first.cancelled()
    assert done == ["work"]
    await ending.run(work)
    assert done == ["work", "work"]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.11 has no eager tasks")
async def test_a_task_begins_in_the_next_turn_where_the_program_has_eager_ones():
    """A program may say so for its whole loop; an eager task may be over before its creator has it."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    begun = []

    async def work():
        begun.append(asyncio.current_task())

    task = start_task(work(), name="work")
    assert begun == []
    await task
    assert begun == [task]
    assert task.get_name() == "work"


async def test_a_task_factory_of_the_program_makes_the_tasks():
    made = []

    def factory(loop, coroutine, **options):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)
    coroutine = asyncio.sleep(0)

    await start_task(coroutine)

    assert made == [coroutine]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.11 has no eager tasks")
async def test_an_end_that_is_reached_without_a_pause_is_reached_once():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    ending, times = Ending("end"), []

    async def work():
        times.append(1)
        await ending.run(work)

    await ending.run(work)
    assert times == [1]
