"""Data packets of a LiveKit room: which is for whom, and the numbers of those that are sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.calls.livekit.data import DATA_MAX, TEXT_TOPIC, LiveKitData
from rtcpeer.errors import NetworkError, NotSupportedError, RTCTimeoutError
from rtcpeer.signaling.livekit.messages import models


class Session:
    """A call and a connection that take notes."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []
        self.ignored: list[str] = []
        self.sent: list[models.DataPacket] = []
        self.error: Exception | None = None
        self.is_there = True
        self.host: Any = SimpleNamespace(
            id="us",
            participants={"alice": object()},
            message=lambda *message: self.messages.append(message),
            ignored=lambda what, _detail="": self.ignored.append(what),
        )
        self.data = LiveKitData(lambda: self.host, lambda: (self if self.is_there else None, "PA_us"))

    async def send_data(self, data: bytes, *, reliable: bool, patient: bool) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(models.DataPacket.FromString(data))


def user(payload: bytes, topic: str = "", sender: str = "alice") -> bytes:
    packet = models.DataPacket(user=models.UserPacket(payload=payload, topic=topic))
    packet.participant_identity = sender
    return packet.SerializeToString()


def test_text_has_a_topic_of_its_own_and_others_are_bytes():
    session = Session()
    session.data.take_untrusted(user("héllo".encode(), TEXT_TOPIC))
    session.data.take_untrusted(user(b"\xff", "pictures"))
    chat = models.DataPacket(chat_message=models.ChatMessage(message="hi"), participant_identity="alice")
    session.data.take_untrusted(chat.SerializeToString())
    assert session.messages == [
        ("alice", "héllo", TEXT_TOPIC),
        ("alice", b"\xff", "pictures"),
        ("alice", "hi"),
    ]


def test_what_makes_no_sense_is_counted():
    session = Session()
    session.data.take_untrusted(b"\xff\xff\xff")
    for packet in (
        models.DataPacket(stream_header=models.DataStream.Header(stream_id="1"), participant_identity="bob"),
        models.DataPacket(rpc_ack=models.RpcAck(request_id="1")),
        models.DataPacket(transcription=models.Transcription(), participant_identity="alice"),
    ):
        session.data.take_untrusted(packet.SerializeToString())
    assert session.ignored == [
        "data packet",
        "data packet stream_header of nobody",
        "data packet rpc_ack of nobody",
        "data packet transcription",
    ]
    assert session.messages == []


async def test_reliable_packets_are_numbered_from_the_beginning_of_each_session():
    session = Session()
    await session.data.send("one", ["alice"])
    await session.data.send_data(b"lossy", to=[], reliable=False)
    await session.data.send(b"two", [])
    session.data.begin_anew()
    await session.data.send("three", [])
    assert [packet.sequence for packet in session.sent] == [1, 0, 2, 1]
    first = session.sent[0]
    assert (first.participant_identity, first.participant_sid) == ("us", "PA_us")
    assert (list(first.destination_identities), first.user.topic) == (["alice"], TEXT_TOPIC)


async def test_a_long_message_goes_as_a_stream():
    session = Session()
    await session.data.send("x" * (DATA_MAX + 1), [])
    kinds = [packet.WhichOneof("value") for packet in session.sent]
    assert kinds[0] == "stream_header"
    assert kinds[-1] == "stream_trailer"
    assert set(kinds[1:-1]) == {"stream_chunk"}


async def test_what_cannot_be_sent_is_refused_or_says_why():
    session = Session()
    with pytest.raises(NotSupportedError):
        await session.data.send_data(1, to=[])
    with pytest.raises(ValueError, match="at most"):
        await session.data.send_data(bytes(DATA_MAX + 1), to=[])
    session.error = TimeoutError()
    with pytest.raises(RTCTimeoutError):
        await session.data.send_data(b"x", to=[])
    session.is_there = False
    with pytest.raises(NetworkError, match="made anew"):
        await session.data.send_data(b"x", to=[])
