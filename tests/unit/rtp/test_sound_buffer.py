"""Sound over paths that delay, lose, repeat and reorder."""

from __future__ import annotations

import itertools
import random

import pytest

from rtcpeer.rtp.jitter_buffer import JUMP, EncodedFrame
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.sound_buffer import PACKETS_MAX, TARGET_MAX, DelayShift, DelayTarget, Loss, SoundBuffer

TICKS = 960


def packet(number, timestamp=None, payload=b"x"):
    ticks = TICKS * number if timestamp is None else timestamp
    return RtpPacket(111, 0, number & 0xFFFF, ticks & 0xFFFFFFFF, 1, payload)


def play(buffer, arrivals):
    """What leaves: (time, number) of packets and (time, Loss); `arrivals` are (time, packet), in any order."""
    left, waiting = [], sorted(arrivals, key=lambda a: a[0])
    now = 0.0
    while waiting or buffer.due is not None:
        due = buffer.due
        if waiting and (due is None or waiting[0][0] <= due):
            now, one = waiting.pop(0)
            leaving = buffer.add(one, now)
        else:
            now = max(now, due)
            leaving = buffer.take(now)
        left += [(now, e if isinstance(e, Loss) else e.packets[0].sequence_number) for e in leaving]
    return left


def path(count, rng, *, jitter=0.0, loss=0.0, speed=1.0, begin=5.0):
    """Arrivals of 20 ms packets, and when each was sent."""
    return [
        (begin + n * 0.02 * speed + rng.uniform(0, jitter), packet(n))
        for n in range(count)
        if n == 0 or rng.random() >= loss
    ]


def test_without_jitter_all_pass_at_once():
    arrivals = path(500, random.Random(1))

    assert play(SoundBuffer(48000), arrivals) == [(at, one.sequence_number) for at, one in arrivals]


def test_a_loss_costs_no_delay_and_is_named():
    arrivals = [a for n, a in enumerate(path(100, random.Random(1))) if n not in (40, 60, 61)]

    left = play(SoundBuffer(48000), arrivals)

    losses = [(at, one) for at, one in left if isinstance(one, Loss)]
    assert losses == [
        (arrivals[40][0], Loss(40 * TICKS, TICKS, 1)),
        (arrivals[59][0], Loss(60 * TICKS, 2 * TICKS, 2)),
    ]
    assert [at for at, one in left if not isinstance(one, Loss)] == [at for at, _ in arrivals]


@pytest.mark.parametrize(("seed", "speed"), [(0, 1.0), (1, 1.0003), (2, 0.9997)])
def test_ten_minutes_of_loss_and_jitter(seed, speed):
    """Delay is counted from when the quickest packet could be there."""
    rng = random.Random(seed)
    arrivals = path(30000, rng, jitter=0.03, loss=0.05, speed=speed)
    buffer = SoundBuffer(48000)

    left = play(buffer, arrivals)

    delays = [at - 5.0 - number * 0.02 * speed for at, number in numbered(left)]
    for part in (delays[500:3000], delays[-2500:]):
        assert sorted(part)[int(0.95 * len(part))] < 0.08
    # no drift: the end is as the beginning
    assert sum(delays[-5000:]) / 5000 == pytest.approx(sum(delays[500:5500]) / 5000, abs=0.006)
    heard = len(delays)
    lost = sum(one.packets for _, one in left if isinstance(one, Loss))
    # (the last ones may be lost without a trace)
    assert 29990 <= heard + lost <= 30000
    # few more than the path itself lost
    assert 0.04 < lost / 30000 < 0.08
    # even: the pieces leave one after the other as they were spoken
    gaps = [
        b[0] - a[0]
        for a, b in itertools.pairwise(left[500:])
        if isinstance(b[1], int) and isinstance(a[1], int)
    ]
    assert sorted(gaps)[int(0.9 * len(gaps))] < 0.03


def numbered(left):
    """Packets with numbers on an endless line."""
    cycles, last = 0, 0
    for at, one in left:
        if isinstance(one, Loss):
            continue
        if one < last - 0x8000:
            cycles += 0x10000
        last = one
        yield at, one + cycles


