"""Closing, at any moment, ends everything: no task, no socket, no thread, no TURN allocation is left."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import PeerPair, TurnServer, VirtualNetwork, no_leaks, run_virtual, synthetic_track
from tests.scenarios.virtual import codec_threads_ended

# What a close may take: the release of an allocation over 30 ms links, asked for twice
PROMPT = 2.5

EVENTS = (
    "negotiationneeded",
    "icecandidate",
    "signalingstatechange",
    "iceconnectionstatechange",
    "icegatheringstatechange",
    "connectionstatechange",
    "track",
    "datachannel",
)


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())


@contextlib.contextmanager
def nothing_forced():
    """No part of a connection had to be ended by force, and nothing was complained about."""
    handler = Warnings()
    logger = logging.getLogger("rtcpeer")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert handler.records == []


async def life(pair, server):
    """A bit more than a second in which everything happens that can happen."""
    channel = pair.offerer.createDataChannel("x")
    pair.offerer.addTrack(synthetic_track("audio"))
    await pair.connect()
    await channel.opened()
    channel.send(b"x" * 100_000)
    await asyncio.sleep(0.2)
    # a restart with the same servers, then with others
    await pair.negotiate(iceRestart=True)
    await asyncio.sleep(0.1)
    for connection in (pair.offerer, pair.answerer):
        connection.setConfiguration({"iceServers": server.ice_servers[1:]})
    await pair.negotiate(pair.answerer)
    await asyncio.sleep(0.1)
    pair.answerer.addTransceiver("audio")
    await pair.negotiate(pair.answerer)
    pair.offerer.getTransceivers()[0].stop()
    await pair.negotiate()
    await asyncio.sleep(0.2)
    await pair.offerer.setLocalDescription()
    await asyncio.sleep(0.1)
    await pair.offerer.setLocalDescription({"type": "rollback"})
    await asyncio.sleep(0.2)


async def close_twice(connection):
    first = connection.close()
    await asyncio.gather(first, connection.close())
    await connection.close()


async def close_cancelled(connection):
    task = asyncio.ensure_future(wait_for_close(connection))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await connection.close()


async def wait_for_close(connection):
    await connection.close()


async def close_without_waiting(connection):
    connection.close()


WAYS = {
    "plainly": wait_for_close,
    "twice": close_twice,
    "cancelled": close_cancelled,
    "without waiting": close_without_waiting,
}


def in_virtual_time(interrupt):
    """Run a life, interrupt it, and look at what is left."""

    async def main():
        with nothing_forced():
            async with no_leaks(grace=0):
                network = VirtualNetwork(delay=0.015)
                host = network.add_host("turn.example", delay=0)
                server = TurnServer(users={"u": "p"}, network=host.network, hostname="turn.example")
                async with server:
                    pair = PeerPair({"iceServers": server.ice_servers}, network=network)
                    living = asyncio.ensure_future(life(pair, server))
                    await interrupt(pair, living)
                    living.cancel()
                    await asyncio.gather(living, return_exceptions=True)
                    await asyncio.wait_for(pair.close(), PROMPT)
                    for connection in (pair.offerer, pair.answerer):
                        assert connection.connectionState == "closed"
                        assert connection.signalingState == "closed"
                    await server.released(timeout=0.1)
                assert network.sockets == []
                network.close()
                codec_threads_ended()

    run_virtual(main())


def test_after_a_full_life():
    async def interrupt(_, living):
        began = asyncio.get_running_loop().time()
        await living
        assert 1.1 < asyncio.get_running_loop().time() - began < 1.3

    in_virtual_time(interrupt)


@given(
    moment_ms=st.integers(0, 1200),
    turns=st.integers(0, 12),
    way=st.sampled_from(sorted(WAYS)),
    who=st.sampled_from(["offerer", "answerer"]),
)
@settings(max_examples=40)
def test_at_any_moment(moment_ms, turns, way, who):
    async def interrupt(pair, _):
        if moment_ms:
            await asyncio.sleep(moment_ms / 1000)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(WAYS[way](getattr(pair, who)), PROMPT)

    in_virtual_time(interrupt)


@given(
    event=st.sampled_from(EVENTS),
    number=st.integers(1, 6),
    who=st.sampled_from(["offerer", "answerer"]),
    asynchronous=st.booleans(),
)
@example(event="track", number=1, who="answerer", asynchronous=False)
@example(event="datachannel", number=1, who="answerer", asynchronous=True)
@settings(max_examples=30)
def test_inside_a_listener(event, number, who, asynchronous):
    async def interrupt(pair, living):
        connection = getattr(pair, who)
        seen = 0

        def close(_):
            nonlocal seen
            seen += 1
            if seen == number:
                connection.close()
                watch_silence(connection)

        async def close_and_wait(event):
            close(event)
            await connection.close()

        connection.addEventListener(event, close_and_wait if asynchronous else close)
        await asyncio.wait([living], timeout=3)

    in_virtual_time(interrupt)


def watch_silence(connection):
    for type in EVENTS:
        connection.addEventListener(type, lambda event: pytest.fail(f"{event.type} after close()"))


def test_with_a_server_that_never_confirms():
    async def main():
        async with no_leaks(grace=0):
            network = VirtualNetwork(delay=0.015)
            host = network.add_host("turn.example", delay=0)
            server = TurnServer(users={"u": "p"}, network=host.network, hostname="turn.example")
            async with server:
                pair = PeerPair({"iceServers": server.ice_servers}, network=network)
                await pair.connect()
                server.faults.silent = True
                began = asyncio.get_running_loop().time()
                await pair.close()
                assert asyncio.get_running_loop().time() - began < 5
            assert network.sockets == []
            network.close()

    run_virtual(main())


def test_with_the_network_gone():
    async def main():
        async with no_leaks(grace=0):
            network = VirtualNetwork(delay=0.015)
            pair = PeerPair(network=network)
            await pair.connect()
            network.hosts["alice"].link.set(down=True)
            began = asyncio.get_running_loop().time()
            await pair.close()
            assert asyncio.get_running_loop().time() - began < 5
            assert network.sockets == []
            network.close()

    run_virtual(main())


# --- on real sockets ------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [*range(12), 20, 50])
async def test_on_real_sockets(turns):
    async with no_leaks(), TurnServer(users={"u": "p"}) as server:
        pair = PeerPair({"iceServers": server.ice_servers})
        pair.offerer.createDataChannel("x")
        connecting = asyncio.ensure_future(pair.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        with nothing_forced():
            await asyncio.wait_for(pair.close(), 20)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await server.released()


async def test_after_the_loop_has_lagged():
    async with no_leaks(), PeerPair() as pair:
        await pair.connect()
        pair.offerer.close()
        time.sleep(0.2)  # noqa: ASYNC251 - that is the point
        with nothing_forced():
            await asyncio.wait_for(pair.offerer.close(), 20)


async def test_async_with_closes_and_lets_exceptions_out():
    async with no_leaks():
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012 - the block is the point
            async with RTCPeerConnection() as connection:
                connection.createDataChannel("x")
                await connection.setLocalDescription()
                raise KeyError("mine")
        assert connection.connectionState == "closed"


def test_without_a_running_loop():
    connection = RTCPeerConnection()
    connection.createDataChannel("x")
    connection.close()
    connection.close()
    assert connection.signalingState == "closed"


def sockets():
    names = (os.path.join("/proc/self/fd", entry) for entry in os.listdir("/proc/self/fd"))
    found = set()
    for name in names:
        with contextlib.suppress(OSError):
            found.add(os.readlink(name))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not list sockets")
def test_after_the_loop_has_ended():
    before = sockets()

    async def main():
        connection = RTCPeerConnection()
        connection.createDataChannel("x")
        await connection.setLocalDescription()
        await connection.gathered()
        return connection

    connection = asyncio.run(main())
    connection.close()
    assert connection.signalingState == "closed"
    assert connection.connectionState == "closed"
    assert sockets() <= before


def test_between_two_runs_of_one_loop():
    async def main():
        connection = RTCPeerConnection()
        connection.createDataChannel("x")
        await connection.setLocalDescription()
        return connection

    async def end(connection):
        async with no_leaks():
            await connection.close()

    with asyncio.Runner() as runner:
        before = sockets()
        connection = runner.run(main())
        connection.close()
        runner.run(end(connection))
        assert sockets() <= before


def test_awaited_in_another_loop():
    async def main():
        connection = RTCPeerConnection()
        connection.createDataChannel("x")
        await connection.setLocalDescription()
        return connection

    connection = asyncio.run(main())

    async def close():
        await asyncio.wait_for(connection.close(), 20)

    asyncio.run(close())
    assert connection.signalingState == "closed"


class Peers:
    """Two connections that are up."""

    async def __aenter__(self):
        self.pair = PeerPair()
        await self.pair.connect()
        return self.pair

    async def __aexit__(self, *_exc):
        await self.pair.close()


async def in_a_task(connection):
    await asyncio.create_task(connection.close())


async def in_a_group(connection):
    async with asyncio.TaskGroup() as group:
        group.create_task(connection.close())


async def gathered_twice(connection):
    await asyncio.gather(connection.close(), connection.close())


async def twice_by_one_awaitable(connection):
    closing = connection.close()
    await closing
    await closing


@pytest.mark.parametrize("end", [in_a_task, in_a_group, gathered_twice, twice_by_one_awaitable])
async def test_close_goes_wherever_a_coroutine_goes(end):
    async with no_leaks(), Peers() as pair:
        with nothing_forced():
            await asyncio.wait_for(end(pair.offerer), 20)
        assert pair.offerer.connectionState == "closed"


async def test_a_task_that_closes_can_be_cancelled():
    async with no_leaks(), Peers() as pair:
        closing = asyncio.create_task(pair.offerer.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.wait_for(pair.offerer.close(), 20)


def test_close_between_runs_is_awaited_by_run():
    connection = RTCPeerConnection()
    asyncio.run(connection.close())
    assert connection.signalingState == "closed"


# --- the end of the interpreter -------------------------------------------------------------------

PROGRAM = """
import asyncio
from rtcpeer import RTCPeerConnection
from rtcpeer.testing import PeerPair, TurnServer, synthetic_track

