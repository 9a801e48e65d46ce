"""The exception classes of aiortc, which the face's own derive from so that existing ``except`` clauses work.

Owns nothing; only `rtcpeer.media` may know aiortc, so the face takes these names from here.
"""

from __future__ import annotations

import sys


def upstream(name: str) -> type[Exception] | None:
    """Aiortc's exception class of this name; None while nobody has imported aiortc, so that nobody can catch it."""
    module = sys.modules.get("aiortc.exceptions")
    return getattr(module, name, None)
