"""A headless relay: rooms with one publisher in, many subscribers out, and nothing decoded in between.

What arrives from the publisher is forwarded packet by packet. Who joins gets a key frame at once, losses are repeated
from the relay's own history, and a subscriber that is slow, or goes away, does not slow the others.
"""

import asyncio

from rtcpeer import Forwarder, RTCPeerConnection
from rtcpeer.signaling import Negotiator, memory_pair
from rtcpeer.testing import synthetic_track

SUBSCRIBERS = 3
PICTURE = {"width": 320, "height": 240, "frameRate": 15}


class Room:
    """One publisher's sound and pictures, for everyone who asks."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.forwarders = []
        self.ready = asyncio.Event()

    async def publisher(self, signaling):
        """Take the publisher's call; `ready` when it sends everything."""
        async with RTCPeerConnection() as pc:

            @pc.on("track")
            def keep(event):
                self.forwarders.append(Forwarder(event.receiver))
                if len(self.forwarders) == self.kinds:
                    self.ready.set()

            await Negotiator(pc, signaling, polite=True).run()

    async def subscriber(self, name, signaling):
        """Call one subscriber and forward everything until its signaling ends."""
        await self.ready.wait()
        async with RTCPeerConnection() as pc:
            outputs = []
            for forwarder in self.forwarders:
                transceiver = pc.addTransceiver(forwarder.source.track.kind, direction="sendonly")
                outputs.append(forwarder.add(transceiver.sender))
            await Negotiator(pc, signaling, polite=False).run()
            encoded = sum([s.get("framesEncoded", 0) for s in (await pc.getStats()).values()])
            forwarded = all(output.stats()["packets"] > 0 for output in outputs)
            print(f"{name} left: {'all' if forwarded else 'not'} forwarded, {encoded} pictures encoded")


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
    room, done = Room(kinds=2), asyncio.Event()
    here, there = memory_pair()
    pairs = [memory_pair() for _ in range(SUBSCRIBERS)]
    async with asyncio.TaskGroup() as group:
        group.create_task(room.publisher(there))
        group.create_task(publish(here, done))
        watching = []
        for number, (near, far) in enumerate(pairs, 1):
            group.create_task(room.subscriber(f"subscriber {number}", near))
            watching.append(group.create_task(subscribe(f"subscriber {number}", far, frames=15 * number)))
        await asyncio.gather(*watching)
        done.set()
    print("everyone has left")


asyncio.run(main())
