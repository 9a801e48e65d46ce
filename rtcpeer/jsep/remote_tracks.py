"""Remote tracks: "process remote tracks" and its helpers (webrtc-pc 5.1.1), as announcements in their order."""

from __future__ import annotations

from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import AddRemoteTrack, ConfigureReceiver, FireTrack, MuteTrack, RemoveRemoteTrack
from rtcpeer.jsep.state import Transceiver
from rtcpeer.records import replace
from rtcpeer.values import Direction


def process_remote_tracks(
    draft: Draft, record: Transceiver, direction: Direction | None, msids: tuple[str, ...]
) -> Transceiver:
    """Process remote tracks; ``direction`` is ours, None = never negotiated (rollback)."""
    before = len(draft.additions)
    # 1
    fired = record.announced
    record = set_associated_streams(draft, record, msids)
    receives = direction is not None and direction.receives
    # 2
    if receives and (not fired or len(draft.additions) > before):
        draft.tracks.append(FireTrack(record.id, msids))
    # 3 and 4
    if fired and not receives:
        draft.mutes.append(MuteTrack(record.id))
        record = _unreceptive(draft, record)
    # 5
    return draft.put(replace(record, fired_direction=direction))


def _unreceptive(draft: Draft, record: Transceiver) -> Transceiver:
    """[[Receptive]] becomes false: what still arrives is dropped, until an answer or a rollback says otherwise."""
    parameters = record.receive_parameters
    if parameters is None or not parameters.active:
        return record
    parameters = replace(parameters, active=False)
    draft.start.append(ConfigureReceiver(record.id, parameters))
    return draft.put(replace(record, receive_parameters=parameters))


def set_associated_streams(draft: Draft, record: Transceiver, msids: tuple[str, ...]) -> Transceiver:
    """Set the associated remote streams."""
    old = record.remote_stream_ids
    # "set the associated remote streams", 5
    draft.removals += [RemoveRemoteTrack(record.id, stream) for stream in old if stream not in msids]
    # 6
    draft.additions += [AddRemoteTrack(record.id, stream) for stream in msids if stream not in old]
    # 7; streams are made when they are first named (2, by the executor)
    return draft.put(replace(record, remote_stream_ids=msids))


def withdraw_track(draft: Draft, record: Transceiver) -> Transceiver:
    """We answered that we no longer receive: the track leaves its streams and is muted."""
    record = set_associated_streams(draft, record, ())
    draft.mutes.append(MuteTrack(record.id))
    return record
