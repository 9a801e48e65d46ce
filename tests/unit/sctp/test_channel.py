"""A data channel by itself: an owner and an association that write down what they are asked."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from rtcpeer.errors import InvalidStateError, RTCError
from rtcpeer.sctp.channel import (
    ChannelParameters,
    DataChannel,
    free_id,
    read_open_untrusted,
    rest_id,
    write_open,
)
from rtcpeer.values import DataChannelState, DtlsRole, Priority
from tests.unit.media.rig import ChannelLog

CONNECTING, OPEN, CLOSING, CLOSED = (
    DataChannelState.CONNECTING,
    DataChannelState.OPEN,
    DataChannelState.CLOSING,
    DataChannelState.CLOSED,
)


class Owner:
    """The transport, as a channel sees it."""

    def __init__(self) -> None:
        self.flushes = 0
        self.now = 1000.0
        self.not_arrived = 0
        self.asked: list[str] = []

    def schedule(self, channel: DataChannel) -> None:
        self.asked.append("send")

    def schedule_close(self, channel: DataChannel) -> None:
        self.asked.append("close")

    def time(self) -> float:
        return self.now

    def unacknowledged(self, channel: DataChannel) -> int:
        return self.not_arrived


class Written:
    """What an association was given."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, bytes, dict[str, Any]]] = []

    def write(self, stream_id: int, protocol: int, data: bytes, **options: Any) -> None:
        self.messages.append((stream_id, protocol, data, options))


def make(*, is_open: bool = True, **options: Any) -> tuple[DataChannel, Owner, ChannelLog]:
    owner, log = Owner(), ChannelLog()
    channel = DataChannel(owner, ChannelParameters("x", **{"id": 4, **options}), log)
    if is_open:
        channel.opened()
    return channel, owner, log


# -- what is sent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "protocol", "body"),
    [
        ("é", 51, b"\xc3\xa9"),
        (b"\1\2", 53, b"\1\2"),
        (bytearray(b"\1"), 53, b"\1"),
        ("", 56, b"\0"),
        (b"", 57, b"\0"),
        ("\ud83d\ude00", 51, "\U0001f600".encode()),
        ("a\udc00", 51, "a\ufffd".encode()),
    ],
)
def test_a_message_has_the_payload_protocol_of_its_kind(message, protocol, body):
    """RFC 8831 sections 6.6 and 8: empty messages have numbers of their own, and one byte; WebIDL: USVString."""
    channel, _owner, _log = make()
    written = Written()

    channel.send(message)
    size = channel.write_one(written, 0.0)

    [(stream, number, data, _options)] = written.messages
    assert (stream, number, data) == (4, protocol, body)
    assert size == len(body)


def test_what_is_sent_is_as_it_was_when_send_was_called():
    """webrtc-pc 6.2: a copy; of a view, the bytes and not the elements count."""
    channel, _owner, _log = make()
    written = Written()
    data = bytearray(b"before")
    channel.send(data)
    data[:] = b"behind"
    channel.send(memoryview(array("I", (1, 2))))
    assert channel.buffered_amount == 6 + 8

    channel.write_one(written, 0.0)
    assert written.messages[0][2] == b"before"


def test_numbers_of_what_is_sent_and_received_are_bytes_of_the_messages():
    """webrtc-stats: bytesSent and bytesReceived are payload; webrtc-pc 6.2: bufferedAmount is what waits."""
    channel, owner, log = make(protocol="p")
    channel.send("é")
    channel.send(b"")
    channel.send(b"123")
    assert (channel.buffered_amount, channel.pending, owner.asked) == (5, True, ["send"] * 3)

    for left in (3, 3, 0):
        channel.write_one(Written(), 0.0)
        assert channel.buffered_amount == left
    channel.receive("ü", 2)
    channel.receive(b"", 0)

    assert not channel.pending
    assert log.messages == ["ü", b""]
    assert channel.stats() == {
        "label": "x",
        "protocol": "p",
        "dataChannelIdentifier": 4,
        "state": "open",
        "messagesSent": 3,
        "bytesSent": 5,
        "messagesReceived": 2,
        "bytesReceived": 2,
    }


@pytest.mark.parametrize("state", [CONNECTING, CLOSING, CLOSED])
def test_only_an_open_channel_sends(state):
    channel, owner, _log = make(is_open=False)
    channel.state = state
    with pytest.raises(InvalidStateError, match=state.value):
        channel.send("x")
    assert (channel.buffered_amount, channel.pending, owner.asked) == (0, False, [])


def test_messages_are_ordered_until_the_open_is_acknowledged():
    """RFC 8832 section 6."""
    channel, _owner, _log = make(ordered=False, max_retransmits=3)
    written = Written()
    channel.send("before")
    channel.write_one(written, 0.0)
    channel.acknowledge()
    channel.send("behind")
    channel.write_one(written, 0.0)

    assert [options["ordered"] for *_, options in written.messages] == [True, False]
    assert [options["max_retransmits"] for *_, options in written.messages] == [3, 3]


