"""The book of one episode of trouble: times that policies are asked with."""

import math
from dataclasses import replace

import pytest

from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.capabilities import DEFAULT_CAPABILITIES
from rtcpeer.supervisor.policy import Action, Reason
from rtcpeer.supervisor.recovery import Attempt, RecoveryRecord
from rtcpeer.values import DtlsTransportState, PeerConnectionState

C = PeerConnectionState
NOW = 1000.0


def record() -> RecoveryRecord:
    return RecoveryRecord(owner=True, draw=lambda: 0.5)


def test_silence_began_before_the_connection_was_called_disconnected() -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 100, negotiated=True)
    book.state(C.DISCONNECTED, NOW, negotiated=True)
    seen = book.observation(NOW + 1)
    assert (seen.unhealthy_since, seen.trouble_since) == (NOW, NOW)
    assert seen.quiet_since == NOW - 5  # that is how long nothing had arrived
    book.state(C.FAILED, NOW + 20, negotiated=True)
    assert book.observation(NOW + 21).quiet_since == NOW - 5


@pytest.mark.parametrize(("lost", "expected"), [(0.5, NOW - 1.5), (2.0, NOW), (50.0, NOW)])
def test_a_stall_moves_no_time_into_the_future(lost: float, expected: float) -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 100, negotiated=True)
    book.state(C.DISCONNECTED, NOW - 2, negotiated=True)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 2)
    book.remote_closed_at = book.undecrypted_since = NOW - 2
    book.stalled(lost, NOW)
    seen = book.observation(NOW)
    assert seen.stalled_at == NOW
    for since in (
        seen.unhealthy_since,
        seen.trouble_since,
        seen.remote_closed_at,
        seen.undecrypted_since,
        seen.attempt_since,
    ):
        assert since == expected
    assert seen.quiet_since == min(NOW, NOW - 7 + lost)


def test_a_new_connection_begins_with_nothing_against_it() -> None:
    book = record()
    book.state(C.CONNECTED, NOW, negotiated=True)
    book.described, book.undecrypted_since, book.restart_refused = True, NOW, True
    book.state(C.DISCONNECTED, NOW, negotiated=True)
    book.begin(Action.RECREATE, Reason.MEDIA, 1, NOW)
    book.new_generation()
    seen = book.observation(NOW)
    assert (seen.described, seen.undecrypted_since, seen.unhealthy_since, seen.quiet_since) == (
        False,
        None,
        None,
        None,
    )
    assert (seen.was_connected, seen.can_restart, seen.attempts) == (False, True, 1)
    assert seen.trouble_since == NOW  # the episode goes on


def test_a_new_record_has_nothing_to_say() -> None:
    seen = record().observation(NOW)
    assert (seen.now, seen.connection, seen.dtls, seen.owner, seen.jitter) == (NOW, C.NEW, None, True, 0.5)
    assert not any((seen.answered, seen.was_connected, seen.refused, seen.signaling_ended, seen.described))
    assert (seen.attempt, seen.attempts, seen.restarts, seen.recreates) == (None, 0, 0, 0)
    assert seen.attempt_since == seen.attempt_ended == seen.held_until == -math.inf
    assert (seen.asked, seen.asked_reason) == (None, Reason.API)
    assert (seen.can_restart, seen.can_recreate) == (True, True)
    times = (
        seen.unhealthy_since,
        seen.quiet_since,
        seen.trouble_since,
        seen.remote_closed_at,
        seen.network_changed_at,
        seen.stalled_at,
        seen.undecrypted_since,
    )
    assert set(times) == {None}


