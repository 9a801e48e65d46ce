"""Mutation testing ends what it has started, however it is ended itself."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"
SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
import mutants_server
mutants_server._IMPORTS = ()
mutants_server.serve(*sys.argv[2:5], sys.argv[5:])
"""
# a mutant with which the tests never end; they tell who they are
TEST = r"""
import os, signal
def test_for_ever():
    with open("run", "w") as pipe:
        pipe.write(f"{os.getpid()}\n")
    signal.pause()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "run")
    (tmp_path / "test_it.py").write_text(TEST)
    return tmp_path


@pytest.fixture
def server(tree: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [tree / "socket", tree, tree / "none", "-q", "-p", "no:cacheprovider", "test_it.py"]
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, CI, *arguments],
        cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


@pytest.fixture
def client(tree: Path, server: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-S", CI / "mutants_server.py", "ask", tree / "socket"]
    ) as process:
        yield process
        process.kill()


def run_of(tree: Path) -> int:
    """The tests are running: their process, to be waited for."""
    with (tree / "run").open() as pipe:
        return os.pidfd_open(int(pipe.readline()))


def has_ended(run: int) -> bool:
    try:
        return bool(select.select([run], [], [], 60)[0])
    finally:
        os.close(run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_server_that_is_ended_ends_its_run(tree, server, client, number):
    run = run_of(tree)
    server.send_signal(number)
    assert has_ended(run)
    server.wait(60)
    client.wait(60)


def test_a_server_without_owner_ends_its_run_and_itself(tree, server, client):
    run = run_of(tree)
    server.stdin.close()
    assert has_ended(run)
    server.wait(60)
    client.wait(60)


def test_a_client_that_is_killed_ends_its_run_alone(tree, server, client):
    run = run_of(tree)
    client.kill()
    assert has_ended(run)
    assert server.poll() is None
