"""Resets of streams by themselves: our requests and the other end's (RFC 6525)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rtcpeer.sctp.packets import STREAMS_MAX, Parameter, parameters_untrusted, write_parameter
from rtcpeer.sctp.resets import StreamResets

PERFORMED, DENIED, BAD_SEQUENCE, IN_PROGRESS = 1, 2, 5, 6
NOW, TIMEOUT = 50.0, 1.0
OURS, THEIRS = 500, 900


class Desk:
    """The resets of one end, and what came of them."""

    def __init__(self, *, outbound: int = STREAMS_MAX) -> None:
        self.said: list[tuple[int, bytes]] = []
        self.events: list[tuple[str, object]] = []
        self.resets = StreamResets(self, OURS)
        self.resets.begin(THEIRS, outbound)

    def send_reconfig(self, chunk: bytes) -> None:
        self.said += parameters_untrusted(chunk[4:])

    def on_inbound_reset(self, streams: Iterable[int]) -> None:
        self.events.append(("inbound", list(streams)))

    def on_inbound_reset_all(self) -> None:
        self.events.append(("inbound", "all"))

    def on_outbound_reset(self, stream: int) -> None:
        self.events.append(("outbound", stream))

    def on_stream_closing(self, stream: int) -> None:
        self.events.append(("closing", stream))

    def on_stream_closed(self, stream: int) -> None:
        self.events.append(("closed", stream))

    def hear(self, kind: Parameter, content: bytes) -> list[tuple[int, int]]:
        """What the other end says; the answers: number and result."""
        self.said.clear()
        self.resets.receive_untrusted(write_parameter(kind, content), 100, NOW, TIMEOUT)
        answers = [c for k, c in self.said if k == Parameter.RESET_RESPONSE]
        return [(int.from_bytes(c[:4]), int.from_bytes(c[4:8])) for c in answers]

    def reset(self, number: int, *streams: int, last: int = 100) -> list[tuple[int, int]]:
        body = number.to_bytes(4) + bytes(4) + last.to_bytes(4) + b"".join(s.to_bytes(2) for s in streams)
        return self.hear(Parameter.OUTGOING_RESET, body)

    def ask(self, *streams: int, queued: Iterable[int] = ()) -> None:
        for stream in streams:
            self.resets.ask(stream)
        self.resets.advance(lambda stream: stream in queued, 7, NOW, TIMEOUT)


def test_the_last_request_is_answered_as_before_whatever_came_between() -> None:
    desk = Desk()
    assert desk.reset(THEIRS, 3) == [(THEIRS, PERFORMED)]
    assert desk.reset(THEIRS + 5, 3) == [(THEIRS + 5, BAD_SEQUENCE)]
    assert desk.reset(THEIRS, 3) == [(THEIRS, PERFORMED)]
    assert desk.hear(Parameter.TSN_RESET, (THEIRS + 1).to_bytes(4)) == [(THEIRS + 1, DENIED)]
    assert desk.reset(THEIRS + 1, 3) == [(THEIRS + 1, DENIED)]
    assert desk.events == [("inbound", [3])]


@pytest.mark.parametrize(("room", "result"), [(3, PERFORMED), (2, DENIED)])
def test_streams_are_added_up_to_all_there_are(room: int, result: int) -> None:
    desk = Desk(outbound=STREAMS_MAX - room)
    answer = desk.hear(Parameter.ADD_OUTGOING, THEIRS.to_bytes(4) + (3).to_bytes(2) + bytes(2))
    assert answer == [(THEIRS, result)]
    assert desk.resets.inbound_max == STREAMS_MAX - (0 if result == PERFORMED else room)


def test_a_request_is_repeated_with_growing_waits_and_a_path_that_is_back_begins_them_anew() -> None:
    desk = Desk()
    desk.ask(3)
    waits = []
    for _ in range(6):
        assert desk.resets.deadline is not None
        waits.append(desk.resets.deadline - NOW)
        desk.resets.expire(NOW, TIMEOUT)
    assert waits == [1, 2, 4, 8, 8, 8]
    desk.resets.wake(NOW, TIMEOUT)
    assert desk.resets.deadline == NOW + 1
    desk.resets.expire(NOW, TIMEOUT)
    assert desk.resets.deadline == NOW + 2
    assert [kind for kind, _ in desk.said] == [Parameter.OUTGOING_RESET] * 9


def test_one_request_is_under_way_at_a_time_and_waits_for_what_is_queued() -> None:
    desk = Desk()
    desk.ask(3, 4, queued=[4])
    assert desk.resets.is_wanted
    desk.ask(queued=[])
    (request,) = desk.said
    assert request[1][12:] == b"\0\3"
    desk.hear(Parameter.RESET_RESPONSE, OURS.to_bytes(4) + PERFORMED.to_bytes(4))
    desk.ask(queued=[])
    (request,) = desk.said
    assert request[1] == (OURS + 1).to_bytes(4) + (THEIRS - 1).to_bytes(4) + (7).to_bytes(4) + b"\0\4"


def test_an_answer_to_another_request_changes_nothing() -> None:
    desk = Desk()
    desk.resets.open(3)
    desk.ask(3)
    desk.hear(Parameter.RESET_RESPONSE, (OURS - 1).to_bytes(4) + PERFORMED.to_bytes(4))
    assert not desk.events
    assert desk.resets.deadline is not None
    # one that is in progress there is asked for again, without haste
    desk.resets.expire(NOW, TIMEOUT)
    desk.hear(Parameter.RESET_RESPONSE, OURS.to_bytes(4) + IN_PROGRESS.to_bytes(4))
    assert desk.resets.deadline == NOW + TIMEOUT


def test_a_stream_is_closed_when_both_halves_are_reset_in_either_order() -> None:
    desk = Desk()
    for stream in (3, 4):
        desk.resets.open(stream)
    desk.reset(THEIRS, 3)
    assert desk.events == [("inbound", [3]), ("closing", 3)]
    desk.ask(3, 4)
    desk.hear(Parameter.RESET_RESPONSE, OURS.to_bytes(4) + PERFORMED.to_bytes(4))
    assert desk.events[2:] == [("outbound", 3), ("closed", 3), ("outbound", 4)]
    desk.reset(THEIRS + 1, 4)
    assert desk.events[5:] == [("inbound", [4]), ("closed", 4)]
    # it is nobody's any more
    desk.reset(THEIRS + 2, 4, 4)
    assert desk.events[7:] == [("inbound", [4, 4])]


def test_a_reset_of_all_streams_closes_those_that_are_open() -> None:
    desk = Desk()
    for stream in (4, 3):
        desk.resets.open(stream)
    desk.reset(THEIRS)
    assert desk.events == [("inbound", "all"), ("closing", 3), ("closing", 4)]


def test_after_the_end_nothing_is_asked_for() -> None:
    desk = Desk()
    desk.ask(3)
    desk.resets.ask(4)
    desk.resets.stop()
    desk.said.clear()
    assert not desk.resets.is_wanted
    desk.resets.expire(NOW, TIMEOUT)
    desk.resets.wake(NOW, TIMEOUT)
    desk.ask()
    assert not desk.said
    assert desk.resets.deadline is None
