"""A peer connection without media, sockets and SDP: signaling states, restarts, a path that can die.

It has what the negotiator and the supervisor touch of the W3C API, and fails as the real one does.
"""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any

from rtcpeer.config.manager import ConfigurationManager
from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.media.event_target import Event, EventTarget, fire, handler

_numbers = itertools.count(1)


class World:
    """The network between fake connections."""

    def __init__(self) -> None:
        self.path_up = True
        self.epoch = 0  # another one: addresses have changed, what was connected is not any more
        self.pcs: dict[str, FakePC] = {}  # by ICE user fragment
        self.made: list[FakePC] = []

    def find(self, ufrag: str | None) -> "FakePC | None":
        return self.pcs.get(ufrag or "")


class Description:
    def __init__(self, type: str, sdp: str) -> None:
        self.type = type
        self.sdp = sdp

    def toJSON(self) -> dict[str, str]:
        return {"type": self.type, "sdp": self.sdp}


class Candidate:
    def __init__(self, init: dict[str, Any]) -> None:
        self.init = init

    def toJSON(self) -> dict[str, Any]:
        return dict(self.init)


class CandidateEvent(Event):
    def __init__(self, candidate: Candidate | None) -> None:
        super().__init__("icecandidate")
        self.candidate = candidate


class Channel(EventTarget):
    onopen = handler("open")
    onmessage = handler("message")
    onclose = handler("close")

    def __init__(self, pc: "FakePC", label: str, options: dict[str, Any]) -> None:
        self.pc = pc
        self.label = label
        self.negotiated = bool(options.get("negotiated", False))
        self.id = options.get("id")
        self.ordered = options.get("ordered", True)
        self.protocol = options.get("protocol", "")
        self.maxRetransmits = options.get("maxRetransmits")
        self.maxPacketLifeTime = options.get("maxPacketLifeTime")
        self.readyState = "connecting"
        self.bufferedAmount = 0
        self.binaryType = "arraybuffer"

    def send(self, data: Any) -> None:
        if self.readyState != "open":
            raise InvalidStateError("not open")
        self.deliver(data)

    def deliver(self, data: Any) -> None:
        other = self.pc.peer
        if other is None or not self.pc.is_linked:
            return
        for channel in other.channels:
            if channel.label == self.label:
                event = Event("message")
                event.data = data  # type: ignore[attr-defined]
                asyncio.get_running_loop().call_soon(fire, channel, event)
                return
        asyncio.get_running_loop().call_later(0.1, self.deliver, data)

    def close(self) -> None:
        self.set_state("closed", "close")

    def set_state(self, state: str, event: str) -> None:
        if self.readyState not in (state, "closed"):
            self.readyState = state
            fire(self, Event(event))


class Transport(EventTarget):
    """An RTCDtlsTransport with its RTCIceTransport."""

    def __init__(self) -> None:
        self.state = "new"
        self.iceTransport = self

    def getSelectedCandidatePair(self) -> Any:
        return None


class Sctp:
    def __init__(self) -> None:
        self.transport = Transport()


