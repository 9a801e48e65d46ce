"""Names of packages that are loaded on demand."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("package", ["config", "signaling", "supervisor", "testing", "calls"])
def test_every_name_of_a_face_is_there_and_nothing_else(package):
    module = importlib.import_module(f"rtcpeer.{package}")

    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
