"""What was published or wanted when a service was lost, or a connection: it is there again afterwards."""

import asyncio
from types import SimpleNamespace

import pytest

from rtcpeer.calls.host import CallHost
from rtcpeer.calls.peerjs.service import PeerJSService
from rtcpeer.calls.request import JoinRequest
from rtcpeer.supervisor.events import GaveUp

rtcmc = pytest.importorskip("rtcpeer.calls.rtcmulticonnection", reason="the extra socketio is not installed")


class Connection:
    """A connection of a PeerJS peer that ends at once."""

    def __init__(self, end):
        self.peer = SimpleNamespace(closed=self.closed)
        self._end = end

    async def closed(self):
        if self._end is not None:
            raise self._end


@pytest.mark.parametrize(("end", "is_called"), [(GaveUp(()), True), (None, False)])
async def test_a_peerjs_call_whose_connection_is_lost_is_followed_by_another(end, is_called):
    """Where a data connection stays, the participant is there without what we publish. Who hangs up is left alone."""
    service = PeerJSService(JoinRequest("http://example.org/"))
    host = service._host = CallHost(JoinRequest("http://example.org/"), lambda _: None)
    host.participant_joined("bob")
    other, call, voice = service._other("bob"), Connection(end), object()
    other.connections += [call, Connection(None)]
    other.senders[voice] = object(), call
    await service._until_over(other, call)
    assert voice not in other.senders
    assert service._changed.is_set() is is_called


class Socket:
    """A socket that is lost again after some attempts, while the room is entered."""

    def __init__(self, losses):
        self.losses, self.opened = losses, 0

    def on(self, *_):
        pass

    @property
    def is_open(self):
        return self.opened > self.losses

    async def open(self, *_):
        self.opened += 1

    async def call(self, *_):
        return [True, None]

    async def emit(self, *_):
        pass


async def test_a_socket_of_rtcmulticonnection_that_is_lost_while_we_come_back(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.patience._WAITS", (0.0,))
    request = JoinRequest("http://example.org/?room=x")
    service = rtcmc.RtcmcService(request)
    host = CallHost(request, lambda _: None)
    socket = service._socket = Socket(losses=3)
    await service.enter(host)
    async with asyncio.timeout(10):
        while not socket.is_open or service._returning is not None:  # noqa: ASYNC110 (what changes has no event)
            await asyncio.sleep(0)
    assert socket.opened == 4
    assert host.end is None
    await host.stop_tasks()
