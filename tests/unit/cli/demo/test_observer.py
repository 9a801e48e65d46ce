"""Counting and measuring frames."""

from __future__ import annotations

import asyncio
from typing import Any

from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from rtcpeer.cli.demo.observer import MediaObserver, loudness, mean_luma


def picture(luma: int, width: int = 64, height: int = 32) -> VideoFrame:
    frame = VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def sound(sample: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=960)
    frame.planes[0].update(sample.to_bytes(2, "little", signed=True) * (frame.planes[0].buffer_size // 2))
    frame.sample_rate = 48000
    return frame


class Track:
    def __init__(self, kind: str, frames: list[Any]) -> None:
        self.kind, self.frames = kind, frames

    async def recv(self) -> Any:
        await asyncio.sleep(0)
        if not self.frames:
            raise MediaStreamError
        return self.frames.pop(0)


def test_brightness_does_not_see_the_padding_of_rows() -> None:
    assert mean_luma(picture(200)) == 200
    assert mean_luma(picture(90, width=70, height=34)) == 90


def test_loudness() -> None:
    assert loudness(sound(0)) == 0
    assert abs(loudness(sound(-16384)) - 0.5) < 0.001


async def test_eyes_read_until_the_tracks_end() -> None:
    eyes = MediaObserver()
    eyes.watch(Track("video", [picture(100) for _ in range(12)]))
    eyes.watch(Track("audio", [sound(8192) for _ in range(3)]))
    for _ in range(30):
        await asyncio.sleep(0)
    report = eyes.report()
    assert (report["video_frames"], report["audio_frames"]) == (12, 3)
    assert (report["luma"], report["width"], report["height"]) == (100, 64, 32)
    assert report["level"] > 0.2
    await eyes.close()


async def test_closing_ends_a_reader_that_waits() -> None:
    class Silent(Track):
        async def recv(self) -> Any:
            await asyncio.Event().wait()

    eyes = MediaObserver()
    eyes.watch(Silent("audio", []))
    await asyncio.sleep(0)
    await eyes.close()
    assert len(asyncio.all_tasks()) == 1
