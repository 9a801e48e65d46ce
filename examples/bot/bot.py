"""A bot that joins a call: it speaks, shows a picture, and echoes what is said to it on a data channel."""

import asyncio

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import Negotiator, memory_pair
from rtcpeer.testing import synthetic_track


async def bot(signaling, servers=()):
    """Stay in the call until the signaling channel ends."""
    async with RTCPeerConnection(iceServers=list(servers)) as pc:
        voice, picture = synthetic_track("audio"), synthetic_track("video")

        @pc.on("track")
        def speak(event):
            pc.addTrack(voice if event.track.kind == "audio" else picture)

        @pc.on("datachannel")
        def listen(event):
            channel = event.channel
            channel.onmessage = lambda message: channel.send(f"you said: {message.data}")

        pc.onconnectionstatechange = lambda _: print("bot:", pc.connectionState)
        await Negotiator(pc, signaling, polite=True).run()
        voice.stop()
        picture.stop()


async def caller(signaling):
    """Somebody who calls the bot. In life this is a browser, and `signaling` a WebSocket."""
    async with RTCPeerConnection() as pc, Negotiator(pc, signaling, polite=False):
        tracks = [synthetic_track("audio"), synthetic_track("video")]
        for track in tracks:
            pc.addTrack(track)
        channel = pc.createDataChannel("chat")
        async with pc.events("track") as arriving, channel.events("message") as messages:
            await channel.opened()
            channel.send("hello")
            print("caller: the bot answers", repr((await anext(messages)).data))
            for _ in tracks:
                track = (await anext(arriving)).track
                print("caller: the bot sends", await track.recv())
        for track in tracks:
            track.stop()
    await signaling.close()


async def main():
    here, there = memory_pair()
    await asyncio.gather(bot(there), caller(here))


asyncio.run(main())
