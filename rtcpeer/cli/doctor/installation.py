"""This installation, as ``rtcpeer doctor`` shows it: versions, the helper of forwarding, the optional packages.

Owns: looking it up, and its lines. Never: an import of an optional package; its metadata tell what is there.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rtcpeer.lazy import install_hint
from rtcpeer.rtp import fan_out

PACKAGE = "rtcpeer"
# for who works on rtcpeer itself
_NOT_SHOWN = frozenset({"dev"})
_REQUIREMENT = re.compile(r"""([\w.-]+)[^;]*(?:;.*\bextra\s*==\s*["']([\w.-]+)["'])?""")


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the package, as in ``pip install rtcpeer[NAME]``.

    Attributes:
        packages: name and version of each package that it needs; None where it is not installed.
    """

    name: str
    packages: tuple[tuple[str, str | None], ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not there."""
        return tuple(name for name, version in self.packages if version is None)


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything that was found.

    Attributes:
        packages: name and version of rtcpeer and what it always needs.
        extras: in the order of the package's metadata; empty where rtcpeer is not installed, as in a bare source tree.
    """

    python: str
    system: str
    packages: tuple[tuple[str, str | None], ...]
    extras: tuple[Extra, ...]
    helper: fan_out.HelperState

    @property
    def works(self) -> bool:
        """Whether nothing that is there is broken; what is optional may be missing."""
        return self.helper.code != "unusable" and all(version for _, version in self.packages)


def look_up() -> Installation:
    """Look it up; a few ms of reading files."""
    needed, extras = _requirements()
    return Installation(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages=tuple((name, _version(name)) for name in (PACKAGE, *needed)),
        extras=tuple(
            Extra(name, tuple((package, _version(package)) for package in packages))
            for name, packages in extras.items()
        ),
        helper=fan_out.helper_state(),
    )


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """The names that the package always needs, and those of each extra."""
    try:
        listed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        listed = []
    return sort_requirements(listed)


def sort_requirements(listed: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The names in a list of requirements (PEP 508): those without an extra, and those of each extra."""
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for text in listed:
        found = _REQUIREMENT.match(text)
        if found is None or found[2] in _NOT_SHOWN:
            continue
        names = needed if found[2] is None else extras.setdefault(found[2], [])
        names.append(found[1])
    return needed, extras


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def as_lines(found: Installation) -> Sequence[str]:
    """The installation as lines, for people."""
    versions = ", ".join(f"{name} {version or 'MISSING'}" for name, version in found.packages)
    lines = [f"Python {found.python} on {found.system}: {versions}.", "", found.helper.sentence, ""]
    for extra in found.extras:
        if extra.missing:
            hint = f"missing: {', '.join(extra.missing)}; {install_hint(extra.name)}"
            lines.append(f"no     {extra.name:<10}  {hint}")
        else:
            lines.append(f"yes    {extra.name:<10}  {', '.join(f'{n} {v}' for n, v in extra.packages)}")
    if not found.extras:
        lines.append("What is optional is not known: rtcpeer runs from a folder and is not installed.")
    return lines


def as_document(found: Installation) -> dict[str, Any]:
    """The installation as a document, for programs."""
    return {
        "works": found.works,
        "python": found.python,
        "system": found.system,
        "packages": dict(found.packages),
        "helper": {
            "state": found.helper.code,
            "file": str(found.helper.file),
            "sentence": found.helper.sentence,
        },
        "extras": {
            extra.name: {"complete": not extra.missing, "packages": dict(extra.packages)}
            for extra in found.extras
        },
    }
