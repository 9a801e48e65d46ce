"""MediaPlayer: a file, a stream or a camera as tracks.

Owns: the tracks, their pace, the thread that reads. Never: what is in the container (`file_source`).

Theory of operation. Reading is on demand: while a track has less than `_AHEAD` seconds in store, the player's own
thread reads the next packets. Both tracks are paced by one clock, so they stay together. A camera is not paced: it
gives pictures when it has them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from rtcpeer.aio import quiet, start_task
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.file_source import FileSource, Piece
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.threads import DaemonPool

logger = logging.getLogger(__name__)

# Seconds that a track has in store before the next are read
_AHEAD = 0.5
# A reader that is so late, in seconds, is not hurried: what follows is late as well
_LATE_MAX = 1.0
# What is kept for a track that nobody has read yet, in seconds: the other one may be read a moment earlier
_UNREAD_MAX = 1.0
# What a track keeps that is not read: pieces
_STORE_MAX = 250


class MediaPlayer:
    """Reads a file, a network stream or a device; `audio` and `video` are tracks to send.

        player = MediaPlayer("film.mp4", loop=True)
        pc.addTrack(player.video)

    Without decoding (``decode=False``) the encoded pictures and sound are sent as they are in the file, which costs
    next to nothing: VP8, VP9, AV1, H.264, H.265, Opus, G.711. The codec that is negotiated has to be the file's: see
    `setCodecPreferences`. A stream that cannot be sent as it is is decoded, and that is logged: another codec, or
    H.264 whose pictures stand in another order than they are shown in (B-pictures).

    Args:
        file: a path, a URL, or an object with ``read``.
        format: of libav; None: by the content.
        options: for libav's demuxer.
        timeout: for opening and reading, in seconds.
        loop: begin again at the end; times go on rising.
        decode: False: send what is encoded as it is, where that is possible.

    Attributes:
        audio, video: the tracks; None where the file has no such stream.

    Raises:
        FFmpegError: it cannot be opened.
        ValueError: `loop`, and it cannot be read twice.
    """

    # whether, with decode=False, what cannot be sent as it is is decoded; otherwise it has no track
    _decodes_others_: ClassVar[bool] = True

    def __init__(
        self,
        file: Any,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        timeout: float | None = None,
        loop: bool = False,
        decode: bool = True,
    ) -> None:
        self._source_: FileSource | None = FileSource(
            file,
            format=format,
            options=options,
            timeout=timeout,
            loop=loop,
            decode=decode,
            decodes_others=self._decodes_others_,
        )
        self._is_live_ = self._source_.is_live
        self.audio: PlayerStreamTrack | None = (
            PlayerStreamTrack(self, "audio") if "audio" in self._source_.kinds else None
        )
        self.video: PlayerStreamTrack | None = (
            PlayerStreamTrack(self, "video") if "video" in self._source_.kinds else None
        )
        self._tracks_ = [track for track in (self.audio, self.video) if track is not None]
        if not self._tracks_:
            self._source_.close()
            self._source_ = None
        self._thread_: DaemonPool | None = None
        self._reading_: asyncio.Task[None] | None = None
        self._has_ended_ = False
        # loop time at which the time of the file is 0
        self._origin_: float | None = None

    def __repr__(self) -> str:
        kinds = " and ".join(track.kind for track in self._tracks_)
        return f"<MediaPlayer {kinds}{', ended' if self._source_ is None else ''}>"

    def stop(self) -> None:
        """End both tracks, and close the file."""
        for track in self._tracks_:
            track.stop()

    # -- for the tracks ----------------------------------------------------------------------------

    async def next_piece(self, track: PlayerStreamTrack) -> Piece | None:
        """The next piece of a track, when it is time for it; None at the end."""
        while not track.store:
            if self._has_ended_ or self._source_ is None:
                return None
            await asyncio.shield(self._read_on_())
        piece = track.store.popleft()
        if track.stored < _AHEAD and not self._has_ended_ and self._source_ is not None:
            self._read_on_()
        if not self._is_live_:
            await self._wait_until_(piece.at)
        return piece

    async def _wait_until_(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._origin_ is None:
            self._origin_ = now - at
        wait = self._origin_ + at - now
        if wait < -_LATE_MAX:
            self._origin_ -= wait
        elif wait > 0:
            await asyncio.sleep(wait)

    def _read_on_(self) -> asyncio.Task[None]:
        """Have the thread read the next pieces; one at a time."""
        if self._reading_ is None or self._reading_.done():
            self._reading_ = start_task(self._read_(), name="rtcpeer player")
            quiet(self._reading_)
        return self._reading_

    async def _read_(self) -> None:
        source = self._source_
        if source is None:
            return
        if self._thread_ is None:
            self._thread_ = DaemonPool(1, "rtcpeer-player")
        wanted = frozenset(track.kind for track in self._tracks_ if track.is_wanted)
        try:
            pieces = await asyncio.get_running_loop().run_in_executor(self._thread_, source.read, wanted)
        except Exception as error:
            logger.error("the player cannot read on: %s: %s", type(error).__name__, error)
            pieces = None
        if pieces is None:
            self._has_ended_ = True
            return
        for track in self._tracks_:
            if track.kind not in wanted:
                track.give_up()
        for piece in pieces:
            for track in self._tracks_:
                if track.kind == piece.kind and track.kind in wanted:
                    track.keep(piece)

    def forget(self, track: PlayerStreamTrack) -> None:
        """A track was stopped; with the last one the file is closed."""
        if any(one.readyState == "live" for one in self._tracks_ if one is not track):
            return
        source, self._source_ = self._source_, None
        thread, self._thread_ = self._thread_, None
        if source is None:
            return
        source.stop()
        if thread is None:
            source.close()
        else:
            # behind a read that is under way
            thread.submit(source.close)
            thread.shutdown(wait=False)


class PlayerStreamTrack(MediaStreamTrack):
    """A track of a player: frames, or packets where nothing is decoded.

    Attributes:
        store: pieces that were read and not given yet.
    """

    def __init__(self, player: MediaPlayer, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.store: deque[Piece] = deque()
        self._player_: MediaPlayer | None = player
        self._is_read_ = False
        self._is_unwanted_ = False

    @property
    def is_wanted(self) -> bool:
        """Whether it is read, or may yet be read from its beginning; what nobody wants is not decoded."""
        return self.readyState == "live" and (
            self._is_read_ or (not self._is_unwanted_ and self.stored < _UNREAD_MAX)
        )

    @property
    def stored(self) -> float:
        """Seconds in store."""
        return self.store[-1].at - self.store[0].at if self.store else 0.0

    def give_up(self) -> None:
        """Stop for want of readers; whoever reads it later gets what is then."""
        self._is_unwanted_ = True
        self.store.clear()

    def keep(self, piece: Piece) -> None:
        """A piece that was read; the oldest goes when nobody reads."""
        if len(self.store) >= _STORE_MAX:
            self.store.popleft()
        self.store.append(piece)

    async def recv(self) -> Any:
        """The next frame (or packet), when it is time for it.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live" or self._player_ is None:
            raise MediaStreamError
        self._is_read_ = True
        piece = await self._player_.next_piece(self)
        if piece is None or self.readyState != "live":
            self.end()
            raise MediaStreamError
        return piece.content

    def stop(self) -> None:
        """End the track; with the last one of its player the file is closed."""
        super().stop()
        player, self._player_ = self._player_, None
        if player is not None:
            player.forget(self)
