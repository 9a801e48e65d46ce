"""The operations chain and the owned tasks."""

import asyncio

import pytest

from rtcpeer.errors import InvalidStateError
from rtcpeer.peer.core.operations import OperationsChain


@pytest.fixture
def log():
    return []


@pytest.fixture
def chain(log):
    return OperationsChain(lambda: log.append("empty"))


def step(log, name, *, turns=1, error=None):
    async def operation():
        log.append(f"{name} begins")
        for _ in range(turns):
            await asyncio.sleep(0)
        log.append(f"{name} ends")
        if error is not None:
            raise error
        return name

    return operation


async def test_one_at_a_time_in_the_order_of_the_calls(chain, log):
    results = await asyncio.gather(*(chain.run(step(log, name)) for name in "abc"))
    assert results == ["a", "b", "c"]
    assert log == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")] + ["empty"]
    assert chain.is_empty


async def test_on_an_empty_chain_the_first_step_comes_before_the_first_suspension(chain, log):
    coroutine = chain.run(step(log, "a"))
    coroutine.send(None)
    assert log == ["a begins"]
    assert not chain.is_empty
    coroutine.close()
    assert chain.is_empty


async def test_a_failure_reaches_its_caller_only(chain, log):
    first = asyncio.ensure_future(chain.run(step(log, "a", error=KeyError("mine"))))
    second = asyncio.ensure_future(chain.run(step(log, "b")))
    with pytest.raises(KeyError, match="mine"):
        await first
    assert await second == "b"
    assert log[-1] == "empty"


async def test_a_call_made_between_two_operations_queues_behind(chain, log):
    async def first():
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(lambda: later.append(asyncio.ensure_future(run_third())))
        return "a"

    async def run_third():
        return await chain.run(step(log, "c"))

    later = []
    a = asyncio.ensure_future(chain.run(first))
    b = asyncio.ensure_future(chain.run(step(log, "b", turns=3)))
    await asyncio.gather(a, b)
    await later[0]
    assert log == ["b begins", "b ends", "c begins", "c ends", "empty"]


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_wait_gives_its_turn_away(chain, log, turns):
    tasks = [asyncio.ensure_future(chain.run(step(log, name))) for name in "abc"]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1)
    assert results[0] == "a"
    assert results[2] == "c"
    assert chain.is_empty
    assert log[-1] == "empty"
    assert log.count("empty") == 1


async def test_closing_refuses_those_who_wait_and_those_who_come(chain, log):
    running = asyncio.ensure_future(chain.run(step(log, "a", turns=3)))
    waiting = asyncio.ensure_future(chain.run(step(log, "b")))
    await asyncio.sleep(0)
    chain.close()
    with pytest.raises(InvalidStateError, match="closed"):
        await waiting
    with pytest.raises(InvalidStateError, match="closed"):
        await chain.run(step(log, "c"))
    # what runs decides for itself; nothing follows it
    assert await running == "a"
    assert "empty" not in log


async def test_closing_in_the_moment_in_which_a_turn_comes(chain, log):
    async def close():
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(chain.close)

    first = asyncio.ensure_future(chain.run(close))
    second = asyncio.ensure_future(chain.run(step(log, "b")))
    await first
    with pytest.raises(InvalidStateError, match="closed"):
        await second
    assert "b begins" not in log
