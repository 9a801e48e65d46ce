"""Text and byte streams: pieces, bounds, ends; what a sender does wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rtcpeer.calls.livekit", reason="the extra livekit is not installed")

from rtcpeer.calls.livekit.streams import (
    CHUNK_MAX,
    OPEN_MAX,
    UNREAD_MAX,
    IncomingStream,
    LiveKitStreams,
)
from rtcpeer.errors import InvalidStateError, NetworkError
from rtcpeer.signaling.livekit.messages import MessageError, models

DataStream = models.DataStream


class Pair:
    """Streams whose packets arrive at themselves, from "alice"; handlers run when the loop is given a turn."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, list[str]]] = []
        self.messages: list[tuple[str, Any, str]] = []
        self.ignored: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.loop = True
        self.streams = LiveKitStreams(
            self._send,
            lambda *message: self.messages.append(message),
            lambda coroutine, _: self.tasks.append(asyncio.ensure_future(coroutine)),
            lambda what, _: self.ignored.append(what),
        )

    async def _send(self, packet: Any, to: list[str]) -> None:
        self.sent.append((packet, to))
        if self.loop:
            self.streams.take("alice", models.DataPacket.FromString(packet.SerializeToString()))


async def test_a_text_without_a_handler_is_a_message() -> None:
    pair = Pair()
    text = "ä€😀x" * 9000  # characters of one to four bytes, cut between them
    info = await pair.streams.send_text(text, topic="chat", to=["bob"], attributes={"a": "1"}, reply_to="r")
    assert pair.messages == [("alice", text, "chat")]
    assert info.size == len(text.encode())
    chunks = [p.stream_chunk for p, _ in pair.sent if p.HasField("stream_chunk")]
    assert [c.chunk_index for c in chunks] == list(range(len(chunks)))
    assert max(len(c.content) for c in chunks) <= CHUNK_MAX
    assert "".join(c.content.decode() for c in chunks) == text
    assert {tuple(to) for _, to in pair.sent} == {("bob",)}
    assert pair.sent[0][0].stream_header.text_header.reply_to_stream_id == "r"


async def test_handlers_get_pieces_as_they_come(tmp_path: Path) -> None:
    pair = Pair()
    heard: list[Any] = []

    async def handler(stream: IncomingStream) -> None:
        heard.append((stream.info.topic, stream.info.name, stream.info.mime_type, stream.sender))
        heard.extend([piece async for piece in stream])
        heard.append(dict(stream.attributes))

    pair.streams.on_text("t", handler)
    pair.streams.on_bytes("t", handler)
    with pytest.raises(InvalidStateError):
        pair.streams.on_text("t", handler)
    async with await pair.streams.open_text(topic="t", attributes={"a": "1"}) as writer:
        await writer.write("one ")
        await asyncio.sleep(0)
        await writer.write("two")
        with pytest.raises(TypeError, match="carries text"):
            await writer.write(b"bytes")
        await writer.close(attributes={"b": "2"})
        await writer.close()
        with pytest.raises(InvalidStateError):
            await writer.write("three")
    await asyncio.gather(*pair.tasks)
    assert heard == [("t", "", "text/plain", "alice"), "one ", "two", {"a": "1", "b": "2"}]
    heard.clear()
    file = tmp_path / "film.txt"
    file.write_bytes(b"x" * 40_000)
    await pair.streams.send_file(file, topic="t")
    await asyncio.gather(*pair.tasks)
    assert heard[0] == ("t", "film.txt", "text/plain", "alice")
    assert b"".join(heard[1:-1]) == b"x" * 40_000
    pair.streams.on_text("t", None)
    await pair.streams.send_text("message", topic="t")
    assert pair.messages[-1] == ("alice", "message", "t")


async def test_streams_that_are_not_whole() -> None:
    """The reader raises, a message is not told."""
    pair = Pair()
    read: list[asyncio.Task[Any]] = []
    pair.streams.on_text("t", lambda stream: read.append(asyncio.ensure_future(stream.read())))

    async def fail() -> None:
        async with await pair.streams.open_text(topic="t") as writer:
            await writer.write("half")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with await pair.streams.open_text(topic="t", size=99) as writer:
        await writer.write("short")
    await pair.streams.open_text(topic="t")
    await asyncio.sleep(0)
    pair.streams.gone("alice")
    await pair.streams.open_text(topic="t")
    await asyncio.sleep(0)
    pair.streams.close()
    for task, why in zip(read, ("failed", "5 of 99", "has left", "is over"), strict=True):
        with pytest.raises(NetworkError, match=why):
            await task
    async with await pair.streams.open_text(size=99) as writer:
        await writer.write("short")
    assert (pair.messages, pair.ignored) == ([], ["stream"])


def header(id: str, **members: Any) -> models.DataPacket:
    return models.DataPacket(
        stream_header=DataStream.Header(stream_id=id, byte_header=DataStream.ByteHeader(), **members)
    )


def chunk(id: str, index: int, content: bytes) -> models.DataPacket:
    return models.DataPacket(stream_chunk=DataStream.Chunk(stream_id=id, chunk_index=index, content=content))


def trailer(id: str) -> models.DataPacket:
    return models.DataPacket(stream_trailer=DataStream.Trailer(stream_id=id))


async def test_what_a_sender_does_wrong() -> None:
    pair = Pair()
    take = pair.streams.take
    for packet in (chunk("x", 0, b"1"), trailer("x"), header("")):
        with pytest.raises(MessageError):
            take("alice", packet)
    take("alice", header("a"))
    with pytest.raises(MessageError):  # twice
        take("alice", header("a"))
    take("alice", chunk("a", 0, b"one"))
    take("alice", chunk("a", 0, b"one"))  # repeated
    with pytest.raises(MessageError):  # of somebody else
        take("bob", chunk("a", 1, b"two"))
    take("alice", chunk("a", 1, b"two"))
    take("alice", trailer("a"))
    assert pair.messages == [("alice", b"onetwo", "")]
    take("alice", header("b"))
    with pytest.raises(MessageError):  # a gap
        take("alice", chunk("b", 1, b"two"))
    with pytest.raises(MessageError):
        take("alice", trailer("b"))
    take("alice", header("c"))
    for index in range(UNREAD_MAX // CHUNK_MAX):
        take("alice", chunk("c", index, b"x" * CHUNK_MAX))
    with pytest.raises(MessageError, match="nobody reads"):
        take("alice", chunk("c", UNREAD_MAX // CHUNK_MAX, b"x" * CHUNK_MAX))
    for number in range(OPEN_MAX):
        take("alice", header(f"n{number}"))
    with pytest.raises(MessageError):
        take("alice", header("one more"))
    assert len(pair.messages) == 1


async def test_a_text_that_is_no_text() -> None:
    """Bytes that are no UTF-8, and a character in two chunks."""
    pair = Pair()
    for id_, parts in (("a", [b"\xff\xfe\xc3"]), ("b", ["€".encode()[:1], "€".encode()[1:]])):
        info = DataStream.Header(stream_id=id_, text_header=DataStream.TextHeader())
        pair.streams.take("alice", models.DataPacket(stream_header=info))
        for index, part in enumerate(parts):
            pair.streams.take("alice", chunk(id_, index, part))
        pair.streams.take("alice", trailer(id_))
    assert [content for _, content, _ in pair.messages] == ["€"]
    assert pair.ignored == ["stream"]
