"""PeerTransport: one ICE agent with its DTLS transport, linked to a connection.

The floors below call in the middle of their own work, and in the middle of ours. Here their news become tasks of
the loop ("queue a task"), in order; only what must not wait is done at once: a path that came back wakes
the timers of DTLS and SCTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.errors import RTCError
from rtcpeer.ice.agent.agent import IceAgent
from rtcpeer.ice.agent.listener import IceCandidateError, SelectedPair
from rtcpeer.jsep.effects import LocalCandidate
from rtcpeer.peer.core.context import ConnectionContext
from rtcpeer.peer.descriptions import candidate_of
from rtcpeer.peer.events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
from rtcpeer.peer.ice_transport import ICE_UP
from rtcpeer.peer.transports import Announcement, DtlsTransportCore, IceTransportCore
from rtcpeer.sdp.model import SdpSession
from rtcpeer.values import (
    Candidate,
    DtlsRole,
    DtlsTransportState,
    Fingerprint,
    IceGatheringState,
    IceRole,
    IceTransportState,
)

# server errors that are kept per transport, for `explain()`
_ERRORS_KEPT = 32


class PeerTransport:
    """One transport of a connection: ICE agent, DTLS, and their cores. Implements `TransportOwner`.

    Attributes:
        id: the engine's name for it.
        agent, dtls_transport: what does the work.
        ice, dtls: what the user sees.
        errors: why servers gave no candidate, newest last, of the newest gathering; bounded.
        gathering_since: when the newest gathering began, by the loop's clock.
    """

    def __init__(self, session: ConnectionContext, id: int) -> None:
        self.id = id
        self._session = session
        self._name = f"{session.name}/{id}"
        self.errors: deque[IceCandidateError] = deque(maxlen=_ERRORS_KEPT)
        self.gathering_since: float | None = None
        # where the other side's candidates stand, as long as bindings and description are the same
        self._section_for: tuple[int, int, object, tuple[str | None, int | None]] | None = None
        self.ice: IceTransportCore = IceTransportCore(self)
        self._listener = _QueuedIce(self, session)
        self.agent: IceAgent = IceAgent(
            session.network,
            session.ice_settings(),
            IceRole.UNKNOWN,
            self._listener,
            name=self._name,
        )
        self.ice.agent = self.agent
        self.dtls: DtlsTransportCore = DtlsTransportCore(self, self.ice)
        self._make_dtls()

    def _make_dtls(self) -> None:
        self._dtls_listener = _QueuedDtls(self, self._session)
        self.dtls_transport: DtlsTransport = DtlsTransport(
            self.agent,
            self._session.certificates[0],
            self._dtls_listener,
            alternatives=self._session.certificates[1:],
            name=self._name,
        )
        self.dtls.transport = self.dtls_transport

    # --- told by the executor ---------------------------------------------------------------------

    def start_dtls(self, role: DtlsRole, fingerprints: Sequence[Fingerprint]) -> None:
        """Begin the handshake, or take the fingerprints of a later description."""
        if self.dtls_transport.state is DtlsTransportState.NEW:
            self.dtls_transport.start(role, fingerprints)
        else:
            self.dtls_transport.update_fingerprints(fingerprints)

    def replace_dtls(self) -> None:
        """The other end has a new certificate: a new association (RFC 8842 section 5.5).

        With new ICE credentials too it is another end; what the one before still sends must not reach the handshake.
        """
        self.dtls_transport.stop()
        self.agent.disown_older()
        self._make_dtls()
        self.dtls.on_dtls_state(DtlsTransportState.NEW, None)

    def add_remote_candidate(self, candidate: Candidate) -> None:
        """A candidate of the other side, from a description or trickled."""
        mid, index = self._remote_section()
        face = candidate_of(candidate, mid=mid, mline_index=index, ufrag=candidate.ufrag)
        self.ice.add_remote(face)
        self.agent.add_remote_candidate(candidate)

    def _remote_section(self) -> tuple[str | None, int | None]:
        """The mid, if it was said, and the index of the first section of the other side that uses this transport."""
        state = self._session.engine.state
        remote = None if state.remote_description is None else state.remote_description.session
        if self._section_for is None or self._section_for[:2] != (id(state.bindings), id(remote)):
            found = self._find_section(state.bindings, remote)
            # both are kept, so that their ids stay theirs
            self._section_for = id(state.bindings), id(remote), (state.bindings, remote), found
        return self._section_for[3]

    def _find_section(
        self, bindings: tuple[tuple[str, int], ...], remote: SdpSession | None
    ) -> tuple[str | None, int | None]:
        ours = {mid for mid, transport in bindings if transport == self.id}
        for index, media in enumerate(() if remote is None else remote.media):
            if media.mid in ours:
                return None if media.mid_implied else media.mid, index
        return None, None

    def fail(self, error: Exception) -> Awaitable[Any]:
        """Fail, as a description could not be carried out: DTLS ends as failed; the awaitable ends when it is gone."""
        self._dtls_listener.release()
        reason = RTCError(
            "dtls-failure", f"the transport could not be set up: {error or type(error).__name__}"
        )
        self._session.queue_task(self.dtls.on_dtls_state, DtlsTransportState.FAILED, reason)
        return self.dtls_transport.stop()

    def wake(self) -> None:
        """Send at once what waits for a timer: there is a path (again)."""
        self.dtls_transport.wake()

    def close(self) -> list[Awaitable[Any]]:
        """Stop DTLS, then ICE; nothing is told."""
        waits = [self.dtls_transport.stop(), self.agent.close()]
        if self._session.closed:
            self.dtls.close()
            self.ice.close()
        return waits

    def release(self) -> None:
        """Cut all ties: nobody below or above knows this transport any more, and no cycle waits for the collector."""
        self._listener.release()
        self._dtls_listener.release()
        self.agent.release()
        self.ice.release()
        self.dtls.release()
        del self._session

    def announce_closed(self) -> None:
        """Tell the listeners of the transports that this one was closed while the connection lives on."""
        self.dtls.close(announce=True)
        self.ice.close(announce=True)

    # --- TransportOwner ---------------------------------------------------------------------------

    def ice_changed(self) -> Announcement:
        """Implements `TransportOwner.ice_changed`."""
        if self.ice.state in ICE_UP:
            self._session.queue_task(self.dtls.on_path)  # its news follow those of ICE
        return self._session.aggregates.derive()

    def ice_gathering_changed(self) -> Announcement:
        """Implements `TransportOwner.ice_gathering_changed`."""
        if self.ice.gathering_state is IceGatheringState.GATHERING:
            self.gathering_since = asyncio.get_running_loop().time()
            self.errors.clear()
        return self._session.aggregates.derive_gathering()

    def ice_candidate(self, candidate: Candidate | None) -> None:
        """Implements `TransportOwner.ice_candidate`: into the descriptions, and out as an event."""
        session = self._session
        record = session.engine.state.transport(self.id)
        if candidate is not None:
            ufrag = candidate.ufrag
        else:
            ufrag = None if record is None or record.local is None else record.local.ufrag
        if session.closed or record is None or ufrag is None:
            return
        plan = session.engine.plan_local_candidate(self.id, ufrag, candidate)
        session.engine.commit(plan)
        for effect in plan.announce:
            if not isinstance(effect, LocalCandidate):
                continue
            face = candidate_of(
                effect.candidate,
                mid=effect.mid,
                mline_index=effect.mline_index,
                ufrag=effect.ufrag,
                text=effect.text,
            )
            if candidate is not None:
                self.ice.add_local(face)
            url = None if candidate is None else candidate.url
            session.fire(RTCPeerConnectionIceEvent("icecandidate", {"candidate": face, "url": url}))

    def ice_candidate_error(self, error: IceCandidateError) -> None:
        """Implements `TransportOwner.ice_candidate_error`."""
        self.errors.append(error)
        init = {
            "address": error.address,
            "port": error.port,
            "url": error.url,
            "errorCode": error.error_code,
            "errorText": error.error_text,
        }
        self._session.fire(RTCPeerConnectionIceErrorEvent("icecandidateerror", init))

    def ice_network_changed(self) -> None:
        """Implements `TransportOwner.ice_network_changed`."""
        self._session.network_changed()

    def dtls_changed(self) -> Announcement:
        """Implements `TransportOwner.dtls_changed`."""
        return self._session.aggregates.derive_connection()


class _QueuedIce:
    """Makes tasks of an agent's news. Implements `rtcpeer.ice.agent.listener.IceListener`."""

    __slots__ = ("_is_up", "_link", "_session")

    def __init__(self, link: PeerTransport, session: ConnectionContext) -> None:
        self._link: PeerTransport | None = link
        self._session: ConnectionContext | None = session
        self._is_up = False

    def release(self) -> None:
        """Let go of the connection; nothing is told any more."""
        self._link = self._session = None

    def _queue(self, step: Callable[..., None], *args: Any) -> None:
        if self._session is not None and self._link is not None:
            self._session.queue_task(step, self._link.ice, *args)

    def on_candidate(self, candidate: Candidate) -> None:
        self._queue(IceTransportCore.on_candidate, candidate)

    def on_gathering_state(self, state: IceGatheringState) -> None:
        self._queue(IceTransportCore.on_gathering_state, state)

    def on_candidate_error(self, error: IceCandidateError) -> None:
        self._queue(IceTransportCore.on_candidate_error, error)

    def on_state(self, state: IceTransportState) -> None:
        was_up, self._is_up = self._is_up, state in ICE_UP
        if self._is_up and not was_up:
            self.on_wake()
        self._queue(IceTransportCore.on_state, state)

    def on_wake(self) -> None:
        if self._link is not None:
            self._link.wake()

    def on_selected_pair(self, pair: SelectedPair) -> None:
        # while there was no path, the state follows and tells of this one
        if self._is_up:
            self.on_wake()
        self._queue(IceTransportCore.on_selected_pair, pair)

    def on_role(self, role: IceRole) -> None:
        self._queue(IceTransportCore.on_role, role)

    def on_network_change(self) -> None:
        self._queue(IceTransportCore.on_network_change)


class _QueuedDtls:
    """Makes tasks of a DTLS transport's news. Implements `rtcpeer.dtls.transport.DtlsListener`."""

    __slots__ = ("_link", "_session")

    def __init__(self, link: PeerTransport, session: ConnectionContext) -> None:
        self._link: PeerTransport | None = link
        self._session: ConnectionContext | None = session

    def release(self) -> None:
        """Tell nothing any more."""
        self._link = self._session = None

    def on_dtls_state(self, state: DtlsTransportState, error: RTCError | None) -> None:
        if self._session is not None and self._link is not None:
            self._session.queue_task(self._link.dtls.on_dtls_state, state, error)