async def main():
    server = TurnServer(users={{"u": "p"}})
    await server.start()
    configuration = {{"iceServers": server.ice_servers}}
    pair = PeerPair(configuration)
    alone = RTCPeerConnection(configuration)
    for connection in (pair.offerer, alone):
        connection.createDataChannel("x")
        connection.addTrack(synthetic_track("audio"))
    {moment}
    {end}
    return pair, alone, server

kept = asyncio.run(main())
"""
MOMENTS = {
    "new": "pass",
    "gathering": "await alone.setLocalDescription()",
    "connected": "await pair.connect(); await asyncio.sleep(0.1)",
    "closing": "await pair.connect(); pair.offerer.close(); pair.answerer.close()",
}
# tasks that never ended are collected first, and what they held then
COLLECT = "del kept\nimport gc\nfor _ in range(4):\n    gc.collect()\n"
ENDS = {"return": "pass", "raise": "raise SystemExit(0)", "del": "del pair, alone, connection; return None"}


def run_program(text, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# An interpreter each: the tests have every moment and every end, `make explore` has every pair.
PAIRS = [
    (moment, end)
    for row, moment in enumerate(MOMENTS)
    for column, end in enumerate(ENDS)
    if os.environ.get("HYPOTHESIS_PROFILE") == "explore" or (row - column) % len(ENDS) == 0
]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "end"), PAIRS)
def test_the_interpreter_ends_quietly(moment, end):
    done = run_program(PROGRAM.format(moment=MOMENTS[moment], end=ENDS[end]))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_an_unclosed_connection_is_a_resource_warning():
    # collected by name: what the interpreter still collects at its own end differs between versions
    text = PROGRAM.format(moment=MOMENTS["connected"], end=ENDS["return"]) + COLLECT
    done = run_program(text, "-W", "always::ResourceWarning")
    assert done.returncode == 0
    warnings = [
        line for line in done.stderr.splitlines() if "Warning" in line and "warnings.warn" not in line
    ]
    assert any("RTCPeerConnection" in line and "was not closed" in line for line in warnings), done.stderr
    assert "Traceback" not in done.stderr
