"""Dry run of a release: wheel and source distribution are built twice, compared byte by byte, and checked.

    python .ci/release.py [FOLDER]      # what was built stays there; by default in dist

Runs in an environment of its own (`make release`), with what `.ci/release.txt` pins. Owns: how the files are made, so
that anybody who has the same commit makes the same bytes. Never: an upload, a tag, a change of the repository.
"""

from __future__ import annotations

import datetime
import email
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# a link that works where it is read, or a place in the same text
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s]+)\)")
_RELEASE = re.compile(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)$", re.M)
_BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({folder!r}))"
# what tools leave beside the sources
NOT_SOURCES = (
    "__pycache__",
    "*.egg-info",
    ".venv*",
    ".git",
    "build",
    "dist",
    "artifacts",
    ".*_cache",
    ".hypothesis",
)


def newest_entry(changelog: str) -> tuple[str, str]:
    """Version and date of the newest release that the changelog has.

    Raises:
        ValueError: there is none.
    """
    found = _RELEASE.search(changelog)
    if found is None:
        raise ValueError("CHANGELOG.md has no line like '## 1.2.3 (2026-01-31)'")
    return found[1], found[2]


def is_unreleased(changelog: str) -> bool:
    """Whether the changelog begins with changes that belong to no release yet."""
    first = re.search(r"^## (.*)$", changelog, re.M)
    return first is not None and _RELEASE.match(first[0]) is None


def versions(root: Path = ROOT) -> dict[str, str]:
    """What each file that names a version says, by its name."""
    package = (root / "rtcpeer" / "__init__.py").read_text(encoding="utf-8")
    named = re.search(r'^__version__ = "([^"]+)"$', package, re.M)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "CHANGELOG.md": newest_entry((root / "CHANGELOG.md").read_text(encoding="utf-8"))[0],
        "pyproject.toml": project["version"],
        "rtcpeer/__init__.py": "none" if named is None else named[1],
    }


def release_time(root: Path = ROOT) -> int:
    """The time of all files of a release, s since 1970: of the last commit, or (in no repository) of the changelog."""
    if (root / ".git").exists():
        return int(_run("git", "log", "-1", "--format=%ct", cwd=root))
    date = newest_entry((root / "CHANGELOG.md").read_text(encoding="utf-8"))[1]
    return int(datetime.datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp())


def copy_sources(folder: Path, root: Path = ROOT) -> None:
    """What is under version control, as it was committed last; outside a repository everything but what tools leave."""
    if (root / ".git").exists():
        archive = folder.with_suffix(".tar")
        _run("git", "archive", "--output", archive, "HEAD", cwd=root)
        _unpack(archive, folder)
        archive.unlink()
    else:
        shutil.copytree(root, folder, ignore=shutil.ignore_patterns(*NOT_SOURCES))


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of ours."""
    with tarfile.open(archive) as tar:
        # Python 3.11.2, which is Debian 12's, has no filters yet
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:
            tar.extractall(folder)


def build(python: str | Path, tree: Path, folder: Path, time: int) -> tuple[Path, Path]:
    """Build both from a tree: the source distribution, and from it alone the wheel.

    Args:
        python: one that has setuptools.
        tree: the sources; the tools leave their traces in it.
        folder: where the files go, an absolute path.
        time: see `release_time`.

    Returns:
        The source distribution and the wheel.
    """
    source = _build("sdist", python, tree, folder, time)
    repack(source, time)
    with tempfile.TemporaryDirectory() as unpacked:
        _unpack(source, Path(unpacked))
        inner = Path(unpacked) / source.name.removesuffix(".tar.gz")
        return source, _build("wheel", python, inner, folder, time)


def _build(kind: str, python: str | Path, tree: Path, folder: Path, time: int) -> Path:
    code = _BUILD.format(kind=kind, folder=str(folder))
    said = _run(python, "-c", code, cwd=tree, env={**os.environ, "SOURCE_DATE_EPOCH": str(time)})
    return folder / said.splitlines()[-1]


def repack(source: Path, time: int) -> None:
    """Write a source distribution anew: in order, with one time and nobody's name. setuptools notes when and who."""
    with tarfile.open(source) as archive:
        members = sorted(
            ((one, archive.extractfile(one)) for one in archive.getmembers()), key=lambda pair: pair[0].name
        )
        repacked = source.with_suffix(".new")
        with (
            repacked.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=time) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member, content in members:
                plain = tarfile.TarInfo(member.name)
                plain.type, plain.size, plain.mtime = member.type, member.size, time
                plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                tar.addfile(plain, content)
    repacked.replace(source)