def test_the_delay_follows_the_path_both_ways():
    rng, buffer = random.Random(4), SoundBuffer(48000)
    quiet = path(500, rng)
    wild = [(10 + at, packet(500 + n)) for n, (at, _) in enumerate(path(500, rng, jitter=0.08, begin=5.0))]
    calm = [(20 + at, packet(1000 + n)) for n, (at, _) in enumerate(path(2000, rng, begin=5.0))]

    play(buffer, quiet)
    assert buffer.target == 0
    play(buffer, wild)
    assert 0.06 < buffer.target < 0.1
    play(buffer, calm)
    assert buffer.target < 0.02


def test_a_fixed_target_is_kept():
    buffer = SoundBuffer(48000, 0.1)

    left = play(buffer, path(200, random.Random(1), jitter=0.02))

    delays = [at - 5.0 - number * 0.02 for at, number in left]
    assert all(0.095 < delay < 0.13 for delay in delays[20:])


def test_reordering_within_the_target_is_no_loss():
    rng = random.Random(2)
    arrivals = path(400, rng)
    for n in range(10, 390, 7):
        arrivals[n], arrivals[n + 1] = (
            (arrivals[n + 1][0], arrivals[n][1]),
            (arrivals[n][0], arrivals[n + 1][1]),
        )

    left = play(SoundBuffer(48000), arrivals)

    numbers = [one for _, one in left if not isinstance(one, Loss)]
    assert numbers == sorted(numbers)
    # the first ones are learned from
    assert [one for _, one in left[100:] if isinstance(one, Loss)] == []


def test_late_packets_are_discarded_and_repeated_ones_left_out_without_being_counted():
    buffer = SoundBuffer(48000)
    play(
        buffer, [(1.0, packet(0)), (1.04, packet(2)), (1.06, packet(2)), (1.2, packet(1)), (1.21, packet(3))]
    )

    assert buffer.discarded == 1

    # webrtc-stats: RTP packets that come twice are not reported in packetsDiscarded
    play(buffer, [(1.22, packet(1)), (1.23, packet(3))])
    assert buffer.discarded == 1


def test_pauses_of_the_sender_are_no_losses():
    buffer = SoundBuffer(48000)
    # discontinuous transmission: the number goes on, the time leaps
    talk = [(1 + 0.02 * n, packet(n)) for n in range(5)] + [
        (9 + 0.02 * n, packet(5 + n, TICKS * (400 + n))) for n in range(5)
    ]

    assert [one for _, one in play(buffer, talk)] == list(range(10))


def test_a_long_loss_is_bounded():
    left = play(SoundBuffer(48000), [(1.0, packet(0)), (9.0, packet(400))])

    assert [one for _, one in left if isinstance(one, Loss)] == [Loss(TICKS, 48000, 399)]


def test_padding_has_a_number_and_no_sound():
    buffer = SoundBuffer(48000)
    arrivals = [(1 + n / 50, packet(n, payload=b"" if n % 3 == 2 else b"x")) for n in range(9)]

    assert [one for _, one in play(buffer, arrivals)] == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize("leap", [-480000, 480000, 1 << 31, 777])
def test_leaps_of_the_timestamps_stop_nothing(leap):
    buffer = SoundBuffer(48000)
    arrivals = [(1 + n / 50, packet(n, TICKS * n + (leap if n >= 50 else 0))) for n in range(100)]

    left = [(at, one) for at, one in play(buffer, arrivals) if not isinstance(one, Loss)]

    assert [one for _, one in left] == list(range(100))
    assert max(b[0] - a[0] for a, b in itertools.pairwise(left)) < 0.1


def test_a_jump_of_numbers_begins_anew():
    buffer = SoundBuffer(48000, 0.05)
    arrivals = [(1 + n / 50, packet(n if n < 50 else 30000 + n, TICKS * n)) for n in range(100)]

    assert len([one for _, one in play(buffer, arrivals) if not isinstance(one, Loss)]) >= 97


def test_a_stall_is_played_fast_and_forgotten():
    buffer = SoundBuffer(48000)
    arrivals = path(200, random.Random(1))
    arrivals += [(10.0 if n < 50 else 9 + n / 50, packet(200 + n)) for n in range(1500)]

    left = play(buffer, arrivals)

    assert [one for _, one in left if not isinstance(one, Loss)] == list(range(1700))
    assert left[-1][0] - (9 + 1499 / 50) < 0.01


def test_memory_is_bounded():
    buffer = SoundBuffer(48000, 4.0)
    for n in range(5000):
        buffer.add(packet(n * 2), 1 + n * 0.0001)

    assert len(buffer._held) <= PACKETS_MAX + 1


