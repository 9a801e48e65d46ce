"""The guard of all suites: a test that leaves a real-time thread fails, and a program never starts at its policy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.unit.media.test_scheduling import may_raise_policy

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux may raise a scheduling policy"
)

_TESTS = """
import os, subprocess, sys, threading

def policy():
    return os.sched_getscheduler(0)

def raised(step=lambda: None, back=True):
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    step()
    if back:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

def in_thread(name, *args, **kwargs):
    thread = threading.Thread(target=raised, args=args, kwargs=kwargs, name=name, daemon=True)
    thread.start()
    return thread

def test_leaves_a_thread():
    ready = threading.Event()
    in_thread("left-over", lambda: (ready.set(), threading.Event().wait()))
    ready.wait()

def test_after_it_every_thread_is_ordinary():
    assert {os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")} == {os.SCHED_OTHER}

def test_leaves_the_main_thread():
    raised(back=False)

def test_starts_a_program():
    said = []
    program = [sys.executable, "-Sc", "import os; print(os.sched_getscheduler(0))"]
    in_thread("starter", lambda: said.append(subprocess.check_output(program))).join()
    # it has not inherited the policy
    assert said == [b"0\\n"]

def test_forks():
    pids = []
    def start():
        child = os.fork()
        if child == 0:
            os._exit(os.sched_getscheduler(0))
        pids.append(os.waitpid(child, 0)[1])
    in_thread("forker", start).join()
    assert pids == [0]

def test_raises_it_for_a_moment():
    in_thread("moment").join()
"""


def test_what_it_says_of_tests_that_leave_policies(tmp_path: Path) -> None:
    if not may_raise_policy():
        pytest.skip("no right to raise a policy here")
    (tmp_path / "conftest.py").write_text(
        "from tests.scheduling_guard import SchedulingGuard\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(SchedulingGuard())\n"
    )
    (tmp_path / "test_it.py").write_text(textwrap.dedent(_TESTS))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "400"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "pytest",
         "-rEpf", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert "6 passed, 4 errors" in done.stdout, done.stdout + done.stderr
    said = {
        line.split("::")[1].split()[0]: line
        for line in done.stdout.splitlines()
        if line.startswith("ERROR ") and "::" in line
    }
    assert "left thread left-over at SCHED_RR" in said.pop("test_leaves_a_thread")
    assert "left thread MainThread at SCHED_RR" in said.pop("test_leaves_the_main_thread")
    assert f"started {sys.executable} by thread starter at SCHED_RR" in said.pop("test_starts_a_program")
    assert "started os.fork by thread forker at SCHED_RR" in said.pop("test_forks")
    assert not said


def test_the_run_that_you_see_is_guarded(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("scheduling-guard")
