"""Sizes: no function is longer than a reader can hold, and a very long file says why it is one."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTION_MAX = 80
FILE_LONG = 600
SOURCES = sorted((ROOT / "rtcpeer").rglob("*.py"))


def long_functions(text: str) -> list[str]:
    """The functions of a module that have more lines than they may."""
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_MAX
    ]


def test_functions():
    found = {path.relative_to(ROOT).as_posix(): long_functions(path.read_text()) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_long_function_is_found():
    assert long_functions("def f():\n" + "    x = 1\n" * FUNCTION_MAX) == ["f: 81 lines"]
    assert long_functions("def f():\n" + "    x = 1\n" * (FUNCTION_MAX - 1)) == []


def test_long_files_say_why():
    """In the first comment, behind the docstring: "Longer than 600 lines: ..."."""
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if len((text := path.read_text()).splitlines()) > FILE_LONG
        and f"\n# Longer than {FILE_LONG} lines: " not in text
    ]
    assert silent == []