def metadata(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def problems(wheel: Path) -> list[str]:
    """What is wrong with the metadata and the files of a wheel, a sentence each."""
    said = metadata(wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    licenses = said.get_all("License-File") or []
    description = str(said.get_payload())
    checks = {
        "the metadata are older than version 2.4 (PEP 639)": (said["Metadata-Version"] or "0") >= "2.4",
        "no License-Expression": said["License-Expression"] is not None,
        "no license file": bool(licenses),
        "a license file is named and not there": all(
            any(name.endswith(f".dist-info/licenses/{one}") for name in names) for one in licenses
        ),
        "a classifier about the license beside License-Expression": not any(
            one.startswith("License ::") for one in said.get_all("Classifier") or []
        ),
        "no summary": bool(said["Summary"]),
        "the description is not marked as Markdown": said["Description-Content-Type"] == "text/markdown",
        "no py.typed": "rtcpeer/py.typed" in names,
        "it is not for every platform": wheel.name.endswith("-py3-none-any.whl"),
    }
    found = [what for what, right in checks.items() if not right]
    found += [
        f"a link of the description that leads nowhere: {link}"
        for link in _RELATIVE_LINK.findall(description)
    ]
    return found + unknown_classifiers(said.get_all("Classifier") or [])


def unknown_classifiers(classifiers: list[str]) -> list[str]:
    """Those that package indexes refuse; nothing where the list of all is not installed."""
    try:
        from trove_classifiers import classifiers as known
    except ImportError:
        return []
    return [f"no classifier: {one}" for one in classifiers if one not in known]


def installed_version(wheel: Path) -> str:
    """What ``rtcpeer --version`` says where the wheel is installed."""
    with tempfile.TemporaryDirectory() as folder:
        _run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            folder,
            wheel,
            cwd=ROOT,
        )
        environment = {**os.environ, "PYTHONPATH": folder}
        return _run(sys.executable, "-m", "rtcpeer", "--version", cwd=folder, env=environment)


def _run(*command: str | Path, cwd: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main() -> int:
    """Build, compare, check, print; 1 if something is wrong."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    if (ROOT / ".git").exists() and _run("git", "status", "--porcelain", cwd=ROOT):
        print("there are changes that are not committed: what is built is the last commit")
    time = release_time()
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        built: list[tuple[Path, Path]] = []
        for turn in ("first", "second"):
            tree = Path(scratch) / turn
            copy_sources(tree)
            built.append(build(sys.executable, tree, Path(scratch) / f"out-{turn}", time))
        wrong = [
            f"{one.name} is another one when it is built again"
            for one, other in zip(*built, strict=True)
            if one.read_bytes() != other.read_bytes()
        ]
        folder.mkdir(parents=True)
        source, wheel = (Path(shutil.copy(path, folder)) for path in built[0])
    said = versions()
    said["rtcpeer --version"] = installed_version(wheel).removeprefix("rtcpeer ")
    said["the wheel"] = metadata(wheel)["Version"]
    if len(set(said.values())) > 1:
        wrong.append(f"versions differ: {', '.join(f'{where} {what}' for where, what in said.items())}")
    if is_unreleased((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")):
        wrong.append("CHANGELOG.md begins with changes of no release")
    wrong += problems(wheel)
    twine = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", source, wheel], check=False)
    if twine.returncode:
        wrong.append("twine check --strict has complaints")
    for path in (source, wheel):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")
    for what in wrong:
        print(f"WRONG: {what}")
    print(f"{'not ready' if wrong else 'ready'}: {said['pyproject.toml']}, in {folder}; nothing was uploaded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
