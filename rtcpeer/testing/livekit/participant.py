"""A participant at the LiveKit test server: its signaling socket, its requests, and what it is told.

Owns: the participant's record and media, the answers to its requests. Never: another participant (that is `room`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from rtcpeer.aio import start_task
from rtcpeer.errors import RtcPeerError
from rtcpeer.peer.forwarder import Forwarder
from rtcpeer.signaling.livekit.messages import MessageError, models, read_message_untrusted, rtc
from rtcpeer.signaling.livekit.tokens import Grants
from rtcpeer.testing.livekit.faults import LiveKitFaults
from rtcpeer.testing.livekit.media import ParticipantMedia, PublishedTrack

logger = logging.getLogger(__name__)

# Messages kept for a participant whose socket is gone.
MISSED_MAX = 1000
# How long a client that does not read may delay its own end, in seconds.
HANG_UP_TIMEOUT = 2.0
_NEWS = ("update", "room_update", "track_unpublished")
_KINDS = frozenset(models.ParticipantInfo.Kind.keys())
# Codecs that the server lets its clients send, as they write them, and their types.
CODECS = {"opus": "audio/opus", "vp8": "video/VP8", "h264": "video/H264"}
_QUALITIES = {models.VideoQuality.LOW: 0, models.VideoQuality.MEDIUM: 1, models.VideoQuality.HIGH: 2}


class _Room(Protocol):
    """The part of a room that its participants use; see `room.LiveKitRoomState`."""

    name: str
    faults: LiveKitFaults

    @property
    def participants(self) -> Mapping[str, ServerParticipant]: ...

    def tell_wanted(self, track: PublishedTrack) -> None: ...

    async def remove(
        self,
        participant: ServerParticipant,
        reason: models.DisconnectReason,
        *,
        tell: bool = False,
    ) -> None: ...

    async def subscribe(self, participant: ServerParticipant, sids: Iterable[str], wanted: bool) -> None: ...

    async def simulate(self, participant: ServerParticipant, wanted: rtc.SimulateScenario) -> None: ...

    def updated(self, participant: ServerParticipant, *, to_self: bool = False) -> None: ...

    def published(self, participant: ServerParticipant, track: PublishedTrack) -> None: ...

    def unpublished(self, participant: ServerParticipant, track: PublishedTrack) -> None: ...

    async def permissions_changed(self, participant: ServerParticipant) -> None: ...

    async def allow(self, participant: ServerParticipant, grants: Grants) -> None: ...

    def data(self, sender: ServerParticipant, packet: models.DataPacket, reliable: bool) -> None: ...


def permission_of(grants: Grants) -> models.ParticipantPermission:
    """The rights of a participant, as clients are told them."""
    return models.ParticipantPermission(
        can_publish=grants.can_publish,
        can_subscribe=grants.can_subscribe,
        can_publish_data=grants.can_publish_data,
        can_update_metadata=grants.can_update_metadata,
        hidden=grants.hidden,
        agent=grants.kind == "agent",
    )


def new_sid(prefix: str) -> str:
    """A name as LiveKit's servers draw them: "PA_..." for participants, "TR_..." for tracks, "RM_..." for rooms."""
    return f"{prefix}_{secrets.token_hex(6)}"


