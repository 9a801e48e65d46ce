"""`aiortc.exceptions`: aiortc's own."""

from aiortc.exceptions import (
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)

__all__ = [
    "InternalError",
    "InvalidAccessError",
    "InvalidStateError",
    "OperationError",
]
