"""LiveKit rooms as calls: "livekit+wss://host".

In reading order: `room` (the service), `state` (what the server said of the others), `media` (the two connections),
`publishing` (our tracks), `link` (the WebSocket). Needs the extra ``rtcpeer[livekit]``.
"""

from rtcpeer.calls.livekit.room import LiveKitRoom

__all__ = ["LiveKitRoom"]
