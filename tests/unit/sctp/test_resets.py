"""Resets of streams in both directions, with an association that takes notes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.sctp.packets import STREAMS_MAX, ChunkType, Parameter, write_parameter
from rtcpeer.sctp.resets import StreamResets
from tests.work import Steps

PERFORMED, DENIED, BAD_SEQUENCE, IN_PROGRESS = 1, 2, 5, 6
THEIRS = 500  # the number of the other end's first request


class Queues:
    """What the resets use of both queues of an association."""

    def __init__(self, told: list[tuple[str, object]]) -> None:
        self._told = told
        self._busy: set[int] = set()
        self.cumulative, self.tsn = 1000, 1001
        self.round_trip = SimpleNamespace(timeout=1.0)

    def set_busy(self, streams: Iterable[int]) -> None:
        self._busy = set(streams)

    def queued_streams(self) -> set[int]:
        return self._busy

    def reset(self, streams: Iterable[int]) -> None:
        self._told.append(("inbound", list(streams)))

    def reset_all(self) -> None:
        self._told.append(("inbound", "all"))

    def restart_stream(self, stream: int) -> None:
        self._told.append(("outbound", stream))


class Association:
    """Notes what it is told, and what it is to send."""

    def __init__(self, sequence: int = 100) -> None:
        self.told: list[tuple[str, object]] = []
        self.sent: list[bytes] = []
        self.queues: Any = Queues(self.told)
        self.resets = StreamResets(
            sequence,
            self.queues,
            self.queues,
            send=self.send,
            on_closing=lambda stream: self.told.append(("closing", stream)),
            on_closed=lambda stream: self.told.append(("closed", stream)),
        )
        self.resets.begin(THEIRS, 16)

    def send(self, chunk: bytes) -> None:
        assert chunk[0] == ChunkType.RE_CONFIG
        self.sent.append(chunk[4:])

    def advance(self, *busy: int, now: float = 0.0) -> None:
        self.queues.set_busy(busy)
        self.resets.advance(now)

    def receive(self, parameter: bytes, now: float = 0.0) -> None:
        self.resets.receive_untrusted(parameter, now)

    def arrive(self, cumulative: int) -> None:
        self.queues.cumulative = cumulative
        self.resets.on_received()

    def answers(self) -> list[tuple[int, int]]:
        """Number and result of each answer that was sent."""
        found = [chunk for chunk in self.sent if chunk[:2] == Parameter.RESET_RESPONSE.to_bytes(2)]
        return [struct.unpack_from("!LL", chunk, 4) for chunk in found]


def outgoing(sequence: int, *streams: int, last: int = 1000) -> bytes:
    body = struct.pack("!LLL", sequence, 0, last) + b"".join(stream.to_bytes(2) for stream in streams)
    return write_parameter(Parameter.OUTGOING_RESET, body)


def answer(sequence: int, result: int) -> bytes:
    return write_parameter(Parameter.RESET_RESPONSE, struct.pack("!LL", sequence, result))


def test_a_channel_is_closed_when_both_halves_are_reset():
    end = Association()
    end.resets.open(3)
    end.resets.ask(3)
    end.advance(3)
    assert end.sent == [], "not before everything was sent"
    end.advance()
    assert struct.unpack_from("!LLLH", end.sent[0], 4) == (100, THEIRS - 1, 1000, 3)
    end.receive(answer(100, PERFORMED))
    assert end.told == [("outbound", 3)]
    end.receive(outgoing(THEIRS, 3))
    assert end.told == [("outbound", 3), ("inbound", [3]), ("closed", 3)]
    assert end.answers() == [(THEIRS, PERFORMED)]


def test_what_the_other_end_resets_first_is_closing_here():
    end = Association()
    end.resets.open(3)
    end.receive(outgoing(THEIRS, 3, 9))
    assert end.told == [("inbound", [3, 9]), ("closing", 3)]
    end.receive(outgoing(THEIRS, 3, 9))
    assert end.answers() == [(THEIRS, PERFORMED)] * 2, "a repetition has the same answer and no effect"
    assert len(end.told) == 2
    end.receive(outgoing(THEIRS + 7, 3))
    assert end.answers()[-1] == (THEIRS + 7, BAD_SEQUENCE)


def test_a_reset_waits_for_the_data_before_it():
    end = Association()
    end.resets.open(3)
    end.receive(outgoing(THEIRS, 3, last=1010))
    assert end.resets.waits_for_data
    assert (end.told, end.answers()) == ([], [(THEIRS, IN_PROGRESS)])
    end.arrive(1009)
    assert end.told == []
    end.arrive(1010)
    assert end.told == [("inbound", [3]), ("closing", 3)]
    assert end.answers()[-1] == (THEIRS, PERFORMED)
    assert not end.resets.waits_for_data


def test_a_request_without_streams_is_for_all_that_are_open():
    end = Association()
    for stream in (5, 2):
        end.resets.open(stream)
    end.receive(outgoing(THEIRS))
    assert end.told == [("inbound", "all"), ("closing", 2), ("closing", 5)]


def test_an_unanswered_request_is_sent_again_ever_more_slowly():
    end = Association()
    end.resets.open(3)
    end.resets.ask(3)
    end.advance(now=0.0)
    deadlines = [end.resets.deadline]
    for _ in range(4):
        now = end.resets.deadline
        assert now is not None
        end.resets.expire(now)
        deadlines.append(end.resets.deadline)
    assert deadlines == [1.0, 3.0, 7.0, 15.0, 23.0]
    assert len(set(end.sent)) == 1
    end.receive(answer(100, IN_PROGRESS), now=23.0)
    assert end.resets.deadline == 24.0
    end.resets.ask(4)
    end.advance()
    assert len(set(end.sent)) == 1, "one request at a time"
    end.receive(answer(99, PERFORMED))
    assert end.resets.deadline == 24.0


def test_a_refused_reset_closes_the_channel_all_the_same():
    end = Association()
    end.resets.open(3)
    end.resets.ask(3)
    end.advance()
    end.receive(answer(100, DENIED))
    assert end.told == [("closed", 3)]
    assert end.resets.deadline is None


def test_more_streams_up_to_the_limit_and_nothing_that_browsers_do_not_use():
    end = Association()
    add = Parameter.ADD_OUTGOING
    end.receive(write_parameter(add, struct.pack("!LHH", THEIRS, 10, 0)))
    assert end.resets.inbound_max == 26
    end.receive(write_parameter(add, struct.pack("!LHH", THEIRS + 1, STREAMS_MAX, 0)))
    end.receive(write_parameter(Parameter.TSN_RESET, struct.pack("!L", THEIRS + 2)))
    end.receive(write_parameter(add, b"\0"))
    assert end.resets.inbound_max == 26
    assert end.answers() == [(THEIRS, PERFORMED), (THEIRS + 1, DENIED), (THEIRS + 2, DENIED)]


def test_the_last_request_is_answered_as_before_whatever_came_between():
    end = Association()
    end.receive(outgoing(THEIRS, 3))
    end.receive(outgoing(THEIRS + 5, 3))
    end.receive(outgoing(THEIRS, 3))
    assert end.answers() == [(THEIRS, PERFORMED), (THEIRS + 5, BAD_SEQUENCE), (THEIRS, PERFORMED)]
    assert end.told == [("inbound", [3])]


def test_the_last_stream_that_there_is_can_be_added():
    end = Association()
    end.resets.begin(THEIRS, STREAMS_MAX - 3)
    end.receive(write_parameter(Parameter.ADD_OUTGOING, struct.pack("!LHH", THEIRS, 3, 0)))
    end.receive(write_parameter(Parameter.ADD_OUTGOING, struct.pack("!LHH", THEIRS + 1, 1, 0)))
    assert end.answers() == [(THEIRS, PERFORMED), (THEIRS + 1, DENIED)]
    assert end.resets.inbound_max == STREAMS_MAX


def test_a_path_that_is_back_begins_the_waits_anew():
    end = Association()
    end.resets.ask(3)
    end.advance()
    for _ in range(3):
        end.resets.expire(10.0)
    assert end.resets.deadline == 18.0
    end.resets.wake(20.0)
    assert end.resets.deadline == 21.0


def test_after_the_end_nothing_is_asked_for():
    end = Association()
    end.resets.ask(3)
    end.advance()
    end.resets.ask(4)
    end.resets.stop()
    end.sent.clear()
    end.resets.expire(10.0)
    end.resets.wake(20.0)
    end.advance()
    assert end.sent == []
    assert end.resets.deadline is None


@pytest.mark.parametrize("count", [1000, 8000])
def test_thousands_of_resets_cost_the_same_each(count):
    """The other end has us ask for one with each malformed DATA_CHANNEL_OPEN, of any stream."""
    association = Association()
    for stream in range(count):
        association.resets.ask(stream)
    requests = 0
    with Steps() as steps:
        while association.resets.is_wanted:
            association.advance()
            association.receive(answer(100 + requests, PERFORMED))
            requests += 1
    assert requests == -(-count // 135)
    assert steps.count < 100 * count
    assert [told for told in association.told if told[0] == "outbound"] == [
        ("outbound", stream) for stream in range(count)
    ]


def test_streams_with_something_queued_wait_without_holding_up_others():
    association = Association()
    for stream in range(1, 5):
        association.resets.ask(stream)
    association.advance(1, 3)
    association.receive(answer(100, PERFORMED))
    assert association.told == [("outbound", 2), ("outbound", 4)]
    association.advance()
    association.receive(answer(101, PERFORMED))
    assert association.told[2:] == [("outbound", 1), ("outbound", 3)]


def test_streams_of_any_number_are_reset_whatever_stands_before_them():
    """Those that nobody uses, a parameter that is cut off, and half a number at the end cost themselves alone."""
    end = Association()
    for stream in (0x1234, 0x00FF, 0xFFFE):
        end.resets.open(stream)
    cut = write_parameter(Parameter.RESET_RESPONSE, b"abc")
    body = (
        struct.pack("!LLL", THEIRS, 0, 1000) + b"".join(n.to_bytes(2) for n in (7, 0x1234, 8, 0xFFFE)) + b"\0"
    )
    end.receive(cut + write_parameter(Parameter.OUTGOING_RESET, body))
    assert end.told == [("inbound", [7, 0x1234, 8, 0xFFFE]), ("closing", 0x1234), ("closing", 0xFFFE)]
    assert end.answers() == [(THEIRS, PERFORMED)]


def test_nothing_to_do_is_as_good_as_done():
    end = Association()
    end.resets.open(5)
    end.resets.ask(5)
    assert not end.resets.is_waiting
    end.advance()
    assert end.resets.is_waiting
    end.receive(answer(100, 0))
    assert not end.resets.is_waiting
    assert end.told == [("outbound", 5)]
    assert end.resets.deadline is None


def test_what_is_refused_is_named_by_its_number_alone():
    end = Association()
    body = struct.pack("!LHHH", THEIRS, 1, 2, 3)
    end.receive(write_parameter(Parameter.INCOMING_RESET, body))
    assert end.answers() == [(THEIRS, DENIED)]


def test_a_reset_in_progress_begins_its_waits_anew():
    end = Association()
    end.resets.ask(5)
    end.advance(now=0.0)
    for now in (1.0, 3.0, 7.0):
        assert end.resets.deadline == now
        end.resets.expire(now)
    end.receive(answer(100, IN_PROGRESS), now=8.0)
    for now in (9.0, 11.0, 15.0):
        assert end.resets.deadline == now
        end.resets.expire(now)


def test_a_stream_that_the_other_end_uses_again_is_closed_although_the_answer_is_late():
    end = Association()
    for stream in (3, 5):
        end.resets.open(stream)
        end.resets.ask(stream)
    end.advance()
    end.receive(outgoing(THEIRS, 3))
    end.told.clear()
    end.resets.used_again(3)
    assert end.told == [("outbound", 3), ("closed", 3)]
    end.resets.used_again(5)
    assert len(end.told) == 2, "of this one their half is not reset: nothing says that they have seen ours"
    end.resets.open(3)
    end.receive(answer(100, PERFORMED))
    assert end.told[2:] == [("outbound", 5)], "the late answer is none for the stream as it is now"
    end.receive(outgoing(THEIRS + 1, 3))
    assert end.told[-1] == ("closing", 3)


def test_a_stream_that_was_not_asked_to_be_reset_is_not_closed_by_its_use():
    end = Association()
    end.resets.open(3)
    end.resets.used_again(3)
    end.receive(outgoing(THEIRS, 3))
    end.resets.ask(3)
    end.resets.used_again(3)
    assert end.told == [("inbound", [3]), ("closing", 3)]
