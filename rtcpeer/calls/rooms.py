"""Rooms of a `RoomServer` as calls: "room+ws://host/rooms?room=NAME".

Owns: the membership, and which member is which participant. Never: media (`mesh`), the WebSocket (`signaling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import CallHost
from rtcpeer.calls.mesh import Mesh
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NetworkError, SignalingRefused
from rtcpeer.signaling import Room, RoomClient, RoomError, RoomMember

_ENDS = {"kicked": EndReason.REMOVED, "forbidden": EndReason.REFUSED}


class RoomService:
    """A room with a connection to each member; see `CallService`.

    Args:
        request: its URL names the room: ``?room=NAME``. The option `headers` is for the WebSocket request; a token is
            sent as ``Authorization: Bearer``.

    Raises:
        ValueError: the URL names no room.
    """

    def __init__(self, request: JoinRequest) -> None:
        request.check_options("headers")
        url, taken = request.take("room")
        if not taken.get("room"):
            raise ValueError("the URL of a room names it: room+wss://host/path?room=NAME")
        self.room_name: str = taken["room"]
        headers = dict(request.options.get("headers") or {})
        if request.token is not None:
            headers.setdefault("Authorization", f"Bearer {request.token}")
        self._client = RoomClient(url, name=request.name, metadata=request.metadata, headers=headers)
        self._room: Room | None = None
        self._mesh: Mesh | None = None
        self._left = False

    def __repr__(self) -> str:
        return f"<RoomService {self.room_name!r}>"

    @property
    def room(self) -> Room | None:
        """The room, once it was entered."""
        return self._room

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        mesh = self._mesh = Mesh(host)
        try:
            room = self._room = await self._client.openOrJoin(self.room_name)
        except RoomError as error:
            raise SignalingRefused(str(error), fatal=True) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NetworkError(f"the room server says something else than a room: {error!r}") from error
        host.entered(room.id)
        host.recommend(list(room.iceServers))
        room.addEventListener("leave", lambda event: mesh.remove(event.member.id))
        room.addEventListener("iceservers", lambda _: host.recommend(room.ice_servers))
        room.addEventListener("connectionlost", lambda _: host.reconnecting("signaling"))
        room.addEventListener("connectionback", lambda _: self._back(host))
        room.addEventListener("away", lambda event: host.presence(event.member.id, False))
        room.addEventListener("back", lambda event: host.presence(event.member.id, True))
        room.addEventListener("metadata", lambda event: self._changed(host, event.member))
        there = room.members
        for member in there:
            self._add(host, mesh, member)
        host.spawn(self._follow(host, mesh, room, set(map(id, there))), "members", vital=True)

    async def _follow(self, host: CallHost, mesh: Mesh, room: Room, known: set[int]) -> None:
        async for member in room:
            if id(member) in known:  # those who were there come out of the room as well
                known.discard(id(member))
                continue
            self._add(host, mesh, member)
        if not self._left:
            host.ended(_ENDS.get(room.endReason, EndReason.SIGNALING_ENDED))

    @staticmethod
    def _add(host: CallHost, mesh: Mesh, member: RoomMember) -> None:
        metadata = member.metadata or None  # else the control channel says it
        added = mesh.add(member.id, member, name=member.name, metadata=metadata, polite=member.polite)
        if added is not None and member.isAway:
            host.presence(member.id, False)

    @staticmethod
    def _changed(host: CallHost, member: RoomMember) -> None:
        if member.id in host.participants:
            host.participant_updated(member.id, metadata=member.metadata)

    def _back(self, host: CallHost) -> None:
        if self._room is not None:
            host.entered(self._room.id)
            host.recommend(list(self._room.iceServers))
        host.reconnected()

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        await self._entered.publish(publication)

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        await self._entered.unpublish(publication)

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        await self._entered.set_muted(publication)

    async def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Implements `CallService`: by the room, for those who come later too, and by the control channels, for pages.

        Raises:
            ValueError, TypeError: JSON cannot carry it, or it is longer than 4096 bytes.
        """
        if self._room is not None:
            await self._room.setMetadata(metadata)
        await self._entered.set_metadata(metadata)

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`."""
        await self._entered.send(data, to)

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        self._left = True
        try:
            if self._mesh is not None:
                await self._mesh.close()
        finally:
            await self._client.close()

    @property
    def _entered(self) -> Mesh:
        assert self._mesh is not None, "a call is handed out when it was entered"
        return self._mesh
