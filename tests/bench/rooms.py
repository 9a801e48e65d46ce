"""What a room server costs: CPU and memory of its process with 1,000 idle members and 50 joins a second.

python -m tests.bench.rooms [members] [joins a second]
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

import aiohttp

from rtcpeer.signaling import RateLimit, RoomServer
from tests.bench.server_process import answer, serving

SECONDS = 10.0
ROOM = 10  # members of one room
STAY = 2.0  # seconds that one who joins stays


async def serve() -> None:
    """The server's process: for each line on its input, its CPU time and memory."""
    async with RoomServer(address_rate=RateLimit(10_000, 10_000), max_waiting=2000) as server:
        await answer(server.url)


async def enter(session: aiohttp.ClientSession, url: str, room: str) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect(url)
    await socket.send_str(json.dumps({"type": "enter", "room": room}))
    assert json.loads((await socket.receive()).data)["type"] == "entered"
    return socket


async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Acknowledge what arrives, as a client does."""
    async for message in socket:
        seq = json.loads(message.data).get("seq")
        if seq:
            await socket.send_str(f'{{"type":"ack","seq":{seq}}}')


async def visit(session: aiohttp.ClientSession, url: str, room: str) -> float:
    """Join, stay, leave; the seconds that joining took."""
    began = time.perf_counter()
    socket = await enter(session, url, room)
    took = time.perf_counter() - began
    await asyncio.sleep(STAY)
    await socket.send_str('{"type":"leave"}')
    await socket.close()
    return took


async def measure(members: int, joins: int) -> dict[str, Any]:
    async with serving("tests.bench.rooms") as (url, ask):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            empty = await ask()
            sockets = [await enter(session, url, f"room {n // ROOM}") for n in range(members)]
            readers = [asyncio.create_task(read(socket)) for socket in sockets]
            await asyncio.sleep(1)
            full = await ask()
            await asyncio.sleep(SECONDS / 2)
            idle = await ask()
            visits = []
            began = time.perf_counter()
            for number in range(int(joins * SECONDS)):
                await asyncio.sleep(max(0.0, began + number / joins - time.perf_counter()))
                visits.append(asyncio.create_task(visit(session, url, f"room {number % (members // ROOM)}")))
            busy = await ask()
            took = time.perf_counter() - began
            times = sorted(await asyncio.gather(*visits))
            for task in readers:
                task.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        return {
            "members": members,
            "joins_per_s": round(len(visits) / took, 1),
            "idle_cpu_percent": round(100 * (idle["cpu"] - full["cpu"]) / (SECONDS / 2), 1),
            "cpu_percent": round(100 * (busy["cpu"] - idle["cpu"]) / took, 1),
            "join_ms_p50": round(1000 * times[len(times) // 2], 1),
            "join_ms_p99": round(1000 * times[len(times) * 99 // 100], 1),
            "kb_per_member": round((full["kb"] - empty["kb"]) / members, 1),
        }


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    numbers = [int(word) for word in sys.argv[1:]]
    result = asyncio.run(measure(*(numbers or [1000, 50])))
    print(f"{'rooms':14} rtcpeer  {result}", flush=True)


if __name__ == "__main__":
    main()
