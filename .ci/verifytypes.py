"""Whether the types of the public face are complete: of what `__all__` of `rtcpeer` names, each member.

Runs pyright's `--verifytypes` (of basedpyright, whose wheel brings its own Node) and looks at the face alone: what lies
below it, programs do not see. An argument names another report to read instead, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import rtcpeer

# what was incomplete when this check was made; it may only fall
INCOMPLETE_MAX = 92
ROOT = Path(rtcpeer.__file__).parents[1]


def report() -> dict[str, object]:
    """What pyright says of the package."""
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--pythonpath",
        sys.executable,
        "--verifytypes",
        "rtcpeer",
    ]
    # PYTHONPATH, as pyright cannot follow the import hook of an editable installation
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "--ignoreexternal", "--outputjson"], capture_output=True, cwd=folder, env=environment
        )
    return json.loads(done.stdout)


def main() -> int:
    """Print what is incomplete; 1 if more is than there was."""
    found = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else report()
    homes = tuple(f"{getattr(rtcpeer, name).__module__}.{name}" for name in rtcpeer.__all__)
    face = [
        symbol
        for symbol in found["typeCompleteness"]["symbols"]
        if symbol["name"] in homes or symbol["name"].startswith(tuple(f"{home}." for home in homes))
    ]
    bad = [symbol for symbol in face if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]]
    for symbol in bad:
        for said in symbol["diagnostics"]:
            print(f"{symbol['name']}: {said['message']}")
    print(f"types of the public face: {len(face) - len(bad)} of {len(face)} names complete")
    return 1 if len(bad) > INCOMPLETE_MAX or len(face) < len(homes) else 0


if __name__ == "__main__":
    sys.exit(main())
