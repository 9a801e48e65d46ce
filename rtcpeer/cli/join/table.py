"""The table of participants of a call, which stands below the lines on a terminal and changes.

Owns: the drawing. Never: the call, the lines above.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rtcpeer.calls.call import Call
from rtcpeer.cli.running import say

_HEAD = ("participant", "tracks", "state")
_WIDTHS = (24, 44, 14)


class LiveTable:
    """The table; does nothing where the output is no terminal.

    Args:
        call: which it shows.
        report: prints a line; the table steps aside for it.
        wanted: whether to draw at all.
    """

    def __init__(self, call: Call, report: Callable[..., None], *, wanted: bool) -> None:
        self._call = call
        self._report = report
        self._wanted = wanted and sys.stdout.isatty()
        self._lines = 0  # that stand on the terminal

    def __call__(self, event: str, **details: Any) -> None:
        """Report an event above the table, and draw that again."""
        self.clear()
        self._report(event, **details)
        if self._wanted:
            lines = self.draw()
            say("\n".join(lines))
            self._lines = len(lines)

    def clear(self) -> None:
        """Take the table off the terminal."""
        if self._lines:
            say(f"\x1b[{self._lines}F\x1b[J", end="")
            self._lines = 0

    def draw(self) -> list[str]:
        """The table as it is now, in lines."""
        rows = [_HEAD]
        for id_, participant in self._call.participants.items():
            tracks = ", ".join(
                f"{name} ({track.kind}{', muted' if name in participant.muted else ''})"
                for name, track in participant.tracks.items()
            )
            state = "away" if participant.is_away else "there"
            if participant.is_reconnecting:
                state = "reconnecting"
            rows.append((participant.name or id_, tracks or "-", state))
        return ["  ".join(_cell(*cell) for cell in zip(row, _WIDTHS, strict=True)).rstrip() for row in rows]


def _cell(text: str, width: int) -> str:
    """Text of others in so many columns, without what would move the cursor."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return (printable if len(printable) <= width else printable[: width - 3] + "...").ljust(width)
