"""Runs the tests of a mutant in a fork of one process that has imported already what is not ours.

`mutants.py` starts it; cosmic-ray's test command is a client of it: `mutants_server.py ask SOCKET`. A test run that
takes two seconds takes a third of one so, most of which were imports.

    mutants_server.py serve SOCKET TREE CACHED_FILE ARGUMENT...    serves until its standard input is closed
    mutants_server.py ask SOCKET                                   ends with the exit status of a run

A run ends with whoever wants it: with its client, and with the server, however that ends.

A run that takes many times the processor time of the first one, in which nothing was changed, is ended by the system:
time on the clock says nothing on a machine that does something else beside it.

Bytecode is neither written nor read for the mutated module: Python knows it by size and second of its source, and
mutants of one size come in the same second.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys

# what tests import, slow and not ours; what is not installed is left out
_IMPORTS = (
    "pytest", "_pytest.assertion.rewrite", "pytest_asyncio", "pytest_timeout", "hypothesis", "hypothesis.strategies",
    "asyncio", "ssl", "cryptography.x509", "cryptography.hazmat.primitives.asymmetric.ec", "OpenSSL.SSL", "pylibsrtp",
    "av", "aioice", "aiortc", "aiohttp", "numpy", "service_identity.cryptography",
)  # fmt: skip


# prctl(2)
_PR_SET_PDEATHSIG = 1
# a run that takes so much more processor time than the first one is ended
_TIMES_LONGER, _AT_LEAST = 10, 10.0


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have this process get a signal when its parent is gone, be it by SIGKILL (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def leave_when_told() -> None:
    """Have SIGTERM and its like raise SystemExit, so that what was started is ended on the way out."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def ask(path: str) -> int:
    """Have a run, and wait for its result."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        status = connection.recv(1)
    return status[0] if status else 70


def run(arguments: list[str], cached: str, limit: float | None) -> int:
    """In a fork: the tests, within so many seconds of processor time."""
    import pytest

    if limit is not None:
        seconds = int(limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if os.path.exists(cached):
        os.remove(cached)
    sys.dont_write_bytecode = True
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    return int(pytest.main(arguments))


def serve(path: str, tree: str, cached: str, arguments: list[str]) -> None:
    """Fork for each that asks; one that leaves takes its run along."""
    import importlib

    leave_when_told()
    for name in _IMPORTS:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    os.chdir(tree)
    sys.path.insert(0, tree)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        limit: float | None = None
        while True:
            readable, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in readable:
                return
            connection, _ = listener.accept()
            with connection:
                taken = answer(connection, arguments, cached, limit)
            if limit is None:
                limit = max(_AT_LEAST, _TIMES_LONGER * taken)


def answer(connection: socket.socket, arguments: list[str], cached: str, limit: float | None) -> float:
    """One run for one client; the processor time that it took."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        end_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        status = 70
        try:
            if os.getppid() == parent:
                status = run(arguments, cached, limit)
        finally:
            os._exit(status)
    finished = -1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # it may have done so itself
        finished = os.pidfd_open(child)
        # else the client was killed, as the run takes too long, or whoever started us has ended
        select.select([finished, connection, sys.stdin], [], [])
    finally:
        if finished < 0 or not select.select([finished], [], [], 0)[0]:
            os.killpg(child, signal.SIGKILL)
        if finished >= 0:
            os.close(finished)
        _, result, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(result)
    with contextlib.suppress(OSError):
        connection.send(bytes((code if 0 <= code < 128 else 70,)))
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        raise SystemExit(ask(sys.argv[2]))
    serve(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