def test_the_target_has_a_limit_and_its_numbers_too():
    target = DelayTarget()
    for _ in range(20000):
        target.note(3.0)

    assert target.seconds == TARGET_MAX
    assert target._weight < 1e10
    for _ in range(20000):
        target.note(0.0)
    assert target.seconds == 0


def test_what_is_made_of_another_packet_says_nothing_of_the_path():
    buffer = SoundBuffer(48000)
    for n in range(0, 400, 2):
        # every second one is lost, and comes inside the next
        buffer.add(packet(n), 1 + n / 50)
        buffer.add(packet(n + 1), 1 + (n + 2) / 50, is_made=True)

    assert buffer.target == 0


def test_tones_say_nothing_of_the_path():
    """Each packet of a tone has the time at which it began (RFC 4733 section 2.2.1), so it seems ever later."""
    buffer, now, ticks, arrivals, number = SoundBuffer(48000), 5.0, 0, [], 0
    for _ in range(6):
        for _ in range(40):
            arrivals.append((now, packet(number, ticks)))
            number, now, ticks = number + 1, now + 0.02, ticks + TICKS
        for _ in range(25):
            arrivals.append((now, packet(number, ticks)))
            number, now = number + 1, now + 0.02
        ticks += 25 * TICKS

    left = play(buffer, arrivals)

    assert left == [(at, one.sequence_number) for at, one in arrivals]
    assert buffer.target == 0.0


def paused(pause, advance, *, rounds=1, talk=250, rest=2000):
    """Arrivals of a sender that pauses, and by how much its clock advances meanwhile, as a part of the time."""
    arrivals, now, ticks = [], 5.0, 0
    for count in (*[talk] * rounds, rest):
        for _ in range(count):
            arrivals.append((now, packet(len(arrivals), ticks)))
            now, ticks = now + 0.02, ticks + TICKS
        now, ticks = now + pause, ticks + round(pause * advance * 48000)
    return arrivals


