from __future__ import annotations

import asyncio
import itertools

import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.sctp.channel import ChannelParameters, read_open_untrusted, write_open
from rtcpeer.sctp.packets import ChunkType, Parameter, chunks_untrusted, write_chunk
from rtcpeer.sctp.transport import DataTransport
from rtcpeer.values import DataChannelState, DtlsRole, Priority, SctpTransportState
from tests.unit.media.pipes import lossy, until
from tests.unit.media.rig import ChannelLog, connect, connect_data, make_ends

OPEN = DataChannelState.OPEN
CLOSED = DataChannelState.CLOSED


async def stop(*ends):
    for end in ends:
        await end.stop()


async def channel_pair(a, b, **options):
    log = ChannelLog()
    before = len(b.channels)
    channel = a.data.open(ChannelParameters("x", **options), log)
    await until(lambda: channel.state is OPEN and len(b.channels) > before)
    return channel, log, b.channels[-1], b.logs[-1]


async def test_a_channel_opened_before_there_is_a_transport():
    a, b = make_ends()
    log = ChannelLog()
    channel = a.data.open(ChannelParameters("early", protocol="p"), log)
    assert channel.id is None

    await connect_data(a, b)
    await until(lambda: b.channels)

    assert log.events == ["open"]
    assert channel.id == 1
    assert b.channels[0].parameters.label == "early"
    assert b.channels[0].parameters.protocol == "p"
    assert b.channels[0].state is OPEN
    await stop(a, b)


async def test_ids_are_known_with_the_role():
    a, _b = make_ends()
    channels = [a.data.open(ChannelParameters(str(n))) for n in range(3)]
    a.data.open(ChannelParameters("taken", negotiated=True, id=2))

    a.data.start(5000, role=DtlsRole.CLIENT)

    assert [channel.id for channel in channels] == [0, 4, 6]
    assert a.data.open(ChannelParameters("later")).id == 8
    await a.stop()


async def test_both_ends_open_channels_with_ids_of_their_own():
    a, b = make_ends()
    await connect_data(a, b)

    one, _, other, _ = await channel_pair(a, b)
    two, _, _, _ = await channel_pair(b, a)

    assert (one.id, two.id, other.id) == (1, 0, 1)
    assert b.data.channels == [other, two]
    await stop(a, b)


@pytest.mark.parametrize(
    "message",
    ["hello", "grüße 🎉", "", b"", b"\0\1\2", bytes(200_000), "x" * 200_000],
    ids=lambda m: f"{type(m).__name__}{len(m)}",
)
async def test_messages(message):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    channel.send(message)
    await until(lambda: log.messages)

    assert log.messages == [message]
    assert type(log.messages[0]) is type(message)
    await stop(a, b)


async def test_what_is_like_bytes_and_lone_surrogates():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    channel.send(bytearray(b"one"))
    channel.send(memoryview(b"two"))
    channel.send("a\ud800b")
    await until(lambda: len(log.messages) == 3)

    assert log.messages == [b"one", b"two", "a\ufffdb"]
    await stop(a, b)


async def test_buffered_amount_falls_in_a_later_step():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, _, other = await channel_pair(a, b)
    channel.buffered_amount_low_threshold = 10

    channel.send("x" * 20)
    channel.send(b"")
    assert channel.buffered_amount == 20
    await until(lambda: len(other.messages) == 2)

    assert channel.buffered_amount == 0
    assert log.events == ["open", "low"]
    await stop(a, b)


async def test_order_and_volume_with_back_pressure():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, _, other = await channel_pair(a, b)
    channel.buffered_amount_low_threshold = 100_000
    left = list(range(100))

    def feed():
        while left and channel.buffered_amount < 300_000:
            channel.send(left.pop(0).to_bytes(4, "big") + bytes(30_000))

    log.on_low = feed
    feed()
    await until(lambda: len(other.messages) == 100)

    assert [int.from_bytes(m[:4], "big") for m in other.messages] == list(range(100))
    await stop(a, b)