def test_what_is_noted_is_what_a_policy_sees() -> None:
    book = RecoveryRecord(owner=False, draw=lambda: 0.25)
    book.dtls = DtlsTransportState.FAILED
    book.remote_closed_at, book.network_changed_at, book.stalled_at = NOW - 1, NOW - 2, NOW - 3
    book.asked, book.asked_reason = Action.RECREATE, Reason.CREDENTIALS
    book.refused, book.signaling_ended, book.described = SignalingRefused("no"), True, True
    book.undecrypted_since, book.held_until = NOW - 4, NOW + 5
    seen = book.observation(NOW)
    assert (seen.owner, seen.dtls, seen.jitter) == (False, DtlsTransportState.FAILED, 0.25)
    assert (seen.remote_closed_at, seen.network_changed_at, seen.stalled_at) == (NOW - 1, NOW - 2, NOW - 3)
    assert (seen.asked, seen.asked_reason) == (Action.RECREATE, Reason.CREDENTIALS)
    assert (seen.refused, seen.signaling_ended, seen.described) == (True, True, True)
    assert (seen.undecrypted_since, seen.held_until) == (NOW - 4, NOW + 5)


@pytest.mark.parametrize(
    ("capabilities", "refused", "can_restart", "can_recreate"),
    [
        ({}, False, True, True),
        ({}, True, False, True),
        ({"restart": "no"}, False, False, True),
        ({"offers": "remote"}, False, True, False),
    ],
)
def test_what_signaling_can_carry(capabilities, refused, can_restart, can_recreate) -> None:
    book = record()
    book.capabilities = replace(DEFAULT_CAPABILITIES, **capabilities)
    book.restart_refused = refused
    seen = book.observation(NOW)
    assert (seen.can_restart, seen.can_recreate) == (can_restart, can_recreate)


def test_the_first_answer_begins_the_first_attempt() -> None:
    book = record()
    book.answer(NOW, 3)
    book.answer(NOW + 5, 4)
    assert book.attempt == Attempt(Action.RECREATE, Reason.START, 3, NOW)
    seen = book.observation(NOW + 6)
    assert (seen.answered, seen.trouble_since, seen.attempt, seen.attempt_since) == (
        True,
        NOW,
        Action.RECREATE,
        NOW,
    )
    # to connect for the first time mends nothing
    assert (seen.attempts, seen.recreates) == (0, 0)


def test_attempts_are_counted_by_who_made_them_and_how() -> None:
    book = record()
    for action, remote in (
        (Action.RESTART, False),
        (Action.RESTART, True),
        (Action.RECREATE, False),
        (Action.RECREATE, True),
        (Action.RECREATE, False),
        (Action.RECREATE, False),
        (Action.RESTART, False),
        (Action.RESTART, False),
    ):
        book.begin(action, Reason.NETWORK, 1, NOW, remote=remote)
    seen = book.observation(NOW)
    assert (seen.attempts, seen.restarts, seen.recreates) == (8, 3, 3)


def test_an_attempt_answers_what_was_asked_for() -> None:
    drawn = iter((0.1, 0.2))
    book = RecoveryRecord(owner=True, draw=lambda: next(drawn))
    book.asked, book.network_changed_at = Action.RESTART, NOW - 1
    assert book.observation(NOW).jitter == 0.1
    attempt = book.begin(Action.RESTART, Reason.API, 7, NOW)
    assert attempt == Attempt(Action.RESTART, Reason.API, 7, NOW)
    assert book.attempts == [attempt]
    seen = book.observation(NOW)
    assert (seen.asked, seen.network_changed_at, seen.trouble_since, seen.jitter) == (None, None, NOW, 0.2)


