"""Text and byte streams of a LiveKit room: long messages in pieces, over reliable data packets.

Owns: the streams that arrive and have not ended, the handlers by topic, the writers. Never: a channel; packets come
from the room and go to it.

A stream has a header, chunks that are numbered from 0, and a trailer. A stream whose topic has a handler is given to it
with its header; any other one becomes a message of the call when it is whole.
"""

from __future__ import annotations

import asyncio
import mimetypes
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final, Self

from rtcpeer.errors import InvalidStateError, NetworkError
from rtcpeer.records import record
from rtcpeer.signaling.livekit.messages import MessageError, models

# The content of one chunk, in bytes.
CHUNK_MAX: Final = 15_000
# Streams that may be open at a time, and what one may keep unread, in bytes.
OPEN_MAX: Final = 64
UNREAD_MAX: Final = 4 << 20
_TEXT: Final = "text/plain"
_BYTES: Final = "application/octet-stream"

Handler = Callable[["IncomingStream"], Awaitable[None] | None]
SendPacket = Callable[[models.DataPacket, list[str]], Coroutine[Any, Any, None]]


@record(frozen=True, slots=True)
class StreamInfo:
    """The header of a stream.

    Attributes:
        id: unique.
        topic: what it is about; the handler is chosen by it.
        is_text: whether it carries text.
        timestamp: when it began, in milliseconds since 1970.
        mime_type: of the content.
        size: of the content in bytes; None: the sender did not know.
        name: of a file; "" for text.
        attributes: further texts by name.
        reply_to: the id of the stream that it answers; "" if none.
    """

    id: str
    topic: str
    is_text: bool
    timestamp: int
    mime_type: str
    size: int | None = None
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    reply_to: str = ""


class IncomingStream(AsyncIterator[Any]):
    """A stream that arrives: iterate over its pieces, text or bytes, or `read` the whole.

    Attributes:
        info: its header.
        sender: identity of the participant.
    """

    def __init__(self, info: StreamInfo, sender: str) -> None:
        self.info = info
        self.sender = sender
        self.attributes: dict[str, str] = dict(info.attributes)
        self._arrived: deque[bytes] = deque()
        self._unread = 0
        self._next = 0
        self._received = 0
        self._rest = b""  # of a character that is not whole yet
        self._changed = asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    def __repr__(self) -> str:
        kind = "text" if self.info.is_text else "bytes"
        return f"<IncomingStream {self.info.topic!r} {kind} of {self.sender}, {self._received} bytes>"

    async def __anext__(self) -> Any:
        """The next piece.

        Raises:
            NetworkError: it ended before it was whole.
        """
        while not self._arrived:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        piece = self._arrived.popleft()
        self._unread -= len(piece)
        return piece.decode(errors="replace") if self.info.is_text else piece

    async def read(self) -> Any:
        """Everything, as text or bytes, when it has ended; raises as iterating does."""
        pieces = [piece async for piece in self]
        return "".join(pieces) if self.info.is_text else b"".join(pieces)

    # -- for the streams -------------------------------------------------------------------------------

    def whole(self) -> Any:
        """Everything that has arrived and was not read; None when it is not whole."""
        if self._error is not None or not self._is_over:
            return None
        content = b"".join(self._arrived)
        return content.decode(errors="replace") if self.info.is_text else content

    def put(self, chunk: models.DataStream.Chunk) -> None:
        """A chunk; one that was there before is passed over.

        Raises:
            MessageError: one is missing before it, or too much is unread.
        """
        if chunk.chunk_index < self._next:
            return
        if chunk.chunk_index > self._next:
            raise MessageError(f"chunk {chunk.chunk_index} of a stream came before {self._next}")
        self._next += 1
        self._received += len(chunk.content)
        content = self._rest + chunk.content
        self._rest = b""
        if self.info.is_text:
            whole = _whole_characters(content)
            content, self._rest = content[:whole], content[whole:]
        if self._unread + len(content) > UNREAD_MAX:
            raise MessageError(f"a stream has more than {UNREAD_MAX} bytes that nobody reads")
        if content:
            self._arrived.append(content)
            self._unread += len(content)
            self._changed.set()

    def end(self, trailer: models.DataStream.Trailer) -> None:
        """The trailer has come."""
        self.attributes.update(trailer.attributes)
        if trailer.reason:
            self.fail(f"the sender has ended it: {trailer.reason[:200]}")
        elif self._rest or self.info.size not in (None, self._received):
            self.fail(f"{self._received} of {self.info.size} bytes have come")
        else:
            self._is_over = True
            self._changed.set()

    def fail(self, why: str) -> None:
        """End the stream with an error: it will not be whole."""
        if not self._is_over and self._error is None:
            self._error = NetworkError(f"the stream {self.info.id!r} ended too early: {why}", fault="remote")
            self._changed.set()


