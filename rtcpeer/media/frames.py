"""Frames of PyAV: what a disabled track sends, how loud a frame is, which is a key frame. Pure functions."""

from __future__ import annotations

from collections.abc import Callable

from av import AudioFrame, VideoFrame
from av.frame import Frame

from rtcpeer.media.video import av1, h265, vp9

_KEYFRAME_TESTS: dict[str, Callable[[bytes], bool]] = {
    "VP9": vp9.is_keyframe,
    "AV1": av1.is_keyframe,
    "H265": h265.is_keyframe,
}


def blank(frame: Frame) -> Frame:
    """Silence or black of the same size and time (mediacapture-main: a disabled track)."""
    result: Frame
    if isinstance(frame, AudioFrame):
        audio = AudioFrame(format=frame.format.name, layout=frame.layout.name, samples=frame.samples)
        audio.sample_rate = frame.sample_rate
        for plane in audio.planes:
            plane.update(bytes(plane.buffer_size))
        result = audio
    elif isinstance(frame, VideoFrame):
        video = VideoFrame(frame.width, frame.height, "yuv420p")
        # black in studio range
        for index, picture in enumerate(video.planes):
            picture.update((b"\x10" if index == 0 else b"\x80") * picture.buffer_size)
        result = video
    else:
        return frame
    result.pts = frame.pts
    if frame.time_base is not None:
        result.time_base = frame.time_base
    return result


def is_keyframe(codec_name: str, data: bytes) -> bool:
    """Whether a whole encoded picture can be decoded without its predecessors."""
    if not data:
        return False
    name = codec_name.upper()
    if name == "VP8":
        # RFC 6386 section 9.1: the lowest bit is the inverse key frame flag
        return not data[0] & 1
    if name == "H264":
        # Annex B: an IDR slice; some encoders begin pictures with recovery points only, after parameter sets
        at = data.find(b"\0\0\1")
        while at >= 0 and at + 3 < len(data):
            if data[at + 3] & 0x1F in (5, 7):
                return True
            at = data.find(b"\0\0\1", at + 3)
        return False
    test = _KEYFRAME_TESTS.get(name)
    return test is None or test(data)
