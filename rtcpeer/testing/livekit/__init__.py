"""A small LiveKit server for tests, judged by LiveKit's own SDKs.

In reading order: `server` (what tests use), `faults`, `room`, `participant`, `media`.
Needs the extra ``rtcpeer[livekit]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = ["Grants", "LiveKitFaults", "LiveKitServer"]

if TYPE_CHECKING:
    from rtcpeer.signaling.livekit.tokens import Grants
    from rtcpeer.testing.livekit.faults import LiveKitFaults
    from rtcpeer.testing.livekit.server import LiveKitServer
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.signaling.livekit.tokens": ("Grants",),
            "rtcpeer.testing.livekit.faults": ("LiveKitFaults",),
            "rtcpeer.testing.livekit.server": ("LiveKitServer",),
        },
    )
