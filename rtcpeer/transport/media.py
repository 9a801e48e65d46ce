"""Senders and receivers of media, and what they are told: the names the peer imports."""

from __future__ import annotations

from rtcpeer.transport.codecs import capabilities
from rtcpeer.transport.heard import RtpSource
from rtcpeer.transport.neighbours import FrameSink
from rtcpeer.transport.parameters import (
    Capabilities,
    Priority,
    ReceiveEncoding,
    ReceiveParameters,
    SendEncoding,
    SendParameters,
)
from rtcpeer.transport.receiver import MediaReceiver
from rtcpeer.transport.sender import MediaSender
from rtcpeer.transport.source import SourceTrack

__all__ = [
    "Capabilities",
    "FrameSink",
    "MediaReceiver",
    "MediaSender",
    "Priority",
    "ReceiveEncoding",
    "ReceiveParameters",
    "RtpSource",
    "SendEncoding",
    "SendParameters",
    "SourceTrack",
    "capabilities",
]
