"""Delivery record of one channel: which messages its connection may not have delivered, and how many have arrived.

Owns: the messages that are not acknowledged, and the counts that both peers compare when a connection is replaced.
Never: a channel, a decision when to compare.

Theory of operation. Messages are numbered from 1 in the order in which they are handed to connections, and the other
peer counts what arrives. While a connection lives, SCTP acknowledges, and only the newest messages are kept. When the
connection has been replaced, the other peer tells its count (see `handover`): it has the messages up to that number,
and the others are sent again. A connection that cannot say what is acknowledged (another stack than ours) is judged by
time: what was sent within `QueueLimits.doubt_time` before the trouble.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from rtcpeer.records import record

# Of a connection that works, whose stack cannot say what was acknowledged: seconds within which SCTP has delivered
_HEALTHY_DOUBT = 1.0
# The record is compared with what is acknowledged at the first when it has so many messages, and when it has doubled
_PRUNE_AT = 64
_UNTRACKED_MAX = 10_000
# The member of channels that say what is acknowledged
_COUNT = "unacknowledgedMessages"


@record(frozen=True, slots=True)
class QueueLimits:
    """Bounds of what may wait in a channel.

    Attributes:
        messages: how many messages.
        size_bytes: of all together.
        doubt_time: only for connections of another stack, which cannot say what was acknowledged: messages that were
            sent within so many seconds before the trouble was noticed are in doubt when the connection has to be
            made anew. Of a healthy one only the last second is in doubt.
    """

    messages: int = 1000
    size_bytes: int = 1_000_000
    doubt_time: float = 7.0


class DeliveryRecord:
    """Messages that were handed to connections, and the count of those that arrived.

    Args:
        limits: bounds the record where only time can judge.

    Attributes:
        sent: the number of the newest message that was handed to a connection.
        received: how many messages of the other peer have arrived.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self.sent: int = 0
        self.received: int = 0
        self._limits = limits
        self._kept: deque[tuple[float, Any, int]] = deque()  # loop time, message, size
        self._kept_bytes = 0
        self._untracked: deque[float] = deque(maxlen=_UNTRACKED_MAX)  # times of what had no room
        self._prune_at = _PRUNE_AT
        self._repeated = 0  # messages that have arrived already and will come again

    def note_sent(self, message: Any, size: int, now: float, channel: Any) -> None:
        """A message was handed to `channel`, the channel of the connection in force."""
        self.sent += 1
        self._kept.append((now, message, size))
        self._kept_bytes += size
        if self._can_tell(channel):
            if len(self._kept) >= self._prune_at:
                self._keep_newest(channel.unacknowledgedMessages)
                self._prune_at = max(_PRUNE_AT, 2 * len(self._kept))
            return
        oldest = now - 2 * self._limits.doubt_time
        while self._kept and (self._kept[0][0] < oldest or self._kept_bytes > self._limits.size_bytes):
            when = self._drop_oldest()
            if when >= oldest:
                self._untracked.append(when)

    def note_received(self) -> bool:
        """A message arrived; whether it is a new one."""
        if self._repeated:
            self._repeated -= 1
            return False
        self.received += 1
        return True

    def doubt(self, channel: Any, unhealthy_since: float | None, now: float) -> None:
        """Forget what has arrived for certain; the connection of `channel` is not in force any more."""
        if self._can_tell(channel):
            self.acknowledge(channel)
            return
        doubt_time = self._limits.doubt_time
        if unhealthy_since is None:
            since = now - min(_HEALTHY_DOUBT, doubt_time)
        else:
            since = unhealthy_since - doubt_time
        while self._kept and self._kept[0][0] < since:
            self._drop_oldest()
        while self._untracked and self._untracked[0] < since:
            self._untracked.popleft()

    def acknowledge(self, channel: Any) -> None:
        """Forget what has arrived by now, as far as the connection of `channel` can tell."""
        if self._can_tell(channel):
            self._keep_newest(channel.unacknowledgedMessages)

    def compare(self, arrived: int, *, is_ordered: bool, is_final: bool) -> None:
        """The other peer has counted our messages: forget those that have arrived.

        Args:
            arrived: its count.
            is_ordered: whether messages arrive in order, so that a count says which ones.
            is_final: whether nothing more can have arrived since it counted: then the next message gets the number
                that follows its count. Otherwise the other peer will be told the number (`resume`).
        """
        if arrived >= self.sent:
            self._keep_newest(0)
        elif is_ordered:
            self._keep_newest(self.sent - arrived)
        self.sent = min(arrived, self.sent) if is_final else self.sent - len(self._kept)

    def take(self) -> tuple[tuple[Any, ...], int]:
        """Take out the messages that are in doubt, oldest first, and how many more there were that had no room."""
        messages, untracked = tuple(message for _when, message, _size in self._kept), len(self._untracked)
        self._keep_newest(0)
        self._untracked.clear()
        self._prune_at = _PRUNE_AT
        return messages, untracked

    def resume(self, number: int, *, is_ordered: bool) -> None:
        """The other peer goes on with this message of its own: those before it that come again are repetitions."""
        self._repeated = max(0, self.received - (number - 1)) if is_ordered else 0
        if not self._repeated:
            self.received = number - 1

    def begin_again(self) -> None:
        """The other peer is another program than before: both count from the beginning."""
        self.sent = self.received = self._repeated = 0

    @staticmethod
    def _can_tell(channel: Any) -> bool:
        # of ours it is a property, which counts what is queued: its class says that it is there, without counting
        return hasattr(type(channel), _COUNT) or hasattr(channel, _COUNT)

    def _keep_newest(self, count: int) -> None:
        while len(self._kept) > count:
            self._drop_oldest()

    def _drop_oldest(self) -> float:
        when, _message, size = self._kept.popleft()
        self._kept_bytes -= size
        return when
