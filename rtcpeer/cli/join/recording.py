"""The recording of a call: one Matroska file for each track, without transcoding.

Owns: the recorders. Never: the tracks, names of files outside its folder.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from rtcpeer.media.recorder import MediaRecorder

logger = logging.getLogger(__name__)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class CallRecorder:
    """Records each track of a call into a file of its own in a folder.

    A file is named after participant and track: ``alice-camera.mkv``, ``alice-camera-2.mkv``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recorders: dict[Any, tuple[MediaRecorder, Path]] = {}
        self._used: set[str] = set()
        self.files: list[Path] = []

    async def begin(self, track: Any, owner: str, name: str) -> Path:
        """Record a track from now on.

        Returns:
            The file.
        """
        path = self._free(f"{_UNSAFE.sub('_', owner)[:40] or 'somebody'}-{_UNSAFE.sub('_', name)[:40]}")
        recorder = MediaRecorder(str(path), transcode="auto")
        recorder.addTrack(track)
        self._recorders[track] = recorder, path
        await recorder.start()
        return path

    async def end(self, track: Any) -> Path | None:
        """Finish the file of a track; it, or None where nothing had arrived or the track is not recorded."""
        if track not in self._recorders:
            return None
        recorder, path = self._recorders[track]
        await recorder.stop()
        if self._recorders.pop(track, None) is None:
            return None  # it was ended twice
        if recorder.error is not None:
            logger.warning("%s: %s", path.name, recorder.error)
        if not path.exists() or not path.stat().st_size:
            path.unlink(missing_ok=True)
            return None
        self.files.append(path)
        return path

    async def close(self) -> list[Path]:
        """Finish all files; those that were still open and have something in them."""
        finished = [await self.end(track) for track in tuple(self._recorders)]
        return [path for path in finished if path is not None]

    def _free(self, stem: str) -> Path:
        number = 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            path = self._folder / f"{name}.mkv"
            number += 1
            if name in self._used:
                continue
            try:
                path.open("xb").close()  # another program may record into this folder
            except FileExistsError:
                continue
            self._used.add(name)
            return path
