"""``rtcpeer whep``: from a WHEP endpoint into a file.

Owns: the recorder and its end. Never: the requests (`rtcpeer.signaling`), the watching (`call`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import av

from rtcpeer.cli.report import Reporter, refuse
from rtcpeer.cli.whip.call import FAILED, OK, WatchedCall, failure, totals
from rtcpeer.errors import RtcPeerError, RTCSyntaxError
from rtcpeer.media.recorder import MediaRecorder
from rtcpeer.signaling.http.whip_client import WhepClient
from rtcpeer.supervisor.peer import SupervisedPeer


async def run_play(
    url: str,
    output: Path,
    *,
    token: str | None = None,
    seconds: float | None = None,
    wait: float = 30.0,
    as_json: bool = False,
) -> int:
    """Record until the publisher ends, the time is over or Ctrl-C; the exit status."""
    report = Reporter(as_json=as_json)
    try:
        channel = WhepClient(url, token=token)
        recorder = MediaRecorder(str(output))
    except (RTCSyntaxError, av.error.FFmpegError, OSError, ValueError) as error:
        return refuse(error)
    peer = SupervisedPeer(channel)
    kinds: list[str] = []

    def take(event: Any) -> None:
        kinds.append(event.track.kind)
        recorder.addTrack(event.track)

    peer.addEventListener("track", take)
    for kind in ("audio", "video"):
        peer.addTransceiver(kind, {"direction": "recvonly"})

    async def numbers() -> dict[str, Any]:
        sums = await totals(peer, "inbound-rtp")
        return {"received_bytes": sums["bytes"], "frames": sums["frames"], "lost": sums["lost"]}

    async def record() -> None:
        report("recording", file=str(output), kinds=sorted(kinds))
        await asyncio.Event().wait()

    async def finish() -> int:
        await recorder.stop()
        size = await asyncio.to_thread(_size, output)
        report("saved" if size else "nothing-received", file=str(output), bytes=size)
        return OK if size else FAILED

    report("playing", url=url)
    try:
        await recorder.start()
        call = WatchedCall(peer, report, wait=wait)
        return await call.run(record, seconds=seconds, numbers=numbers, finish=finish)
    except (RtcPeerError, TimeoutError) as error:
        status = failure(report, error)
        await finish()
        return status
    finally:
        await peer.close()
        await recorder.stop()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
