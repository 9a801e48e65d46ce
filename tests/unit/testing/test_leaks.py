import asyncio
import socket

import pytest

from rtcpeer.testing import no_leaks, run_virtual


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
