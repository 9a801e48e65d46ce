"""The checks of a release: versions, bytes that can be made again, metadata. What is built is in `test_package.py`."""

from __future__ import annotations

import gzip
import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
assert _spec is not None
assert _spec.loader is not None
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DESCRIPTION = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
GOOD = {
    "Metadata-Version": "2.4",
    "Summary": "what it is",
    "License-Expression": "BSD-3-Clause",
    "License-File": "LICENSE",
    "Description-Content-Type": "text/markdown",
}


def wheel(folder: Path, description: str = "See <https://example.org>.", **changes: str | None) -> Path:
    """A wheel of nothing, with these metadata."""
    members = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    head = "".join(f"{name}: {value}\n" for name, value in members.items() if value is not None)
    path = folder / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x-1.dist-info/METADATA", f"{head}\n{description}\n")
        archive.writestr("x-1.dist-info/licenses/LICENSE", "do as you like")
        archive.writestr("rtcpeer/py.typed", "")
    return path


def test_one_version_everywhere() -> None:
    assert len(set(release.versions().values())) == 1, release.versions()
    said = subprocess.run(
        [sys.executable, "-m", "rtcpeer", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["rtcpeer", PROJECT["version"]]


def test_the_changelog_says_what_is_released() -> None:
    text = "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n- x\n\n## 1.1.0 (2025-01-31)\n"
    assert release.newest_entry(text) == ("1.2.0", "2026-01-31")
    assert not release.is_unreleased(text)
    later = text.replace("## 1.2.0", "## Unreleased\n\n- y\n\n## 1.2.0")
    assert release.is_unreleased(later)
    assert release.newest_entry(later) == ("1.2.0", "2026-01-31")
    with pytest.raises(ValueError, match=r"CHANGELOG\.md"):
        release.newest_entry("# Changelog\n")


def tarball(path: Path, when: int, names: list[str], text: str = "x") -> Path:
    with (
        path.open("wb") as file,
        gzip.GzipFile(path.name, "wb", fileobj=file, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.uname = (
                len(text),
                when + number,
                number,
                f"user{when}",
            )
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_a_source_distribution_is_the_same_whoever_packs_it(tmp_path: Path) -> None:
    one = tarball(tmp_path / "one.tar.gz", 1_000_000, ["p/a", "p/b", "p/c"])
    other = tarball(tmp_path / "other.tar.gz", 2_000_000, ["p/c", "p/a", "p/b"])
    changed = tarball(tmp_path / "changed.tar.gz", 1_000_000, ["p/a", "p/b", "p/c"], "y")
    assert one.read_bytes() != other.read_bytes()
    for path in (one, other, changed):
        release.repack(path, 1_234_567)
    assert one.read_bytes() == other.read_bytes() != changed.read_bytes()
    with tarfile.open(one) as tar:
        assert [(m.name, m.mtime, m.uid, m.uname) for m in tar] == [
            (f"p/{name}", 1_234_567, 0, "") for name in "abc"
        ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"Metadata_Version": "2.1"}, "older than version 2.4"),
        ({"License_Expression": None}, "no License-Expression"),
        ({"License_File": None}, "no license file"),
        ({"License_File": "COPYING"}, "named and not there"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "beside License-Expression"),
        ({"Summary": None}, "no summary"),
        ({"Description_Content_Type": None}, "not marked as Markdown"),
        (
            {"description": "[Calls](docs/calls.md), [web](https://example.org), [below](#here)"},
            "docs/calls.md",
        ),
    ],
)
def test_metadata_are_judged(tmp_path: Path, changes: dict[str, str | None], problem: str | None) -> None:
    found = release.problems(wheel(tmp_path, **changes))
    assert len(found) == (0 if problem is None else 1), found
    assert problem is None or problem in found[0]


def test_the_metadata_name_what_is_tested() -> None:
    row = re.search(
        r"^\| Python \| (\S+) \| ([^|]+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert row is not None
    prefix = "Programming Language :: Python :: "
    named = {c.removeprefix(prefix) for c in PROJECT["classifiers"] if re.fullmatch(rf"{prefix}3\.\d+", c)}
    assert named == set(row[2].strip().split(", "))
    assert PROJECT["requires-python"] == f">={row[1]}"
    assert all((ROOT / path).is_file() for path in PROJECT["license-files"])
    # no address is public yet, and none is invented
    assert "urls" not in PROJECT


def test_the_description_stands_alone_and_its_program_runs() -> None:
    assert release._RELATIVE_LINK.findall(DESCRIPTION) == []
    (program,) = re.findall(r"```python\n(.*?)```", DESCRIPTION, re.S)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("hello\n", "")
    extras = set(re.findall(r"`(\w+)`", DESCRIPTION.partition("Extras:")[2].partition(". Python")[0]))
    assert extras == set(PROJECT["optional-dependencies"]) - {"dev"}


def test_the_changelog_says_everything_once() -> None:
    """A release has one entry, and a change is in one release."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (\S+)", text, re.MULTILINE)
    assert titles[-2:] == ["0.2.0", "0.1.0"]
    assert len(titles) == len(set(titles))
    lines = [line for line in text.splitlines() if len(line) > 40]
    assert [line for line in lines if lines.count(line) > 1] == []
