"""Compare a run of the W3C suite with the baseline: what passed before must pass. The baseline may only grow.

    python tests/conformance/check.py artifacts/conformance.json            # exit 1 when something was lost
    python tests/conformance/check.py artifacts/conformance.json --update   # add what passes newly
    python tests/conformance/check.py artifacts/conformance.json --some     # of a run of some files only

The baseline holds, per file of the suite, the number of subtests that pass and the names of those that do not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("baseline.json")


def outcome(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """File -> number of passed subtests and names of the others."""
    return {
        result["file"]: {
            "passed": sum(s["status"] == "PASS" for s in result["subtests"]),
            "failing": sorted(s["name"] for s in result["subtests"] if s["status"] != "PASS"),
        }
        for result in sorted(results, key=lambda r: str(r["file"]))
    }


def lost(
    before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]], *, some: bool = False
) -> list[str]:
    """What the baseline has and this run has not.

    Args:
        some: this was meant to be a run of some files only; else a file that did not run is a loss.
    """
    losses = []
    for file, expected in before.items():
        found = now.get(file)
        if found is None:
            if not some:
                losses.append(f"{file}: did not run")
            continue
        new = sorted(set(found["failing"]) - set(expected["failing"]))
        losses += [f"{file}: {name}" for name in new]
        if not new and found["passed"] < expected["passed"]:
            losses.append(f"{file}: {expected['passed'] - found['passed']} subtests did not run")
    return losses


def main(arguments: list[str]) -> int:
    now = outcome(json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["results"])
    before = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    losses = lost(before, now, some="--some" in arguments)
    for loss in losses:
        print(f"LOST  {loss}")
    if "--update" in arguments and not losses:
        BASELINE.write_text(json.dumps(before | now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    passed = sum(file["passed"] for file in now.values())
    failing = sum(len(file["failing"]) for file in now.values())
    print(f"conformance: {passed} of {passed + failing} subtests pass, {len(losses)} lost since the baseline")
    return int(bool(losses))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
