"""`LiveKitServer`: a LiveKit server in the test's own process.

Owns: the HTTP side, the rooms, the tasks, and what tests ask the server to do. Never: an answer to a participant.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from aiohttp import web

from rtcpeer.aio import TaskSet
from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.livekit.messages import (
    MESSAGE_MAX,
    PROTOCOL,
    MessageError,
    models,
    read_join_request_untrusted,
    rtc,
)
from rtcpeer.signaling.livekit.tokens import Grants, TokenError, check_token, make_token
from rtcpeer.testing.livekit.faults import LiveKitFaults
from rtcpeer.testing.livekit.participant import CODECS, ServerParticipant
from rtcpeer.testing.livekit.room import SPEAKERS_EVERY, LiveKitRoomState

_REASONS = models.DisconnectReason


class LiveKitServer:
    """A small LiveKit server for tests: rooms, media, data, reconnecting, and faults on demand.

        async with LiveKitServer() as server:
            await room.connect(server.url, server.token("alice", "lobby"))     # LiveKit's SDK, or rtcpeer.calls

    It speaks the protocol of LiveKit's SDKs (``/rtc`` with two connections, ``/rtc/v1`` with one), forwards media
    without decoding, and takes tokens that are signed with its key. It is made for tests: it keeps nothing, has no
    TURN server, no recording, and trusts the machine that it runs on.

    Args:
        host: where to listen.
        port: the port; 0 for a free one.
        keys: secrets by API key.
        departure_timeout: how long a participant stays without its signaling socket, in seconds.
        ping_interval, ping_timeout: what clients are told, in seconds.
        faults: what to do wrong.

    Attributes:
        rooms: by name; a room appears with its first participant and stays.
        faults: its members may be changed at any time.
        joins: how many clients have joined so far; a full reconnect counts again.
        resumes: how many have resumed.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Mapping[str, str] | None = None,
        departure_timeout: float = 15.0,
        ping_interval: int = 5,
        ping_timeout: int = 15,
        faults: LiveKitFaults | None = None,
    ) -> None:
        self.host = host
        self.port: int = port
        self.keys: dict[str, str] = dict(keys or {"devkey": "secret-that-is-long-enough-for-HS256"})
        self.departure_timeout = departure_timeout
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.faults: LiveKitFaults = faults or LiveKitFaults()
        self.rooms: dict[str, LiveKitRoomState] = {}
        self.joins: int = 0
        self.resumes: int = 0
        self._runner: web.AppRunner | None = None
        self._tasks = TaskSet("LiveKitServer")
        self._watching: asyncio.Task[None] | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen; afterwards `url` can be used."""
        app = web.Application()
        app.router.add_get("/rtc", self._rtc)
        app.router.add_get("/rtc/v1", self._rtc)
        app.router.add_get("/rtc/validate", self._validate)
        app.router.add_get("/rtc/v1/validate", self._validate)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._watching = self._tasks.start(self._watch_speakers())

    async def close(self) -> None:
        """Put everybody out and stop listening."""
        for room in list(self.rooms.values()):
            for participant in list(room.participants.values()):
                await room.remove(participant, _REASONS.SERVER_SHUTDOWN, tell=True)
        for ws in list(self._sockets):
            await ws.close()
        if self._watching is not None:
            self._watching.cancel()
        await self._tasks.done()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The server's URL, for LiveKit's SDKs."""
        return f"ws://{self.host}:{self.port}"

    def token(self, identity: str, room: str, *, ttl: float = 3600.0, **grants: Any) -> str:
        """An access token; further keywords are members of `Grants`."""
        key, secret = next(iter(self.keys.items()))
        return make_token(key, secret, Grants(identity=identity, room=room, **grants), ttl=ttl)

    def participant(self, identity: str, room: str | None = None) -> ServerParticipant:
        """The participant with this identity.

        Raises:
            InvalidStateError: nobody is.
        """
        for name, one in self.rooms.items():
            if room in (None, name) and identity in one.participants:
                return one.participants[identity]
        raise InvalidStateError(f"there is no participant {identity!r}")

    # -- what tests ask for ----------------------------------------------------------------------------

    async def drop(self, identity: str) -> None:
        """End a participant's signaling socket without a word; the client resumes, if it can."""
        await self.participant(identity).drop()

    async def leave(
        self,
        identity: str,
        reason: models.DisconnectReason = _REASONS.PARTICIPANT_REMOVED,
        action: rtc.LeaveRequest.Action = rtc.LeaveRequest.DISCONNECT,
        *,
        regions: Sequence[str] = (),
    ) -> None:
        """Tell a participant to leave, to resume or to begin anew; with the first and the last it is put out.

        Args:
            identity: whom.
            reason: why.
            action: what it is to do.
            regions: URLs of servers, the best one first, where it is to begin anew.
        """
        participant = self.participant(identity)
        told = [rtc.RegionInfo(region=f"region {n}", url=url, distance=n) for n, url in enumerate(regions)]
        leave = rtc.LeaveRequest(
            reason=reason,
            action=action,
            can_reconnect=action == rtc.LeaveRequest.RESUME,
            regions=rtc.RegionSettings(regions=told) if told else None,
        )
        participant.send(rtc.SignalResponse(leave=leave))
        if action == rtc.LeaveRequest.RESUME:
            await participant.hang_up()
        else:
            await participant.room.remove(participant, reason)

    def set_quality(self, identity: str, quality: str, score: float = 0.0) -> None:
        """Tell everybody in the room how good the connection of a participant is.

        Args:
            identity: whose.
            quality: "excellent", "good", "poor" or "lost".
            score: from 0 to 5.
        """
        participant = self.participant(identity)
        info = rtc.ConnectionQualityInfo(
            participant_sid=participant.sid,
            quality=quality.upper(),
            score=score,
        )
        update = rtc.ConnectionQualityUpdate(updates=[info])
        for one in participant.room.participants.values():
            one.send(rtc.SignalResponse(connection_quality=update))

    async def delete_room(self, name: str) -> None:
        """Put everybody out of a room, and forget it."""
        room = self.rooms.pop(name)
        for participant in list(room.participants.values()):
            await room.remove(participant, _REASONS.ROOM_DELETED, tell=True)

    def mute(self, identity: str, sid: str, muted: bool = True) -> None:
        """Mute a participant's track, as a moderator does; the participant is told and so are the others."""
        participant = self.participant(identity)
        participant.send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=sid, muted=muted)))
        participant.mute(participant.tracks[sid], muted)

    async def update_participant(
        self,
        identity: str,
        *,
        name: str | None = None,
        metadata: str | None = None,
        attributes: Mapping[str, str] | None = None,
        can_publish: bool | None = None,
        can_subscribe: bool | None = None,
        can_publish_data: bool | None = None,
        can_update_metadata: bool | None = None,
    ) -> None:
        """Change what is said of a participant and what it may do, as a moderator does; None: it stays as it is.

        It and the others are told. Who may publish or subscribe no longer, publishes or is subscribed to nothing.

        Args:
            identity: whose.
            name, metadata: the new ones.
            attributes: those that change; an empty text takes one away.
            can_publish, can_subscribe, can_publish_data, can_update_metadata: what it may do.
        """
        participant = self.participant(identity)
        participant.change(name, metadata, attributes or {})
        rights: dict[str, Any] = {
            "can_publish": can_publish,
            "can_subscribe": can_subscribe,
            "can_publish_data": can_publish_data,
            "can_update_metadata": can_update_metadata,
        }
        changed = {right: allowed for right, allowed in rights.items() if allowed is not None}
        if changed:
            await participant.room.allow(participant, dataclasses.replace(participant.grants, **changed))

    def send_data(
        self, room: str, data: bytes, *, topic: str = "", to: Sequence[str] = (), reliable: bool = True
    ) -> None:
        """Send data that are of no participant, as LiveKit's server API does.

        Args:
            room: its name.
            data: the data.
            topic: what they are about.
            to: identities; none: all.
            reliable: whether they are repeated until they arrive.
        """
        self.rooms[room].send_data(data, topic, to, reliable)

    def refresh_token(self, identity: str, *, ttl: float = 3600.0) -> str:
        """Give a participant a new token, which it is to use from now on; the token."""
        participant = self.participant(identity)
        token = self.token(identity, participant.room.name, ttl=ttl)
        participant.send(rtc.SignalResponse(refresh_token=token))
        return token

    # -- the HTTP side ---------------------------------------------------------------------------------

    def _check(self, request: web.Request) -> Grants:
        if self.faults.refuse is not None and self.faults.refusals != 0:
            if self.faults.refusals is not None:
                self.faults.refusals -= 1
            raise _refusal(self.faults.refuse, "refused by a test")
        if self.faults.without_v1 and request.path.startswith("/rtc/v1"):
            raise web.HTTPNotFound
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        token = bearer if scheme.lower() == "bearer" else request.query.get("access_token", "")
        try:
            return check_token(token, self.keys)
        except TokenError as error:
            raise web.HTTPUnauthorized(text=str(error)) from None

    async def _validate(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.Response(text="success", headers={"Access-Control-Allow-Origin": "*"})

    async def _rtc(self, request: web.Request) -> web.WebSocketResponse:
        grants = self._check(request)
        single = request.path.endswith("/v1")
        try:
            wanted = _join_request(request, single)
        except MessageError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        ws = web.WebSocketResponse(max_msg_size=MESSAGE_MAX)
        await ws.prepare(request)
        self._sockets.add(ws)
        try:
            if self.faults.silent:
                async for _ in ws:
                    pass
            elif self.faults.first is not None:
                await ws.send_bytes(self.faults.first)
                async for _ in ws:
                    pass
            else:
                await self._serve(ws, grants, wanted, single)
        finally:
            self._sockets.discard(ws)
            await ws.close()
        return ws

    async def _serve(
        self, ws: web.WebSocketResponse, grants: Grants, wanted: rtc.JoinRequest, single: bool
    ) -> None:
        room = self.rooms.get(grants.room)
        if room is None:
            room = self.rooms[grants.room] = LiveKitRoomState(
                grants.room, self.faults, self._tasks.start, self.departure_timeout
            )
        if wanted.reconnect:
            known = room.participants.get(grants.identity)
            if known is None or known.sid != wanted.participant_sid or self.faults.refuse_resume:
                leave = rtc.LeaveRequest(reason=_REASONS.STATE_MISMATCH, action=rtc.LeaveRequest.RECONNECT)
                await ws.send_bytes(rtc.SignalResponse(leave=leave).SerializeToString())
                return
            self.resumes += 1
            participant = known
            first = rtc.SignalResponse(reconnect=rtc.ReconnectResponse(server_info=_server_info()))
        else:
            settings = wanted.connection_settings
            participant = ServerParticipant(
                room, grants, single=single, auto_subscribe=settings.auto_subscribe
            )
            self.joins += 1
            await room.add(participant)
            first = rtc.SignalResponse(join=self._join_response(room, participant, single))
        room.stay(participant)
        try:
            if single and not wanted.reconnect:
                self._tasks.start(self._require_soon(participant))
            await participant.serve(ws, first, wanted)
        finally:
            if not participant.attached and room.participants.get(participant.identity) is participant:
                room.depart_later(participant, self.departure_timeout)

    async def _require_soon(self, participant: ServerParticipant) -> None:
        await asyncio.sleep(0)
        participant.media.require_sections()

    def _join_response(
        self, room: LiveKitRoomState, participant: ServerParticipant, single: bool
    ) -> rtc.JoinResponse:
        return rtc.JoinResponse(
            room=room.info,
            participant=participant.info,
            other_participants=[one.info for one in room.others(participant) if not one.grants.hidden],
            server_version="1.9.0",
            server_info=_server_info(),
            subscriber_primary=not single,
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            fast_publish=True,
            enabled_publish_codecs=[models.Codec(mime=mime) for mime in CODECS.values()],
        )

    # -- tasks -----------------------------------------------------------------------------------------

    async def _watch_speakers(self) -> None:
        while True:
            await asyncio.sleep(SPEAKERS_EVERY)
            for room in list(self.rooms.values()):
                room.look_for_speakers()


def _join_request(request: web.Request, single: bool) -> rtc.JoinRequest:
    query = request.query
    if single:
        return read_join_request_untrusted(query.get("join_request", ""))
    return rtc.JoinRequest(
        connection_settings=rtc.ConnectionSettings(auto_subscribe=query.get("auto_subscribe", "1") != "0"),
        reconnect=query.get("reconnect") == "1",
        participant_sid=query.get("sid", ""),
    )


def _server_info() -> models.ServerInfo:
    return models.ServerInfo(
        edition=models.ServerInfo.Standard, version="1.9.0", protocol=PROTOCOL, node_id="ND_test"
    )


def _refusal(status: int, text: str) -> web.HTTPException:
    refusal = web.HTTPBadRequest(text=text)
    refusal.set_status(status)
    return refusal
