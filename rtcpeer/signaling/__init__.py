"""Signaling: how descriptions and candidates reach the other side.

In reading order: `capabilities` and `channel` (the contract, an in-memory pair), `check` (a test for channels of one's
own), `negotiator` with its `outbox`, `notices` and `glance`; then the services: `rooms`; `http` (WHIP, WHEP and offers
over HTTP); `livekit` (its tokens and messages); `libwebrtc` (an adapter).

The names below are loaded on demand; those of services need the extra ``rtcpeer[signaling]`` (aiohttp), `RedisBackend`
needs ``rtcpeer[redis]`` as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = [
    "ChannelCapabilities",
    "HttpOfferServer",
    "HttpSdpClient",
    "MemoryBackend",
    "NegotiableConnection",
    "Negotiator",
    "PeerConnection",
    "Permit",
    "RateLimit",
    "RedisBackend",
    "Room",
    "RoomBackend",
    "RoomClient",
    "RoomError",
    "RoomEvent",
    "RoomMember",
    "RoomServer",
    "SignalingChannel",
    "SignalingRefused",
    "Track",
    "WhepClient",
    "WhepServer",
    "WhipClient",
    "WhipServer",
    "WhipSession",
    "capabilities_of",
    "check_signaling_channel",
    "memory_pair",
]

if TYPE_CHECKING:
    from rtcpeer.errors import SignalingRefused
    from rtcpeer.protocols import NegotiableConnection, PeerConnection, Track
    from rtcpeer.signaling.capabilities import ChannelCapabilities, capabilities_of
    from rtcpeer.signaling.channel import SignalingChannel, memory_pair
    from rtcpeer.signaling.check import check_signaling_channel
    from rtcpeer.signaling.http.limits import RateLimit
    from rtcpeer.signaling.http.offer_server import HttpOfferServer
    from rtcpeer.signaling.http.sdp_client import HttpSdpClient
    from rtcpeer.signaling.http.whip_client import WhepClient, WhipClient
    from rtcpeer.signaling.http.whip_server import WhepServer, WhipServer
    from rtcpeer.signaling.http.whip_session import WhipSession
    from rtcpeer.signaling.negotiator import Negotiator
    from rtcpeer.signaling.rooms.backend import MemoryBackend, RoomBackend
    from rtcpeer.signaling.rooms.client import Room, RoomClient, RoomEvent
    from rtcpeer.signaling.rooms.member import RoomMember
    from rtcpeer.signaling.rooms.redis import RedisBackend
    from rtcpeer.signaling.rooms.server import Permit, RoomServer
    from rtcpeer.signaling.rooms.wire import RoomError
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.errors": ("SignalingRefused",),
            "rtcpeer.protocols": ("NegotiableConnection", "PeerConnection", "Track"),
            "rtcpeer.signaling.capabilities": (
                "ChannelCapabilities",
                "capabilities_of",
            ),
            "rtcpeer.signaling.channel": (
                "SignalingChannel",
                "memory_pair",
            ),
            "rtcpeer.signaling.check": ("check_signaling_channel",),
            "rtcpeer.signaling.http.limits": ("RateLimit",),
            "rtcpeer.signaling.http.offer_server": ("HttpOfferServer",),
            "rtcpeer.signaling.http.sdp_client": ("HttpSdpClient",),
            "rtcpeer.signaling.http.whip_client": (
                "WhepClient",
                "WhipClient",
            ),
            "rtcpeer.signaling.http.whip_server": (
                "WhepServer",
                "WhipServer",
            ),
            "rtcpeer.signaling.http.whip_session": ("WhipSession",),
            "rtcpeer.signaling.negotiator": ("Negotiator",),
            "rtcpeer.signaling.rooms.backend": (
                "MemoryBackend",
                "RoomBackend",
            ),
            "rtcpeer.signaling.rooms.client": (
                "Room",
                "RoomClient",
                "RoomEvent",
            ),
            "rtcpeer.signaling.rooms.member": ("RoomMember",),
            "rtcpeer.signaling.rooms.redis": ("RedisBackend",),
            "rtcpeer.signaling.rooms.server": (
                "Permit",
                "RoomServer",
            ),
            "rtcpeer.signaling.rooms.wire": ("RoomError",),
        },
    )
