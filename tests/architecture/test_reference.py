"""The reference is complete: every public name has a page, a docstring, and so has each of its public members."""

from __future__ import annotations

import importlib.util
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("public_names", DOCS / "public_names.py")
assert _spec is not None
assert _spec.loader is not None
public_names = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(public_names)

MODULES = ("rtcpeer", *public_names.FACES)


def _undocumented(owner: object, name: str) -> list[str]:
    """The value itself and its public members without a docstring of their own or of a base."""
    doc = inspect.getdoc(owner)
    # a dataclass without a docstring gets its signature as one
    missing = [] if doc and not doc.startswith(f"{name.rpartition('.')[2]}(") else [name]
    if not inspect.isclass(owner):
        return missing
    for member, value in vars(owner).items():
        plain = (
            value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
        )
        if (
            not member.startswith("_")
            and inspect.isfunction(plain)
            and not inspect.getdoc(getattr(owner, member))
        ):
            missing.append(f"{name}.{member}")
    return missing


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_and_member_has_a_docstring(module):
    names = [name for name in import_module(module).__all__ if name != "__version__"]
    values = [(getattr(import_module(module), name), f"{module}.{name}") for name in names]
    missing = [name for value, full in values if callable(value) for name in _undocumented(value, full)]
    assert missing == []


def test_a_member_without_a_docstring_is_found():
    class Documented:
        """It has one."""

        def bare(self) -> None: ...

        @property
        def value(self) -> int:
            return 1

    assert _undocumented(Documented, "Documented") == ["Documented.bare", "Documented.value"]


@pytest.mark.parametrize("module", MODULES)
def test_a_page_of_the_reference_generates_what_no_other_page_shows(module):
    pages = [page.read_text(encoding="utf-8") for page in public_names.REFERENCE.glob("*.md")]
    assert sum(len(re.findall(rf"^\.\. public-names:: {module}$", page, re.M)) for page in pages) == 1


def test_each_public_name_is_shown_once():
    shown = sorted([*public_names.listed_by_hand(), *(n for m in MODULES for n in public_names.generated(m))])
    assert sorted(set(shown)) == shown
    wanted = {name for module in MODULES for name in import_module(module).__all__} - {"__version__"}
    assert wanted <= {name.rpartition(".")[2] for name in shown}


def test_names_that_are_listed_by_hand_exist():
    for name in public_names.listed_by_hand():
        module, _, last = name.rpartition(".")
        assert last in import_module(module).__all__, name


def test_each_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```{toctree}(.*?)```", index, re.S)
    entries = {line.strip() for tree in trees for line in tree.splitlines()}
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert pages <= entries


def test_the_command_line_page_names_every_command_and_variable():
    from rtcpeer.cli.main import build_parser

    text = (public_names.REFERENCE / "command-line.md").read_text(encoding="utf-8")
    commands = next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    assert [name for name in commands if f"| `{name}" not in text] == []
    sources = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "rtcpeer").rglob("*.py"))
    variables = set(re.findall(r'"(RTCPEER_[A-Z_]+)"', sources))
    assert [name for name in sorted(variables) if name not in text] == []


def test_the_errors_page_shows_every_error():
    from rtcpeer import errors

    text = (public_names.REFERENCE / "errors.md").read_text(encoding="utf-8")
    classes = [
        n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, errors.RtcPeerError)
    ]
    assert [name for name in classes if f"rtcpeer.{name}\n" not in text] == []
