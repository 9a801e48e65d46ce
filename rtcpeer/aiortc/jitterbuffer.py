"""`aiortc.jitterbuffer`: aiortc's own."""

from aiortc.jitterbuffer import JitterBuffer, JitterFrame

__all__ = [
    "JitterBuffer",
    "JitterFrame",
]
