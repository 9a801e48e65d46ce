"""Ordinary scheduling for threads that foreign libraries start.

SVT-AV1 puts the thread that opens it and its own threads into SCHED_FIFO with the highest priority when the
process is root. Such threads run before everything else on the machine, and every child process inherits the
policy. `ordinary_scheduling` takes away the right to do so while a library is opened.

How: Linux allows a real-time policy to a thread with CAP_SYS_NICE, or below RLIMIT_RTPRIO. Capabilities belong
to a thread, and threads inherit them; so the calling thread gives up CAP_SYS_NICE (it keeps it permitted, and
takes it back afterwards), and what the library starts never has it. No other thread is touched, so nothing races
with it. The limit belongs to the process: where it is above 0, it is lowered meanwhile, under a lock and a count.
Where capabilities cannot be changed, policies that were raised are set back afterwards.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

if sys.platform == "linux":
    import resource

# linux/capability.h
_VERSION_3 = 0x20080522
_CAP_SYS_NICE = 1 << 23


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _set_nice_capability(allowed: bool) -> bool | None:
    """Give the calling thread CAP_SYS_NICE, or take it away.

    Returns:
        Whether the thread had it before; None when that cannot be learnt or changed.
    """
    # version 3 has two sets of 32 bits each; pid 0 is the calling thread
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    try:
        libc = _libc()
        if libc.capget(ctypes.byref(header), sets):
            return None
        had = bool(sets[0].effective & _CAP_SYS_NICE)
        if had is allowed:
            return had
        if allowed:
            sets[0].effective |= _CAP_SYS_NICE
        else:
            sets[0].effective &= ~_CAP_SYS_NICE
        return None if libc.capset(ctypes.byref(header), sets) else had
    except (OSError, AttributeError):
        # a C library without these calls
        return None


class _LimitHold:
    """The process's RLIMIT_RTPRIO, held at 0 while at least one thread asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._soft = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it at 0."""
        with self._lock:
            if not self._users:
                self._soft, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
                if self._soft:
                    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, hard))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._soft:
                    _soft, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
                    soft = self._soft if hard == resource.RLIM_INFINITY else min(self._soft, hard)
                    resource.setrlimit(resource.RLIMIT_RTPRIO, (soft, hard))


_limit = _LimitHold()


def _threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def _set_back(known: set[int], policy: int, priority: int) -> None:
    """Give the calling thread, and threads that were started meanwhile, the policy that it had before."""
    for thread in (_threads() - known) | {threading.get_native_id()}:
        try:
            if os.sched_getscheduler(thread) != policy:
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
        except ProcessLookupError:
            # it has ended
            continue


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Keep the scheduling policy of the calling thread, and of threads that are started within.

    Anything inside that asks for a real-time policy is refused by the system. Does nothing outside Linux.
    """
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    had = _set_nice_capability(False)
    known = _threads() if had is None else set()
    try:
        with _limit.held():
            yield
    finally:
        if had:
            _set_nice_capability(True)
        if had is None:
            _set_back(known, policy, priority)
