"""The watcher of this machine's addresses, where the system does not tell of changes."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.net import interfaces


@pytest.fixture(autouse=True)
def no_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "_open_netlink", lambda: None)


async def test_a_change_is_told_once_to_all_who_listen(virtual_time: object) -> None:
    here = ["192.0.2.1"]
    told: list[str] = []
    loop = asyncio.get_running_loop()

    def read() -> list[str]:
        return list(here)

    stop = interfaces.watch(loop, read, lambda: told.append("first"), here)
    stop_other = interfaces.watch(loop, read, lambda: told.append("second"), here)
    await asyncio.sleep(10)
    assert told == []
    here.append("198.51.100.1")
    await asyncio.sleep(10)
    assert told == ["first", "second"]
    stop()
    stop()
    here.clear()
    await asyncio.sleep(10)
    assert told == ["first", "second", "second"]
    stop_other()
    here.append("192.0.2.1")
    await asyncio.sleep(10)
    assert told == ["first", "second", "second"]
    assert interfaces._watcher_of(loop) is None


async def test_what_has_changed_before_the_first_look_is_told(virtual_time: object) -> None:
    told: list[str] = []
    stop = interfaces.watch(
        asyncio.get_running_loop(), lambda: ["198.51.100.1"], lambda: told.append("changed"), ["192.0.2.1"]
    )
    await asyncio.sleep(10)
    assert told == ["changed"]
    stop()


async def test_a_system_that_cannot_be_read_has_no_addresses(virtual_time: object) -> None:
    told: list[str] = []

    def read() -> list[str]:
        raise OSError("no such thing here")

    stop = interfaces.watch(asyncio.get_running_loop(), read, lambda: told.append("changed"), ["192.0.2.1"])
    await asyncio.sleep(10)
    assert told == ["changed"]
    stop()