async def test_what_the_path_does_not_take_yet_stays_with_the_channel():
    """webrtc-pc 6.2: the buffered amount is what has not been handed to the network; a lifetime ends it there."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, other = await channel_pair(a, b)
    for _ in range(100):
        channel.send(bytes(30_000))
    await asyncio.sleep(0)
    assert 2_900_000 <= channel.buffered_amount < 3_000_000
    await until(lambda: len(other.messages) == 100)
    assert channel.buffered_amount == 0
    await stop(a, b)


async def test_close_sends_what_is_queued_and_closes_both():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, other, other_log = await channel_pair(a, b)

    channel.send(bytes(250_000))
    channel.send("last")
    channel.close()
    assert channel.state is DataChannelState.CLOSING
    with pytest.raises(InvalidStateError):
        channel.send("too late")
    await until(lambda: channel.state is other.state is CLOSED)

    assert other_log.messages[-1] == "last"
    assert [e for e in log.events if e != "low"] == ["open", ("closed", None)]
    assert other_log.events == ["closing", ("closed", None)]
    assert a.data.channels == b.data.channels == []
    await stop(a, b)


async def test_the_buffered_amount_stays_when_the_transport_stops():
    a, b = make_ends()
    await connect_data(a, b)
    channel, *_ = await channel_pair(a, b)
    channel.send(b"12345")
    assert channel.buffered_amount == 5

    await stop(a, b)

    assert channel.buffered_amount == 5


async def test_an_id_is_used_again_after_the_close():
    a, b = make_ends(resting_ids=2)
    await connect_data(a, b)
    for number in (1, 3, 5, 1, 3):  # after a rest: the other end knows later than we that an id is free
        channel, _, other, other_log = await channel_pair(a, b)
        channel.send("x")
        await until(lambda log=other_log: log.messages)
        assert channel.id == number
        channel.close()
        await until(lambda c=channel, o=other: c.state is o.state is CLOSED)
    await stop(a, b)


async def test_an_id_is_used_again_though_the_answer_to_the_reset_was_lost():
    """RFC 8831 section 6.7: the end that performs the last reset knows first that a stream is free."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, other, other_log = await channel_pair(a, b)
    send = a.dtls.send_messages

    def answers_reset(packet):
        return any(
            kind == ChunkType.RE_CONFIG and value[:2] == Parameter.RESET_RESPONSE.to_bytes(2)
            for kind, _flags, value in chunks_untrusted(packet[12:])
        )

    a.dtls.send_messages = lambda packets: send([p for p in packets if not answers_reset(p)])
    channel.close()
    await until(lambda: channel.state is CLOSED)
    assert other.state is DataChannelState.CLOSING

    again = a.data.open(ChannelParameters("again"))
    assert again.id == channel.id
    await until(lambda: len(b.channels) == 2, 0.05)
    assert other.state is CLOSED
    assert other_log.events == ["closing", ("closed", None)]
    again.send("x")
    await until(lambda: b.logs[1].messages == ["x"])
    del a.dtls.send_messages
    await stop(a, b)


async def test_unordered_messages_are_so_once_the_other_end_has_taken_the_channel():
    """RFC 8832 section 6: until its ACK a message could overtake the OPEN."""
    a, b = make_ends()
    await connect_data(a, b)
    sent = []
    send = a.dtls.send_messages
    a.dtls.send_messages = lambda packets: (sent.extend(packets), send(packets))

    def flags():
        chunks = [chunk for packet in sent for chunk in chunks_untrusted(packet[12:])]
        sent.clear()
        return [
            bool(flags & 4) for kind, flags, value in chunks if kind == ChunkType.DATA and value[-1:] == b"x"
        ]

    log = ChannelLog()
    log.on_open = lambda: channel.send("x")
    channel = a.data.open(ChannelParameters("label", ordered=False), log)
    await until(lambda: b.logs and b.logs[0].messages)
    assert flags() == [False]
    await asyncio.sleep(1)
    channel.send("x")
    b.channels[0].send("x")
    await until(lambda: len(b.logs[0].messages) == 2)
    assert flags() == [True]
    del a.dtls.send_messages
    await stop(a, b)


async def test_a_transport_that_stops_in_the_same_turn_as_a_close():
    a, _b = make_ends()
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    channel = a.data.open(ChannelParameters("x", negotiated=True, id=3))
    channel.close()
    await a.stop()
    await asyncio.sleep(0)
    assert channel.state is CLOSED
    assert failures == []


async def test_both_ends_close_at_once():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, other, _ = await channel_pair(a, b)

    channel.close()
    other.close()
    await until(lambda: channel.state is other.state is CLOSED)

    await stop(a, b)


async def test_a_channel_is_closing_until_the_other_end_has_reset_its_half_too():
    """RFC 8831 section 6.7, webrtc-pc 6.2: what that end still sends arrives, and its stream is not used again."""
    a, b = make_ends()
    b.data.on_stream_closing = lambda stream_id: None  # a stack that never answers a reset
    await connect_data(a, b)
    channel, log, other, _ = await channel_pair(a, b)

    channel.close()
    await asyncio.sleep(60)
    other.send("still here")
    await until(lambda: log.messages)

    assert channel.state is DataChannelState.CLOSING
    assert log.messages == ["still here"]
    assert a.data.open(ChannelParameters("next")).id != channel.id
    # nothing is repeated meanwhile: our half is done
    assert not a.data._association.is_waiting

    await b.stop()
    await until(lambda: channel.state is CLOSED)
    await stop(a)


