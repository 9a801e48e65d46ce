"""The wheel and the source distribution: what is in them, and that each works in an environment with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# what a program or a packager looks for, in the source distribution
SOURCES = (
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs/architecture.md",
    "examples/bot/bot.py",
    "tests/unit/test_webidl.py",
    ".ci/requirements.txt",
    "rtcpeer/py.typed",
)
BUILD = "from setuptools import build_meta as b; print(b.build_{kind}('out'))"

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path) -> Path:
    """An environment with nothing in it; its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=ROOT)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is built from it alone."""
    folder = tmp_path_factory.mktemp("package")
    python = environment(folder / "builder")
    run(python, "-m", "pip", "install", "--quiet", "setuptools>=77", cwd=folder)
    tree = folder / "tree"
    ignored = shutil.ignore_patterns(
        "__pycache__", "*.egg-info", ".venv*", ".git", "build", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, tree, ignore=ignored)
    name = run(python, "-c", BUILD.format(kind="sdist"), cwd=tree).splitlines()[-1]
    source = tree / "out" / name
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / name.removesuffix(".tar.gz")
    name = run(python, "-c", BUILD.format(kind="wheel"), cwd=unpacked).splitlines()[-1]
    return source, unpacked / "out" / name


def test_what_is_in_them(built: tuple[Path, Path]) -> None:
    source, wheel = built
    with tarfile.open(source) as archive:
        top, *_ = archive.getnames()[0].split("/")
        names = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    assert not set(SOURCES) - names
    assert not [name for name in names if "__pycache__" in name]

    with zipfile.ZipFile(wheel) as archive:
        installed = set(archive.namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rtcpeer").rglob("*.py")}
    assert not modules - installed
    assert {"rtcpeer/py.typed", "rtcpeer/cli/serve/page/index.html"} <= installed
    assert not [name for name in installed if name.startswith(("tests/", "examples/", "docs/"))]


def test_they_run_in_an_empty_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    source, wheel = built
    python = environment(tmp_path / "empty")
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)

    # a promise about time may be missed on a busy machine, which the scenarios judge; a crash has no summary
    demo = [python.parent / "rtcpeer", "demo"]
    done = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert "promises kept in" in done.stdout, done.stdout + done.stderr

    # the same code, built once more where it is installed
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", source, cwd=tmp_path)
    names = "import rtcpeer; [getattr(rtcpeer, name) for name in rtcpeer.__all__]; print(rtcpeer.__file__)"
    assert str(tmp_path) in run(python, "-c", names, cwd=tmp_path)
