"""The counting of numbered messages."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.cli.demo.numbers import MAX_BUFFERED, NumberedStream, Tally
from rtcpeer.media.event_target import Event, EventTarget


class Channel(EventTarget):
    """A data channel whose other end is itself."""

    def __init__(self) -> None:
        self.readyState = "connecting"
        self.bufferedAmount = 0
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)

    def say(self, type: str, **members: object) -> None:
        event = Event(type)
        for name, value in members.items():
            setattr(event, name, value)
        self.dispatchEvent(event)

    def open(self) -> None:
        self.readyState = "open"
        self.say("open")


def test_a_tally_without_a_hole() -> None:
    tally = Tally()
    for number in range(5):
        tally.take(number, number * 0.01)
    assert (tally.received, tally.lost, tally.misplaced) == (5, 0, 0)
    assert round(tally.gap, 6) == 0.01


def test_a_skipped_number_is_lost_and_a_repeated_one_is_misplaced() -> None:
    tally = Tally()
    for number in (0, 1, 4, 4, 2, 5):
        tally.take(number, 0.0)
    assert tally.received == 6
    assert tally.lost == 2
    assert tally.misplaced == 2


def test_the_first_numbers_count_as_lost_when_the_stream_begins_late() -> None:
    tally = Tally()
    tally.take(3, 0.0)
    assert tally.lost == 3


def test_the_recent_gap_counts_from_the_mark() -> None:
    tally = Tally()
    tally.take(0, 0.0)
    tally.take(1, 5.0)
    tally.mark(6.0)
    tally.take(2, 6.5)
    assert tally.gap == 5.0
    assert tally.recent == 0.5
    assert tally.recent_until(8.5) == 2.0
    assert tally.gap_until(7.0) == 5.0
    assert Tally().gap_until(9.0) == Tally().recent_until(9.0) == 0.0


async def test_a_stream_counts_from_open_to_close() -> None:
    channel = Channel()
    stream = NumberedStream(channel, interval=0.0001)
    assert channel.sent == []
    channel.open()
    async with asyncio.timeout(20):
        while len(channel.sent) < 5:  # noqa: ASYNC110  (a channel of the test's own, without events)
            await asyncio.sleep(0.001)
    assert channel.sent[:5] == ["0", "1", "2", "3", "4"]
    channel.readyState = "closed"
    channel.say("close")
    await stream.stop()
    count = len(channel.sent)
    await asyncio.sleep(0.001)
    assert len(channel.sent) == count == stream.sent


async def test_a_program_that_stood_still_says_for_how_long(virtual_time) -> None:
    channel = Channel()
    channel.readyState = "open"
    stream = NumberedStream(channel, interval=0.01)
    await asyncio.sleep(0.5)
    assert stream.late < 0.001
    virtual_time._now += 0.7
    await asyncio.sleep(0.1)
    assert stream.late == pytest.approx(0.7, abs=0.02)
    stream.mark()
    await asyncio.sleep(0.1)
    assert stream.late < 0.001
    await stream.stop()


async def test_an_open_channel_is_used_at_once_with_padding() -> None:
    channel = Channel()
    channel.readyState = "open"
    stream = NumberedStream(channel, interval=60, padding=3)
    await asyncio.sleep(0)
    assert channel.sent == ["0 ..."]
    await stream.stop()


async def test_a_full_buffer_is_not_filled_further() -> None:
    channel = Channel()
    channel.bufferedAmount = MAX_BUFFERED
    channel.readyState = "open"
    stream = NumberedStream(channel, interval=0.0001)
    await asyncio.sleep(0.002)
    assert channel.sent == []
    await stream.stop()


async def test_what_arrives() -> None:
    channel = Channel()
    channel.readyState = "open"
    stream = NumberedStream(channel, interval=60)
    await asyncio.sleep(0)
    for data in ("0", "1 ..", "ping 17.5", "pong 3", "nonsense", b"\x00", "9" * 400):
        channel.say("message", data=data)
    assert channel.sent == ["0", "pong 17.5"]
    report = stream.report()
    assert report["received"] == 2
    assert report["lost"] == report["misplaced"] == 0
    stream.mark()
    assert stream.report()["recent"] < 1
    await stream.stop()