class StreamWriter:
    """A stream that we send; `async with` ends it.

    Attributes:
        info: its header.
    """

    def __init__(self, info: StreamInfo, to: list[str], send: SendPacket) -> None:
        self.info = info
        self._to = to
        self._send = send
        self._next = 0
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.close(reason="" if kind is None else "the sender has failed")

    async def write(self, data: str | bytes) -> None:
        """Send a piece; it waits while too much is on its way.

        Raises:
            TypeError: text in a stream of bytes, or the contrary.
            InvalidStateError: it is closed.
            NetworkError, RTCTimeoutError: there is no connection.
        """
        if isinstance(data, str) is not self.info.is_text:
            raise TypeError(
                f"this stream carries {'text' if self.info.is_text else 'bytes'}, not {type(data).__name__}"
            )
        if self._is_closed:
            raise InvalidStateError("the stream is closed")
        for piece in _pieces(data.encode() if isinstance(data, str) else data, self.info.is_text):
            chunk = models.DataStream.Chunk(stream_id=self.info.id, chunk_index=self._next, content=piece)
            self._next += 1
            await self._send(models.DataPacket(stream_chunk=chunk), self._to)

    async def close(self, *, reason: str = "", attributes: Mapping[str, str] | None = None) -> None:
        """End it. Idempotent.

        Args:
            reason: why it is not whole; "" if it is.
            attributes: what is to be added to those of the header.
        """
        if not self._is_closed:
            self._is_closed = True
            trailer = models.DataStream.Trailer(
                stream_id=self.info.id, reason=reason, attributes=attributes or {}
            )
            await self._send(models.DataPacket(stream_trailer=trailer), self._to)


