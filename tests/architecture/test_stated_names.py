"""Names in backquotes: what docstrings, comments and documents call by its name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "rtcpeer").rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# examples of names that a program has, or an entry point
NOT_OURS = {"rtcpeer.NAME", "rtcpeer.aiortc.x", "rtcpeer.text"}
# interfaces of the standard library
FOREIGN = {"Coroutine", "Executor"}
# single names in docstrings of foreign things: of Janus' API, of libav's encoders, a library, a module, a folder, a
# class
FOREIGN_WORDS = {
    "ThreadPoolExecutor",
    "av1_nvenc",
    "h264_amf",
    "h264_nvenc",
    "h264_qsv",
    "h264_v4l2m2m",
    "hevc_nvenc",
    "py",
    "reclaim_session_timeout",
    "tests",
    "uPlot",
    "utils",
    "wrtc",
}
_WORD = re.compile(r"(?<!`)`([A-Za-z_]\w*)`(?!`)")
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


def names_in_code() -> set[str]:
    """Every name that code, a file or a short text in code has."""
    names: set[str] = set()
    for path in SOURCES:
        names.update(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.arg | ast.keyword):
                names.add(node.arg or "")
            elif isinstance(node, ast.alias):
                names.update(node.name.split("."))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names


def docstrings_of(text: str) -> str:
    """All docstrings of a module."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def unknown_words(text: str, names: set[str]) -> list[str]:
    """The single names in backquotes in a text that nothing has."""
    return sorted(set(_WORD.findall(text)) - names - FOREIGN_WORDS)


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


def test_single_names_are_there():
    names = names_in_code()
    texts = {path: docstrings_of(path.read_text(encoding="utf-8")) for path in SOURCES}
    for path in (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"):
        texts[path] = path.read_text(encoding="utf-8")
    found = {path.relative_to(ROOT).as_posix(): unknown_words(text, names) for path, text in texts.items()}
    assert {path: words for path, words in found.items() if words} == {}


def test_names_that_are_not_there_are_found():
    modules = module_names()
    assert unknown_names("`rtcpeer.ice.core` and `rtcpeer.ice.nothing`", modules) == ["rtcpeer.ice.nothing"]
    assert unknown_names("`rtcpeer.ice.core.IceCore`, `rtcpeer.ice.core.Nothing`", modules) == [
        "rtcpeer.ice.core.Nothing"
    ]
    classes = {"Watcher": {"on_call"}}
    said = "Implements `Watcher.on_call`. Implements `watching.Watcher.on_end`. Implements `Nobody.x`."
    assert unknown_interfaces(said, classes) == ["watching.Watcher.on_end", "Nobody.x"]
    assert unknown_words("`Watcher` and `nothing`, ```py```", {"Watcher"}) == ["nothing"]
    assert docstrings_of('"""A."""\ndef f():\n    """B."""\n').split() == ["A.", "B."]
