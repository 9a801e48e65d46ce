"""rtcpeer side by side with aiortc, on the same work in the same run. `make bench`; not a timed test.

Each measurement runs in a process of its own, so that memory and CPU are its own. What counts is the ratio.

    python -m tests.bench.run [first|setup|dead-server|restart|idle|churn|throughput|throughput-1k|ping-pong|...]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import itertools
import json
import logging
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

STACKS = ("rtcpeer", "aiortc")
# measured beside them where it is installed (pip install wrtc): libwebrtc under Python
LIBWEBRTC = "wrtc"


def memory_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- two ways to connect a pair -----------------------------------------------------------------------------------


class Aiortc:
    """A pair of plain aiortc connections; no trickle, as aiortc has none."""

    def __init__(self, servers: list[dict[str, Any]] | None = None) -> None:
        import aiortc

        # [] and not None: None means a public STUN server
        configuration = aiortc.RTCConfiguration(
            iceServers=[aiortc.RTCIceServer(**server) for server in servers or []]
        )
        self.a = aiortc.RTCPeerConnection(configuration)
        self.b = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.channel_b: Any = None

    async def connect(self) -> None:
        opened, arrived = asyncio.Event(), asyncio.Event()
        self.channel = self.a.createDataChannel("bench")
        self.channel.on("open", opened.set)

        @self.b.on("datachannel")
        def on_channel(channel: Any) -> None:
            self.channel_b = channel
            arrived.set()

        await self.a.setLocalDescription(await self.a.createOffer())
        await self.b.setRemoteDescription(self.a.localDescription)
        await self.b.setLocalDescription(await self.b.createAnswer())
        await self.a.setRemoteDescription(self.b.localDescription)
        await opened.wait()
        await arrived.wait()

    async def close(self) -> None:
        await self.a.close()
        await self.b.close()


class Rtcpeer:
    """A pair of rtcpeer connections that trickle through direct calls."""

    def __init__(self, servers: list[dict[str, Any]] | None = None) -> None:
        import rtcpeer

        self.a = rtcpeer.RTCPeerConnection({"iceServers": servers or []})
        self.b = rtcpeer.RTCPeerConnection()
        self.channel_b: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    def trickle(self, source: Any, sink: Any) -> None:
        def on_candidate(event: Any) -> None:
            task = asyncio.ensure_future(sink.addIceCandidate(event.candidate))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        source.onicecandidate = on_candidate

    async def connect(self) -> None:
        opened, arrived = asyncio.Event(), asyncio.Event()
        self.channel = self.a.createDataChannel("bench")
        self.channel.onopen = lambda _event: opened.set()

        def on_channel(event: Any) -> None:
            self.channel_b = event.channel
            arrived.set()

        self.b.ondatachannel = on_channel
        held: list[Any] = []
        self.a.onicecandidate = lambda event: held.append(event.candidate)
        self.trickle(self.b, self.a)
        await self.a.setLocalDescription()
        await self.b.setRemoteDescription(self.a.localDescription)
        self.trickle(self.a, self.b)
        for candidate in held:
            await self.b.addIceCandidate(candidate)
        await self.b.setLocalDescription()
        await self.a.setRemoteDescription(self.b.localDescription)
        await opened.wait()
        await arrived.wait()

    async def close(self) -> None:
        await asyncio.gather(self.a.close(), self.b.close())


class Wrtc:
    """A pair of libwebrtc connections under Python."""

    def __init__(self) -> None:
        import webrtc

        self.webrtc = webrtc
        self.a, self.b = webrtc.RTCPeerConnection(), webrtc.RTCPeerConnection()
        self.channel_b: Any = None

    async def connect(self) -> None:
        opened, arrived, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
        self.channel = self.a.createDataChannel("bench")
        self.channel.on("open", lambda *_: loop.call_soon_threadsafe(opened.set))

        def on_channel(event: Any) -> None:
            self.channel_b = getattr(event, "channel", event)
            loop.call_soon_threadsafe(arrived.set)

        self.b.on("datachannel", on_channel)
        for source, sink in ((self.a, self.b), (self.b, self.a)):
            await source.setLocalDescription(
                await (source.createOffer() if source is self.a else source.createAnswer())
            )
            while str(source.iceGatheringState).rpartition(".")[2] != "complete":  # noqa: ASYNC110
                # as short as the loop's clock allows without being busy: it counts in the time to connect
                await asyncio.sleep(0.0005)
            description = source.localDescription
            await sink.setRemoteDescription(
                self.webrtc.RTCSessionDescriptionInit(type=description.type, sdp=description.sdp)
            )
        await asyncio.wait_for(opened.wait(), 20)
        await asyncio.wait_for(arrived.wait(), 20)

    async def close(self) -> None:
        for pc in (self.a, self.b):
            closing = pc.close()
            if closing is not None:
                await closing


def make(stack: str, servers: list[dict[str, Any]] | None = None) -> Any:
    if stack == LIBWEBRTC:
        return Wrtc()
    return Rtcpeer(servers) if stack == "rtcpeer" else Aiortc(servers)


# --- the measurements -----------------------------------------------------------------------------------------------


async def measure_first(stack: str) -> dict[str, Any]:
    """What a program waits for once: the stack is imported, and its first pair is connected."""
    start, cpu = time.perf_counter(), time.process_time()
    pair = make(stack)
    await pair.connect()
    used, took = time.process_time() - cpu, time.perf_counter() - start
    await pair.close()
    return {
        "cpu_ms": round(1000 * used),
        "ms": round(1000 * took),
        "process_cpu_ms": round(1000 * (cpu + used)),
    }


async def measure_setup(
    stack: str, servers: list[dict[str, Any]] | None = None, rounds: int = 60
) -> dict[str, Any]:
    walls: list[float] = []
    cpu = 0.0
    for i in range(rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        pair = make(stack, servers)
        await pair.connect()
        if i >= 5 or rounds < 10:
            walls.append((time.perf_counter() - start) * 1000)
            cpu += (time.process_time() - start_cpu) * 1000
        await pair.close()
    return {
        "median_ms": round(statistics.median(walls), 2),
        "p90_ms": round(sorted(walls)[int(len(walls) * 0.9)], 2),
        "cpu_ms_per_pair": round(cpu / len(walls), 2),
    }


async def measure_dead_server(stack: str) -> dict[str, Any]:
    # a socket that is bound and never answers: a server that is there and dead
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    try:
        servers = [{"urls": f"stun:127.0.0.1:{silent.getsockname()[1]}"}]
        return await measure_setup(stack, servers, 30 if stack == "rtcpeer" else 3)
    finally:
        silent.close()


async def measure_restart(stack: str) -> dict[str, Any]:
    if stack != "rtcpeer":
        return {"note": "impossible"}
    pair = Rtcpeer()
    await pair.connect()
    # A full garbage collection walks all that was ever imported and stops the process for 10 to 40 ms, whatever
    # the program does. A server that cares freezes what it loaded, and so does this measurement.
    gc.collect()
    gc.freeze()
    arrivals: list[float] = []
    numbers: list[int] = []

    def on_message(event: Any) -> None:
        arrivals.append(time.perf_counter())
        numbers.append(int(event.data))

    pair.channel_b.onmessage = on_message
    sent = 0
    running = True

    async def send() -> None:
        nonlocal sent
        begin = time.perf_counter()
        while running:
            pair.channel.send(str(sent))
            sent += 1
            await asyncio.sleep(max(0, begin + sent * 0.01 - time.perf_counter()))

    sender = asyncio.ensure_future(send())
    await asyncio.sleep(0.5)
    reconnects: list[float] = []
    ufrags = set()
    for _ in range(10):
        transport = pair.a.sctp.transport.iceTransport
        before = transport.getSelectedCandidatePair()
        ufrags.add(transport.getLocalParameters().usernameFragment)
        switched = asyncio.Event()
        transport.onselectedcandidatepairchange = lambda _e, s=switched: s.set()
        start = time.perf_counter()
        await pair.a.setLocalDescription(await pair.a.createOffer(iceRestart=True))
        await pair.b.setRemoteDescription(pair.a.localDescription)
        await pair.b.setLocalDescription()
        await pair.a.setRemoteDescription(pair.b.localDescription)
        await asyncio.wait_for(switched.wait(), 5)
        assert transport.getSelectedCandidatePair() is not before
        reconnects.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(0.3)
    running = False
    await sender
    await asyncio.sleep(0.2)
    gaps = [(b - a) * 1000 for a, b in itertools.pairwise(arrivals)]
    await pair.close()
    return {
        "restarts": len(reconnects),
        "distinct_ufrags": len(ufrags),
        "reconnect_median_ms": round(statistics.median(reconnects), 2),
        "reconnect_worst_ms": round(max(reconnects), 2),
        "largest_gap_ms": round(max(gaps), 2),
        "lost": sent - len(numbers),
        "in_order": numbers == sorted(numbers),
    }


async def measure_idle(stack: str, count: int = 200) -> dict[str, Any]:
    warm = make(stack)
    await warm.connect()
    gc.collect()
    before = memory_kb()
    pairs = [make(stack) for _ in range(count)]
    for pair in pairs:
        await pair.connect()
    gc.collect()
    per_pair = (memory_kb() - before) / count
    await asyncio.sleep(1)
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(10)
    idle = (time.process_time() - cpu) * 1000 / (time.perf_counter() - start) / count
    await asyncio.gather(*(pair.close() for pair in [*pairs, warm]))
    return {"kb_per_pair": round(per_pair), "idle_cpu_ms_per_pair_per_s": round(idle, 3)}


async def measure_churn(stack: str, count: int = 1000) -> dict[str, Any]:
    async def one() -> None:
        pair = make(stack)
        await pair.connect()
        await pair.close()

    if stack == "aiortc":
        count = 300
    for _ in range(100):
        await one()
    gc.collect()
    before = memory_kb(), descriptors(), threading.active_count(), len(asyncio.all_tasks())
    for _ in range(count - 100):
        await one()
    await asyncio.sleep(0.1)
    gc.collect()
    after = memory_kb(), descriptors(), threading.active_count(), len(asyncio.all_tasks())
    names = ("memory_kb", "descriptors", "threads", "tasks")
    return {"connections": count} | {
        f"growth_{name}": b - a for name, a, b in zip(names, before, after, strict=True)
    }


def listen(stack: str, channel: Any, on_data: Any) -> None:
    """Have a function called with each message."""
    if stack == "rtcpeer":
        channel.onmessage = lambda event: on_data(event.data)
    elif stack == LIBWEBRTC:
        loop = asyncio.get_running_loop()
        on_loop = threading.get_ident()

        def on_message(event: Any) -> None:
            data = getattr(event, "data", event)
            if threading.get_ident() == on_loop:
                on_data(data)
            else:
                loop.call_soon_threadsafe(on_data, data)

        channel.on("message", on_message)
    else:
        channel.on("message", on_data)


async def measure_throughput(stack: str, size: int = 65536, total: int = 40_000_000) -> dict[str, Any]:
    pair = make(stack)
    await pair.connect()
    received = 0
    done = asyncio.Event()

    def on_data(data: Any) -> None:
        nonlocal received
        received += len(data)
        if received >= total:
            done.set()

    listen(stack, pair.channel_b, on_data)
    chunk = os.urandom(size)
    start, cpu = time.perf_counter(), time.process_time()
    sent = 0
    while sent < total:
        if pair.channel.bufferedAmount < 1_000_000:
            pair.channel.send(chunk)
            sent += size
        else:
            await asyncio.sleep(0.0005)
    await done.wait()
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    await pair.close()
    return {"MB_per_s": round(total / wall / 1e6, 1), "cpu_s_per_100MB": round(used * 1e8 / total, 2)}


async def measure_small_messages(stack: str) -> dict[str, Any]:
    return await measure_throughput(stack, 1024, 10_000_000)


async def measure_ping_pong(stack: str, rounds: int = 2000) -> dict[str, Any]:
    """A message of 16 bytes there and back, one at a time."""
    pair = make(stack)
    await pair.connect()
    done = asyncio.Event()
    times: list[float] = []
    ping, pong = pair.channel, pair.channel_b
    sent_at = 0.0

    def on_pong(_data: Any) -> None:
        nonlocal sent_at
        now = time.perf_counter()
        times.append(now - sent_at)
        if len(times) == rounds:
            done.set()
        else:
            sent_at = time.perf_counter()
            ping.send(b"0123456789abcdef")

    listen(stack, pong, pong.send)
    listen(stack, ping, on_pong)
    cpu = time.process_time()
    sent_at = time.perf_counter()
    ping.send(b"0123456789abcdef")
    await done.wait()
    used = time.process_time() - cpu
    await pair.close()
    return {
        "median_us": round(statistics.median(times) * 1e6, 1),
        "p99_us": round(sorted(times)[int(rounds * 0.99)] * 1e6, 1),
        "cpu_us_per_round": round(used * 1e6 / rounds, 1),
    }


async def measure_replace_thousand(stack: str) -> dict[str, Any]:
    if stack != "rtcpeer":
        return {"note": "impossible"}
    from tests.bench import staying  # not for aiortc, whose memory is measured as well

    return await staying.replace_servers_of(1000)


async def measure_path_death(stack: str) -> dict[str, Any]:
    if stack != "rtcpeer":
        return {"note": "impossible"}
    from tests.bench import staying

    return {
        "silence_new_address": await staying.path_death(told=False, replaced=True),
        "silence_second_address": await staying.path_death(told=False, replaced=False),
        "told_new_address": await staying.path_death(told=True, replaced=True),
    }


MEASUREMENTS = {
    "first": measure_first,
    "setup": measure_setup,
    "dead-server": measure_dead_server,
    "restart": measure_restart,
    "idle": measure_idle,
    "churn": measure_churn,
    "throughput": measure_throughput,
    "throughput-1k": measure_small_messages,
    "ping-pong": measure_ping_pong,
    "replace-thousand": measure_replace_thousand,
    "path-death": measure_path_death,
}

# libwebrtc is measured beside
BESIDE = ("first", "setup", "idle", "throughput", "throughput-1k", "ping-pong")
# and these, where they are installed, by programs of their own (pion_pairs.go, node_pairs.js)
OTHERS = ("pion", "libdatachannel", "werift")
MEASURED_OF_OTHERS = ("setup", "idle", "throughput", "throughput-1k", "ping-pong")
NODE_PACKAGES = {"libdatachannel": "node-datachannel", "werift": "werift"}
OTHERS_TIMEOUT = 90
PION = Path("/usr/share/gocode/src/github.com/pion/webrtc")


# runs before the one that counts: the modules are compiled, and in the system's cache, as in every start but the first
WARM_UP = {"first": 2}


def measured_apart(name: str, stack: str) -> subprocess.CompletedProcess[str]:
    """A measurement in a process of its own, which may keep what it compiles."""
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.run", name, "--stack", stack],
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True,
        text=True,
        check=False,
    )


def node_places() -> list[Path]:
    """Where packages of Node may be."""
    # not where Python is measured: pytest comes with it, which nearly doubles what a process has to import
    from tests.interop import node

    return node.places()


def command_of(stack: str, name: str, folder: str) -> list[str] | str:
    """How a stack that is no Python is measured, or why it cannot be."""
    here = Path(__file__).parent
    if stack == "pion":
        if not PION.is_dir() or not shutil.which("go"):
            return "not installed: apt-get install golang-go golang-github-pion-webrtc.v3-dev"
        program = Path(folder) / "pion_pairs"
        if not program.exists():
            subprocess.run(
                ["go", "build", "-o", str(program), str(here / "pion_pairs.go")],
                env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"},
                check=True,
            )
        return [str(program), name]
    package = NODE_PACKAGES[stack]
    if not shutil.which("node") or not any((place / package).is_dir() for place in node_places()):
        return f"not installed: nodejs, and {package} from npm in build/npm or NODE_PATH"
    return ["node", "--expose-gc", str(here / "node_pairs.js"), stack, name]


def measure_other(stack: str, name: str, folder: str) -> dict[str, Any]:
    """A measurement of a stack that is no Python."""
    command = command_of(stack, name, folder)
    if isinstance(command, str):
        return {"skipped": command}
    env = {**os.environ, "NODE_PATH": os.pathsep.join(map(str, node_places()))}
    try:
        run = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=OTHERS_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return {"failed": [f"not done in {OTHERS_TIMEOUT} s"]}
    if run.returncode:
        return {"failed": run.stderr.strip().splitlines()[:1]}
    result: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return result


def measure_all(names: list[str], folder: str) -> tuple[dict[str, dict[str, Any]], bool]:
    """Every measurement of every stack, each told when it is there; and whether one of ours has failed.

    Args:
        names: of the measurements.
        folder: for what has to be built.
    """
    results: dict[str, dict[str, Any]] = {}
    failed = False
    for name in names:
        results[name] = {}
        for stack in (*STACKS, LIBWEBRTC) if name in BESIDE else STACKS:
            if stack == LIBWEBRTC and importlib.util.find_spec("webrtc") is None:
                results[name][stack] = {"skipped": "not installed: pip install wrtc"}
                print(f"{name:14} {stack:8} {results[name][stack]}", flush=True)
                continue
            for _ in range(WARM_UP.get(name, 0)):
                measured_apart(name, stack)
            run = measured_apart(name, stack)
            if run.returncode:
                failed = True
                results[name][stack] = {"failed": run.stderr.strip().splitlines()[-1:]}
            else:
                results[name][stack] = json.loads(run.stdout.strip().splitlines()[-1])
            print(f"{name:14} {stack:8} {results[name][stack]}", flush=True)
        for stack in OTHERS if name in MEASURED_OF_OTHERS else ():
            # a fault of another stack is told, and is none of ours
            results[name][stack] = measure_other(stack, name, folder)
            print(f"{name:14} {stack:8} {results[name][stack]}", flush=True)
    return results, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], help="which measurements (all)")
    parser.add_argument("--stack", choices=[*STACKS, LIBWEBRTC], help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.stack:
        print(json.dumps(asyncio.run(MEASUREMENTS[options.names[0]](options.stack))))
        return 0
    with tempfile.TemporaryDirectory(prefix="rtcpeer-bench-") as folder:
        results, failed = measure_all(options.names or list(MEASUREMENTS), folder)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
