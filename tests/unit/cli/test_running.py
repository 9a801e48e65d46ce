"""How long a command may take for its leave after a signal; in counted timers, not in time."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from rtcpeer.cli import running
from rtcpeer.cli.whip import call
from rtcpeer.supervisor import PeerState


class Timer:
    """A timer that never fires."""

    made: list[float]

    def __init__(self, seconds: float, _call: Any) -> None:
        self.daemon = False
        self.made.append(seconds)

    def start(self) -> None:
        """Begin nothing."""


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    Timer.made = []
    monkeypatch.setattr(running.threading, "Timer", Timer)
    return Timer.made


def test_sigterm_lets_a_command_finish_and_bounds_its_leave(timers: list[float]) -> None:
    ending = running._Ending()
    ending.on_signal(signal.SIGTERM)
    assert timers == []
    ending.take_leave(1.5)
    assert timers == [1.5]


def test_sigterm_while_it_takes_leave_bounds_that(timers: list[float]) -> None:
    ending = running._Ending()
    ending.take_leave(1.5)
    assert timers == []
    ending.on_signal(signal.SIGTERM)
    assert timers == [1.5]


def test_ctrl_c_is_not_made_slower_by_patience(timers: list[float]) -> None:
    ending = running._Ending()
    ending.on_signal(signal.SIGINT)
    ending.take_leave(1.5)
    assert timers == [running.LEAVE]


@pytest.mark.parametrize(
    ("state", "seconds"), [(PeerState.CONNECTED, running.PATIENCE), (PeerState.DISCONNECTED, running.LEAVE)]
)
async def test_a_server_that_nothing_is_heard_of_is_not_waited_for(
    state: PeerState, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Peer:
        def __init__(self) -> None:
            self.state = state

        def addEventListener(self, *_: Any) -> None:
            """Tell nothing."""

        async def __aenter__(self) -> None:
            """Begin nothing."""

        async def __aexit__(self, *_: object) -> None:
            """End nothing."""

        async def connected(self, _wait: float) -> None:
            """Be connected."""

        async def closed(self) -> None:
            """Be closed."""

    async def nothing() -> Any:
        return 0

    taken: list[float] = []
    monkeypatch.setattr(call, "take_leave", taken.append)
    one = call.WatchedCall(Peer(), lambda *_, **__: None, wait=1.0)  # type: ignore[arg-type]
    assert await one.run(nothing, seconds=None, numbers=nothing, finish=nothing) == 0
    assert taken == [seconds]
