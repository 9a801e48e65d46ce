"""The receiving half of signaling channels that share a connection."""

import pytest

from rtcpeer.calls.queue_channel import UNREAD_MAX, QueueChannel
from rtcpeer.errors import InvalidStateError


async def test_messages_come_in_order_until_it_is_closed():
    channel = QueueChannel()
    channel.check_open()
    channel.put("one")
    channel.put("two")
    await channel.close()
    channel.put("three")
    assert [message async for message in channel] == ["one", "two"]
    assert channel.is_closed
    with pytest.raises(InvalidStateError):
        channel.check_open()


async def test_of_too_many_messages_the_oldest_are_dropped():
    channel = QueueChannel()
    for number in range(UNREAD_MAX + 10):
        channel.put(number)
    await channel.close()
    assert [message async for message in channel] == list(range(10, UNREAD_MAX + 10))
