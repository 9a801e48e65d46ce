"""LiveKit rooms as calls: "livekit+wss://host".

In reading order: `room` (the service), `state` (what the server said of the others), `media` (the two connections),
`publishing` (our tracks), `requests` (which wait for answers), `data` (data packets) with `streams` and `rpc`,
`events`, `link` (the WebSocket). Needs the extra ``rtcpeer[livekit]``.
"""

from rtcpeer.calls.livekit.events import ConnectionQualityChanged, SpeakersChanged, SubscriptionAllowed
from rtcpeer.calls.livekit.room import LiveKitRoom
from rtcpeer.calls.livekit.rpc import LiveKitRpc, LiveKitRpcError, RpcInvocation
from rtcpeer.calls.livekit.streams import IncomingStream, LiveKitStreams, StreamInfo, StreamWriter

__all__ = [
    "ConnectionQualityChanged",
    "IncomingStream",
    "LiveKitRoom",
    "LiveKitRpc",
    "LiveKitRpcError",
    "LiveKitStreams",
    "RpcInvocation",
    "SpeakersChanged",
    "StreamInfo",
    "StreamWriter",
    "SubscriptionAllowed",
]
