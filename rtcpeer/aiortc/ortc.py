"""Transports, senders and receivers that a program puts together itself, the ORTC way: they are aiortc's own.

A connection owns its transports, so ours cannot be made by hand. Programs that do (clients of mediasoup, of SIP, of
libp2p) go on as they are, with aiortc's objects among themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def by_hand(cls: type, core: type, theirs: type, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A new object of ours for a connection, or aiortc's for a program.

    Args:
        cls: our class.
        core: what connections make ours of: the type of its first argument.
        theirs: aiortc's class.
        args, kwargs: of the call.
    """
    return object.__new__(cls) if args and isinstance(args[0], core) else theirs(*args, **kwargs)
