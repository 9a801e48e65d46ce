"""Rooms of RTCMultiConnection's server as calls: "rtcmc+http://host:9001/?room=NAME".

Owns: the Socket.IO connection, the membership, what its library expects of descriptions and data channels. Never: media
(`mesh`). Needs the extra ``rtcpeer[socketio]``.

On the wire (version 3 of the library). Whoever comes sends a "participation request", which the server passes on to all
who are there; each of them offers, after ``enableMedia`` and ``readyForOffer``, which the library wants and we do not.
Extra data go by the server. A text message is JSON on any data channel, in pieces.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from rtcpeer.calls.call import Call
from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MESSAGE_MAX, CallHost
from rtcpeer.calls.mesh import Mesh, MeshMember
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.patience import Patience
from rtcpeer.calls.queue_channel import QueueChannel
from rtcpeer.calls.request import JoinRequest
from rtcpeer.calls.socketio_link import SocketIoLink
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.errors import NetworkError, SignalingRefused
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.session import ServerList, Session

_EVENT: Final = "RTCMultiConnection-Message"
# Pauses before attempts to come back, in seconds; the last one repeats, for so long.
_PATIENCE: Final = 120.0
# what a description or a candidate consists of, for us
_MEMBERS: Final = ("type", "sdp", "candidate", "sdpMid", "sdpMLineIndex", "number", "answerTo", "supervised")
_PIECE: Final = 16_000
# Messages of one user that may be unfinished, what they may take in all, and what a piece counts for at least
_UNFINISHED_MAX: Final = 256
_COLLECTED_MAX: Final = 8 * MESSAGE_MAX
_PIECE_MIN: Final = 64
_SDP_CONSTRAINTS: Final = {"OfferToReceiveAudio": True, "OfferToReceiveVideo": True}
_SESSION: Final = {"audio": True, "video": True, "data": True}


class RtcmcChannel(QueueChannel):
    """The path to one user. Whoever was there first offers first; from then on both sides may."""

    def __init__(self, service: RtcmcService, user: str, *, newcomer: bool) -> None:
        super().__init__()
        self._service = service
        self._user = user
        self._newcomer = newcomer  # whether it is we who came
        self._described = False  # whether descriptions have gone both ways

    @property
    def capabilities(self) -> ChannelCapabilities:
        """The library never offers while it waits for an answer, and cannot take its offers back."""
        first = "remote" if self._newcomer and not self._described else "both"
        return ChannelCapabilities(reliable=True, polite=self._newcomer, offers=first)  # type: ignore[arg-type]

    def arrive(self, message: dict[str, Any]) -> None:
        """A description or candidate of the user."""
        self.put({name: message[name] for name in _MEMBERS if name in message})

    async def __anext__(self) -> Message:
        message = await super().__anext__()
        self._described |= "sdp" in message
        return message

    async def send(self, message: Any, /) -> None:
        """Send a description or candidate as the library reads them."""
        self.check_open()
        init = as_message(message)
        if "sdp" in init:
            init |= {
                "renegotiatingPeer": self._described,
                "remotePeerSdpConstraints": _SDP_CONSTRAINTS,
                "dontGetRemoteStream": False,
                "streamsToShare": {},
                "extra": self._service.extra,
            }
        elif not init.get("candidate"):
            return  # the library knows no end of candidates
        await self._service.tell(self._user, init)


class _Unfinished:
    """The pieces of a message that have come, and what they count for."""

    __slots__ = ("pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0


class RtcmcMember(MeshMember):
    """A connection whose data channels carry the library's text messages."""

    def __init__(self, mesh: Mesh, id: str, peer: SupervisedPeer, *, offers: bool) -> None:
        super().__init__(mesh, id, peer, offers=offers)
        self._pieces: dict[str, _Unfinished] = {}
        self._collected = 0
        self._incoming: Any = None

    def open_channels(self) -> None:
        """Open a channel of ours, unless they have opened one."""
        usable = self._incoming is not None and self._incoming.readyState != "closed"
        if not usable and "sctp" not in self._channels and not self.peer.is_ended:
            channel = self._channels["sctp"] = self.peer.createDataChannel("sctp")
            self._listen(channel)

    def connecting(self) -> None:
        """Channels are opened when there is something to send: the library may not want any."""

    def send(self, data: str | bytes) -> None:
        """Send text; bytes go as they are, and the library takes them for a piece of a file."""
        self.open_channels()
        channel = self._channels.get("sctp") or self._incoming
        if channel is None or channel.readyState == "closed":
            return
        if isinstance(data, bytes):
            channel.send(data)
            return
        uuid, pieces = (
            secrets.token_hex(8),
            [data[i : i + _PIECE] for i in range(0, len(data), _PIECE)] or [""],
        )
        for number, piece in enumerate(pieces):
            said: dict[str, Any] = {"type": "text", "uuid": uuid, "message": piece}
            if number == 0:
                said["packets"] = len(pieces) - 1
            if number == len(pieces) - 1:
                said |= {"last": True, "isobject": False}
            channel.send(json.dumps(said))

    def tell_state(self) -> None:
        """Extra data go by the server."""

    def _listen(self, channel: Any) -> None:
        if channel is not self._channels.get("sctp"):
            self._incoming = channel
        channel.addEventListener("message", self._take_message)

    def _take_message(self, event: Any) -> None:
        host = self._mesh.host
        if not isinstance(event.data, str):
            host.message(self.id, event.data)
            return
        try:
            said = json.loads(event.data)
            uuid, piece, last = str(said["uuid"]), str(said["message"]), bool(said.get("last"))
        except (ValueError, KeyError, TypeError, RecursionError):
            host.message(self.id, event.data)  # of somebody who does not use the library
            return
        size = max(len(piece), _PIECE_MIN)
        if uuid not in self._pieces:
            self._pieces[uuid] = _Unfinished()
            size += len(uuid)
        message = self._pieces[uuid]
        message.pieces.append(piece)
        message.size += size
        self._collected += size
        if message.size > MESSAGE_MAX:
            self._take_out(uuid)
            host.ignored("huge message", uuid)
        elif last:
            text = "".join(self._take_out(uuid))
            try:
                host.message(self.id, json.loads(text) if said.get("isobject") else text)
            except (ValueError, RecursionError):
                host.message(self.id, text)
        while len(self._pieces) > _UNFINISHED_MAX or self._collected > _COLLECTED_MAX:
            oldest = next(iter(self._pieces))
            self._take_out(oldest)
            host.ignored("unfinished message", oldest)

    def _take_out(self, uuid: str) -> list[str]:
        message = self._pieces.pop(uuid)
        self._collected -= message.size
        return message.pieces


