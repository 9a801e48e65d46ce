"""What a base does with datagrams that came together."""

from __future__ import annotations

from typing import Any

import pytest

from rtcpeer.ice.agent.sockets import BaseContext, SocketBase
from rtcpeer.ice.pair import Local, Pair, Remote
from tests.unit.ice.support import candidate

FAR = ("192.0.2.2", 2)


class Rig:
    """A base with one path, and what comes out of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[Any] = []
        self.pipe = BaseContext(
            lambda: self.now,
            lambda _base, data, _address: self.log.append(("stun", data)),
            lambda _pair: self.log.append("woken"),
            lambda _base, _address: None,
            lambda _base, _address: False,
            1.5,
        )
        self.pipe.receiver = lambda data: self.log.append(data)
        self.pipe.run_receiver = lambda run: self.log.append(list(run))
        self.base = SocketBase(self.pipe, ("192.0.2.1", 1))
        self.base.send = lambda data, address: None
        local = Local("L", candidate(), self.base)
        self.pair = Pair("P", None, local, self.base, Remote("R", candidate(), FAR))
        self.pair.heard_at = self.now
        self.base.routes[FAR] = self.pair


def test_those_of_a_path_are_handed_on_and_counted_together() -> None:
    rig = Rig()
    rig.now = 101.0
    rig.base.received_run([b"\x17abc", b"\x80d"], FAR)
    assert rig.log == [[b"\x17abc", b"\x80d"]]
    assert (rig.pair.packets_received, rig.pair.bytes_received) == (2, 6)
    assert rig.pair.heard_at == 101.0


def test_they_end_a_silence_first() -> None:
    rig = Rig()
    rig.now = 101.5
    rig.base.received_run([b"\x17a", b"\x17b"], FAR)
    assert rig.log == ["woken", [b"\x17a", b"\x17b"]]


def test_an_empty_one_among_them_is_nothing() -> None:
    rig = Rig()
    rig.base.received_run([b"\x17a", b""], FAR)
    assert rig.log == [b"\x17a"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_stun_among_them_is_seen(place: int) -> None:
    rig = Rig()
    run = [b"\x17a", b"\x17b"]
    run.insert(place, b"\x01check")
    rig.base.received_run(run, FAR)
    assert rig.log == [("stun", data) if data[0] == 1 else data for data in run]
    assert rig.pair.packets_received == 2


def test_of_a_path_that_no_check_has_validated_they_are_dropped() -> None:
    rig = Rig()
    rig.base.received_run([b"\x17a", b"\x17b"], ("192.0.2.3", 3))
    assert not rig.log
    assert not rig.pair.packets_received


def test_where_nobody_takes_runs_each_comes_by_itself() -> None:
    rig = Rig()
    rig.pipe.run_receiver = None
    rig.base.received_run([b"\x17a", b"\x17b"], FAR)
    assert rig.log == [b"\x17a", b"\x17b"]
    assert rig.pair.packets_received == 2