def test_a_negotiated_channel_has_no_open_to_wait_for():
    channel, _owner, _log = make(ordered=False, negotiated=True)
    written = Written()
    channel.send("x")
    channel.write_one(written, 0.0)
    assert not written.messages[0][3]["ordered"]


def test_control_goes_first_reliably_and_in_order():
    """RFC 8832 section 6: DCEP messages are always ordered and reliable; they are none of the program's bytes."""
    channel, _owner, _log = make(ordered=False, max_retransmits=0, negotiated=True)
    written = Written()
    channel.send("x")
    channel.queue_control(b"\2")
    assert channel.unacknowledged == 1

    assert channel.write_one(written, 0.0) == 1
    assert written.messages == [(4, 50, b"\2", {})]
    assert channel.buffered_amount == 1
    channel.write_one(written, 0.0)
    assert channel.buffered_amount == 0


@pytest.mark.parametrize(
    ("lifetime", "flushed", "now", "expiry"),
    [
        (None, False, 1000.1, None),
        (50, False, 1000.02, 1000.05),  # its turn comes within its lifetime
        (50, False, 1000.2, 1000.2),  # the first turn of the loop comes later than that: one try
        (0, False, 1000.0, 1000.0),
        (50, True, 1000.2, 1000.05),  # it had its turn and was not sent: over
    ],
)
def test_a_lifetime_begins_with_send(lifetime, flushed, now, expiry):
    """webrtc-pc 6.2, maxPacketLifeTime in milliseconds."""
    channel, owner, _log = make(max_packet_life_time=lifetime)
    written = Written()
    channel.send("x")
    owner.flushes += flushed

    channel.write_one(written, now)

    assert written.messages[0][3]["expiry"] == (None if expiry is None else pytest.approx(expiry, abs=1e-6))


# -- states ------------------------------------------------------------------------------------------


def test_it_opens_once_and_tells_so():
    channel, _owner, log = make(is_open=False)
    assert (channel.state, channel.buffered_amount, channel.buffered_amount_low_threshold) == (
        CONNECTING,
        0,
        0,
    )
    channel.opened()
    channel.opened()
    assert (channel.state, log.events) == (OPEN, ["open"])

    nobody = DataChannel(Owner(), ChannelParameters("x", id=0), None)
    nobody.opened()
    nobody.receive("x", 1)
    nobody.closing()
    nobody.closed(None)
    assert (nobody.state, nobody.stats()["messagesReceived"]) == (CLOSED, 1)


@pytest.mark.parametrize("state", [CONNECTING, OPEN])
def test_a_close_is_carried_out_once(state):
    channel, owner, log = make(is_open=state is OPEN)
    channel.close()
    channel.close()
    assert (channel.state, owner.asked) == (CLOSING, ["close"])
    channel.opened()
    channel.closing()
    assert channel.state is CLOSING
    assert "closing" not in log.events
    channel.closed(None)
    channel.close()
    channel.closing()
    assert (channel.state, owner.asked) == (CLOSED, ["close"])


@pytest.mark.parametrize("state", [CONNECTING, OPEN])
def test_the_other_end_closes_it(state):
    channel, owner, log = make(is_open=state is OPEN)
    channel.closing()
    assert (channel.state, owner.asked) == (CLOSING, [])
    assert log.events[-1] == "closing"


@pytest.mark.parametrize(
    ("state", "heard"), [(CONNECTING, []), (OPEN, ["x"]), (CLOSING, ["x"]), (CLOSED, [])]
)
def test_messages_are_told_while_it_is_open_or_closing(state, heard):
    """webrtc-pc 6.2: what the other end sent before it heard of the close arrives."""
    channel, _owner, log = make(is_open=False)
    channel.state = state
    channel.receive("x", 1)
    assert log.messages == heard


def test_the_end_is_told_once_with_its_error():
    channel, _owner, log = make()
    channel.send("x")
    error = RTCError("sctp-failure", "gone")
    channel.closed(error)
    channel.closed(None)
    channel.receive("late", 4)
    assert log.events == ["open", ("closed", error)]
    assert (channel.state, channel.pending, channel.buffered_amount) == (CLOSED, False, 1)
    assert log.messages == []

    quiet, _owner, log = make()
    quiet.closed(error, tell=False)
    assert (quiet.state, log.events) == (CLOSED, ["open"])


def test_what_may_not_have_arrived_is_kept_at_the_end():
    channel, owner, _log = make()
    channel.send("a")
    channel.send("b")
    owner.not_arrived = 3
    assert channel.unacknowledged == 5

    channel.keep_unacknowledged()
    owner.not_arrived = 0
    channel.keep_unacknowledged()
    assert channel.unacknowledged == 5

    channel.closed(None)
    assert channel.unacknowledged == 5


