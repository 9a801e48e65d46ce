"""Check if negotiation is needed (webrtc-pc 4.7.3).  Pure; the queue of operations and the event belong to the peer."""

from __future__ import annotations

from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.extensions import intersect
from rtcpeer.jsep.state import SessionState, Transceiver
from rtcpeer.sdp.model import Media
from rtcpeer.values import SdpType


def negotiation_needed(state: SessionState) -> bool:
    """Whether what the connection is differs from what was agreed on."""
    # 2; 1 (what an implementation needs besides) is `data_wanted` and the credentials of replaced servers
    if state.credentials_to_replace:
        return True
    local = state.current_local
    # 4
    if state.data_wanted:
        sections = [m for m in local.session.media if m.is_data] if local is not None else []
        # our own description: a data section that the other side rejected does not ask again and again
        if all(m.rejected for m in sections):
            return True
    # 5
    return any(_transceiver_needs(state, local, record) for record in state.transceivers)


def _section(description: Description | None, record: Transceiver) -> Media | None:
    """The section of a description that the transceiver is associated with."""
    if description is None or record.mid is None:
        return None
    index = description.session.find(record.mid)
    return description.session.media[index] if index is not None else None


def _transceiver_needs(state: SessionState, local: Description | None, record: Transceiver) -> bool:
    # 5.1
    if record.stopping and not record.stopped:
        return True
    ours = _section(local, record)
    theirs = _section(state.current_remote, record)
    # 5.4
    if record.stopped:
        known = [section for section in (ours, theirs) if section is not None]
        return bool(known) and not any(section.rejected for section in known)
    # 5.2
    if ours is None or local is None:
        return True
    # 5.3.1
    if record.direction.sends and _streams_of(ours) != _wanted_streams(record):
        return True
    # 5.3.2
    if local.type is SdpType.OFFER:
        seen = {ours.direction}
        if theirs is not None:
            seen.add(theirs.direction.reversed)
        return record.direction not in seen
    # 5.3.3
    offered = theirs.direction.reversed if theirs is not None else ours.direction
    return ours.direction is not intersect(record.direction, offered)


def _streams_of(section: Media) -> frozenset[str] | None:
    """The streams in ``a=msid`` lines; None when there is no such line."""
    if not section.msids:
        return None
    return frozenset(m.stream for m in section.msids if m.stream != "-")


def _wanted_streams(record: Transceiver) -> frozenset[str]:
    return frozenset(record.stream_ids)
