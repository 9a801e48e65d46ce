"""Rollback: back to the last stable state (webrtc-pc 4.4.1.5 "set a session description", 4.7.12; RFC 8829 4.1.10.2).

What W3C keeps is kept: directions, preferences, tracks, stop(), and transceivers that a user made or touched
with addTrack.
Current descriptions are not restored but kept: an offer never changes them, while candidates may have joined them.
"""

from __future__ import annotations

from rtcpeer.jsep import transceivers
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import (
    AttachData,
    CloseData,
    CloseTransport,
    ConfigureReceiver,
    ConfigureSender,
    RollbackIce,
)
from rtcpeer.jsep.remote_tracks import process_remote_tracks
from rtcpeer.jsep.state import SessionState, Transceiver
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import SignalingState


def apply_rollback(draft: Draft, stable: SessionState) -> None:
    """Undo what the pending offer did."""
    remote = draft.base.signaling is SignalingState.HAVE_REMOTE_OFFER
    _transports(draft, stable)
    # 4.7.12.3
    stood = {t.id: t for t in stable.transceivers}
    for record in draft.transceivers:
        before = stood.get(record.id)
        if before is None:
            _created_since(draft, record, remote=remote)
        else:
            _restore(draft, record, before, remote=remote)
    # 4.7.12.2
    if draft.data is not None:  # an offer ends no association that there was
        if stable.data is None:
            draft.start.append(CloseData(rolled_back=True))
        elif draft.data.transport != stable.data.transport:
            draft.start.append(AttachData(stable.data.transport))
    draft.data = stable.data


def _transports(draft: Draft, stable: SessionState) -> None:
    """Close what the offer made; forget the ICE generation that it began on what was there."""
    old = {t.id: t for t in stable.transports}
    for id in [i for i in draft.transports if i not in old]:
        del draft.transports[id]
        draft.start.append(CloseTransport(id))
    for id, before in old.items():
        now = draft.transports.get(id, before)
        if now.local != before.local or now.remote != before.remote:
            draft.start.append(RollbackIce(id))
            draft.transports[id] = before
        else:
            draft.transports[id] = now
    draft.bindings = dict(stable.bindings)


def _created_since(draft: Draft, record: Transceiver, *, remote: bool) -> None:
    """A transceiver that is younger than the stable state: disassociate it, or drop it with the offer that made it."""
    if remote:
        # 4.7.12.3.6
        record = process_remote_tracks(draft, record, record.current_direction, ())
    # 4.7.12.3.7
    if record.created_by_remote and not record.used_add_track:
        transceivers.stop(draft, record)
        draft.remove(record.id)
        return
    if record.transport is not None:
        # 4.7.12.3.1, 4.7.12.3.2 and 4.7.12.3.4
        record = draft.attach(record, None)
    if record.receive_parameters is not None:
        draft.start.append(ConfigureReceiver(record.id, None))
    encodings = record.encodings
    if record.created_by_remote and any(e.rid is not None for e in encodings):
        # it would have begun with one encoding without a rid, had the user made it
        fresh = transceivers.default_encoding(record.kind)
        encodings = (replace(fresh, ssrc=encodings[0].ssrc, rtx_ssrc=encodings[0].rtx_ssrc),)
    draft.put(
        replace(
            record,
            mid=None,
            jsep_mid=None,
            mline_index=None,
            receive_codecs=(),
            receive_parameters=None,
            encodings=encodings,
            parameters_revision=_revision(record, encodings),
            made_by_add_track=record.made_by_add_track or record.created_by_remote,
        )
    )


def _restore(draft: Draft, record: Transceiver, before: Transceiver, *, remote: bool) -> None:
    """Restore the last-stable slots of a transceiver that there was already."""
    if record.transport != before.transport:
        # 4.7.12.3.2 and 4.7.12.3.4
        record = draft.attach(record, before.transport)
    if remote and not record.stopped:
        # 4.7.12.3.6
        record = process_remote_tracks(draft, record, record.current_direction, before.remote_stream_ids)
    encodings = record.encodings
    # 4.7.12.3.3
    ridless = all(e.rid is None for e in before.encodings)
    if ridless and any(e.rid is not None for e in encodings):
        encodings = before.encodings
    # 4.7.12.3.5
    receiving = before.receive_parameters
    if record.stopping:
        receiving = None
    elif record.receive_parameters != receiving:
        draft.start.append(ConfigureReceiver(record.id, receiving))
    sending = record.send_parameters
    if sending is not None and before.send_parameters is not None:
        sending = replace(sending, active=before.send_parameters.active)
        if sending != record.send_parameters:
            draft.start.append(ConfigureSender(record.id, sending))
    draft.put(
        replace(
            record,
            send_parameters=sending,
            mid=before.mid,
            jsep_mid=before.jsep_mid,
            mline_index=before.mline_index,
            encodings=encodings,
            parameters_revision=_revision(record, encodings),
            receive_codecs=before.receive_codecs,
            receive_parameters=receiving,
        )
    )


def _revision(record: Transceiver, encodings: tuple[SendEncoding, ...]) -> int:
    """The revision of the parameters: another one when the encodings change back."""
    return record.parameters_revision + (encodings != record.encodings)
