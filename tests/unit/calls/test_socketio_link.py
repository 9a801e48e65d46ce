"""The Socket.IO connection against a scripted server: signals, losses, closing."""

from __future__ import annotations

import asyncio
import signal

import pytest

pytest.importorskip("rtcpeer.calls.socketio_link", reason="the extra socketio is not installed")

from rtcpeer.calls.socketio_link import SocketIoLink
from rtcpeer.errors import NetworkError
from rtcpeer.testing import no_leaks
from tests.unit.calls.fake_services import FakeRtcmc
from tests.unit.calls.test_rooms import served


async def test_open_call_lose_open_again_and_close() -> None:
    before = signal.getsignal(signal.SIGINT)
    fake = FakeRtcmc()
    async with no_leaks(grace=3), served(fake.serve) as port:
        link, lost, heard = SocketIoLink(), asyncio.Event(), asyncio.Event()
        link.on("disconnect", lambda *_: lost.set())
        link.on(FakeRtcmc.event, lambda *_: heard.set())
        with pytest.raises(NetworkError, match="no connection"):
            await link.emit("x", {})
        await link.open(f"http://127.0.0.1:{port}/", {"userid": "me"})
        assert signal.getsignal(signal.SIGINT) is before  # it is the program's
        assert list(await link.call("join-room", {})) == [False, "Room not available"]
        assert list(await link.call("open-room", {})) == [True, None]
        async with asyncio.timeout(10):
            await heard.wait()
        fake.request.transport.abort()
        async with asyncio.timeout(10):
            await lost.wait()
        with pytest.raises(NetworkError):
            await link.call("x", {})
        await link.open(f"http://127.0.0.1:{port}/", {"userid": "me"})
        assert signal.getsignal(signal.SIGINT) is before
        await link.emit("x", {})
        await link.close()
        await link.close()
        with pytest.raises(NetworkError, match="ended by us"):  # nobody would close it again
            await link.open(f"http://127.0.0.1:{port}/", {})
    other = SocketIoLink()
    with pytest.raises(NetworkError, match="cannot be reached"):
        await other.open(f"http://127.0.0.1:{port}/", {})
    await other.close()
