from dataclasses import replace
from typing import Any

import pytest

from rtcpeer.supervisor.policy import (
    TRANSITIONS,
    Action,
    Decision,
    DefaultPolicy,
    Observation,
    PeerState,
    PolicySettings,
    Reason,
)
from rtcpeer.values import DtlsTransportState, PeerConnectionState

C = PeerConnectionState
NOW = 1000.0


def see(**members: Any) -> Observation:
    return replace(Observation(now=NOW, connection=C.CONNECTED, was_connected=True), **members)


def trouble(connection: C, since: float = 0.0, **members: Any) -> Observation:
    """Trouble that began `since` seconds ago."""
    begun = {"unhealthy_since": NOW - since, "trouble_since": NOW - since}
    return see(connection=connection, **(begun | members))


def decide(seen: Observation, **settings: Any) -> Decision:
    return DefaultPolicy(PolicySettings(**settings)).decide(seen)


def waits(seen: Observation, seconds: float | None, **settings: Any) -> None:
    decision = decide(seen, **settings)
    assert decision.action == Action.WAIT
    if seconds is None:
        assert decision.at is None
    else:
        assert decision.at == pytest.approx(NOW + seconds)


@pytest.mark.parametrize(
    "seen",
    [
        see(),
        see(connection=C.CLOSED),
        see(connection=C.NEW, answered=False, was_connected=False),
        see(connection=C.CONNECTING, answered=False, was_connected=False, trouble_since=0.0),
        see(connection=C.CONNECTING, was_connected=False),
    ],
)
def test_nothing_to_do(seen: Observation) -> None:
    waits(seen, None)


def test_disconnected() -> None:
    quiet = {"quiet_since": NOW - 60}
    waits(trouble(C.DISCONNECTED, 1.0, **quiet), 1.5)
    assert decide(trouble(C.DISCONNECTED, 2.5, **quiet)) == Decision(Action.RESTART, Reason.NETWORK)
    # bytes arrived lately
    waits(trouble(C.DISCONNECTED, 2.5, quiet_since=NOW - 1), 2.0)
    # not our business yet
    waits(trouble(C.DISCONNECTED, 2.5, owner=False, **quiet), 2.5)
    assert decide(trouble(C.DISCONNECTED, 5, owner=False, **quiet)).action == Action.RESTART
    waits(trouble(C.DISCONNECTED, 1.0), 2.0)


def test_failed_after_having_been_connected() -> None:
    assert decide(trouble(C.FAILED)) == Decision(Action.RESTART, Reason.NETWORK)
    waits(trouble(C.FAILED, owner=False), 5.0)
    assert decide(trouble(C.FAILED, 5, owner=False)).action == Action.RESTART


def test_failed_and_never_connected() -> None:
    assert decide(trouble(C.FAILED, was_connected=False)) == Decision(Action.RECREATE, Reason.NETWORK)


def test_dtls_failed_is_never_mended_by_a_restart() -> None:
    seen = trouble(C.FAILED, dtls=DtlsTransportState.FAILED)
    assert decide(seen) == Decision(Action.RECREATE, Reason.DTLS)


def test_remote_closed() -> None:
    waits(see(remote_closed_at=NOW - 0.1), 0.4)
    assert decide(see(remote_closed_at=NOW - 0.5)) == Decision(Action.CLOSE, Reason.REMOTE_CLOSED)
    assert decide(trouble(C.FAILED, remote_closed_at=NOW - 9)).action == Action.CLOSE


def test_asked() -> None:
    assert decide(see(asked=Action.RESTART)) == Decision(Action.RESTART, Reason.API)
    seen = see(asked=Action.RECREATE, asked_reason=Reason.CREDENTIALS, answered=False)
    assert decide(seen) == Decision(Action.RECREATE, Reason.CREDENTIALS)


@pytest.mark.parametrize("connection", [C.CONNECTED, C.DISCONNECTED, C.FAILED, C.CONNECTING])
def test_network_change(connection: C) -> None:
    waits(see(connection=connection, network_changed_at=NOW - 0.2), 0.3)
    decision = decide(see(connection=connection, network_changed_at=NOW - 0.5))
    assert decision == Decision(Action.RESTART, Reason.NETWORK_CHANGE)


