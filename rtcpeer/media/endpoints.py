"""Senders and receivers of media, and what they are told: the names the peer imports."""

from __future__ import annotations

from rtcpeer.media.codecs import capabilities
from rtcpeer.media.interfaces import FrameSink
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.sender import MediaSender
from rtcpeer.media.source import SourceTrack
from rtcpeer.rtp.contributing_sources import RtpSource
from rtcpeer.rtp.parameters import (
    Capabilities,
    Priority,
    ReceiveEncoding,
    ReceiveParameters,
    SendEncoding,
    SendParameters,
)

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
