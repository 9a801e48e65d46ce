"""Runs all suites: what talks to other programs, and beside it, with a lower priority, what only computes.

    test.py JOBS

The suites of `tests/interop` wait most of their time, and mind a busy machine: JOBS of their tests run at a time, and
go first. The types, the other suites, and some of them on another Python and with the oldest packages take what they
leave; their output is in build/test/computing.log, and is printed at the end.

A few tests that fail are run a second time, when nothing runs beside them: what fails then has failed. What passes
is named at the end, for it may be a fault that is seldom seen.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "test"
LOG = RESULTS / "computing.log"
CODES = RESULTS / "computing.json"
SECOND_LOOKS = 8  # more failures than this are no accident of a busy machine
TALKING = ["tests/interop"]
COMPUTING = ["tests/architecture", "tests/property", "tests/scenarios", "tests/unit"]
TYPES = [sys.executable, "-m", "mypy"]
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


def pytest(suites: list[str], *options: str) -> int:
    """Run suites, which remember their failures under the name of the first one; the exit code."""
    cache = f"cache_dir={failures_of(suites).parents[2]}"
    command = [sys.executable, "-m", "pytest", "--override-ini", cache, *options, *suites]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def failures_of(suites: list[str]) -> Path:
    """Give the file in which pytest notes what has failed in these suites."""
    return RESULTS / suites[0].replace("/", "-") / "v" / "cache" / "lastfailed"


def compute() -> None:
    """Run what only computes, all of it, and write the exit codes of its parts."""
    os.nice(5)
    types = subprocess.run(TYPES, cwd=ROOT, check=False).returncode
    suites = pytest(COMPUTING, "--dist", "worksteal", "-n", "2")
    environment = os.environ | {"RTCPEER_SETS": "3.13 oldest"}
    versions = subprocess.run(VERSIONS, cwd=ROOT, env=environment, check=False).returncode
    CODES.write_text(json.dumps({"types": types, "suites": suites, "versions": versions}))


def look_again(suites: list[str], code: int) -> int:
    """Run what has failed in these suites once more, one test at a time; give the exit code that counts."""
    if code != 1:  # all has passed, or it is not single tests that have failed
        return code
    failures = failures_of(suites)
    failed = json.loads(failures.read_text())
    if len(failed) > SECOND_LOOKS:
        return code
    print(f"*** {len(failed)} failed in {', '.join(suites)}: once more, with nothing beside", flush=True)
    code = pytest(suites, "--last-failed", "--last-failed-no-failures", "none")
    if code == 0:
        print("*** FAILED THE FIRST TIME, and passed alone:", *sorted(failed), sep="\n    ", flush=True)
    return code


def main(jobs: str) -> int:
    """Run both; 0 if all has passed."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    with LOG.open("w") as log:
        beside = subprocess.Popen(
            [sys.executable, __file__, "--compute"], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            talking = pytest(TALKING, "--dist", "worksteal", "-n", jobs)
            print("what talks to other programs has been tested; the other suites go on", flush=True)
            beside.wait()
        finally:
            beside.terminate()
            beside.wait()
    print(LOG.read_text(), flush=True)
    if not CODES.exists():
        print(f"*** what computes ended with {beside.returncode} before its end", flush=True)
        return 1
    codes = json.loads(CODES.read_text())
    codes["talking"] = look_again(TALKING, talking)
    codes["suites"] = look_again(COMPUTING, codes["suites"])
    failed = [name for name, code in codes.items() if code]
    if failed:
        print(f"*** FAILED: {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    if sys.argv[1] == "--compute":
        compute()
    else:
        sys.exit(main(sys.argv[1]))
