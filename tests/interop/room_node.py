"""One node of a room server as a process of its own: prints its URL, and serves until it is ended or killed."""

import asyncio
import sys

from rtcpeer.signaling import RedisBackend, RoomServer


async def main(url: str, grace: str) -> None:
    backend = RedisBackend(url, max_members=300)
    async with RoomServer(
        backend=backend, secret="of this test", grace=float(grace), max_waiting=300
    ) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