async def test_a_channel_closed_before_the_association_is_there():
    a, b = make_ends()
    log = ChannelLog()
    channel = a.data.open(ChannelParameters("x"), log)
    channel.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log.events == [("closed", None)]

    await connect_data(a, b)
    await asyncio.sleep(0.01)

    assert b.channels == []
    await stop(a, b)


async def test_negotiated_channels():
    a, b = make_ends()
    logs = ChannelLog(), ChannelLog()
    options = ChannelParameters("n", negotiated=True, id=7)
    one, two = a.data.open(options, logs[0]), b.data.open(options, logs[1])

    await connect_data(a, b)
    one.send("hi")
    await until(lambda: logs[1].messages)

    assert (one.id, two.id, two.state) == (7, 7, OPEN)
    assert logs[0].events[0] == "open"
    assert a.channels == b.channels == []
    await stop(a, b)


async def test_a_transport_that_was_taken_back_is_exchanged_for_another():
    """A rollback (RFC 9429 section 4.1.10.2): channels wait for the next one."""
    a, b = make_ends()
    channel = a.data.open(ChannelParameters("x"))
    a.data.attach(a.dtls)
    a.data.detach()
    assert a.data.dtls is None
    # nobody hears of the first one any more
    a.data.on_dtls_connected = lambda: pytest.fail("a transport that was taken back")  # type: ignore[method-assign]
    await connect(a, b)
    del a.data.on_dtls_connected

    a.data.attach(a.dtls)
    for end in (a, b):
        end.data.attach(end.dtls)
        end.data.start(5000)
    # once it is agreed on it stays
    a.data.detach()
    assert a.data.dtls is a.dtls
    await until(lambda: channel.state is OPEN)
    await stop(a, b)
    a.data.attach(b.dtls)
    assert a.data.dtls is a.dtls


async def test_a_transport_that_was_taken_back_when_connected_says_nothing_of_the_next():
    a, b = make_ends()
    other, _ = make_ends()
    await connect(a, b)
    a.data.attach(a.dtls)
    a.data.detach()
    sent = []
    other.dtls.send_messages = sent.extend

    a.data.attach(other.dtls)
    a.data.start(5000)
    await asyncio.sleep(1)
    assert sent == []
    await stop(a, b, other)


async def test_to_start_again_changes_the_message_size_alone():
    a, b = make_ends()
    assert a.data.max_message_size == 65536
    a.data.start(5000, 1000, role=DtlsRole.SERVER)
    assert a.data.max_message_size == 1000
    a.data.start(7000, 0, local_port=7000, role=DtlsRole.CLIENT)
    assert a.data.max_message_size is None
    assert a.data.open(ChannelParameters("x")).id == 1
    await connect_data(a, b)
    await stop(a, b)


async def test_an_association_with_few_streams(monkeypatch):
    """RFC 8831 section 6.2: there are as many as both ends have said."""
    monkeypatch.setattr("rtcpeer.sctp.association.STREAMS_MAX", 10)
    a, b = make_ends()
    logs = {number: ChannelLog() for number in (9, 10)}
    channels = {
        number: a.data.open(ChannelParameters("x", negotiated=True, id=number), log)
        for number, log in logs.items()
    }
    assert a.data.max_channels is None
    await connect_data(a, b)

    assert a.data.max_channels == 10
    assert (channels[9].state, channels[10].state) == (OPEN, CLOSED)
    assert logs[9].events == ["open"]
    [(told, error)] = logs[10].events
    assert (told, error.errorDetail) == ("closed", "data-channel-failure")
    assert a.data.channels == [channels[9]]
    with pytest.raises(OperationError, match=r"10 is larger .*\(9\)"):
        a.data.open(ChannelParameters("y", negotiated=True, id=10))
    for number in (1, 3, 5, 7):
        assert a.data.open(ChannelParameters("y")).id == number
    with pytest.raises(OperationError, match="no id"):
        a.data.open(ChannelParameters("y"))
    await stop(a, b)