class LiveKitStreams:
    """The streams of a room; `LiveKitRoom.streams`.

    Args:
        send: sends a packet reliably, to these identities or (none) to all; waits while too much is on its way.
        message: called with the sender, the content and the topic of a stream without a handler.
        spawn: begins a task of the call.
        ignored: counts what makes no sense.
    """

    def __init__(
        self,
        send: SendPacket,
        message: Callable[[str, Any, str], object],
        spawn: Callable[[Coroutine[Any, Any, Any], str], object],
        ignored: Callable[[str, object], object],
    ) -> None:
        self._send = send
        self._message = message
        self._spawn = spawn
        self._ignored = ignored
        self._open: dict[tuple[str, str], IncomingStream] = {}
        self._collected: set[IncomingStream] = set()  # those without a handler
        self._handlers: dict[tuple[bool, str], Handler] = {}

    def on_text(self, topic: str, handler: Handler | None) -> None:
        """Give text streams of a topic to a handler, a function or a coroutine function; None: no more."""
        self._register(True, topic, handler)

    def on_bytes(self, topic: str, handler: Handler | None) -> None:
        """Give byte streams of a topic to a handler; None: no more."""
        self._register(False, topic, handler)

    def _register(self, is_text: bool, topic: str, handler: Handler | None) -> None:
        if handler is None:
            self._handlers.pop((is_text, topic), None)
        elif (is_text, topic) in self._handlers:
            raise InvalidStateError(f"there is a handler of the topic {topic!r} already")
        else:
            self._handlers[is_text, topic] = handler

    # -- sending ---------------------------------------------------------------------------------------

    async def send_text(
        self, text: str, *, topic: str = "", to: Iterable[str] = (), **more: Any
    ) -> StreamInfo:
        """Send a text of any length; further keywords as of `open_text`."""
        async with await self.open_text(topic=topic, to=to, size=len(text.encode()), **more) as writer:
            await writer.write(text)
        return writer.info

    async def send_file(
        self, path: str | Path, *, topic: str = "", to: Iterable[str] = (), **more: Any
    ) -> StreamInfo:
        """Send a file; further keywords as of `open_bytes`.

        Raises:
            OSError: it cannot be read.
        """
        path = Path(path)
        size = (await asyncio.to_thread(path.stat)).st_size
        more.setdefault("mime_type", mimetypes.guess_type(path.name)[0] or _BYTES)
        file = await asyncio.to_thread(path.open, "rb")
        try:
            async with await self.open_bytes(path.name, topic=topic, to=to, size=size, **more) as writer:
                while piece := await asyncio.to_thread(file.read, CHUNK_MAX):
                    await writer.write(piece)
        finally:
            file.close()
        return writer.info

    async def open_text(
        self,
        *,
        topic: str = "",
        to: Iterable[str] = (),
        size: int | None = None,
        attributes: Mapping[str, str] | None = None,
        reply_to: str = "",
        id: str | None = None,
    ) -> StreamWriter:
        """Begin a text stream.

        Args:
            topic: what it is about.
            to: identities; none: all.
            size: in bytes, if it is known.
            attributes: further texts by name.
            reply_to: the id of the stream that it answers.
            id: of the stream; drawn by default.
        """
        text = models.DataStream.TextHeader(
            operation_type=models.DataStream.OperationType.CREATE, reply_to_stream_id=reply_to
        )
        info = StreamInfo(
            id or str(uuid.uuid4()),
            topic,
            True,
            int(time.time() * 1000),
            _TEXT,
            size,
            "",
            attributes or {},
            reply_to,
        )
        return await self._begin(info, list(to), text_header=text)

    async def open_bytes(
        self,
        name: str = "",
        *,
        topic: str = "",
        to: Iterable[str] = (),
        size: int | None = None,
        mime_type: str = _BYTES,
        attributes: Mapping[str, str] | None = None,
        id: str | None = None,
    ) -> StreamWriter:
        """Begin a byte stream.

        Args:
            name: of the file, if it is one.
            topic, to, size, attributes, id: as of `open_text`.
            mime_type: of the content.
        """
        info = StreamInfo(
            id or str(uuid.uuid4()),
            topic,
            False,
            int(time.time() * 1000),
            mime_type,
            size,
            name,
            attributes or {},
        )
        return await self._begin(info, list(to), byte_header=models.DataStream.ByteHeader(name=name))

    async def _begin(self, info: StreamInfo, to: list[str], **content: Any) -> StreamWriter:
        header = models.DataStream.Header(
            stream_id=info.id,
            timestamp=info.timestamp,
            topic=info.topic,
            mime_type=info.mime_type,
            total_length=info.size,
            attributes=dict(info.attributes),
            **content,
        )
        await self._send(models.DataPacket(stream_header=header), to)
        return StreamWriter(info, to, self._send)

    # -- receiving -------------------------------------------------------------------------------------

    def take(self, sender: str, packet: models.DataPacket) -> None:
        """Take a packet of a stream (for the room).

        Raises:
            MessageError: it makes no sense.
        """
        kind = packet.WhichOneof("value")
        if kind == "stream_header":
            self._take_header(sender, packet.stream_header)
            return
        part: Any = packet.stream_chunk if kind == "stream_chunk" else packet.stream_trailer
        stream = self._open.get((sender, part.stream_id))
        if stream is None:
            raise MessageError("a part of a stream that has not begun")
        if kind == "stream_trailer":
            del self._open[sender, part.stream_id]
            stream.end(part)
            if stream in self._collected:
                self._collected.discard(stream)
                if (content := stream.whole()) is not None:
                    self._message(sender, content, stream.info.topic)
                else:
                    self._ignored("stream", "not whole")
            return
        try:
            stream.put(part)
        except MessageError as error:
            del self._open[sender, part.stream_id]
            self._collected.discard(stream)
            stream.fail(str(error))
            raise

    def _take_header(self, sender: str, header: models.DataStream.Header) -> None:
        if len(self._open) >= OPEN_MAX or not header.stream_id or (sender, header.stream_id) in self._open:
            raise MessageError("a stream too many, without an id or twice")
        is_text = header.HasField("text_header")
        info = StreamInfo(
            header.stream_id,
            header.topic,
            is_text,
            header.timestamp,
            header.mime_type,
            header.total_length if header.HasField("total_length") else None,
            header.byte_header.name,
            dict(header.attributes),
            header.text_header.reply_to_stream_id,
        )
        stream = self._open[sender, header.stream_id] = IncomingStream(info, sender)
        handler = self._handlers.get((is_text, header.topic))
        if handler is None:
            self._collected.add(stream)
        else:
            self._spawn(self._handle(handler, stream), f"LiveKit: stream {header.topic}")

    async def _handle(self, handler: Handler, stream: IncomingStream) -> None:
        try:
            doing = handler(stream)
            if doing is not None:
                await doing
        except NetworkError as error:
            self._ignored("stream", error)

    def gone(self, sender: str) -> None:
        """A participant has left: its streams end."""
        for key in [key for key in self._open if key[0] == sender]:
            stream = self._open.pop(key)
            self._collected.discard(stream)
            stream.fail("the sender has left")

    def close(self) -> None:
        """The call is over."""
        for stream in self._open.values():
            stream.fail("the call is over")
        self._open.clear()
        self._collected.clear()


def _pieces(data: bytes, is_text: bool) -> list[bytes]:
    """Chunks of it; text is cut between characters."""
    found, at = [], 0
    while at < len(data):
        end = min(at + CHUNK_MAX, len(data))
        if is_text and end < len(data):
            while data[end] & 0xC0 == 0x80:
                end -= 1
        found.append(data[at:end])
        at = end
    return found


def _whole_characters(data: bytes) -> int:
    """How many bytes of UTF-8 make whole characters."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = (
            1
            if byte < 0x80
            else 2
            if byte >> 5 == 6
            else 3
            if byte >> 4 == 14
            else 4
            if byte >> 3 == 30
            else 1
        )
        return len(data) - back if length > back else len(data)
    return len(data)
