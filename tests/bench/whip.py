"""What a WHIP server costs: CPU of its process and waiting times at 50 POST a second, and how many it takes at most.

python -m tests.bench.whip [POSTs a second]

Each session is answered with all candidates, as for a publisher of sound and pictures, and ended one second later.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import aiohttp

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import RateLimit, WhipServer
from tests.bench.server_process import answer, serving

SECONDS = 10.0
STAY = 1.0  # seconds that a session lives
AT_ONCE = 20  # POSTs under way while the most is looked for


async def serve() -> None:
    """The server's process: for each line on its input, its CPU time, memory and sessions."""

    async def take(_session: Any) -> None:
        """Nothing is done with what is published."""

    calm = RateLimit(100_000, 100_000)
    async with WhipServer(take, address_rate=calm, token_rate=calm, max_sessions=10_000) as server:
        await answer(server.url + "/cam", lambda: {"sessions": len(server.sessions)})


async def make_offer() -> str:
    async with RTCPeerConnection(bundlePolicy="max-bundle") as pc:
        pc.addTransceiver("audio", direction="sendonly")
        pc.addTransceiver("video", direction="sendonly")
        await pc.setLocalDescription()
        assert pc.localDescription is not None
        return pc.localDescription.sdp


async def visit(http: aiohttp.ClientSession, url: str, offer: str, stay: float) -> float:
    """Post, stay, delete; the seconds that the answer took."""
    began = time.perf_counter()
    async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
        assert answer.status == 201, await answer.text()
        where = answer.headers["Location"]
        await answer.read()
    took = time.perf_counter() - began
    await asyncio.sleep(stay)
    async with http.delete(f"{url.partition('/whip')[0]}{where}") as answer:
        assert answer.status == 200
    return took


async def measure(rate: int) -> dict[str, Any]:
    async with serving("tests.bench.whip") as (url, ask):
        offer = await make_offer()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await visit(http, url, offer, 0)  # what is imported and made once
            before = await ask()
            visits = []
            began = time.perf_counter()
            for number in range(int(rate * SECONDS)):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                visits.append(asyncio.create_task(visit(http, url, offer, STAY)))
            times = sorted(await asyncio.gather(*visits))
            after = await ask()

            async def post_on() -> int:
                until, count = time.perf_counter() + SECONDS / 2, 0
                while time.perf_counter() < until:
                    await visit(http, url, offer, 0)
                    count += 1
                return count

            most = await asyncio.gather(*(post_on() for _ in range(AT_ONCE)))
            last = await ask()
        return {
            "posts_per_s": rate,
            "cpu_percent": round(100 * (after["cpu"] - before["cpu"]) / SECONDS, 1),
            "post_ms_p50": round(1000 * times[len(times) // 2], 1),
            "post_ms_p99": round(1000 * times[len(times) * 99 // 100], 1),
            "most_per_s": round(2 * sum(most) / SECONDS),
            "cpu_ms_per_post": round(1000 * (last["cpu"] - after["cpu"]) / sum(most), 1),
            "left": last["sessions"],
            "kb_grown": last["kb"] - before["kb"],
        }


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return
    result = asyncio.run(measure(*([int(word) for word in sys.argv[1:]] or [50])))
    print(f"{'whip':14} rtcpeer  {result}", flush=True)


if __name__ == "__main__":
    main()