@pytest.mark.parametrize(
    ("threshold", "events"), [(0, ["open", "low"]), (9, ["open", "low"]), (10, ["open"]), (11, ["open"])]
)
async def test_the_buffered_amount_is_low_when_it_falls_to_the_threshold(threshold, events):
    """webrtc-pc 6.2: from above it to it or below."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, _, other = await channel_pair(a, b)
    channel.buffered_amount_low_threshold = threshold
    channel.send(b"0123456789")
    await until(lambda: other.messages)
    assert log.events == events
    await stop(a, b)


async def test_an_idle_path_that_is_back_is_left_alone():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)
    await asyncio.sleep(5)
    sent = []
    a.dtls.send_messages = sent.append
    a.data.on_dtls_wake()
    await asyncio.sleep(0.01)
    assert sent == []
    channel.send("lost")
    await asyncio.sleep(0.01)
    assert len(sent) == 1
    a.data.on_dtls_wake()
    assert len(sent) == 2
    del a.dtls.send_messages
    a.data.on_dtls_wake()
    await until(lambda: log.messages == ["lost"], 0.05)
    await stop(a, b)


async def test_messages_to_nobody_are_dropped():
    a, b = make_ends()
    await connect_data(a, b)
    _, _, other, log = await channel_pair(a, b)
    for protocol in (50, 51, 53, 56, 57):
        b.data.on_message(30, protocol, b"x")
    for protocol in (0, 52, 54, 55):
        b.data.on_message(other.id, protocol, b"x")
    assert log.messages == []
    assert other.stats()["messagesReceived"] == 0
    for protocol, message in ((51, "x"), (53, b"x"), (56, ""), (57, b"")):
        b.data.on_message(other.id, protocol, b"x")
        assert log.messages.pop() == message
    assert (other.stats()["messagesReceived"], other.stats()["bytesReceived"]) == (4, 2)
    await stop(a, b)


async def test_before_there_is_a_transport_nothing_is_under_way():
    a, _b = make_ends()
    channel = a.data.open(ChannelParameters("x"))
    assert channel.unacknowledged == 0
    a.data.on_dtls_data(b"x")
    a.data.on_dtls_run([b"x"])
    a.data.on_dtls_wake()
    a.data.on_established()
    assert (a.data.stats(), a.data.max_channels, channel.state) == ({}, None, DataChannelState.CONNECTING)
    assert a.data.channels == [channel]
    await a.stop()
    assert (a.data.channels, channel.state) == ([], CLOSED)


async def test_ids_that_cannot_be():
    a, b = make_ends()
    a.data.open(ChannelParameters("x", negotiated=True, id=3))
    with pytest.raises(OperationError):
        a.data.open(ChannelParameters("y", negotiated=True, id=3))
    await connect_data(a, b)
    limit = a.data.max_channels
    assert limit == 65535

    with pytest.raises(OperationError):
        a.data.open(ChannelParameters("y", negotiated=True, id=limit))

    await stop(a, b)
    with pytest.raises(InvalidStateError):
        a.data.open(ChannelParameters("z"))


async def test_no_id_is_left(monkeypatch):
    monkeypatch.setattr("rtcpeer.sctp.channel.MAX_CHANNEL_ID", 5)
    a, _b = make_ends()
    logs = [ChannelLog() for _ in range(5)]
    for log in logs:
        a.data.open(ChannelParameters("x"), log)

    a.data.start(5000, role=DtlsRole.SERVER)

    (closed, error) = logs[3].events[0]
    assert closed == "closed"
    assert error.errorDetail == "data-channel-failure"
    assert [log.events for log in logs[:3]] == [[], [], []]
    with pytest.raises(OperationError):
        a.data.open(ChannelParameters("y"))
    await a.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"ordered": False},
        {"max_retransmits": 3},
        {"max_packet_life_time": 500, "ordered": False},
        {"priority": Priority.HIGH},
        {"max_retransmits": 0, "ordered": False, "priority": Priority.VERY_LOW},
    ],
)
async def test_options_arrive(options):
    a, b = make_ends()
    await connect_data(a, b)

    channel, _, other, log = await channel_pair(a, b, **options)
    for n in range(20):
        channel.send(str(n))
    await until(lambda: len(log.messages) == 20)

    assert {name: getattr(other.parameters, name) for name in options} == options
    await stop(a, b)


@pytest.mark.parametrize("seed", range(3))
async def test_reliable_over_a_lossy_path(seed):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)
    a.pipe.drop, b.pipe.drop = lossy(seed, 0.03), lossy(seed + 50, 0.03)

    for n in range(60):
        channel.send(bytes((n,)) * 5000)
    await until(lambda: len(log.messages) == 60, 15)

    assert [m[0] for m in log.messages] == list(range(60))
    a.pipe.drop = b.pipe.drop = lambda data: False
    await stop(a, b)


async def test_unreliable_messages_may_be_lost_but_later_ones_come():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b, max_retransmits=0, ordered=False)
    channel.send("first")
    await until(lambda: log.messages)
    a.pipe.blocked = True
    for _ in range(3):
        channel.send("lost")
    await asyncio.sleep(0.01)
    a.pipe.blocked = False
    a.dtls.wake()

    channel.send("second")
    await until(lambda: "second" in log.messages)

    await stop(a, b)


async def test_after_an_outage_data_goes_at_once():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)
    a.pipe.blocked = b.pipe.blocked = True
    channel.send("held")
    await asyncio.sleep(0.02)
    a.pipe.blocked = b.pipe.blocked = False

    started = asyncio.get_running_loop().time()
    a.dtls.wake()
    await until(lambda: log.messages)

    assert asyncio.get_running_loop().time() - started < 0.1
    await stop(a, b)


async def test_association_that_lost_its_first_packets_is_woken():
    a, b = make_ends()
    for end in (a, b):
        end.data.attach(end.dtls)
    await connect(a, b)
    a.pipe.blocked = b.pipe.blocked = True
    for end in (a, b):
        end.data.start(5000)
    await asyncio.sleep(0.01)
    a.pipe.blocked = b.pipe.blocked = False

    a.dtls.wake()
    await until(lambda: a.data.state is b.data.state is SctpTransportState.CONNECTED, 0.3)

    await stop(a, b)


async def test_the_other_end_stops_its_association():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, _, other_log = await channel_pair(a, b)

    await a.data.stop()
    await until(lambda: b.data.state is SctpTransportState.CLOSED)

    (closed, error) = other_log.events[-1]
    assert (closed, error.errorDetail, error.sctpCauseCode) == ("closed", "sctp-failure", 12)
    # nobody is told on the end that stopped
    assert log.events == ["open"]
    assert channel.state is CLOSED
    await stop(a, b)


@pytest.mark.parametrize("end", ["abort", "stop", "dtls"])
async def test_a_channel_knows_what_was_not_acknowledged_also_after_the_end(end):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, other, log = await channel_pair(a, b)
    await until(lambda: channel.unacknowledged == 0)

    channel.send("arrives")
    assert channel.unacknowledged == 1
    await until(lambda: log.messages and channel.unacknowledged == 0)
    a.pipe.blocked = True
    for _ in range(300):
        channel.send("x" * 1000)
    assert channel.unacknowledged == 300
    await asyncio.sleep(0)
    assert channel.unacknowledged == 300
    if end == "abort":
        await b.data.stop()
        await until(lambda: channel.state is CLOSED)
    elif end == "stop":
        await a.data.stop()
    else:
        a.data.on_dtls_closed(None)

    assert (channel.state, channel.unacknowledged) == (CLOSED, 300)
    assert other.unacknowledged == 0
    await stop(a, b)


async def test_the_other_end_ends_dtls():
    a, b = make_ends()
    await connect_data(a, b)
    _, _, _, other_log = await channel_pair(a, b)

    await a.dtls.stop()
    await until(lambda: b.data.state is SctpTransportState.CLOSED)

    assert other_log.events == [("closed", None)]
    await stop(a, b)


async def test_no_task_no_timer_is_left():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, _ = await channel_pair(a, b)
    channel.send(bytes(200_000))
    await asyncio.sleep(0)
    association = a.data._association
    assert a.data._timer is not None

    await stop(a, b)

    assert len(asyncio.all_tasks()) == 1
    assert a.data._timer is a.data._scheduled is None
    assert association.deadline is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\3",
        b"\3\0\0",
        bytes(12),
        b"\3\x7f" + bytes(10),
        b"\3\0" + bytes(8) + b"\xff\xff",
        b"\2",
        b"\1",
        b"\x09" * 40,
    ],
)
async def test_malformed_control_messages(message):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    for stream in (1, 2, 9):
        a.data._association.write(stream, 50, message or b"\0")
    channel.send("alive")
    await until(lambda: log.messages)

    assert b.data.state is SctpTransportState.CONNECTED
    assert len(b.channels) == 1
    await stop(a, b)


async def test_an_open_message_that_makes_no_sense_has_its_stream_reset():
    """RFC 8832 section 6: the other end learns that there is no channel; one that there is lives on."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, *_ = await channel_pair(a, b)
    resets = []
    b.data._association.reset_stream = resets.append
    for stream in (9, channel.id):
        b.data.on_message(stream, 50, b"\3\x7f" + bytes(10))
    assert resets == [9]
    del b.data._association.reset_stream
    await stop(a, b)


