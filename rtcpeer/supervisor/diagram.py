"""The state diagram of a supervised peer, made from the table that the code and its tests use.

python -m rtcpeer.supervisor.diagram writes it, for `docs/staying-connected.md`.
"""

from __future__ import annotations

import sys

from rtcpeer.supervisor.policy import TRANSITIONS, PeerState


def state_diagram() -> str:
    """The diagram in Mermaid's notation."""
    lines = ["stateDiagram-v2", f"    [*] --> {PeerState.NEW}"]
    for state, targets in TRANSITIONS.items():
        lines += [f"    {state} --> {target}: {cause}" for target, cause in targets.items()]
    lines += [f"    {state} --> [*]" for state, targets in TRANSITIONS.items() if not targets]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(state_diagram() + "\n")
