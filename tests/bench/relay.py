"""One publisher, many subscribers: what a relay costs per packet out, for rtcpeer, aiortc's MediaRelay and pion.

The relay is a process of its own, whose CPU is read from the system; this one is publisher and subscribers, the same
for every relay. VP8 640x480 at 30 pictures a second and 1 Mbit/s, or Opus in 20 ms, encoded once beforehand. `--climb`
looks for the largest rate without loss: pictures come ever faster, until a packet is lost or this process is busy.
`--together` runs all relays but aiortc's at the same time, so that a busy machine disturbs all of them alike.

    python -m tests.bench.relay [--kinds video audio] [--subscribers 1 5 20] [--stacks rtcpeer aiortc pion] [--climb]
                                [--together]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fractions
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import av

from rtcpeer import EncodedTrack, Forwarder, RTCPeerConnection, RTCRtpSender

STACKS = ("rtcpeer", "aiortc", "pion")
HERE = Path(__file__).parent
PION = Path("/usr/share/gocode/src/github.com/pion/webrtc")
TIME_BASE = fractions.Fraction(1, 90000)
# pictures or pieces of sound a second
RATES = {"video": 30, "audio": 50}
FRAME_RATE = RATES["video"]
BITRATE = 1_000_000
# aiortc decodes and encodes for each of them: more than one core bears is no measurement
AIORTC_MAX = 20
# beyond this part of its core, publisher and subscribers are what limits a rate
BUSY = 0.85
_TICK = os.sysconf("SC_CLK_TCK")


# --- relays, driven by lines of JSON ------------------------------------------------------------------------------


async def answer(pc: Any) -> str:
    """Answer what was offered, with all candidates."""
    await pc.setLocalDescription(await pc.createAnswer())
    while pc.iceGatheringState != "complete":  # noqa: ASYNC110 - also of aiortc
        await asyncio.sleep(0.01)
    return str(pc.localDescription.sdp)


class RtcpeerRelay:
    """Forwards without decoding."""

    def __init__(self) -> None:
        self.pcs: list[RTCPeerConnection] = []
        self.forwarder: Forwarder | None = None

    async def publish(self, sdp: str) -> str:
        """Take the publisher's offer."""
        pc = RTCPeerConnection()
        self.pcs.append(pc)
        await pc.setRemoteDescription(type="offer", sdp=sdp)
        self.forwarder = Forwarder(pc.getReceivers()[0])
        return await answer(pc)

    async def subscribe(self, sdp: str) -> str:
        """Take a subscriber's offer."""
        if self.forwarder is None:
            raise RuntimeError("there is no publisher")
        pc = RTCPeerConnection()
        self.pcs.append(pc)
        await pc.setRemoteDescription(type="offer", sdp=sdp)
        transceiver = pc.getTransceivers()[0]
        transceiver.direction = "sendonly"
        self.forwarder.add(transceiver.sender)
        return await answer(pc)


class AiortcRelay:
    """Plain aiortc: decodes once, encodes for every subscriber."""

    def __init__(self) -> None:
        from aiortc.contrib.media import MediaRelay

        self.pcs: list[Any] = []
        self.relay = MediaRelay()
        self.track: Any = None

    def make(self) -> Any:
        """A connection without servers."""
        import aiortc

        pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.pcs.append(pc)
        return pc

    async def publish(self, sdp: str) -> str:
        """Take the publisher's offer."""
        import aiortc

        pc = self.make()

        def on_track(track: Any) -> None:
            self.track = track

        pc.on("track", on_track)
        await pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        return await answer(pc)

    async def subscribe(self, sdp: str) -> str:
        """Take a subscriber's offer."""
        import aiortc

        pc = self.make()
        await pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        pc.addTrack(self.relay.subscribe(self.track))
        return await answer(pc)


async def serve(stack: str) -> None:
    """Be a relay: one line of JSON in, one out."""
    relay: Any = RtcpeerRelay() if stack == "rtcpeer" else AiortcRelay()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        sdp = await getattr(relay, request["do"])(request["sdp"])
        print(json.dumps({"sdp": sdp}), flush=True)
    for pc in relay.pcs:
        await pc.close()


def command(stack: str, kind: str, folder: str) -> list[str]:
    """How a relay is started.

    Raises:
        FileNotFoundError: it is not installed.
    """
    if stack != "pion":
        return [sys.executable, "-m", "tests.bench.relay", "--serve", stack]
    if not shutil.which("go") or not PION.exists():
        raise FileNotFoundError("pion is not installed (golang-go, golang-github-pion-webrtc.v3-dev)")
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    env.setdefault("GOCACHE", str(Path.home() / ".cache" / "go-build"))
    target = os.path.join(folder, "pion_relay")
    subprocess.run(["go", "build", "-o", target, str(HERE / "pion_relay.go")], env=env, check=True)
    return [target, kind]


