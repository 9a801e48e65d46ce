"""The peer connections of one participant at the LiveKit test server.

Owns: the publisher's connection, the subscriber's (or one for both: the client's choice), their negotiation, the
channels for data. Never: rooms, sockets, who may do what.

Theory of operation. With two connections the client offers on the publisher's, and the server on the subscriber's, with
a section per subscribed track. With one connection only the client offers: the server asks for more receiving sections
(``media_sections_requirement``) and says in its answer which track is in which section. Nothing is decoded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtcpeer.errors import OperationError
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.forwarder import Forwarder, ForwarderOutput
from rtcpeer.signaling.livekit.early import EarlyCandidates
from rtcpeer.signaling.livekit.messages import (
    LOSSY,
    RELIABLE,
    MessageError,
    candidate_json,
    models,
    read_candidate_untrusted,
    rtc,
)

# Data that waits for a channel to open, and that may wait in one, in bytes; more is dropped and counted.
WAITING_MAX = 1 << 20
BUFFERED_MAX = 8 << 20


_RIDS = {models.VideoQuality.LOW: "q", models.VideoQuality.MEDIUM: "h", models.VideoQuality.HIGH: "f"}


@dataclass(eq=False)
class PublishedTrack:
    """A track in a room.

    Attributes:
        owner: sid of the participant who publishes it.
        info: what the others are told.
        forwarder: sends it on.
        subscribers: the media of those who get it.
        wanted: the places of the qualities that its publisher was told to send: 0 (low) to 2 (high); None: nothing
            was told yet.
    """

    owner: str
    info: models.TrackInfo
    forwarder: Forwarder
    subscribers: list[ParticipantMedia] = field(default_factory=list)
    wanted: range | None = None

    @property
    def layers(self) -> list[str]:
        """The ids of its simulcast layers; where a client does not tell them, LiveKit's names for the qualities."""
        return [layer.rid or _RIDS.get(layer.quality, "f") for layer in self.info.layers]

    def most_wanted(self) -> int:
        """The place of the highest quality that a subscriber wants; -1: none."""
        places, layers = [-1], self.layers
        for media in self.subscribers:
            subscription = media.subscriptions.get(self.info.sid)
            if subscription is not None and not subscription.paused:
                places.append(layers.index(subscription.layer) if subscription.layer in layers else 2)
        return max(places)


@dataclass(eq=False)
class Subscription:
    """A track on its way to one subscriber.

    Attributes:
        track: which one.
        transceiver: the section that carries it; None until there is one.
        output: the forwarder's; None until then.
        paused: whether the subscriber wants nothing of it at present.
        layer: the simulcast layer that is wanted.
    """

    track: PublishedTrack
    transceiver: Any = None
    output: ForwarderOutput | None = None
    paused: bool = False
    layer: str | None = None

    def apply(self) -> None:
        """Tell the forwarder what is wanted."""
        if self.output is not None:
            self.output.paused = self.paused
            self.output.layer = self.layer


