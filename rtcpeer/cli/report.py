"""Events of a command on its output: lines for people, JSON objects for programs, progress on a terminal.

Owns: the form of a line. Never: what is worth one.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from typing import Any

from rtcpeer.cli.running import say


class Reporter:
    """Events as lines: for people, or as JSON objects with ``event`` and ``time``.

    Args:
        as_json: an object in each line, for programs.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown = 0  # length of the progress line that stands on the terminal

    def __call__(self, event: str, **details: Any) -> None:
        """Print one event."""
        self._clear()
        if self._as_json:
            say(json.dumps({"event": event, "time": round(time.time(), 3), **details}))
            return
        words = ", ".join(
            f"{name} {' '.join(value) if isinstance(value, list) else value}"
            for name, value in details.items()
            if name != "name" and value is not None
        )
        named = f" {details['name']}" if "name" in details else ""
        say(printable(f"{time.strftime('%H:%M:%S')} {event}{named}{f' ({words})' if words else ''}"))

    def progress(self, **details: Any) -> None:
        """Numbers that change: an event for programs, one line that is written over on a terminal, else nothing."""
        if self._as_json:
            self("progress", **details)
        elif sys.stdout.isatty():
            line = ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
            say(f"\r{line.ljust(self._shown)}", end="")
            self._shown = len(line)

    def _clear(self) -> None:
        if self._shown:
            say(f"\r{' ' * self._shown}\r", end="")
            self._shown = 0


def refuse(reason: object) -> int:
    """Say on standard error why a command cannot begin; the status 2."""
    print(printable(f"rtcpeer: {in_words(reason)}"), file=sys.stderr)
    return 2


def in_words(reason: object) -> str:
    """A reason in words alone: errors of the system and of libav have a number before theirs."""
    words = getattr(reason, "strerror", None)
    if not words:
        return str(reason)
    name = getattr(reason, "filename", None)
    return f"{name!r}: {words}" if name else str(words)


def refuse_address(host: str, port: int, error: OSError | UnicodeError) -> int:
    """Say why nothing can listen there; the status 2."""
    number = getattr(error, "errno", None) or 0
    # what asyncio makes of it says the address again; look-ups of names have negative numbers and words of their own
    words = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or "that is no host"
    hint = " (try --port 0)" if number in (errno.EADDRINUSE, errno.EACCES) else ""
    return refuse(f"cannot listen on {host}:{port}: {words}{hint}")


def printable(text: str) -> str:
    """Text of which a part comes from elsewhere, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
