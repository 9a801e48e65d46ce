"""The publications of a VideoRoom beside our subscriptions: the difference, and when to ask for it.

Owns: the publications of the others, each with a number of its own, and the one that each subscription was for. Pure:
no I/O, the time is an argument.

Theory of operation. The room and the subscriber's handle are told of changes apart from each other, and late: a
publisher may be gone and back, with the same feed and mid, before anything was asked, and Janus ends a subscription
with the publication that it was for. So a publication is told by its number, not by its feed and mid, and what Janus
lists as subscribed counts, not that it has said yes. What is missing is asked for again, after growing pauses, a number
of times; then only when the room names the publisher again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from rtcpeer.records import record

# feed and mid of a stream; without a mid, all streams of the feed
Key = tuple[str, str]

# Seconds before what was refused is asked for again; the last one repeats.
PAUSES: Final = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
ATTEMPTS_MAX: Final = 12


@record(slots=True)
class PublishedStream:
    """One publication of somebody.

    Attributes:
        name: how the participant calls it; "" if it does not.
        is_media: whether Janus lists it among the streams of a subscriber; of data it lists one stream for all.
        number: unlike that of every other publication, also of the same feed and mid.
        failures: how often it was asked for in vain.
        due_at: when it may be asked for.
    """

    name: str
    is_media: bool
    number: int
    failures: int = 0
    due_at: float = -math.inf


class Subscriptions:
    """The publications of a room, and the subscriptions of the handle in force."""

    def __init__(self) -> None:
        self._published: dict[Key, PublishedStream] = {}
        self._asked: dict[Key, int] = {}  # the numbers of the publications that were asked for
        self._count = 0

    def tell(self, feed: str, streams: Mapping[str, tuple[str, bool]]) -> bool:
        """The room says what a publisher publishes now, by mid: the name, and whether it is media.

        Returns:
            Whether something is to be done.
        """
        gone = [key for key in self._published if key[0] == feed and key[1] not in streams]
        for key in gone:
            del self._published[key]
        changed = bool(gone)
        for mid, (name, is_media) in streams.items():
            known = self._published.get((feed, mid))
            if known is None:
                self._count += 1
                self._published[feed, mid] = PublishedStream(name, is_media, self._count)
                changed = True
            else:
                changed = changed or known.failures > 0
                known.name, known.failures, known.due_at = name, 0, -math.inf
        return changed

    def tell_media(self, feed: str, names: Mapping[str, str]) -> bool:
        """A subscription to all of a publisher lists these streams, by mid with the names; data are not listed."""
        data = {
            key[1]: (one.name, False)
            for key, one in self._published.items()
            if key[0] == feed and not one.is_media
        }
        return self.tell(feed, {**{mid: (name, True) for mid, name in names.items()}, **data})

    def find(self, key: Key) -> PublishedStream | None:
        """The publication that a stream is, if it is still published."""
        return self._published.get(key)

    def has(self, feed: str) -> bool:
        """Whether a participant publishes anything."""
        return any(key[0] == feed for key in self._published)

    def wanted(self, now: float) -> dict[Key, int]:
        """The streams for a new handle, with the numbers; those that have to wait too, if there are no others."""
        due = {key: one.number for key, one in self._published.items() if one.due_at <= now}
        return due or {key: one.number for key, one in self._published.items() if one.due_at < math.inf}

    def missing(self, now: float) -> dict[Key, int]:
        """The streams that are published, not subscribed to, and due, with the numbers."""
        return {
            key: one.number
            for key, one in self._published.items()
            if self._asked.get(key) != one.number and one.due_at <= now
        }

    def superfluous(self) -> set[Key]:
        """The streams that are subscribed to, and published no more."""
        return {key for key in self._asked if key not in self._published}

    def next_due(self) -> float | None:
        """When the next attempt is due; None: not without news."""
        due = min(
            (one.due_at for key, one in self._published.items() if self._asked.get(key) != one.number),
            default=math.inf,
        )
        return None if due == math.inf else due

    def begin_handle(self) -> None:
        """Note that another handle is in force, which has subscribed to nothing."""
        self._asked.clear()

    def accepted(self, asked: Mapping[Key, int], dropped: Iterable[Key] = ()) -> None:
        """Janus has said yes."""
        for key in dropped:
            self._asked.pop(key, None)
        self._asked.update(asked)

    def refused(self, key: Key, now: float) -> None:
        """Janus has said no, or yes and not done it: later."""
        self._asked.pop(key, None)
        one = self._published.get(key)
        if one is not None:
            pause = PAUSES[min(one.failures, len(PAUSES) - 1)]
            one.failures += 1
            one.due_at = math.inf if one.failures >= ATTEMPTS_MAX else now + pause

    def listed(self, streams: Mapping[Key, str], now: float) -> bool:
        """Janus lists what the handle in force is subscribed to, with the names.

        Returns:
            Whether something is to be asked for.
        """
        for (feed, mid), name in streams.items():
            if (feed, "") in self._asked and (feed, mid) not in self._published:
                self._count += 1
                self._published[feed, mid] = PublishedStream(name, True, self._count)
            if (feed, mid) in self._published and (feed, mid) not in self._asked:
                self._asked[feed, mid] = self._published[feed, mid].number
        for feed in {key[0] for key in streams}:
            self._asked.pop((feed, ""), None)
            self._published.pop((feed, ""), None)
        lost = [key for key in self._asked if key not in streams and self._is_listed(key)]
        for key in lost:
            self.refused(key, now)
        return bool(lost)

    def _is_listed(self, key: Key) -> bool:
        one = self._published.get(key)
        return one is None or one.is_media
