"""uPlot is there as its authors published it: unchanged, with its licence, in the release that is named."""

from __future__ import annotations

import hashlib

import pytest

from rtcpeer.cli.picture import uplot


@pytest.mark.parametrize("name", uplot.SHA256)
def test_each_file_is_unchanged(name: str) -> None:
    assert hashlib.sha256((uplot.FOLDER / name).read_bytes()).hexdigest() == uplot.SHA256[name]


def test_every_file_has_a_hash() -> None:
    files = {path.name for path in uplot.FOLDER.iterdir() if path.is_file() and path.suffix != ".py"}
    assert files == set(uplot.SHA256)
    assert {uplot.SCRIPT.name, uplot.STYLE.name} < files


def test_its_release_and_licence() -> None:
    assert f"(v{uplot.VERSION})" in uplot.SCRIPT.read_text(encoding="utf-8")[:100]
    assert "MIT License" in (uplot.FOLDER / "LICENSE").read_text(encoding="utf-8")