class RtcmcService:
    """A room; see `CallService`.

    Args:
        request: its URL names the room (``?room=NAME``), perhaps a ``password`` and the ``mode``: "openOrJoin" (the
            default), "open" or "join". The option `userid` is who we are; the metadata are the library's "extra".
        supervise: makes the supervised peers, instead of the call.

    Raises:
        ValueError: the URL names no room, or an unknown mode.
    """

    url: str

    def __init__(self, request: JoinRequest, supervise: Callable[..., SupervisedPeer] | None = None) -> None:
        request.check_options("userid")
        self.url, taken = request.take("room", "password", "mode")
        self.room: str = taken.get("room", "")
        self._mode = taken.get("mode", "openOrJoin")
        if not self.room or self._mode not in ("openOrJoin", "open", "join"):
            raise ValueError(
                "the URL names the room: rtcmc+https://host/?room=NAME, with &mode=open or join if need be"
            )
        self._password = taken.get("password") or request.token
        self._supervise = supervise
        self.userid: str = str(request.options.get("userid") or secrets.token_hex(6))
        self.extra: dict[str, Any] = dict(request.metadata)
        if request.name is not None:
            self.extra.setdefault("name", request.name)
        self._socket = SocketIoLink()
        self._returning: asyncio.Task[None] | None = None
        self._channels: dict[str, RtcmcChannel] = {}
        self._host: CallHost
        self._mesh: Mesh | None = None
        self._entered = False
        self._left = False

    def __repr__(self) -> str:
        return f"<RtcmcService {self.room!r} as {self.userid}>"

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self._host = host
        self._mesh = Mesh(host, supervise=self._supervise)
        on = self._socket.on
        on("disconnect", self._disconnected)
        on(_EVENT, self._take)
        on("user-disconnected", lambda user, *_: self._remove(user))
        on("extra-data-updated", self._take_extra)
        on("closed-entire-session", lambda *_: host.ended(EndReason.ROOM_CLOSED))
        await self._socket.open(self.url, self._query())
        await self._enter_room(self._mode)
        self._entered = True
        host.entered(self.userid)
        if not self._socket.is_open:
            await self._disconnected()  # while we entered, when nobody came back for it

    def _query(self) -> dict[str, Any]:
        return {
            "userid": self.userid,
            "sessionid": self.room,
            "msgEvent": _EVENT,
            "socketCustomEvent": "RTCMultiConnection-Custom-Message",
            "autoCloseEntireSession": "false",
            "maxParticipantsAllowed": 256,
            "extra": json.dumps(self.extra),
        }

    async def _enter_room(self, mode: str) -> None:
        """Open or join; whoever joins asks those who are there for offers."""
        said: dict[str, Any] = {
            "sessionid": self.room,
            "session": _SESSION,
            "extra": self.extra,
            "streams": [],
        }
        if self._password is not None:
            said["password"] = self._password
        ok, reason = False, ""
        if mode != "open":
            ok, reason = _answer(await self._socket.call("join-room", said))
            if ok:
                request = {
                    "newParticipationRequest": True,
                    "isOneWay": False,
                    "isDataOnly": False,
                    "localPeerSdpConstraints": _SDP_CONSTRAINTS,
                    "remotePeerSdpConstraints": _SDP_CONSTRAINTS,
                }
                await self.tell(self.room, request)
        if mode == "open" or (mode == "openOrJoin" and not ok and "not available" in reason.lower()):
            ok, reason = _answer(await self._socket.call("open-room", said))
        if not ok:
            raise SignalingRefused(reason or "the room was not entered", fatal=True)

    async def tell(self, user: str, message: Mapping[str, Any]) -> None:
        """Send a message to a user by the server.

        Raises:
            NetworkError: the socket is lost at present.
        """
        frame = {"remoteUserId": user, "message": dict(message), "sender": self.userid, "extra": self.extra}
        await self._socket.emit(_EVENT, frame)

    # -- what the server tells -------------------------------------------------------------------------

    async def _disconnected(self, *_: Any) -> None:
        if self._entered and not self._left and self._returning is None:
            self._host.reconnecting("signaling")
            self._returning = self._host.spawn(self._return(), "come back", vital=True)

    async def _return(self) -> None:
        """The connection is lost: the server has forgotten us, and connections to others live on."""
        patience = Patience(_PATIENCE)
        while True:
            await patience.pause()
            try:
                await self._socket.open(self.url, self._query())
                await self._enter_room("openOrJoin")
                if not self._socket.is_open:  # lost since, when that was nobody's business but ours
                    raise NetworkError("the connection to the server is lost again", fault="network")
            except SignalingRefused as error:
                self._host.ended(EndReason.REFUSED, error)
                return
            except NetworkError as error:
                if patience.is_over:
                    self._host.ended(EndReason.SIGNALING_ENDED, error)
                    return
            else:
                self._returning = None
                self._host.reconnected()
                return

    async def _take(self, frame: Any = None, *_: Any) -> None:
        try:
            sender, message = str(frame["sender"]), frame["message"]
            extra = frame.get("extra")
            if frame.get("remoteUserId") != self.userid or sender == self.userid:
                return
            await self._take_message(sender, message if isinstance(message, dict) else {"": message}, extra)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._host.ignored("frame", repr(error))
        except NetworkError:
            return  # it asks again

    async def _take_message(self, sender: str, message: dict[str, Any], extra: Any) -> None:
        if self._left:
            return
        if message.get("newParticipationRequest"):
            self._add(sender, extra, newcomer=False)
        elif message.get("enableMedia"):
            preferences = message.get("userPreferences")
            preferences = dict(preferences) if isinstance(preferences, dict) else {}
            self._add(sender, extra, newcomer=True)
            await self.tell(
                sender, {"readyForOffer": True, "userPreferences": preferences | {"streamsToShare": {}}}
            )
        elif message.get("userLeft"):
            self._remove(sender)
        elif message.get("streamSyncNeeded"):
            self._take_mute(sender, message)
        elif ("sdp" in message and "type" in message) or "candidate" in message:
            channel = self._channels.get(sender)
            if channel is None and message.get("type") == "offer":
                channel = self._add(sender, extra, newcomer=True)
            if channel is not None:
                channel.arrive(message)

    def _add(self, user: str, extra: Any, *, newcomer: bool) -> RtcmcChannel | None:
        known = self._channels.get(user)
        if known is not None and newcomer:
            return known
        self._remove(user)
        assert self._mesh is not None
        channel = RtcmcChannel(self, user, newcomer=newcomer)
        extra = extra if isinstance(extra, dict) else {}
        member = self._mesh.add(
            user,
            channel,
            name=_text(extra.get("name") or extra.get("fullName")),
            metadata=extra,
            member=RtcmcMember,
            offers=not newcomer,
        )
        if member is None:
            return None
        self._channels[user] = channel
        return channel

    def _remove(self, user: Any) -> None:
        if self._channels.pop(str(user), None) is not None and self._mesh is not None:
            self._mesh.remove(str(user))

    async def _take_extra(self, user: Any = None, extra: Any = None, *_: Any) -> None:
        if str(user) in self._host.participants and isinstance(extra, dict):
            name = _text(extra.get("name") or extra.get("fullName"))
            self._host.participant_updated(str(user), name=name, metadata=extra)

    def _take_mute(self, user: str, message: Mapping[str, Any]) -> None:
        participant, action = self._host.participants.get(user), message.get("action")
        if participant is not None and action in ("mute", "unmute"):
            for name, track in participant.tracks.items():
                if message.get("type") in (None, "both", track.kind):
                    self._host.track_muted(user, name, action == "mute")

    # -- orders ----------------------------------------------------------------------------------------

    @property
    def mesh(self) -> Mesh:
        """The connections, once the room was entered."""
        assert self._mesh is not None, "a call is handed out when it was entered"
        return self._mesh

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        await self.mesh.publish(publication)

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        await self.mesh.unpublish(publication)

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        await self.mesh.set_muted(publication)
        said = {
            "streamSyncNeeded": True,
            "streamid": f"rtcpeer.{publication.name}",
            "action": "mute" if publication.muted else "unmute",
            "type": publication.kind,
        }
        for user in tuple(self._channels):
            await self.tell(user, said)

    async def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Implements `CallService.set_metadata`."""
        self.extra = {"name": self.extra["name"]} if "name" in self.extra else {}
        self.extra |= metadata
        await self._socket.emit("extra-data-updated", self.extra)

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`."""
        await self.mesh.send(data, to)

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        self._left = True
        if self._returning is not None:  # it would open the socket again
            self._returning.cancel()
            await asyncio.wait([self._returning])
        try:
            if self._mesh is not None:
                await self._mesh.close()
        finally:
            await self._socket.close()


