"""Where the peers under Node find their packages: in build/npm, where `make npm` puts them, or in NODE_PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "build" / "npm" / "node_modules"


def places() -> list[Path]:
    """Folders in which packages may be."""
    return [FOLDER, *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]


def file_of(package: str, name: str) -> Path:
    """A file of a package that a browser runs; without the package the test is skipped, for the reason below."""
    for place in places():
        if (place / package / name).is_file():
            return place / package / name
    pytest.skip(f"the npm package {package} is not installed: make npm")


def environment(package: str) -> dict[str, str]:
    """NODE_PATH for a peer that needs this package.

    Without node or the package the module is skipped, under CI=true as well: the packages come from the network of
    npm, and no delivery shall depend on that.
    """
    if not shutil.which("node"):
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)", allow_module_level=True)
    if not any((place / package).is_dir() for place in places()):
        pytest.skip(f"the npm package {package} is not installed: make npm", allow_module_level=True)
    return {"NODE_PATH": os.pathsep.join(map(str, places()))}
