"""A program that forks in the middle of a call, as servers with worker processes do: real sockets and threads."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import asyncio, os, traceback, warnings
warnings.simplefilter("ignore")
from rtcpeer.testing import PeerPair, synthetic_track

async def call(meanwhile):
    async with PeerPair() as pair:
        for kind in ("audio", "video"):
            pair.offerer.addTrack(synthetic_track(kind, {}))
        channel = pair.offerer.createDataChannel("x")
        message, tracks = asyncio.get_running_loop().create_future(), []
        pair.answerer.ondatachannel = lambda e: setattr(e.channel, "onmessage", lambda m: message.set_result(m.data))
        pair.answerer.ontrack = lambda event: tracks.append(event.track)
        await pair.connect()
        await channel.opened()
        channel.send("hello")
        assert await message == "hello"
        for _ in range(2):
            for track in tracks:
                for _ in range(5):
                    await track.recv()
            await meanwhile()

async def nothing():
    pass

async def fork():
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(asyncio.wait_for(call(nothing), 60))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(7)
    status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status[1]) == 7

asyncio.run(asyncio.wait_for(call(fork), 140))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_the_childs_own_calls_work_and_the_parents_goes_on():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
