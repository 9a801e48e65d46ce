"""The wheel and the source distribution: what is in them, that the same sources make the same bytes, and that each
works in an environment with nothing else.
"""

from __future__ import annotations

import importlib.util
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
_spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
assert _spec is not None
assert _spec.loader is not None
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)
# any time will do, as long as it is the same
TIME = 1_700_000_000

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
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can build, and nothing else."""
    folder = tmp_path_factory.mktemp("builder")
    python = environment(folder)
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", "setuptools>=77", cwd=folder)
    return python


def build(builder: Path, folder: Path) -> tuple[Path, Path]:
    """The source distribution of these sources, as they are in a folder of that name, and the wheel of that."""
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*release.NOT_SOURCES))
    return release.build(builder, folder / "tree", folder / "out", TIME)


@pytest.fixture(scope="module")
def built(builder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(builder, tmp_path_factory.mktemp("package"))


def test_the_same_sources_make_the_same_bytes(
    builder: Path, built: tuple[Path, Path], tmp_path: Path
) -> None:
    for one, other in zip(built, build(builder, tmp_path), strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_metadata_are_in_order(built: tuple[Path, Path]) -> None:
    _, wheel = built
    assert release.problems(wheel) == []
    said = release.metadata(wheel)
    assert said["Version"] == release.versions()["pyproject.toml"]
    assert len(said.get_all("License-File")) == 2


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
    assert {
        "rtcpeer/py.typed",
        "rtcpeer/cli/serve/page/index.html",
        "rtcpeer/cli/picture/uplot/LICENSE",
    } <= installed
    assert not [name for name in installed if name.startswith(("tests/", "examples/", "docs/"))]


@pytest.mark.timeout(400)  # three installations and the demo, on a machine that may be busy
def test_they_run_in_an_empty_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    source, wheel = built
    python = environment(tmp_path / "empty")
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", wheel, cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)

    # a promise about time may be missed on a busy machine, which the scenarios judge; a crash has no summary
    demo = [python.parent / "rtcpeer", "demo"]
    done = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert "promises kept in" in done.stdout, done.stdout + done.stderr

    # the sample project tests itself with what was installed, without a configuration of pytest-asyncio
    run(
        python, "-m", "pip", "install", "--quiet", "--no-compile", f"{wheel}[testing,signaling]", cwd=tmp_path
    )
    project = shutil.copytree(ROOT / "examples" / "project", tmp_path / "project")
    assert "4 passed" in run(python, "-m", "pytest", "-q", cwd=project)

    # the same code, built once more where it is installed
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--no-deps",
        "--force-reinstall",
        source,
        cwd=tmp_path,
    )
    names = "import rtcpeer; [getattr(rtcpeer, name) for name in rtcpeer.__all__]; print(rtcpeer.__file__)"
    assert str(tmp_path) in run(python, "-c", names, cwd=tmp_path)
