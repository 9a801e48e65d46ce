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

from rtcpeer.aio import TaskSet, start_task
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
        self._name_ = str(file)
        self._container_: OutputContainer | None = av.open(
            file=file, format=format, mode="w", options=dict(options or {})
        )
        self._size_ = size
        # pictures of a chosen size have to be made
        self._transcode_ = transcode if size is None or transcode is False else True
        self._wait_ = wait
        self._inputs_: list[_Input] = []
        self._tasks_ = TaskSet("recorder")
        self._started_ = False
        self._has_begun_ = False  # the file has its streams
        self._origin_: float | None = None  # loop time of the first frame
        self._waiting_: deque[tuple[_Input, Any, float]] = deque()
        self._picture_bytes_ = 0
        self._sound_pieces_ = 0
        self._filled_ = asyncio.Event()
        self._stopping_ = False
        self._finishing_: asyncio.Task[None] | None = None
        self._writer_: asyncio.Task[None] | None = None
        self._timer_: asyncio.TimerHandle | None = None
        self._workers_ = Workers("rtcpeer-recorder", _PATIENCE)
        # whether the thread hangs in the file, so that nobody may touch it
        self._is_stuck_ = False

    def __repr__(self) -> str:
        state = "stopped" if self._container_ is None else "recording" if self._has_begun_ else "waiting"
        return f"<MediaRecorder {self._name_} {state}, {len(self._inputs_)} tracks>"

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
        if self._container_ is None or self._stopping_:
            raise InvalidStateError("the recorder was stopped")
        if any(one.track is track for one in self._inputs_):
            return
        check_kind(self._container_, track.kind)
        if self._has_begun_:
            one = self._free_input_(track.kind)
            one.track, one.ended = track, False
        else:
            one = _Input(track)
            self._inputs_.append(one)
        if self._started_:
            self._tasks_.start(self._pull_(one))

    def _free_input_(self, kind: str) -> _Input:
        """The stream of a track of this kind that has ended."""
        for one in self._inputs_:
            has_stream = one.writer is not None or one.first is not None
            if one.ended and has_stream and one.track.kind == kind:
                return one
        raise InvalidStateError(
            f"the file {self._name_} has begun without this {kind} track: add tracks before start(), or promise more "
            "time with wait="
        )

    async def start(self) -> None:
        """Begin to record what was added; what is added later is recorded too. Calling it again changes nothing.

        Raises:
            InvalidStateError: it was stopped.
        """
        if self._container_ is None or self._stopping_:
            raise InvalidStateError("the recorder was stopped")
        if self._started_:
            return
        self._started_ = True
        self._timer_ = asyncio.get_running_loop().call_later(self._wait_, self._begin_)
        self._writer_ = start_task(self._write_all_(), name="rtcpeer recorder")
        for one in self._inputs_:
            self._tasks_.start(self._pull_(one))

    async def stop(self) -> None:
        """Finish the file. Calling it again waits for that and changes nothing.

        The file is whole even if the caller is cancelled meanwhile, as at Ctrl-C: the cancellation comes afterwards.

        Raises:
            OperationError: the file could not be written to its end; `error` says why.
        """
        again = self._finishing_ is not None
        if self._finishing_ is None:
            assert self._container_ is not None
            self._stopping_ = True
            self._finishing_ = start_task(
                self._finish_all_(self._container_), name="rtcpeer recorder, finishing"
            )
        cancellation = None
        while not self._finishing_.done():
            try:
                await asyncio.wait([self._finishing_])
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            raise cancellation
        if again:
            return
        self._finishing_.result()
        if self.error is not None:
            raise OperationError(f"the recording {self._name_} is not whole: {self.error}") from self.error

    # -- inside ------------------------------------------------------------------------------------

    async def _finish_all_(self, container: OutputContainer) -> None:
        if self._timer_ is not None:
            self._timer_.cancel()
        for one in self._inputs_:
            one.end()  # what has arrived is recorded
        await self._tasks_.done()
        if self._writer_ is not None:
            self._begin_()
            self._filled_.set()
            await self._writer_
        self._container_ = None
        if not self._started_:
            container.close()
        elif not self._is_stuck_:
            await self._in_thread_(self._finish_, container)
        self._workers_.release()
        if not any(one.writer is not None for one in self._inputs_):
            logger.warning("nothing was recorded into %s: no track has given anything", self._name_)

    async def _pull_(self, one: _Input) -> None:
        """Take the frames of one track."""
        if self._stopping_:
            return
        try:
            if self._transcode_ is True or not await self._pull_encoded_(one):
                await self._pull_frames_(one)
        except (TypeError, NotSupportedError) as error:
            self._fail_(error)
        one.ended = True
        self._begin_if_complete_()

    async def _pull_encoded_(self, one: _Input) -> bool:
        """Take what a remote track receives as it comes, over all its receivers; False if it has to be encoded."""
        track = one.track
        assert self._container_ is not None
        if one.is_encoded_here or not isinstance(track, RemoteTrack) or track.control is None:
            self._check_transcoding_(track.kind, "a track of this program")
            return False
        if not holds_any(self._container_):
            self._check_transcoding_(track.kind, "a connection")
            return False
        control = None
        while track.readyState == "live" and not self._stopping_:
            if track.control is control or track.control is None:
                await asyncio.sleep(_RECEIVER_INTERVAL)  # between two connections
                continue
            control = track.control
            reader = one.reader = control.read_encoded()
            async for frame in reader:
                if not self._take_encoded_(one, frame):
                    await reader.aclose()
                    one.reader = None
                    return False
            one.reader = None
        return True

    def _take_encoded_(self, one: _Input, frame: EncodedMediaFrame) -> bool:
        """Record an encoded frame; False if the container does not hold it."""
        codec = codec_of(frame)
        if one.codec is None:
            assert self._container_ is not None
            if not holds(self._container_, codec):
                self._check_transcoding_(one.track.kind, codec)
                return False
            one.codec = codec
        if codec != one.codec:
            raise NotSupportedError(
                f"{self._name_} has {one.codec}, and goes on in {codec}; transcode=True takes both"
            )
        if not getattr(one.track, "enabled", True):
            one.needs_key = isinstance(frame, RTCEncodedVideoFrame)
            return True
        if one.needs_key:
            if isinstance(frame, RTCEncodedVideoFrame) and frame.type != "key":
                return True
            one.needs_key = False
        self._place_(one, frame, float(frame.time * frame.time_base), length_of(frame))
        return True

    def _check_transcoding_(self, kind: str, what: str) -> None:
        if self._transcode_ is False:
            raise NotSupportedError(
                f"{self._name_} cannot hold the {kind} of {what} as it comes: transcode is False"
            )

    def _place_(self, one: _Input, content: Any, at: float | None, length: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._origin_ is None:
            self._origin_ = now
        self._put_(one, content, one.time.place(at, length, now - self._origin_))

    async def _pull_frames_(self, one: _Input) -> None:
        """Take frames, which are encoded here."""
        one.is_encoded_here = True
        if self._stopping_:
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
                self._place_(one, shown, at, length)
        finally:
            subscription.close()
            one.subscription = None

    def _put_(self, one: _Input, frame: Any, at: float) -> None:
        if self.error is not None:
            return
        if one.track.kind == "video":
            if self._picture_bytes_ > _PICTURES_MAX_BYTES:
                self.dropped += 1
                return
            self._picture_bytes_ += _size(frame)
        else:
            if self._sound_pieces_ > _SOUND_MAX:
                self.dropped += 1
                return
            self._sound_pieces_ += 1
        self._waiting_.append((one, frame, at))
        if self._has_begun_:
            self._filled_.set()
        else:
            one.first = one.first or frame
            self._begin_if_complete_()

    def _begin_if_complete_(self) -> None:
        if self._inputs_ and all(one.first is not None or one.ended for one in self._inputs_):
            self._begin_()

    def _begin_(self) -> None:
        """Each track has given something, or it is time: the file has its streams from now on."""
        if self._has_begun_ or not any(one.first is not None for one in self._inputs_):
            return
        self._has_begun_ = True
        for one in self._inputs_:
            if one.first is None:
                logger.warning("%s begins without a %s track that gave nothing", self._name_, one.track.kind)
        self._filled_.set()

    async def _write_all_(self) -> None:
        """Write batches of what waits, in the recorder's thread: the one task that writes."""
        while True:
            await self._filled_.wait()
            self._filled_.clear()
            if not self._stopping_:
                await asyncio.sleep(_BATCH)
            while self._waiting_ and self._has_begun_:
                batch, self._waiting_ = self._waiting_, deque()
                self._picture_bytes_ = self._sound_pieces_ = 0
                while batch:
                    # in steps, as hours of silence take longer than a coder may that does not hang
                    batch = await self._in_thread_(self._write_, batch)
            if self._stopping_:
                return

    async def _in_thread_(self, step: Any, *args: Any) -> Any:
        """The result of a step in the recorder's thread; None if it fails."""
        try:
            if not self._is_stuck_:
                return await self._workers_.run(step, *args)
        except Exception as error:
            self._is_stuck_ = isinstance(error, CoderStuckError)
            self._fail_(error)
        return None

    def _fail_(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
            logger.error("%s cannot be written on: %s: %s", self._name_, type(error).__name__, error)

    # -- in the recorder's thread ------------------------------------------------------------------

    def _write_(self, batch: deque[tuple[_Input, Any, float]]) -> deque[tuple[_Input, Any, float]] | None:
        """Write a batch; the part of it that is left for another step."""
        container = self._container_
        if self.error is not None or container is None:
            return None
        if not any(one.writer is not None for one in self._inputs_):
            batch = self._begin_file_(container, batch)
        while batch:
            one, frame, at = batch[0]
            if one.writer is not None:
                if not one.writer.catch_up(at):
                    return batch
                one.writer.write(frame, at)
            batch.popleft()
        return None

    def _begin_file_(
        self, container: OutputContainer, batch: deque[tuple[_Input, Any, float]]
    ) -> deque[tuple[_Input, Any, float]]:
        """Make the streams of the file; what is to be written, in this order."""
        for one in self._inputs_:
            if one.first is None:
                continue
            if one.codec is None:
                one.writer = make_writer(container, one.track.kind, one.first, self._size_)
            else:
                one.writer = PacketWriter(container, one.first)
        # it opens the coder of each stream, also of those whose packets are written as they came
        with ordinary_scheduling():
            container.start_encoding()
        # a picture first: from its beginning libav learns what the head of the file says of the codec
        heads = [entry for entry in batch if entry[0].codec is not None and entry[1] is entry[0].first]
        heads.sort(key=lambda entry: entry[0].track.kind, reverse=True)
        for one in self._inputs_:
            one.first = None
        return deque([*heads, *(entry for entry in batch if entry not in heads)])

    def _finish_(self, container: OutputContainer) -> None:
        try:
            if self.error is None:
                for one in self._inputs_:
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
