"""The delivery record alone: which messages are in doubt, and the counts of two peers."""

import pytest

from rtcpeer.supervisor.delivery import DeliveryRecord, QueueLimits


class Acknowledging:
    unacknowledgedMessages = 0


def filled(count: int) -> DeliveryRecord:
    record, channel = DeliveryRecord(QueueLimits()), Acknowledging()
    channel.unacknowledgedMessages = count
    for number in range(1, count + 1):
        record.note_sent(number, 1, 0.0, channel)
    return record


@pytest.mark.parametrize("is_final", [True, False])
@pytest.mark.parametrize(
    ("acknowledged", "arrived", "is_ordered", "again"),
    [
        (0, 0, True, (1, 2, 3, 4, 5)),
        (0, 3, True, (4, 5)),
        (2, 3, True, (4, 5)),
        (3, 1, True, (4, 5)),  # acknowledged, and nevertheless not counted: it cannot be had any more
        (0, 5, True, ()),
        (0, 99, True, ()),
        (1, 3, False, (2, 3, 4, 5)),  # unordered: which three is not known
        (1, 5, False, ()),
    ],
)
def test_comparison(
    acknowledged: int, arrived: int, is_ordered: bool, again: tuple[int, ...], is_final: bool
) -> None:
    record, channel = filled(5), Acknowledging()
    channel.unacknowledgedMessages = 5 - acknowledged
    record.acknowledge(channel)
    record.compare(arrived, is_ordered=is_ordered, is_final=is_final)
    assert record.sent == (min(arrived, 5) if is_final else 5 - len(again))
    assert record.take() == (again, 0)
    assert record.take() == ((), 0)


def test_only_the_newest_are_kept() -> None:
    record, channel = DeliveryRecord(QueueLimits()), Acknowledging()
    channel.unacknowledgedMessages = 3
    for number in range(10_000):
        record.note_sent(number, 1, 0.0, channel)
        assert len(record._kept) <= 64
    record.acknowledge(channel)
    assert record.take() == ((9997, 9998, 9999), 0)
    assert record.sent == 10_000


def test_repetitions_are_recognised_by_their_number() -> None:
    record = DeliveryRecord(QueueLimits())
    assert all(record.note_received() for _ in range(5))
    record.resume(4, is_ordered=True)
    assert [record.note_received() for _ in range(3)] == [False, False, True]
    assert record.received == 6
    record.resume(4, is_ordered=False)  # unordered: nobody knows which ones come again
    assert record.note_received()
    assert record.received == 4
    record.begin_again()
    assert (record.sent, record.received) == (0, 0)


class Telling:
    """A channel of another stack: it cannot say what was acknowledged."""


def test_what_had_no_room_counts_as_in_doubt_only_as_long_as_it_may_be_lost() -> None:
    record, channel = DeliveryRecord(QueueLimits(size_bytes=2, doubt_time=7.0)), Telling()
    for number in range(5):
        record.note_sent(number, 1, float(number), channel)  # 3 of them have no room
    record.note_sent(5, 1, 5.0, channel)
    record.note_sent(6, 1, 6.0, channel)
    # only what was sent within 7 s before the trouble is in doubt: messages 3 to 6
    record.doubt(channel, 10.0, 12.0)
    assert record.take() == ((5, 6), 2)
    assert record.take() == ((), 0)


def test_what_is_old_is_forgotten_and_not_counted() -> None:
    record, channel = DeliveryRecord(QueueLimits(doubt_time=7.0)), Telling()
    record.note_sent("old", 1, 0.0, channel)
    record.note_sent("new", 1, 14.5, channel)
    record.doubt(channel, 1.0, 15.0)
    assert record.take() == (("new",), 0)


class Counting:
    """A channel that acknowledges nothing and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.sent = 0

    @property
    def unacknowledgedMessages(self) -> int:
        self.asked += 1
        return self.sent


def test_a_record_that_only_grows_is_compared_ever_more_seldom() -> None:
    record, channel = DeliveryRecord(QueueLimits()), Counting()
    for number in range(10_000):
        channel.sent += 1
        record.note_sent(number, 1, 0.0, channel)
    assert channel.asked == 8  # at 64, 128, ... 8192
    # nothing was forgotten, whatever its size
    assert len(record.take()[0]) == 10_000
    # and it begins anew
    channel.asked = channel.sent = 0
    for number in range(64):
        channel.sent += 1
        record.note_sent(number, 1, 0.0, channel)
    assert channel.asked == 1


def test_what_was_taken_out_takes_no_room() -> None:
    record, channel = DeliveryRecord(QueueLimits(size_bytes=10)), Telling()
    for number in range(2):
        record.note_sent(number, 5, 0.0, channel)
    assert record.take() == ((0, 1), 0)
    for number in range(2):
        record.note_sent(number, 5, 0.0, channel)
    assert record.take() == ((0, 1), 0)
    record.note_sent(3, 11, 0.0, channel)
    assert record.take() == ((), 1)


@pytest.mark.parametrize(
    ("unhealthy_since", "doubt_time", "again"),
    [
        # of a healthy connection the last second is in doubt
        (None, 7.0, ("19", "20")),
        (None, 0.5, ("20",)),
        (18.0, 3.0, ("15", "16", "17", "18", "19", "20")),
        (20.0, 0.0, ("20",)),
    ],
)
def test_time_judges_where_the_stack_cannot_tell(
    unhealthy_since: float | None, doubt_time: float, again: tuple[str, ...]
) -> None:
    record, channel = DeliveryRecord(QueueLimits(doubt_time=doubt_time)), Telling()
    for second in range(21):
        record.note_sent(str(second), 1, float(second), channel)
    record.acknowledge(channel)
    record.doubt(channel, unhealthy_since, 20.0)
    assert record.take() == (again, 0)


def test_a_connection_that_can_tell_is_not_judged_by_time() -> None:
    record, channel = DeliveryRecord(QueueLimits()), Acknowledging()
    channel.unacknowledgedMessages = 3
    for number in range(5):
        record.note_sent(number, 1, 0.0, channel)
    record.doubt(channel, None, 1000.0)
    assert record.take() == ((2, 3, 4), 0)


def test_messages_are_kept_twice_as_long_as_they_can_be_in_doubt() -> None:
    """Trouble is noticed late, and doubt is counted from when it began."""
    record, channel = DeliveryRecord(QueueLimits(doubt_time=5.0)), Telling()
    for second in range(21):
        record.note_sent(second, 1, float(second), channel)
    record.doubt(channel, 15.0, 20.0)
    assert record.take()[0] == tuple(range(10, 21))


def test_times_of_what_had_no_room_are_forgotten_with_their_doubt() -> None:
    record, channel = DeliveryRecord(QueueLimits(size_bytes=0, doubt_time=5.0)), Telling()
    for second in range(21):
        record.note_sent(second, 1, float(second), channel)
    record.doubt(channel, 18.0, 20.0)
    assert record.take() == ((), 8)  # those of 13 to 20


def test_the_other_peer_may_go_on_behind_what_was_lost() -> None:
    record = DeliveryRecord(QueueLimits())
    assert record.note_received()
    record.resume(5, is_ordered=True)
    assert record.received == 4
    assert record.note_received()
    assert record.received == 5
    # the next one: nothing comes again
    record.resume(6, is_ordered=True)
    assert record.note_received()
    assert record.received == 6


def test_a_program_that_began_anew_repeats_nothing() -> None:
    record = DeliveryRecord(QueueLimits())
    for _ in range(3):
        record.note_received()
    record.resume(1, is_ordered=True)
    record.begin_again()
    assert record.note_received()
    assert record.received == 1
