"""Run a program that was written for aiortc on rtcpeer, unchanged.

python -m rtcpeer.aiortc program.py arguments...
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from rtcpeer.aiortc import replace_aiortc


def main(arguments: list[str]) -> None:
    """Run a program with `aiortc` replaced.

    Args:
        arguments: the program's path (or ``-m`` and a module's name), and its own arguments.
    """
    is_module = arguments[:1] == ["-m"]
    arguments = arguments[is_module:]
    if not arguments:
        sys.exit("usage: python -m rtcpeer.aiortc [-m] PROGRAM ARGUMENTS...")
    replace_aiortc()
    sys.argv[:] = arguments
    if is_module:
        sys.path.insert(0, "")
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
