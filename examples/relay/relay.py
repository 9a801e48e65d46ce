"""A headless relay: one publisher in, many subscribers out.

The relay adds the publisher's tracks to every subscriber's connection. Each subscriber is served at its own
pace: one that is slow, or goes away, does not slow the others. Today each connection encodes for itself; the
forwarding of encoded frames, which costs a hundredth of that, comes with a later version of rtcpeer.
"""

import asyncio

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.testing import synthetic_track

SUBSCRIBERS = 3
PICTURE = {"width": 320, "height": 240, "frameRate": 15}


class Relay:
    """Tracks of one publisher, sent to everyone who asks."""

    def __init__(self):
        self.tracks = []
        self.ready = asyncio.Event()

    async def publisher(self, signaling, kinds):
        """Take the publisher's call; `ready` when it sends so many tracks."""
        async with RTCPeerConnection() as pc:

            @pc.on("track")
            def keep(event):
                self.tracks.append(event.track)
                if len(self.tracks) == kinds:
                    self.ready.set()

            await Negotiator(pc, signaling, polite=True).run()

    async def subscriber(self, signaling):
        """Call one subscriber and send it everything until its signaling ends."""
        await self.ready.wait()
        async with RTCPeerConnection() as pc:
            for track in self.tracks:
                pc.addTrack(track)
            await Negotiator(pc, signaling, polite=False).run()


async def publish(signaling, until):
    """Somebody who has something to show."""
    tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
    async with RTCPeerConnection() as pc, Negotiator(pc, signaling, polite=False):
        for track in tracks:
            pc.addTrack(track)
        await pc.connected(timeout=10)
        await until.wait()
    for track in tracks:
        track.stop()
    await signaling.close()


async def subscribe(name, signaling, frames):
    """Somebody who watches so many pictures and leaves."""
    async with RTCPeerConnection() as pc, Negotiator(pc, signaling, polite=True):
        async with pc.events("track") as arriving:
            tracks = {}
            while len(tracks) < 2:
                track = (await anext(arriving)).track
                tracks[track.kind] = track
        await tracks["audio"].recv()
        for _ in range(frames):
            picture = await tracks["video"].recv()
        print(f"{name}: sound and {frames} pictures of {picture.width}x{picture.height}")
    await signaling.close()


async def main():
    relay, done = Relay(), asyncio.Event()
    here, there = memory_pair()
    pairs = [memory_pair() for _ in range(SUBSCRIBERS)]
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.publisher(there, kinds=2))
        group.create_task(publish(here, done))
        watching = []
        for number, (near, far) in enumerate(pairs, 1):
            group.create_task(relay.subscriber(near))
            watching.append(group.create_task(subscribe(f"subscriber {number}", far, frames=15 * number)))
        await asyncio.gather(*watching)
        done.set()
    print("everyone has left")


asyncio.run(main())
