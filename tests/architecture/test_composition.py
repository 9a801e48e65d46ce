"""No class inherits from another one only so that it is divided into two files: what is too long is composed."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# bases with one subclass that are none of these halves, and why
ALLOWED = {
    # handed over as a class: services without anything to add use it as it is
    "MeshMember",
}
# modules of bases that hold nothing but overloads for type checkers
TYPES_ONLY = {
    "rtcpeer/peer/connection_listening.py",
    "rtcpeer/peer/listening.py",
    "rtcpeer/supervisor/listening.py",
}


def name_of(node: ast.expr) -> str:
    """The last part of a name: of ``w3c.RTCRtpSender`` and of ``Reader[int]``."""
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def halves(sources: dict[str, str]) -> list[str]:
    """Classes that one class of another module inherits from, and that nobody makes.

    Args:
        sources: text by path.
    """
    where: dict[str, str] = {}
    heirs: dict[str, list[str]] = defaultdict(list)
    made: set[str] = set()
    protocols = {"Protocol"}
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                where[node.name] = path
                bases = [name_of(base) for base in node.bases]
                if "Protocol" in bases:
                    protocols.add(node.name)
                for base in bases:
                    heirs[base].append(path)
            elif isinstance(node, ast.Call):
                made.add(name_of(node.func))
    return sorted(
        base
        for base, paths in heirs.items()
        if base in where
        and len(paths) == 1
        and paths[0] != where[base]
        and base not in made | protocols | ALLOWED
        and where[base] not in TYPES_ONLY
    )


def test_no_class_is_divided_by_inheritance():
    paths = sorted((ROOT / "rtcpeer").rglob("*.py"))
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}

    assert sources.keys() >= TYPES_ONLY
    assert halves(sources) == []


def test_bases_for_types_do_nothing():
    """At run time they are empty, so that nothing can hide in them."""
    for path in TYPES_ONLY:
        for node in ast.parse((ROOT / path).read_text()).body:
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    is_text = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
                    is_for_types = isinstance(part, ast.If) and name_of(part.test) == "TYPE_CHECKING"
                    assert is_text or is_for_types, f"{path}: {node.name} has more than types"


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("", ["Half"]),
        ("Half()", []),
        ("class Other(half.Half): pass", []),
    ],
)
def test_a_half_is_found(use, found):
    sources = {"half.py": "class Half: pass", "whole.py": f"class Whole(Half[int]): pass\n{use}"}
    assert halves(sources) == found
