import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.errors import InvalidStateError, RTCSyntaxError
from rtcpeer.sdp.text import MAX_LENGTH
from rtcpeer.signaling.channel import (
    MemoryChannel,
    MemoryPair,
    SignalingChannel,
    as_message,
    memory_pair,
    read_message_untrusted,
)
from rtcpeer.signaling.check import check_signaling_channel
from tests.unit.config.virtual import virtual
from tests.unit.signaling.fakes import Candidate, Description

CANDIDATE = {"candidate": "candidate:1", "sdpMid": "0"}


@virtual
async def test_memory_pair_keeps_every_promise() -> None:
    await check_signaling_channel(memory_pair)
    await check_signaling_channel(lambda: memory_pair(delay=0.5))


@virtual
async def test_the_check_awaits_pairs() -> None:
    async def make() -> MemoryPair:
        return memory_pair()

    await check_signaling_channel(make)


class Broken:
    """A channel with one fault."""

    def __init__(self, inner: MemoryChannel, fault: str) -> None:
        self.inner = inner
        self.fault = fault
        self.kept: list[Any] = []

    async def send(self, message: Any, /) -> None:
        message = as_message(message)
        if self.fault == "changes":
            message["candidate"] = "x"
        if self.fault == "loses":
            return
        if self.fault == "reorders" and "sdpMLineIndex" in message:
            self.kept.insert(0, message)
            if len(self.kept) == 50:
                for kept in self.kept:
                    await self.inner.send(kept)
            elif message["sdpMLineIndex"] == 0 and not self.kept[1:]:
                await self.inner.send(self.kept.pop())
            return
        try:
            await self.inner.send(message)
        except InvalidStateError:
            if self.fault != "quiet":
                raise

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.read()

    async def read(self) -> AsyncIterator[Any]:
        async for message in self.inner:
            yield message
        if self.fault == "endless":
            await asyncio.sleep(1e9)

    async def close(self) -> None:
        if self.fault == "leaks":
            self.task = asyncio.get_running_loop().create_task(asyncio.sleep(30))
        await self.inner.close()


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("changes", "changed"),
        ("loses", "did not arrive"),
        ("quiet", "did not raise"),
        ("endless", "end the iteration"),
    ],
)
@virtual
async def test_the_check_finds_faults(fault: str, complaint: str) -> None:
    def make() -> tuple[Broken, Broken]:
        a, b = memory_pair()
        return Broken(a, fault), Broken(b, fault)

    with pytest.raises(AssertionError, match=complaint):
        await check_signaling_channel(make)
    await asyncio.sleep(0)


@virtual
async def test_the_check_finds_tasks_that_stay() -> None:
    made: list[Broken] = []

    def make() -> tuple[Broken, Broken]:
        made.extend(Broken(end, "leaks") for end in memory_pair())
        return made[-2], made[-1]

    with pytest.raises(AssertionError, match="tasks"):
        await check_signaling_channel(make)
    await asyncio.sleep(31)


@virtual
async def test_the_check_finds_what_is_no_channel() -> None:
    class Nothing:
        async def close(self) -> None:
            pass

    with pytest.raises(AssertionError, match="no send"):
        await check_signaling_channel(lambda: (Nothing(), Nothing()))  # type: ignore[arg-type, return-value]


@virtual
async def test_loss_repetition_and_outage() -> None:
    a, b = pair = memory_pair(loss=0.2, repeat=0.2, jitter=1.0, random_source=random.Random(3))
    assert isinstance(a, SignalingChannel)
    for number in range(1000):
        await a.send(CANDIDATE | {"sdpMLineIndex": number})
    await asyncio.sleep(2)
    pair.is_up = False
    assert not pair.is_up
    await a.send(CANDIDATE)
    await a.close()
    arrived = [m["sdpMLineIndex"] async for m in b]
    assert 150 < a.lost < 250
    assert a.sent == 1001
    assert len(set(arrived)) == 1001 - a.lost
    assert len(arrived) > len(set(arrived)) + 100
    assert arrived != sorted(arrived)
    assert repr(a) == "<MemoryChannel closed, 1001 sent>"


@virtual
async def test_messages_on_their_way_when_the_channel_closes_are_lost() -> None:
    a, b = memory_pair(delay=1.0)
    await a.send(CANDIDATE)
    await b.close()
    await asyncio.sleep(2)
    assert [m async for m in b] == []
    with pytest.raises(InvalidStateError):
        await a.send(CANDIDATE)


def test_as_message() -> None:
    assert as_message(Description("offer", "x")) == {"type": "offer", "sdp": "x"}
    assert as_message(Candidate(CANDIDATE)) == CANDIDATE
    assert as_message(CANDIDATE) == CANDIDATE
    for wrong in (None, "x", 5, []):
        with pytest.raises(TypeError):
            as_message(wrong)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"type": "offer", "sdp": "x"}, {"type": "offer", "sdp": "x"}),
        ({"description": {"type": "answer", "sdp": "x"}}, {"type": "answer", "sdp": "x"}),
        ({"sdp": {"type": "answer", "sdp": "x"}}, {"type": "answer", "sdp": "x"}),
        ({"type": "rollback"}, {"type": "rollback"}),
        (CANDIDATE, CANDIDATE),
        ({"candidate": CANDIDATE}, CANDIDATE),
        ({"type": "candidate", "candidate": CANDIDATE}, CANDIDATE),
        ({"candidate": ""}, {"candidate": ""}),
        ({"candidate": None}, {"candidate": ""}),
        ({"candidate": None, "description": {"type": "offer", "sdp": "x"}}, {"type": "offer", "sdp": "x"}),
    ],
)
def test_read_message(given: Any, read: Any) -> None:
    assert read_message_untrusted(given) == read


@pytest.mark.parametrize(
    "given",
    [
        None,
        "x",
        [],
        {},
        {"type": "offer"},
        {"type": "call", "sdp": "x"},
        {"type": ["offer"], "sdp": "x"},
        {"type": "offer", "sdp": 5},
        {"type": "offer", "sdp": "x" * 10_000_001},
        {"candidate": 5},
        {"candidate": {"candidate": 5}},
        {"description": {}},
    ],
)
def test_read_rubbish(given: Any) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        read_message_untrusted(given)
    assert caught.value.fault == "remote"


def test_a_description_that_no_connection_would_read_is_refused_as_it_arrives() -> None:
    """The limit is that of the parser, and not a larger one of its own."""
    longest = {"type": "offer", "sdp": "x" * MAX_LENGTH}
    assert read_message_untrusted(longest) == longest
    with pytest.raises(RTCSyntaxError, match="longer than 1048576 characters"):
        read_message_untrusted({"type": "offer", "sdp": "x" * (MAX_LENGTH + 1)})
