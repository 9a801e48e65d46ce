"""Pictures of a call: everything that happened to a connection, in the form of Chromium's webrtc-internals dump.

    async with Tracer(pc, "call.json"):
        ...

``rtcpeer report call.json -o call.html`` makes a page of it. In reading order: `tracer`, `record` (what it keeps).
"""

from rtcpeer.trace.tracer import Tracer

__all__ = ["Tracer"]
