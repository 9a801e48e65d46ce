"""FFmpeg 9 with its WHIP muxer, from the wheel `imageio-ffmpeg`: a publisher that is not ours."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Sequence

import pytest

PICTURE = ("-f", "lavfi", "-i", "testsrc=size=640x360:rate=25")
SOUND = ("-f", "lavfi", "-i", "sine=440:sample_rate=48000")
H264 = (
    *("-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency"),
    *("-pix_fmt", "yuv420p", "-bf", "0", "-g", "25"),
)
OPUS = ("-c:a", "libopus", "-ac", "2", "-ar", "48000", "-b:a", "96k")

# FFmpeg 9.0.2 reads the status line of a DELETE's answer as the size of a chunk, whatever the answer is: with 204, 200,
# a body, none, and a closed connection alike it ends with the first two lines.
KNOWN = (
    *("Failed to read response from DELETE url=", "Failed to dispose resource, ret=-5"),
    "Resumed reading at pts",  # its own sources were late: a busy machine
)


def require() -> str:
    """The program; without it the test is skipped with a reason, or fails under CI=true."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        reason = "NOT TESTED against FFmpeg's WHIP muxer: pip install imageio-ffmpeg"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())


async def publish(url: str, seconds: float, *options: str) -> tuple[int, list[str]]:
    """Publish a test picture and a tone; exit status and what it complained about."""
    arguments: Sequence[str] = (
        *("-hide_banner", "-nostats", "-loglevel", "warning", "-re", *PICTURE, "-re", *SOUND),
        *("-t", str(seconds), *H264, *OPUS, *options, "-f", "whip", url),
    )
    process = await asyncio.create_subprocess_exec(
        require(),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    lines = said.decode(errors="replace").splitlines()
    return process.returncode, [line for line in lines if not any(known in line for known in KNOWN)]
