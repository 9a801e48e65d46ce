"""The bots of `examples/calls`, loaded as modules, and what each of them has to do whatever the service is."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

from rtcpeer.calls import Message, TrackSubscribed, join
from rtcpeer.testing import synthetic_track
from tests.unit.calls.fakes import Diary

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "calls"


def example(name: str) -> Any:
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / name / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def stop(task: asyncio.Future[Any]) -> None:
    """What `rtcpeer.run` does at a signal; an error of the program is raised."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def check_echo(url: str, **options: Any) -> None:
    """The bot gives back what it is shown and answers what it is told."""
    voice = synthetic_track("audio")
    async with join(url, name="alice", **options) as call:
        diary = Diary(call)
        bot = asyncio.ensure_future(example("echo").bot(url))
        await call.publish(voice, name="voice")
        echoed = await diary.get(TrackSubscribed, timeout=40)
        assert echoed.participant.name == "echo"
        async with asyncio.timeout(40):
            for _ in range(20):
                await echoed.track.recv()
            while not diary.of(Message):  # where a service does not keep messages for those who come
                await call.send("hello", echoed.participant)
                await asyncio.sleep(0.3)
        message = diary.of(Message)[0]
        assert (message.sender, message.data) == (echoed.participant, "you said: hello")
        await stop(bot)
    await diary.task
    voice.stop()
