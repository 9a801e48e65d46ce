"""Where the peers under Node find their packages: in build/npm, where `make npm` puts them, or in NODE_PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "build" / "npm" / "node_modules"


def environment(package: str) -> dict[str, str]:
    """NODE_PATH for a peer that needs this package.

    Without node or the package the module is skipped, under CI=true as well: the packages come from the network of
    npm, and no delivery shall depend on that.
    """
    places = [str(FOLDER), *filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))]
    if not shutil.which("node"):
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)", allow_module_level=True)
    if not any((Path(place) / package).is_dir() for place in places):
        pytest.skip(f"the npm package {package} is not installed: make npm", allow_module_level=True)
    return {"NODE_PATH": os.pathsep.join(places)}
