"""Public attributes have a type that is written down, where the public faces reach them.

`make verifytypes` asks pyright, which takes a while and a wheel; this finds what it would complain of at once.
"""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "rtcpeer"
# The packages that users import, and those whose objects they are given.
REACHED = (
    "calls", "config", "dtls", "media", "metrics", "peer", "rtp", "sctp", "signaling", "supervisor", "testing", "trace"
)  # fmt: skip


def _set_by(statement: ast.Assign) -> list[str]:
    """The public attributes of `self` that an assignment sets, but for copies of an argument."""
    targets = [part for t in statement.targets for part in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [
        target.attr
        for target in targets
        if isinstance(target, ast.Attribute)
        and getattr(target.value, "id", "") == "self"
        and not target.attr.startswith("_")
    ]


def without_type(text: str) -> list[str]:
    """The public attributes of public classes that `__init__` sets without a type."""
    found = []
    for owner in ast.walk(ast.parse(text)):
        if not isinstance(owner, ast.ClassDef) or owner.name.startswith("_"):
            continue
        typed = {
            n.target.id for n in owner.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
        }
        for init in owner.body:
            if not isinstance(init, ast.FunctionDef) or init.name != "__init__":
                continue
            arguments = {argument.arg for argument in (*init.args.args, *init.args.kwonlyargs)}
            typed |= {
                node.target.attr
                for node in ast.walk(init)
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute)
            }
            found += [
                f"{owner.name}.{attribute}"
                for node in ast.walk(init)
                if isinstance(node, ast.Assign)
                and not (isinstance(node.value, ast.Name) and node.value.id in arguments)
                for attribute in _set_by(node)
                if attribute not in typed
            ]
    return found


def test_attributes_that_faces_reach_have_a_type():
    files = [path for package in REACHED for path in sorted((PACKAGE / package).rglob("*.py"))]
    found = {path.relative_to(PACKAGE).as_posix(): without_type(path.read_text("utf-8")) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_one_without_a_type_is_found():
    body = "class A:\n    c: int\n\n    def __init__(self, x: int) -> None:\n        "
    assert without_type(f"{body}self.a = 0") == ["A.a"]
    assert without_type(f"{body}self.a, self._b = 0, 1") == ["A.a"]
    assert without_type(f"{body}self.a: int = 0; self.b = x; self.c = 0; self._d = 0") == []
