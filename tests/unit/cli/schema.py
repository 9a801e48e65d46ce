"""The JSON schema of what commands print with ``--json``, for tests that have real output at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FILE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def check(command: str, *objects: Any) -> None:
    """Fail unless each object is one that the command may print."""
    assert objects
    validator = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{command}"})
    for one in objects:
        best = min(validator.iter_errors(one), key=lambda error: error.path, default=None)
        assert best is None, f"{command} --json printed {one!r:.500}: {best.message:.500}"
