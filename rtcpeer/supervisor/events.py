"""Events of a supervised peer: its states, its errors, messages that could not be delivered."""

from __future__ import annotations

from typing import Any

from rtcpeer.errors import SignalingRefused
from rtcpeer.media.event_target import Event
from rtcpeer.peer.errors import OperationError
from rtcpeer.supervisor.policy import PeerState, Reason
from rtcpeer.supervisor.recovery import Attempt


class StateEvent(Event):
    """``statechange`` of a supervised peer.

    Attributes:
        state: the new state.
        previous: the one before.
        generation: of the connection in force, from 1.
        reason: why.
    """

    def __init__(self, state: PeerState, previous: PeerState, generation: int, reason: Reason) -> None:
        super().__init__("statechange")
        self.state = state
        self.previous = previous
        self.generation = generation
        self.reason = reason

    def __repr__(self) -> str:
        return f"<StateEvent {self.previous} -> {self.state}, generation {self.generation}, {self.reason}>"


class MessagesLostEvent(Event):
    """``messageslost`` of a channel: these messages were not delivered, or nobody knows.

    Attributes:
        messages: the messages themselves, oldest first.
        certain: True: never handed to a connection. False: they were sent shortly before the connection was
            lost, and may have arrived; whoever sends them again risks that they arrive twice.
        untracked: how many more there were that could not be kept, for lack of room.
        generation: of the connection that is gone.
        reason: why it is gone.
    """

    def __init__(
        self,
        messages: tuple[Any, ...],
        *,
        certain: bool,
        untracked: int = 0,
        generation: int,
        reason: Reason,
    ) -> None:
        super().__init__("messageslost")
        self.messages = messages
        self.certain = certain
        self.untracked = untracked
        self.generation = generation
        self.reason = reason

    def __repr__(self) -> str:
        count = len(self.messages) + self.untracked
        return f"<MessagesLostEvent {count} {'lost' if self.certain else 'in doubt'}, {self.reason}>"


class SignalingErrorEvent(Event):
    """``signalingerror``: a message could not be sent, read or applied; the peer goes on.

    Attributes:
        error: what happened.
        generation: of the connection in force.
    """

    def __init__(self, error: Exception, generation: int) -> None:
        super().__init__("signalingerror")
        self.error = error
        self.generation = generation


class ServersErrorEvent(Event):
    """``serverserror``: fetching ICE servers failed; the old ones stay in force.

    Attributes:
        error: an `IceServersUnavailable`; its `fatal` says whether the polling has stopped.
        generation: of the connection in force.
    """

    def __init__(self, error: Exception, generation: int) -> None:
        super().__init__("serverserror")
        self.error = error
        self.generation = generation


class GaveUp(OperationError):
    """The supervised peer has tried everything that its policy allows.

    Attributes:
        attempts: all attempts of the last episode of trouble.
        refusal: what the signaling service said, where that has ended it; else None.
        findings: what `explain()` said of the last connection.
    """

    def __init__(
        self,
        attempts: tuple[Attempt, ...],
        refusal: SignalingRefused | None = None,
        *,
        cause: str | None = None,
        findings: tuple[Any, ...] = (),
    ) -> None:
        tried = "; ".join(map(str, attempts)) or "nothing could be tried"
        cause = str(refusal) if refusal is not None else cause
        why = "" if cause is None else f", since {cause}"
        text = f"the peer could not be connected again{why}. Tried: {tried}{problems(findings)}"
        super().__init__(text, fault="network")
        self.attempts = attempts
        self.refusal = refusal
        self.findings = findings


def problems(findings: tuple[Any, ...]) -> str:
    """The first problems among what `explain()` says, for the end of an error's message."""
    told = [str(finding) for finding in findings if finding.level == "problem"]
    return "".join(f". {problem.rstrip('.')}" for problem in told[:3])
