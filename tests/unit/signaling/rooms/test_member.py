"""Another member of a room as a signaling channel: what waits is bounded, and the end is told once, with its reason."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.rooms.member import RoomMember
from rtcpeer.testing.clock import run_virtual

CANDIDATE: Any = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"}


class Setting:
    def __init__(self, name: str | None = "Ann") -> None:
        self.frames: list[tuple[dict[str, Any], bool]] = []
        self.servers = [RTCIceServer("stun:stun.example")]
        self.member = RoomMember(
            "a1", name, {}, polite=True, put=self.put, recommended=lambda: list(self.servers)
        )

    def put(self, frame: dict[str, Any], *, always: bool = False) -> None:
        self.frames.append((frame, always))


def test_what_it_says_of_itself():
    setting = Setting()
    member = setting.member
    assert (member.capabilities.polite, member.capabilities.reliable) == (True, True)
    assert member.ice_servers == setting.servers
    assert repr(member) == "<RoomMember Ann>"
    assert repr(Setting(name=None).member) == "<RoomMember a1>"
    member.isAway = True
    assert repr(member) == "<RoomMember Ann, away>"
    member.end("kicked")
    assert repr(member) == "<RoomMember Ann, kicked>"


def test_a_message_leaves_for_it():
    setting = Setting()
    run_virtual(setting.member.send(CANDIDATE))
    ((frame, always),) = setting.frames
    assert (frame["type"], frame["to"], always) == ("message", "a1", False)
    assert frame["message"]["candidate"] == CANDIDATE["candidate"]


def test_messages_are_read_in_order_by_who_waits_or_comes_later():
    async def main() -> None:
        member = Setting().member
        waiting = asyncio.ensure_future(anext(member))
        await asyncio.sleep(0)
        for number in range(3):
            member.arrive({"number": number}, 10)  # type: ignore[typeddict-unknown-key, typeddict-item]
        assert member.unread == 3
        assert await waiting == {"number": 0}
        assert [await anext(member), await anext(member)] == [{"number": 1}, {"number": 2}]
        assert member.unread == 0

    run_virtual(main())


def test_what_has_arrived_is_read_before_the_end():
    async def main() -> None:
        setting = Setting()
        member = setting.member
        member.arrive(CANDIDATE, 10)
        await member.close()
        assert [message async for message in member] == [CANDIDATE]
        assert (member.is_closed, member.endReason) == (True, "closed")
        await member.close()  # once is enough
        assert setting.frames == [({"type": "close", "to": "a1"}, True)]
        with pytest.raises(InvalidStateError, match="closed"):
            await member.send(CANDIDATE)

    run_virtual(main())


def test_an_end_wakes_who_waits_and_keeps_its_first_reason():
    async def main() -> None:
        member = Setting().member
        waiting = asyncio.ensure_future(anext(member, None))
        await asyncio.sleep(0)
        member.end("left")
        member.end("room")
        assert await waiting is None
        assert member.endReason == "left"

    run_virtual(main())


@pytest.mark.parametrize(("count", "size"), [(1000, 1), (4, 1_000_000)])
def test_messages_that_nobody_reads_end_the_channel(count, size):
    setting = Setting()
    member = setting.member
    for _ in range(count):
        member.arrive(CANDIDATE, size)
    assert not member.is_closed
    member.arrive(CANDIDATE, 1)
    assert (member.endReason, member.unread) == ("unread", count)
    assert setting.frames == [({"type": "close", "to": "a1"}, True)]


def test_what_was_read_makes_room_again():
    async def main() -> None:
        member = Setting().member
        for _ in range(10):
            member.arrive(CANDIDATE, 4_000_000)
            await anext(member)
        assert not member.is_closed

    run_virtual(main())
