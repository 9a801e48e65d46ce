"""The two clocks on a selected pair."""

from __future__ import annotations

import itertools
import random

import pytest

from rtcpeer.ice.consent import Consent, Liveness
from rtcpeer.ice.pair import Local, Pair, Remote
from rtcpeer.ice.settings import IceSettings
from rtcpeer.values import NEVER
from tests.unit.ice.support import FakeBase, Wire, candidate

SETTINGS = IceSettings()


def pair(heard_at: float, consented_at: float) -> Pair:
    base = FakeBase(Wire(), ("192.0.2.1", 1))
    made = Pair("P", None, Local("L", candidate(), base), base, Remote("R", candidate(), ("192.0.2.2", 2)))
    made.heard_at, made.consented_at = heard_at, consented_at
    return made


@pytest.mark.parametrize(
    ("silence", "since_consent", "level"),
    [
        (0, 0, Liveness.LIVE),
        (4.9, 10.9, Liveness.LIVE),
        (0, 11, Liveness.SILENT),
        (4.9, 29, Liveness.SILENT),
        (5, 5, Liveness.SILENT),
        (29.9, 29.9, Liveness.SILENT),
        (30, 30, Liveness.EXPIRED),
        (0, 30, Liveness.EXPIRED),
    ],
)
def test_levels(silence: float, since_consent: float, level: Liveness) -> None:
    consent = Consent(SETTINGS, lambda: 0.5)
    assert consent.level(100, pair(100 - silence, 100 - since_consent)) is level


def test_requests_are_spread_and_come_faster_in_silence() -> None:
    for jitter, interval in ((0.0, 4.0), (0.999, 5.998)):
        consent = Consent(IceSettings(consent_grid=0), lambda value=jitter: value)  # type: ignore[misc]
        consent.start(100, controlling=True)
        assert consent.request_at(pair(103, 100)) == pytest.approx(100 + interval)
    quiet = pair(100, 100)
    assert consent.request_at(quiet) == pytest.approx(103.4)
    consent.requested(103.4, quiet)
    assert consent.request_at(quiet) == pytest.approx(103.8)


def test_requests_of_many_idle_paths_leave_together_and_are_spread_all_the_same() -> None:
    chance = random.Random(1)
    grid = SETTINGS.consent_grid
    intervals = []
    for controlling in (True, False):
        for _ in range(200):
            begun = chance.uniform(1000, 1010)
            consent = Consent(SETTINGS, chance.random)
            consent.start(begun, controlling=controlling)
            # heard all the while, so that only the age of the consent counts
            path = pair(begun + 5, begun)
            due = consent.request_at(path)
            assert due % grid == 0
            intervals.append(due - begun)
            # the next one is counted from when this one left
            consent.requested(due, path)
            path.consented_at = path.heard_at = due
            path.heard_at = due + 5
            intervals.append(consent.request_at(path) - due)
            # an idle one, asked because of its silence
            path.heard_at = chance.uniform(due - 1, due)
            probed = consent.request_at(path)
            assert probed % grid == 0
            after = SETTINGS.probe_after + (0 if controlling else SETTINGS.probe_interval)
            assert path.heard_at + after <= probed < path.heard_at + after + grid
    # RFC 7675 section 5.1
    assert 4.0 <= min(intervals) < 4.2
    assert 5.8 < max(intervals) <= 6.0
    assert len({*intervals[1::2]}) == 15


@pytest.mark.parametrize("bounds", [(0.1, 0.2), (5.0, 5.0)])
def test_a_narrow_interval_knows_no_grid(bounds: tuple[float, float]) -> None:
    consent = Consent(IceSettings(consent_interval=bounds), lambda: 0.5)
    consent.start(100.03, controlling=True)
    assert consent.request_at(pair(105, 100.03)) == pytest.approx(100.03 + sum(bounds) / 2)


def test_an_unanswered_request_is_followed_by_others() -> None:
    consent = Consent(SETTINGS, lambda: 0.5)
    consent.start(100, controlling=True)
    heard = pair(105, 100)
    consent.requested(105, heard)
    assert consent.request_at(heard) == pytest.approx(105.5)
    consent.requested(105.5, heard)
    assert consent.request_at(heard) == pytest.approx(106.0)
    heard.consented_at = 106.01
    # the answered ones do not shift the cadence of fresh ones
    assert consent.request_at(heard) == pytest.approx(108.5)
    heard.heard_at = 109
    assert consent.request_at(heard) == pytest.approx(110)


def test_after_the_expiry_requests_come_ever_more_slowly_and_end() -> None:
    consent = Consent(SETTINGS, lambda: 0.5)
    lost = pair(100, 100)
    consent.start(100, controlling=True)
    times = []
    while (due := consent.revive_at(130)) != NEVER:
        consent.requested(due, lost)
        times.append(due)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] == pytest.approx(130.5)
    assert gaps == sorted(gaps)
    # a tenth of the time since the expiry, between half a second and four
    for at, gap in zip(times, gaps, strict=False):
        assert gap == pytest.approx(min(max((at - 130) / 10, 0.5), 4.0))
    assert gaps[:4] == pytest.approx([0.5] * 4)
    assert next(at for at, gap in zip(times, gaps, strict=False) if gap >= 4.0) >= 170
    assert gaps[-1] == pytest.approx(4.0)
    assert 130 + SETTINGS.revive_for < times[-1] < 130 + SETTINGS.revive_for + 5
    assert len(times) < 200


def test_the_controlled_side_probes_a_little_later() -> None:
    consent = Consent(SETTINGS, lambda: 0.999)
    consent.start(100, controlling=False)
    assert consent.request_at(pair(100, 100)) == 103.875


