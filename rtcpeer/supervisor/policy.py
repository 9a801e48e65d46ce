"""Recovery policy: states and times in, the next action out. Pure.

Owns: the table of decisions and its numbers. Never: asyncio, a clock, chance (the jitter is drawn by the
caller and handed in), a change of anything.

The rules, in the order in which they are asked (the first that applies decides):

    the first that applies                                         action
    -------------------------------------------------------------  ----------------------------------------------
    closed, or nobody has answered yet                             wait
    the remote side closed cleanly                                 close, unless it begins anew within a grace
                                                                   time
    signaling has ended                                            close if nobody has answered; wait while the
                                                                   connection may live; else give up
    the signaling service said no for good, and not connected      give up
    the application asked for a restart or a recreation            that
    own addresses changed                                          restart, debounced
    connected                                                      wait; abandon a restart that nobody answers
    connected, and media that arrive cannot be decrypted           recreate: only DTLS makes new keys
    trouble for too long, or too many recreations                  give up
    the loop itself stood still                                    wait until packets had a chance to be read
    an attempt is under way                                        wait for it
    DTLS failed                                                    recreate
    failed, and this connection never connected                    recreate (with fresh servers)
    failed, and it was connected                                   restart (recreate when restarts have failed)
    disconnected for a while, and no bytes                         restart, if we own restarts; else twice as late

What the signaling channel cannot carry is replaced by what it can: a restart by a recreation and the reverse; where
neither is possible the other side has to begin, until it is time to give up. No attempt begins before the signaling
service takes one.

Each attempt waits for its back-off. `docs/staying-connected.md` shows the diagram that is made of
`TRANSITIONS`.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, Protocol

from rtcpeer.records import record
from rtcpeer.values import DtlsTransportState, PeerConnectionState


class PeerState(StrEnum):
    """The state of a supervised peer."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RESUMING = "resuming"
    RECREATING = "recreating"
    FAILED = "failed"
    CLOSED = "closed"


# from -> to, and because of what: the source of the state diagram, and what `tests` hold the life cycle to
TRANSITIONS: Final[dict[PeerState, dict[PeerState, str]]] = {
    PeerState.NEW: {
        PeerState.CONNECTING: "the other side answers",
        PeerState.RECREATING: "asked for",
        PeerState.CLOSED: "close(), or signaling has ended",
    },
    PeerState.CONNECTING: {
        PeerState.CONNECTED: "a path is found",
        PeerState.RESUMING: "own addresses changed, or asked for",
        PeerState.RECREATING: "failed without having been connected",
        PeerState.FAILED: "gave up",
        PeerState.CLOSED: "close(), or closed by the other side",
    },
    PeerState.CONNECTED: {
        PeerState.DISCONNECTED: "nothing arrives",
        PeerState.RESUMING: "own addresses changed, credentials expire, or asked for",
        PeerState.RECREATING: "DTLS failed, media cannot be decrypted, the other side began anew, or asked for",
        PeerState.CLOSED: "close(), or closed by the other side",
    },
    PeerState.DISCONNECTED: {
        PeerState.CONNECTED: "something arrives again",
        PeerState.RESUMING: "restart of ICE, by either side",
        PeerState.RECREATING: "the other side began anew, DTLS failed, or asked for",
        PeerState.FAILED: "gave up",
        PeerState.CLOSED: "close(), or closed by the other side",
    },
    PeerState.RESUMING: {
        PeerState.CONNECTED: "a path is found",
        PeerState.RECREATING: "restarts have failed, or the other side began anew",
        PeerState.FAILED: "gave up",
        PeerState.CLOSED: "close(), or closed by the other side",
    },
    PeerState.RECREATING: {
        PeerState.CONNECTED: "a path is found",
        PeerState.RESUMING: "own addresses changed, or the other side restarts",
        PeerState.FAILED: "gave up",
        PeerState.CLOSED: "close(), closed by the other side, or signaling has ended",
    },
    PeerState.FAILED: {PeerState.CLOSED: "close()"},
    PeerState.CLOSED: {},
}


class Action(StrEnum):
    """The actions that a policy can decide on."""

    WAIT = "wait"
    RESTART = "restart"
    RECREATE = "recreate"
    ABANDON = "abandon"  # a restart that was not needed to stay connected, and that nobody answers
    CLOSE = "close"
    GIVE_UP = "give-up"


