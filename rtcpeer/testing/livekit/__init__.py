"""A small LiveKit server for tests, judged by LiveKit's own SDKs.

In reading order: `server` (what tests use), `faults`, `room`, `participant`, `media`.
Needs the extra ``rtcpeer[livekit]``.
"""

from rtcpeer.signaling.livekit.tokens import Grants
from rtcpeer.testing.livekit.faults import LiveKitFaults
from rtcpeer.testing.livekit.server import LiveKitServer

__all__ = ["Grants", "LiveKitFaults", "LiveKitServer"]