class FakePC(EventTarget):
    onnegotiationneeded = handler("negotiationneeded")
    onicecandidate = handler("icecandidate")
    onconnectionstatechange = handler("connectionstatechange")

    def __init__(
        self,
        world: World | None = None,
        configuration: Any = None,
        *,
        latency: float = 0.01,
        disconnected_after: float = 5.0,
        failed_after: float = 25.0,
        connect_timeout: float = 15.0,
    ) -> None:
        self.world = world or World()
        self.world.made.append(self)
        self.manager = ConfigurationManager(configuration)
        self.number = next(_numbers)
        self.latency = latency
        self.times = (disconnected_after, failed_after, connect_timeout)
        self.version = 0
        self.signalingState = "stable"
        self.connectionState = "new"
        self.iceConnectionState = "new"
        self.localDescription: Description | None = None
        self.remoteDescription: Description | None = None
        self.stable: tuple[Description | None, Description | None] = (None, None)
        self.channels: list[Channel] = []
        self.senders: list[Any] = []
        self.sctp = Sctp()
        self.needed = False
        self.restart = False
        self.generation = 0
        self.local_generation = 0
        self.ufrag = f"ufrag-{self.number}-0"
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.remote_candidates: list[str] = []
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.peer: FakePC | None = None  # with whom DTLS is established
        self.heard = 0.0
        self.started = 0.0
        self.alive_epoch = -1
        self.established = -1
        self.timer: asyncio.TimerHandle | None = None
        self.server_restart = False
        self.bytes = 0

    # -- negotiation

    @property
    def currentLocalDescription(self) -> Description | None:
        return self.stable[0]

    async def chain(self, operation: Callable[[], Awaitable[None]]) -> None:
        if self.signalingState == "closed":
            raise InvalidStateError("closed")
        self.waiting += 1
        try:
            async with self.lock:
                await asyncio.sleep(self.latency)
                if self.signalingState == "closed":
                    raise InvalidStateError("closed")
                await operation()
        finally:
            self.waiting -= 1
        self.update_needed()

    def update_needed(self) -> None:
        if self.needed and self.signalingState == "stable" and not self.waiting:
            asyncio.get_running_loop().call_soon(self.fire_needed)

    def fire_needed(self) -> None:
        if self.needed and self.signalingState == "stable" and not self.waiting:
            fire(self, Event("negotiationneeded"))

    def need(self) -> None:
        self.needed = True
        self.update_needed()

    def createDataChannel(self, label: str, options: Any = None, **more: Any) -> Channel:
        channel = Channel(self, label, dict(options or {}) | more)
        first = not self.channels
        self.channels.append(channel)
        if first:
            self.need()
        elif self.is_linked and self.connectionState == "connected":
            asyncio.get_running_loop().call_soon(self.open_channels)
        return channel

    def addTransceiver(self, track: Any, init: Any = None) -> Any:
        self.senders.append(track)
        self.need()

    def restartIce(self) -> None:
        self.calls.append("restartIce")
        self.restart = True
        self.need()

    def getConfiguration(self) -> Any:
        return self.manager.get()

    def setConfiguration(self, configuration: Any = None, **members: Any) -> None:
        self.calls.append("setConfiguration")
        change = self.manager.plan_set(configuration, closed=self.signalingState == "closed")
        self.manager.apply(change)
        self.server_restart |= change.difference.restart_required and self.localDescription is not None

    def sdp(self) -> str:
        self.version += 1
        return (
            f"v=0\r\no=- {10_000 + self.number} {self.version} IN IP4 0.0.0.0\r\ns=-\r\n"
            f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
            f"a=ice-ufrag:{self.ufrag}\r\na=fingerprint:sha-256 AB:{self.number}\r\n"
        )

    async def createOffer(self) -> Description:
        again = self.restart or self.server_restart
        ufrag = f"ufrag-{self.number}-{self.generation + 1}" if again else self.ufrag
        return Description(
            "offer", f"v=0\r\no=- {10_000 + self.number} 0 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\n"
        )

    async def setLocalDescription(self, description: Any = None) -> None:
        async def operation() -> None:
            self.calls.append("setLocalDescription")
            if "setLocalDescription" in self.fail:
                raise self.fail.pop("setLocalDescription")
            if getattr(description, "type", None) is None and description is not None:
                assert description["type"] == "rollback"
                self.localDescription, self.remoteDescription = self.stable
                self.set_signaling("stable")
                self.needed = True
                return
            if self.signalingState in ("stable", "have-local-offer"):
                if self.restart or self.server_restart:
                    self.new_generation()
                self.localDescription = Description("offer", self.sdp())
                self.set_signaling("have-local-offer")
            else:
                before = ufrag_of(self.stable[1])
                if before is not None and before != ufrag_of(self.remoteDescription):
                    self.new_generation()
                self.localDescription = Description("answer", self.sdp())
                self.set_stable()
            self.world.pcs[self.ufrag] = self
            asyncio.get_running_loop().call_soon(self.gather)

        await self.chain(operation)

    def new_generation(self) -> None:
        self.generation += 1
        self.ufrag = f"ufrag-{self.number}-{self.generation}"
        self.restart = self.server_restart = False

    def gather(self) -> None:
        if self.signalingState == "closed":
            return
        line = f"candidate:1 1 udp 1 192.0.2.{self.number % 250} {5000 + self.generation} typ host"
        init = {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": self.ufrag}
        assert self.localDescription is not None
        if line not in self.localDescription.sdp:
            self.localDescription.sdp += f"a={line}\r\n"
            fire(self, CandidateEvent(Candidate(init)))
            fire(self, CandidateEvent(Candidate(init | {"candidate": ""})))
            fire(self, CandidateEvent(None))

    async def setRemoteDescription(self, description: Any) -> None:
        async def operation() -> None:
            kind = description["type"]
            self.calls.append(f"setRemoteDescription({kind})")
            if "setRemoteDescription" in self.fail:
                raise self.fail.pop("setRemoteDescription")
            new = Description(kind, description["sdp"])
            if "o=" not in new.sdp:
                raise OperationError("bad sdp")
            self.remote_candidates += re.findall("a=(candidate:.*?)\r?\n", new.sdp)
            if kind == "offer":
                if self.signalingState == "have-local-offer":  # implicit rollback
                    self.localDescription, self.remoteDescription = self.stable
                    self.needed = True
                self.remoteDescription = new
                self.set_signaling("have-remote-offer")
            else:
                if self.signalingState != "have-local-offer":
                    raise InvalidStateError(f"an answer in {self.signalingState}")
                self.remoteDescription = new
                self.set_stable()

        await self.chain(operation)

    def set_stable(self) -> None:
        offered = self.localDescription is not None and self.localDescription.type == "offer"
        self.needed = self.restart or (self.needed and not offered)
        self.stable = (self.localDescription, self.remoteDescription)
        self.set_signaling("stable")
        self.started = asyncio.get_running_loop().time()
        self.watch()

    def set_signaling(self, state: str) -> None:
        if self.signalingState != state:
            self.signalingState = state
            fire(self, Event("signalingstatechange"))

    async def addIceCandidate(self, candidate: Any) -> None:
        async def operation() -> None:
            if self.remoteDescription is None:
                raise InvalidStateError("no remote description")
            if candidate.get("usernameFragment") not in (None, ufrag_of(self.remoteDescription)):
                raise OperationError("unknown ufrag")
            if candidate["candidate"] == "candidate:bad":
                raise OperationError("bad candidate")
            self.remote_candidates.append(candidate["candidate"])

        await self.chain(operation)

    # -- the path

    @property
    def is_linked(self) -> bool:
        """Whether both ends know each other's newest generation and packets pass."""
        alive = self.established == self.world.epoch and self.world.path_up
        if alive and self.peer is not None and self.peer.signalingState != "closed":
            return True  # the pair in use goes on while a new generation is negotiated
        other = self.world.find(ufrag_of(self.remoteDescription))
        if other is None or other.signalingState == "closed" or self.localDescription is None:
            return False
        return (
            ufrag_of(other.remoteDescription) == ufrag_of(self.localDescription)
            and self.world.path_up
            and (self.peer in (None, other))
            and (other.peer in (None, self))
            and self.alive_epoch in (-1, self.world.epoch)
        )

    def watch(self) -> None:
        if ufrag_of(self.localDescription) != getattr(self, "watched", None):
            self.watched = ufrag_of(self.localDescription)
            self.alive_epoch = -1  # a new generation finds the new addresses
            if self.connectionState == "failed" or self.peer is None:
                self.set_states("checking", "connecting")
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(0.05, self.tick)

    def tick(self) -> None:
        self.timer = None
        if self.signalingState == "closed":
            return
        now = asyncio.get_running_loop().time()
        disconnected_after, failed_after, connect_timeout = self.times
        if self.sctp.transport.state == "failed":
            pass
        elif self.is_linked:
            self.heard = now
            self.bytes += 100
            self.alive_epoch = self.established = self.world.epoch
            other = self.peer or self.world.find(ufrag_of(self.remoteDescription))
            if self.connectionState != "connected" and other is not None and other.alive_epoch != -1:
                self.peer = other
                self.set_dtls("connected")
                self.set_states("connected", "connected")
                self.open_channels()
        elif self.connectionState == "connected" and now - self.heard > disconnected_after:
            self.set_states("disconnected", "disconnected")
        elif (
            self.connectionState == "disconnected" and now - self.heard > disconnected_after + failed_after
        ) or (self.connectionState == "connecting" and now - max(self.started, self.heard) > connect_timeout):
            self.set_states("failed", "failed")
        self.timer = asyncio.get_running_loop().call_later(0.25, self.tick)

    def open_channels(self) -> None:
        for channel in self.channels:
            channel.set_state("open", "open")
        if self.peer is not None:
            for channel in self.peer.channels:
                if not channel.negotiated and channel.label not in {c.label for c in self.channels}:
                    mine = Channel(self, channel.label, {"id": channel.id})
                    self.channels.append(mine)
                    event = Event("datachannel")
                    event.channel = mine  # type: ignore[attr-defined]
                    mine.readyState = "open"
                    fire(self, event)

    def set_dtls(self, state: str) -> None:
        if self.sctp.transport.state != state:
            self.sctp.transport.state = state
            fire(self.sctp.transport, Event("statechange"))

    def set_states(self, ice: str, connection: str) -> None:
        self.iceConnectionState = ice
        if self.connectionState != connection:
            self.connectionState = connection
            fire(self, Event("iceconnectionstatechange"))
            fire(self, Event("connectionstatechange"))

    def close(self) -> Awaitable[None]:
        if self.signalingState != "closed":
            if self.timer is not None:
                self.timer.cancel()
            if self.is_linked and self.peer is not None and self.peer.signalingState != "closed":
                asyncio.get_running_loop().call_later(0.01, self.peer.remote_closed)
            self.signalingState = "closed"
            self.connectionState = self.iceConnectionState = "closed"
            for channel in self.channels:
                channel.readyState = "closed"
            self.world.pcs.pop(self.ufrag, None)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def remote_closed(self) -> None:
        if self.signalingState != "closed":
            self.set_dtls("closed")
            for channel in self.channels:
                channel.set_state("closed", "close")

    async def getStats(self) -> Any:
        return {"T": {"type": "transport", "bytesReceived": self.bytes}}


def ufrag_of(description: Description | None) -> str | None:
    found = re.search(r"a=ice-ufrag:(\S+)", description.sdp) if description is not None else None
    return found[1] if found else None
