"""The pool of threads: one for the process, and another for a child that `fork()` makes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rtcpeer.media import workers
from rtcpeer.media.workers import Workers

_FORK = """
import os, warnings
warnings.simplefilter("ignore")
from rtcpeer.media import workers
from rtcpeer.media.workers import Workers

parents = Workers()
assert parents.acquire().submit(os.getpid).result(5) == os.getpid()
child = os.fork()
if child == 0:
    own = Workers()
    assert own.acquire().submit(os.getpid).result(5) == os.getpid()
    # what was inherited counts no more, and may be used again
    parents.release()
    assert own.acquire().submit(os.getpid).result(5) == os.getpid()
    parents.acquire()
    own.release()
    assert parents.acquire().submit(os.getpid).result(5) == os.getpid()
    parents.release()
    assert workers._pool is None
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert parents.acquire().submit(os.getpid).result(5) == os.getpid()
parents.release()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_a_child_has_threads_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", _FORK], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr


def test_the_pool_ends_with_its_last_user():
    one, other = Workers(), Workers()
    pool = one.acquire()
    assert other.acquire() is pool
    one.release()
    one.release()
    assert other.acquire() is pool
    other.release()

    assert workers._pool is None
    with pytest.raises(RuntimeError):
        pool.submit(int)