def test_the_reset_of_our_half_is_asked_for_once():
    channel, _owner, _log = make()
    assert [channel.take_reset() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("priority", "number"), [("very-low", 128), ("low", 256), ("medium", 512), ("high", 1024)]
)
def test_priorities_are_numbers_and_shares(priority, number):
    """RFC 8832 section 5.1 and RFC 8831 section 6.4."""
    channel, _owner, _log = make(priority=Priority(priority))
    assert channel.weight == number
    assert int.from_bytes(write_open(channel.parameters)[2:4]) == number


# -- DATA_CHANNEL_OPEN -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "reliability"),
    [
        ({}, 0x00, 0),
        ({"max_retransmits": 5}, 0x01, 5),
        ({"max_retransmits": 0}, 0x01, 0),
        ({"max_packet_life_time": 300}, 0x02, 300),
        ({"ordered": False}, 0x80, 0),
        ({"ordered": False, "max_retransmits": 65535}, 0x81, 65535),
        ({"ordered": False, "max_packet_life_time": 0}, 0x82, 0),
    ],
)
def test_an_open_message_as_it_stands_on_the_wire(options, kind, reliability):
    """RFC 8832 section 5.1."""
    parameters = ChannelParameters("lä", "pr", id=6, **options)
    message = bytes((3, kind)) + b"\x01\0" + reliability.to_bytes(4) + b"\0\3\0\2" + "lä".encode() + b"pr"

    assert write_open(parameters) == message
    assert read_open_untrusted(6, message) == parameters
    # what stands behind it is not part of it
    assert read_open_untrusted(6, message + b"more") == parameters


@pytest.mark.parametrize("size", range(12))
def test_a_header_of_an_open_message_is_whole_or_refused(size):
    with pytest.raises(ValueError, match="cut off"):
        read_open_untrusted(0, (b"\3\0\1\0" + bytes(8))[:size])


@pytest.mark.parametrize(
    "message",
    [
        b"\3\3\1\0" + bytes(8),
        b"\3\x83\1\0" + bytes(8),
        b"\3\0\1\0" + bytes(4) + b"\0\2\0\1" + b"lp",
        b"\3\0\1\0" + bytes(4) + b"\0\0\0\1",
    ],
    ids=["unknown type", "unknown unordered type", "label and protocol cut off", "protocol cut off"],
)
def test_an_open_message_that_makes_no_sense_is_refused(message):
    with pytest.raises(ValueError, match="no sense"):
        read_open_untrusted(0, message)


@pytest.mark.parametrize(
    ("number", "priority"),
    [(0, "very-low"), (128, "very-low"), (129, "low"), (256, "low"), (257, "medium"), (512, "medium"),
     (513, "high"), (1024, "high"), (65535, "high")],
)  # fmt: skip
def test_any_number_is_a_priority(number, priority):
    """webrtc-priority 4.1: ranges."""
    message = b"\3\0" + number.to_bytes(2) + bytes(8)
    assert read_open_untrusted(0, message).priority is Priority(priority)


def test_invalid_text_of_an_open_message_is_replaced():
    message = b"\3\0\1\0" + bytes(4) + b"\0\1\0\1" + b"\xff\xfe"
    parameters = read_open_untrusted(0, message)
    assert (parameters.label, parameters.protocol, parameters.negotiated) == ("\ufffd", "\ufffd", False)


# -- ids ---------------------------------------------------------------------------------------------


def test_the_dtls_client_takes_even_ids_the_server_odd_ones():
    """RFC 8832 section 6."""
    taken: set[int] = set()
    for role, expected in ((DtlsRole.CLIENT, [0, 2, 4]), (DtlsRole.SERVER, [1, 3, 5])):
        for number in expected:
            assert free_id(taken, role, None) == number
            taken.add(number)


@pytest.mark.parametrize(
    ("limit", "role", "last"),
    [(4, DtlsRole.CLIENT, 2), (4, DtlsRole.SERVER, 3), (5, DtlsRole.CLIENT, 4), (5, DtlsRole.SERVER, 3),
     (None, DtlsRole.CLIENT, 65534), (65535, DtlsRole.CLIENT, 65534), (65536, DtlsRole.SERVER, 65533)],
)  # fmt: skip
def test_ids_end_with_the_streams_of_the_association(limit, role, last):
    """RFC 8832 section 5: 65535 is no stream."""
    assert free_id(range(last), role, limit) == last
    assert free_id(range(last + 1), role, limit) is None


def test_ids_of_closed_channels_rest_while_there_are_others():
    resting = {0: None, 2: None}
    assert free_id({4}, DtlsRole.CLIENT, None, resting) == 6
    assert free_id({4}, DtlsRole.CLIENT, 5, resting) == 0
    assert free_id({0, 2, 4}, DtlsRole.CLIENT, 5, resting) is None


def test_the_ids_that_rest_are_those_freed_last():
    resting: dict[int, None] = {}
    for number in (1, 3, 5, 3, 7):
        rest_id(resting, number, 3)
    assert list(resting) == [5, 3, 7]
    none: dict[int, None] = {}
    rest_id(none, 1, 0)
    assert not none
