"""PeerJS' serializations: what is written is read again, whatever its length; what makes no sense is refused or
bounded."""

from __future__ import annotations

import json

import pytest

from rtcpeer.calls.peerjs.binarypack import pack, unpack_untrusted
from rtcpeer.calls.peerjs.serialization import Control, MessageCodec

PIECE = 16_300


def read_all(codec: MessageCodec, messages: list[bytes]) -> list[object]:
    return [codec.read_untrusted(message) for message in messages]


@pytest.mark.parametrize("serialization", ["binary", "binary-utf8"])
@pytest.mark.parametrize("length", [0, PIECE - 3, PIECE - 2, 3 * PIECE])
def test_bytes_of_any_length_arrive_once(serialization, length):
    value = bytes(index % 251 for index in range(length))
    messages = MessageCodec(serialization).write(value)
    assert (len(messages) == 1) is (length <= PIECE - 3)
    assert all(len(message) < PIECE + 100 for message in messages)
    *pieces, last = read_all(MessageCodec(serialization), messages)
    assert pieces == [Control.PIECE] * (len(messages) - 1)
    assert last == value


def test_pieces_of_two_messages_come_in_any_order_and_more_than_once():
    writer, reader = MessageCodec("binary"), MessageCodec("binary")
    first, second = writer.write("a" * 40_000), writer.write("b" * 40_000)
    mixed = [first[2], second[1], first[2], second[0], first[0], first[1], second[2]]
    values = [value for value in read_all(reader, mixed) if value is not Control.PIECE]
    assert values == ["a" * 40_000, "b" * 40_000]


def test_json_is_text_as_bytes_and_not_too_long():
    codec = MessageCodec("json")
    assert codec.write({"a": [1, None]}) == [b'{"a": [1, null]}']
    assert codec.read_untrusted('{"a": [1, null]}') == {"a": [1, None]}
    assert codec.write("x" * (PIECE - 3)) == [json.dumps("x" * (PIECE - 3)).encode()]
    with pytest.raises(ValueError, match="16300 bytes are too long for the JSON serialization"):
        codec.write("x" * (PIECE - 2))
    with pytest.raises(TypeError):
        codec.write(b"bytes")


def test_json_knows_no_pieces():
    piece = {"__peerData": 1, "n": 0, "total": 1, "data": "x"}
    assert MessageCodec("json").read_untrusted(json.dumps(piece)) == piece


def test_raw_is_what_it_is():
    codec = MessageCodec("raw")
    assert codec.write("text") == ["text"]
    assert codec.read_untrusted(b"\xc1") == b"\xc1"


@pytest.mark.parametrize("serialization", ["binary", "json"])
def test_a_farewell_is_understood(serialization):
    message = MessageCodec(serialization).farewell()
    assert MessageCodec(serialization).read_untrusted(message) is Control.CLOSE


def test_raw_has_no_farewell():
    assert MessageCodec("raw").farewell() is None


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2},
        {"n": -1},
        {"n": True},
        {"n": 0.0},
        {"total": 1030},
        {"total": None},
        {"data": "text"},
        {"data": bytes(PIECE + 1)},
        {"__peerData": [1]},
    ],
    ids=repr,
)
def test_a_piece_that_cannot_be_one_is_refused(change):
    piece = {"__peerData": 1, "n": 0, "total": 2, "data": b"x"} | change
    codec = MessageCodec("binary")
    with pytest.raises(ValueError, match="a piece of a message"):
        codec.read_untrusted(pack(piece))


def test_of_messages_that_are_never_whole_the_oldest_give_way():
    codec = MessageCodec("binary")
    start = {"n": 0, "total": 2, "data": pack("hello")[:3]}
    end = {"n": 1, "total": 2, "data": pack("hello")[3:]}
    for number in range(65):
        codec.read_untrusted(pack({"__peerData": number} | start))
    assert codec.read_untrusted(pack({"__peerData": 0} | end)) is Control.PIECE
    assert codec.read_untrusted(pack({"__peerData": 64} | end)) == "hello"


def test_what_is_collected_is_bounded_in_bytes():
    codec = MessageCodec("binary")
    start = {"n": 0, "total": 2, "data": pack("hello")[:3]}
    end = {"n": 1, "total": 2, "data": pack("hello")[3:]}
    codec.read_untrusted(pack({"__peerData": "first"} | start))
    full = (32 << 20) // PIECE
    for index in range(full):
        message, at = divmod(index, 1000)
        codec.read_untrusted(pack({"__peerData": message, "n": at, "total": 1001, "data": bytes(PIECE)}))
    assert unpack_untrusted(pack("hello")) == "hello"
    codec.read_untrusted(pack({"__peerData": 9, "n": 0, "total": 2, "data": bytes(PIECE)}))
    assert codec.read_untrusted(pack({"__peerData": "first"} | end)) is Control.PIECE  # it was forgotten


def test_a_repeated_piece_counts_once():
    codec = MessageCodec("binary")
    kept = pack({"__peerData": "kept", "n": 0, "total": 2, "data": pack("hello")[:3]})
    assert codec.read_untrusted(kept) is Control.PIECE
    for _ in range(2100):
        codec.read_untrusted(pack({"__peerData": 1, "n": 0, "total": 2, "data": bytes(PIECE)}))
    end = {"__peerData": "kept", "n": 1, "total": 2, "data": pack("hello")[3:]}
    assert codec.read_untrusted(pack(end)) == "hello"
