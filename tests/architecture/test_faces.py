"""The lazy faces: what type checkers see, what is loaded on demand and what `import *` brings are the same names."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import rtcpeer.dictionaries
from rtcpeer.lazy import lazy_names

PACKAGE = Path(__file__).parents[2] / "rtcpeer"
# a module that has `__getattr__` of its own, and how the helper makes it
LAZY = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if any(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_names"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
)


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def seen_and_loaded(source: str) -> tuple[dict[str, str], dict[str, str], set[str]]:
    """Names with their modules as type checkers see them and as they are loaded, and those with a redundant alias."""
    tree = ast.parse(source)
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: str(node.module) for node in imports for alias in node.names}
    marked = {alias.name for node in imports for alias in node.names if alias.asname == alias.name}
    call = next(
        node
        for node in ast.walk(ast.Module(block.orelse, []))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_names"
    )
    homes = ast.literal_eval(call.args[1])
    return seen, {name: home for home, names in homes.items() for name in names}, marked


@pytest.mark.parametrize("path", LAZY, ids=module_of)
def test_names_are_the_same_everywhere(path: Path) -> None:
    module = import_module(module_of(path))
    seen, loaded, marked = seen_and_loaded(path.read_text(encoding="utf-8"))
    assert seen == loaded
    # what is not in `__all__` is re-exported for type checkers by its alias, and only that
    assert marked == set(loaded) - set(module.__all__)
    assert set(module.__all__) <= set(loaded)
    assert set(loaded) <= set(dir(module))
    for name, home in loaded.items():
        assert getattr(module, name) is getattr(import_module(home), name)


def test_the_faces_are_lazy_by_the_one_helper() -> None:
    wanted = {
        "",
        "calls",
        "cli.doctor",
        "config",
        "dictionaries",
        "metrics",
        "signaling",
        "supervisor",
        "testing",
        "testing.livekit",
    }
    assert {module_of(path).removeprefix("rtcpeer").removeprefix(".") for path in LAZY} == wanted
    by_hand = [
        module_of(path)
        for path in PACKAGE.rglob("*.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    ]
    assert by_hand == []


def test_dictionaries_are_had_from_the_package_and_not_by_a_star() -> None:
    dictionaries = {name for name in rtcpeer.dictionaries.__all__ if name.startswith("RTC")}
    assert not dictionaries & set(rtcpeer.__all__)
    assert dictionaries <= set(dir(rtcpeer))


def test_an_unknown_name_is_an_attribute_error() -> None:
    get, _ = lazy_names("rtcpeer.config", {"rtcpeer.config.rest": ("rest_credentials",)})
    with pytest.raises(AttributeError, match=r"module 'rtcpeer\.config' has no attribute 'rest'"):
        get("rest")


def test_documents_and_examples_import_packages_and_not_their_files() -> None:
    """A user's import path is never the name of one of our files; what follows aiortc's paths is aiortc's."""
    root = PACKAGE.parent
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.md")]
    deep = [
        f"{path.relative_to(root)}: {module}"
        for path in [*pages, *(root / "examples").rglob("*.py")]
        for module in re.findall(r"^\s*(?:from|import) (rtcpeer(?:\.\w+)+)", path.read_text("utf-8"), re.M)
        if not module.startswith("rtcpeer.aiortc")
        and module.count(".") > 1
        and not root.joinpath(*module.split("."), "__init__.py").exists()
    ]
    assert deep == []
