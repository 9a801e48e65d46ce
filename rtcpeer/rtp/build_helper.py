"""Compiles the optional helper of forwarding: ``python -m rtcpeer.rtp.build_helper [FILE]``.

Into the package's folder, where it is found; where that cannot be written to, into a FILE that RTCPEER_HELPER names
then. What the compiler is called stands in CC ("cc" if it does not). Programs that run keep the one that they loaded.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rtcpeer.rtp import fan_out

# As for any library; warnings are errors, as everywhere here.
_OPTIONS = ("-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared")


class BuildError(Exception):
    """The helper could not be compiled."""


def compiler() -> list[str]:
    """The command of the C compiler; [] where there is none."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    return command if shutil.which(command[0]) else []


def build(file: Path, *options: str) -> None:
    """Compile the helper, and try whether it can be loaded.

    Args:
        file: where it is written to; what is there is replaced when all went well.
        options: further ones of the compiler.

    Raises:
        BuildError: it could not be compiled, written or loaded.
    """
    command = compiler()
    if not command:
        raise BuildError("there is no C compiler: install one (Debian: gcc), or name it in CC")
    version = f'-DRTCPEER_VERSION="{fan_out.version()}"'
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / file.name
            run = subprocess.run(
                [*command, *_OPTIONS, *options, version, str(fan_out.SOURCE), "-o", str(made)],
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode:
                raise BuildError(f"{command[0]} ended with {run.returncode}:\n{run.stderr}")
            fan_out.open_helper(made)
            made.replace(file)
    except (OSError, fan_out.HelperError) as exc:
        raise BuildError(f"{file} could not be made: {exc}") from exc


def main(arguments: list[str]) -> int:
    """Build it; 0 if all went well, 1 if not, 2 for wrong use."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stdout.write(f"{(__doc__ or '').strip()}\n")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    file = Path(arguments[0]).absolute() if arguments else fan_out.FILE
    try:
        build(file)
    except BuildError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    note = "" if file == fan_out.FILE else f"; it is used where {fan_out.VARIABLE}={file} is set"
    sys.stdout.write(f"{file} is built{note}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
