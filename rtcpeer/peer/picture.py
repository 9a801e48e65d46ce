"""The picture of a connection that `explain` reads: plain records, taken in one moment.

Owns: where each fact is found. Never: a judgement, a change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rtcpeer.peer.findings import ConnectionPicture, TransportPicture
from rtcpeer.values import DataChannelState, IceTransportPolicy

if TYPE_CHECKING:
    from rtcpeer.peer.session import PeerSession
    from rtcpeer.peer.transportlink import TransportLink


def take_picture(session: PeerSession) -> ConnectionPicture:
    """What this connection knows now; works before there is a loop and after `close()`."""
    try:
        now = asyncio.get_running_loop().time()
    except RuntimeError:
        now = 0.0  # nothing runs yet, or nothing runs here: ages mean nothing then
    if session.closed:
        return ConnectionPicture(now, closed=True)
    state = session.engine.state
    data = session.executor.data
    ice = session.settings.ice
    return ConnectionPicture(
        now,
        state=session.aggregates.connection,
        signaling=state.signaling,
        has_local=state.local_description is not None,
        has_remote=state.remote_description is not None,
        needs_negotiation=session.engine.negotiation_needed(),
        servers=tuple(entry.url.url for entry in session.manager.entries),
        relay_only=session.manager.current.iceTransportPolicy == IceTransportPolicy.RELAY,
        transports=tuple(
            _take_transport(session, link) for _, link in sorted(session.executor.transports.items())
        ),
        sctp=None if data.core is None else data.core.state,
        channels_waiting=sum(
            channel.face.readyState is DataChannelState.CONNECTING for channel in data.channels
        ),
        silence_allowed=ice.disconnected_after + ice.failed_after,
    )


def _take_transport(session: PeerSession, link: TransportLink) -> TransportPicture:
    return TransportPicture(
        mids=tuple(mid for mid, transport in session.engine.state.bindings if transport == link.id),
        ice=link.agent.stats(),
        gathering=link.agent.gathering_state,
        gathering_since=link.gathering_since,
        errors=tuple(link.errors),
        signaled=len(link.ice.remote_candidates()),
        dtls=link.dtls.state,
        dtls_error=link.dtls.error,
    )
