"""RTCRtpScriptTransform: a coroutine between coder and packets, in place of W3C's worker (webrtc-encoded-transform).

A transform is put between encoder and packetizer of a sender, or between depacketizer and decoder of a receiver. It may
change, delay and drop frames; it cannot make, reorder or move them.
Owns: the queue to the coroutine and its task. Never: coders, packets.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, Self

from rtcpeer.aio import Inbox, start_task
from rtcpeer.errors import InvalidStateError
from rtcpeer.media.encoded_frames import EncodedMediaFrame, RTCEncodedVideoFrame
from rtcpeer.media.event_target import Event, EventTarget, fire, handler, has_listeners

logger = logging.getLogger(__name__)

# What a coroutine may leave unread; then the oldest are dropped, as if they had been lost.
UNREAD_MAX = 256
# RFC 8851 section 10
_RID = re.compile(r"[A-Za-z0-9_-]+")


class TransformOwner(Protocol):
    """The sender or receiver that a transform belongs to."""

    kind: str

    @property
    def transforms_sent(self) -> bool:
        """Whether frames are on their way to packets, rather than to the decoder."""

    def write_transformed(self, frame: EncodedMediaFrame) -> None:
        """A frame came out of the transform."""

    def make_keyframe(self, rid: str | None) -> int:
        """Let the encoder make key frames of these layers; gives how many there are."""

    def ask_for_keyframe(self) -> None:
        """Ask the other end for a key frame."""


class FrameTransform(Protocol):
    """Protocol of transforms, as senders and receivers use them."""

    def attach(self, owner: TransformOwner) -> None:
        """Attach to a sender or receiver, for ever."""

    def detach(self) -> asyncio.Future[Any] | None:
        """Detach, as another transform takes its place or its owner has been stopped; gives what is still ending."""

    def take(self, frame: EncodedMediaFrame) -> None:
        """A frame that is to be transformed."""

    def on_keyframe_request(self, rid: str | None) -> bool:
        """The other end asks for a key frame; False if the transform does not want one made."""


class KeyFrameRequestEvent(Event):
    """Somebody at the other end needs a key frame; cancelable."""

    def __init__(self, type: str, rid: str | None = None) -> None:
        super().__init__(type, {"cancelable": True})
        self.rid = rid


class EncodedReadable(AsyncIterator[EncodedMediaFrame]):
    """Frames that come into a transform: ``async for frame in transformer.readable``."""

    def __init__(self) -> None:
        self._inbox: Inbox[EncodedMediaFrame] = Inbox(bound=UNREAD_MAX)

    @property
    def dropped(self) -> int:
        """Frames that were not read in time."""
        return self._inbox.dropped

    def push(self, frame: EncodedMediaFrame) -> None:
        """A frame for the coroutine."""
        self._inbox.put(frame)

    def end(self) -> None:
        """End: no further frame."""
        self._inbox.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EncodedMediaFrame:
        return await self._inbox.get()


class EncodedWritable:
    """The writable side of a transform: ``await transformer.writable.write(frame)``."""

    def __init__(self, write: Callable[[EncodedMediaFrame], None]) -> None:
        self._write = write

    async def write(self, frame: EncodedMediaFrame) -> None:
        """Send the frame on its way; one that is out of order or of another stream is dropped, as W3C has it."""
        self._write(frame)


class RTCRtpScriptTransformer(EventTarget):
    """The argument of the coroutine of an `RTCRtpScriptTransform`: where frames come from and go to.

    Attributes:
        readable: the frames, in order.
        writable: takes them again.
        options: what the transform was made with.

    Events: "keyframerequest" (a `KeyFrameRequestEvent`): the other end needs a key frame of what is sent; unless
        ``preventDefault()`` is called, the encoder makes one.
    """

    onkeyframerequest: handler[KeyFrameRequestEvent] = handler("keyframerequest")

    def __init__(self, options: Any, write: Callable[[EncodedMediaFrame], None]) -> None:
        super().__init__()
        self.options = options
        self.readable: EncodedReadable = EncodedReadable()
        self.writable: EncodedWritable = EncodedWritable(write)
        self._owner: TransformOwner | None = None
        # key frames that somebody waits for: how many are still to come
        self._pending: list[list[Any]] = []

    def bind(self, owner: TransformOwner) -> None:
        """Set whose frames these are (for the transform)."""
        self._owner = owner

    async def generateKeyFrame(self, rid: str | None = None) -> None:
        """Let the encoder make a key frame; ends when it is about to come out of `readable`.

        Args:
            rid: of which layer; None for all.

        Raises:
            InvalidStateError: it is no transform of a sender of video.
            TypeError: `rid` is no rid.
            LookupError: there is no such layer that is sent now (W3C's NotFoundError).
        """
        owner = self._owner
        if owner is None or not owner.transforms_sent or owner.kind != "video":
            raise InvalidStateError("generateKeyFrame() is for transforms of senders of video")
        if rid is not None and (not isinstance(rid, str) or not _RID.fullmatch(rid)):
            raise TypeError(f"rid must be one of RFC 8851, not {rid!r}")
        count = owner.make_keyframe(rid)
        if not count:
            raise LookupError(f"no layer {rid!r} is sent" if rid else "nothing is sent")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append([count, done])
        await done

    async def sendKeyFrameRequest(self) -> None:
        """Ask the other end for a key frame of what is received.

        Raises:
            InvalidStateError: it is no transform of a receiver of video.
        """
        owner = self._owner
        if owner is None or owner.transforms_sent or owner.kind != "video":
            raise InvalidStateError("sendKeyFrameRequest() is for transforms of receivers of video")
        owner.ask_for_keyframe()

    def take(self, frame: EncodedMediaFrame) -> None:
        """Take a frame (for the transform)."""
        if self._pending and isinstance(frame, RTCEncodedVideoFrame) and frame.type == "key":
            for pending in self._pending:
                pending[0] -= 1
                if pending[0] <= 0 and not pending[1].done():
                    pending[1].set_result(None)
            self._pending = [pending for pending in self._pending if pending[0] > 0]
        self.readable.push(frame)

    def close(self) -> None:
        """Close: no frame comes any more (for the transform)."""
        self.readable.end()
        for _count, done in self._pending:
            if not done.done():
                done.set_exception(InvalidStateError("the transform is not in use any more"))
        self._pending = []


class RTCRtpScriptTransform:
    """A transform by a coroutine of the program.

    For example::

        async def invert(transformer):
            async for frame in transformer.readable:
                frame.data = bytes(255 - byte for byte in frame.data)
                await transformer.writable.write(frame)

        sender.transform = RTCRtpScriptTransform(invert)

    The coroutine begins when the transform is given to a sender or receiver, and ends with it; what it raises goes to
    the log, and nothing is sent or decoded after that until another transform, or None, is set.

    Args:
        script: called with an `RTCRtpScriptTransformer`; stands in for W3C's worker and its "rtctransform" event.
        options: for the coroutine, as `transformer.options`.

    Raises:
        TypeError: `script` cannot be called.
    """

    def __init__(
        self, script: Callable[[RTCRtpScriptTransformer], Coroutine[Any, Any, None]], options: Any = None
    ) -> None:
        if not callable(script):
            raise TypeError(f"a transform is made of a coroutine function, not {script!r}")
        self._script = script
        self._transformer = RTCRtpScriptTransformer(options, self._write)
        self._owner: TransformOwner | None = None
        self._task: asyncio.Task[None] | None = None

    def attach(self, owner: TransformOwner) -> None:
        """Implements `FrameTransform.attach`.

        Raises:
            InvalidStateError: it has an owner already.
        """
        if self._owner is not None:
            raise InvalidStateError("a transform belongs to one sender or receiver: make another one")
        self._owner = owner
        self._transformer.bind(owner)
        self._task = start_task(self._run())

    def detach(self) -> asyncio.Future[Any] | None:
        """Implements `FrameTransform.detach`."""
        self._transformer.close()
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
        return task

    def take(self, frame: EncodedMediaFrame) -> None:
        """Implements `FrameTransform.take`."""
        self._transformer.take(frame)

    def on_keyframe_request(self, rid: str | None) -> bool:
        """Implements `FrameTransform.on_keyframe_request`."""
        if not has_listeners(self._transformer, "keyframerequest"):
            return True
        return fire(self._transformer, KeyFrameRequestEvent("keyframerequest", rid))

    async def _run(self) -> None:
        try:
            await self._script(self._transformer)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("the coroutine of a transform failed: nothing passes any more")

    def _write(self, frame: EncodedMediaFrame) -> None:
        if self._owner is not None and self._task is not None:
            self._owner.write_transformed(frame)
