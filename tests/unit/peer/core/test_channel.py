import asyncio
import gc

import aiortc
import pytest

from rtcpeer import errors
from rtcpeer.peer.core import channel as channelcore
from rtcpeer.peer.core.channel import DataChannelCore
from rtcpeer.peer.data_channel import RTCDataChannel, read_data_channel_init
from rtcpeer.peer.errors import OperationError, RTCError, RTCTimeoutError
from tests.unit.peer.channels import FakeChannel, FakeOwner, local_channel, open_channel, record


def incoming_channel():
    owner = FakeOwner()
    channel = FakeChannel(read_data_channel_init("r", negotiated=True, id=1))
    core = DataChannelCore.incoming(channel, owner, RTCDataChannel)
    assert channel.listener is core
    return core, channel, owner


async def turn():
    await asyncio.sleep(0)


# -- opening


async def test_open():
    core, _, owner = local_channel()
    seen = record(core.face)
    waiting = asyncio.create_task(core.opened(None))
    await turn()
    core.on_open()
    core.on_open()
    await waiting
    await core.opened(None)
    assert seen == [("open", "open")]
    assert owner.calls == ["open"]
    assert core.was_open


def test_refused_by_the_transport():
    def refuse(parameters, listener):
        raise errors.OperationError("taken")

    with pytest.raises(errors.OperationError):
        DataChannelCore.opening(refuse, read_data_channel_init("x"), FakeOwner(), RTCDataChannel)


async def test_incoming_is_open_in_the_datachannel_event_and_announced_later():
    core, channel, owner = incoming_channel()
    seen = record(core.face)
    assert core.face.readyState == "open"
    core.face.send("early")
    core.announce()
    assert seen == []
    await turn()
    assert seen == [("open", "open")]
    assert channel.sent == ["early"]
    assert owner.calls == ["open"]


async def test_what_comes_before_the_announcement_waits_in_order():
    core, _channel, _ = incoming_channel()
    core.announce()
    core.on_message("one")
    core.on_closing()
    core.on_closed(None)
    seen = record(core.face)
    assert core.face.readyState == "open"
    await turn()
    assert seen == [("open", "open"), ("message", "open"), ("closing", "closing"), ("close", "closed")]


async def test_no_open_event_after_close_in_the_datachannel_event():
    core, _channel, owner = incoming_channel()
    seen = record(core.face)
    core.face.send("x")
    core.face.close()
    core.announce()
    core.on_message("late")
    await turn()
    core.on_closed(None)
    assert seen == [("close", "closed")]
    assert owner.calls == ["left", "closed"]
    assert not core.was_open


async def test_shut_before_the_announcement():
    core, _, _ = incoming_channel()
    seen = record(core.face)
    core.announce()
    core.on_message("x")
    core.shut()
    await turn()
    assert seen == []


async def test_opened_times_out():
    core, _, _ = local_channel()
    with pytest.raises(RTCTimeoutError, match="within 0 s"):
        await core.opened(0)
    core.on_open()


# -- closing


def test_close_by_us():
    core, channel, owner = open_channel()
    seen = record(core.face)
    core.face.close()
    core.face.close()
    assert core.face.readyState == "closing"
    assert channel.closed == 1
    core.on_message("late")
    core.on_closed(None)
    core.on_closed(None)
    core.face.close()
    assert seen == [("close", "closed")]
    assert owner.calls == ["left", "closed"]
    assert channel.closed == 1


def test_close_by_the_other_end():
    core, _channel, owner = open_channel()
    seen = record(core.face)
    core.on_closing()
    core.on_closing()
    core.on_closed(None)
    assert seen == [("closing", "closing"), ("close", "closed")]
    assert owner.calls == ["left", "closed"]
    assert core.error is None


def test_close_with_an_error():
    core, _, _ = open_channel()
    seen = record(core.face)
    errors_seen = []
    core.face.onerror = lambda event: errors_seen.append(event.error)
    core.on_closed(errors.RTCError("sctp-failure", "aborted", sctpCauseCode=12))
    assert seen == [("error", "closed"), ("close", "closed")]
    assert isinstance(errors_seen[0], RTCError)
    assert (errors_seen[0].errorDetail, errors_seen[0].sctpCauseCode) == ("sctp-failure", 12)
    assert core.error is errors_seen[0]