class Reason(StrEnum):
    """Why something was done; on every transition."""

    START = "start"
    NETWORK = "network"  # the path has died
    NETWORK_CHANGE = "network-change"  # our addresses are others
    CREDENTIALS = "credentials"
    POLICY = "policy"  # restarts have failed
    DTLS = "dtls"
    MEDIA = "media"  # what arrives cannot be decrypted
    SIGNALING_ENDED = "signaling-ended"  # nothing can be told to anybody
    API = "api"
    REMOTE = "remote"  # the other side did it first
    REMOTE_CLOSED = "remote-closed"
    RECOVERED = "recovered"
    EXHAUSTED = "exhausted"
    SIGNALING_REFUSED = "signaling-refused"  # the signaling service said no, for good


@record(frozen=True, slots=True)
class PolicySettings:
    """The numbers of the default policy, in seconds where they are times.

    Attributes:
        disconnected_wait: how long `disconnected` lasts before the owner of restarts restarts; the other side
            waits twice that.
        quiet_wait: for how long nothing must have arrived as well.
        network_change_wait: quiet time after the last change of addresses.
        remote_close_grace: how long after a clean close of the other side it may begin anew.
        connect_timeout: how long the first connection of a generation may take from the other side's answer
            on.
        attempt_timeout: how long a restart or recreation may take.
        waits: before attempt 1, 2, ...; the last one repeats.
        jitter_from: the first attempt (from 1) whose wait is drawn from half to all of its value.
        max_restarts: failed restarts before a recreation.
        restart_time: trouble that lasts longer is met by recreations only.
        max_recreates: recreations before giving up; None: without end.
        give_up_after: trouble that lasts longer ends it; None: never.
        stall_wait: how long to wait after the event loop stood still.
        media_wait: for how long media that arrive on a connected connection cannot be decrypted before it is made
            anew.
        media_interval: how long after a recovery that is done again at the earliest.
    """

    disconnected_wait: float = 2.5
    quiet_wait: float = 3.0
    network_change_wait: float = 0.5
    remote_close_grace: float = 0.5
    connect_timeout: float = 30.0
    attempt_timeout: float = 15.0
    waits: tuple[float, ...] = (0.0, 0.3, 1.2, 2.7, 4.8, 7.0)
    jitter_from: int = 3
    max_restarts: int = 3
    restart_time: float = 30.0
    max_recreates: int | None = 5
    give_up_after: float | None = 120.0
    stall_wait: float = 1.0
    media_wait: float = 5.0
    media_interval: float = 15.0


@record(frozen=True, slots=True)
class Observation:
    """Everything a policy may know. Times are on the caller's clock; None: it has not happened.

    Attributes:
        now: the present.
        connection: of the present connection.
        dtls: the worst state of its DTLS transports; None when there is none.
        answered: whether the other side has ever said something on this generation or an earlier one.
        was_connected: whether the present generation has been connected.
        owner: whether we own restarts.
        unhealthy_since: since when the connection is disconnected or failed.
        quiet_since: when the last bytes arrived, if that is known.
        trouble_since: when this episode began; it ends with `connected`.
        remote_closed_at: when the other side closed.
        network_changed_at: when own addresses changed last, if nothing was done about it yet.
        stalled_at: when the event loop was found to have stood still.
        asked: what the application asked for.
        asked_reason: why.
        attempt: the attempt under way; None when none is. CLOSE and GIVE_UP never stand here.
        attempt_since: when it began.
        attempt_ended: when the attempt before ended; a caller that sees one fail ends it.
        attempts: how many attempts there were in this episode.
        restarts: how many of them were restarts of the present generation.
        recreates: how many were recreations.
        jitter: a number in 0..1, drawn once for the next attempt.
        can_restart: whether the signaling channel can carry a restart, or ask for one.
        can_recreate: whether this side can begin a new connection; it cannot where the other side makes all offers.
        refused: whether the signaling service has said no, for good.
        signaling_ended: whether the signaling channel has ended.
        described: whether the connection in force has a description of the other side.
        undecrypted_since: since when media that arrive cannot be decrypted.
        held_until: no attempt before this: the signaling service said so.
    """

    now: float
    connection: PeerConnectionState
    dtls: DtlsTransportState | None = None
    answered: bool = True
    was_connected: bool = False
    owner: bool = True
    unhealthy_since: float | None = None
    quiet_since: float | None = None
    trouble_since: float | None = None
    remote_closed_at: float | None = None
    network_changed_at: float | None = None
    stalled_at: float | None = None
    asked: Action | None = None
    asked_reason: Reason = Reason.API
    attempt: Action | None = None
    attempt_since: float = -math.inf
    attempt_ended: float = -math.inf
    attempts: int = 0
    restarts: int = 0
    recreates: int = 0
    jitter: float = 1.0
    can_restart: bool = True
    can_recreate: bool = True
    refused: bool = False
    signaling_ended: bool = False
    described: bool = True
    undecrypted_since: float | None = None
    held_until: float = -math.inf