async def test_a_stream_that_is_taken_is_not_opened_again():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, other, log = await channel_pair(a, b)

    a.data._association.write(1, 50, write_open(ChannelParameters("again")))
    channel.send("alive")
    await until(lambda: log.messages)

    assert b.channels == [other]
    await stop(a, b)


async def test_invalid_utf8_and_unknown_protocols():
    a, b = make_ends()
    await connect_data(a, b)
    _, _, _, log = await channel_pair(a, b)

    a.data._association.write(1, 51, b"\xff\xfe")
    a.data._association.write(1, 99, b"what")
    a.data._association.write(77, 51, b"nobody")
    a.data._association.write(1, 53, b"end")
    a.data._send()
    await until(lambda: b"end" in log.messages)

    assert log.messages == ["\ufffd\ufffd", b"end"]
    await stop(a, b)


@pytest.mark.parametrize(
    "packet", [b"", bytes(11), bytes(40), b"\x13\x88\x13\x88" + bytes(30), b"\xff" * 200]
)
async def test_malformed_sctp_is_ignored(packet):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    b.data.on_dtls_data(packet)
    channel.send("alive")
    await until(lambda: log.messages)

    await stop(a, b)


def forge(end, *chunks):
    """A packet with these chunks, as the other end would send it to this one."""
    return end.data._association._header_in.seal(b"".join(chunks))