def test_next_time_covers_all_that_can_change() -> None:
    consent = Consent(SETTINGS, lambda: 0.999)
    consent.start(100, controlling=True)
    lost = pair(100, 100)
    consent.requested(104.9, lost)
    assert consent.next_time(104.9, lost) == pytest.approx(105)
    assert consent.next_time(105.0, lost) == pytest.approx(105.3)
    consent.requested(129.9, lost)
    assert consent.next_time(129.9, lost) == pytest.approx(130)
    one_way = pair(111.2, 100)
    consent.requested(110.9, one_way)
    assert consent.next_time(110.95, one_way) == pytest.approx(111)


def test_backups_are_asked_before_one_takes_over() -> None:
    consent = Consent(SETTINGS, lambda: 0.5)
    quiet = pair(100, 100)
    assert not consent.wants_backup(103.4, quiet)
    assert consent.wants_backup(103.8, quiet)
    assert not consent.is_quiet(104.4, quiet)
    assert consent.is_quiet(104.5, quiet)


def test_levels_have_an_order() -> None:
    assert list(Liveness) == sorted(Liveness) == [Liveness.LIVE, Liveness.SILENT, Liveness.EXPIRED]
    assert len({*Liveness}) == 3


def test_bounds_are_reached_at_their_very_moment() -> None:
    """All numbers are exact in binary: 'at' is not 'after'."""
    settings = IceSettings(failed_after=10.0, failover_after=4.5, probe_interval=0.5)
    consent = Consent(settings, lambda: 0.5)
    # silence alone, long before consent would expire
    assert consent.level(115, pair(100, 100)) is Liveness.EXPIRED
    assert consent.level(114.75, pair(100, 100)) is Liveness.SILENT
    assert not consent.wants_backup(103.25, pair(100, 100))
    assert consent.wants_backup(103.5, pair(100, 100))


def test_the_last_request_after_the_expiry_is_at_the_end_of_its_time() -> None:
    consent = Consent(IceSettings(revive_for=64.0), lambda: 0.5)
    consent.start(0, controlling=True)
    lost = pair(0, 0)
    consent.requested(100 + 64, lost)
    assert consent.revive_at(100) == 168
    consent.requested(100 + 64.25, lost)
    assert consent.revive_at(100) == NEVER


def test_who_waits_for_an_answer_asks_sooner() -> None:
    consent = Consent(SETTINGS, lambda: 0.999)
    consent.start(100, controlling=True)
    usual = consent.request_at(pair(102, 100))
    busy = pair(102, 100)
    busy.sent_at = 102
    # sent when something came: it may be the answer
    assert consent.request_at(busy) == usual
    busy.sent_at = 102.001
    assert consent.request_at(busy) == 102 + SETTINGS.wake_after < usual


def test_a_request_that_was_answered_at_once_begins_a_new_interval() -> None:
    consent = Consent(SETTINGS, lambda: 0.5)
    consent.start(100, controlling=True)
    path = pair(102, 100)
    consent.requested(102, path)
    path.consented_at = path.heard_at = 102
    # five seconds after this one, not after the start
    path.heard_at = 106
    assert consent.request_at(path) == 107
    # unanswered ones belong to the interval in which they are sent, up to its very end
    path.consented_at = 101
    consent.requested(106.5, path)
    path.consented_at = 106.75
    path.heard_at = 110
    assert consent.request_at(path) == 107
    path.consented_at = 101
    consent.requested(107, path)
    path.consented_at = 107.25
    assert consent.request_at(path) == 112


@pytest.mark.parametrize("heard_at", [90.0, 95.0, 98.0, 100.0])
@pytest.mark.parametrize("consented_at", [80.0, 89.0, 90.0, 95.0, 98.0])
def test_it_is_looked_at_whenever_something_changes_and_never_without_end(
    heard_at: float, consented_at: float
) -> None:
    settings = IceSettings(consent_interval=(900.0, 1000.0), consent_retry=900.0, probe_after=500.0)
    consent = Consent(settings, lambda: 0.0)
    path = pair(heard_at, consented_at)
    changes = [
        heard_at + settings.disconnected_after,
        heard_at + settings.disconnected_after + settings.failed_after,
        consented_at + settings.consent_expiry,
    ]
    now, seen = 100.0, []
    consent.start(now, controlling=True)
    while consent.level(now, path) is not Liveness.EXPIRED:
        then = consent.next_time(now, path)
        assert then > now
        seen.append(then)
        now = then
    assert seen == sorted({at for at in changes if 100.0 < at <= min(changes[1:])})


def test_it_is_looked_at_when_consent_becomes_doubtful_although_data_comes() -> None:
    settings = IceSettings(consent_interval=(4.0, 6.0), consent_expiry=600.0)
    consent = Consent(settings, lambda: 0.0)
    consent.start(110.0, controlling=True)
    path = pair(110.5, 100.0)
    path.sent_at = 0.0
    # asked last just now, so that no request is due before
    consent.requested(110.75, path)
    assert consent.next_time(110.75, path) == 111.0
    assert consent.level(111.0, path) is Liveness.SILENT
    assert consent.next_time(111.0, path) > 111.0


def test_a_path_that_is_back_has_the_time_to_answer_before_it_is_doubted() -> None:
    """What ends an outage is often a request of the other end: our last answer is old then, the next on its way."""
    consent = Consent(SETTINGS, lambda: 0.5)
    path = pair(100.0, 88.0)
    assert consent.level(100.0, path) is Liveness.SILENT

    path.woke_at = 100.0
    assert consent.level(100.0, path) is Liveness.LIVE
    assert consent.next_time(100.0, path) <= 105.0
    path.heard_at = 104.9
    assert consent.level(104.9, path) is Liveness.LIVE
    assert consent.level(105.0, path) is Liveness.SILENT