async def test_connection_closed_is_silent():
    core, channel, owner = local_channel()
    seen = record(core.face)
    waiting = asyncio.create_task(core.opened(None))
    stream, events = core.face.messages(), core.face.events()
    await turn()
    core.shut()
    core.shut()
    with pytest.raises(aiortc.InvalidStateError):
        await waiting
    assert [m async for m in stream] == []
    assert [e async for e in events] == []
    assert seen == []
    assert owner.calls == ["left", "closed"]
    with pytest.raises(aiortc.InvalidStateError, match="closed"):
        core.face.send("x")
    with pytest.raises(aiortc.InvalidStateError):
        await core.opened(None)
    with pytest.raises(aiortc.InvalidStateError):
        await core.face.send_async("x")
    assert [m async for m in core.face] == []
    assert channel.sent == []


# -- sending


@pytest.mark.parametrize(
    ("data", "sent", "size"),
    [
        ("hello", "hello", 5),
        ("", "", 0),
        ("\u4e16\u754c", "\u4e16\u754c", 6),
        ("a\ud800", "a\ufffd", 4),
        (b"abc", b"abc", 3),
        (bytearray(b"abc"), b"abc", 3),
        (memoryview(b"abcdef")[1:3], b"bc", 2),
        (memoryview(b"abcdef")[::2], b"ace", 3),
    ],
)
def test_send(data, sent, size):
    core, channel, _ = open_channel()
    core.send(data)
    assert channel.sent == [sent]
    assert type(channel.sent[0]) is type(sent)
    assert core.face.bufferedAmount == size


def test_a_buffer_is_copied():
    core, channel, _ = open_channel()
    data = bytearray(b"abc")
    core.send(data)
    data[0] = 0
    assert channel.sent == [b"abc"]


@pytest.mark.parametrize("data", [None, 5, [1], object()])
def test_send_refuses_types(data):
    core, channel, _ = open_channel()
    with pytest.raises(TypeError, match="str or bytes-like"):
        core.send(data)
    assert channel.sent == []


def test_send_refuses_states_and_sizes():
    core, channel, owner = local_channel()
    with pytest.raises(aiortc.InvalidStateError, match="connecting"):
        core.send("x")
    core.on_open()
    core.send("x" * 2000)
    with pytest.raises(TypeError, match="2001 bytes"):
        core.send("x" * 2001)
    with pytest.raises(TypeError):
        core.send("\u00e9" * 1001)
    owner.max_message_size = float("inf")
    core.send("x" * 100_000)
    assert len(channel.sent) == 2


def test_send_refuses_when_full(monkeypatch):
    monkeypatch.setattr(channelcore, "MAX_BUFFERED_BYTES", 100)
    core, channel, _ = open_channel()
    core.send("x" * 150)  # into an empty buffer anything goes
    with pytest.raises(OperationError, match="full"):
        core.send("x")
    channel.drain_to(0)
    core.send("x")


# -- buffered amount


def test_low_event_fires_once_per_fall():
    core, channel, _ = open_channel()
    seen = record(core.face)
    core.send("hello")
    core.send("hello")
    assert seen == []
    channel.drain_to(5)
    assert seen == []
    channel.drain_to(0)
    assert seen == [("bufferedamountlow", "open")]
    core.send("")
    channel.drain_to(0)
    assert len(seen) == 1
    core.send("x")
    channel.drain_to(0)
    assert len(seen) == 2


def test_low_event_with_threshold():
    core, channel, _ = open_channel()
    core.face.bufferedAmountLowThreshold = 10
    seen = record(core.face)
    core.send("x" * 10)
    channel.drain_to(0)
    assert seen == []
    core.send("x" * 30)
    channel.drain_to(11)
    assert seen == []
    core.face.bufferedAmountLowThreshold = 20  # lifted over the amount: it did not fall
    channel.drain_to(0)
    assert seen == []
    core.send("x" * 30)
    core.face.bufferedAmountLowThreshold = 5
    channel.drain_to(6)
    assert seen == []
    channel.drain_to(5)
    assert seen == [("bufferedamountlow", "open")]


def test_no_low_event_when_the_amount_was_at_the_threshold_all_the_time():
    """webrtc-pc 6.2: the amount has to fall from above it."""
    core, channel, _ = open_channel()
    seen = record(core.face)
    core.send("x" * 30)
    core.face.bufferedAmountLowThreshold = 30
    channel.drain_to(0)
    assert seen == []
    core.send("x" * 31)
    channel.drain_to(30)
    assert seen == [("bufferedamountlow", "open")]


async def test_a_threshold_at_the_amount_has_not_been_passed_and_hides_no_other_level(monkeypatch):
    monkeypatch.setattr(channelcore, "HIGH_WATER_BYTES", 100)
    monkeypatch.setattr(channelcore, "LOW_WATER_BYTES", 40)
    core, channel, _ = open_channel()
    seen = record(core.face)
    await core.send_async("x" * 100)
    waiting = asyncio.create_task(core.send_async("y"))
    await turn()
    core.face.bufferedAmountLowThreshold = 100
    channel.drain_to(40)
    await asyncio.wait_for(waiting, 5)
    assert seen == []


