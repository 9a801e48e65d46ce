"""Names in backquotes: what docstrings, comments and documents call by its name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "rtcpeer").rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# examples of names that a program has, or an entry point
NOT_OURS = {"rtcpeer.NAME", "rtcpeer.text"}
# interfaces of the standard library
FOREIGN = {"Coroutine", "Executor"}
_FULL = re.compile(r"`(rtcpeer(?:\.\w+)+)`")
_IMPLEMENTS = re.compile(r"Implements `([\w.]+)`")


def module_names() -> set[str]:
    """The dotted names of all modules and packages."""
    dotted = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES)
    return {name.removesuffix(".__init__") for name in dotted}


def source_of(module: str) -> str:
    """The text of a module or package."""
    path = ROOT / module.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


def class_members() -> dict[str, set[str]]:
    """The names that each class defines or annotates, by the class's name."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                members = found.setdefault(node.name, set())
                for entry in node.body:
                    if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                        members.add(entry.target.id)
                    elif isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef):
                        members.add(entry.name)
    return found


def is_there(name: str, modules: set[str]) -> bool:
    """Whether a dotted name is a module, or the module before it has what follows."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in modules:
            text = re.sub(r"`[^`]*`", "", source_of(module))
            return all(re.search(rf"\b{re.escape(part)}\b", text) for part in parts[length : length + 1])
    return False


def unknown_names(text: str, modules: set[str]) -> list[str]:
    """The full names in a text that are not there."""
    return [n for n in _FULL.findall(text) if n not in NOT_OURS and not is_there(n, modules)]


def unknown_interfaces(text: str, classes: dict[str, set[str]]) -> list[str]:
    """The interfaces that a text says it implements and that are not there."""
    wrong = []
    for name in _IMPLEMENTS.findall(text):
        *before, last = name.split(".")
        owner = before[-1] if before else ""
        if last not in classes and owner not in FOREIGN and last not in classes.get(owner, ()):
            wrong.append(name)
    return wrong


def test_full_names_are_there():
    modules = module_names()
    found = {
        path.relative_to(ROOT).as_posix(): unknown_names(path.read_text(encoding="utf-8"), modules)
        for path in [*SOURCES, *DOCUMENTS]
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_interfaces_that_are_implemented_are_there():
    classes = class_members()
    found = {
        path.relative_to(ROOT).as_posix(): unknown_interfaces(path.read_text(encoding="utf-8"), classes)
        for path in SOURCES
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_names_that_are_not_there_are_found():
    modules = module_names()
    assert unknown_names("`rtcpeer.ice.core` and `rtcpeer.ice.nothing`", modules) == ["rtcpeer.ice.nothing"]
    assert unknown_names("`rtcpeer.ice.core.IceCore`, `rtcpeer.ice.core.Nothing`", modules) == [
        "rtcpeer.ice.core.Nothing"
    ]
    classes = {"Watcher": {"on_call"}}
    said = "Implements `Watcher.on_call`. Implements `watching.Watcher.on_end`. Implements `Nobody.x`."
    assert unknown_interfaces(said, classes) == ["watching.Watcher.on_end", "Nobody.x"]