@record(frozen=True, slots=True)
class Decision:
    """A decision: the action to take now; for WAIT, when to ask again (None: when something happens)."""

    action: Action
    reason: Reason | None = None
    at: float | None = None


class Policy(Protocol):
    """Decides what a supervised peer does. Write a policy of your own, or give other numbers to `DefaultPolicy`."""

    def decide(self, seen: Observation) -> Decision:
        """Decide. Called whenever something has changed, and at the time that the decision before named."""
        ...


WAIT: Final = Decision(Action.WAIT)


class DefaultPolicy:
    """The table at the head of the module.

    Args:
        settings: its numbers.
    """

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self.settings: PolicySettings = settings or PolicySettings()

    def __repr__(self) -> str:
        return f"DefaultPolicy({self.settings!r})"

    def decide(self, seen: Observation) -> Decision:
        """Decide by the table at the head of the module."""
        s = self.settings
        if seen.connection == PeerConnectionState.CLOSED:
            return WAIT
        if seen.remote_closed_at is not None:
            due = seen.remote_closed_at + s.remote_close_grace
            return _at(seen, due, Decision(Action.CLOSE, Reason.REMOTE_CLOSED))
        if seen.signaling_ended:
            return self._without_signaling(seen)
        if seen.refused and seen.connection != PeerConnectionState.CONNECTED:
            return Decision(Action.GIVE_UP, Reason.SIGNALING_REFUSED)
        if seen.asked is not None:
            return Decision(seen.asked, seen.asked_reason)
        if not seen.answered:
            return WAIT
        changed = self._network_change(seen)
        if changed is not None:
            return changed
        if seen.connection == PeerConnectionState.CONNECTED:
            return self._while_connected(seen)
        return _earliest(self._give_up(seen), self._recover(seen))

    def _while_connected(self, seen: Observation) -> Decision:
        s = self.settings
        if seen.attempt is not None:
            return _at(seen, self._attempt_ends(seen), Decision(Action.ABANDON, Reason.POLICY))
        if seen.attempts:  # one that failed at once, without harm, needs no second one
            return Decision(Action.ABANDON, Reason.POLICY)
        if seen.undecrypted_since is None or not seen.can_recreate or seen.signaling_ended or seen.refused:
            return WAIT
        due = max(seen.undecrypted_since + s.media_wait, seen.attempt_ended + s.media_interval)
        return _at(seen, max(due, seen.held_until), Decision(Action.RECREATE, Reason.MEDIA))

    def _without_signaling(self, seen: Observation) -> Decision:
        """Decide while signaling has ended, and nobody can be told anything: what there is may live on."""
        ended = Decision(Action.GIVE_UP, Reason.SIGNALING_ENDED)
        if not seen.answered:
            return Decision(Action.CLOSE, Reason.SIGNALING_ENDED)
        if seen.connection == PeerConnectionState.CONNECTED:
            return self._while_connected(seen)
        if (
            not seen.described
            or seen.connection == PeerConnectionState.FAILED
            or seen.dtls == DtlsTransportState.FAILED
        ):
            return ended
        if seen.attempt is not None:
            return _earliest(self._give_up(seen), _at(seen, self._attempt_ends(seen), ended))
        return self._give_up(seen)

    def _network_change(self, seen: Observation) -> Decision | None:
        if seen.network_changed_at is None or seen.refused or not seen.can_restart:
            return None
        due = seen.network_changed_at + self.settings.network_change_wait
        if seen.now < due:
            # what else is due may not be delayed by it: the restart that comes anyway serves both
            return Decision(Action.WAIT, at=due)
        return Decision(Action.RESTART, Reason.NETWORK_CHANGE)

    def _give_up(self, seen: Observation) -> Decision:
        """GIVE_UP, or a wait until then."""
        s = self.settings
        if seen.trouble_since is None or s.give_up_after is None:
            return WAIT
        due = seen.trouble_since + s.give_up_after
        return _at(seen, due, Decision(Action.GIVE_UP, Reason.EXHAUSTED))

    def _recover(self, seen: Observation) -> Decision:
        s = self.settings
        if seen.stalled_at is not None and seen.now < seen.stalled_at + s.stall_wait:
            return Decision(Action.WAIT, at=seen.stalled_at + s.stall_wait)
        ended = seen.attempt_ended
        start = self._trouble_starts(seen)
        if seen.attempt is not None:
            ended = self._attempt_ends(seen)
            if seen.now < ended:
                return Decision(Action.WAIT, at=ended)
            start = ended
        if start is None:
            return WAIT
        return self._next_attempt(seen, start, ended)

    def _attempt_ends(self, seen: Observation) -> float:
        first = seen.attempts == 0
        return seen.attempt_since + (
            self.settings.connect_timeout if first else self.settings.attempt_timeout
        )

    def _trouble_starts(self, seen: Observation) -> float | None:
        """From when on the present state asks for an attempt; None if it does not."""
        s = self.settings
        since = seen.unhealthy_since if seen.unhealthy_since is not None else seen.now
        wait = s.disconnected_wait * (1.0 if seen.owner else 2.0)
        if seen.attempts > 0 or seen.dtls == DtlsTransportState.FAILED:
            return -math.inf
        if seen.connection == PeerConnectionState.FAILED:
            # the other side sees it too, and one restart is enough
            return since if seen.owner else since + wait
        if seen.connection == PeerConnectionState.DISCONNECTED:
            quiet = seen.quiet_since if seen.quiet_since is not None else since
            return max(since + wait, quiet + s.quiet_wait)
        return None

    def _next_attempt(self, seen: Observation, due: float, ended: float) -> Decision:
        s = self.settings
        action, reason = self._choose(seen)
        if action == Action.RESTART and not seen.can_restart:
            action = Action.RECREATE
        if action == Action.RECREATE and not seen.can_recreate:
            if not seen.can_restart or seen.dtls == DtlsTransportState.FAILED:
                return WAIT  # the other side may begin anew; the time to give up goes on
            action = Action.RESTART
        if action == Action.RECREATE and s.max_recreates is not None and seen.recreates >= s.max_recreates:
            return Decision(Action.GIVE_UP, Reason.EXHAUSTED)
        wait = s.waits[min(seen.attempts, len(s.waits) - 1)]
        if seen.attempts + 1 >= s.jitter_from:
            wait *= 0.5 + 0.5 * seen.jitter
        if seen.attempts:
            due = max(due, ended + wait)
        due = max(due, seen.held_until)
        return _at(seen, due, Decision(action, reason))

    def _choose(self, seen: Observation) -> tuple[Action, Reason]:
        s = self.settings
        if seen.dtls == DtlsTransportState.FAILED:
            return Action.RECREATE, Reason.DTLS
        if not seen.was_connected:
            return Action.RECREATE, Reason.NETWORK
        long = seen.trouble_since is not None and seen.now - seen.trouble_since >= s.restart_time
        if seen.restarts >= s.max_restarts or (long and seen.attempts > 0):
            return Action.RECREATE, Reason.POLICY
        return Action.RESTART, Reason.NETWORK


def _at(seen: Observation, due: float, decision: Decision) -> Decision:
    return decision if seen.now >= due else Decision(Action.WAIT, at=due)


def _earliest(first: Decision, second: Decision) -> Decision:
    """The earlier of two decisions: the one that acts; of two waits the shorter one."""
    if first.action != Action.WAIT:
        return first
    if second.action != Action.WAIT:
        return second
    times = [d.at for d in (first, second) if d.at is not None]
    return Decision(Action.WAIT, at=min(times)) if times else WAIT
