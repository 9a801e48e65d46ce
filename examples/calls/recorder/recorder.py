"""A bot that records each track of a call into a file of its own, as it arrives: nothing is decoded or encoded."""

import sys
from pathlib import Path

from rtcpeer import MediaRecorder, join, run
from rtcpeer.calls import TrackSubscribed, TrackUnsubscribed


def file_name(folder, participant, name):
    who = "".join(c for c in participant.name or participant.id if c.isalnum())
    return str(Path(folder) / f"{who}-{name}.mkv")


async def bot(url, folder):
    recorders = {}
    try:
        async with join(url, name="recorder") as call:
            async for event in call.events():
                match event:
                    case TrackSubscribed(participant, track, name):
                        recorders[track] = MediaRecorder(file_name(folder, participant, name))
                        recorders[track].addTrack(track)
                        await recorders[track].start()
                        print("recording:", name, "of", participant.name)
                    case TrackUnsubscribed(_, track):
                        await recorders.pop(track).stop()  # the file is whole, even if Ctrl-C comes now
    finally:
        for recorder in recorders.values():
            await recorder.stop()


if __name__ == "__main__":
    run(bot(*sys.argv[1:]))
