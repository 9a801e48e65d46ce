"""Names of a package that are imported when they are first used, so that importing the package costs nothing.

Owns: the import of parts that need an extra of the package, and the hint where it is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

# what an extra of the package brings: the first name of its modules, and the extra
_EXTRAS: Final = {
    "aiohttp": "signaling",
    "google": "livekit",  # protobuf
    "jwt": "livekit",
    "livekit": "livekit",
    "prometheus_client": "metrics",
    "redis": "redis",
    "socketio": "socketio",
    "yarl": "signaling",
}
# parts whose extra brings aiohttp as well, so that nobody has to install twice
_PARTS: Final = {
    "rtcpeer.calls.livekit": "livekit",
    "rtcpeer.calls.rtcmulticonnection": "socketio",
    "rtcpeer.testing.livekit": "livekit",
}


def install_hint(extra: str) -> str:
    """How to install what an extra of the package needs, from an index or in a checkout."""
    return f"pip install 'rtcpeer[{extra}]' (in a checkout '.[{extra}]')"


def import_part(name: str) -> ModuleType:
    """Import a module, of this package or of one that adds to it.

    Raises:
        ModuleNotFoundError: if a module of ours lacks something that an extra brings, it says which extra.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(missing)
        if extra is None or not name.startswith("rtcpeer."):
            raise
        extra = next((extra for part, extra in _PARTS.items() if f"{name}.".startswith(f"{part}.")), extra)
        text = f"{name} needs {missing}, which is not installed: {install_hint(extra)}"
        raise ModuleNotFoundError(text, name=error.name, path=error.path) from error


def lazy_names(
    package: str, exports: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The module functions ``__getattr__`` and ``__dir__`` (PEP 562) of a package.

    Args:
        package: its ``__name__``.
        exports: module -> the names that the package shows of it.
    """
    home = {name: module for module, names in exports.items() for name in names}

    def getattr_(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_part(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return getattr_, dir_
