"""A bot that answers what it is told, and shows everybody what it is shown."""

import sys

from rtcpeer import join, run
from rtcpeer.calls import Ended, Message, ParticipantJoined, TrackSubscribed, TrackUnsubscribed


async def bot(url):
    echoes = {}
    async with join(url, name="echo") as call:
        async for event in call.events():
            match event:
                case ParticipantJoined(participant):
                    print("came:", participant.name)
                case TrackSubscribed(_, track):
                    echoes[track] = await call.publish(track)
                case TrackUnsubscribed(_, track):
                    await echoes.pop(track).unpublish()
                case Message(sender, data):
                    await call.send(f"you said: {data}", sender)
                case Ended(reason):
                    print("over:", reason)


if __name__ == "__main__":
    run(bot(sys.argv[1]))