class ServerParticipant:
    """A participant in a room of the test server.

    Args:
        room: the room.
        grants: what its token says.
        single: whether it uses one connection for both directions.
        auto_subscribe: whether it gets every track without asking.

    Attributes:
        sid, identity: its names; the sid is another one after a full reconnect.
        info: what others are told of it.
        tracks: what it publishes, by sid.
        media: its connections.
        requests: how often it has asked for what, by the name of the request.
        ignored: what it said that makes no sense, by kind.
        denied: sids of tracks that their owners do not let it have.
        wanted: sids of tracks that it has asked for itself.
    """

    def __init__(self, room: _Room, grants: Grants, *, single: bool, auto_subscribe: bool) -> None:
        self.room = room
        self.grants = grants
        self.auto_subscribe = auto_subscribe
        self.identity: str = grants.identity
        self.sid: str = new_sid("PA")
        self.info: models.ParticipantInfo = models.ParticipantInfo(
            sid=self.sid,
            identity=grants.identity,
            name=grants.name,
            metadata=grants.metadata,
            attributes=dict(grants.attributes),
            state=models.ParticipantInfo.ACTIVE,
            joined_at=int(time.time()),
            joined_at_ms=int(time.time() * 1000),
            version=1,
            kind=grants.kind.upper() if grants.kind.upper() in _KINDS else None,
            permission=permission_of(grants),
        )
        self.tracks: dict[str, PublishedTrack] = {}
        self.requests: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.media: ParticipantMedia = ParticipantMedia(
            single=single,
            send=self.send,
            on_track=self._on_track,
            on_track_end=self._on_track_end,
            on_data=self._on_data,
        )
        self.denied: set[str] = set()
        self.wanted: set[str] = set()
        self._permission: rtc.SubscriptionPermission | None = None
        self._pending: dict[str, models.TrackInfo] = {}
        self._ws: web.WebSocketResponse | None = None
        self._missed: list[rtc.SignalResponse] = []
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<ServerParticipant {self.identity} {self.sid}, {len(self.tracks)} tracks>"

    @property
    def attached(self) -> bool:
        """Whether its signaling socket is there."""
        return self._ws is not None

    # -- the socket ------------------------------------------------------------------------------------

    async def serve(
        self, ws: web.WebSocketResponse, first: rtc.SignalResponse, request: rtc.JoinRequest
    ) -> None:
        """Serve a socket until it ends; the former one of this participant is closed.

        Args:
            ws: the socket.
            first: what is said first: the answer to joining or to reconnecting.
            request: how it joined.
        """
        former, self._ws = self._ws, ws
        if former is not None:
            await former.close()
        outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._outgoing = outgoing
        sender = self._sending = start_task(self._send_all(ws, outgoing))
        self.send(first)
        if request.reconnect:  # whoever is not in this list has left meanwhile
            there = self.room.participants.values()
            everybody = [one.info for one in there if one is self or not one.grants.hidden]
            self.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=everybody)))
        missed, self._missed = self._missed, []
        for late in missed:
            self.send(late)
        try:
            await self._begin(request)
            async for message in ws:
                if message.type is not WSMsgType.BINARY:
                    self.ignored["text"] += 1
                    continue
                await self._take_untrusted(message.data)
        finally:
            if self._ws is ws:
                self._ws = None
            outgoing.put_nowait(None)
            await sender

    async def _begin(self, request: rtc.JoinRequest) -> None:
        for wanted in request.add_track_requests:
            self._add_track(wanted)
        if request.HasField("publisher_offer"):
            await self._guard(self.media.take_offer(request.publisher_offer), "offer")
        await self.media.offer(restart=request.reconnect)

    async def _send_all(self, ws: web.WebSocketResponse, outgoing: asyncio.Queue[bytes | None]) -> None:
        while (data := await outgoing.get()) is not None:
            try:
                await ws.send_bytes(data)
            except ConnectionError:
                return

    def send(self, message: rtc.SignalResponse) -> None:
        """Tell the participant; while its socket is gone, news of others are kept for it."""
        if self._ws is not None:
            self._outgoing.put_nowait(message.SerializeToString())
        elif message.WhichOneof("message") in _NEWS and len(self._missed) < MISSED_MAX:
            self._missed.append(message)

    async def drop(self) -> None:
        """End the socket without a word, as a network does."""
        if self._ws is not None and self._ws._req is not None:
            transport = self._ws._req.transport
            if transport is not None:
                transport.abort()

    async def hang_up(self) -> None:
        """End the socket in order, after what is waiting was sent."""
        ws = self._ws
        if ws is not None:
            self._outgoing.put_nowait(None)
            if self._sending is not None:
                await asyncio.wait([self._sending], timeout=HANG_UP_TIMEOUT)
            await ws.close()

    # -- requests --------------------------------------------------------------------------------------

    async def _take_untrusted(self, data: bytes) -> None:
        try:
            request = read_message_untrusted(rtc.SignalRequest, data)
        except MessageError:
            self.ignored["no message"] += 1
            return
        name = request.WhichOneof("message")
        handler = _HANDLERS.get(name or "")
        if name is None or handler is None:
            self.ignored[name or "unknown"] += 1
            return
        self.requests[name] += 1
        await self._guard(handler(self, getattr(request, name)), name)

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do some work for a client; nothing that a client says ends its socket."""
        try:
            await work
        except (MessageError, RtcPeerError, TypeError, ValueError) as error:
            self.ignored[name] += 1
            logger.warning("%s: %s ignored: %s", self.identity, name, error)

    async def _on_offer(self, description: rtc.SessionDescription) -> None:
        await self.media.take_offer(description)

    async def _on_answer(self, description: rtc.SessionDescription) -> None:
        await self.media.take_answer(description)

    async def _on_trickle(self, trickle: rtc.TrickleRequest) -> None:
        if not trickle.final:
            await self.media.add_candidate(trickle.target, trickle.candidateInit)

    async def _on_add_track(self, wanted: rtc.AddTrackRequest) -> None:
        self._add_track(wanted)

    def _add_track(self, wanted: rtc.AddTrackRequest) -> None:
        if not self.grants.can_publish or len(self._pending) + len(self.tracks) >= 64:
            refused = rtc.RequestResponse(reason=rtc.RequestResponse.NOT_ALLOWED, add_track=wanted)
            self.send(rtc.SignalResponse(request_response=refused))
            return
        known = self.tracks.get(wanted.sid)
        codec = wanted.simulcast_codecs[0].codec.rpartition("/")[2].lower() if wanted.simulcast_codecs else ""
        kind, default = ("audio", "opus") if wanted.type == models.TrackType.AUDIO else ("video", "vp8")
        mime = CODECS.get(codec, "")
        info = models.TrackInfo(
            sid=known.info.sid if known is not None else new_sid("TR"),
            type=wanted.type,
            name=wanted.name,
            muted=wanted.muted,
            width=wanted.width,
            height=wanted.height,
            source=wanted.source,
            layers=wanted.layers,
            simulcast=len(wanted.layers) > 1,
            disable_dtx=wanted.disable_dtx,
            disable_red=wanted.disable_red,
            stereo=wanted.stereo,
            stream=wanted.stream,
            encryption=wanted.encryption,
            mime_type=mime if mime.startswith(kind) else CODECS[default],
        )
        self._pending[wanted.cid] = info
        published = rtc.TrackPublishedResponse(cid=wanted.cid, track=info)
        self.send(rtc.SignalResponse(track_published=published))

    def _on_track(self, cid: str, mid: str, receiver: Any, codec: str) -> None:
        kind = models.TrackType.AUDIO if receiver.track.kind == "audio" else models.TrackType.VIDEO
        if cid not in self._pending:  # some clients change the id of a track on its way into the description
            cid = next((key for key, info in self._pending.items() if info.type == kind), "")
        info = self._pending.pop(cid, None)
        if info is None or info.type != kind:
            self.ignored["track without request"] += 1
            return
        info.mid = mid
        mime = CODECS.get(codec, "")
        if mime.startswith(receiver.track.kind):
            info.mime_type = mime  # some clients say it in their description alone
        track = PublishedTrack(self.sid, info, Forwarder(receiver))
        self.tracks[info.sid] = track
        self.room.published(self, track)

    def _on_track_end(self, mid: str) -> None:
        for track in list(self.tracks.values()):
            if track.info.mid == mid:
                self.room.unpublished(self, track)

    async def _on_mute(self, wanted: rtc.MuteTrackRequest) -> None:
        track = self.tracks.get(wanted.sid)
        if track is not None:
            self.mute(track, wanted.muted)
            return
        pending = next((info for info in self._pending.values() if info.sid == wanted.sid), None)
        if pending is None:
            raise MessageError("mutes a track that is not there")
        pending.muted = wanted.muted

    def mute(self, track: PublishedTrack, muted: bool) -> None:
        """A track is muted or not; the others are told."""
        if track.info.muted != muted:
            track.info.muted = muted
            self.room.updated(self)

    async def _on_subscription(self, wanted: rtc.UpdateSubscription) -> None:
        sids = {*wanted.track_sids, *(sid for one in wanted.participant_tracks for sid in one.track_sids)}
        await self.room.subscribe(self, sids, wanted.subscribe)

    async def _on_track_setting(self, wanted: rtc.UpdateTrackSettings) -> None:
        for sid in wanted.track_sids:
            subscription = self.media.subscriptions.get(sid)
            if subscription is None:
                raise MessageError("settings of a track that is not subscribed")
            layers = subscription.track.layers
            place = _QUALITIES.get(wanted.quality, 2)
            subscription.layer = layers[place] if place < len(layers) - 1 else None
            subscription.paused = wanted.disabled
            subscription.apply()
            self.room.tell_wanted(subscription.track)

    async def _on_update_metadata(self, wanted: rtc.UpdateParticipantMetadata) -> None:
        response = rtc.RequestResponse(request_id=wanted.request_id, reason=rtc.RequestResponse.OK)
        if not self.grants.can_update_metadata:
            response.reason = rtc.RequestResponse.NOT_ALLOWED
        else:
            self.change(wanted.name or None, wanted.metadata or None, wanted.attributes)
        self.send(rtc.SignalResponse(request_response=response))

    def change(self, name: str | None, metadata: str | None, attributes: Mapping[str, str]) -> None:
        """Change what is said of the participant; None: it stays. It and the others are told.

        Args:
            name, metadata: the new ones.
            attributes: those that change; an empty text takes one away.
        """
        if name is not None:
            self.info.name = name
        if metadata is not None:
            self.info.metadata = metadata
        for key, value in attributes.items():
            if value:
                self.info.attributes[key] = value
            else:
                self.info.attributes.pop(key, None)
        self.room.updated(self, to_self=True)

    async def _on_sync_state(self, state: rtc.SyncState) -> None:
        if not self.auto_subscribe or not state.subscription.subscribe:
            await self._on_subscription(state.subscription)

    async def _on_ping(self, timestamp: int) -> None:
        if not self.room.faults.ignore_pings:
            self.send(rtc.SignalResponse(pong=timestamp))

    async def _on_ping_req(self, ping: rtc.Ping) -> None:
        if not self.room.faults.ignore_pings:
            pong = rtc.Pong(last_ping_timestamp=ping.timestamp, timestamp=int(time.time() * 1000))
            self.send(rtc.SignalResponse(pong_resp=pong))

    async def _on_leave(self, leave: rtc.LeaveRequest) -> None:
        await self.room.remove(self, leave.reason or models.DisconnectReason.CLIENT_INITIATED)

    async def _on_subscription_permission(self, wanted: rtc.SubscriptionPermission) -> None:
        self._permission = wanted
        await self.room.permissions_changed(self)

    def lets(self, identity: str, sid: str) -> bool:
        """Whether a participant of that identity may have a track of this one."""
        if self._permission is None or self._permission.all_participants:
            return True
        return any(
            one.participant_identity == identity and (one.all_tracks or sid in one.track_sids)
            for one in self._permission.track_permissions
        )

    async def _on_simulate(self, wanted: rtc.SimulateScenario) -> None:
        await self.room.simulate(self, wanted)

    def _on_data(self, data: bytes, reliable: bool) -> None:
        try:
            packet = read_message_untrusted(models.DataPacket, data)
        except MessageError:
            self.ignored["data"] += 1
            return
        if self.grants.can_publish_data:
            self.room.data(self, packet, reliable)

    async def close(self) -> None:
        """End the socket and the connections."""
        if self._closed:
            return
        self._closed = True
        await self.hang_up()
        await self.media.close()


_HANDLERS: dict[str, Callable[[ServerParticipant, Any], Coroutine[Any, Any, None]]] = {
    "offer": ServerParticipant._on_offer,
    "answer": ServerParticipant._on_answer,
    "trickle": ServerParticipant._on_trickle,
    "add_track": ServerParticipant._on_add_track,
    "mute": ServerParticipant._on_mute,
    "subscription": ServerParticipant._on_subscription,
    "track_setting": ServerParticipant._on_track_setting,
    "update_metadata": ServerParticipant._on_update_metadata,
    "sync_state": ServerParticipant._on_sync_state,
    "ping": ServerParticipant._on_ping,
    "ping_req": ServerParticipant._on_ping_req,
    "leave": ServerParticipant._on_leave,
    "subscription_permission": ServerParticipant._on_subscription_permission,
    "simulate": ServerParticipant._on_simulate,
}
