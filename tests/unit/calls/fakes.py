"""A service that keeps what it was told, and hubs: services in memory whose members are connected for real."""

from __future__ import annotations

import asyncio
from typing import Any

from rtcpeer import RTCPeerConnection
from rtcpeer.calls.call import Call
from rtcpeer.calls.events import CallEvent
from rtcpeer.calls.host import CallHost
from rtcpeer.calls.mesh import Mesh
from rtcpeer.calls.request import JoinRequest
from rtcpeer.signaling.channel import memory_pair


class FakeService:
    """Does nothing, and remembers; `failure` is raised by the next order, `hang` makes it wait for ever."""

    def __init__(self, request: JoinRequest | None = None) -> None:
        self.request = request
        self.orders: list[tuple[Any, ...]] = []
        self.failure: BaseException | None = None
        self.hang = False
        self.left = 0
        self.host: CallHost

    async def enter(self, host: CallHost) -> None:
        self.host = host
        host.entered("me")
        await self._do("enter")

    async def publish(self, publication: Any) -> None:
        await self._do("publish", publication.name)

    async def unpublish(self, publication: Any) -> None:
        await self._do("unpublish", publication.name)

    async def set_muted(self, publication: Any) -> None:
        await self._do("mute", publication.name, publication.muted)

    async def set_metadata(self, metadata: Any) -> None:
        await self._do("metadata", dict(metadata))

    async def send(self, data: Any, to: Any) -> None:
        await self._do("send", data, to and to.id)

    async def leave(self) -> None:
        self.left += 1

    async def _do(self, *order: Any) -> None:
        self.orders.append(order)
        if self.hang:
            await asyncio.get_running_loop().create_future()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


async def entered(service: Any, **members: Any) -> Call:
    call = Call(JoinRequest("ws://example.org/", **members), service)
    await call.enter()
    return call


class Hub:
    """A place where services of one process meet."""

    def __init__(self) -> None:
        self.there: dict[str, HubService] = {}

    def meet(self, newcomer: HubService) -> None:
        for other in self.there.values():
            ours, theirs = memory_pair(delay=0.01)
            newcomer.mesh.add(other.host.id, ours, polite=True, name=other.host.name, **newcomer.options)
            other.mesh.add(newcomer.host.id, theirs, polite=False, name=newcomer.host.name, **other.options)
        self.there[newcomer.host.id] = newcomer

    def part(self, leaving: HubService) -> None:
        if self.there.pop(leaving.host.id, None) is not None:
            for other in self.there.values():
                other.mesh.remove(leaving.host.id)


class HubService:
    """A member of a hub, on a host of a virtual network."""

    def __init__(self, hub: Hub, place: Any) -> None:
        def make(configuration: Any) -> RTCPeerConnection:
            with place.active():
                return RTCPeerConnection(configuration)

        self.hub = hub
        self.options = {"make_connection": make}
        self.host: CallHost
        self.mesh: Mesh

    async def enter(self, host: CallHost) -> None:
        self.host, self.mesh = host, Mesh(host)
        host.entered(host.name or "")
        self.hub.meet(self)

    async def leave(self) -> None:
        self.hub.part(self)
        await self.mesh.close()

    def __getattr__(self, name: str) -> Any:
        if name in ("publish", "unpublish", "set_muted", "set_metadata", "send"):
            return getattr(self.mesh, name)
        raise AttributeError(name)


class Diary:
    """What a call has told, kept by a task."""

    def __init__(self, call: Call) -> None:
        self.events: list[CallEvent] = []
        self._changed = asyncio.Event()
        self.task = asyncio.ensure_future(self._read(call))

    async def _read(self, call: Call) -> None:
        async for event in call.events():
            self.events.append(event)
            self._changed.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def get(self, kind: type[Any], number: int = 1, *, timeout: float = 20) -> Any:
        """The event of a kind with this number, from 1."""
        async with asyncio.timeout(timeout):
            while len(self.of(kind)) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[number - 1]