async def test_chunks_that_make_no_sense(caplog):
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    for chunk_type in range(256):
        for body in (b"", b"\0", b"\0" * 7, b"\xff" * 16, b"\0\x0d\0\4", b"\0\x10\0\4", b"\0\x11\0\4"):
            if chunk_type in (ChunkType.ABORT, ChunkType.SHUTDOWN):
                # those end the association by right
                continue
            b.data.on_dtls_data(forge(b, write_chunk(chunk_type, body)))
    channel.send("alive")
    await until(lambda: log.messages)

    assert not caplog.records
    await stop(a, b)


async def test_data_before_the_association_is_ignored():
    a, b = make_ends()
    for end in (a, b):
        end.data.attach(end.dtls)
    await connect(a, b)
    b.pipe.blocked = True
    b.data.start(5000)

    b.data.on_dtls_data(forge(b, write_chunk(ChunkType.DATA, bytes(20), 3)))

    assert b.data._association.ignored == 1
    await stop(a, b)


async def packets_of(end, messages):
    """The packets in which an end sends these messages of its channel; they are lost."""
    sent = []
    end.dtls.send_messages = sent.extend
    for message in messages:
        end.data.channels[0].send(message)
    end.data._send()
    del end.dtls.send_messages
    return sent


async def test_packets_that_came_together_are_acknowledged_together():
    a, b = make_ends()
    await connect_data(a, b)
    _, _, _, log = await channel_pair(a, b)
    packets = await packets_of(a, [bytes((n,)) * 1000 for n in range(7)])
    answers = []
    b.dtls.send_messages = answers.extend

    b.data.on_dtls_run(packets)
    await asyncio.sleep(0)  # the next turn of the loop

    assert log.messages == [bytes((n,)) * 1000 for n in range(7)]
    # inside the batch after the second and the fourth, and at its end
    assert [answer[12] for answer in answers] == [ChunkType.SACK] * 3
    await stop(a, b)


async def test_a_handler_that_stops_the_transport_hears_of_no_packet_that_came_together_with_the_first():
    a, b = make_ends()
    await connect_data(a, b)
    _, _, channel, log = await channel_pair(a, b)
    packets = await packets_of(a, [bytes(1000)] * 3)
    heard = []

    class Stopping(type(log)):
        def on_message(self, *message):
            heard.append(message)
            b.data.stop()

    channel.listener = Stopping()
    assert len(packets) == 3
    b.data.on_dtls_run(packets)
    b.data.on_dtls_run(packets)

    assert len(heard) == 1
    await stop(a, b)


async def test_channels_of_the_other_end_are_bounded():
    a, b = make_ends()
    b.data = DataTransport(b, max_channels=5)
    await connect_data(a, b)
    channels = [a.data.open(ChannelParameters(str(n))) for n in range(8)]

    await until(lambda: sum(channel.state is CLOSED for channel in channels) == 3)

    assert [channel.parameters.label for channel in b.channels] == list("01234")
    assert [channel.state for channel in channels] == 5 * [OPEN] + 3 * [CLOSED]
    assert b.data.refused == 3
    b.channels[0].close()
    await until(lambda: channels[0].state is CLOSED)
    again = a.data.open(ChannelParameters("again"))
    await until(lambda: len(b.channels) == 6)
    assert (again.state, b.channels[-1].parameters.label) == (OPEN, "again")
    await stop(a, b)


