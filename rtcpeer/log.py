"""Logging by the environment: `RTCPEER_LOG` sets levels of rtcpeer's loggers and gives them an output.

``RTCPEER_LOG=debug``, ``RTCPEER_LOG=info``, or levels by logger: ``RTCPEER_LOG=rtcpeer.ice=debug,rtcpeer=info``.
Read once, when rtcpeer is imported. Where the application has set up logging, its handlers get the records; else they
go to standard error.

Owns: the text of the variable and the handler. Never: what is logged.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

VARIABLE = "RTCPEER_LOG"
LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 10,
}
_ROOT = "rtcpeer"


class StderrHandler(logging.Handler):
    """Writes lines to standard error as long as the application has no handlers of its own."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        formatter.converter = time.gmtime
        formatter.default_msec_format = "%s.%03dZ"
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if logging.getLogger().handlers:
            return  # the record reaches them by itself
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)


def parse(text: str) -> dict[str, int]:
    """The level of each logger that the text names.

    Args:
        text: a level, or ``LOGGER=LEVEL`` items separated by commas; a level alone is that of ``rtcpeer``.

    Raises:
        ValueError: a level is unknown, or a logger is not one of rtcpeer's.
    """
    levels: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, level = item.rpartition("=")
        name = name.strip() if equals else _ROOT
        if name != _ROOT and not name.startswith(f"{_ROOT}."):
            raise ValueError(f"{name!r} is no logger of rtcpeer: names begin with 'rtcpeer.'")
        number = LEVELS.get(level.strip().lower())
        if number is None:
            raise ValueError(f"{level.strip()!r} is no level: {', '.join(LEVELS)}")
        levels[name] = number
    return levels


def configure(text: str) -> None:
    """Set levels as `RTCPEER_LOG` says, and have the records written.

    Args:
        text: see `parse`. An empty one changes nothing; one that cannot be read is reported as a warning, and
            changes no level.
    """
    root = logging.getLogger(_ROOT)
    try:
        levels = parse(text)
    except ValueError as error:
        root.warning("%s is ignored: %s", VARIABLE, error)
        return
    if not levels:
        return
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    if not any(isinstance(handler, StderrHandler) for handler in root.handlers):
        root.addHandler(StderrHandler())