# --- publisher and subscribers ------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    """Three seconds of a moving picture; the first one is a key frame, and the only one."""
    codec: Any = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 640, 480, "yuv420p", fractions.Fraction(1, 30)
    codec.bit_rate = BITRATE
    codec.options = {"deadline": "realtime", "cpu-used": "8", "g": "1000", "undershoot-pct": "5"}
    choice, result = random.Random(1), []
    # a part that changes all the time, as large as the bitrate allows
    noise = bytes([96 + value % 64 for value in choice.randbytes(640 * 480)])
    for index in range(3 * FRAME_RATE):
        frame = av.VideoFrame(640, 480, "yuv420p")
        lines = 64 * 640
        start = index * 7001 % (len(noise) - lines)
        for place, plane in enumerate(frame.planes):
            picture = bytearray((128,)) * plane.buffer_size
            if place == 0:
                picture[:lines] = noise[start : start + lines]
            plane.update(picture)
        frame.pts = index
        result += [bytes(packet) for packet in codec.encode(frame)]
    return result


def sounds() -> list[bytes]:
    """Three seconds of noise in Opus, 20 ms each."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = 48000, "stereo", "s16", 32_000
    choice, result = random.Random(1), []
    for index in range(3 * RATES["audio"]):
        frame = av.AudioFrame("s16", "stereo", 960)
        frame.planes[0].update(choice.randbytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = 48000, index * 960
        result += [bytes(packet) for packet in codec.encode(frame)]
    return result


class Pace:
    """How fast the publisher is: so many times the usual rate."""

    factor = 1.0


async def feed(track: EncodedTrack, encoded: list[bytes], requests: list[object], pace: Pace) -> None:
    """Write pictures or sounds at their pace; begin anew when a key frame is needed."""
    loop = asyncio.get_running_loop()
    number, place, due = 0, 0, loop.time()
    rate = RATES[track.kind]
    while True:
        if requests or place == len(encoded):
            requests.clear()
            place = 0
        packet: Any = av.Packet(encoded[place])
        packet.pts, packet.time_base = number * 90000 // rate, TIME_BASE
        packet.is_keyframe = track.kind == "audio" or place == 0
        await track.write(packet)
        number, place = number + 1, place + 1
        # a second late is late: what was missed is not made up for in one burst
        due = max(due + 1 / (rate * pace.factor), loop.time() - 1.0)
        await asyncio.sleep(max(0.0, due - loop.time()))


class Load:
    """The publisher and all subscribers of one relay process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pcs: list[RTCPeerConnection] = []

    async def ask(self, do: str, pc: RTCPeerConnection) -> None:
        """Offer to the relay and take its answer."""
        await pc.setLocalDescription()
        while pc.iceGatheringState != "complete":  # noqa: ASYNC110 - also of aiortc
            await asyncio.sleep(0.005)
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the relay has no pipes")
        line = json.dumps({"do": do, "sdp": pc.localDescription.sdp})
        self.process.stdin.write(line.encode() + b"\n")
        reply = json.loads(await self.process.stdout.readline())
        await pc.setRemoteDescription(type="answer", sdp=reply["sdp"])
        await pc.connected(timeout=20)

    async def publish(self, track: EncodedTrack) -> None:
        """Send the track to the relay."""
        pc = RTCPeerConnection()
        self.pcs.append(pc)
        transceiver = pc.addTransceiver(track, direction="sendonly")
        capabilities = RTCRtpSender.getCapabilities(track.kind)
        if capabilities is None:
            raise RuntimeError(f"no {track.kind} can be sent")
        wanted = ("video/VP8", "video/rtx", "audio/opus")
        transceiver.setCodecPreferences([c for c in capabilities.codecs if c.mimeType in wanted])
        await self.ask("publish", pc)

    async def subscribe(self, kind: str) -> None:
        """Receive from the relay."""
        pc = RTCPeerConnection()
        self.pcs.append(pc)
        pc.addTransceiver(kind, direction="recvonly")
        await self.ask("subscribe", pc)

    async def received(self) -> tuple[int, int]:
        """Packets that all subscribers got, and lost."""
        got = lost = 0
        for pc in self.pcs[1:]:
            for record in (await pc.getStats()).values():
                if record["type"] == "inbound-rtp":
                    got += record["packetsReceived"]
                    lost += record["packetsLost"]
        return got, lost


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextlib.asynccontextmanager
async def running(stack: str, kind: str, subscribers: int, folder: str) -> AsyncIterator[tuple[Load, Pace]]:
    """A relay with so many subscribers, and a publisher that publishes."""
    process = await asyncio.create_subprocess_exec(
        *command(stack, kind, folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 22,
    )
    track, requests, pace = EncodedTrack(kind, "video/VP8" if kind == "video" else "audio/opus"), [], Pace()
    track.onkeyframerequest = requests.append
    load = Load(process)
    encoded = pictures() if kind == "video" else sounds()
    task = asyncio.ensure_future(feed(track, encoded, requests, pace))
    try:
        await load.publish(track)
        await asyncio.sleep(1)
        for _ in range(subscribers):
            await load.subscribe(kind)
        await asyncio.sleep(2)
        yield load, pace
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        track.stop()
        for pc in load.pcs:
            await pc.close()
        process.kill()
        await process.wait()


async def measure(
    stacks: Sequence[str], kind: str, subscribers: int, seconds: float, folder: str
) -> list[dict[str, Any]]:
    """Relays with so many subscribers each, at the same time.

    Returns:
        For each: cpu: percent of a core; per_packet_us: CPU per packet that arrived; packets, lost: in the measured
        time.
    """
    results = []
    async with contextlib.AsyncExitStack() as stack:
        loads = [
            (await stack.enter_async_context(running(name, kind, subscribers, folder)))[0] for name in stacks
        ]
        began = time.perf_counter()
        before = [(*await load.received(), cpu_seconds(load.process.pid)) for load in loads]
        await asyncio.sleep(seconds)
        took = time.perf_counter() - began
        for load, (got, lost, cpu) in zip(loads, before, strict=True):
            used, after = cpu_seconds(load.process.pid) - cpu, await load.received()
            packets = after[0] - got
            results.append(
                {
                    "kind": kind,
                    "subscribers": subscribers,
                    "cpu_percent": round(100 * used / took, 1),
                    "per_packet_us": round(1e6 * used / packets, 2) if packets else None,
                    "packets": packets,
                    "lost": after[1] - lost,
                }
            )
    return results


async def climb(stack: str, subscribers: int, folder: str, seconds: float = 3.0) -> dict[str, Any]:
    """The largest rate without loss, in steps of a half.

    Returns:
        packets_per_s: that arrived at all subscribers together; limit: what ended it, "loss", or "load": publisher and
        subscribers were busy, and the relay could do more.
    """
    best: dict[str, Any] = {"packets_per_s": 0, "per_packet_us": None}
    limit = "loss"
    async with running(stack, "video", subscribers, folder) as (load, pace):
        pid = load.process.pid
        for _ in range(24):
            before, cpu, own = await load.received(), cpu_seconds(pid), time.process_time()
            began = time.perf_counter()
            await asyncio.sleep(seconds)
            after, used, took = await load.received(), cpu_seconds(pid) - cpu, time.perf_counter() - began
            packets, lost = after[0] - before[0], after[1] - before[1]
            if lost or not packets:
                break
            best = {
                "packets_per_s": round(packets / took),
                "per_packet_us": round(1e6 * used / packets, 2),
                "cpu_percent": round(100 * used / took, 1),
            }
            if (time.process_time() - own) / took > BUSY:
                limit = "load"
                break
            pace.factor *= 1.5
            await asyncio.sleep(0.5)
    return {"kind": "climb", "subscribers": subscribers, "limit": limit, **best}


async def row(
    options: argparse.Namespace, kind: str, subscribers: int, stack: str, folder: str
) -> dict[str, Any]:
    """One measurement, or why there is none."""
    try:
        if stack == "aiortc" and (subscribers > AIORTC_MAX or kind == "climb"):
            raise FileNotFoundError("it decodes and encodes for every subscriber")
        if kind == "climb":
            return await climb(stack, subscribers, folder)
        (result,) = await measure([stack], kind, subscribers, options.seconds, folder)
        return result
    except FileNotFoundError as exc:
        return {"kind": kind, "subscribers": subscribers, "skipped": str(exc)}


def together(
    options: argparse.Namespace, kind: str, subscribers: int, folder: str
) -> list[tuple[str, dict[str, Any]]]:
    """All relays that bear it at the same time, the others one by one."""
    if kind == "climb":
        return [(s, asyncio.run(row(options, kind, subscribers, s, folder))) for s in options.stacks]
    able, found = [], []
    for stack in options.stacks:
        try:
            if stack == "aiortc":
                raise FileNotFoundError("it would disturb the others")
            command(stack, kind, folder)
            able.append(stack)
        except FileNotFoundError as exc:
            found.append((stack, {"kind": kind, "subscribers": subscribers, "skipped": str(exc)}))
    results = asyncio.run(measure(able, kind, subscribers, options.seconds, folder))
    return [*zip(able, results, strict=True), *found]


def main() -> int:
    """Measure what was asked for; print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", choices=STACKS, help=argparse.SUPPRESS)
    parser.add_argument("--kinds", nargs="*", choices=list(RATES), default=list(RATES))
    parser.add_argument("--subscribers", type=int, nargs="*", default=[1, 5, 20, 200])
    parser.add_argument("--stacks", nargs="*", choices=STACKS, default=list(STACKS))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--climb", action="store_true", help="look for the largest rate without loss as well")
    parser.add_argument("--together", action="store_true", help="measure the stacks at the same time")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.serve:
        asyncio.run(serve(options.serve))
        return 0
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in [*options.kinds, *(["climb"] if options.climb else [])]:
            for subscribers in options.subscribers:
                rows: Iterable[tuple[str, dict[str, Any]]]
                if options.together:
                    rows = together(options, kind, subscribers, folder)
                else:
                    rows = (
                        (s, asyncio.run(row(options, kind, subscribers, s, folder))) for s in options.stacks
                    )
                for stack, result in rows:
                    results.append({"stack": stack, **result})
                    print(f"relay {stack:8} {result}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
