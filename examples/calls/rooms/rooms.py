"""A room server for the bots: rooms at ws://localhost:8080/rooms, made when somebody enters."""

import asyncio
import sys

from rtcpeer import run
from rtcpeer.signaling import RoomServer


async def main(port="8080"):
    async with RoomServer(port=int(port)) as server:
        print(f"join room+{server.url}?room=lobby")
        await asyncio.Event().wait()  # until Ctrl-C


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
