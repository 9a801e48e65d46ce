"""One set of misbehaviours for every service: a call is refused, ends or goes on; nothing hangs, nothing is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.calls import Ended, EndReason, join
from rtcpeer.errors import (
    InvalidStateError,
    NetworkError,
    NotSupportedError,
    RTCTimeoutError,
    SignalingRefused,
)
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fake_services import FAKES
from tests.unit.calls.misbehaviour import WRONGS, Fake
from tests.unit.calls.test_rooms import served

pytest.importorskip("rtcpeer.calls.rtcmulticonnection", reason="the extra socketio is not installed")
pytest.importorskip("rtcpeer.calls.livekit", reason="the extra livekit is not installed")

pytestmark = pytest.mark.timeout(180)

# what a service may make a program's calls raise
ALLOWED = (NetworkError, RTCTimeoutError, SignalingRefused, InvalidStateError, NotSupportedError)
REFUSED = (NetworkError, RTCTimeoutError, SignalingRefused)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a service that says nothing waits less."""
    from rtcpeer.calls.livekit import room

    monkeypatch.setattr("rtcpeer.calls.livekit.requests.ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(room, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("rtcpeer.calls.livekit.media.OPEN_TIMEOUT", 0.3)


async def outcome(fake: Fake, voice: Any) -> str:
    """Join, publish, send, stay for a moment, leave: how that went."""
    async with served(fake.serve) as port:
        url = f"{fake.scheme}://127.0.0.1:{port}{fake.path}"
        try:
            timeout = 2.0 if fake.wrong in ("stalls", "reorders") or fake.honest == "refused" else 30.0
            async with join(url, timeout=timeout, **fake.options) as call:
                for order in (call.publish(voice), call.send("hello")):
                    try:
                        async with asyncio.timeout(5):
                            await order
                    except ALLOWED:
                        pass
                try:
                    ended: Ended | None = await asyncio.wait_for(call.closed(), 0.7)
                except TimeoutError:
                    ended = None
                repr(call)
                for participant in call.participants.values():
                    assert isinstance(participant.name, str | None)
                    assert isinstance(participant.id, str)
        except REFUSED:
            return "refused"
        finally:
            fake.over.set()
        if ended is None:
            return "goes on"
        assert ended.reason in set(EndReason)
        return str(ended.reason)


async def outcomes(kind: type[Fake], steps: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    voice = synthetic_track("audio")
    try:
        async with no_leaks(grace=5):
            fakes = [kind(step, wrong) for step, wrong in steps]
            async with asyncio.timeout(120):
                found = await asyncio.gather(*(outcome(fake, voice) for fake in fakes))
    finally:
        voice.stop()
    return dict(zip(steps, found, strict=True))


@pytest.mark.parametrize("kind", FAKES)
async def test_an_honest_fake_is_entered_and_says_everything(kind: type[Fake]) -> None:
    voice = synthetic_track("audio")
    fake = kind()
    async with no_leaks(grace=5):
        assert await outcome(fake, voice) == kind.honest
    voice.stop()
    assert set(fake.said) >= set(fake.steps)


@pytest.mark.parametrize("kind", FAKES)
async def test_each_misbehaviour_in_each_step(kind: type[Fake]) -> None:
    steps = [(step, wrong) for step in (*kind.steps, *kind.later) for wrong in WRONGS]
    found = await outcomes(kind, steps)
    first = kind.steps[0]
    for wrong in ("ends", "stalls"):
        assert found[first, wrong] != "goes on" or kind.recovers
    for step in (*kind.steps[1:], *kind.later):  # once it is entered, what is only odd is survived
        for wrong in ("repeats", "unknown"):
            assert found[step, wrong] == kind.honest, (step, wrong, found)
