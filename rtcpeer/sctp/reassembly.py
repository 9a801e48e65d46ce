"""Reassembly of DATA chunks to whole messages in the order of their streams (RFC 9260 sections 6.5, 6.6, 6.9).

Pure. The fragments of a message have consecutive TSNs, so a message under way is found by the TSN that continues
it, whatever its stream: each chunk costs the same whatever the order in which chunks arrive.

What is kept is counted in `held`, with an overhead for each chunk, so that it is bounded in number too; the
association refuses chunks beyond its window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["FIRST", "LAST", "OVERHEAD", "UNORDERED", "Reassembly"]

# Flags of a DATA chunk (RFC 9260 section 3.3.1)
LAST: Final = 1
FIRST: Final = 2
UNORDERED: Final = 4
WHOLE: Final = FIRST | LAST

# What keeping a chunk costs beside its bytes
OVERHEAD: Final = 64


class _Message:
    """A message of which the beginning has arrived."""

    __slots__ = ("ordered", "parts", "protocol", "sequence", "size", "stream")

    def __init__(self, flags: int, stream: int, sequence: int, protocol: int) -> None:
        self.ordered = not flags & UNORDERED
        self.stream = stream
        self.sequence = sequence
        self.protocol = protocol
        self.parts: list[bytes] = []
        # what it counts for in `held`
        self.size = 0


class Reassembly:
    """The messages that are under way.

    Args:
        deliver: given each whole message: stream, payload protocol, bytes.

    Attributes:
        held: bytes that wait for others, with `OVERHEAD` for each chunk.
    """

    def __init__(self, deliver: Callable[[int, int, bytes], None]) -> None:
        self.held: int = 0
        self._deliver = deliver
        # the TSN that continues a message -> the message
        self._growing: dict[int, _Message] = {}
        # chunks that came before what they continue: TSN -> (flags, stream, bytes)
        self._early: dict[int, tuple[int, int, bytes]] = {}
        # streams -> sequence number of the next message, once it is not 0
        self._next: dict[int, int] = {}
        # streams -> sequence numbers -> whole messages that wait for earlier ones
        self._waiting: dict[int, dict[int, _Message]] = {}

    def add(self, tsn: int, flags: int, stream: int, sequence: int, protocol: int, data: bytes) -> None:
        """Take a chunk that has not come before."""
        if flags & WHOLE == WHOLE:
            if flags & UNORDERED:
                self._deliver(stream, protocol, data)
            elif sequence == self._next.get(stream, 0):
                self._pass_on(stream, protocol, sequence, data)
            else:
                message = _Message(flags, stream, sequence, protocol)
                self._append(message, data)
                self._wait(message)
            return
        message_ = self._growing.pop(tsn, None)
        if message_ is not None and not flags & WHOLE and stream == message_.stream and not self._early:
            # as nearly all: the next piece of a message that goes on
            size = len(data) + OVERHEAD
            message_.parts.append(data)
            message_.size += size
            self.held += size
            self._growing[tsn + 1] = message_
            return
        if flags & FIRST:
            if message_ is not None:
                # it should have gone on: the other end breaks the rules
                self.held -= message_.size
            message_ = _Message(flags, stream, sequence, protocol)
        elif message_ is None:
            self.held += len(data) + OVERHEAD
            self._early[tsn] = (flags, stream, data)
            return
        self._grow(message_, tsn, flags, stream, data)

    def _grow(self, message: _Message, tsn: int, flags: int, stream: int, data: bytes) -> None:
        """Add a chunk to its message, and those that came before it."""
        early = self._early
        while True:
            if stream != message.stream:
                self.held -= message.size
                return
            self._append(message, data)
            if flags & LAST:
                self._finish(message)
                return
            tsn += 1
            following = early.pop(tsn, None) if early else None
            if following is None:
                self._growing[tsn] = message
                return
            flags, stream, data = following
            self.held -= len(data) + OVERHEAD

    def _append(self, message: _Message, data: bytes) -> None:
        message.parts.append(data)
        size = len(data) + OVERHEAD
        message.size += size
        self.held += size

    def _finish(self, message: _Message) -> None:
        if not message.ordered:
            self.held -= message.size
            self._deliver(message.stream, message.protocol, b"".join(message.parts))
        elif message.sequence == self._next.get(message.stream, 0):
            self.held -= message.size
            self._pass_on(message.stream, message.protocol, message.sequence, b"".join(message.parts))
        else:
            self._wait(message)

    def _wait(self, message: _Message) -> None:
        """A message is whole before its turn."""
        waiting = self._waiting.setdefault(message.stream, {})
        behind = message.sequence - self._next.get(message.stream, 0) & 0xFFFF
        if behind >= 0x8000 or message.sequence in waiting:
            # its turn is over, or its number taken: the other end breaks the rules
            self.held -= message.size
            if not waiting:
                del self._waiting[message.stream]
            return
        waiting[message.sequence] = message

    def _pass_on(self, stream: int, protocol: int, sequence: int, data: bytes) -> None:
        """Deliver the message whose turn it is."""
        self._next[stream] = sequence + 1 & 0xFFFF
        self._deliver(stream, protocol, data)
        if stream in self._waiting:
            self._release(stream)

    def _release(self, stream: int) -> None:
        """Deliver those that have waited for their turn."""
        while (waiting := self._waiting.get(stream)) is not None:
            sequence = self._next.get(stream, 0)
            message = waiting.pop(sequence, None)
            if not waiting:
                del self._waiting[stream]
            if message is None:
                return
            self.held -= message.size
            self._next[stream] = sequence + 1 & 0xFFFF
            self._deliver(stream, message.protocol, b"".join(message.parts))

    def skip(self, before: int, cumulative: int, streams: Iterable[tuple[int, int]]) -> None:
        """The other end has given messages up (RFC 3758 section 3.6).

        Args:
            before: the cumulative TSN until now.
            cumulative: it goes on from here.
            streams: with the sequence number of the last message that was given up there.
        """
        self._drop_up_to(before, cumulative)
        for stream, sequence in streams:
            upcoming = self._next.get(stream, 0)
            if sequence - upcoming & 0xFFFF >= 0x8000:
                continue
            self._next[stream] = sequence + 1 & 0xFFFF
            waiting = self._waiting.get(stream)
            if waiting is None:
                continue
            # those before it that are whole have their turn now
            distance = (sequence - upcoming & 0xFFFF) + 1
            if distance < len(waiting):
                # as the other end goes in steps, each costs what it skips, not what waits
                numbers = (upcoming + step & 0xFFFF for step in range(distance))
                skipped = [number for number in numbers if number in waiting]
            else:
                skipped = [number for number in waiting if sequence - number & 0xFFFF < 0x8000]
                skipped.sort(key=lambda number: number - upcoming & 0xFFFF)
            messages = [waiting.pop(number) for number in skipped]
            if not waiting:
                del self._waiting[stream]
            for message in messages:
                self.held -= message.size
                self._deliver(stream, message.protocol, b"".join(message.parts))
            self._release(stream)

    def _drop_up_to(self, before: int, cumulative: int) -> None:
        """Forget chunks of messages that will never be whole."""
        early, growing = self._early, self._growing
        if cumulative - before < len(early) + len(growing):
            numbers: Iterable[int] = range(before + 1, cumulative + 1)
        else:
            numbers = [tsn for tsn in (*early, *growing) if tsn <= cumulative]
        for tsn in numbers:
            chunk = early.pop(tsn, None)
            if chunk is not None:
                self.held -= len(chunk[2]) + OVERHEAD
            message = growing.pop(tsn, None)
            if message is not None:
                self.held -= message.size

    def reset(self, streams: Iterable[int]) -> None:
        """Begin these streams again with sequence number 0 (RFC 6525 section 5.2.2); what waited there is lost."""
        for stream in streams:
            self._next.pop(stream, None)
            for message in self._waiting.pop(stream, {}).values():
                self.held -= message.size

    def reset_all(self) -> None:
        """All streams begin again."""
        self.reset(list(self._next.keys() | self._waiting.keys()))
