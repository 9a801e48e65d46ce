"""The two connections of a LiveKit client: one on which we offer, one on which the server does.

Owns: both connections, their negotiation and their data channels. Never: the socket, participants.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

from rtcpeer.config.configuration import RTCConfiguration
from rtcpeer.errors import InvalidStateError, NetworkError, RtcPeerError
from rtcpeer.media.stream import MediaStream
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.signaling.livekit.early import EarlyCandidates
from rtcpeer.signaling.livekit.messages import (
    LOSSY,
    RELIABLE,
    candidate_json,
    read_candidate_untrusted,
    rtc,
)

OPEN_TIMEOUT = 10.0
BUFFERED_MAX = 8 << 20
# Streams wait while more than this is in the channel, in bytes.
ROOM = 1 << 20

Send = Callable[[rtc.SignalRequest], Coroutine[Any, Any, None]]


class LiveKitMedia:
    """Both connections of one session: one that publishes, one that subscribes.

    Args:
        configuration: of both.
        send: sends a request to the server.
        spawn: begins a task of the call.
        on_track: called with a ``track`` event.
        on_data: called with what arrived on a data channel.
        on_failed: called when a connection has failed.
    """

    def __init__(
        self,
        configuration: RTCConfiguration,
        *,
        send: Send,
        spawn: Callable[[Coroutine[Any, Any, Any], str], object],
        on_track: Callable[[Any], None],
        on_data: Callable[[bytes], None],
        on_failed: Callable[[], None],
    ) -> None:
        self.publisher: RTCPeerConnection = RTCPeerConnection(configuration)
        self.subscriber: RTCPeerConnection = RTCPeerConnection(configuration)
        self.mids: dict[str, str] = {}  # which track the server says is in which section
        self._send = send
        self._spawn = spawn
        self._on_data = on_data
        self._on_failed = on_failed
        self._cids: dict[Any, str] = {}  # what the server calls a sender's track before it has a sid
        self._early = EarlyCandidates()
        self._publisher_lock = asyncio.Lock()
        self._subscriber_lock = asyncio.Lock()
        self._offer_id = 0
        self._again = False
        self._channels = {
            RELIABLE: self.publisher.createDataChannel(RELIABLE),
            LOSSY: self.publisher.createDataChannel(LOSSY, ordered=False, maxRetransmits=0),
        }
        self._watch(self.publisher, rtc.SignalTarget.PUBLISHER)
        self._watch(self.subscriber, rtc.SignalTarget.SUBSCRIBER)
        self.subscriber.addEventListener("track", on_track)

    def _watch(self, pc: RTCPeerConnection, target: rtc.SignalTarget) -> None:
        def on_candidate(event: Any) -> None:
            if event.candidate is not None and event.candidate.candidate:
                trickle = rtc.TrickleRequest(candidateInit=candidate_json(event.candidate), target=target)
                self._spawn(self._send(rtc.SignalRequest(trickle=trickle)), "LiveKit candidate")

        def on_channel(event: Any) -> None:
            event.channel.addEventListener("message", self._on_message)

        def on_state(_: Any) -> None:
            if pc.connectionState == "failed":
                self._on_failed()

        pc.addEventListener("icecandidate", on_candidate)
        pc.addEventListener("datachannel", on_channel)
        pc.addEventListener("connectionstatechange", on_state)

    def _on_message(self, event: Any) -> None:
        if isinstance(event.data, bytes):
            self._on_data(event.data)

    # -- negotiation -----------------------------------------------------------------------------------

    async def offer(self, *, restart: bool = False) -> None:
        """Offer on the publisher's connection what has changed; after the answer that is awaited, if there is one."""
        async with self._publisher_lock:
            pc = self.publisher
            if restart:
                pc.restartIce()
                if pc.signalingState == "have-local-offer":  # its answer went down with the former socket
                    await pc.setLocalDescription({"type": "rollback"})
            if pc.signalingState != "stable":
                self._again = True
                return
            self._again = False
            await pc.setLocalDescription()
            self._offer_id += 1
            offer = rtc.SessionDescription(type="offer", sdp=self._with_cids(_sdp_of(pc)), id=self._offer_id)
            await self._send(rtc.SignalRequest(offer=offer))

    def _with_cids(self, sdp: str) -> str:
        """Name each track of ours as we named it to the server."""
        cids = {
            t.mid: self._cids[t.sender] for t in self.publisher.getTransceivers() if t.sender in self._cids
        }
        head, *sections = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)
        for index, section in enumerate(sections):
            mid = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
            cid = cids.get(mid[1]) if mid else None
            if cid is not None:
                sections[index] = re.sub(
                    r"^(a=msid:\S+)[^\r\n]*", rf"\g<1> {cid}", section, flags=re.MULTILINE
                )
        return "".join([head, *sections])

    async def take_answer(self, description: rtc.SessionDescription) -> None:
        """Take the server's answer to our offer.

        Raises:
            InvalidStateError: there was none.
            RtcPeerError: it makes no sense.
        """
        async with self._publisher_lock:
            if self.publisher.signalingState != "have-local-offer":
                raise InvalidStateError("an answer that answers no offer")
            if description.id not in (0, self._offer_id):
                return
            await self.publisher.setRemoteDescription({"type": "answer", "sdp": description.sdp})
            await self._early.add(self.publisher)
        if self._again:
            await self.offer()

    async def take_offer(self, description: rtc.SessionDescription) -> None:
        """Answer the server's offer."""
        async with self._subscriber_lock:
            self.mids.update(description.mid_to_track_id)
            pc = self.subscriber
            await pc.setRemoteDescription({"type": "offer", "sdp": description.sdp})
            await self._early.add(pc)
            await pc.setLocalDescription()
            answer = rtc.SessionDescription(type="answer", sdp=_sdp_of(pc), id=description.id)
            await self._send(rtc.SignalRequest(answer=answer))

    async def take_candidate(self, trickle: rtc.TrickleRequest) -> None:
        """Take a candidate of the server; one that comes too early waits for its description."""
        if trickle.final or not trickle.candidateInit:
            return
        is_ours = trickle.target == rtc.SignalTarget.PUBLISHER
        pc = self.publisher if is_ours else self.subscriber
        members = read_candidate_untrusted(trickle.candidateInit)
        async with self._publisher_lock if is_ours else self._subscriber_lock:
            await self._early.take(pc, members)

    async def connected(self, timeout: float) -> bool:
        """Whether our connection is there within some seconds."""
        try:
            await self.publisher.connected(timeout=timeout)
        except RtcPeerError:
            return False
        return True

    def sync_state(self, published: list[rtc.TrackPublishedResponse]) -> rtc.SyncState:
        """The state that the server asks for when a session goes on."""
        state = rtc.SyncState(publish_tracks=published)
        if self.subscriber.localDescription is not None:
            state.answer.type, state.answer.sdp = "answer", _sdp_of(self.subscriber)
        for label, channel in self._channels.items():
            if channel.id is not None:
                state.data_channels.add(label=label, id=channel.id, target=rtc.SignalTarget.PUBLISHER)
        return state

    # -- what is sent ----------------------------------------------------------------------------------

    def add(self, track: Any, cid: str, encodings: list[dict[str, Any]]) -> Any:
        """A section for a track of ours; `offer` follows."""
        init: dict[str, Any] = {"direction": "sendonly", "streams": [MediaStream()]}
        if encodings:
            init["sendEncodings"] = encodings
        transceiver = self.publisher.addTransceiver(track, init)
        self._cids[transceiver.sender] = cid
        return transceiver

    async def send_data(self, data: bytes, *, reliable: bool, patient: bool = False) -> None:
        """Send a packet; waits until the channel is open, and (`patient`) until there is room in it.

        Raises:
            NetworkError: it did not open in time, or too much is waiting.
        """
        channel = self._channels[RELIABLE if reliable else LOSSY]
        if channel.readyState == "connecting":
            opened = asyncio.Event()
            for name in ("open", "close", "error"):
                channel.addEventListener(name, lambda _: opened.set())
            async with asyncio.timeout(OPEN_TIMEOUT):
                await opened.wait()
        if patient and channel.bufferedAmount > ROOM:
            await self._has_room(channel)
        if channel.readyState != "open" or channel.bufferedAmount + len(data) > BUFFERED_MAX:
            raise NetworkError(f"the channel for data is {channel.readyState} or full")
        channel.send(data)

    @staticmethod
    async def _has_room(channel: Any) -> None:
        room = asyncio.Event()

        def there(_: Any) -> None:
            room.set()

        channel.bufferedAmountLowThreshold = ROOM // 2
        for name in ("bufferedamountlow", "close"):
            channel.addEventListener(name, there)
        try:
            if channel.readyState == "open" and channel.bufferedAmount > ROOM // 2:
                await room.wait()
        finally:
            for name in ("bufferedamountlow", "close"):
                channel.removeEventListener(name, there)

    async def close(self) -> None:
        """Close both connections."""
        await asyncio.gather(self.publisher.close(), self.subscriber.close())


def _sdp_of(pc: RTCPeerConnection) -> str:
    local = pc.localDescription
    assert local is not None, "a description was set before"
    return local.sdp
