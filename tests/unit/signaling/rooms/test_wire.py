"""Frames of the room protocol: what is taken, what is refused, and what a fuzzer cannot break."""

import json
import os
import random
from typing import Any

import pytest

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.signaling.rooms.wire import (
    MAX_FRAME,
    MAX_METADATA,
    read_client_frame_untrusted,
    read_server_frame_untrusted,
    with_number,
    write_frame,
)
from tests.unit.signaling.roomkit import entry, make_rooms, message

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))

CLIENT = [
    {"type": "enter", "room": "lobby", "mode": "join", "name": "x", "metadata": {"a": 1}, "received": 3},
    {"type": "enter", "room": "lobby", "resume": "token"},
    {"type": "presence", "room": "lobby"},
    {"type": "message", "seq": 1, "to": "b", "message": {"type": "offer", "sdp": "v=0"}},
    {"type": "broadcast", "seq": 2, "message": [1, None, "x"]},
    {"type": "metadata", "seq": 3, "metadata": {}},
    {"type": "kick", "seq": 4, "to": "b", "reason": "spam"},
    {"type": "close", "to": "b", "ack": 7},
    {"type": "ack", "seq": 0},
    {"type": "leave"},
]
SERVER = [
    {"type": "entered", "id": "a", "token": "t", "members": [{"id": "b"}], "iceServers": [], "ttl": 5},
    {"type": "members", "members": []},
    {"type": "joined", "seq": 1, "member": {"id": "b", "name": None, "metadata": {}}},
    {"type": "left", "seq": 2, "id": "b", "reason": "left"},
    {"type": "away", "seq": 3, "id": "b"},
    {"type": "message", "seq": 4, "from": "b", "message": {}},
    {"type": "broadcast", "seq": 5, "from": "b", "message": 1},
    {"type": "metadata", "seq": 6, "id": "b", "metadata": {}},
    {"type": "close", "seq": 7, "from": "b"},
    {"type": "presence", "members": 0},
    {"type": "iceServers", "iceServers": [], "ttl": 3.5},
    {"type": "ack", "seq": 9},
    {"type": "news of tomorrow"},
]


@pytest.mark.parametrize("frame", CLIENT)
def test_frames_of_clients(frame: dict[str, Any]) -> None:
    read = read_client_frame_untrusted(json.dumps(frame))
    assert {key: read[key] for key in frame} == frame


@pytest.mark.parametrize("frame", SERVER)
def test_frames_of_servers(frame: dict[str, Any]) -> None:
    read = read_server_frame_untrusted(json.dumps(frame))
    assert read["type"] == frame["type"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": "fly"}',
        '{"type": "enter"}',
        '{"type": "enter", "room": ""}',
        '{"type": "enter", "room": 5}',
        '{"type": "enter", "room": "x", "mode": "force"}',
        '{"type": "enter", "room": "x", "metadata": []}',
        '{"type": "enter", "room": "x", "received": -1}',
        '{"type": "enter", "room": "x", "received": true}',
        '{"type": "message", "to": "x"}',
        '{"type": "message", "to": "x", "message": "y"}',
        '{"type": "message", "to": ["x"], "message": {}}',
        '{"type": "message", "to": "x", "message": {}, "seq": 1.5}',
        '{"type": "message", "to": "x", "message": {}, "seq": 9007199254740993}',
        '{"type": "message", "to": "x", "message": {"a": NaN}}',
        '{"type": "message", "to": "x", "message": {"a": -Infinity}}',
        '{"type": "message", "to": "x", "message": {"a": 1e999}}',
        '{"type": "message", "to": "x", "message": {"a": ' + "9" * 5000 + "}}",
        '{"type": "message", "message": {}}',
        '{"type": "broadcast"}',
        '{"type": "presence"}',
        '{"type": "ack"}',
        '{"type": "kick"}',
        json.dumps({"type": "metadata", "metadata": {"x": "y" * MAX_METADATA}}),
        json.dumps({"type": "enter", "room": "x" * 201}),
        "[" * 100_000,
        '{"type": "message", "to": "x", "message": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}",
        "x" * (MAX_FRAME + 1),
    ],
)
def test_bad_frames(text: str) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        read_client_frame_untrusted(text)
    assert caught.value.fault == "remote"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "entered"},
        {"type": "entered", "id": "", "token": "t"},
        {"type": "entered", "id": "a", "token": "t", "members": [5]},
        {"type": "entered", "id": "a", "token": "t", "members": [{"id": "b", "name": 5}]},
        {"type": "entered", "id": "a", "token": "t", "members": [{"id": "b", "metadata": 5}]},
        {"type": "entered", "id": "a", "token": "t", "ttl": "soon"},
        {"type": "joined"},
        {"type": "left"},
        {"type": "message", "from": "b"},
        {"type": "message", "message": {}},
        {"type": "broadcast"},
        {"type": "metadata", "id": "b"},
        {"type": "presence", "members": "many"},
        {"type": "iceServers"},
        {"type": "ack", "seq": "x"},
    ],
)
def test_bad_frames_of_servers(frame: dict[str, Any]) -> None:
    with pytest.raises(RTCSyntaxError):
        read_server_frame_untrusted(json.dumps(frame))


