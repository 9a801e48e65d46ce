"""The book of one episode of trouble: times that policies are asked with."""

import pytest

from rtcpeer.supervisor.policy import Action, Reason
from rtcpeer.supervisor.recovery import RecoveryRecord
from rtcpeer.values import PeerConnectionState

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
