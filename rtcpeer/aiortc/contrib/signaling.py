"""aiortc.contrib.signaling, as it is."""

from aiortc.contrib.signaling import (
    BYE,
    BaseSignaling,
    CopyAndPasteSignaling,
    TcpSocketSignaling,
    UnixSocketSignaling,
    add_signaling_arguments,
    create_signaling,
    object_from_string,
    object_to_string,
)

__all__ = [
    "BYE",
    "BaseSignaling",
    "CopyAndPasteSignaling",
    "TcpSocketSignaling",
    "UnixSocketSignaling",
    "add_signaling_arguments",
    "create_signaling",
    "object_from_string",
    "object_to_string",
]
