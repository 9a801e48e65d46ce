"""A scripted peer: the caller at the other end of a program under test, doing what the test says, step by step.

    peer = ScriptedPeer()
    program = asyncio.create_task(bot(peer.signaling))      # the program under test gets the other end
    await peer.call()
    peer.say("hello")
    assert await peer.heard() == "you said: hello"

Owns: one connection, its negotiation, what arrived. Never: the program under test.
"""

from __future__ import annotations

import array
import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rtcpeer.errors import InvalidStateError
from rtcpeer.media.track import MediaStreamError
from rtcpeer.signaling.channel import SignalingChannel, memory_pair
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.testing.media import SyntheticTrack, synthetic_track

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame

    from rtcpeer.media.track import MediaStreamTrack
    from rtcpeer.peer.connection import RTCPeerConnection
    from rtcpeer.testing.net.host import Host

T = TypeVar("T")
# Samples of 16 bits above this, and luma above that, are something to hear and to see
_LOUD = 500
_BRIGHT = 24


class ScriptedPeer:
    """A caller that a test leads through a call.

    Args:
        configuration: of the connection.
        host: a host of a virtual network on which it lives; None: the network in force.
        signaling: its end of a signaling channel; by default one in memory is made.
        sends: kinds of media that it sends: "audio" is a tone, "video" a moving test picture.
        receives: kinds of media that it asks for without sending them.
        channel: label of the data channel that it opens; None opens none.
        timeout: seconds that each step may take.

    Attributes:
        pc: the connection.
        signaling: the program's end of the signaling; None where `signaling` was given.
        messages: everything that it was told on any data channel, in order.
    """

    def __init__(
        self,
        configuration: Any = None,
        *,
        host: Host | None = None,
        signaling: SignalingChannel | None = None,
        sends: Iterable[str] = ("audio",),
        receives: Iterable[str] = (),
        channel: str | None = "chat",
        timeout: float = 30.0,
    ) -> None:
        # not at the top: who only wants a network needs no codecs
        from rtcpeer.peer.connection import RTCPeerConnection

        self.signaling: SignalingChannel | None = None
        if signaling is None:
            signaling, self.signaling = memory_pair()
        self._own_signaling = signaling
        self._timeout = timeout
        self._host = host
        with nullcontext() if host is None else host.active():
            self.pc: RTCPeerConnection = RTCPeerConnection(configuration)
        self.messages: list[str | bytes] = []
        self._waiting: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._tracks: dict[str, list[MediaStreamTrack]] = {"audio": [], "video": []}
        self._arrived = asyncio.Event()
        self._negotiator = Negotiator(self.pc, signaling, polite=False)
        self._sent: list[SyntheticTrack] = [synthetic_track(kind) for kind in sends]
        self._receives = tuple(receives)
        self._label = channel
        self._channel: Any = None
        self.pc.addEventListener("track", self._on_track)
        self.pc.addEventListener("datachannel", lambda event: self._listen(event.channel))

    def __repr__(self) -> str:
        return f"<ScriptedPeer {self.pc!r}, {len(self.messages)} messages>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.hang_up()

    # -- steps -------------------------------------------------------------------------------------

    async def call(self) -> None:
        """Offer, and wait until the call is up and the data channel open.

        Raises:
            AssertionError: it did not come to that in time; the message has what `explain()` says.
        """
        for track in self._sent:
            self.pc.addTrack(track)
        for kind in self._receives:
            self.pc.addTransceiver(kind, direction="recvonly")
        if self._label is not None:
            self._channel = self.pc.createDataChannel(self._label)
            self._listen(self._channel)
        self._negotiator.start()
        await self._step("the call did not connect", self.pc.connected(timeout=None))
        if self._channel is not None:
            await self._step("the data channel did not open", self._channel.opened())

    def say(self, data: str | bytes) -> None:
        """Send a message on the data channel.

        Raises:
            InvalidStateError: there is none, or it is not open.
        """
        if self._channel is None:
            raise InvalidStateError(
                "this peer opened no data channel: call() first, and channel= must not be None"
            )
        self._channel.send(data)

    async def heard(self) -> str | bytes:
        """The next message that the program sends.

        Raises:
            AssertionError: none came in time.
        """
        return await self._step("no message came", self._waiting.get())

    async def track(self, kind: str) -> MediaStreamTrack:
        """The track of a kind that the program sends, as soon as it is there.

        Raises:
            AssertionError: none came in time.
            ValueError: there is no such kind.
        """
        if kind not in self._tracks:
            raise ValueError(f"kind is 'audio' or 'video', not {kind!r}")
        return await self._step(f"no {kind} track came", self._next_track(kind))

    async def sound(self) -> AudioFrame:
        """The next piece of sound from the program that is not silence.

        Raises:
            AssertionError: there was none in time, or the track ended.
        """
        track = await self.track("audio")
        return await self._step("no sound but silence came", _until(track, _is_loud))

    async def picture(self) -> VideoFrame:
        """The next picture from the program that is not black.

        Raises:
            AssertionError: there was none in time, or the track ended.
        """
        track = await self.track("video")
        return await self._step("no picture but black ones came", _until(track, _is_bright))

    async def outage(self, seconds: float) -> None:
        """Lose everything in both directions for a while; only on a host of a virtual network.

        Raises:
            TypeError: it lives on no such host.
        """
        if self._host is None:
            raise TypeError(
                "outage() needs a host of a virtual network: ScriptedPeer(host=network.add_host(...))"
            )
        await self._host.link.outage_of(seconds)

    async def restart(self) -> None:
        """Restart ICE, and wait until the new path is there.

        Raises:
            AssertionError: there was none in time.
        """
        before = _ufrag(self.pc)
        self.pc.restartIce()
        await self._step("the restart was not answered", self._restarted(before))

    async def hang_up(self) -> None:
        """Close the connection and the signaling. Idempotent."""
        await self._negotiator.close()
        await self.pc.close()
        await self._own_signaling.close()
        for track in self._sent:
            track.stop()

    # -- what arrives ------------------------------------------------------------------------------

    def _listen(self, channel: Any) -> None:
        channel.addEventListener("message", lambda event: self._note(event.data))

    def _note(self, data: str | bytes) -> None:
        self.messages.append(data)
        self._waiting.put_nowait(data)

    def _on_track(self, event: Any) -> None:
        self._tracks[event.track.kind].append(event.track)
        self._arrived.set()

    async def _next_track(self, kind: str) -> MediaStreamTrack:
        while not self._tracks[kind]:
            self._arrived.clear()
            await self._arrived.wait()
        return self._tracks[kind][-1]

    async def _restarted(self, before: str) -> None:
        async with self.pc.events("signalingstatechange") as changes:
            while self.pc.signalingState != "stable" or _ufrag(self.pc) == before:
                await anext(changes)
        await self.pc.connected(timeout=None)

    async def _step(self, problem: str, step: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await step
        except (TimeoutError, MediaStreamError, InvalidStateError) as error:
            why = (
                f"within {self._timeout:g} s"
                if isinstance(error, TimeoutError)
                else f"({error or 'it ended'})"
            )
            found = "\n".join(f"  {finding}" for finding in self.pc.explain())
            heard = f"\n  heard so far: {self.messages[-5:]!r}" if self.messages else ""
            raise AssertionError(f"{problem} {why}:\n{found}{heard}") from None


async def _until(track: MediaStreamTrack, wanted: Callable[[Any], bool]) -> Any:
    """The first frame of a track that is as wanted."""
    while not wanted(frame := await track.recv()):
        pass
    return frame


def _is_loud(frame: AudioFrame) -> bool:
    samples = array.array("h", bytes(frame.planes[0]))
    return max(max(samples), -min(samples)) > _LOUD


def _is_bright(frame: VideoFrame) -> bool:
    luma = bytes(frame.planes[0])
    return sum(luma) > _BRIGHT * len(luma)


def _ufrag(pc: RTCPeerConnection) -> str:
    """The user name fragment of what we offered last."""
    description = pc.localDescription
    found = None if description is None else re.search(r"a=ice-ufrag:(\S+)", description.sdp)
    return "" if found is None else found[1]
