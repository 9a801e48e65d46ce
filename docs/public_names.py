"""The public names that the reference generates: every name of `__all__` of the public modules.

Owns: which page shows a name. Never: Sphinx; `conf.py` makes directives of what is said here, and a test checks it.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"
# each has a page that lists all of its names by the directive `public-names`
FACES = (
    "rtcpeer.calls",
    "rtcpeer.calls.livekit",
    "rtcpeer.config",
    "rtcpeer.dictionaries",
    "rtcpeer.metrics",
    "rtcpeer.signaling",
    "rtcpeer.supervisor",
    "rtcpeer.testing",
    "rtcpeer.testing.livekit",
    "rtcpeer.trace",
)
_AUTODOC = re.compile(r"^\.\. auto(?:class|function|data):: (\S+)\n(?!\s+:no-index:)", re.M)


def listed_by_hand() -> set[str]:
    """Full names that a page of the reference shows by an autodoc directive of its own."""
    return {
        name for page in REFERENCE.glob("*.md") for name in _AUTODOC.findall(page.read_text(encoding="utf-8"))
    }


def generated(module: str) -> list[str]:
    """Full names that ``.. public-names:: MODULE`` shows, in alphabetical order: those that no page lists by hand.

    Of `rtcpeer` itself names of `FACES` are left out as well.
    """
    by_hand = listed_by_hand()
    names = [name for name in import_module(module).__all__ if f"{module}.{name}" not in by_hand]
    if module == "rtcpeer":
        elsewhere = {name for face in FACES for name in import_module(face).__all__}
        names = [name for name in names if name not in elsewhere]
    return [f"{module}.{name}" for name in sorted(names) if name != "__version__"]


def directive(name: str) -> str:
    """The autodoc directive for a full name."""
    module, _, last = name.rpartition(".")
    value = getattr(import_module(module), last)
    kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
    return f".. auto{kind}:: {name}"
