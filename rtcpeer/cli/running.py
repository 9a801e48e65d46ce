"""How a command runs and ends: its event loop, Ctrl-C, a reader of its output that has gone.

Owns: the signal handlers, and that a command that is interrupted has ended within 0.3 s, whatever it waits for.
Never: what a command does.

Theory of operation. A command that takes leave of others asks for `stop_event` and ends when that is set; any other is
cancelled. What hangs then (a server that does not answer, a thread inside of a library) is left behind: after `LEAVE`
the process ends. A command whose result is not whole yet says so with `unfinished`; a second Ctrl-C ends that too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

INTERRUPTED = 130
# 128 and the number of SIGPIPE, as shells say it
READER_GONE = 141
# Seconds that an interrupted command may take for its leave; and one that SIGTERM ends, of a server that seems to live.
LEAVE, PATIENCE = 0.2, 2.0


class _Ending:
    """The end of the command that runs in this process.

    Attributes:
        status: with which it ends; 0 while nobody has asked it to.
        stopped: set where the command ends by itself.
        unfinished: how many results are being made whole.
        settled: the exit status in spite of that, where it is known already.
    """

    def __init__(self) -> None:
        self.status = 0
        self.settled: int | None = None
        self.stopped: asyncio.Event | None = None
        self.unfinished = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[int] | None = None
        self._timer: threading.Timer | None = None
        # how long the leave may take that the command takes now
        self._patience: float | None = None
        self._watched: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a command that can be asked to end."""
        return self._task is not None and not self._task.done()

    @property
    def result(self) -> int:
        """The exit status as far as it is known."""
        return self.status if self.settled is None else self.settled

    async def watch(self, work: Coroutine[Any, Any, int]) -> int:
        """The work, as what is ended."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.status:  # interrupted before it began
            work.close()
            return self.status
        try:
            return await work
        except Exception as error:
            if not self.status:
                raise
            # in the middle of something that was cut short: nobody waits for its result
            logger.debug("after the interrupt: %r", error)
            return self.result

    def watch_reader(self) -> None:
        """Notice when the reader of a pipe has gone, also while there is nothing to print."""
        with contextlib.suppress(OSError, ValueError):  # a stream that has no descriptor has no reader
            descriptor = sys.stdout.fileno()
            if self._loop is not None and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                # the writing end is never readable, but in error when there is no reader
                self._loop.add_reader(descriptor, self._reader_gone)
                self._watched = descriptor

    def _reader_gone(self) -> None:
        self.unwatch_reader()
        silence()
        self.ask(READER_GONE, hurry=False)

    def unwatch_reader(self) -> None:
        """The pipe is of no interest any more."""
        if self._watched is not None and self._loop is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None

    def on_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """SIGINT is in a hurry, and in more of one the second time; SIGTERM is not."""
        hurry = number == signal.SIGINT
        if self.status and hurry:
            leave(self.result)
        self.ask(128 + number, hurry=hurry)

    def ask(self, status: int, *, hurry: bool) -> None:
        """Ask the command to end."""
        self.status = self.status or status
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)
        if hurry:
            self._leave_within(LEAVE)
        elif self._patience is not None:
            self._leave_within(self._patience)

    def take_leave(self, seconds: float) -> None:
        """All that is left is to take leave: where somebody has asked for the end, that lasts so long at most."""
        self._patience = seconds
        if self.status:
            self._leave_within(seconds)

    def _leave_within(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._time_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _stop(self) -> None:
        if self.stopped is not None:
            self.stopped.set()
        elif self._task is not None:
            self._task.cancel()

    def _time_is_over(self) -> None:
        self._timer = None
        if not self.unfinished:
            leave(self.result)

    def finished(self) -> None:
        """Note that one result is whole."""
        self.unfinished -= 1
        if self.status == INTERRUPTED and self._timer is None:
            self.ask(self.status, hurry=True)

    def calm(self) -> None:
        """The command has ended: so does the process, unless a thread holds it."""
        held = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
        if self._timer is not None and not held:
            self._timer.cancel()


_ending = _Ending()


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command.

    Returns:
        Its exit status; 130 or 143 where a signal ended it before it had one, 141 where nobody reads its output.
    """
    global _ending
    ending = _ending = _Ending()
    kept = {number: signal.signal(number, ending.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with asyncio.Runner() as runner:
            status = runner.run(ending.watch(work))
            if ending.status != READER_GONE:
                ending.settled = status  # a thread may hold the end of the runner
        if status == INTERRUPTED and ending.status:
            return ending.status  # a command that says so itself does not know by which signal
        return READER_GONE if ending.status == READER_GONE else status
    except asyncio.CancelledError:
        return ending.result or INTERRUPTED
    finally:
        ending.calm()
        for number, handler in kept.items():
            signal.signal(number, handler)


def stop_event() -> asyncio.Event:
    """An event that is set when the command shall end: at SIGINT or SIGTERM, or when nobody reads its output."""
    stopped = asyncio.Event()
    if _ending.is_running:
        _ending.stopped = stopped
        _ending.watch_reader()
        return stopped
    # a program of somebody else runs the command's coroutine
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    return stopped


def settle(status: int) -> None:
    """The command's exit status is known: what remains is to take leave, and is cut short after an interrupt."""
    if _ending.status != READER_GONE:
        _ending.settled = status


def take_leave(seconds: float) -> None:
    """All that is left is to take leave of a server: cut short after so many seconds once a signal has come."""
    _ending.take_leave(seconds)


@contextlib.contextmanager
def unfinished() -> Iterator[None]:
    """Context in which a result is made whole (a file gets its end): an interrupted command waits for it."""
    ending = _ending
    ending.unfinished += 1
    try:
        yield
    finally:
        ending.finished()


def say(text: str = "", *, end: str = "\n") -> None:
    """Print; when nobody reads it any more, as in `rtcpeer ... | head -1`, the command is asked to end.

    Raises:
        BrokenPipeError: the same where no command runs that could end.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        if not _ending.is_running:
            raise
        _ending.unwatch_reader()
        silence()
        _ending.ask(READER_GONE, hurry=False)


def silence() -> None:
    """Send what is printed from now on nowhere; also what Python prints at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a stream that has no descriptor needs none
            os.dup2(null, stream.fileno())
    os.close(null)


def leave(status: int) -> None:
    """End the process now, whatever its threads do."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