def test_frames_that_cannot_be_written() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for value, error in (
        (float("nan"), ValueError),
        ({1, 2}, TypeError),
        ("x" * MAX_FRAME, ValueError),
        (deep, ValueError),
    ):
        with pytest.raises(error):
            write_frame({"type": "broadcast", "message": value})
    assert json.loads(with_number(5, write_frame({"type": "x", "\ud800": "\u2603"})))["seq"] == 5


def test_a_corpus_of_mutated_frames_survives_the_reader_and_the_rooms() -> None:
    """Whatever arrives is a frame or an RTCSyntaxError; rooms refuse or do it, and stay consistent."""
    draw = random.Random(11)
    rooms, told = make_rooms(max_members=5)
    for id_ in "ba":
        rooms.enter(entry(id_))
    seq = taken = 0
    for number in range(CASES):
        source = draw.choice(CLIENT if number % 2 else SERVER)
        text = mutate(draw, source)
        try:
            frame = (read_client_frame_untrusted if number % 2 else read_server_frame_untrusted)(text)
        except RTCSyntaxError:
            continue
        taken += 1
        if number % 2 and frame["type"] == "message":
            seq += 1
            rooms.submit("a", "socket-a", seq, message(frame["to"], "a"), 0)
            rooms.acknowledge("b", "socket-b", frame.get("ack", 0))
            rooms.acknowledge("b", "socket-b", len(told.of("b")))
            rooms.acknowledge("a", "socket-a", len(told.of("a")))
    assert taken > CASES / 20
    assert rooms.presence("lobby") == 2
    numbers = [f["seq"] for f in told.of("b")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) - 1 + len(told.of("a", "lost")) == seq


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**53,
    1e308,
    "",
    "b",
    "\ud800",
    "x" * 300,
    [],
    {},
    [{}],
    {"id": "b"},
]


def mutate(draw: random.Random, frame: dict[str, Any]) -> str:
    """The frame with members changed, taken away or added, or its text damaged."""
    frame = dict(frame)
    for _ in range(draw.randrange(3)):
        key = draw.choice([*frame, "seq", "to", "ack", "room", "id", "metadata", "message"])
        if draw.random() < 0.3:
            frame.pop(key, None)
        else:
            frame[key] = draw.choice(VALUES)
    text = json.dumps(frame)
    if draw.random() < 0.2:
        place = draw.randrange(len(text))
        text = (
            text[:place]
            + draw.choice(["", '"', "{", "}", "NaN", "\0", "\u2603", ",", "1e999"])
            + text[place + 1 :]
        )
    return text
