"""The interpreter ends quietly while supervised peers are open, whatever they are doing."""

import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import asyncio
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer

async def fetch():
    await asyncio.sleep({fetch})
    return {{"iceServers": [{{"urls": "stun:192.0.2.1"}}], "ttl": 5}}

async def main():
    here, there = memory_pair(delay=0.01)
    provider = IceServerProvider(fetch)
    a = SupervisedPeer(here, polite=True, provider=provider)
    b = SupervisedPeer(there, polite=False)
    await a.start()
    await b.start()
    a.createDataChannel("x")
    {moment}
    {end}
    return a, b, provider

kept = asyncio.run(main())
"""
MOMENTS = {
    "new": "pass",
    "connected": "await a.connected(10)",
    "restarting": "await a.connected(10); a.restart(); await asyncio.sleep(0.005)",
    "recreating": "await a.connected(10); a.recreate(); await asyncio.sleep(0.005)",
    "closing": "await a.connected(10); closing = asyncio.ensure_future(a.close())",
}
ENDS = ("pass", "raise SystemExit(0)", "del a, b, provider; return")
# An interpreter each: the tests have every moment and every end, HYPOTHESIS_PROFILE=explore has every pair.
PAIRS = [
    (moment, end)
    for row, moment in enumerate(MOMENTS)
    for column, end in enumerate(ENDS)
    if os.environ.get("HYPOTHESIS_PROFILE") == "explore" or (row - column) % len(ENDS) == 0
]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "end"), PAIRS)
def test_the_interpreter_ends_quietly(moment: str, end: str) -> None:
    program = PROGRAM.format(fetch=0, moment=MOMENTS[moment], end=end)
    run_quietly(program)


@pytest.mark.slow
def test_the_interpreter_ends_quietly_while_servers_are_fetched() -> None:
    run_quietly(PROGRAM.format(fetch=100, moment=MOMENTS["connected"], end="raise SystemExit(0)"))


def run_quietly(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