async def test_stream_65535_is_refused():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)

    a.data._association.write(65535, 50, write_open(ChannelParameters("x")))
    channel.send("alive")
    await until(lambda: log.messages)

    assert len(b.channels) == 1
    assert b.data._association.ignored == 1
    # and it is acknowledged, so that it does not come again
    await until(lambda: a.data.stats()["unackData"] == 0)
    await stop(a, b)


async def test_channels_share_by_their_priority():
    a, b = make_ends()
    await connect_data(a, b)
    channels, logs = [], []
    for priority in (Priority.HIGH, Priority.VERY_LOW):
        channel, _, _, log = await channel_pair(a, b, priority=priority)
        channels.append(channel)
        logs.append(log)

    # of the low one, when so much of the high one has arrived
    shares = []

    def count(data):
        logs[0].size += len(data)
        if logs[0].size % 500_000 == 0:
            shares.append(logs[1].size)

    logs[0].on_message = count
    # small ones of high priority, large ones of low: shares are of bytes
    for _ in range(2000):
        channels[0].send(bytes(1000))
    for _ in range(60):
        channels[1].send(bytes(30_000))
    await until(lambda: logs[1].size == 1_800_000)

    assert shares[:3] == [pytest.approx(number * 62_500, abs=50_000) for number in (1, 2, 3)]
    await stop(a, b)


async def test_a_listener_that_closes_or_sends_inside_its_callback():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, other, other_log = await channel_pair(a, b)
    other_log.on_message = lambda data: (other.send(b"echo"), other.close())

    channel.send("x")
    await until(lambda: channel.state is CLOSED)

    assert log.messages == [b"echo"]
    await stop(a, b)


async def test_a_busy_channel_does_not_starve_another():
    a, b = make_ends()
    await connect_data(a, b)
    bulk, _, _, bulk_log = await channel_pair(a, b)
    small, _, _, small_log = await channel_pair(a, b)
    before_it = []
    small_log.on_message = lambda _: before_it.append(len(bulk_log.messages))

    for _ in range(50):
        bulk.send(bytes(60_000))
    small.send("me too")
    await until(lambda: before_it)

    assert before_it[0] < 10
    await stop(a, b)


async def test_max_message_size_can_be_updated():
    a, _b = make_ends()
    assert a.data.max_message_size == 65536
    a.data.start(5000, 0)
    assert a.data.max_message_size is None
    a.data.start(5000, 1000)
    assert a.data.max_message_size == 1000
    await a.stop()


async def test_statistics():
    a, b = make_ends()
    assert a.data.stats() == {}
    await connect_data(a, b)
    channel, _, other, log = await channel_pair(a, b)
    channel.send("four")
    channel.send(b"12")
    await until(lambda: len(log.messages) == 2)

    assert channel.stats()["messagesSent"] == other.stats()["messagesReceived"] == 2
    assert channel.stats()["bytesSent"] == other.stats()["bytesReceived"] == 6
    assert a.data.stats()["congestionWindow"] > 1000
    assert a.data.stats()["smoothedRoundTripTime"] > 0
    await stop(a, b)


@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("limit", [{}, {"max_retransmits": 5}, {"max_packet_life_time": 9}])
def test_open_message_and_back(priority, ordered, limit):
    parameters = ChannelParameters("läbel", "proto", ordered=ordered, priority=priority, id=4, **limit)

    assert read_open_untrusted(4, write_open(parameters)) == parameters


async def test_small_messages_share_packets_and_acknowledgements_ride_along():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, other, other_log = await channel_pair(a, b)
    other_log.on_message = lambda data: other.send(data)
    await asyncio.sleep(0.06)
    for end in (a, b):
        end.pipe.keep = True

    for number in range(40):
        channel.send(b"%03d" % number * 20)
    await until(lambda: len(log.messages) == 40)

    assert log.messages == [b"%03d" % number * 20 for number in range(40)]
    assert len(a.pipe.sent) + len(b.pipe.sent) < 20
    assert all(len(packet) <= 1228 for packet in a.pipe.sent)
    await stop(a, b)


async def test_a_dead_path_is_not_flooded():
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)
    a.pipe.blocked = b.pipe.blocked = True
    for number in range(60):
        channel.send(b"%03d" % number)
        await asyncio.sleep(0.01)
    a.pipe.keep = True

    for number in range(60, 100):
        channel.send(b"%03d" % number)
        await asyncio.sleep(0.01)
    assert len(a.pipe.sent) <= 2
    a.pipe.blocked = b.pipe.blocked = False
    started = asyncio.get_running_loop().time()
    a.dtls.wake()
    await until(lambda: len(log.messages) == 100)

    assert asyncio.get_running_loop().time() - started < 0.2
    assert log.messages == [b"%03d" % number for number in range(100)]
    await stop(a, b)


