"""Names of ours on objects that programs subclass or put attributes on: `_sunder_`, which no program has by chance.

A program for aiortc may have `self._session` or `self._stream`: aiortc mangles its own names.
"""

import inspect
import re

import pytest

import rtcpeer
import rtcpeer.aiortc
from rtcpeer.aiortc.contrib import media as contrib
from rtcpeer.media.player import PlayerStreamTrack
from rtcpeer.media.track import ClonedTrack, RemoteTrack
from rtcpeer.supervisor.channel import SupervisedChannel

# aiortc has them as well, and programs use them (docs/moving-from-aiortc.md)
_AIORTCS = {
    "_codecs",
    "_enabled",
    "_get_mline_index",
    "_offerDirection",
    "_rtx_ssrc",
    "_send_keyframe",
    "_send_rtcp_pli",
    "_ssrc",
    "_stream_id",
    "_track",
    "_track_id",
}

_CLASSES = (
    rtcpeer.AudioSource,
    rtcpeer.EncodedTrack,
    rtcpeer.EventTarget,
    rtcpeer.MediaPlayer,
    rtcpeer.MediaRecorder,
    rtcpeer.MediaStream,
    rtcpeer.MediaStreamTrack,
    rtcpeer.RTCDataChannel,
    rtcpeer.RTCPeerConnection,
    rtcpeer.RTCRtpReceiver,
    rtcpeer.RTCRtpSender,
    rtcpeer.RTCRtpTransceiver,
    rtcpeer.SupervisedPeer,
    rtcpeer.aiortc.RTCDataChannel,
    rtcpeer.aiortc.RTCPeerConnection,
    rtcpeer.aiortc.RTCRtpReceiver,
    rtcpeer.aiortc.RTCRtpSender,
    rtcpeer.aiortc.RTCRtpTransceiver,
    contrib.MediaPlayer,
    contrib.MediaRecorder,
    contrib.MediaRelay,
    ClonedTrack,
    PlayerStreamTrack,
    RemoteTrack,
    SupervisedChannel,
)


def names(cls):
    """What a class has, and what its methods read or write on their object."""
    return set(vars(cls)) | set(re.findall(r"\bself\.(\w+)", inspect.getsource(cls)))


@pytest.mark.parametrize("cls", _CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_own_names_are_reserved_ones(cls):
    ours = [base for base in cls.__mro__ if base.__module__.startswith("rtcpeer.")]
    assert ours
    for base in ours:
        plain = {
            name
            for name in names(base)
            if name.startswith("_") and not name.endswith("_") and "__" not in name and name != "_abc_impl"
        }
        assert not plain - _AIORTCS, f"{base.__name__} has names that a program may have too; write _name_"
