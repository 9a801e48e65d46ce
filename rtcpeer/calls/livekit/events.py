"""Events that only LiveKit has, beside the others in `Call.events`: speakers, connection qualities, subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from rtcpeer.calls.events import CallEvent
from rtcpeer.calls.participant import Participant
from rtcpeer.records import record


@record(frozen=True, slots=True)
class SpeakersChanged(CallEvent):
    """The participants who speak have changed.

    Attributes:
        levels: how loud those are who speak, from 0 to 1, by identity.
    """

    levels: Mapping[str, float]


@record(frozen=True, slots=True)
class ConnectionQualityChanged(CallEvent):
    """The server judges a connection otherwise.

    Attributes:
        participant: whose it is; None: ours.
        quality: "excellent", "good", "poor" or "lost".
        score: from 0 to 5, as a listener would judge it.
    """

    participant: Participant | None
    quality: str
    score: float


@record(frozen=True, slots=True)
class SubscriptionAllowed(CallEvent):
    """A participant lets us have a track, or not any more.

    Attributes:
        participant: who publishes it.
        sid: of the track.
        allowed: whether we may have it.
    """

    participant: Participant
    sid: str
    allowed: bool