def test_an_attempt_has_its_time() -> None:
    seen = trouble(C.DISCONNECTED, 20, attempt=Action.RESTART, attempt_since=NOW - 10, attempts=1, restarts=1)
    waits(seen, 5.0)
    # then the next one waits for its back-off, counted from the end of this one
    waits(replace(seen, attempt_since=NOW - 15), 0.3)
    assert decide(replace(seen, attempt_since=NOW - 15.3)).action == Action.RESTART
    # the first connection has more
    waits(
        trouble(C.CONNECTING, 20, attempt=Action.RECREATE, attempt_since=NOW - 20, was_connected=False), 10.0
    )
    seen = trouble(C.CONNECTING, 31, attempt=Action.RECREATE, attempt_since=NOW - 31, was_connected=False)
    assert decide(seen).action == Action.RECREATE


@pytest.mark.parametrize(
    ("attempts", "jitter", "wait"),
    [(1, 1.0, 0.3), (2, 1.0, 1.2), (2, 0.0, 0.6), (3, 1.0, 2.7), (4, 0.5, 3.6), (5, 1.0, 7.0), (9, 1.0, 7.0)],
)
def test_back_off(attempts: int, jitter: float, wait: float) -> None:
    # whatever the state is now: the attempt has failed
    for connection in (C.DISCONNECTED, C.FAILED, C.CONNECTING, C.NEW):
        seen = trouble(connection, 10, attempts=attempts, attempt_ended=NOW, jitter=jitter)
        waits(seen, wait)
        assert decide(replace(seen, attempt_ended=NOW - wait)).action == Action.RESTART


def test_restarts_escalate_to_recreation() -> None:
    failed = {"attempts": 3, "attempt_ended": NOW - 99}
    assert decide(trouble(C.FAILED, 20, restarts=2, **failed)).action == Action.RESTART
    assert decide(trouble(C.FAILED, 20, restarts=3, **failed)) == Decision(Action.RECREATE, Reason.POLICY)
    assert decide(trouble(C.FAILED, 30, restarts=1, **failed)) == Decision(Action.RECREATE, Reason.POLICY)
    # the first attempt of a long silence is a restart all the same
    assert decide(trouble(C.FAILED, 31)).action == Action.RESTART


def test_give_up() -> None:
    failed = {"attempts": 5, "attempt_ended": NOW - 99, "restarts": 3}
    assert decide(trouble(C.FAILED, 60, recreates=4, **failed)).action == Action.RECREATE
    assert decide(trouble(C.FAILED, 60, recreates=5, **failed)) == Decision(Action.GIVE_UP, Reason.EXHAUSTED)
    assert decide(trouble(C.FAILED, 60, recreates=99, **failed), max_recreates=None).action == Action.RECREATE
    assert decide(trouble(C.FAILED, 120)) == Decision(Action.GIVE_UP, Reason.EXHAUSTED)
    assert decide(trouble(C.FAILED, 1e6), give_up_after=None).action == Action.RESTART
    # also in the middle of an attempt
    seen = trouble(C.CONNECTING, 119, attempt=Action.RESTART, attempt_since=NOW - 1, attempts=2)
    waits(seen, 1.0)


@pytest.mark.parametrize(
    ("wish", "can_restart", "can_recreate", "action"),
    [
        ("restart", True, True, Action.RESTART),
        ("restart", True, False, Action.RESTART),
        ("restart", False, True, Action.RECREATE),
        ("restart", False, False, Action.WAIT),
        ("recreate", True, True, Action.RECREATE),
        ("recreate", False, True, Action.RECREATE),
        ("recreate", True, False, Action.RESTART),
        ("recreate", False, False, Action.WAIT),
        ("dtls", True, True, Action.RECREATE),
        ("dtls", False, True, Action.RECREATE),
        # no restart mends DTLS: the other side may begin anew
        ("dtls", True, False, Action.WAIT),
        ("dtls", False, False, Action.WAIT),
    ],
)
def test_what_signaling_cannot_carry_is_replaced_by_what_it_can(
    wish: str, can_restart: bool, can_recreate: bool, action: Action
) -> None:
    members: dict[str, Any] = {"can_restart": can_restart, "can_recreate": can_recreate}
    if wish == "recreate":
        members["was_connected"] = False
    if wish == "dtls":
        members["dtls"] = DtlsTransportState.FAILED
    seen = trouble(C.FAILED, 20, **members)
    assert decide(seen).action == action
    # as long as it has to wait, the time to give up goes on
    if action == Action.WAIT:
        waits(seen, 100)


