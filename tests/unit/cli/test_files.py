"""Playing a media file."""

from __future__ import annotations

import fractions
from pathlib import Path

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from rtcpeer.cli.files import open_file


def write(path: Path, *, pictures: int = 0, sound: int = 0) -> Path:
    """A film of grey pictures at 25/s, each brighter than the last, and sound frames of 1024 samples."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25) if pictures else None
        audio = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for index in range(pictures):
                frame = av.VideoFrame(64, 48, "yuv420p")
                for plane, value in zip(frame.planes, (50 + index, 128, 128), strict=True):
                    plane.update(bytes([value]) * plane.buffer_size)
                frame.pts, frame.time_base = index, fractions.Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if audio is not None:
            for index in range(sound):
                piece = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                piece.planes[0].update(bytes(piece.planes[0].buffer_size))
                piece.sample_rate, piece.pts = 44100, index * 1024
                container.mux(audio.encode(piece))
            container.mux(audio.encode())
    return path


async def test_a_film_begins_anew_and_its_time_goes_on(tmp_path: Path) -> None:
    (track,) = open_file(write(tmp_path / "film.mp4", pictures=3))
    assert track.kind == "video"
    frames = [await track.recv() for _ in range(7)]
    assert [frame.pts for frame in frames] == [3600 * n for n in range(7)]
    luma = [bytes(frame.planes[0])[0] for frame in frames]
    assert luma[0] < luma[1] < luma[2]
    assert abs(luma[3] - luma[0]) <= 1
    assert frames[0].format.name == "yuv420p"
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_sound_comes_in_pieces_of_20_ms_without_a_seam(tmp_path: Path) -> None:
    (track,) = open_file(write(tmp_path / "sound.m4a", sound=4))
    assert track.kind == "audio"
    frames = [await track.recv() for _ in range(8)]
    assert [frame.pts for frame in frames] == [960 * n for n in range(8)]
    assert {(frame.samples, frame.sample_rate, frame.format.name) for frame in frames} == {
        (960, 48000, "s16")
    }
    track.stop()


def test_both_kinds(tmp_path: Path) -> None:
    tracks = open_file(write(tmp_path / "both.mp4", pictures=2, sound=2))
    assert [track.kind for track in tracks] == ["audio", "video"]
    for track in tracks:
        track.stop()


def test_what_is_no_media_file(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no film")
    with pytest.raises(ValueError, match="Invalid data"):
        open_file(path)
    with pytest.raises(OSError, match="No such file"):
        open_file(tmp_path / "none.mp4")
