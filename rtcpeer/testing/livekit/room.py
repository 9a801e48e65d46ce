"""A room at the LiveKit test server: who is there, what is published, who gets what.

Owns: the participants, the news that they are told, the way of data, the list of speakers. Never: a socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from rtcpeer.signaling.livekit.messages import models, rtc
from rtcpeer.signaling.livekit.tokens import Grants
from rtcpeer.testing.livekit.faults import LiveKitFaults
from rtcpeer.testing.livekit.media import PublishedTrack
from rtcpeer.testing.livekit.participant import ServerParticipant, new_sid, permission_of

# Who is louder than this, in dBov, is a speaker.
SPEAKING = 0.02
SPEAKERS_EVERY = 0.3
# What clients are told, in seconds; a room of this server stays until it is deleted.
EMPTY_TIMEOUT = 300


@dataclass(eq=False)
class LiveKitRoomState:
    """A room.

    Attributes:
        name: as the tokens name it.
        faults: those of the server.
        spawn: begins a task of the server.
        departure_timeout: how long a participant stays without its signaling socket, in seconds.
        info: what the participants are told of the room.
        participants: who is there, by identity.
    """

    name: str
    faults: LiveKitFaults
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    departure_timeout: float = 15.0
    info: models.Room = field(default_factory=models.Room)
    participants: dict[str, ServerParticipant] = field(default_factory=dict)
    _speaking: dict[str, float] = field(default_factory=dict)
    _departures: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = time.time()
        self.info = models.Room(
            sid=new_sid("RM"),
            name=self.name,
            creation_time=int(now),
            creation_time_ms=int(now * 1000),
            empty_timeout=EMPTY_TIMEOUT,
            departure_timeout=int(self.departure_timeout),
        )

    def others(self, participant: ServerParticipant) -> list[ServerParticipant]:
        """Everybody else."""
        return [one for one in self.participants.values() if one is not participant]

    # -- coming and going ------------------------------------------------------------------------------

    async def add(self, participant: ServerParticipant) -> None:
        """Somebody comes; who was there under this identity is put out."""
        former = self.participants.get(participant.identity)
        if former is not None:
            await self.remove(former, models.DisconnectReason.DUPLICATE_IDENTITY, tell=True)
        self._count(1)
        self.participants[participant.identity] = participant
        self.updated(participant)
        if participant.auto_subscribe and participant.grants.can_subscribe:
            for other in self.others(participant):
                for track in other.tracks.values():
                    self._allow(participant, other, track)

    async def remove(
        self,
        participant: ServerParticipant,
        reason: models.DisconnectReason,
        *,
        tell: bool = False,
    ) -> None:
        """Somebody goes, or is put out (`tell`)."""
        if self.participants.get(participant.identity) is not participant:
            return
        del self.participants[participant.identity]
        self.stay(participant)
        if tell:
            leave = rtc.LeaveRequest(reason=reason, action=rtc.LeaveRequest.DISCONNECT)
            participant.send(rtc.SignalResponse(leave=leave))
        participant.info.state = models.ParticipantInfo.DISCONNECTED
        participant.info.disconnect_reason = reason
        for track in list(participant.tracks.values()):
            self._retract(track)
        participant.tracks.clear()
        for subscription in list(participant.media.subscriptions.values()):
            if participant.media in subscription.track.subscribers:
                subscription.track.subscribers.remove(participant.media)
            self.tell_wanted(subscription.track)
        self.updated(participant)
        self._count()
        self.spawn(participant.close())

    def depart_later(self, participant: ServerParticipant, delay: float) -> None:
        """The socket of somebody is gone: unless it comes back in time, so is the participant."""

        def gone() -> None:
            self._departures.pop(participant.sid, None)
            self.spawn(self.remove(participant, models.DisconnectReason.SIGNAL_CLOSE))

        self.stay(participant)
        self._departures[participant.sid] = asyncio.get_running_loop().call_later(delay, gone)

    def stay(self, participant: ServerParticipant) -> None:
        """The participant is back, or has left for good."""
        timer = self._departures.pop(participant.sid, None)
        if timer is not None:
            timer.cancel()

    # -- news ------------------------------------------------------------------------------------------

    def updated(self, participant: ServerParticipant, *, to_self: bool = False) -> None:
        """Tell all others (and the participant) what is known of it now."""
        info = participant.info
        info.version += 1
        info.is_publisher = bool(participant.tracks)
        del info.tracks[:]
        info.tracks.extend(track.info for track in participant.tracks.values())
        update = rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[info]))
        if to_self:
            participant.send(update)
        for other in () if participant.grants.hidden else self.others(participant):
            other.send(update)

    def set_metadata(self, metadata: str) -> None:
        """Change what the room says of itself."""
        self.info.metadata = metadata
        self._tell_room()

    def _tell_room(self) -> None:
        for participant in self.participants.values():
            participant.send(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info)))

    def _count(self, coming: int = 0) -> None:
        """Tell how many are there, and how many of them publish, if that has changed; `coming`: who is told anyway."""
        numbers = len(self.participants) + coming, sum(bool(p.tracks) for p in self.participants.values())
        if numbers != (self.info.num_participants, self.info.num_publishers):
            self.info.num_participants, self.info.num_publishers = numbers
            self._tell_room()

    # -- tracks ----------------------------------------------------------------------------------------

    def published(self, participant: ServerParticipant, track: PublishedTrack) -> None:
        """A track arrives from somebody: the others are told and get it."""
        self.updated(participant, to_self=True)
        self._count()
        for other in self.others(participant):
            if other.auto_subscribe and other.grants.can_subscribe and self._allow(other, participant, track):
                self.spawn(self._connect(other, track))

    @staticmethod
    def _allow(participant: ServerParticipant, owner: ServerParticipant, track: PublishedTrack) -> bool:
        """Subscribe somebody to a track, unless its owner forbids it."""
        if owner.lets(participant.identity, track.info.sid):
            return participant.media.subscribe(track)
        participant.denied.add(track.info.sid)
        return False

    async def permissions_changed(self, participant: ServerParticipant) -> None:
        """A participant has said who may have its tracks."""
        for other in self.others(participant):
            changed = False
            for sid, track in participant.tracks.items():
                allowed = participant.lets(other.identity, sid)
                if allowed == (sid not in other.denied):
                    continue
                (other.denied.discard if allowed else other.denied.add)(sid)
                update = rtc.SubscriptionPermissionUpdate(
                    participant_sid=participant.sid, track_sid=sid, allowed=allowed
                )
                other.send(rtc.SignalResponse(subscription_permission_update=update))
                if not allowed:
                    changed |= other.media.unsubscribe(track)
                elif (other.auto_subscribe or sid in other.wanted) and other.grants.can_subscribe:
                    changed |= other.media.subscribe(track)
            if changed:
                await self.negotiate(other)

    async def allow(self, participant: ServerParticipant, grants: Grants) -> None:
        """A participant may do other things from now on; what it may do no longer ends."""
        participant.grants = grants
        participant.info.permission.CopyFrom(permission_of(grants))
        self.updated(participant, to_self=True)
        if not grants.can_publish:
            for track in list(participant.tracks.values()):
                self.unpublished(participant, track)
        changed = False
        if not grants.can_subscribe:
            for subscription in list(participant.media.subscriptions.values()):
                changed |= participant.media.unsubscribe(subscription.track)
                self.tell_wanted(subscription.track)
        else:
            for other in self.others(participant):
                for sid, track in other.tracks.items():
                    if participant.auto_subscribe or sid in participant.wanted:
                        changed |= self._allow(participant, other, track)
        if changed:
            await self.negotiate(participant)

    def unpublished(self, participant: ServerParticipant, track: PublishedTrack) -> None:
        """A track arrives no more."""
        if participant.tracks.pop(track.info.sid, None) is not None:
            self._retract(track)
            gone = rtc.TrackUnpublishedResponse(track_sid=track.info.sid)
            participant.send(rtc.SignalResponse(track_unpublished=gone))
            self.updated(participant, to_self=True)
            self._count()

    def _retract(self, track: PublishedTrack) -> None:
        for participant in self.participants.values():
            participant.denied.discard(track.info.sid)
            participant.wanted.discard(track.info.sid)
        for media in list(track.subscribers):
            if media.unsubscribe(track):
                self.spawn(media.offer())
        track.forwarder.close()

    async def subscribe(self, participant: ServerParticipant, sids: Iterable[str], wanted: bool) -> None:
        """A participant wants some tracks, or no longer."""
        changed = False
        for sid in sids:
            owner = next((one for one in self.others(participant) if sid in one.tracks), None)
            if owner is None:
                participant.ignored["subscription"] += 1
                continue
            track = owner.tracks[sid]
            (participant.wanted.add if wanted else participant.wanted.discard)(sid)
            if not wanted:
                changed |= participant.media.unsubscribe(track)
                self.tell_wanted(track)
            elif not owner.lets(participant.identity, sid):
                participant.denied.add(sid)
            elif participant.grants.can_subscribe and participant.media.subscribe(track):
                changed = True
                self._tell_publisher(track)
        if changed:
            await self.negotiate(participant)

    async def _connect(self, participant: ServerParticipant, track: PublishedTrack) -> None:
        self._tell_publisher(track)
        await self.negotiate(participant)

    def _tell_publisher(self, track: PublishedTrack) -> None:
        for one in self.participants.values():
            if one.sid == track.owner:
                one.send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=track.info.sid)))
        self.tell_wanted(track)

    def tell_wanted(self, track: PublishedTrack) -> None:
        """Tell the publisher of pictures which qualities somebody wants, if that has changed."""
        wanted = range(track.most_wanted() + 1)
        if track.info.type != models.TrackType.VIDEO or wanted == track.wanted:
            return
        track.wanted = wanted
        levels = (models.VideoQuality.LOW, models.VideoQuality.MEDIUM, models.VideoQuality.HIGH)
        qualities = [
            rtc.SubscribedQuality(quality=level, enabled=place in wanted)
            for place, level in enumerate(levels)
        ]
        codec = track.info.mime_type.rpartition("/")[2].lower()
        update = rtc.SubscribedQualityUpdate(
            track_sid=track.info.sid,
            subscribed_qualities=qualities,
            subscribed_codecs=[rtc.SubscribedCodec(codec=codec, qualities=qualities)],
        )
        for one in self.participants.values():
            if one.sid == track.owner:
                one.send(rtc.SignalResponse(subscribed_quality_update=update))

    async def negotiate(self, participant: ServerParticipant) -> None:
        """Bring a participant's sections up to what it is subscribed to."""
        participant.media.require_sections()
        await participant.media.offer()

    # -- data and speakers -----------------------------------------------------------------------------

    def data(self, sender: ServerParticipant, packet: models.DataPacket, reliable: bool) -> None:
        """Send a participant's packet on to all others, or to those that it names."""
        packet.participant_identity = sender.identity
        packet.participant_sid = sender.sid
        named = set(packet.destination_identities)
        if packet.WhichOneof("value") == "user":
            named.update(packet.user.destination_identities)
            packet.user.participant_identity = sender.identity
            packet.user.participant_sid = sender.sid
        self._spread(packet, named, self.others(sender), reliable)

    def send_data(self, data: bytes, topic: str, to: Iterable[str], reliable: bool) -> None:
        """Send a packet that is of no participant to all, or to those that are named."""
        user = models.UserPacket(payload=data, topic=topic, destination_identities=to)
        self._spread(models.DataPacket(user=user), set(to), self.participants.values(), reliable)

    @staticmethod
    def _spread(
        packet: models.DataPacket, named: set[str], to: Iterable[ServerParticipant], reliable: bool
    ) -> None:
        data = packet.SerializeToString()
        for one in to:
            if not named or one.identity in named:
                one.media.send_data(data, reliable)

    def look_for_speakers(self) -> None:
        """Tell everybody who speaks, if that has changed."""
        now: dict[str, float] = {}
        for participant in self.participants.values():
            level = max(
                (
                    source.audioLevel or 0.0
                    for track in participant.tracks.values()
                    if track.info.type == models.TrackType.AUDIO and not track.info.muted
                    for source in track.forwarder.source.getSynchronizationSources()
                ),
                default=0.0,
            )
            if level > SPEAKING:
                now[participant.sid] = level
        changed = [
            models.SpeakerInfo(sid=sid, level=now.get(sid, 0.0), active=sid in now)
            for sid in {*now, *self._speaking}
            if (sid in now) != (sid in self._speaking)
        ]
        self._speaking = now
        if changed:
            message = rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=changed))
            for participant in self.participants.values():
                participant.send(message)

    # -- what clients ask to be tested with ------------------------------------------------------------

    async def simulate(self, participant: ServerParticipant, wanted: rtc.SimulateScenario) -> None:
        """Carry out a scenario that a client's test asks for."""
        scenario = wanted.WhichOneof("scenario")
        if scenario == "leave_request_full_reconnect":
            leave = rtc.LeaveRequest(
                reason=models.DisconnectReason.STATE_MISMATCH,
                action=rtc.LeaveRequest.RECONNECT,
                can_reconnect=True,
            )
            participant.send(rtc.SignalResponse(leave=leave))
        elif scenario == "server_leave":
            await self.remove(participant, models.DisconnectReason.SERVER_SHUTDOWN, tell=True)
        elif scenario in ("node_failure", "disconnect_signal_on_resume", "migration"):
            if scenario == "node_failure":
                await self.remove(participant, models.DisconnectReason.SIGNAL_CLOSE)
            await participant.drop()
        elif scenario == "speaker_update":
            speaker = models.SpeakerInfo(sid=participant.sid, level=1.0, active=True)
            message = rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=[speaker]))
            for one in self.participants.values():
                one.send(message)
        else:
            participant.ignored[f"scenario {scenario}"] += 1
