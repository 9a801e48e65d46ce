"""Ten thousand sockets against a room server and a WHIP server: what they cost, and how long somebody else waits.

python -m tests.bench.sockets [sockets]

The attacker has ten addresses (127.0.0.11 and on) and four kinds of sockets: silent ones, half a header, WebSockets
that never enter, requests whose body never ends. Somebody else, at 127.0.0.2, enters a room again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import sys
import time
from typing import Any

import aiohttp

from rtcpeer.signaling import RateLimit, RoomServer, WhipServer
from tests.bench.rooms import enter
from tests.bench.server_process import answer, serving
from tests.unit.signaling.test_attackers import KINDS

ADDRESSES = 10
WATCHED = 45.0  # seconds; by then everything must have been cut


async def serve() -> None:
    """The servers' process: for each line on its input, its CPU time, memory and connections."""
    calm = RateLimit(200, 500)
    async with RoomServer(address_rate=calm) as rooms, WhipServer(lambda session: None) as whip:

        def count() -> dict[str, Any]:
            listeners = [server._listener for server in (rooms, whip)]
            return {"connections": sum(one.connections for one in listeners if one is not None)}

        await answer(json.dumps([rooms._port, whip._port]), count)


def attack(ports: list[int], count: int) -> list[socket.socket]:
    """Open the sockets, as fast as they can be opened."""
    sockets = []
    kinds = list(KINDS.values())
    for number in range(count):
        attacker = socket.socket()
        attacker.settimeout(5)
        attacker.bind((f"127.0.0.{11 + number % ADDRESSES}", 0))
        with contextlib.suppress(OSError):
            attacker.connect(("127.0.0.1", ports[number % 2]))
            attacker.sendall(kinds[number // 2 % len(kinds)])
        sockets.append(attacker)
    return sockets


async def visit(port: int, times: list[float]) -> None:
    """Enter a room again and again, and note how long it takes."""
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0), force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        while True:
            began = time.perf_counter()
            other = await enter(session, f"http://127.0.0.1:{port}/rooms", "lobby")
            times.append(time.perf_counter() - began)
            await other.send_str('{"type":"leave"}')
            await other.close()
            await asyncio.sleep(0.1)


async def measure(count: int) -> dict[str, Any]:
    async with serving("tests.bench.sockets") as (address, ask):
        times: list[float] = []
        ports = json.loads(address)
        visitor = asyncio.create_task(visit(ports[0], times))
        try:
            await asyncio.sleep(1)
            before, calm = await ask(), sorted(times)
            times.clear()
            began = time.perf_counter()
            sockets = await asyncio.to_thread(attack, ports, count)
            opened = time.perf_counter() - began
            seen = [await ask()]
            while time.perf_counter() < began + opened + WATCHED:
                await asyncio.sleep(1)
                seen.append(await ask())
                if seen[-1]["connections"] <= 1:
                    break
            took = time.perf_counter() - began
            for attacker in sockets:
                attacker.close()
            busy = sorted(times)
            return {
                "sockets": count,
                "opened_in_s": round(opened, 1),
                "most_connections": max(one["connections"] for one in seen),
                "left": seen[-1]["connections"],
                "cut_after_s": round(took, 1),
                "kb_grown": max(one["kb"] for one in seen) - before["kb"],
                "cpu_s": round(seen[-1]["cpu"] - before["cpu"], 1),
                "others_ms": [
                    round(1000 * one) for one in (calm[len(calm) // 2], busy[len(busy) // 2], busy[-1])
                ],
            }
        finally:
            visitor.cancel()
            await asyncio.gather(visitor, return_exceptions=True)


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return
    result = asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 10_000))
    print(f"{'sockets':14} rtcpeer  {result}", flush=True)


if __name__ == "__main__":
    main()
