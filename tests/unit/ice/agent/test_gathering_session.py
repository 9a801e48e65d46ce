"""Which gatherings of an agent are still wanted, and its gathering state."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.ice.agent import gathering_session
from rtcpeer.ice.agent.gathering_session import GatheringSessions
from rtcpeer.values import NEVER


class FakeGathering:
    """A gathering that ends when the test lets it; its queries know one address."""

    def __init__(self, *_: object) -> None:
        self.queries = self
        self.cleared = False
        self.end = asyncio.Event()

    async def run(self) -> None:
        await self.end.wait()

    def on_stun_untrusted(self, data: bytes, address: Any) -> bool:
        return data == b"known"

    def next_time(self) -> float:
        return 5.0

    def clear(self) -> None:
        self.cleared = True


def generation(remote: object = None) -> Any:
    return SimpleNamespace(half=object(), remote=remote, gathered=False, locals=[])


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(gathering_session, "Gathering", FakeGathering)
    told: list[str] = []
    log = SimpleNamespace(gathered=lambda count: None)
    core = SimpleNamespace(newest=None, set_gathered=lambda now, generation: None)
    return SimpleNamespace(
        network=None,
        context=SimpleNamespace(settings=None),
        pipe=None,
        pool=None,
        core=core,
        log=log,
        listener=SimpleNamespace(on_gathering_state="on_gathering_state"),
        tell=lambda step, state: told.append(str(state)),
        clock=lambda: 0.0,
        flush=lambda: None,
        told=told,
    )


async def test_only_the_newest_generation_has_the_state_of_the_agent(parts: Any) -> None:
    sessions = GatheringSessions(parts)
    older, newer = generation(remote="matched"), generation()
    for one in (older, newer):
        parts.core.newest = one
        sessions.start(one, asyncio.create_task)
    first, second = sessions._wanted
    await asyncio.sleep(0)
    assert (sessions.state, parts.told) == ("gathering", ["gathering"])
    first.gathered()
    assert (sessions.state, parts.told) == ("gathering", ["gathering"])
    second.gathered()
    second.gathered()
    assert (sessions.state, parts.told) == ("complete", ["gathering", "complete"])
    assert sessions.next_time() == NEVER
    sessions.end(lambda _: True)


async def test_a_rollback_ends_what_nobody_has_matched(parts: Any) -> None:
    sessions = GatheringSessions(parts)
    matched, offered = generation(remote="matched"), generation()
    sessions.start(matched, asyncio.create_task)
    sessions.start(offered, asyncio.create_task)
    kept, gone = sessions._wanted
    assert sessions.on_stun_untrusted(b"known", ("192.0.2.1", 1))
    assert not sessions.on_stun_untrusted(b"other", ("192.0.2.1", 1))
    assert sessions.next_time() == 5.0
    sessions.end(lambda one: one.remote is None)
    assert (kept in sessions, gone in sessions) == (True, False)
    assert gone.gathering.cleared
    assert gone.task is not None
    with pytest.raises(asyncio.CancelledError):
        await gone.task
    parts.core.newest = matched
    sessions.rolled_back()
    assert sessions.state == "gathering"
    parts.core.newest = None
    sessions.rolled_back()
    assert sessions.state == "new"
    assert kept.task is not None
    kept.task.cancel()
    sessions.close()
    assert sessions.is_closed
    assert kept not in sessions
