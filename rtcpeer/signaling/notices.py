"""Notices: a count of the signaling messages that were of no use, by kind, with the last one in words.

Owns: the counts, and one log line per kind. Never: a decision, a credential, the text of a description.
"""

from __future__ import annotations

import logging
from collections import Counter

logger = logging.getLogger(__name__)

_LENGTH = 200


class Notices:
    """Messages that were dropped or failed, counted by kind.

    Args:
        owner: whose they are, for the log.

    Attributes:
        counts: how often each kind occurred.
        last: the newest one, in words; "" when there was none.
    """

    def __init__(self, owner: str = "") -> None:
        self._prefix = f"{owner} signaling" if owner else "signaling"
        self.counts: Counter[str] = Counter()
        self.last: str = ""

    def __repr__(self) -> str:
        return f"<Notices {dict(self.counts)}>"

    def __str__(self) -> str:
        """The notices as one sentence without its full stop; "" when there are none."""
        if not self.counts:
            return ""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts.most_common())
        return f"signaling messages that were of no use: {kinds}; the last one: {self.last}"

    def add(self, kind: str, text: str) -> None:
        """Count one. The first one of each kind is logged as a warning.

        Args:
            kind: two or three words, from a small set: each kind is counted and logged by itself.
            text: what happened; cut, and made printable, since a remote side may have written a part of it.
        """
        self.last = "".join(c if c.isprintable() else " " for c in text[:_LENGTH])
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            logger.warning(
                "%s, %s: %s (more of this kind are counted, not logged)", self._prefix, kind, self.last
            )
