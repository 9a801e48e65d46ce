"""``rtcpeer whip``: a file, a stream or a device to a WHIP endpoint.

Owns: the player and its end. Never: the requests (`rtcpeer.signaling`), the watching (`call`).
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import av

from rtcpeer.cli.report import Reporter, refuse
from rtcpeer.cli.whip.call import OK, WatchedCall, failure, totals
from rtcpeer.errors import RtcPeerError, RTCSyntaxError
from rtcpeer.media.player import MediaPlayer
from rtcpeer.signaling.http.whip_client import WhipClient
from rtcpeer.supervisor.peer import SupervisedPeer

# what was read last still has to be encoded, sent and perhaps repeated
_FLUSH = 0.5


def device_format(name: str) -> str | None:
    """The libav format for the name of a device; None: it is a file or URL, whose content tells."""
    if re.fullmatch(r"/dev/video\d+", name):
        return "v4l2"
    if sys.platform == "darwin" and re.fullmatch(r"\d+(:\d+)?", name):
        return "avfoundation"
    return None


async def run_publish(
    source: str,
    url: str,
    *,
    token: str | None = None,
    format: str | None = None,
    loop: bool = False,
    seconds: float | None = None,
    wait: float = 30.0,
    as_json: bool = False,
) -> int:
    """Publish until the source ends, the time is over or Ctrl-C; the exit status."""
    report = Reporter(as_json=as_json)
    try:
        channel = WhipClient(url, token=token)
        player = await asyncio.to_thread(
            MediaPlayer, source, format or device_format(source), None, 10.0, loop
        )
    except (RTCSyntaxError, av.error.FFmpegError, OSError, ValueError) as error:
        return refuse(error)
    tracks = [track for track in (player.audio, player.video) if track is not None]
    peer = SupervisedPeer(channel)
    for track in tracks:
        peer.addTrack(track)

    async def numbers() -> dict[str, Any]:
        sums = await totals(peer, "outbound-rtp")
        return {"sent_bytes": sums["bytes"], "packets": sums["packets"], "frames": sums["frames"]}

    async def finish() -> int:
        report("ended", status=OK)
        return OK

    async def play() -> None:
        await asyncio.gather(*(_ended(track) for track in tracks))
        await asyncio.sleep(_FLUSH)

    report("publishing", source=source, url=url, kinds=[track.kind for track in tracks])
    try:
        call = WatchedCall(peer, report, wait=wait)
        return await call.run(play, seconds=seconds, numbers=numbers, finish=finish)
    except (RtcPeerError, TimeoutError) as error:
        return failure(report, error)
    finally:
        player.stop()
        await peer.close()


async def _ended(track: Any) -> None:
    over = asyncio.Event()
    track.addEventListener("ended", lambda _: over.set())
    if track.readyState != "ended":
        await over.wait()
