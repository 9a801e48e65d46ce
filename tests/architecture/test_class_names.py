"""A public class name occurs once in the tree, so that a reader who searches for one finds it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
# W3C names that stand twice on purpose, and where
TWICE = {
    # aiortc's programs find these classes with aiortc's conventions
    ("rtcpeer/aiortc", "rtcpeer/peer"): {
        "RTCDataChannel",
        "RTCDtlsTransport",
        "RTCIceTransport",
        "RTCPeerConnection",
        "RTCRtpReceiver",
        "RTCRtpSender",
        "RTCRtpTransceiver",
        "RTCSctpTransport",
    },
    ("rtcpeer/aiortc", "rtcpeer/media"): {"MediaPlayer"},
    # the face re-labels errors of the floors below as kin of aiortc's of the same name
    ("rtcpeer/errors.py", "rtcpeer/peer"): {
        "InvalidAccessError",
        "InvalidStateError",
        "OperationError",
        "RTCError",
    },
}


def places() -> dict[str, list[str]]:
    """Where each public class is defined; classes within functions and classes count too."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "rtcpeer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def test_no_public_class_name_stands_twice():
    allowed = {name: where for where, names in TWICE.items() for name in names}
    found = places()
    wrong = {
        name: files
        for name, files in found.items()
        if len(files) > 1
        and not (
            len(files) == 2
            and name in allowed
            and all(file.startswith(where) for file, where in zip(files, allowed[name], strict=True))
        )
    }

    assert "RTCPeerConnection" in found
    assert wrong == {}


def test_what_may_stand_twice_does():
    found = places()
    assert [name for names in TWICE.values() for name in names if len(found[name]) != 2] == []
