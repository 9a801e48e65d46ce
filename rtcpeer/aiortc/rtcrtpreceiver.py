"""`aiortc.rtcrtpreceiver`: our receiver, and aiortc's values."""

from aiortc.rtcrtpreceiver import RemoteStreamTrack, RTCRtpContributingSource, RTCRtpSynchronizationSource

from rtcpeer.aiortc.transceivers import RTCRtpReceiver

__all__ = [
    "RTCRtpContributingSource",
    "RTCRtpReceiver",
    "RTCRtpSynchronizationSource",
    "RemoteStreamTrack",
]