def _answer(said: Any) -> tuple[bool, str]:
    """Whether it was done, and why not: the library's callbacks have one, two or three arguments."""
    values = list(said) if isinstance(said, (list, tuple)) else [said]
    return bool(values and values[0] is True), str(values[-1])[:200] if len(values) > 1 else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class IceServers(ServerList):
    """The list of servers as users of the library write it: ``iceServers.push({"urls": "stun:..."})``."""

    def push(self, *servers: RTCIceServer | Mapping[str, Any]) -> int:
        """Append servers, all or none; the new length."""
        self.extend(servers)
        return len(self)


class RTCMultiConnection:
    """RTCMultiConnection's object, as its users write it.

        connection = RTCMultiConnection("https://example.org:9001/")
        connection.iceServers = []
        connection.iceServers.push({"urls": "turn:turn.example.org", "username": "u", "credential": "c"})
        async with await connection.openOrJoin("lobby") as call:
            ...

    Args:
        socketURL: of the signaling server.
        userid: who we are; drawn by default.
        extra: what we say of ourselves.
        name: how we are called: the member "name" of the extra data.
        configuration: as for RTCPeerConnection.
    """

    def __init__(
        self,
        socketURL: str,
        *,
        userid: str | None = None,
        extra: Mapping[str, Any] | None = None,
        name: str | None = None,
        configuration: Any = None,
    ) -> None:
        self.socketURL = socketURL
        self.userid: str = userid or secrets.token_hex(6)
        self.extra: Mapping[str, Any] = dict(extra or {})
        self.name = name
        self._session = Session(configuration)
        self._servers = IceServers(self._session.iceServers)

    def __repr__(self) -> str:
        return f"<RTCMultiConnection {self.userid}, {len(self._servers)} servers>"

    @property
    def iceServers(self) -> IceServers:
        """The servers for the next connections: edit the list in place, or assign another one."""
        return self._servers

    @iceServers.setter
    def iceServers(self, servers: Iterable[RTCIceServer | Mapping[str, Any]]) -> None:
        self._servers = IceServers(servers)

    def apply(self, *, restart: bool | None = None) -> int:
        """Bring the servers to the connections that live; see `Session.apply`."""
        self._session.iceServers = self._servers
        return self._session.apply(restart=restart)

    async def open(self, roomid: str, *, password: str | None = None) -> Call:
        """Open a room.

        Raises:
            SignalingRefused: there is one of that name.
            NetworkError: the server cannot be reached.
        """
        return await self._enter(roomid, "open", password)

    async def join(self, roomid: str, *, password: str | None = None) -> Call:
        """Join a room that is there.

        Raises:
            SignalingRefused: there is none, it is full, or the password is wrong.
            NetworkError: the server cannot be reached.
        """
        return await self._enter(roomid, "join", password)

    async def openOrJoin(self, roomid: str, *, password: str | None = None) -> Call:
        """Join a room, or open it if there is none."""
        return await self._enter(roomid, "openOrJoin", password)

    async def checkPresence(self, roomid: str) -> tuple[bool, dict[str, Any]]:
        """Whether there is a room of that name, and its extra data; "_room" says whether it is full or locked."""
        socket = SocketIoLink()
        try:
            await socket.open(self.socketURL, {"userid": secrets.token_hex(6), "msgEvent": _EVENT})
            said = await socket.call("check-presence", roomid)
        finally:
            await socket.close()
        values = list(said) if isinstance(said, (list, tuple)) else [said]
        extra = values[2] if len(values) > 2 and isinstance(values[2], dict) else {}
        return values[:1] == [True], extra

    async def _enter(self, roomid: str, mode: str, password: str | None) -> Call:
        query = {"room": roomid, "mode": mode} | ({"password": password} if password is not None else {})
        request = JoinRequest(
            f"{self.socketURL.rstrip('?')}?{urlencode(query)}",
            name=self.name,
            metadata=self.extra,
            options={"userid": self.userid},
        )
        entered = Call(request, RtcmcService(request, self.supervise))
        await entered.enter()
        return entered

    def supervise(self, channel: Any, **options: Any) -> Any:
        """A supervised peer with the servers as they are now (for its calls)."""
        self._session.iceServers = self._servers
        return self._session.supervise(channel, **options)
