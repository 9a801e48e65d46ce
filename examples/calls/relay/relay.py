"""A bot that is in two calls and carries each into the other: tracks are forwarded, not decoded."""

import asyncio
import sys

from rtcpeer import join, run
from rtcpeer.calls import Ended, Message, TrackSubscribed, TrackUnsubscribed


async def carry(here, there):
    carried = {}
    async for event in here.events():
        match event:
            case TrackSubscribed(participant, track, name):
                print("carrying:", name, "of", participant.name)
                carried[track] = await there.publish(track)
            case TrackUnsubscribed(_, track):
                await carried.pop(track).unpublish()
            case Message(sender, str(text)):
                await there.send(f"{sender.name if sender else 'somebody'}: {text}")
            case Ended(reason):
                print("over:", reason)


async def bot(first, second):
    async with join(first, name="relay") as one, join(second, name="relay") as two:
        both = [asyncio.create_task(carry(one, two)), asyncio.create_task(carry(two, one))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(both)  # the other call is over now, too


if __name__ == "__main__":
    run(bot(*sys.argv[1:]))
