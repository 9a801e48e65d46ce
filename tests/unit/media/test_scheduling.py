"""No encoder changes the scheduling policy of a thread, nor of what the process starts later."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from rtcpeer.media import scheduling
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.media.video import choice

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux may raise a scheduling policy"
)

_BEGIN = """
import fractions, os, subprocess, sys, threading
import av
from rtcpeer.media import scheduling
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.media.video.av1 import Av1Encoder

def policies():
    result = []
    for thread in os.listdir("/proc/self/task"):
        try:
            result.append(os.sched_getscheduler(int(thread)))
        except ProcessLookupError:
            pass
    return result

def raise_policy():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

def encode():
    encoder = Av1Encoder()
    for size in ((320, 240), (160, 120)):  # the second opens a new one
        frame = av.VideoFrame(*size, "yuv420p")
        frame.pts, frame.time_base = 0, fractions.Fraction(1, 90000)
        assert encoder.encode(frame)[0]
    return encoder
"""


def run(program: str) -> str:
    """Run a program in a process of its own: what it does to its threads must not reach the tests."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def may_raise_policy() -> bool:
    """Whether root has the right here; containers may be without."""
    return run("try:\n    raise_policy()\n    print(1)\nexcept PermissionError:\n    print(0)") == "1"


@pytest.mark.skipif(not choice.can_encode("AV1"), reason="libav is without an AV1 encoder here")
@pytest.mark.parametrize("fallback", [False, True], ids=["denied", "set back"])
def test_av1_leaves_every_thread_at_its_policy(fallback):
    out = run(f"""
        if {fallback}:
            scheduling._set_nice_capability = lambda allowed: None
        kept = []
        thread = threading.Thread(target=lambda: kept.append((encode(), policies(), subprocess.check_output(
            [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]))))
        thread.start(); thread.join()
        encoder, during, child = kept[0]
        print(len(during) > 2, sum(during), sum(policies()), int(child))
    """)

    assert out == "True 0 0 0"


@pytest.mark.skipif(not choice.can_encode("AV1"), reason="libav is without an AV1 encoder here")
def test_av1_opens_also_after_somebody_else_has_raised_priorities():
    # SVT-AV1 remembers that it may; it must not fail when it is refused afterwards
    out = run("""
        policy = os.sched_getscheduler(0)
        codec = av.CodecContext.create("libsvtav1", "w")
        codec.width, codec.height, codec.pix_fmt = 64, 64, "yuv420p"
        codec.time_base, codec.framerate = fractions.Fraction(1, 30), fractions.Fraction(30, 1)
        def foreign():
            codec.open()
        thread = threading.Thread(target=foreign); thread.start(); thread.join()
        before = len(policies()), sum(policies())
        kept = encode()
        print(sum(policies()) - before[1])
    """)

    assert out == "0"


def test_the_right_is_back_afterwards():
    if not may_raise_policy():
        pytest.skip("no right to raise a policy here")
    out = run("""
        with ordinary_scheduling(), ordinary_scheduling():
            try:
                raise_policy()
                print("raised")
            except PermissionError:
                print("refused")
        raise_policy()
        print(os.sched_getscheduler(0))
    """)

    assert out.split("\n") == ["refused", str(os.SCHED_FIFO)]


def test_the_limit_is_lowered_while_somebody_needs_it(monkeypatch):
    # raising it for a test would take one more capability
    limits = [(50, 80)]
    monkeypatch.setattr(scheduling.resource, "getrlimit", lambda what: limits[-1])
    monkeypatch.setattr(scheduling.resource, "setrlimit", lambda what, pair: limits.append(pair))

    with ordinary_scheduling():
        with ordinary_scheduling():
            assert limits[-1] == (0, 80)
        assert limits[-1] == (0, 80)

    assert limits == [(50, 80), (0, 80), (50, 80)]


def test_other_threads_keep_their_right():
    if not may_raise_policy():
        pytest.skip("no right to raise a policy here")
    out = run("""
        inside, done = threading.Event(), threading.Event()
        result = []
        def other():
            inside.wait()
            raise_policy()
            result.append(os.sched_getscheduler(0))
            done.set()
        thread = threading.Thread(target=other); thread.start()
        with ordinary_scheduling():
            inside.set()
            done.wait(5)
        thread.join()
        print(result, os.sched_getscheduler(0))
    """)

    assert out == f"[{os.SCHED_FIFO}] 0"


def test_a_thread_that_was_raised_before_stays_so(monkeypatch):
    # the policy that the user chose for a thread is the user's
    calls = []
    monkeypatch.setattr(scheduling, "_set_nice_capability", lambda allowed: None)
    monkeypatch.setattr(os, "sched_getscheduler", lambda thread: os.SCHED_RR)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *args: calls.append(args))

    with ordinary_scheduling():
        pass

    assert calls == []
