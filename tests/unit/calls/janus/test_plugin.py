"""The base of services on one handle: handles that were of no use are given back."""

import asyncio
from types import SimpleNamespace

import pytest

from rtcpeer.calls.host import CallHost
from rtcpeer.calls.janus.plugin import JanusPlugin
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NetworkError
from tests.unit.calls.janus.fakes import FakeHandle


class Plugin(JanusPlugin):
    """Begins with the handle that comes after some others."""

    plugin = what = "x"

    def __init__(self, failures):
        request = JoinRequest("janus+ws://127.0.0.1:1/")
        super().__init__(request, request.url)
        self.host = CallHost(request, lambda _: None)
        self.handles, self.failures = [], failures
        self.session = SimpleNamespace(id=1, attach=self.attach)

    async def attach(self, plugin):
        assert plugin == "x"
        self.handles.append(FakeHandle())
        return self.handles[-1]

    async def begin(self, handle):
        await asyncio.sleep(0)
        if len(self.handles) <= self.failures:
            raise NetworkError("not at present")


async def test_a_handle_that_begins_nothing_is_given_back(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.janus.plugin._RETRY", 0.0)
    service = Plugin(failures=2)
    service._back(False)
    await service._beginning
    service.failures = 4
    with pytest.raises(NetworkError):
        await service.renew()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [handle.is_gone for handle in service.handles] == [True, True, False, True]
    assert service.host.counters["beginning again"] == 2
    await service.host.stop_tasks()


async def test_a_call_that_was_left_gives_nothing_back():
    """The handle goes with the session, which may not answer any more."""
    service = Plugin(failures=1)
    service.is_left = True
    with pytest.raises(NetworkError):
        await service.renew()
    await asyncio.sleep(0)
    assert not service.handles[0].is_gone
    await service.host.stop_tasks()