def test_an_attempt_that_failed_at_once_keeps_its_error() -> None:
    book = record()
    book.end_attempt(NOW)
    assert book.attempt_ended == -math.inf
    book.begin(Action.RESTART, Reason.NETWORK, 2, NOW, remote=True)
    error = OSError("no way")
    book.end_attempt(NOW + 1, error)
    assert book.attempt is None
    assert book.attempt_ended == NOW + 1
    assert book.attempts == [Attempt(Action.RESTART, Reason.NETWORK, 2, NOW, True, error)]
    assert str(book.attempts[0]) == "restart (generation 2, network): no way"
    book.begin(Action.RECREATE, Reason.POLICY, 2, NOW + 2)
    book.end_attempt(NOW + 3)
    assert [attempt.error for attempt in book.attempts] == [error, None]
    assert str(book.attempts[1]) == "recreate (generation 2, policy)"
    book.begin(Action.RECREATE, Reason.POLICY, 2, NOW + 4)
    book.end_attempt(NOW + 5, error)
    assert [attempt.error for attempt in book.attempts] == [error, None, error]


def test_the_error_of_the_first_attempt_is_none_of_the_episode() -> None:
    book = record()
    book.answer(NOW, 1)
    book.end_attempt(NOW + 1, OSError("no way"))
    assert (book.attempt, book.attempts, book.attempt_ended) == (None, [], NOW + 1)


def mended(book: RecoveryRecord) -> bool:
    seen = book.observation(NOW)
    return seen.trouble_since is None and seen.attempt is None and seen.attempts == seen.restarts == 0


def test_connected_ends_an_episode() -> None:
    book = record()
    book.answer(NOW - 9, 1)
    assert not book.state(C.CONNECTING, NOW - 8, negotiated=False)
    assert book.state(C.CONNECTED, NOW - 7, negotiated=False)
    assert mended(book)
    assert (book.was_connected, book.attempt_ended) == (True, NOW - 7)
    # and is no news while there is none
    assert not book.state(C.CONNECTED, NOW - 6, negotiated=False)
    assert book.attempt_ended == NOW - 7

    assert not book.state(C.DISCONNECTED, NOW - 5, negotiated=False)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 4)
    assert book.state(C.CONNECTED, NOW - 3, negotiated=False)
    assert mended(book)
    assert (book.unhealthy_since, book.quiet_since, book.attempt_ended) == (None, None, NOW - 3)


def test_trouble_that_passes_by_itself_is_over() -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 9, negotiated=False)
    book.state(C.DISCONNECTED, NOW - 5, negotiated=False)
    assert book.state(C.CONNECTED, NOW - 3, negotiated=False)
    assert mended(book)


@pytest.mark.parametrize("negotiated", [False, True])
def test_a_restart_of_a_healthy_connection_is_over_when_it_was_answered(negotiated: bool) -> None:
    """The connection stays connected meanwhile: only new credentials tell that the restart has happened."""
    book = record()
    book.state(C.CONNECTED, NOW - 9, negotiated=True)
    book.begin(Action.RESTART, Reason.NETWORK_CHANGE, 1, NOW - 2)
    assert book.state(C.CONNECTED, NOW - 1, negotiated=negotiated) is negotiated
    assert mended(book) is negotiated
    if not negotiated:
        assert book.state(C.CONNECTED, NOW, negotiated=True)
    # the next one begins from what is so then
    book.state(C.DISCONNECTED, NOW, negotiated=False)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW)
    assert book.state(C.CONNECTED, NOW, negotiated=False)


def test_a_healthy_connection_without_an_attempt_under_way_is_mended() -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 9, negotiated=True)
    book.begin(Action.RESTART, Reason.NETWORK_CHANGE, 1, NOW - 2)
    book.end_attempt(NOW - 1, OSError("no way"))
    assert book.state(C.CONNECTED, NOW, negotiated=False)
    assert mended(book)


@pytest.mark.parametrize("connection", [C.DISCONNECTED, C.FAILED])
def test_trouble_begins_once(connection: PeerConnectionState) -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 50, negotiated=False)
    assert not book.state(connection, NOW - 20, negotiated=False)
    book.quiet_since = NOW - 10
    assert not book.state(connection, NOW - 5, negotiated=False)
    assert not book.state(C.FAILED, NOW, negotiated=False)
    assert (book.unhealthy_since, book.trouble_since, book.quiet_since) == (NOW - 20, NOW - 20, NOW - 10)


