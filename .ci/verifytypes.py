"""Whether the types of the public faces are complete: of what each `__all__` names, each member.

Runs pyright's `--verifytypes` (of basedpyright, whose wheel brings its own Node) and looks at the faces alone: what
lies below them, programs do not see. An argument names another report to read instead, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import rtcpeer

ROOT = Path(rtcpeer.__file__).parents[1]
FACES = (
    "rtcpeer",
    "rtcpeer.calls",
    "rtcpeer.config",
    "rtcpeer.dictionaries",
    "rtcpeer.metrics",
    "rtcpeer.signaling",
    "rtcpeer.supervisor",
    "rtcpeer.testing",
    "rtcpeer.trace",
)
# names that may be incomplete, as a third party's package has no types there: name -> which package
EXCEPTIONS: dict[str, str] = {}


def report() -> dict[str, object]:
    """What pyright says of the package."""
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--verifytypes",
        "rtcpeer",
        "--ignoreexternal",
        "--outputjson",
    ]
    # PYTHONPATH, as pyright cannot follow the import hook of an editable installation; the environment and not
    # `--pythonpath`, with which it does not find what the package imports from others
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=False)
    return json.loads(done.stdout)


def homes() -> set[str]:
    """Where the classes and functions of the faces are defined, as full names."""
    values = [getattr(import_module(face), name) for face in FACES for name in import_module(face).__all__]
    return {
        f"{value.__module__}.{value.__qualname__}"
        for value in values
        if getattr(value, "__module__", "").startswith("rtcpeer.") and hasattr(value, "__qualname__")
    }


def main() -> int:
    """Print what is incomplete; 1 if anything is, or an exception is needed no more."""
    found = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else report()
    wanted = homes()
    below = tuple(f"{home}." for home in wanted)
    face = [
        symbol
        for symbol in found["typeCompleteness"]["symbols"]
        if symbol["name"] in wanted or symbol["name"].startswith(below)
    ]
    bad = [symbol for symbol in face if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]]
    wrong = [symbol for symbol in bad if symbol["name"] not in EXCEPTIONS]
    for symbol in wrong:
        for said in symbol["diagnostics"]:
            print(f"{symbol['name']}: {said['message']}")
    missing = wanted - {symbol["name"] for symbol in face}
    unneeded = set(EXCEPTIONS) - {symbol["name"] for symbol in bad}
    for name in sorted(missing):
        print(f"{name}: pyright does not know it")
    for name in sorted(unneeded):
        print(f"{name}: complete; it is no exception any more")
    complete = len(face) - len(bad)
    print(
        f"types of the public faces: {complete} of {len(face)} names complete, {len(EXCEPTIONS)} exceptions"
    )
    return 1 if wrong or missing or unneeded or not face else 0


if __name__ == "__main__":
    sys.exit(main())
