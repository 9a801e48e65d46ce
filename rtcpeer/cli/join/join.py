"""``rtcpeer join``: be in a call: see who is there, play a file, record what arrives.

Owns: the player, the recorders, the output. Never: the call's services.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import av

from rtcpeer.calls.call import Call
from rtcpeer.calls.events import (
    CallEvent,
    Ended,
    EndReason,
    Message,
    ParticipantAway,
    ParticipantBack,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    Reconnecting,
    TrackMuted,
    TrackSubscribed,
    TrackUnsubscribed,
)
from rtcpeer.calls.joining import join
from rtcpeer.cli.join.recording import CallRecorder
from rtcpeer.cli.join.table import LiveTable
from rtcpeer.cli.report import Reporter, refuse
from rtcpeer.cli.running import INTERRUPTED, settle, stop_event, unfinished
from rtcpeer.errors import RtcPeerError
from rtcpeer.media.player import MediaPlayer

OK, FAILED = 0, 1


async def run_join(
    url: str,
    *,
    name: str | None = None,
    token: str | None = None,
    play: str | None = None,
    record: Path | None = None,
    seconds: float | None = None,
    wait: float = 30.0,
    as_json: bool = False,
) -> int:
    """Be in the call until it ends, the time is over or Ctrl-C; the exit status."""
    report = Reporter(as_json=as_json)
    stopped = stop_event()
    logging.getLogger("rtcpeer.signaling").addHandler(logging.NullHandler())
    try:
        joining = join(url, name=name, token=token, timeout=wait)
        player = await asyncio.to_thread(MediaPlayer, play, None, None, 10.0, True) if play else None
        if record is not None:
            await asyncio.to_thread(record.mkdir, parents=True, exist_ok=True)
    except (av.error.FFmpegError, OSError, ValueError, TypeError) as error:
        return refuse(error)
    entering = asyncio.ensure_future(joining)
    stopping = asyncio.ensure_future(stopped.wait())
    recorder = CallRecorder(record) if record is not None else None
    try:
        await asyncio.wait([entering, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not entering.done():
            report("interrupted")
            return INTERRUPTED
        call = entering.result()
        report("joined", id=call.id)
        return await _stay(call, report, player, recorder, stopping, seconds, table=not as_json)
    except (RtcPeerError, TimeoutError) as error:
        report("failed", error=str(error))
        return FAILED
    finally:
        for task in (entering, stopping):
            task.cancel()
        await asyncio.wait([entering, stopping])
        if player is not None:
            player.stop()


async def _stay(
    call: Call,
    report: Reporter,
    player: MediaPlayer | None,
    recorder: CallRecorder | None,
    stopping: asyncio.Future[Any],
    seconds: float | None,
    *,
    table: bool,
) -> int:
    shown = LiveTable(call, report, wanted=table)
    async with call:
        following = asyncio.ensure_future(_follow(call, shown, recorder))
        try:
            for track in (player.audio, player.video) if player is not None else ():
                if track is not None:
                    await call.publish(track)
            with unfinished():
                await asyncio.wait(
                    [following, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if recorder is not None:  # while the tracks still live
                    for path in await recorder.close():
                        shown("recorded", file=str(path))
                if stopping.done():
                    settle(OK)
            await call.close()
            await following
        finally:
            following.cancel()
            await asyncio.wait([following])
            shown.clear()
    end = call.ended
    return OK if end is None or end.reason in (EndReason.LEFT, EndReason.ROOM_CLOSED) else FAILED


async def _follow(call: Call, shown: LiveTable, recorder: CallRecorder | None) -> None:
    async for event in call.events():
        try:
            await _take(event, shown, recorder)
        except (av.error.FFmpegError, OSError) as error:
            shown("not-recorded", error=str(error))


async def _take(event: CallEvent, report: LiveTable, recorder: CallRecorder | None) -> None:
    match event:
        case ParticipantJoined(participant):
            report("participant", name=participant.name or participant.id, id=participant.id)
        case ParticipantLeft(participant, reason):
            report("left", name=participant.name or participant.id, reason=reason)
        case ParticipantUpdated(participant):
            said = json.dumps(dict(participant.metadata), default=str)[:1000]
            report("updated", name=participant.name or participant.id, metadata=said)
        case ParticipantAway(participant):
            report("away", name=participant.name or participant.id)
        case ParticipantBack(participant):
            report("back", name=participant.name or participant.id)
        case TrackSubscribed(participant, track, name, kind):
            owner = participant.name or participant.id
            details = {}
            if recorder is not None:
                details["file"] = str(await recorder.begin(track, owner, name))
            report("track", name=owner, track=name, kind=kind, **details)
        case TrackUnsubscribed(participant, track, name, _):
            report("track-ended", name=participant.name or participant.id, track=name)
            if recorder is not None and (path := await recorder.end(track)) is not None:
                report("recorded", file=str(path))
        case TrackMuted(participant, name, muted):
            report("muted" if muted else "unmuted", name=participant.name or participant.id, track=name)
        case Message(sender, data):
            said = (
                data
                if isinstance(data, str)
                else f"{len(data)} bytes"
                if isinstance(data, bytes)
                else repr(data)
            )
            report("message", name=sender.name or sender.id if sender else "somebody", text=said[:1000])
        case Reconnecting(reason, participant):
            report("reconnecting", reason=reason, to=participant and (participant.name or participant.id))
        case Reconnected(participant):
            report("reconnected", to=participant and (participant.name or participant.id))
        case Ended(reason, error):
            report("ended", reason=reason, error=None if error is None else str(error))
