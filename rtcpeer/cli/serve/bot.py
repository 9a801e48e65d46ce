"""The bot behind the page of `rtcpeer serve`: one call with one browser, negotiated perfectly.

Owns: one RTCPeerConnection, the servers it and its browser use, the network that can go away, what it sees.
Never: the room server; the bot enters a room as every other client does. The browser is the other member of the room
and the signaling channel of the call; what is no signaling (what the page asks for, what the bot tells) is broadcast.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any

from rtcpeer import MediaStream, RTCPeerConnection
from rtcpeer.aio import start_task
from rtcpeer.cli.demo.numbers import NumberedStream
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.cli.demo.party import STATES, ice_transport_of, ufrag_of
from rtcpeer.cli.serve.relays import Relays
from rtcpeer.errors import InvalidStateError, RtcPeerError, SignalingRefused
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.signaling.rooms.client import Room, RoomClient
from rtcpeer.signaling.rooms.member import RoomMember
from rtcpeer.testing import TurnServer, TurnSettings
from rtcpeer.testing.net.outage import OutageNetwork

REPORT_EVERY = 0.5
# A replaced server is switched off this long after the restart that made it superfluous.
RETIRE_AFTER = 4.0
MAX_OUTAGE = 60.0
# The browser that asked for the call enters the room within this time, in seconds.
COMES_WITHIN = 10.0


class Bot:
    """A call with one browser, in a room. The members' ids say who is polite, as in every room.

    Args:
        room: its name.
        tracks: what the bot shows and says; shared by all calls, never stopped here.
        host: the address at which its servers listen.
    """

    def __init__(self, room: str, tracks: list[Any], host: str) -> None:
        self.room, self.host = room, host
        self.policy = "all"
        self.eyes = MediaObserver()
        self.numbers: NumberedStream | None = None
        self.network = OutageNetwork()
        self.closed = False
        self._entered: Room | None = None
        self._tracks = tracks
        self._servers: list[tuple[str, TurnServer]] = []  # the last one is in force, the others retire
        self._made_servers = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._obeying = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None

    # Controller

    async def run(self, client: RoomClient) -> None:
        """Enter the room, call, and stay until the browser leaves.

        Raises:
            RtcPeerError: the room cannot be entered.
            TimeoutError: nobody came.
        """
        room = self._entered = await client.openOrJoin(self.room)
        try:
            async with asyncio.timeout(COMES_WITHIN):
                browser = await anext(room)
            gone = asyncio.Event()
            for event in ("leave", "end"):
                room.addEventListener(event, lambda _event: gone.set())
            room.addEventListener("broadcast", lambda event: self._spawn(self._take(event.data)))
            try:
                await self._start(browser)
            except (RtcPeerError, TypeError, ValueError, OSError) as error:
                self._refuse(error)  # and go
            else:
                await gone.wait()
        finally:
            await self.close()

    async def _start(self, browser: RoomMember) -> None:
        """Start a server, make the connection and tell the browser that it may begin."""
        policy = browser.metadata.get("policy", "all")
        await self._new_server()
        with self.network.installed():
            self.pc = pc = RTCPeerConnection({**self.configuration, "iceTransportPolicy": policy})
        self.policy = policy
        self._stream = MediaStream()
        self._negotiator = Negotiator(pc, browser, on_error=self._on_error)
        pc.addEventListener("icecandidateerror", self._on_candidate_error)
        pc.addEventListener("track", self._on_track)
        pc.addEventListener("datachannel", self._on_channel)
        for event in STATES:
            pc.addEventListener(event, self._on_state)
        self._spawn(self._report_forever())
        self.post("ready", iceServers=self.configuration["iceServers"], policy=self.policy, note=self.note)
        self._negotiator.start()

    async def close(self) -> None:
        """End the call and everything that belongs to it. Idempotent, and done even if whoever waits is cancelled."""
        if self._closing is None:
            self.closed = True
            self._closing = start_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        # what the browser has to hear comes before everything that waits: the process may be about to end
        closing: list[Awaitable[Any]] = []
        if hasattr(self, "pc"):
            self._negotiator.stop()
            closing.append(self.pc.close())
        if self._entered is not None:
            closing.append(self._entered.close())
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*closing)
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self.numbers is not None:
                await self.numbers.stop()
            if hasattr(self, "pc"):
                await self._negotiator.close()
            await self.eyes.close()
            for _, server in self._servers:
                await server.close()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = start_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._on_error(error)

    # To the browser

    def post(self, type: str, **members: Any) -> None:
        """Tell the page something; `at` is the time on the bot's clock, in seconds."""
        if self.closed or self._entered is None:
            return
        message = {"type": type, "at": asyncio.get_running_loop().time(), **members}
        # the room is closed, or the page is away
        with contextlib.suppress(InvalidStateError, SignalingRefused):
            self._entered.put({"type": "broadcast", "message": message})

    def tell(self, event: str, detail: str, *, wrong: bool = False) -> None:
        """Write a line into the page's log."""
        self.post("event", event=event, detail=detail, wrong=wrong)

    def report(self) -> None:
        """Send what the page shows about this side."""
        pc = self.pc
        ice = ice_transport_of(pc)
        pair = ice.getSelectedCandidatePair() if ice is not None else None
        self.post(
            "bot",
            states={
                "signaling": pc.signalingState,
                "gathering": pc.iceGatheringState,
                "ice": pc.iceConnectionState,
                "dtls": pc.sctp.transport.state if pc.sctp is not None else "new",
                "connection": pc.connectionState,
                "channel": self.numbers.channel.readyState if self.numbers is not None else "closed",
            },
            media=self.eyes.report(),
            numbers=self.numbers and {**self.numbers.report(), "silence": self.numbers.silence},
            pair=[pair.local.candidate, pair.remote.candidate] if pair is not None else None,
        )

    async def _report_forever(self) -> None:
        while True:
            self.report()
            await asyncio.sleep(REPORT_EVERY)

    # From the connection

    def _on_error(self, error: Exception) -> None:
        self.tell("error", f"{type(error).__name__}: {error}", wrong=True)

    def _on_candidate_error(self, event: Any) -> None:
        self.tell("candidate error", f"{event.url} {event.errorCode} {event.errorText}", wrong=True)

    def _on_track(self, event: Any) -> None:
        self.tell("track", event.track.kind)
        self.eyes.watch(event.track)
        self._add_tracks(event.track.kind)

    def _add_tracks(self, kind: str | None = None) -> None:
        """Send our own tracks; in the sections that the browser offered, as far as there are some."""
        sending = [sender.track for sender in self.pc.getSenders()]
        for track in self._tracks:
            if track not in sending and kind in (None, track.kind):
                self.pc.addTrack(track, self._stream)

    def _on_channel(self, event: Any) -> None:
        if event.channel.label == "numbers" and self.numbers is None:
            self.numbers = NumberedStream(event.channel)
            self.tell("channel", "numbers")

    def _on_state(self, event: Any) -> None:
        attribute, name = STATES[event.type]
        state = getattr(self.pc, attribute)
        self.tell(name, state, wrong=state == "failed")
        self.report()
        if name == "connection" and state == "connected":
            self._add_tracks()  # what a browser without a microphone has not asked for

    # From the browser

    async def _take(self, message: Any) -> None:
        """Do what the page asks; if that is impossible, it hears about it, and the call goes on."""
        try:
            if not isinstance(message, dict):
                raise TypeError("a message is an object")
            async with self._obeying:  # in the order in which they came
                await self._obey(message)
        except (RtcPeerError, ValueError, TypeError, KeyError, OSError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        self.post("error", message=f"{getattr(error, 'name', type(error).__name__)}: {error}")

    async def _obey(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "restart":
                self.pc.restartIce()
            case "replace-servers":
                await self._replace_servers()
            case "policy":
                self._set_policy(message["policy"])
            case "outage":
                seconds = float(message["seconds"])
                if not math.isfinite(seconds):
                    raise ValueError("an outage lasts for a number of seconds")
                self._begin_outage(seconds)
            case "mark":
                if self.numbers is not None:
                    self.numbers.mark()
            case "clock":
                self.post("clock", asked=float(message["asked"]))
            case unknown:
                raise TypeError(f"the bot does not know {unknown!r}")

    # Servers, policy, outage

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration for both sides from now on, as a browser takes it."""
        _, server = self._servers[-1]
        return {"iceServers": server.ice_servers, "iceTransportPolicy": self.policy}

    @property
    def note(self) -> str:
        """The servers in words."""
        name, server = self._servers[-1]
        return f"{name} ({server.stun_url}, {server.turn_url}), path: {self.policy}"

    async def _new_server(self) -> None:
        self._made_servers += 1
        user = f"server{self._made_servers}"
        settings = TurnSettings(allow_peer=Relays(self.host).allows)
        users = {user: secrets.token_urlsafe(12)}
        server = TurnServer(hosts=[self.host], users=users, settings=settings)
        await server.start()
        self._servers.append((f"server {self._made_servers}", server))

    async def _replace_servers(self) -> None:
        old = self._ufrags()
        await self._new_server()
        self.pc.setConfiguration(self.configuration)
        self._post_servers(f"{self._servers[-1][0]} takes over at the next ICE restart")
        self._spawn(self._retire(list(self._servers[:-1]), old))

    def _set_policy(self, policy: str) -> None:
        self.pc.setConfiguration({**self.configuration, "iceTransportPolicy": policy})
        self.policy = policy
        self._post_servers(f"path “{policy}” from the next ICE restart on")

    def _post_servers(self, log: str) -> None:
        self.post(
            "servers",
            iceServers=self.configuration["iceServers"],
            policy=self.policy,
            note=self.note,
            log=log,
        )

    def _ufrags(self) -> tuple[str, str]:
        local, remote = self.pc.currentLocalDescription, self.pc.currentRemoteDescription
        return ufrag_of(local.sdp if local else ""), ufrag_of(remote.sdp if remote else "")

    async def _retire(self, servers: list[tuple[str, TurnServer]], old: tuple[str, str]) -> None:
        """Switch servers off when a restart has replaced both sides' credentials and the path is up again."""
        while True:
            await asyncio.sleep(0.1)
            new = self._ufrags()
            restarted = new[0] != old[0] and new[1] != old[1]
            if restarted and self.pc.iceConnectionState in ("connected", "completed"):
                break
        await asyncio.sleep(RETIRE_AFTER)
        for entry in servers:
            if entry in self._servers:
                self._servers.remove(entry)
                await entry[1].close()
                self.tell("servers", f"{entry[0]} is switched off")

    def _begin_outage(self, seconds: float) -> None:
        if self.network.active:
            return
        seconds = min(max(seconds, 0.0), MAX_OUTAGE)
        self.post("outage", seconds=seconds)
        self._spawn(self._outage(seconds))

    async def _outage(self, seconds: float) -> None:
        self.tell("outage", "begins")
        async with self.network.outage():
            await asyncio.sleep(seconds)
        self.tell("outage", f"is over, {self.network.dropped} datagrams lost")
