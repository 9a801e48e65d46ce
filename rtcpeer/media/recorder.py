"""MediaRecorder: tracks into a file that is whole, and as long as the call.

Owns: which tracks are recorded, the time line of the file, the task and the thread that write it. Never: the coders
(`file_streams`), the life of a track.

Theory of operation. A container must know all its streams, and the size of pictures, before the first byte is written.
So the file begins when each track has given something, or after `wait` seconds; what came before that is kept. Frames
are placed on the file's own time line (`file_time`) when they arrive, and written by one thread of the recorder's, in
batches. A coder that is too slow costs pictures, never sound, and the loop nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, Self

import av
from av import AudioFrame, VideoFrame
from av.container import OutputContainer

from rtcpeer.aio import TaskSet
from rtcpeer.errors import InvalidStateError, NotSupportedError, OperationError
from rtcpeer.media.encoded_frames import EncodedFrameReader, EncodedMediaFrame, RTCEncodedVideoFrame
from rtcpeer.media.file_streams import TrackWriter, check_kind, make_writer
from rtcpeer.media.file_time import FileTime
from rtcpeer.media.frames import blank
from rtcpeer.media.packet_streams import PacketWriter, codec_of, holds, holds_any, length_of
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.media.source import Track, TrackSource, TrackSubscription
from rtcpeer.media.track import RemoteTrack
from rtcpeer.media.workers import CoderStuckError, Workers

logger = logging.getLogger(__name__)

# Seconds after `start` for which the file waits for tracks that have given nothing yet
WAIT = 5.0
# Frames are written together with those of so many seconds
_BATCH = 0.2
# A batch that takes longer than this, in seconds, never ends
_PATIENCE = 60.0
# How often a track between two connections is looked at, in seconds
_RECEIVER_INTERVAL = 0.1
# What may wait for the writer: bytes of pictures, pieces of sound (a minute)
_PICTURES_MAX_BYTES = 128 * 1024 * 1024
_SOUND_MAX = 3000


class MediaRecorder:
    """Writes tracks into a file.

        recorder = MediaRecorder("call.mkv")
        pc.ontrack = lambda event: recorder.addTrack(event.track)
        await recorder.start()
        ...
        await recorder.stop()

    The file has one time line that begins with the first frame and only rises, whatever the times of the tracks do.
    Silence stands where there was no sound. Pictures of another size than the first ones are fitted into that. A
    track that outlives its connection (`SupervisedPeer`) is recorded on after the pause; a track that is added in
    place of one that has ended goes on in its stream.

    Args:
        file: a path, or an object with ``write``.
        format: of the container; None: by the name of the file.
        options: for libav's muxer.
        size: width and height of the pictures in the file; None: those of the first picture.
        transcode: "auto": what the container holds is written as it came, without decoding: VP8, VP9, AV1, H.264, H.265
            and Opus of remote tracks in MKV, WebM and MP4 (of VP9 and VP8 MKV and WebM). Other tracks are encoded.
            True: everything is encoded: pictures of other sizes are fitted in. False: nothing is; what would have to
            be makes the recording fail.
        wait: how many seconds the file waits for tracks that were added and have given nothing yet. After that it
            begins without them, and that is logged.

    Attributes:
        dropped: pictures and pieces of sound that came faster than they could be written.
        error: why nothing more is written; None while all is well.

    Raises:
        FFmpegError: libav cannot write this file or format.
    """

    def __init__(
        self,
        file: Any,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        *,
        size: tuple[int, int] | None = None,
        transcode: bool | Literal["auto"] = "auto",
        wait: float = WAIT,
    ) -> None:
        self.dropped: int = 0
        self.error: Exception | None = None
        self._name = str(file)
        self._container: OutputContainer | None = av.open(
            file=file, format=format, mode="w", options=dict(options or {})
        )
        self._size = size
        # pictures of a chosen size have to be made
        self._transcode = transcode if size is None or transcode is False else True
        self._wait = wait
        self._inputs: list[_Input] = []
        self._tasks = TaskSet("recorder")
        self._started = False
        self._has_begun = False  # the file has its streams
        self._origin: float | None = None  # loop time of the first frame
        self._waiting: deque[tuple[_Input, Any, float]] = deque()
        self._picture_bytes = 0
        self._sound_pieces = 0
        self._filled = asyncio.Event()
        self._stopping = False
        self._finishing: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._workers = Workers("rtcpeer-recorder", _PATIENCE)
        # whether the thread hangs in the file, so that nobody may touch it
        self._is_stuck = False

    def __repr__(self) -> str:
        state = "stopped" if self._container is None else "recording" if self._has_begun else "waiting"
        return f"<MediaRecorder {self._name} {state}, {len(self._inputs)} tracks>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def addTrack(self, track: Track) -> None:
        """Record a track, from `start` on.

        Args:
            track: any track; its user goes on reading it if he does.

        Raises:
            InvalidStateError: it was stopped, or the file has begun and has no stream that this track could go on with.
            NotSupportedError: the container cannot hold this kind.
        """
        if self._container is None or self._stopping:
            raise InvalidStateError("the recorder was stopped")
        if any(one.track is track for one in self._inputs):
            return
        check_kind(self._container, track.kind)
        if self._has_begun:
            one = self._free_input(track.kind)
            one.track, one.ended = track, False
        else:
            one = _Input(track)
            self._inputs.append(one)
        if self._started:
            self._tasks.start(self._pull(one))

    def _free_input(self, kind: str) -> _Input:
        """The stream of a track of this kind that has ended."""
        for one in self._inputs:
            has_stream = one.writer is not None or one.first is not None
            if one.ended and has_stream and one.track.kind == kind:
                return one
        raise InvalidStateError(
            f"the file {self._name} has begun without this {kind} track: add tracks before start(), or promise more "
            "time with wait="
        )

    async def start(self) -> None:
        """Begin to record what was added; what is added later is recorded too. Calling it again changes nothing.

        Raises:
            InvalidStateError: it was stopped.
        """
        if self._container is None or self._stopping:
            raise InvalidStateError("the recorder was stopped")
        if self._started:
            return
        self._started = True
        self._timer = asyncio.get_running_loop().call_later(self._wait, self._begin)
        self._writer = asyncio.get_running_loop().create_task(self._write_all(), name="rtcpeer recorder")
        for one in self._inputs:
            self._tasks.start(self._pull(one))

    async def stop(self) -> None:
        """Finish the file. Calling it again waits for that and changes nothing.

        The file is whole even if the caller is cancelled meanwhile, as at Ctrl-C: the cancellation comes afterwards.

        Raises:
            OperationError: the file could not be written to its end; `error` says why.
        """
        again = self._finishing is not None
        if self._finishing is None:
            assert self._container is not None
            self._stopping = True
            self._finishing = asyncio.get_running_loop().create_task(
                self._finish_all(self._container), name="rtcpeer recorder, finishing"
            )
        cancellation = None
        while not self._finishing.done():
            try:
                await asyncio.wait([self._finishing])
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            raise cancellation
        if again:
            return
        self._finishing.result()
        if self.error is not None:
            raise OperationError(f"the recording {self._name} is not whole: {self.error}") from self.error

    # -- inside ------------------------------------------------------------------------------------

    async def _finish_all(self, container: OutputContainer) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for one in self._inputs:
            one.end()  # what has arrived is recorded
        await self._tasks.done()
        if self._writer is not None:
            self._begin()
            self._filled.set()
            await self._writer
        self._container = None
        if not self._started:
            container.close()
        elif not self._is_stuck:
            await self._in_thread(self._finish, container)
        self._workers.release()
        if not any(one.writer is not None for one in self._inputs):
            logger.warning("nothing was recorded into %s: no track has given anything", self._name)

    async def _pull(self, one: _Input) -> None:
        """Take the frames of one track."""
        if self._stopping:
            return
        try:
            if self._transcode is True or not await self._pull_encoded(one):
                await self._pull_frames(one)
        except (TypeError, NotSupportedError) as error:
            self._fail(error)
        one.ended = True
        self._begin_if_complete()

    async def _pull_encoded(self, one: _Input) -> bool:
        """Take what a remote track receives as it comes, over all its receivers; False if it has to be encoded."""
        track = one.track
        assert self._container is not None
        if one.is_encoded_here or not isinstance(track, RemoteTrack) or track.control is None:
            self._check_transcoding(track.kind, "a track of this program")
            return False
        if not holds_any(self._container):
            self._check_transcoding(track.kind, "a connection")
            return False
        control = None
        while track.readyState == "live" and not self._stopping:
            if track.control is control or track.control is None:
                await asyncio.sleep(_RECEIVER_INTERVAL)  # between two connections
                continue
            control = track.control
            reader = one.reader = control.read_encoded()
            async for frame in reader:
                if not self._take_encoded(one, frame):
                    await reader.aclose()
                    one.reader = None
                    return False
            one.reader = None
        return True

    def _take_encoded(self, one: _Input, frame: EncodedMediaFrame) -> bool:
        """Record an encoded frame; False if the container does not hold it."""
        codec = codec_of(frame)
        if one.codec is None:
            assert self._container is not None
            if not holds(self._container, codec):
                self._check_transcoding(one.track.kind, codec)
                return False
            one.codec = codec
        if codec != one.codec:
            raise NotSupportedError(
                f"{self._name} has {one.codec}, and goes on in {codec}; transcode=True takes both"
            )
        if not getattr(one.track, "enabled", True):
            one.needs_key = isinstance(frame, RTCEncodedVideoFrame)
            return True
        if one.needs_key:
            if isinstance(frame, RTCEncodedVideoFrame) and frame.type != "key":
                return True
            one.needs_key = False
        self._place(one, frame, float(frame.time * frame.time_base), length_of(frame))
        return True

    def _check_transcoding(self, kind: str, what: str) -> None:
        if self._transcode is False:
            raise NotSupportedError(
                f"{self._name} cannot hold the {kind} of {what} as it comes: transcode is False"
            )

    def _place(self, one: _Input, content: Any, at: float | None, length: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._origin is None:
            self._origin = now
        self._put(one, content, one.time.place(at, length, now - self._origin))

    async def _pull_frames(self, one: _Input) -> None:
        """Take frames, which are encoded here."""
        one.is_encoded_here = True
        if self._stopping:
            return
        subscription = one.subscription = TrackSource.of(one.track).subscribe(patient=True)
        try:
            while (frame := await subscription.get()) is not None:
                if not isinstance(frame, AudioFrame | VideoFrame):
                    raise TypeError(
                        f"a track gave {type(frame).__name__}: audio and video frames can be recorded"
                    )
                if isinstance(frame, AudioFrame):
                    if not frame.samples:
                        continue
                    if not frame.sample_rate:
                        raise TypeError("a track gave sound without sample_rate: set it to samples a second")
                shown: Any = frame if getattr(one.track, "enabled", True) else blank(frame)
                at = float(shown.pts * shown.time_base) if shown.pts is not None and shown.time_base else None
                length = shown.samples / shown.sample_rate if isinstance(shown, AudioFrame) else 0.0
                self._place(one, shown, at, length)
        finally:
            subscription.close()
            one.subscription = None

    def _put(self, one: _Input, frame: Any, at: float) -> None:
        if self.error is not None:
            return
        if one.track.kind == "video":
            if self._picture_bytes > _PICTURES_MAX_BYTES:
                self.dropped += 1
                return
            self._picture_bytes += _size(frame)
        else:
            if self._sound_pieces > _SOUND_MAX:
                self.dropped += 1
                return
            self._sound_pieces += 1
        self._waiting.append((one, frame, at))
        if self._has_begun:
            self._filled.set()
        else:
            one.first = one.first or frame
            self._begin_if_complete()

    def _begin_if_complete(self) -> None:
        if self._inputs and all(one.first is not None or one.ended for one in self._inputs):
            self._begin()

    def _begin(self) -> None:
        """Each track has given something, or it is time: the file has its streams from now on."""
        if self._has_begun or not any(one.first is not None for one in self._inputs):
            return
        self._has_begun = True
        for one in self._inputs:
            if one.first is None:
                logger.warning("%s begins without a %s track that gave nothing", self._name, one.track.kind)
        self._filled.set()

    async def _write_all(self) -> None:
        """Write batches of what waits, in the recorder's thread: the one task that writes."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            if not self._stopping:
                await asyncio.sleep(_BATCH)
            while self._waiting and self._has_begun:
                batch, self._waiting = self._waiting, deque()
                self._picture_bytes = self._sound_pieces = 0
                while batch:
                    # in steps, as hours of silence take longer than a coder may that does not hang
                    batch = await self._in_thread(self._write, batch)
            if self._stopping:
                return

    async def _in_thread(self, step: Any, *args: Any) -> Any:
        """The result of a step in the recorder's thread; None if it fails."""
        try:
            if not self._is_stuck:
                return await self._workers.run(step, *args)
        except Exception as error:
            self._is_stuck = isinstance(error, CoderStuckError)
            self._fail(error)
        return None

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
            logger.error("%s cannot be written on: %s: %s", self._name, type(error).__name__, error)

    # -- in the recorder's thread ------------------------------------------------------------------

    def _write(self, batch: deque[tuple[_Input, Any, float]]) -> deque[tuple[_Input, Any, float]] | None:
        """Write a batch; the part of it that is left for another step."""
        container = self._container
        if self.error is not None or container is None:
            return None
        if not any(one.writer is not None for one in self._inputs):
            batch = self._begin_file(container, batch)
        while batch:
            one, frame, at = batch[0]
            if one.writer is not None:
                if not one.writer.catch_up(at):
                    return batch
                one.writer.write(frame, at)
            batch.popleft()
        return None

    def _begin_file(
        self, container: OutputContainer, batch: deque[tuple[_Input, Any, float]]
    ) -> deque[tuple[_Input, Any, float]]:
        """Make the streams of the file; what is to be written, in this order."""
        for one in self._inputs:
            if one.first is None:
                continue
            if one.codec is None:
                one.writer = make_writer(container, one.track.kind, one.first, self._size)
            else:
                one.writer = PacketWriter(container, one.first)
        # it opens the coder of each stream, also of those whose packets are written as they came
        with ordinary_scheduling():
            container.start_encoding()
        # a picture first: from its beginning libav learns what the head of the file says of the codec
        heads = [entry for entry in batch if entry[0].codec is not None and entry[1] is entry[0].first]
        heads.sort(key=lambda entry: entry[0].track.kind, reverse=True)
        for one in self._inputs:
            one.first = None
        return deque([*heads, *(entry for entry in batch if entry not in heads)])

    def _finish(self, container: OutputContainer) -> None:
        try:
            if self.error is None:
                for one in self._inputs:
                    if one.writer is not None:
                        one.writer.finish()
        finally:
            container.close()


class _Input:
    """A track and its stream in the file."""

    __slots__ = (
        "codec",
        "ended",
        "first",
        "is_encoded_here",
        "needs_key",
        "reader",
        "subscription",
        "time",
        "track",
        "writer",
    )

    def __init__(self, track: Track) -> None:
        self.track = track
        self.ended = False
        self.subscription: TrackSubscription | None = None
        self.reader: EncodedFrameReader | None = None
        # what it is written as, without a coder; None: it is encoded here
        self.codec: str | None = None
        self.is_encoded_here = False
        self.needs_key = False
        # the first frame, until the stream is made of it
        self.first: Any = None
        self.writer: TrackWriter | None = None
        # a picture is at least a tick of any container's clock (1 ms) after the one before
        self.time = FileTime(0.001 if track.kind == "video" else 0.0)

    def end(self) -> None:
        """Take what has come, and no more."""
        if self.subscription is not None:
            self.subscription.end()
        if self.reader is not None:
            self.reader.end()


def _size(content: Any) -> int:
    """Bytes of a picture, encoded or not."""
    if isinstance(content, VideoFrame):
        return sum(plane.buffer_size for plane in content.planes)
    return len(content.data)
