"""Names are looked up in threads that hold up nobody."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from rtcpeer.net.lookup import Key, LookupPool, ask_system, lookups
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing import run_virtual


class Resolver:
    """Answers when a test lets it."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        self.gate = threading.Event()
        self.hangs: set[str] = set()

    def __call__(self, key: Key) -> list[str]:
        self.asked.append(key)
        if key[0] in self.hangs and not self.gate.wait(30):
            raise AssertionError("the test forgot this look-up")
        if key[0].startswith("none"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [f"address of {key[0]}"]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.gate.set()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rtcpeer look-up"]


async def test_one_look_up_per_name(resolver: Resolver) -> None:
    pool = LookupPool(resolver)
    resolver.hangs.add("slow")
    waiting = [asyncio.ensure_future(pool.resolve("slow")) for _ in range(20)]
    assert await pool.resolve("quick") == ["address of quick"]
    resolver.gate.set()
    assert await asyncio.gather(*waiting) == [["address of slow"]] * 20
    assert sorted(resolver.asked) == [("quick", socket.AF_UNSPEC), ("slow", socket.AF_UNSPEC)]


async def test_names_that_hang_block_nobody_and_threads_end(resolver: Resolver) -> None:
    pool = LookupPool(resolver, limit=4)
    resolver.hangs |= {"a", "b", "c"}
    stuck = [asyncio.ensure_future(pool.resolve(name)) for name in "abc"]
    for number in range(10):
        assert await pool.resolve(f"n{number}") == [f"address of n{number}"]
    assert pool._threads <= 4
    assert all(thread.daemon for thread in threads())
    # the executor of the loop is not theirs
    assert await asyncio.to_thread(lambda: 7) == 7
    resolver.gate.set()
    await asyncio.gather(*stuck)
    async with asyncio.timeout(10):
        while pool._threads:  # noqa: ASYNC110  (threads have no event)
            await asyncio.sleep(0.001)


async def test_a_caller_that_leaves_does_not_take_the_answer_from_others(resolver: Resolver) -> None:
    pool = LookupPool(resolver)
    resolver.hangs.add("slow")
    first, second = (asyncio.ensure_future(pool.resolve("slow")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    resolver.gate.set()
    assert await second == ["address of slow"]


async def test_what_nobody_waits_for_any_more_is_not_begun(resolver: Resolver) -> None:
    pool = LookupPool(resolver, limit=1)
    resolver.hangs.add("slow")
    stuck = asyncio.ensure_future(pool.resolve("slow"))
    queued = asyncio.ensure_future(pool.resolve("later"))
    await asyncio.sleep(0)
    queued.cancel()
    await asyncio.gather(queued, return_exceptions=True)
    resolver.gate.set()
    await stuck
    assert await pool.resolve("another") == ["address of another"]
    assert "later" not in [host for host, _ in resolver.asked]


async def test_errors_reach_who_asked(resolver: Resolver) -> None:
    pool = LookupPool(resolver)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await pool.resolve("none.example")
    assert len(resolver.asked) == 2


def test_a_loop_may_be_gone_when_the_answer_comes(resolver: Resolver) -> None:
    pool = LookupPool(resolver)
    resolver.hangs.add("slow")

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.resolve("slow"), 0.01)

    began = time.monotonic()
    asyncio.run(give_up())
    assert time.monotonic() - began < 10  # not the resolver's 30 s
    resolver.gate.set()
    assert asyncio.run(pool.resolve("quick")) == ["address of quick"]


def test_virtual_time_waits_for_a_thread(resolver: Resolver) -> None:
    pool = LookupPool(resolver)
    resolver.hangs.add("slow")

    async def main() -> None:
        threading.Timer(0.05, resolver.gate.set).start()
        async with asyncio.timeout(3600):
            assert await pool.resolve("slow") == ["address of slow"]
        assert asyncio.get_running_loop().time() < 1

    run_virtual(main())


def test_the_process_may_end_and_fork_meanwhile() -> None:
    program = """
import asyncio, os, socket, time, threading
hang = threading.Event()
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **k: hang.wait(60) and [] if host == "dead.example" else real(host, *a, **k)
from rtcpeer.net.system import SystemNetwork
async def main():
    for name in ["dead.example"] * 3:
        asyncio.ensure_future(SystemNetwork().resolve(name))
    await asyncio.sleep(0.1)
asyncio.run(main())
if os.fork() == 0:
    asyncio.run(SystemNetwork().resolve("localhost"))
    os._exit(0)
assert os.wait()[1] == 0
"""
    began = time.monotonic()
    # Python 3.12 warns of forks beside threads
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 45


def test_the_system_is_asked() -> None:
    assert "127.0.0.1" in ask_system(("localhost", socket.AF_INET))
    with pytest.raises(OSError, match="no host name"):
        ask_system(("a..b", socket.AF_INET))


async def test_the_network_asks_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_look_up", lambda key: [f"{key[0]}/{int(key[1])}"])
    assert await SystemNetwork().resolve("x.example", "ipv6") == [f"x.example/{int(socket.AF_INET6)}"]
    assert os.getpid()  # the executor was not needed
    assert getattr(asyncio.get_running_loop(), "_default_executor", None) is None