@pytest.mark.parametrize("rounds", [1, 8])
@pytest.mark.parametrize("advance", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("pause", [0.1, 0.2, 0.5, 1.0, 2.0, 2.9, 5.0])
def test_a_clock_that_stands_still_in_a_pause_delays_nothing_behind_it(pause, advance, rounds):
    arrivals, buffer = paused(pause, advance, rounds=rounds), SoundBuffer(48000)

    left = play(buffer, arrivals)

    assert [one for _, one in left] == [one.sequence_number for _, one in arrivals]
    assert max(at - came for (at, _), (came, _) in zip(left, arrivals, strict=True)) < 0.01
    assert buffer.target == 0.0


def test_comfort_noise_of_a_clock_that_stands_still_delays_nothing():
    """A packet of 20 ms each 400 ms, numbered as if they followed each other."""
    arrivals, now = [], 5.0
    for _ in range(10):
        for step in (*[0.02] * 100, *[0.4] * 8):
            arrivals.append((now, packet(len(arrivals))))
            now += step

    left = play(SoundBuffer(48000), arrivals)

    assert max(at - came for (at, _), (came, _) in zip(left, arrivals, strict=True)) < 0.01


def test_longer_packets_are_a_longer_way_and_no_jitter():
    """A packet leaves its sender when its sound is whole: 40 ms later with packets of 60 ms than with those of 20."""
    arrivals, now, ticks = [], 5.0, 0
    for length in (0.02, 0.06, 0.01, 0.02, 0.06):
        for _ in range(200):
            now += length
            arrivals.append((now, packet(len(arrivals), ticks)))
            ticks += round(length * 48000)

    left = play(SoundBuffer(48000), arrivals)

    assert max(at - came for (at, _), (came, _) in zip(left, arrivals, strict=True)) < 0.015


def test_jitter_behind_a_pause_is_seen_as_before_it():
    rng, buffer = random.Random(5), SoundBuffer(48000)
    arrivals = [(at + rng.uniform(0, 0.08), one) for at, one in paused(0.7, 0.0, rounds=6)]

    play(buffer, arrivals)

    assert 0.05 < buffer.target < 0.1


def test_stalls_of_the_path_are_jitter():
    """Each second it holds packets back for 120 ms; they come together then."""
    buffer = SoundBuffer(48000)
    arrivals = [(max(at, 5 + int(at - 5) + 0.12), one) for at, one in path(1000, random.Random(1))]

    play(buffer, arrivals)

    assert 0.06 < buffer.target < 0.13


# -- the delay that is aimed at


def delay_target(*lates):
    target = DelayTarget()
    for late in lates:
        target.note(late)
    return target.seconds


@pytest.mark.parametrize(
    ("lates", "seconds"),
    [
        ([0.012] * 9, 0.0),  # it is looked at after ten
        ([0.012] * 10, 0.015),  # a class of 5 ms ends there
        ([0.0049] * 10, 0.0),  # what timers do
        ([0.0051] * 10, 0.01),
        ([0.0] * 96 + [0.1] * 4, 0.0),  # nineteen of twenty are there in time
        ([0.0] * 92 + [0.1] * 8, 0.105),
        ([9.0] * 10, TARGET_MAX),
    ],
)
def test_the_target_is_what_nearly_all_need(lates, seconds):
    assert delay_target(*lates) == pytest.approx(seconds)


def test_it_sinks_slowly():
    target, seen = DelayTarget(), []
    for late in (*[0.1] * 100, *[0.0] * 2000):
        target.note(late)
        seen.append(target.seconds)
    falls = {n: a - b for n, (a, b) in enumerate(itertools.pairwise(seen), 2) if b < a}
    # 2.5 ms each ten packets, and to the end
    assert len(falls) == 105 / 2.5
    assert all(n % 10 == 0 for n in falls)
    assert list(falls.values()) == [pytest.approx(0.0025)] * len(falls)


def test_what_came_lately_counts_more():
    """A part of 1 / 250 is forgotten per packet: after 700 packets a sixteenth is left."""
    assert delay_target(*[0.1] * 1000, *[0.0] * 700) == pytest.approx(0.105)
    assert delay_target(*[0.1] * 1000, *[0.0] * 800) < 0.105


# -- steps of the delay


def test_a_step_is_one_from_25_ms_on_against_the_packet_before():
    shift = DelayShift()
    assert [shift.is_open(late) for late in (0.0, 0.0249, 0.025)] == [False, False, True]
    shift.before = 0.5
    assert [shift.is_open(late) for late in (0.5, 0.525)] == [False, True]


@pytest.mark.parametrize(("interval", "count"), [(0.02, 10), (0.01, 16), (0.0625, 10)])
def test_a_step_stays_if_ten_packets_in_150_ms_have_it(interval, count):
    shift = DelayShift()
    lates = [0.125, *[0.1328125, 0.109375] * 20]
    for n in range(count - 1):
        assert shift.note(lates[n], n * interval) == (0.0, [])
        assert shift.is_open(lates[n])
    last = lates[count - 1]
    # as far as all have it; the rest is jitter
    assert shift.note(last, (count - 1) * interval) == (
        0.109375,
        [late - 0.109375 for late in lates[:count]],
    )
    assert shift.before == last - 0.109375
    assert not shift.is_open(shift.before)


def test_a_stall_that_is_made_up_by_half_is_jitter():
    shift = DelayShift()
    for n, late in enumerate((0.125, 0.09375, 0.0625)):
        assert shift.note(late, n / 50) == (0.0, [])
    assert shift.note(0.0624, 0.08) == (0.0, [0.125, 0.09375, 0.0625, 0.0624])
    assert not shift.is_open(0.0624)


def test_half_of_a_step_is_counted_from_the_packet_before_it():
    shift = DelayShift()
    shift.before = 0.25
    assert shift.note(0.5, 0.0) == (0.0, [])
    # half of 0.25 above nothing: the least of all is far above that
    assert shift.note(0.125, 0.02) == (0.0, [])
    assert shift.note(0.1249, 0.04)[1] == [0.5, 0.125, 0.1249]


def test_a_step_behind_another_settles_that():
    shift = DelayShift()
    for n in range(3):
        assert shift.note(0.125, n / 50) == (0.0, [])
    assert shift.note(0.1875, 0.06) == (0.125, [0.0, 0.0, 0.0])
    # beside what is settled
    assert shift.before == 0.0625
    for n in range(4, 12):
        assert shift.note(0.0625, n / 50) == (0.0, [])
    assert shift.note(0.0625, 0.24) == (0.0625, [0.0] * 10)


def test_a_stall_of_three_seconds_at_most_is_waited_for():
    shift = DelayShift()
    for n in range(128):
        assert shift.note(3.0, 0.001 * n) == (0.0, [])
    assert shift.note(3.0, 0.128) == (0.0, [3.0] * 129)


def test_another_line_of_timestamps_has_no_step_yet():
    shift = DelayShift()
    shift.note(0.125, 0.0)
    shift.clear()
    assert not shift.is_open(0.0)
    assert shift.before == 0.0


# -- packets one by one


def test_what_is_held_is_due_by_its_place_and_not_by_its_arrival():
    buffer = SoundBuffer(48000, 0.125)
    assert buffer.due is None
    assert buffer.add(packet(0), 1.0) == []
    assert buffer.due == 1.125
    assert buffer.add(packet(2), 1.0625) == []
    assert buffer.due == pytest.approx(1.125, abs=1e-4)
    # a timer may come a millisecond early
    assert buffer.take(1.1239) == []
    assert [one.packets for one in buffer.take(1.1241)] == [[packet(0)]]
    loss, frame = buffer.take(1.17)
    assert loss == Loss(TICKS, TICKS, 1)
    assert (frame.packets, frame.received_at, frame.timestamp) == ([packet(2)], 1.0625, 2 * TICKS)
    assert buffer.due is None
    # that one comes too late, once
    assert buffer.add(packet(1), 1.18) == buffer.add(packet(1), 1.19) == []
    assert buffer.discarded == 1


@pytest.mark.parametrize("first", [0, 65535])
def test_what_a_buffer_can_still_use(first):
    buffer = SoundBuffer(48000, 0.125)
    assert not buffer.lacks(first)
    for number in (0, 2):
        buffer.add(packet(first + number, TICKS * number), 1.0 + number / 50)
    assert [n for n in range(-3, 6) if buffer.lacks(first + n & 0xFFFF)] == [1, 3, 4, 5]
    buffer.take(1.13)
    assert [n for n in range(-3, 6) if buffer.lacks(first + n & 0xFFFF)] == [1, 3, 4, 5]
    buffer.take(1.2)
    assert [n for n in range(-3, 6) if buffer.lacks(first + n & 0xFFFF)] == [3, 4, 5]
    buffer.clear()
    assert not buffer.lacks(first + 3)


@pytest.mark.parametrize(("step", "gap"), [(480, 480), (5760, 5760), (5761, 960), (0, 960)])
def test_a_loss_is_as_long_as_packets_are(step, gap):
    """120 ms is the longest packet of Opus (RFC 6716 section 2.1.4); 20 ms until two packets tell."""
    buffer = SoundBuffer(48000, 0.0)
    buffer.add(packet(0, 0), 1.0)
    buffer.add(packet(1, step), 1.0 + step / 48000)
    found = buffer.add(packet(3, 48000), 2.0)
    assert found[0] == Loss(step + gap, gap, 1)


def test_a_loss_is_no_longer_than_the_time_it_was_in():
    """What has no room is a pause of another kind: nothing is to be made up."""
    buffer = SoundBuffer(48000, 0.0)
    buffer.add(packet(0, 0xFFFFFFFF), 1.0)
    loss, _frame = buffer.add(packet(3, TICKS + 99), 1.04)
    assert loss == Loss(TICKS - 1, 100, 2)
    assert [type(one) for one in buffer.add(packet(5, 2 * TICKS + 99), 1.06)] == [EncodedFrame]


def test_before_the_first_packet_nothing_was_lost():
    buffer = SoundBuffer(48000, 0.125)
    buffer.add(packet(5), 1.0)
    buffer.clear()
    assert [type(one) for one in (*buffer.add(packet(9), 1.1), *buffer.take(2.0))] == [EncodedFrame]


@pytest.mark.parametrize(("step", "is_loss"), [(JUMP - 1, True), (JUMP, False), (-JUMP, False)])
def test_how_far_a_loss_of_sound_reaches(step, is_loss):
    buffer = SoundBuffer(48000, 0.0)
    for number, now in ((5000, 1.0), (5000 + step, 30.0)):
        found = buffer.add(packet(number, 48000 * int(now)), now)
    assert [type(one) for one in found] == [Loss] * is_loss + [EncodedFrame]
    if is_loss:
        assert found[0] == Loss(48000 + TICKS, 48000, JUMP - 2)