def test_an_attempt_has_failed_when_the_connection_fails_again() -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 50, negotiated=False)
    book.state(C.FAILED, NOW - 20, negotiated=False)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 19)
    # as long as it only is what it was, the restart goes on
    book.state(C.FAILED, NOW - 18, negotiated=False)
    assert book.attempt is not None
    book.state(C.CONNECTING, NOW - 17, negotiated=True)
    book.state(C.CONNECTING, NOW - 16, negotiated=True)
    assert book.attempt is not None
    book.state(C.DISCONNECTED, NOW - 12, negotiated=True)
    assert book.attempt is not None
    book.state(C.FAILED, NOW - 10, negotiated=True)
    assert (book.attempt, book.attempt_ended) == (None, NOW - 10)
    book.state(C.FAILED, NOW - 5, negotiated=True)
    assert book.attempt_ended == NOW - 10


def test_a_restart_of_what_is_disconnected_goes_on_when_that_fails_at_first() -> None:
    book = record()
    book.state(C.CONNECTED, NOW - 50, negotiated=False)
    book.state(C.DISCONNECTED, NOW - 20, negotiated=False)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 19)
    book.state(C.FAILED, NOW - 10, negotiated=False)
    assert book.attempt is not None


def test_a_new_connection_that_fails_has_failed_at_once() -> None:
    book = record()
    book.state(C.FAILED, NOW - 20, negotiated=False)
    book.begin(Action.RECREATE, Reason.NETWORK, 1, NOW - 19)
    book.new_generation()
    book.state(C.FAILED, NOW - 10, negotiated=True)
    assert (book.attempt, book.attempt_ended) == (None, NOW - 10)


def test_an_episode_that_is_over_leaves_nothing_to_the_next() -> None:
    book = record()
    book.begin(Action.RECREATE, Reason.NETWORK, 1, NOW - 19)
    book.recovered(NOW - 15)
    book.state(C.CONNECTED, NOW - 15, negotiated=False)
    book.state(C.DISCONNECTED, NOW - 12, negotiated=False)
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 11)
    book.state(C.FAILED, NOW - 10, negotiated=False)
    assert book.attempt is not None


def test_a_stall_moves_the_attempt_under_way_and_none_that_is_over() -> None:
    book = record()
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW - 9)
    book.end_attempt(NOW - 8, OSError("no way"))
    book.begin(Action.RECREATE, Reason.POLICY, 2, NOW - 3, remote=True)
    book.stalled(2.0, NOW)
    assert [attempt.began for attempt in book.attempts] == [NOW - 9, NOW - 1]
    assert book.attempts[1] == book.attempt == Attempt(Action.RECREATE, Reason.POLICY, 2, NOW - 1, True)
    book.end_attempt(NOW)
    book.stalled(2.0, NOW)
    assert [attempt.began for attempt in book.attempts] == [NOW - 9, NOW - 1]


def test_a_stall_moves_the_first_attempt_too() -> None:
    book = record()
    book.answer(NOW - 9, 1)
    book.stalled(2.0, NOW)
    assert (book.attempt, book.attempts) == (Attempt(Action.RECREATE, Reason.START, 1, NOW - 7), [])
    assert book.remote_closed_at is book.undecrypted_since is book.unhealthy_since is None


def test_a_new_connection_is_new() -> None:
    book = record()
    book.state(C.CONNECTED, NOW, negotiated=True)
    book.dtls = DtlsTransportState.FAILED
    book.remote_closed_at = book.network_changed_at = NOW
    book.begin(Action.RESTART, Reason.NETWORK, 1, NOW)
    book.new_generation()
    seen = book.observation(NOW)
    assert (seen.connection, seen.dtls, seen.was_connected, seen.restarts) == (C.NEW, None, False, 0)
    assert seen.remote_closed_at is seen.network_changed_at is None
    assert seen.attempts == 1