async def test_send_async_waits_for_room(monkeypatch):
    monkeypatch.setattr(channelcore, "HIGH_WATER_BYTES", 100)
    monkeypatch.setattr(channelcore, "LOW_WATER_BYTES", 40)
    core, channel, _ = open_channel()
    core.face.bufferedAmountLowThreshold = 60
    seen = record(core.face)
    await core.send_async("x" * 100)
    first = asyncio.create_task(core.send_async("1" * 70))
    second = asyncio.create_task(core.send_async("2" * 70))
    third = asyncio.create_task(core.send_async("3"))
    await turn()
    assert len(channel.sent) == 1
    channel.drain_to(60)  # the user's level comes first, ours stays armed
    assert seen == [("bufferedamountlow", "open")]
    await turn()
    assert len(channel.sent) == 1
    channel.drain_to(40)
    await first
    await turn()
    assert [m[0] for m in channel.sent] == ["x", "1"]
    channel.drain_to(0)
    await second
    await third
    assert [m[0] for m in channel.sent] == ["x", "1", "2", "3"]


async def test_send_async_waits_for_open():
    core, channel, _ = local_channel()
    task = asyncio.create_task(core.send_async("x"))
    await turn()
    core.on_open()
    await task
    assert channel.sent == ["x"]


async def test_send_async_cancelled(monkeypatch):
    monkeypatch.setattr(channelcore, "HIGH_WATER_BYTES", 10)
    monkeypatch.setattr(channelcore, "LOW_WATER_BYTES", 4)
    core, channel, _ = open_channel()
    core.send("x" * 10)
    tasks = [asyncio.create_task(core.send_async(str(n))) for n in range(3)]
    await turn()
    tasks[0].cancel()  # while it waits
    await turn()
    channel.drain_to(0)
    tasks[1].cancel()  # when its turn has come: it goes to the next
    await tasks[2]
    assert channel.sent == ["x" * 10, "2"]
    for task in tasks[:2]:
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("how", ["close", "on_closing", "shut"])
async def test_send_async_when_it_closes(monkeypatch, how):
    monkeypatch.setattr(channelcore, "HIGH_WATER_BYTES", 10)
    core, _, _ = open_channel()
    core.send("x" * 10)
    task = asyncio.create_task(core.send_async("y"))
    await turn()
    getattr(core, how)()
    with pytest.raises(aiortc.InvalidStateError):
        await task


# -- receiving


async def test_messages_reach_listeners_and_iterators():
    core, _, _ = open_channel()
    got = []
    core.face.onmessage = lambda event: got.append(event.data)
    stream = core.face.messages()
    core.on_message("a")
    core.on_message(b"b")
    core.on_closed(None)
    assert got == ["a", b"b"]
    assert [m async for m in stream] == ["a", b"b"]


async def test_messages_before_anybody_listens_wait_for_the_first_iterator():
    core, _, _ = open_channel()
    core.on_message("a")
    core.on_message("b")
    first, second = core.face.messages(), core.face.messages()
    core.on_message("c")
    core.on_closed(None)
    assert [m async for m in first] == ["a", "b", "c"]
    assert [m async for m in second] == ["c"]


async def test_backlog_is_bounded_and_goes_when_somebody_listens(monkeypatch):
    monkeypatch.setattr(channelcore, "BACKLOG_BYTES", 10)
    core, _, _ = open_channel()
    core.on_message("x" * 8)
    core.on_message("y" * 8)
    core.on_message("z")
    stream = core.face.messages()
    core.shut()
    assert [m async for m in stream] == ["x" * 8, "z"]

    other, _, _ = open_channel()
    other.on_message("lost")
    other.face.onmessage = lambda event: None
    other.on_message("seen")
    other.face.onmessage = None
    other.on_message("unheard")
    stream = other.face.messages()
    other.shut()
    assert [m async for m in stream] == []


async def test_an_abandoned_iterator_costs_nothing():
    core, _, _ = open_channel()
    stream = core.face.messages()
    core.on_message("a")
    async for _message in stream:
        break
    del stream, _message
    gc.collect()
    core.on_message("b")
    core.on_message("c")
    assert core._streams == []


async def test_message_event_fields():
    core, _, _ = open_channel()
    events = []
    core.face.addEventListener("message", events.append)
    core.on_message(b"x")
    event = events[0]
    assert (event.type, event.data, event.origin, event.target) == ("message", b"x", "", core.face)
    assert event.isTrusted
