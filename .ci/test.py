"""Runs all suites: what talks to other programs, and beside it, with a lower priority, what only computes.

    test.py JOBS

The suites of `tests/interop` wait most of their time, and mind a busy machine: JOBS of their tests run at a time, and
go first. The types, the other suites, and some of them on another Python and with the oldest packages take what they
leave; their output is in build/test/computing.log, and is printed at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOG = ROOT / "build" / "test" / "computing.log"
PYTEST = [sys.executable, "-m", "pytest", "--dist", "worksteal"]
VERSIONS = [
    *(
        "sh",
        ".ci/versions.sh",
        sys.executable,
        "tests/unit/peer",
        "tests/unit/media",
        "tests/unit/aiortc/test_names.py",
    ),
    *("tests/architecture/test_upstream_names.py", "tests/property/test_close_property.py"),
]
COMPUTING = [
    [sys.executable, "-m", "mypy"],
    [*PYTEST, "-n", "2", "tests/architecture", "tests/property", "tests/scenarios", "tests/unit"],
    VERSIONS,
]


def compute() -> int:
    """Run what only computes, all of it; 0 if all has passed."""
    os.nice(5)
    environment = os.environ | {"RTCPEER_SETS": "3.13 oldest"}
    return max(
        [subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode for command in COMPUTING]
    )


def main(jobs: str) -> int:
    """Run both; 0 if all has passed."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as log:
        beside = subprocess.Popen(
            [sys.executable, __file__, "--compute"], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            talking = subprocess.run([*PYTEST, "-n", jobs, "tests/interop"], cwd=ROOT, check=False)
            print("what talks to other programs has been tested; the other suites go on", flush=True)
            computing = beside.wait()
        finally:
            beside.terminate()
            beside.wait()
    print(LOG.read_text(), flush=True)
    return max(abs(talking.returncode), abs(computing))


if __name__ == "__main__":
    sys.exit(compute() if sys.argv[1] == "--compute" else main(sys.argv[1]))
