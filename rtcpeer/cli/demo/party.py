"""One peer of the demo: a connection, a numbered stream of data, an observer of what arrives, a network with outages.

Owns: all that one side has in one generation of the call.  Never: what the sides do together; that is the
demo's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rtcpeer import RTCPeerConnection
from rtcpeer.cli.demo.numbers import NumberedStream
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.cli.demo.timeline import Timeline
from rtcpeer.signaling.channel import SignalingChannel, as_message
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.testing.net.outage import OutageNetwork

MESSAGE_EVERY = 0.01
STATES = {
    "signalingstatechange": ("signalingState", "signaling"),
    "icegatheringstatechange": ("iceGatheringState", "gathering"),
    "iceconnectionstatechange": ("iceConnectionState", "ICE"),
    "connectionstatechange": ("connectionState", "connection"),
}


class Tap:
    """A signaling channel that remembers what we said: which messages, and candidates inside descriptions."""

    def __init__(self, channel: SignalingChannel) -> None:
        self._channel = channel
        self.candidates = 0
        self.descriptions: list[str] = []
        self.candidates_inside: list[int] = []

    async def send(self, message: Any, /) -> None:
        """Note it and pass it on."""
        value = as_message(message)
        if "candidate" in value:
            self.candidates += 1
        else:
            self.descriptions.append(value["type"])
            self.candidates_inside.append(value.get("sdp", "").count("a=candidate:"))
        await self._channel.send(message)

    def __aiter__(self) -> Any:
        return aiter(self._channel)

    async def close(self) -> None:
        """Close the path."""
        await self._channel.close()


class Party:
    """One side of the call.

    Args:
        name: for the timeline.
        timeline: where events are noted.
        tracks: what it sends; used again in the next generation, never stopped here.

    Attributes:
        told: (event name, state) of the present generation, in order.
        pair: the selected pair, in words.
    """

    def __init__(self, name: str, timeline: Timeline, tracks: list[Any]) -> None:
        self.name, self.timeline, self.tracks = name, timeline, tracks
        self.network = OutageNetwork()
        self._changed = asyncio.Event()
        self.pc: Any = None

    def begin(
        self, configuration: Mapping[str, Any], channel: SignalingChannel, *, polite: bool, calls: bool
    ) -> None:
        """Make the connection of a new generation; the one who calls adds its tracks and a data channel."""
        self._ended = False
        self._mark, self._ufrag_then, self._received_then = 0, "", 0
        self.told: list[tuple[str, str]] = []
        self.pair = ""
        self.from_urls: set[str] = set()
        self.numbers: NumberedStream | None = None
        self.eyes = MediaObserver()
        with self.network.installed():
            self.pc = pc = RTCPeerConnection(configuration)
        for event in STATES:
            pc.addEventListener(event, self._on_state)
        pc.addEventListener("icecandidate", self._on_candidate)
        pc.addEventListener("icecandidateerror", self._on_candidate_error)
        pc.addEventListener("track", self._on_track)
        pc.addEventListener("datachannel", lambda event: self._use(event.channel))
        self.signals = Tap(channel)
        self._negotiator = Negotiator(pc, self.signals, polite=polite, on_error=self._on_error)
        self._negotiator.start()
        self._watched: set[int] = set()
        if calls:
            for track in self.tracks:
                pc.addTrack(track)
            self._use(pc.createDataChannel("numbers"))

    async def end(self) -> None:
        """Close the connection and all that belongs to it; again it does nothing."""
        if self._ended:
            return
        self._ended = True
        await self._negotiator.close()
        if self.numbers is not None:
            await self.numbers.stop()
        await self.pc.close()
        self._note("connection", self.pc.connectionState)
        await self.eyes.close()

    # What happens

    def _note(self, event: str, detail: object) -> None:
        self.timeline.note(self.name, event, detail)
        self._changed.set()

    def _use(self, channel: Any) -> None:
        self.numbers = NumberedStream(channel, interval=MESSAGE_EVERY)
        for event in ("open", "close"):
            channel.addEventListener(event, lambda event: self._on_channel(event.type))

    def _on_channel(self, event: str) -> None:
        self.told.append(("channel", event))
        self._note("data channel", event)

    def _on_state(self, event: Any) -> None:
        attribute, name = STATES[event.type]
        state = str(getattr(self.pc, attribute))
        self.told.append((name, state))
        self._note(name, state)
        self._watch_pair()

    def _watch_pair(self) -> None:
        ice = ice_transport_of(self.pc)
        if ice is not None and id(ice) not in self._watched:
            self._watched.add(id(ice))
            ice.addEventListener("selectedcandidatepairchange", lambda _event: self._on_pair(ice))
            self._on_pair(ice)

    def _on_pair(self, ice: Any) -> None:
        pair = ice.getSelectedCandidatePair()
        text = "" if pair is None else f"{in_words(pair.local)} <-> {in_words(pair.remote)}"
        if text and text != self.pair:
            self.pair = text
            self._note("selected pair", text)

    def _on_candidate(self, event: Any) -> None:
        if event.candidate is not None and event.candidate.candidate:  # "" ends the candidates of a section
            url = getattr(event.candidate, "url", None)
            if url:
                self.from_urls.add(url)
            self._note("candidate", in_words(event.candidate))

    def _on_candidate_error(self, event: Any) -> None:
        self._note("candidate error", f"{event.url} {event.errorCode} {event.errorText}")

    def _on_track(self, event: Any) -> None:
        self._note("track", event.track.kind)
        self.eyes.watch(event.track)
        sending = [sender.track for sender in self.pc.getSenders()]
        for track in self.tracks:
            if track.kind == event.track.kind and track not in sending:
                self.pc.addTrack(track)

    def _on_error(self, error: Exception) -> None:
        self._note("error", f"{type(error).__name__}: {error}")

    # What the demo asks

    async def until(self, condition: Callable[[], Any], timeout: float) -> bool:
        """Wait until something is true; looks whenever something was noted, and ten times a second."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not condition():
            left = deadline - loop.time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(min(0.1, left)):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return True

    @property
    def is_up(self) -> bool:
        """Connected, with an open channel."""
        return (
            self.pc.connectionState == "connected"
            and self.numbers is not None
            and self.numbers.channel.readyState == "open"
        )

    @property
    def ufrag(self) -> str:
        """The user fragment of the current local description."""
        description = self.pc.currentLocalDescription
        return "" if description is None else ufrag_of(description.sdp)

    def mark(self) -> None:
        """Begin to count `told_since_mark` and the recent gap anew."""
        self._mark = len(self.told)
        self._ufrag_then = self.ufrag
        self.listen_anew()
        if self.numbers is not None:
            self.numbers.mark()

    def listen_anew(self) -> None:
        """Begin to count `is_flowing` anew."""
        self._received_then = self.received

    def told_since_mark(self, *names: str) -> list[str]:
        """The states told under these names since the mark."""
        return [state for event, state in self.told[self._mark :] if event in names]

    @property
    def received(self) -> int:
        """Numbers that have arrived."""
        return 0 if self.numbers is None else self.numbers.heard.received

    @property
    def is_flowing(self) -> bool:
        """Up, and numbers have arrived since `mark` or `listen_anew`."""
        return self.is_up and self.received > self._received_then

    @property
    def is_restarted(self) -> bool:
        """Whether the path in use is of a generation that is younger than the mark."""
        ice = ice_transport_of(self.pc)
        pair = None if ice is None else ice.getSelectedCandidatePair()
        return (
            pair is not None and self.ufrag != self._ufrag_then and pair.local.usernameFragment == self.ufrag
        )

    async def bytes(self) -> dict[str, int]:
        """Bytes of the transports, from getStats."""
        total = {"sent": 0, "received": 0}
        for stat in (await self.pc.getStats()).values():
            if stat["type"] == "transport":
                total["sent"] += stat["bytesSent"]
                total["received"] += stat["bytesReceived"]
        return total


def ice_transport_of(pc: Any) -> Any:
    """The ICE transport of a bundled connection, or None before there is one."""
    if pc.sctp is not None:
        return pc.sctp.transport.iceTransport
    transports = [sender.transport for sender in pc.getSenders() if sender.transport is not None]
    return transports[0].iceTransport if transports else None


def in_words(candidate: Any) -> str:
    """A candidate for people."""
    text = f"{candidate.type} {candidate.address}:{candidate.port}"
    url = getattr(candidate, "url", None)
    return f"{text} of {url}" if url else text


def ufrag_of(sdp: str) -> str:
    """The first ICE user fragment in a description; empty without one."""
    _, found, rest = sdp.partition("a=ice-ufrag:")
    return rest.split("\r\n", 1)[0] if found else ""
