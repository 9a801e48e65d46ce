import asyncio

import pytest

from rtcpeer.peer.errors import OperationError
from rtcpeer.peer.messages import MessageStream, end_messages, outgoing, push_message


def test_outgoing():
    assert outgoing("\u00e9") == ("\u00e9", 2)
    assert outgoing(b"\0") == (b"\0", 1)
    with pytest.raises(TypeError):
        outgoing(3)


async def test_waits_for_messages():
    stream = MessageStream(100)
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    push_message(stream, "a")
    assert await task == "a"
    assert stream.buffered_bytes == 0


async def test_two_readers_and_cancellation():
    stream = MessageStream(100)
    first, second = (asyncio.create_task(anext(stream)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    push_message(stream, "a")
    assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_slow_reader_is_told():
    stream = MessageStream(10)
    push_message(stream, "x" * 20)  # one always fits
    push_message(stream, "y")
    push_message(stream, "z")
    assert await anext(stream) == "x" * 20
    for _ in range(2):
        with pytest.raises(OperationError, match="too slowly"):
            await anext(stream)


async def test_ends():
    stream = MessageStream(10)
    push_message(stream, "a")
    end_messages(stream)
    push_message(stream, "b")
    assert [m async for m in stream] == ["a"]
