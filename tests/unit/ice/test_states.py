"""The state of an ICE transport (webrtc-pc 5.6.2), from what its generations are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.ice.consent import Liveness
from rtcpeer.ice.states import derive_state
from rtcpeer.values import IceTransportState

NEW, CHECKING = IceTransportState.NEW, IceTransportState.CHECKING
CONNECTED, COMPLETED = IceTransportState.CONNECTED, IceTransportState.COMPLETED
DISCONNECTED, FAILED = IceTransportState.DISCONNECTED, IceTransportState.FAILED
LIVE, SILENT, EXPIRED = Liveness.LIVE, Liveness.SILENT, Liveness.EXPIRED


def generation(
    *, failed: bool = False, completed: bool = False, exhausted: bool = False, remotes: int = 1
) -> Any:
    return SimpleNamespace(
        failed=failed, is_completed=completed, is_exhausted=exhausted, remotes=["remote"] * remotes
    )


@pytest.mark.parametrize(
    ("told", "newest", "expected"),
    [
        (NEW, None, NEW),
        (NEW, generation(remotes=0), NEW),
        (NEW, generation(), CHECKING),
        # a restart of what was tried before
        (CHECKING, generation(remotes=0), CHECKING),
        (CHECKING, generation(exhausted=True), DISCONNECTED),
        (CHECKING, generation(exhausted=True, failed=True), FAILED),
        (FAILED, generation(), CHECKING),
    ],
)
def test_before_a_pair_works(told: IceTransportState, newest: Any, expected: IceTransportState) -> None:
    assert derive_state(told, None, None, newest, forgets_loss=False) is expected


@pytest.mark.parametrize(
    ("told", "completed", "level", "expected"),
    [
        (CHECKING, False, LIVE, CONNECTED),
        (CONNECTED, True, LIVE, COMPLETED),
        # a restart on a path that works is not told
        (COMPLETED, False, LIVE, COMPLETED),
        (DISCONNECTED, False, LIVE, CONNECTED),
        (COMPLETED, True, SILENT, DISCONNECTED),
        (DISCONNECTED, True, EXPIRED, FAILED),
    ],
)
def test_while_one_generation_carries_data(
    told: IceTransportState, completed: bool, level: Liveness, expected: IceTransportState
) -> None:
    carrying = generation(completed=completed, failed=level is EXPIRED)
    assert derive_state(told, carrying, level, carrying, forgets_loss=False) is expected
    assert derive_state(told, carrying, level, None, forgets_loss=False) is expected


@pytest.mark.parametrize(
    ("told", "level", "forgets_loss", "failed", "expected"),
    [
        # the loss came after the restart: there is hope while the restart has it, and none is made up
        (COMPLETED, EXPIRED, False, False, DISCONNECTED),
        (DISCONNECTED, EXPIRED, False, False, DISCONNECTED),
        (FAILED, EXPIRED, False, False, FAILED),
        (DISCONNECTED, EXPIRED, False, True, FAILED),
        (DISCONNECTED, SILENT, False, True, DISCONNECTED),
        # the loss came before it
        (FAILED, EXPIRED, True, False, CHECKING),
        (DISCONNECTED, SILENT, True, False, CHECKING),
        (CHECKING, EXPIRED, True, True, FAILED),
        (CHECKING, SILENT, True, True, DISCONNECTED),
        (CHECKING, LIVE, True, False, CONNECTED),
    ],
)
def test_while_a_restart_looks_for_another_path(
    told: IceTransportState,
    level: Liveness,
    forgets_loss: bool,
    failed: bool,
    expected: IceTransportState,
) -> None:
    carrying, newest = generation(), generation(failed=failed)
    assert derive_state(told, carrying, level, newest, forgets_loss=forgets_loss) is expected