class ParticipantMedia:
    """Media and data of one participant.

    Args:
        single: whether the client uses one connection for both directions.
        send: puts a message on the participant's signaling socket.
        on_track: called with the client's id of a track (cid), its mid, its receiver and the codec it prefers.
        on_track_end: called with the mid of one that is sent no more.
        on_data: called with a packet that arrived, and whether it came reliably.

    Attributes:
        publisher: the connection on which the client offers.
        subscriber: the one on which the server offers; the same as `publisher` if there is only one.
        subscriptions: by sid of the track.
        dropped: data packets that found no room.
    """

    def __init__(
        self,
        *,
        single: bool,
        send: Callable[[rtc.SignalResponse], None],
        on_track: Callable[[str, str, Any, str], None],
        on_track_end: Callable[[str], None],
        on_data: Callable[[bytes, bool], None],
    ) -> None:
        self.single = single
        self.publisher: RTCPeerConnection = RTCPeerConnection()
        self.subscriber: RTCPeerConnection = self.publisher if single else RTCPeerConnection()
        self.subscriptions: dict[str, Subscription] = {}
        self.dropped: int = 0
        self._send = send
        self._on_track = on_track
        self._on_track_end = on_track_end
        self._on_data = on_data
        self._told: dict[str, str] = {}  # the client's id of the track that a section sends, by mid
        self._channels: dict[str, Any] = {}
        self._waiting: list[bytes] = []
        self._early = EarlyCandidates()
        self._lock = asyncio.Lock()
        self._offer_id = 0
        self._offering = False
        self._offer_again = False
        self._watch(self.publisher, rtc.SignalTarget.PUBLISHER)
        if not single:
            self._watch(self.subscriber, rtc.SignalTarget.SUBSCRIBER)
            self._take_channel(self.subscriber.createDataChannel(RELIABLE), downstream=True)
            lossy = self.subscriber.createDataChannel(LOSSY, ordered=False, maxRetransmits=0)
            self._take_channel(lossy, downstream=True)

    # -- negotiation -----------------------------------------------------------------------------------

    async def take_offer(self, description: rtc.SessionDescription) -> None:
        """Answer an offer of the client on the publisher's connection."""
        async with self._lock:
            pc = self.publisher
            await pc.setRemoteDescription({"type": "offer", "sdp": description.sdp})
            await self._early.add(pc)
            self._find_tracks(description.sdp)
            if self.single:
                self._place()
            await pc.setLocalDescription()
            local = pc.localDescription
            assert local is not None
            answer = rtc.SessionDescription(
                type="answer", sdp=local.sdp, id=description.id, mid_to_track_id=self._mids()
            )
            self._send(rtc.SignalResponse(answer=answer))

    async def take_answer(self, description: rtc.SessionDescription) -> None:
        """Take the client's answer on the subscriber's connection; one to an older offer is passed over."""
        async with self._lock:
            if not self._offering or description.id not in (0, self._offer_id):
                raise MessageError("an answer that answers no offer")
            await self.subscriber.setRemoteDescription({"type": "answer", "sdp": description.sdp})
            self._offering = False
            await self._early.add(self.subscriber)
        if self._offer_again:
            await self.offer()

    async def add_candidate(self, target: int, text: str) -> None:
        """Take a candidate of the client."""
        pc = self.publisher if target == rtc.SignalTarget.PUBLISHER else self.subscriber
        members = read_candidate_untrusted(text)
        async with self._lock:
            try:
                await self._early.take(pc, members)
            except OperationError as error:
                raise MessageError(str(error)) from None

    async def offer(self, *, restart: bool = False) -> None:
        """Offer on the subscriber's connection what has changed there; at once, or after the answer that is awaited."""
        if self.single:
            return
        async with self._lock:
            if restart:
                self.subscriber.restartIce()
                if self._offering:  # the answer went down with the former socket
                    await self.subscriber.setLocalDescription({"type": "rollback"})
                    self._offering = False
            if self._offering:
                self._offer_again = True
                return
            self._offer_again = False
            self._place()
            await self.subscriber.setLocalDescription()
            self._offering = True
            self._offer_id += 1
            local = self.subscriber.localDescription
            assert local is not None
            offer = rtc.SessionDescription(
                type="offer", sdp=local.sdp, id=self._offer_id, mid_to_track_id=self._mids()
            )
            self._send(rtc.SignalResponse(offer=offer))

    def _mids(self) -> dict[str, str]:
        found = {}
        for sid, subscription in self.subscriptions.items():
            transceiver = subscription.transceiver
            if transceiver is not None and transceiver.mid is not None:
                found[transceiver.mid] = sid
        return found

    def _watch(self, pc: RTCPeerConnection, target: rtc.SignalTarget) -> None:
        def on_candidate(event: Any) -> None:
            candidate = event.candidate
            if candidate is not None and candidate.candidate:
                trickle = rtc.TrickleRequest(candidateInit=candidate_json(candidate), target=target)
                self._send(rtc.SignalResponse(trickle=trickle))

        def on_channel(event: Any) -> None:
            self._take_channel(event.channel, downstream=self.single)

        pc.addEventListener("icecandidate", on_candidate)
        pc.addEventListener("datachannel", on_channel)

    # -- tracks ----------------------------------------------------------------------------------------

    def _find_tracks(self, sdp: str) -> None:
        """Tell which sections send since this offer, and which no more; the client's id of a track is in ``a=msid``."""
        sending = _sending_tracks(sdp)
        for known in [mid for mid, cid in self._told.items() if sending.get(mid, ("", ""))[0] != cid]:
            del self._told[known]
            self._on_track_end(known)
        for transceiver in self.publisher.getTransceivers():
            mid = transceiver.mid
            sent = None if mid is None else sending.get(mid)
            if mid is None or sent is None or mid in self._told or self._carries(transceiver):
                continue
            cid, codec = sent
            self._told[mid] = cid
            self._on_track(cid, mid, transceiver.receiver, codec)

    def _carries(self, transceiver: Any) -> bool:
        return any(one.transceiver is transceiver for one in self.subscriptions.values())

    def subscribe(self, track: PublishedTrack) -> bool:
        """Send a track to this participant; whether that was news. `offer` has to follow, once for several."""
        sid = track.info.sid
        if sid in self.subscriptions:
            return False
        self.subscriptions[sid] = Subscription(track)
        track.subscribers.append(self)
        return True

    def require_sections(self) -> None:
        """With one connection: ask for sections for those tracks that have none."""
        missing = [one for one in self.subscriptions.values() if one.transceiver is None]
        if self.single and missing:
            audios = sum(one.track.info.type == models.TrackType.AUDIO for one in missing)
            requirement = rtc.MediaSectionsRequirement(num_audios=audios, num_videos=len(missing) - audios)
            self._send(rtc.SignalResponse(media_sections_requirement=requirement))

    def unsubscribe(self, track: PublishedTrack) -> bool:
        """Send a track no longer; whether that was news."""
        subscription = self.subscriptions.pop(track.info.sid, None)
        if subscription is None:
            return False
        if self in track.subscribers:
            track.subscribers.remove(self)
        if subscription.output is not None:
            track.forwarder.remove(subscription.output)
        transceiver = subscription.transceiver
        if transceiver is not None and self.subscriber.connectionState != "closed":
            if self.single:
                transceiver.direction = "inactive"
            else:
                transceiver.stop()
        return True

    def _place(self) -> None:
        """Give each subscribed track that has none a section."""
        for subscription in self.subscriptions.values():
            if subscription.transceiver is not None:
                continue
            info = subscription.track.info
            kind = "audio" if info.type == models.TrackType.AUDIO else "video"
            stream = MediaStream(id=f"{subscription.track.owner}|{info.sid}")
            if self.single:
                transceiver = self._free_section(kind)
                if transceiver is None:
                    continue
                transceiver.direction = "sendonly"
                transceiver.sender.setStreams(stream)
            else:
                transceiver = self.subscriber.addTransceiver(kind, direction="sendonly", streams=[stream])
            subscription.transceiver = transceiver
            subscription.output = subscription.track.forwarder.add(transceiver.sender)
            subscription.apply()

    def _free_section(self, kind: str) -> Any:
        for transceiver in self.publisher.getTransceivers():
            if transceiver.kind != kind or transceiver.stopped or transceiver.mid in self._told:
                continue
            # one that has sent until now would bring the client no event of another track
            if not self._carries(transceiver) and transceiver.currentDirection not in (
                "sendonly",
                "sendrecv",
            ):
                return transceiver
        return None

    # -- data ------------------------------------------------------------------------------------------

    def _take_channel(self, channel: Any, *, downstream: bool) -> None:
        label = str(channel.label)
        reliable = label == RELIABLE
        if label not in (RELIABLE, LOSSY):
            return
        if downstream:
            self._channels[label] = channel

        def on_message(event: Any) -> None:
            if isinstance(event.data, bytes):
                self._on_data(event.data, reliable)

        channel.addEventListener("message", on_message)
        channel.addEventListener("open", lambda _: self._flush())
        if channel.readyState == "open":
            self._flush()

    def _flush(self) -> None:
        channel = self._channels.get(RELIABLE)
        if channel is not None and channel.readyState == "open":
            waiting, self._waiting = self._waiting, []
            for data in waiting:
                channel.send(data)

    def send_data(self, data: bytes, reliable: bool) -> None:
        """Send a packet to this participant; what cannot wait is dropped and counted."""
        channel = self._channels.get(RELIABLE if reliable else LOSSY)
        if channel is not None and channel.readyState == "open":
            if channel.bufferedAmount + len(data) <= BUFFERED_MAX:
                channel.send(data)
                return
        elif reliable and sum(map(len, self._waiting)) + len(data) <= WAITING_MAX:
            self._waiting.append(data)
            return
        self.dropped += 1

    async def close(self) -> None:
        """Close the connections."""
        for subscription in list(self.subscriptions.values()):
            self.unsubscribe(subscription.track)
        await self.publisher.close()
        if not self.single:
            await self.subscriber.close()


def _sending_tracks(sdp: str) -> dict[str, tuple[str, str]]:
    """The id of the track that each section of a client's offer sends and the codec named first, by mid."""
    found: dict[str, tuple[str, str]] = {}
    for section in re.split(r"^m=", sdp, flags=re.MULTILINE)[1:]:
        mid = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
        msid = re.search(r"^a=msid:\S+ (\S+)", section, re.MULTILINE)
        if mid and msid and re.search(r"^a=send(only|recv)\s*$", section, re.MULTILINE):
            first = re.match(r"\S+ \S+ \S+ (\d+)", section)
            codec = re.search(rf"^a=rtpmap:{first[1]} ([^/\s]+)", section, re.MULTILINE) if first else None
            found[mid[1]] = msid[1], codec[1].lower() if codec else ""
    return found
