import asyncio
import gc
import random
import weakref
from typing import Any

import pytest

from rtcpeer.net.departures import Departures
from rtcpeer.net.offload import SEGMENTS_MIN, split


class Path:
    """Counts system calls, and cuts again what was sent together."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.calls = 0

    def send(self, datagram: bytes) -> None:
        self.calls += 1
        self.datagrams.append(datagram)

    def send_segments(self, data: bytes, size: int) -> None:
        self.calls += 1
        self.datagrams += split(data, size)


def departures(path: Path) -> Departures:
    return Departures(path.send, path.send_segments)


async def test_a_picture_leaves_by_one_call_at_the_end_of_the_turn() -> None:
    path = Path()
    waiting = departures(path)
    picture = [bytes((n,)) * 1200 for n in range(5)] + [b"rest"]
    for packet in picture:
        waiting.take(packet)
    assert path.calls == 0
    await asyncio.sleep(0)
    assert path.datagrams == picture
    assert path.calls == 1


async def test_what_is_alone_or_of_many_sizes_leaves_by_itself() -> None:
    path = Path()
    waiting = departures(path)
    waiting.take(b"alone")
    await asyncio.sleep(0)
    assert (path.calls, path.datagrams) == (1, [b"alone"])
    sizes = [b"1", b"22", b"333", b"4444"]
    for packet in sizes:
        waiting.take(packet)
    await asyncio.sleep(0)
    assert (path.calls, path.datagrams[1:]) == (5, sizes)


async def test_what_nothing_follows_leaves_at_once_but_not_before_what_waits() -> None:
    path = Path()
    waiting = departures(path)
    waiting.take_alone(b"sound")
    assert path.datagrams == [b"sound"]
    waiting.take(b"picture")
    waiting.take_alone(b"more")
    assert path.datagrams == [b"sound"]
    await asyncio.sleep(0)
    assert path.datagrams == [b"sound", b"picture", b"more"]


async def test_a_first_packet_that_is_longer_does_not_hinder_the_others() -> None:
    path = Path()
    waiting = departures(path)
    picture = [b"1" * 1210, b"2" * 1200, b"3" * 1200, b"4" * 1200, b"rest"]
    for packet in picture:
        waiting.take(packet)
    await asyncio.sleep(0)
    assert path.datagrams == picture
    assert path.calls == 2


async def test_any_sizes_leave_whole_and_in_order() -> None:
    draw = random.Random(5)
    for _ in range(300):
        path = Path()
        waiting = departures(path)
        sent = [draw.randbytes(draw.choice((1, 2, 2, 3, 3, 3))) for _ in range(draw.randrange(1, 12))]
        for packet in sent:
            waiting.take(packet)
        waiting.flush()
        assert path.datagrams == sent
        assert path.calls <= len(sent)


async def test_paths_share_one_callback_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    path, called = Path(), []
    loop = asyncio.get_running_loop()
    call_soon = loop.call_soon

    def counted(*args: Any, **kwargs: Any) -> Any:
        called.append(args)
        return call_soon(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon", counted)
        all_of_them = [departures(path) for _ in range(20)]
        for waiting in all_of_them:
            waiting.take(bytes(1000))
            waiting.take(bytes(1000))
        assert len(called) == 1
    await asyncio.sleep(0)
    assert len(path.datagrams) == 40


async def test_what_was_flushed_does_not_leave_twice_and_the_next_turn_goes_on() -> None:
    path = Path()
    waiting = departures(path)
    waiting.take(b"a")
    waiting.flush()
    waiting.take(b"b")
    await asyncio.sleep(0)
    waiting.take(b"c")
    await asyncio.sleep(0)
    assert path.datagrams == [b"a", b"b", b"c"]


def test_each_loop_has_its_own_turn() -> None:
    async def send() -> list[bytes]:
        path = Path()
        waiting = departures(path)
        for _ in range(SEGMENTS_MIN):
            waiting.take(b"x")
        await asyncio.sleep(0)
        return path.datagrams

    assert asyncio.run(send()) == asyncio.run(send()) == [b"x"] * SEGMENTS_MIN


async def test_one_that_cannot_send_holds_up_nobody() -> None:
    def fail(_datagram: bytes) -> None:
        raise OSError("no way out")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    broken, path = Departures(fail, lambda _data, _size: None), Path()
    waiting = departures(path)
    for _ in range(2):
        broken.take(b"lost")
        waiting.take(b"sent")
        await asyncio.sleep(0)
    assert path.datagrams == [b"sent", b"sent"]
    assert [str(each["exception"]) for each in told] == ["no way out", "no way out"]


def test_loops_that_have_ended_are_let_go() -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        departures(Path()).take(b"x")
        await asyncio.sleep(0)
        return weakref.ref(asyncio.get_running_loop())

    ended = asyncio.run(main())
    gc.collect()
    assert ended() is None


def test_what_is_sent_when_the_loop_was_closed_is_dropped() -> None:
    sent: list[bytes] = []

    async def begin() -> Departures:
        return Departures(sent.append, lambda *_: None)

    loop = asyncio.new_event_loop()
    departures = loop.run_until_complete(begin())
    loop.close()
    departures.take(b"goodbye")
    assert sent == []
