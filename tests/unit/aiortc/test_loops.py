"""Connections of web frameworks: made in one thread, run by a loop in another, closed wherever that is possible."""

import asyncio
import threading

import pytest

from rtcpeer.aiortc import RTCConfiguration, RTCPeerConnection, VideoStreamTrack


class Background:
    """A loop in a thread, as frameworks without a loop of their own have one."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(60)


@pytest.fixture
def background():
    made = Background()
    yield made
    made.stop()
    made.loop.close()


async def connect(client, server):
    await client.setLocalDescription(await client.createOffer())
    await server.setRemoteDescription(client.localDescription)
    await server.setLocalDescription(await server.createAnswer())
    await client.setRemoteDescription(server.localDescription)
    async with asyncio.timeout(60):
        await asyncio.gather(client.connected(), server.connected())


def call(background):
    client, server = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    client.addTrack(VideoStreamTrack())
    background.run(connect(client, server))
    return client, server


def test_closed_by_the_loop_when_its_thread_has_gone(background):
    connections = call(background)
    background.stop()
    for connection in connections:
        background.loop.run_until_complete(connection.close())
        assert connection.connectionState == "closed"


def test_closed_from_another_thread_while_it_runs(background):
    client, server = call(background)
    closing = asyncio.run_coroutine_threadsafe(server.close(), background.loop)
    assert closing.result(60) is None
    background.run(client.close())
    assert (client.iceConnectionState, server.iceConnectionState) == ("closed", "closed")


def test_never_used_and_closed_by_a_loop_that_stands_still(background):
    connection = RTCPeerConnection()
    background.stop()
    background.loop.run_until_complete(connection.close())
    assert connection.connectionState == "closed"


def test_a_listener_in_the_loop_that_closes_and_stops_the_worker(background):
    client, server = call(background)
    stopped = threading.Event()

    async def listen():
        @server.listens_to("iceconnectionstatechange")
        async def on_state():
            if server.iceConnectionState in ("failed", "closed"):
                if server.connectionState != "closed":
                    await server.close()
                stopped.set()

    background.run(listen())
    background.run(client.close())
    assert stopped.wait(60)
    assert server.connectionState == "closed"
