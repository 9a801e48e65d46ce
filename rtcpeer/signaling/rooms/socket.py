"""The server's side of one WebSocket of the room protocol: what waits for it, and how fast it may speak.

Owns: one socket, its queue and writer, the tokens of its rate. Never: a room, a decision on a frame. Needs aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from rtcpeer.aio import quiet, start_task
from rtcpeer.signaling.rooms.statistics import RoomStatistics
from rtcpeer.signaling.rooms.wire import CLOSE_SLOW, MAX_FRAME, with_number, write_frame

logger = logging.getLogger(__name__)

_HEARTBEAT: Final = 20.0
#: Who lets a frame wait for so long, in seconds, does not read.
SLOW_TIME: Final = 1.2
_CLOSE_TIME: Final = 0.4
#: What may wait in the queue, in bytes; numbered frames are bounded by the backlog already.
_QUEUE: Final = 2_000_000
# frames and bytes a second that one socket may send in the long run, and at once; more is read later
_FRAMES: Final = (200.0, 1000.0)
_BYTES: Final = (1_000_000.0, 4_000_000.0)
_LONGEST_PAUSE: Final = 5.0
# acknowledgements are sent together, after so many seconds or frames
_ACK_TIME: Final = 0.05
_ACK_COUNT: Final = 32


class RoomSocket:
    """The socket of one client of a room server.

    Attributes:
        attach: names this socket towards the backend.
        request: that opened it.
        id: of the member; "" before it has entered.
        room: that it is in.
        user: who it is, as `authorize` has said.
        name: what it calls itself.
        metadata: that the others see.
        submitted: the number of its last frame.
        is_entered: whether it is in a room.
        refusals: how many attempts to enter have failed.
        statistics: of the server.
    """

    def __init__(self, request: web.Request, attach: str, statistics: RoomStatistics) -> None:
        self.attach = attach
        self.statistics = statistics
        self.request = request
        self.id: str = ""
        self.room: str = ""
        self.user: str | None = None
        self.name: str | None = None
        self.metadata: dict[str, Any] = {}
        self.submitted: int = 0
        self.is_entered: bool = False
        self.refusals: int = 0
        self.web: web.WebSocketResponse = web.WebSocketResponse(
            heartbeat=_HEARTBEAT, max_msg_size=MAX_FRAME, compress=False, timeout=_CLOSE_TIME
        )
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, str]] = deque()  # since when, what
        self._writing_since: float | None = None
        self._queue_bytes = 0
        self._filled = asyncio.Event()
        self._held: list[tuple[int, str]] | None = []  # numbered frames that came before "entered"
        self._sent = 0  # the number of the last numbered frame
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ack_timer: asyncio.TimerHandle | None = None
        self._acked = 0
        self._frames = _FRAMES[1]
        self._bytes = _BYTES[1]
        self._counted_at = self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether frames can still leave."""
        return self._closing is None and not self.web.closed

    @property
    def lag(self) -> float:
        """How long the oldest frame has waited for the client, in seconds."""
        since = self._writing_since
        if since is None:
            since = self._queue[0][0] if self._queue else None
        return 0.0 if since is None else self._loop.time() - since

    def start(self) -> None:
        """Begin to write; the socket is prepared."""
        self._writer = start_task(self._write_all(), name="rtcpeer room writer", loop=self._loop)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame without a number."""
        self.send_text(write_frame(frame))

    def send_text(self, text: str) -> None:
        """Send a frame without a number, given as text."""
        if not self.is_open:
            return
        self._queue.append((self._loop.time(), text))
        self._queue_bytes += len(text)
        self._filled.set()
        if self._queue_bytes > _QUEUE:
            self.close_later(CLOSE_SLOW, "too much waits for this client")

    def deliver(self, seq: int, text: str) -> None:
        """A numbered frame. It waits until "entered" was sent; one that was sent before is dropped."""
        if self._held is not None:
            self._held.append((seq, text))
        elif seq > self._sent:
            self._sent = seq
            self.send_text(with_number(seq, text))

    def enter(self, entered: str, seq: int, missed: list[tuple[int, str]]) -> None:
        """Send "entered", then what the member has missed, then what has come meanwhile."""
        held, self._held = self._held or [], None
        self.is_entered = True
        self._sent = seq
        self.send_text(entered)
        for number, text in (*missed, *held):
            self.deliver(number, text)

    def refuse_entry(self) -> None:
        """Forget what came for a member that this socket has not become."""
        self._held = []

    def accept(self, seq: int) -> None:
        """A frame of the client was done: acknowledge it, soon."""
        self.submitted = max(self.submitted, seq)
        if self.submitted - self._acked >= _ACK_COUNT:
            self._acknowledge()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(_ACK_TIME, self._acknowledge)

    async def pace(self, size: int) -> None:
        """Count a frame of the client; wait where it sends too many, so that the next ones are read later."""
        self.statistics.frames_received += 1
        self.statistics.bytes_received += size
        now = self._loop.time()
        passed, self._counted_at = now - self._counted_at, now
        self._frames = min(_FRAMES[1], self._frames + passed * _FRAMES[0]) - 1
        self._bytes = min(_BYTES[1], self._bytes + passed * _BYTES[0]) - size
        wait = max(-self._frames / _FRAMES[0], -self._bytes / _BYTES[0])
        if wait > 0:
            await asyncio.sleep(min(wait, _LONGEST_PAUSE))

    def close_later(self, code: int, reason: str) -> None:
        """Close the socket, whatever the client does."""
        if self._closing is None:
            self._closing = start_task(self._close(code, reason), name="rtcpeer room closing")

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, and wait until it is closed."""
        self.close_later(code, reason)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def finish(self) -> None:
        """The client is gone: end the writer, wait for the end of a close."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def _acknowledge(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self.submitted > self._acked:
            self._acked = self.submitted
            self.send_text(f'{{"type":"ack","seq":{self._acked}}}')

    async def _write_all(self) -> None:
        while self._closing is None:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            self._writing_since, text = self._queue.popleft()
            self._queue_bytes -= len(text)
            try:
                async with asyncio.timeout(SLOW_TIME):
                    await self._write(text)
                self._writing_since = None
            except TimeoutError:
                self.close_later(CLOSE_SLOW, "this client does not read")
            except (ConnectionError, RuntimeError):
                return  # the reader sees it too, and tidies up

    async def _write(self, text: str) -> None:
        await self.web.send_str(text)
        self.statistics.frames_sent += 1
        self.statistics.bytes_sent += len(text)

    async def _close(self, code: int, reason: str) -> None:
        if code == CLOSE_SLOW:
            self.statistics.refuse("slow")
        transport = self.request.transport
        if self._writer is not None:
            if code == CLOSE_SLOW:
                self._queue.clear()  # it is kept for the member
                self._queue_bytes = 0
            else:
                await self._flush()
            self._writer.cancel()
            quiet(self._writer)
        try:
            with self._write_errors():
                async with asyncio.timeout(_CLOSE_TIME):
                    await self.web.close(code=code, message=reason.encode()[:120])
        finally:
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()  # it does not read: nothing is kept for it in this process

    async def _flush(self) -> None:
        """Write what waits, as far as the client reads it."""
        with self._write_errors():
            async with asyncio.timeout(_CLOSE_TIME):
                while self._queue:
                    _, text = self._queue.popleft()
                    self._queue_bytes -= len(text)
                    await self._write(text)

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        """Pass over what writing raises to a client that is gone or does not read.

        All who wait for room in the transport wait for one future of aiohttp's. When one of them is cancelled, by a
        timeout for instance, the future is, and with it every later write, though nobody has cancelled its task.
        """
        task = asyncio.current_task()
        assert task is not None
        try:
            yield
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        except asyncio.CancelledError:
            if task.cancelling():
                raise
