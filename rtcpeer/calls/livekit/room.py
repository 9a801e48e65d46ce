"""`LiveKitRoom`: a LiveKit room as a call, "livekit+wss://host".

Owns: the session with the server: joining, following what it says, resuming, beginning anew, leaving. Never: the
connections (`media`), the records of the others (`state`), our own tracks (`publishing`), packets of data (`data`).

Theory of operation. A lost socket is opened again with the participant's sid (resume): connections live on, both sides
restart ICE. Where the server has forgotten the session or a connection stays dead, everything is made anew under the
same identity; publications are published again, and tracks of others that are still published keep their objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import CallHost
from rtcpeer.calls.livekit.data import LiveKitData
from rtcpeer.calls.livekit.events import ConnectionQualityChanged, SpeakersChanged, SubscriptionAllowed
from rtcpeer.calls.livekit.link import LiveKitLink
from rtcpeer.calls.livekit.media import LiveKitMedia
from rtcpeer.calls.livekit.publishing import Publications
from rtcpeer.calls.livekit.requests import Requests
from rtcpeer.calls.livekit.rpc import LiveKitRpc
from rtcpeer.calls.livekit.state import RemoteState, end_reason
from rtcpeer.calls.livekit.streams import LiveKitStreams
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.errors import (
    InvalidStateError,
    NetworkError,
    RtcPeerError,
    SignalingRefused,
)
from rtcpeer.signaling.livekit.messages import MessageError, models, rtc
from rtcpeer.signaling.livekit.tokens import Grants, identity_of, make_token

# How long a resumed session may be without its connection, in seconds.
CONNECT_TIMEOUT = 15.0
# Pauses before attempts to come back, in seconds; then the call ends.
PAUSES = (0.0, 0.3, 0.6, 1.2, 2.4, 5.0, 5.0, 7.0, 7.0)
# After so many attempts to resume the session is made anew.
RESUMES = 3
REGIONS_MAX = 8


class _Anew(Exception):
    """The session cannot be resumed."""


class LiveKitRoom:
    """A room of a LiveKit server; see `CallService`.

    Participants are known by their identities. Messages are data packets: text is sent under a topic of its own, and
    packets of other topics arrive as bytes.

    Args:
        request: `token` is an access token; or the options `api_key` and `api_secret` make one for the `room` that the
            URL names (``?room=NAME``), with the option `identity` or the name. The option `simulcast`: True sends
            pictures in three sizes, False in one; by default it depends on their size. With the option `dynacast` sizes
            that nobody is subscribed to are not encoded.

    Raises:
        ValueError: neither a token nor a key with its secret and a room.

    Attributes:
        sid: of our participant in this session.
        info: what the server says of the room.
        speakers: how loud those are who speak, from 0 to 1, by identity.
        qualities: of the connections, as the server judges them ("excellent", "good", "poor", "lost"), by identity.
        streams: text and byte streams.
        rpc: remote procedure calls.
        resumes, renewals: how often the session was resumed and made anew.
    """

    resumes: int
    renewals: int

    def __init__(self, request: JoinRequest) -> None:
        request.check_options("api_key", "api_secret", "identity", "simulcast", "dynacast", "auto_subscribe")
        self._url, taken = request.take("room")
        self._token = request.token or _own_token(request, taken.get("room"))
        self._auto_subscribe = bool(request.options.get("auto_subscribe", True))
        self._wanted: set[tuple[str, str]] = set()  # (identity, name) of what was subscribed to
        self._waiting: set[tuple[str, str]] = (
            set()
        )  # of those, what was not there when the session began anew
        self._regions: list[str] = []  # where the server has said to begin anew
        self.sid: str = ""
        self.info: models.Room = models.Room()
        self.speakers: dict[str, float] = {}
        self.qualities: dict[str, str] = {}
        self._data = LiveKitData(lambda: self._host, lambda: (self._media, self.sid))
        self.streams: LiveKitStreams = self._data.streams
        self.rpc: LiveKitRpc = self._data.rpc
        self.resumes = self.renewals = 0
        self._link: LiveKitLink | None = None
        self._media: LiveKitMedia | None = None
        self._former: LiveKitMedia | None = None  # of a session that is made anew, until it is closed
        self._host_or_none: CallHost | None = None
        self._state_or_none: RemoteState | None = None
        self._requests = Requests()
        self._request_id = 0
        self._publications = Publications(
            self._requests,
            self._send,
            simulcast=request.options.get("simulcast"),
            dynacast=bool(request.options.get("dynacast", False)),
        )
        self._following: asyncio.Task[None] | None = None
        self._anew = False  # whether the next attempt to come back makes the session anew
        self._left = False

    def __repr__(self) -> str:
        return f"<LiveKitRoom {self.info.name!r}, {self.sid or 'not entered'}>"

    @property
    def token(self) -> str:
        """The access token in use; the server renews it from time to time."""
        return self._token

    def participant_info(self, identity: str) -> models.ParticipantInfo | None:
        """The server's record of a participant: attributes, permissions, kind, sizes of its tracks."""
        found = self._state.own if identity == self._host.id else self._state.infos.get(identity)
        return None if found is None else models.ParticipantInfo.FromString(found.SerializeToString())

    @property
    def _host(self) -> CallHost:
        assert self._host_or_none is not None, "a call is handed out when it was entered"
        return self._host_or_none

    @property
    def _state(self) -> RemoteState:
        assert self._state_or_none is not None, "a call is handed out when it was entered"
        return self._state_or_none

    # -- entering and following ------------------------------------------------------------------------

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self._host_or_none = host
        state = self._state_or_none = RemoteState(host)
        state.on_gone = self._gone
        await self._join()
        self._following = host.spawn(self._follow(), "LiveKit session", vital=True)
        host.spawn(self._confirm(), "LiveKit: first connection")
        if host.metadata:
            with contextlib.suppress(SignalingRefused):  # not every token allows it
                await self.set_metadata(host.metadata)

    async def _join(self) -> None:
        """Begin a session.

        Raises:
            SignalingRefused: the server does not let us in.
            NetworkError: it says something else than LiveKit's servers.
        """
        url = self._regions.pop(0) if self._regions else self._url
        link = self._link = await LiveKitLink.open(url, self._token, auto_subscribe=self._auto_subscribe)
        first = await link.receive(self._host.ignored)
        if first is not None and first.HasField("leave"):
            raise SignalingRefused(_name(models.DisconnectReason, first.leave.reason), fatal=True)
        if first is None or not first.HasField("join") or not first.join.participant.identity:
            raise NetworkError("the LiveKit server says something else than that we have joined")
        join = first.join
        self.sid = self._state.sid = join.participant.sid
        self._state.own = join.participant
        self.info = join.room
        self._data.begin_anew()
        self._host.entered(join.participant.identity)
        self._recommend(join.ice_servers)
        self._media = LiveKitMedia(
            self._host.configuration,
            send=self._send,
            spawn=self._host.spawn,
            on_track=self._on_track,
            on_data=self._data.take_untrusted,
            on_failed=self._on_failed,
        )
        self._publications.begin(self._media)
        link.watch(join.ping_interval or 10, join.ping_timeout or 30, self._host.spawn)
        self._state.begin(list(join.other_participants))
        await self._media.offer()

    def _recommend(self, servers: Any) -> None:
        found = []
        for one in servers:
            try:
                found.append(RTCIceServer(list(one.urls), one.username or None, one.credential or None))
            except (TypeError, ValueError, RtcPeerError) as error:
                self._host.ignored("ICE server", error)
        self._host.recommend(found)

    async def _follow(self) -> None:
        while not self._left:
            link = self._link
            assert link is not None
            while (message := await link.receive(self._host.ignored)) is not None:
                await self._take(message)
            await link.close()
            if self._left or self._host.end is not None:
                return
            await self._come_back()

    async def _take(self, message: rtc.SignalResponse) -> None:
        """Take a message of the server; nothing that it says raises out of here."""
        name = message.WhichOneof("message")
        handler = _HANDLERS.get(name or "")
        if name is None or handler is None:
            self._host.ignored(f"message {name or 'unknown'}")
            return
        try:
            await handler(self, getattr(message, name))
        except (RtcPeerError, MessageError, TypeError, ValueError) as error:
            self._host.ignored(name, error)

    # -- coming back -----------------------------------------------------------------------------------

    async def _come_back(self) -> None:
        """Resume the session, or make it anew; after the last attempt the call ends."""
        self._host.reconnecting("signaling")
        error: Exception | None = None
        for attempt, pause in enumerate(PAUSES):
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    if self._anew or attempt >= RESUMES:
                        await self._renew()
                    else:
                        await self._resume()
            except _Anew:
                self._anew = True
            except SignalingRefused as refused:
                error = refused
                if refused.fatal:
                    self._host.ended(EndReason.REFUSED, refused)
                    return
            except (RtcPeerError, TimeoutError) as failed:
                error = failed
            else:
                self._anew = False
                self._host.spawn(self._confirm(), "LiveKit: connection after coming back")
                return
            if self._link is not None:
                await self._link.close()
        self._host.ended(EndReason.CONNECTION_LOST, error)

    async def _resume(self) -> None:
        media = self._media
        assert media is not None
        link = self._link = await LiveKitLink.open(
            self._url, self._token, resume=self.sid, auto_subscribe=self._auto_subscribe
        )
        first = await link.receive(self._host.ignored)
        if first is None or not first.HasField("reconnect"):
            raise _Anew
        self._recommend(first.reconnect.ice_servers)
        sync = media.sync_state(self._publications.told())
        await self._send(rtc.SignalRequest(sync_state=sync))
        link.watch(10, 30, self._host.spawn)
        await media.offer(restart=True)
        self.resumes += 1

    async def _renew(self) -> None:
        self._state.keep_tracks()
        self._publications.begin(None)
        if self._media is not None:
            self._former, self._media = self._media, None
            await self._former.close()
            self._former = None
        self._requests.abandon()
        await self._join()
        self.renewals += 1
        self._waiting = set(self._wanted)
        await self._ask_for_waiting()
        self._host.spawn(self._publications.publish_again(self._host.ignored), "LiveKit: publish again")

    async def _confirm(self) -> None:
        """A session without its connection is of no use: it has to be there in time, or everything is made anew."""
        media = self._media
        if media is not None and await media.connected(CONNECT_TIMEOUT):
            self._host.reconnected()
        elif media is self._media:
            await self._break_off()

    def _on_failed(self) -> None:
        self._host.spawn(self._break_off(anew=False), "LiveKit: connection failed")

    async def _break_off(self, *, anew: bool = True) -> None:
        """End the socket, so that the session is resumed or made anew."""
        self._anew = self._anew or anew
        if self._link is not None:
            await self._link.close()

    # -- what the server says --------------------------------------------------------------------------

    async def _on_answer(self, description: rtc.SessionDescription) -> None:
        if self._media is not None:
            await self._media.take_answer(description)

    async def _on_offer(self, description: rtc.SessionDescription) -> None:
        if self._media is not None:
            await self._media.take_offer(description)

    async def _on_trickle(self, trickle: rtc.TrickleRequest) -> None:
        if self._media is not None:
            await self._media.take_candidate(trickle)

    async def _on_update(self, update: rtc.ParticipantUpdate) -> None:
        for info in update.participants:
            self._state.update(info)
        await self._ask_for_waiting()

    async def _on_published(self, published: rtc.TrackPublishedResponse) -> None:
        self._requests.answer(published.cid, published.track)

    async def _on_unpublished(self, gone: rtc.TrackUnpublishedResponse) -> None:
        await self._publications.taken_out(gone.track_sid)

    async def _on_request_response(self, response: rtc.RequestResponse) -> None:
        key = response.add_track.cid if response.HasField("add_track") else response.request_id
        if response.reason != rtc.RequestResponse.OK:
            reason = response.message or _name(rtc.RequestResponse.Reason, response.reason)
            self._requests.refuse(key, SignalingRefused(reason, fatal=True))
        else:
            self._requests.answer(key, None)

    async def _on_mute(self, muted: rtc.MuteTrackRequest) -> None:
        await self._publications.moderated(muted.sid, muted=muted.muted)

    async def _on_speakers(self, changed: rtc.SpeakersChanged) -> None:
        for speaker in changed.speakers:
            identity = self._state.identity_of(speaker.sid)
            if identity is not None and speaker.active:
                self.speakers[identity] = speaker.level
            elif identity is not None:
                self.speakers.pop(identity, None)
        self._host.tell(SpeakersChanged(dict(self.speakers)))

    async def _on_quality(self, update: rtc.ConnectionQualityUpdate) -> None:
        for info in update.updates:
            identity = self._state.identity_of(info.participant_sid)
            if identity is None:
                self._host.ignored("quality of nobody", info.participant_sid)
                continue
            quality = self.qualities[identity] = models.ConnectionQuality.Name(info.quality).lower()
            participant = self._host.participants.get(identity)
            if participant is not None or identity == self._host.id:
                self._host.tell(ConnectionQualityChanged(participant, quality, info.score))

    async def _on_permission(self, update: rtc.SubscriptionPermissionUpdate) -> None:
        identity = self._state.identity_of(update.participant_sid)
        participant = self._host.participants.get(identity or "")
        if participant is None:
            raise MessageError("a permission of nobody")
        self._host.tell(SubscriptionAllowed(participant, update.track_sid, update.allowed))

    async def _on_room(self, update: rtc.RoomUpdate) -> None:
        self.info = update.room

    async def _on_token(self, token: str) -> None:
        if identity_of(token) != self._host.id:
            raise MessageError("a new token for somebody else")
        self._token = token

    async def _on_leave(self, leave: rtc.LeaveRequest) -> None:
        action = leave.action
        if action == rtc.LeaveRequest.DISCONNECT and not leave.can_reconnect:
            self._host.ended(end_reason(leave.reason))
            return
        self._regions = [region.url for region in leave.regions.regions if region.url][:REGIONS_MAX]
        await self._break_off(anew=action != rtc.LeaveRequest.RESUME)

    async def _on_subscribed_quality(self, update: rtc.SubscribedQualityUpdate) -> None:
        await self._publications.subscribed(update)

    async def _on_nothing(self, _: Any) -> None:
        """Ignore a message of no use here, such as the answer to a ping."""

    def _on_track(self, event: Any) -> None:
        stream = event.streams[0].id if event.streams else ""
        owner, _, sid = stream.partition("|")
        media = self._media
        if media is not None and event.transceiver.mid in media.mids:
            sid = media.mids[event.transceiver.mid]
        if not sid.startswith("TR"):
            sid = event.track.id
        self._state.arrived(event.receiver, owner, sid)

    def _gone(self, identity: str) -> None:
        self._data.gone(identity)
        self.qualities.pop(identity, None)
        self.speakers.pop(identity, None)

    # -- what the call asks for ------------------------------------------------------------------------

    async def _send(self, request: rtc.SignalRequest) -> None:
        if self._link is not None:
            await self._link.send(request)

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        await self._publications.publish(publication)

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        await self._publications.unpublish(publication)

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        await self._publications.set_muted(publication)

    async def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Implements `CallService`; the member ``attributes``, a mapping of texts, becomes LiveKit's attributes."""
        members = dict(metadata)
        attributes = members.pop("attributes", {})
        self._request_id += 1
        update = rtc.UpdateParticipantMetadata(
            metadata=json.dumps(members) if members else "",
            name=self._host.name or "",
            attributes={str(key): str(value) for key, value in attributes.items()},
            request_id=self._request_id,
        )
        request = rtc.SignalRequest(update_metadata=update)
        await self._requests.ask(update.request_id, self._send(request), "new metadata")

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService`; what is too long for a packet goes as a stream, and arrives as a message."""
        await self._data.send(data, [] if to is None else [to.id])

    async def send_data(
        self, data: str | bytes, *, to: list[str] | None = None, topic: str = "", reliable: bool = True
    ) -> None:
        """Send a data packet, with what only LiveKit has.

        Args:
            data: at most 15,000 bytes.
            to: identities; none: all.
            topic: what it is about.
            reliable: whether it is repeated until it arrives.

        Raises:
            NotSupportedError: it is neither text nor bytes.
            ValueError: it is too long.
            NetworkError: there is no connection for it.
        """
        await self._data.send_data(data, to=to or [], topic=topic, reliable=reliable)

    # -- subscriptions ---------------------------------------------------------------------------------

    async def subscribe(self, participant: Participant, name: str, *, wanted: bool = True) -> None:
        """Ask for a track, or for it no more; with the option ``auto_subscribe=False`` nothing comes unasked.

        Args:
            participant: who publishes it.
            name: of the track, its kind or its sid.
            wanted: False: it is not to be sent any more.

        Raises:
            InvalidStateError: the participant publishes no such track.
        """
        self._waiting.discard((participant.id, name))
        (self._wanted.add if wanted else self._wanted.discard)((participant.id, name))
        if not await self._ask_for(participant.id, name, wanted=wanted):
            self._wanted.discard((participant.id, name))
            raise InvalidStateError(f"{participant.id} publishes no track {name!r}")

    async def _ask_for_waiting(self) -> None:
        """Subscribe again to what is there; who publishes it may come into a new session after us."""
        for identity, name in tuple(self._waiting & self._wanted):
            if await self._ask_for(identity, name, wanted=True):
                self._waiting.discard((identity, name))

    async def _ask_for(self, identity: str, name: str, *, wanted: bool) -> bool:
        sid = self._state.sid_of_track(identity, name)
        if sid is None:
            return False
        tracks = rtc.UpdateSubscription(track_sids=[sid], subscribe=wanted)
        await self._send(rtc.SignalRequest(subscription=tracks))
        return True

    async def set_track(
        self, participant: Participant, name: str, *, enabled: bool = True, quality: str = "high"
    ) -> None:
        """Say what we want of a track that is sent to us.

        Args:
            participant: who publishes it.
            name: of the track, its kind or its sid.
            enabled: False: nothing of it at present.
            quality: "low", "medium" or "high": which size of a picture that is published in several.

        Raises:
            InvalidStateError: the participant publishes no such track.
            ValueError: there is no such quality.
        """
        if quality not in ("low", "medium", "high"):
            raise ValueError(f"a quality is low, medium or high, not {quality!r}")
        sid = self._state.sid_of_track(participant.id, name)
        if sid is None:
            raise InvalidStateError(f"{participant.id} publishes no track {name!r}")
        settings = rtc.UpdateTrackSettings(track_sids=[sid], disabled=not enabled, quality=quality.upper())
        await self._send(rtc.SignalRequest(track_setting=settings))

    async def allow_subscribers(self, allowed: Mapping[str, Iterable[str] | None] | None) -> None:
        """Say who may have what we publish.

        Args:
            allowed: the names of tracks by identity (None: all tracks); who is not named gets nothing. None: all
                may have everything, as at first.
        """
        permission = rtc.SubscriptionPermission(
            all_participants=allowed is None, track_permissions=self._publications.permissions(allowed or {})
        )
        await self._send(rtc.SignalRequest(subscription_permission=permission))

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        self._left = True
        self._data.close()
        if self._following is not None:  # it may be making everything anew
            self._following.cancel()
            await asyncio.wait([self._following])
        link, media = self._link, self._media
        try:
            if link is not None:
                reason = models.DisconnectReason.CLIENT_INITIATED
                await link.send(rtc.SignalRequest(leave=rtc.LeaveRequest(reason=reason)))
                await link.close()
        finally:
            for one in (media, self._former):
                if one is not None:
                    await one.close()
            if self._state_or_none is not None:
                self._state_or_none.close()


_HANDLERS: dict[str, Callable[[LiveKitRoom, Any], Coroutine[Any, Any, None]]] = {
    "answer": LiveKitRoom._on_answer,
    "offer": LiveKitRoom._on_offer,
    "trickle": LiveKitRoom._on_trickle,
    "update": LiveKitRoom._on_update,
    "track_published": LiveKitRoom._on_published,
    "track_unpublished": LiveKitRoom._on_unpublished,
    "request_response": LiveKitRoom._on_request_response,
    "mute": LiveKitRoom._on_mute,
    "speakers_changed": LiveKitRoom._on_speakers,
    "room_update": LiveKitRoom._on_room,
    "refresh_token": LiveKitRoom._on_token,
    "leave": LiveKitRoom._on_leave,
    "pong": LiveKitRoom._on_nothing,
    "pong_resp": LiveKitRoom._on_nothing,
    "connection_quality": LiveKitRoom._on_quality,
    "subscription_permission_update": LiveKitRoom._on_permission,
    "stream_state_update": LiveKitRoom._on_nothing,
    "subscribed_quality_update": LiveKitRoom._on_subscribed_quality,
    "subscription_response": LiveKitRoom._on_nothing,
    "track_subscribed": LiveKitRoom._on_nothing,
}


def _name(names: Any, number: int) -> str:
    """The name of a value of an enumeration; of a newer server's, its number."""
    return str(names.Name(number)) if number in names.values() else f"reason {number}"


def _own_token(request: JoinRequest, room: str | None) -> str:
    key, secret = request.options.get("api_key"), request.options.get("api_secret")
    if not key or not secret or not room:
        raise ValueError(
            "a LiveKit room takes token=..., or api_key=... and api_secret=... with the room in the URL (?room=NAME)"
        )
    identity = request.options.get("identity") or request.name or f"rtcpeer-{int(time.time() * 1000):x}"
    return make_token(key, secret, Grants(identity=identity, room=room, name=request.name or ""))
