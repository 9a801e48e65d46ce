"""A load generator: so many headless peers in one call, and a report of what they received."""

import asyncio
import sys
import time

from rtcpeer import MediaStreamError, join, run
from rtcpeer.calls import TrackSubscribed
from rtcpeer.errors import RtcPeerError
from rtcpeer.testing import synthetic_track


async def count(track, totals):
    try:
        while True:
            await track.recv()
            totals[track.kind] += 1
    except MediaStreamError:  # it has ended
        return


async def peer(url, number, seconds, totals):
    voice, tasks, began = synthetic_track("audio"), [], time.monotonic()
    try:
        async with join(url, name=f"peer {number}") as call:
            totals["joined"] += 1
            totals["slowest"] = max(totals["slowest"], time.monotonic() - began)
            await call.publish(voice)
            try:
                async with asyncio.timeout(seconds):
                    async for event in call.events():
                        if isinstance(event, TrackSubscribed):
                            totals["tracks"] += 1
                            tasks.append(asyncio.create_task(count(event.track, totals)))
            except TimeoutError:
                pass
        await asyncio.gather(*tasks)
    except RtcPeerError as error:
        totals["failed"] += 1
        print(f"peer {number}: {error}")
    finally:
        voice.stop()


async def main(url, peers="5", seconds="10"):
    totals = {"joined": 0, "failed": 0, "slowest": 0.0, "tracks": 0, "audio": 0, "video": 0}
    await asyncio.gather(*(peer(url, number, float(seconds), totals) for number in range(1, int(peers) + 1)))
    print(
        "{joined} joined, {failed} failed, the slowest after {slowest:.2f} s; {tracks} tracks, "
        "{audio} pieces of sound and {video} pictures received".format(**totals)
    )
    return totals


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
