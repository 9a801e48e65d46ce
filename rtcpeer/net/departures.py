"""Datagrams that leave together: those of one turn of the loop, by one system call where the kernel can segment them.

The packets of a picture are made, or arrive to be forwarded, in one turn. Sent one by one, each goes through all of the
system by itself, which costs more than making it.
Owns: what waits for the end of a turn, per loop. Never: holds anything back for longer, reorders, drops.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from rtcpeer.net.offload import SEGMENTS_MIN

__all__ = ["Departures"]


class _Turn:
    """Record of the datagrams that leave at the end of this turn of one loop."""

    __slots__ = ("_full", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # weak: `_turns` would keep every loop that ever was
        self._loop = weakref.ref(loop)
        self._full: list[Departures] = []

    def add(self, departures: Departures) -> None:
        loop = self._loop()
        if loop is None:
            return
        if not self._full:
            if loop.is_closed():
                return  # nothing leaves any more
            loop.call_soon(self._end, loop)
        self._full.append(departures)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        full, self._full = self._full, []
        for departures in full:
            try:
                departures.flush()
            except Exception as exc:
                # what others send leaves all the same
                loop.call_exception_handler({"message": "datagrams could not be sent", "exception": exc})


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = weakref.WeakKeyDictionary()


class Departures:
    """Datagrams of one path that leave at the end of a turn. For use inside a running loop.

    Args:
        send: sends one datagram.
        send_segments: sends those that stand one behind the other, each of a size but perhaps the last.
    """

    __slots__ = ("_send", "_send_segments", "_turn", "_waiting")

    def __init__(self, send: Callable[[bytes], None], send_segments: Callable[[bytes, int], None]) -> None:
        self._send = send
        self._send_segments = send_segments
        self._waiting: list[bytes] = []
        loop = asyncio.get_running_loop()
        turn = _turns.get(loop)
        if turn is None:
            turn = _turns[loop] = _Turn(loop)
        self._turn = turn

    def take(self, datagram: bytes) -> None:
        """Send a datagram at the end of the turn."""
        waiting = self._waiting
        if not waiting:
            self._turn.add(self)
        waiting.append(datagram)

    def take_alone(self, datagram: bytes) -> None:
        """Send a datagram that no other follows in this turn: now, unless there are some before it.

        To wait for the end of the turn costs as much as to send it.
        """
        if self._waiting:
            self._waiting.append(datagram)
        else:
            self._send(datagram)

    def flush(self) -> None:
        """Send what waits, now."""
        waiting, self._waiting = self._waiting, []
        first, count = 0, len(waiting)
        if count < SEGMENTS_MIN:
            for datagram in waiting:
                self._send(datagram)
            return
        while first < count:
            last = _end_of_run(waiting, first) if count - first >= SEGMENTS_MIN else first
            if last - first >= SEGMENTS_MIN:
                self._send_segments(b"".join(waiting[first:last]), len(waiting[first]))
                first = last
            else:
                # a run may begin with the next one: the first packet of a picture is often the longest
                self._send(waiting[first])
                first += 1


def _end_of_run(datagrams: list[bytes], first: int) -> int:
    """The end of the run that begins at an index: datagrams of one size, the last of which may be shorter."""
    size, last, count = len(datagrams[first]), first + 1, len(datagrams)
    while last < count and len(datagrams[last]) == size:
        last += 1
    return last + 1 if last < count and len(datagrams[last]) < size else last
