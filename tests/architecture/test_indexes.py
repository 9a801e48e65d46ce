"""Every package is introduced by its own index: the docstring of its `__init__` names each of its modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "rtcpeer"
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))


def missing(package: Path) -> list[str]:
    """The modules and packages inside a package that its docstring does not name."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = set(re.findall(r"`([a-zA-Z_0-9]+)`", docstring))
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    return sorted((modules | packages) - named)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT.parent).as_posix())
def test_a_package_names_its_modules(package: Path) -> None:
    assert missing(package) == []


def test_a_module_that_is_not_named_is_found(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name, text in (
        ("__init__", '"""Has `named` and a plain forgotten."""'),
        ("named", ""),
        ("forgotten", ""),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "inner" / "__init__.py").write_text("")
    assert missing(tmp_path) == ["forgotten", "inner"]
