"""Transceiver records: making, finding and stopping them (webrtc-pc 5.1, 5.4).

Pure functions from a draft and a record to the record that follows.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import ConfigureReceiver, ConfigureSender, CreateTransceiver, StopTransceiver
from rtcpeer.jsep.inputs import TransceiverInit
from rtcpeer.jsep.state import Transceiver
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Direction, MediaKind


def create(
    draft: Draft,
    init: TransceiverInit,
    identifier: Callable[[], str],
    ssrc: Callable[[], int],
    *,
    by_remote: bool = False,
    remote_track_id: str | None = None,
) -> Transceiver:
    """Create an RTCRtpTransceiver with its sender and receiver; it joins the set."""
    encodings = init.encodings or (default_encoding(init.kind),)
    # webrtc-extensions: [[HeaderExtensionsToNegotiate]] is that of the first transceiver of the same kind
    first = next((t for t in draft.transceivers if t.kind is init.kind and not t.stopping), None)
    record = Transceiver(
        id=draft.next_transceiver,
        kind=init.kind,
        direction=init.direction,
        has_track=init.track_id is not None,
        track_id=sender_id(draft, init.track_id, identifier),
        stream_ids=tuple(dict.fromkeys(init.stream_ids)),
        encodings=tuple([with_ssrcs(e, init.kind, ssrc) for e in encodings]),
        extensions_to_negotiate=None if first is None else first.extensions_to_negotiate,
        made_by_add_track=init.pairs_with_remote,
        created_by_remote=by_remote,
        remote_track_id=remote_track_id,
    )
    draft.next_transceiver += 1
    draft.put(record)
    draft.prepare.append(CreateTransceiver(record.id, record.kind, by_remote, remote_track_id))
    return record


def sender_id(draft: Draft, track_id: str | None, identifier: Callable[[], str]) -> str:
    """The name of a sender in ``a=msid``: the id of its first track, unless another sender is called so already.

    One track may be sent twice, but RFC 8830 section 2 has no two sections with the same identifiers.
    """
    if track_id is None or any(t.track_id == track_id for t in draft.transceivers):
        return identifier()
    return track_id


def default_encoding(kind: MediaKind) -> SendEncoding:
    """The single encoding of a sender that was given none (webrtc-pc "create an RTCRtpSender")."""
    return SendEncoding(scale_resolution_down_by=1.0 if kind is MediaKind.VIDEO else None)


def with_ssrcs(encoding: SendEncoding, kind: MediaKind, ssrc: Callable[[], int]) -> SendEncoding:
    """The encoding with SSRCs drawn."""
    return replace(
        encoding,
        ssrc=encoding.ssrc or ssrc(),
        rtx_ssrc=encoding.rtx_ssrc or (ssrc() if kind is MediaKind.VIDEO else None),
    )


def stop_sending_and_receiving(draft: Draft, record: Transceiver) -> Transceiver:
    """webrtc-pc 5.4 "stop sending and receiving"; 3 to 5 are the executor's."""
    draft.start.append(StopTransceiver(record.id))
    if record.receive_parameters is not None:
        draft.start.append(ConfigureReceiver(record.id, None))
    if record.send_parameters is not None:
        draft.start.append(ConfigureSender(record.id, None))
    return draft.put(
        replace(
            record, direction=Direction.INACTIVE, stopping=True, send_parameters=None, receive_parameters=None
        )
    )


def stop(draft: Draft, record: Transceiver) -> Transceiver:
    """webrtc-pc 5.4 "stop the RTCRtpTransceiver": 2, then 3 to 7."""
    if not record.stopping:
        record = stop_sending_and_receiving(draft, record)
    return draft.put(replace(record, stopped=True, current_direction=None, remote_stream_ids=()))


def is_reusable_for_track(record: Transceiver, kind: MediaKind) -> bool:
    """The criteria of addTrack for a sender that can be used (webrtc-pc 5.1)."""
    return record.kind is kind and not record.has_track and not record.stopping and not record.has_sent
