"""Recovery record: facts about one generation and its attempts, from which the policy's observations are made.

Owns: since when what is so, and which attempts were made. Never: a clock (`now` is an argument), asyncio.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rtcpeer.errors import SignalingRefused
from rtcpeer.records import record
from rtcpeer.signaling.capabilities import DEFAULT_CAPABILITIES, ChannelCapabilities
from rtcpeer.supervisor.policy import Action, Observation, Reason
from rtcpeer.values import DtlsTransportState, PeerConnectionState

# how long nothing has arrived when a connection becomes "disconnected" (pion's number, and ours: 5 s)
_SILENCE_BEFORE = 5.0


@record(frozen=True, slots=True)
class Attempt:
    """One attempt to mend a connection, within an episode of trouble.

    Attributes:
        action: RESTART or RECREATE.
        reason: why.
        generation: the generation it belongs to.
        began: loop time.
        remote: whether the other side began it.
        error: what it failed with at once, if it did.
    """

    action: Action
    reason: Reason
    generation: int
    began: float
    remote: bool = False
    error: Exception | None = None

    def __str__(self) -> str:
        told = f"{self.action} (generation {self.generation}, {self.reason})"
        return f"{told}: {self.error}" if self.error is not None else told


class RecoveryRecord:
    """The facts from which the observations of a policy are made.

    Args:
        owner: whether we own restarts.
        draw: a random number in 0..1.
    """

    def __init__(self, *, owner: bool, draw: Callable[[], float]) -> None:
        self.owner = owner
        self._draw = draw
        self.connection: PeerConnectionState = PeerConnectionState.NEW
        self.dtls: DtlsTransportState | None = None
        self.answered: bool = False
        self.was_connected: bool = False
        self.asked: Action | None = None
        self.asked_reason: Reason = Reason.API
        self.unhealthy_since: float | None = None
        self.quiet_since: float | None = None
        self.trouble_since: float | None = None
        self.remote_closed_at: float | None = None
        self.network_changed_at: float | None = None
        self.stalled_at: float | None = None
        self.capabilities: ChannelCapabilities = DEFAULT_CAPABILITIES  # of the signaling channel
        self.refused: SignalingRefused | None = None  # the signaling service's last word
        self.restart_refused: bool = False  # ... this generation's restart
        self.signaling_ended: bool = False
        self.described: bool = False  # the connection in force has a remote description
        self.undecrypted_since: float | None = None  # since when media that arrive cannot be decrypted
        self.held_until: float = -math.inf  # before this time the signaling service takes no attempt
        self.attempt: Attempt | None = None
        self.attempt_ended: float = -math.inf
        self.attempts: list[Attempt] = []
        self._restarts = 0
        self._jitter = draw()
        self._moved = False  # the connection left `failed` since the attempt began
        self._was_healthy = False  # the attempt began on a healthy connection

    def observation(self, now: float) -> Observation:
        """The observation that a policy gets."""
        return Observation(
            now=now,
            connection=self.connection,
            dtls=self.dtls,
            answered=self.answered,
            was_connected=self.was_connected,
            owner=self.owner,
            unhealthy_since=self.unhealthy_since,
            quiet_since=self.quiet_since,
            trouble_since=self.trouble_since,
            remote_closed_at=self.remote_closed_at,
            network_changed_at=self.network_changed_at,
            stalled_at=self.stalled_at,
            asked=self.asked,
            asked_reason=self.asked_reason,
            attempt=self.attempt.action if self.attempt is not None else None,
            attempt_since=self.attempt.began if self.attempt is not None else -math.inf,
            attempt_ended=self.attempt_ended,
            attempts=len(self.attempts),
            restarts=self._restarts,
            recreates=sum(a.action == Action.RECREATE and not a.remote for a in self.attempts),
            jitter=self._jitter,
            can_restart=self.capabilities.restart != "no" and not self.restart_refused,
            can_recreate=self.capabilities.offers != "remote",
            refused=self.refused is not None,
            signaling_ended=self.signaling_ended,
            described=self.described,
            undecrypted_since=self.undecrypted_since,
            held_until=self.held_until,
        )

    def new_generation(self) -> None:
        """Note that another connection is in force."""
        self.connection = PeerConnectionState.NEW
        self.dtls = None
        self.was_connected = self.described = False
        self.undecrypted_since = None
        self.unhealthy_since = self.quiet_since = self.remote_closed_at = self.network_changed_at = None
        self._restarts = 0
        self.restart_refused = False

    def answer(self, now: float, generation: int) -> None:
        """The other side has said something for the first time: the first attempt begins."""
        if not self.answered:
            self.answered = True
            self.trouble_since = now
            self.attempt = Attempt(Action.RECREATE, Reason.START, generation, now)

    def state(self, connection: PeerConnectionState, now: float, *, negotiated: bool) -> bool:
        """The state of the connection.

        Args:
            connection: the state.
            now: the present.
            negotiated: whether there was an exchange of descriptions with new ICE credentials since the
                attempt began.

        Returns:
            Whether an episode or an attempt ended well.
        """
        changed = connection != self.connection
        self.connection = connection
        if connection == PeerConnectionState.CONNECTED:
            self.was_connected = True
            self.unhealthy_since = self.quiet_since = None
            if self._was_healthy and self.attempt is not None and not negotiated:
                return False
            if self.trouble_since is None and self.attempt is None:
                return False
            self.recovered(now)
            return True
        if connection in (PeerConnectionState.DISCONNECTED, PeerConnectionState.FAILED):
            if self.unhealthy_since is None:
                self.unhealthy_since = now
                self.quiet_since = now - _SILENCE_BEFORE
            if self.trouble_since is None:
                self.trouble_since = now
            if (
                connection == PeerConnectionState.FAILED
                and changed
                and self._moved
                and self.attempt is not None
            ):
                self.end_attempt(now)
        elif changed:
            self._moved = True
        return False

    def begin(
        self, action: Action, reason: Reason, generation: int, now: float, *, remote: bool = False
    ) -> Attempt:
        """An attempt begins."""
        if self.trouble_since is None:
            self.trouble_since = now
        self._was_healthy = self.connection == PeerConnectionState.CONNECTED
        self._moved = action == Action.RECREATE
        self._jitter = self._draw()
        self._restarts += action == Action.RESTART and not remote
        self.asked = self.network_changed_at = None
        self.attempt = Attempt(action, reason, generation, now, remote)
        self.attempts.append(self.attempt)
        return self.attempt

    def end_attempt(self, now: float, error: Exception | None = None) -> None:
        """The attempt under way has failed."""
        if self.attempt is None:
            return
        if error is not None and self.attempts and self.attempts[-1] is self.attempt:
            a = self.attempt
            self.attempts[-1] = Attempt(a.action, a.reason, a.generation, a.began, a.remote, error)
        self.attempt = None
        self.attempt_ended = now

    def recovered(self, now: float) -> None:
        """The episode is over."""
        self.attempt = None
        self.attempts = []
        self.attempt_ended = now
        self.trouble_since = None
        self._restarts = 0

    def stalled(self, lost: float, now: float) -> None:
        """The loop stood still: no time has passed for those who wait for packets."""
        self.stalled_at = now
        for name in (
            "unhealthy_since",
            "quiet_since",
            "trouble_since",
            "remote_closed_at",
            "undecrypted_since",
        ):
            since = getattr(self, name)
            if since is not None:
                setattr(self, name, min(now, since + lost))
        if self.attempt is not None:
            a = self.attempt
            moved = Attempt(a.action, a.reason, a.generation, min(now, a.began + lost), a.remote, a.error)
            if self.attempts and self.attempts[-1] is a:
                self.attempts[-1] = moved
            self.attempt = moved