def test_after_one_attempt_a_long_trouble_is_met_by_a_recreation() -> None:
    seen = trouble(C.FAILED, 30, attempts=1, attempt_ended=NOW - 9, restarts=1)
    assert decide(seen) == Decision(Action.RECREATE, Reason.POLICY)
    assert decide(replace(seen, trouble_since=NOW - 29)).action == Action.RESTART


def test_a_loop_that_stood_still_gets_a_moment() -> None:
    seen = trouble(C.FAILED, 3, stalled_at=NOW - 0.4)
    waits(seen, 0.6)
    assert decide(replace(seen, stalled_at=NOW - 1)).action == Action.RESTART


def test_a_restart_on_a_healthy_path_is_abandoned_when_nobody_answers() -> None:
    seen = see(attempt=Action.RESTART, attempt_since=NOW - 14, attempts=1)
    waits(seen, 1.0)
    assert decide(replace(seen, attempt_since=NOW - 15)).action == Action.ABANDON
    assert decide(see(attempts=1)).action == Action.ABANDON  # it failed at once


def test_the_table_of_states_is_sound() -> None:
    assert set(TRANSITIONS) == set(PeerState)
    assert TRANSITIONS[PeerState.CLOSED] == {}
    for state, targets in TRANSITIONS.items():
        assert state not in targets
        assert all(targets.values())
        if state != PeerState.CLOSED:
            assert PeerState.CLOSED in targets


def test_repr() -> None:
    assert "disconnected_wait=2.5" in repr(DefaultPolicy())


ENDED = {"signaling_ended": True}
GIVES_UP = Decision(Action.GIVE_UP, Reason.SIGNALING_ENDED)


def test_signaling_that_has_ended() -> None:
    new = see(connection=C.NEW, answered=False, was_connected=False, described=False, **ENDED)
    assert decide(new) == Decision(Action.CLOSE, Reason.SIGNALING_ENDED)
    assert decide(replace(new, asked=Action.RECREATE)) == Decision(Action.CLOSE, Reason.SIGNALING_ENDED)
    # the connection that there is may live on, and nothing is begun for it
    waits(see(**ENDED), None)
    waits(see(network_changed_at=NOW - 60, asked=Action.RESTART, undecrypted_since=0.0, **ENDED), None)
    waits(trouble(C.DISCONNECTED, 100.0, quiet_since=NOW - 60, **ENDED), 20.0)
    waits(trouble(C.DISCONNECTED, 100.0, **ENDED), None, give_up_after=None)
    assert decide(trouble(C.FAILED, **ENDED), give_up_after=None) == GIVES_UP
    assert decide(trouble(C.CONNECTED, dtls=DtlsTransportState.FAILED, **ENDED)).action == Action.WAIT
    assert decide(trouble(C.CONNECTING, dtls=DtlsTransportState.FAILED, **ENDED)) == GIVES_UP
    # a new connection that nobody can be told of
    assert decide(trouble(C.NEW, described=False, attempt=Action.RECREATE, **ENDED)) == GIVES_UP
    # a path that may yet be found
    under_way = trouble(
        C.CONNECTING, 4.0, attempt=Action.RECREATE, attempt_since=NOW - 4, was_connected=False, **ENDED
    )
    waits(under_way, 26.0)
    assert decide(replace(under_way, attempt_since=NOW - 30)) == GIVES_UP
    waits(see(attempt=Action.RESTART, attempts=1, attempt_since=NOW - 5, **ENDED), 10.0)
    closed = see(remote_closed_at=NOW - 1, **ENDED)
    assert decide(closed) == Decision(Action.CLOSE, Reason.REMOTE_CLOSED)


def test_media_that_cannot_be_decrypted() -> None:
    anew = Decision(Action.RECREATE, Reason.MEDIA)
    waits(see(undecrypted_since=NOW - 1), 4.0)
    assert decide(see(undecrypted_since=NOW - 5)) == anew
    # a new connection that is no better is not made again at once
    waits(see(undecrypted_since=NOW - 5, attempt_ended=NOW - 6), 9.0)
    assert decide(see(undecrypted_since=NOW - 5, attempt_ended=NOW - 15)) == anew
    waits(see(undecrypted_since=NOW - 5, can_recreate=False), None)
    waits(see(undecrypted_since=NOW - 5, held_until=NOW + 7), 7.0)
    assert decide(trouble(C.FAILED, undecrypted_since=NOW - 50)) == Decision(Action.RESTART, Reason.NETWORK)
