"""A call between our RTCPeerConnection and a browser's, whichever browser it is.

Both sides negotiate perfectly with trickle; the browser's half is the example of webrtc-pc 10.7.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from rtcpeer import IceSettings, PeerSettings, RTCPeerConnection
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.signaling.channel import as_message
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.testing import OutageNetwork

THERE = """
var pc, making = false, channels = {}, heard = {}, states = [], videos = [];
var polite = true, ignored = false;
function begin(configuration, manners = true) {
  polite = manners;
  pc = new RTCPeerConnection(configuration);
  pc.onnegotiationneeded = async () => {
    try { making = true; await pc.setLocalDescription(); say(pc.localDescription); } finally { making = false; }
  };
  pc.onicecandidate = ({candidate}) => candidate && say(candidate);
  pc.onconnectionstatechange = () => states.push(pc.connectionState);
  pc.ontrack = ({track}) => {
    if (track.kind !== "video") return;
    const video = document.createElement("video");
    video.muted = video.autoplay = video.playsInline = true;
    video.srcObject = new MediaStream([track]);
    document.body.append(video);
    videos.push(video);
  };
  pc.ondatachannel = ({channel}) => keep(channel);
}
function keep(channel) {
  channel.binaryType = "arraybuffer";
  channels[channel.label] = channel;
  heard[channel.label] = [];
  channel.onmessage = ({data}) => {
    heard[channel.label].push(typeof data === "string" ? data : data.byteLength);
    if (channel.label === "echo") channel.send(data);
  };
  return channel;
}
function say(message) { signal(JSON.stringify(message)); }
async function hear(message) {
  if ("candidate" in message) {
    try { return await pc.addIceCandidate(message); } catch (error) { if (!ignored) throw error; return; }
  }
  const collision = message.type === "offer" && (making || pc.signalingState !== "stable");
  ignored = !polite && collision;
  if (ignored) return;
  await pc.setRemoteDescription(message);          // polite: our own offer is rolled back
  if (message.type === "offer") { await pc.setLocalDescription(); say(pc.localDescription); }
}
async function camera() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  for (const track of stream.getTracks()) pc.addTrack(track, stream);
}
// not of getVideoPlaybackQuality: in a Firefox without a screen those counters stand still
async function decoded() {
  const video = [...(await pc.getStats()).values()].filter(s => s.type === "inbound-rtp" && s.kind === "video");
  return video.reduce((sum, s) => sum + (s.framesDecoded ?? 0), 0);
}
async function pixels(index) {
  const canvas = document.createElement("canvas");
  canvas.width = 32; canvas.height = 24;
  const g = canvas.getContext("2d");
  g.drawImage(videos[index], 0, 0, 32, 24);
  const data = g.getImageData(0, 0, 32, 24).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += (data[i] + data[i + 1] + data[i + 2]) / 3;
  return {mean: sum / (32 * 24), width: videos[index].videoWidth};
}
"""


class Page(Protocol):
    """One tab of a browser."""

    errors: list[str]

    async def evaluate(self, expression: str, *, timeout: float = 60) -> Any: ...

    async def wait_for(self, expression: str, *, timeout: float = 60, what: str = "") -> Any: ...

    async def bind(self, name: str, callback: Callable[[str], object]) -> None: ...


class PageChannel:
    """A signaling channel into the page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()

    def arrive(self, text: str) -> None:
        self._arrived.put_nowait(json.loads(text))

    async def send(self, message: Any, /) -> None:
        await self._page.evaluate(f"hear({json.dumps(as_message(message))})")

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            yield await self._arrived.get()

    async def close(self) -> None:
        pass


class Call:
    """Both ends: `pc` here, `page` there."""

    def __init__(self, page: Page, pc: RTCPeerConnection, network: OutageNetwork) -> None:
        self.page, self.pc, self.network = page, pc, network
        self.eyes = MediaObserver()
        self.errors: list[Exception] = []
        self.states: list[str] = []
        pc.addEventListener("track", lambda event: self.eyes.watch(event.track))
        pc.addEventListener("connectionstatechange", lambda _: self.states.append(str(pc.connectionState)))

    async def up(self) -> None:
        await self.pc.connected(timeout=60)
        await self.page.wait_for("pc.connectionState === 'connected'")


@contextlib.asynccontextmanager
async def calling(
    page: Page,
    configuration: Any = None,
    *,
    ours: Any = None,
    ice: IceSettings | None = None,
    polite: bool = False,
    network: OutageNetwork | None = None,
) -> AsyncIterator[Call]:
    """Two connections, ours and the page's, that negotiate with each other.

    Args:
        page: of a secure context, freshly loaded.
        configuration: of both connections.
        ours: members that only our configuration has.
        ice: settings of our agent.
        polite: whether we give way; the page does the opposite.
        network: what our connection uses.
    """
    settings = PeerSettings(ice=ice or IceSettings())
    network = OutageNetwork() if network is None else network
    await page.evaluate(THERE)
    with network.installed():
        pc = RTCPeerConnection({**(configuration or {}), **(ours or {})}, settings=settings)
    channel = PageChannel(page)
    await page.bind("signal", channel.arrive)
    await page.evaluate(f"begin({json.dumps(configuration or {})}, {json.dumps(not polite)})")
    async with pc:
        call = Call(page, pc, network)
        async with Negotiator(pc, channel, polite=polite, on_error=call.errors.append):
            yield call
        await call.eyes.close()
    assert call.errors == []
    assert page.errors == []
