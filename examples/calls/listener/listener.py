"""A bot that listens at 16 kHz, as speech recognition wants it, and stops to speak when somebody interrupts."""

import asyncio
import math
import sys
from array import array

from rtcpeer import AudioSource, AudioTap, join, run
from rtcpeer.calls import Message, TrackSubscribed

LOUD = 500
SPEECH = array("h", (int(9000 * math.sin(n / 12)) for n in range(24000 * 10)))  # a synthesizer would be here


def loudness(samples):
    values = array("h", samples)
    return math.sqrt(sum(v * v for v in values) / len(values))


async def listen(track, voice, name):
    async for samples in AudioTap(track):  # 20 ms of 16 kHz mono: give them to a recognizer
        if voice.buffered and loudness(samples) > LOUD:
            print(f"{name} interrupts: {voice.clear():.1f} s are not said")


async def bot(url):
    voice, tasks = AudioSource(sample_rate=24000), set()
    async with join(url, name="listener") as call:
        await call.publish(voice, name="voice")
        async for event in call.events():
            match event:
                case TrackSubscribed(participant, track, _, "audio"):
                    tasks.add(asyncio.create_task(listen(track, voice, participant.name)))
                case Message(sender, "speak"):
                    voice.write_nowait(SPEECH)
                    await call.send("speaking", sender)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    run(bot(sys.argv[1]))
