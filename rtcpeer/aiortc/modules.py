"""aiortc's modules under our name: whatever a program imports from `aiortc.x` it can import from `rtcpeer.aiortc.x`.

Modules that we do not have (`codecs`, `rtp`, `utils`, ...) are aiortc's own, the same objects; names that ours lack
(`aiortc.rtcsctptransport.USERDATA_MAX_LENGTH`) are aiortc's. Most of them are parts of aiortc's machinery, which does
not run here: they can be used by themselves, and changing them changes nothing, but for what section 3 of
docs/moving-from-aiortc.md names.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

import aiortc
import aiortc.contrib

_OURS = "rtcpeer.aiortc"


def complete() -> None:
    """Give what is aiortc's alone the names that a program looks for under ours."""
    own = _names(sys.modules[_OURS])
    for name in _names(aiortc):
        theirs, full = importlib.import_module(f"aiortc.{name}"), f"{_OURS}.{name}"
        if name not in own:
            sys.modules[full] = theirs
            parent, _, last = full.rpartition(".")
            setattr(sys.modules[parent], last, theirs)
            continue
        ours = importlib.import_module(full)
        for item, value in vars(theirs).items():
            if not item.startswith("__") and not hasattr(ours, item):
                setattr(ours, item, value)


def replace_aiortc() -> None:
    """Let `import aiortc` give this package in the whole process: in libraries that were written for aiortc, too.

    Call it before those libraries are imported; what they have imported before stays as it is. It takes nothing away
    from rtcpeer, and cannot be undone.
    """
    if aiortc is sys.modules[_OURS]:
        return
    for name in _names(aiortc):
        sys.modules[f"aiortc.{name}"] = sys.modules[f"{_OURS}.{name}"]
    sys.modules["aiortc"] = sys.modules[_OURS]


def _names(package: ModuleType) -> list[str]:
    """The modules of a package and of its packages, parents first."""
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        found.append(module.name)
        if module.ispkg:
            inner = importlib.import_module(f"{package.__name__}.{module.name}")
            found += [f"{module.name}.{one.name}" for one in pkgutil.iter_modules(inner.__path__)]
    return found
