"""The exception classes of aiortc, which the face's own derive from so that existing ``except`` clauses work.

Owns nothing; only `rtcpeer.media` may know aiortc, so the face takes these names from here.
"""

from __future__ import annotations

from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

__all__ = ["InternalError", "InvalidAccessError", "InvalidStateError", "OperationError"]