@pytest.mark.parametrize(("measured", "sent"), [(None, 2), (0.02, 4), (0.4, 1)])
async def test_an_init_is_repeated_by_the_round_trip_that_ice_measured(measured, sent):
    """Its waits double from three round trips (or half a second) to half a second."""
    a, b = make_ends()
    a.pipe.round_trip_time = measured
    await connect(a, b)
    a.data.attach(a.dtls)
    a.pipe.blocked = a.pipe.keep = True
    a.data.start(5000, 262144)
    await asyncio.sleep(0.95)
    assert len(a.pipe.sent) == sent
    a.pipe.blocked = False
    await a.stop()
    await b.stop()


async def test_a_late_copy_of_an_init_changes_nothing():
    a, b = make_ends()
    inits = []
    send = a.dtls.send_data

    def watch(packet):
        if packet[12] == 1:  # RFC 9260 section 3.3.2
            inits.append(packet)
        send(packet)

    a.dtls.send_data = watch
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b)
    channel.send(b"one")
    await until(lambda: log.messages == [b"one"])
    send(inits[0])
    channel.send(b"two")
    await until(lambda: log.messages == [b"one", b"two"])
    # and what arrives is acknowledged
    await until(lambda: a.data.stats()["unackData"] == 0, 5)
    await stop(a, b)


async def test_a_handlers_answer_leaves_in_the_same_turn_of_the_loop():
    """And carries the acknowledgement. Packets in a row are answered together."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, other, other_log = await channel_pair(a, b)
    other_log.on_message = other.send
    await asyncio.sleep(0.3)
    b.pipe.keep = True
    deliver = b.dtls._receive
    sent_in_turn = []

    def receive(data):
        deliver(data)
        sent_in_turn.append(len(b.pipe.sent))

    b.pipe.receiver = receive

    channel.send("ping")
    await until(lambda: sent_in_turn)

    assert sent_in_turn == [1]
    del sent_in_turn[:], b.pipe.sent[:]
    for _ in range(5):
        channel.send(bytes(1100))
    await until(lambda: len(sent_in_turn) >= 5)
    # the answer to the first one alone, perhaps
    assert sent_in_turn[4] <= 2
    await stop(a, b)


async def test_what_is_sent_later_leaves_all_the_same():
    a, b = make_ends()
    await connect_data(a, b)
    channel, log, other, other_log = await channel_pair(a, b)
    other_log.on_message = lambda data: asyncio.get_running_loop().call_later(0.01, other.send, data)

    for number in range(3):
        channel.send(f"{number}")
    await until(lambda: len(log.messages) == 3)

    assert sorted(log.messages) == ["0", "1", "2"]
    await stop(a, b)


async def test_a_lifetime_of_nothing_is_one_try(monkeypatch):
    """Time goes on until the turn of the loop that sends; what need not wait longer than that is sent."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b, max_packet_life_time=0)
    looks = itertools.count()
    loop_time = a.data.time
    monkeypatch.setattr(a.data, "time", lambda: loop_time() + next(looks) / 1000)
    for number in range(3):
        channel.send(f"{number}")
    await until(lambda: len(log.messages) == 3)
    a.pipe.blocked = True
    for number in range(100):
        channel.send(f"late {number}" + "x" * 2000)
    await asyncio.sleep(1)
    a.pipe.blocked = False
    a.dtls.wake()
    await asyncio.sleep(1)

    channel.send("last")
    await until(lambda: "last" in log.messages)

    assert log.messages == ["0", "1", "2", "last"]
    await stop(a, b)


async def test_the_life_of_a_packet_begins_with_send():
    """Messages whose time is over while the path is dead are not sent; those that come later are."""
    a, b = make_ends()
    await connect_data(a, b)
    channel, _, _, log = await channel_pair(a, b, max_packet_life_time=100)
    channel.send("first")
    await until(lambda: log.messages)
    a.pipe.blocked = True
    for number in range(40):
        channel.send(f"late {number}" + "x" * 2000)
    await asyncio.sleep(1)
    a.pipe.blocked = False
    a.dtls.wake()
    await asyncio.sleep(1)

    channel.send("last")
    await until(lambda: "last" in log.messages)

    assert log.messages == ["first", "last"]
    assert channel.buffered_amount == 0
    await stop(a, b)
