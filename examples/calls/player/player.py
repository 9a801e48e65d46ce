"""A bot that plays a file into a call, again and again."""

import sys

from rtcpeer import MediaPlayer, join, run


async def bot(url, file):
    player = MediaPlayer(file, loop=True)
    try:
        async with join(url, name="player") as call:
            for track in (player.audio, player.video):
                if track is not None:
                    await call.publish(track)
            print("over:", (await call.closed()).reason)
    finally:
        player.stop()


if __name__ == "__main__":
    run(bot(*sys.argv[1:]))
