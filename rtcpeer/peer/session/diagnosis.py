"""Snapshot of a connection for `explain`: plain records, taken in one moment.

Owns: where each fact is found. Never: a judgement, a change.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from rtcpeer.errors import RTCError
from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.agent.stats import AgentStats
from rtcpeer.records import record
from rtcpeer.values import (
    DataChannelState,
    DtlsTransportState,
    IceGatheringState,
    IceTransportPolicy,
    PeerConnectionState,
    SctpTransportState,
    SignalingState,
)

if TYPE_CHECKING:
    from rtcpeer.peer.session.session import PeerSession
    from rtcpeer.peer.session.transport import PeerTransport


def take_snapshot(session: PeerSession) -> ConnectionSnapshot:
    """A snapshot of all that this connection knows now; works before there is a loop and after `close()`."""
    try:
        now = asyncio.get_running_loop().time()
    except RuntimeError:
        now = 0.0  # nothing runs yet, or nothing runs here: ages mean nothing then
    if session.closed:
        return ConnectionSnapshot(now, closed=True)
    state = session.engine.state
    data = session.executor.data
    ice = session.settings.ice
    return ConnectionSnapshot(
        now,
        state=session.aggregates.connection,
        signaling=state.signaling,
        has_local=state.local_description is not None,
        has_remote=state.remote_description is not None,
        needs_negotiation=session.engine.negotiation_needed(),
        servers=tuple(entry.url.url for entry in session.manager.entries),
        relay_only=session.manager.current.iceTransportPolicy == IceTransportPolicy.RELAY,
        transports=tuple(
            _snapshot_transport(session, link) for _, link in sorted(session.executor.transports.items())
        ),
        sctp=None if data.core is None else data.core.state,
        channels_waiting=sum(
            channel.face.readyState is DataChannelState.CONNECTING for channel in data.channels
        ),
        silence_allowed=ice.disconnected_after + ice.failed_after,
        notices="" if session.negotiator is None else str(session.negotiator.notices),
    )


def _snapshot_transport(session: PeerSession, link: PeerTransport) -> TransportSnapshot:
    return TransportSnapshot(
        mids=tuple(mid for mid, transport in session.engine.state.bindings if transport == link.id),
        ice=link.agent.stats(),
        gathering=link.agent.gathering_state,
        gathering_since=link.gathering_since,
        errors=tuple(link.errors),
        signaled=len(link.ice.remote_candidates()),
        dtls=link.dtls.state,
        dtls_error=link.dtls.error,
        dtls_doubt=link.dtls_transport.doubt,
        undecrypted_for=link.dtls_transport.undecrypted_for,
    )


# ---- Findings of `explain`, and the meaning of servers' error codes. No credential is in a snapshot.


_TEXT_LIMIT = 200


class Level(StrEnum):
    """Kind of a finding: something wrong, something that is awaited, or a plain fact."""

    PROBLEM = "problem"
    WAITING = "waiting"
    FACT = "fact"


@record(frozen=True, slots=True)
class Finding:
    """One statement of a diagnosis; `str(finding)` is its text.

    Attributes:
        code: machine-readable, such as "waits-for-answer"; docs/troubleshooting.md lists them.
        text: one or two English sentences.
        level: "problem", "waiting" or "fact".
    """

    code: str
    text: str
    level: Level = Level.FACT

    def __str__(self) -> str:
        return self.text


@record(frozen=True, slots=True)
class TransportSnapshot:
    """State of one transport, as far as the connection knows it.

    Attributes:
        mids: of the sections that use it.
        ice: the agent's statistics.
        gathering: of the newest generation; gathering_since: when that began.
        errors: of the newest gathering.
        signaled: how many candidates of the other side were handed to us for this generation.
        dtls, dtls_error: state, and why it failed.
        dtls_doubt: why the handshake under way may fail soon; not authenticated.
        undecrypted_for: seconds for which media that arrive could not be decrypted.
    """

    mids: tuple[str, ...]
    ice: AgentStats
    gathering: IceGatheringState
    gathering_since: float | None = None
    errors: tuple[IceCandidateError, ...] = ()
    signaled: int = 0
    dtls: DtlsTransportState = DtlsTransportState.NEW
    dtls_error: RTCError | None = None
    dtls_doubt: RTCError | None = None
    undecrypted_for: float = 0.0


@record(frozen=True, slots=True)
class ConnectionSnapshot:
    """State of a connection at one moment.

    Attributes:
        now: the loop's clock; all times are on it.
        servers: the URLs of the configuration in force.
        relay_only: iceTransportPolicy is "relay".
        needs_negotiation: an offer would change something.
        sctp: state of the association, None when there is none.
        channels_waiting: data channels that are not open yet.
        silence_allowed: seconds from ``disconnected`` to ``failed``, counted from the last packet.
        notices: what the negotiator says of messages that were of no use, without the full stop; "": nothing.
    """

    now: float
    closed: bool = False
    state: PeerConnectionState = PeerConnectionState.NEW
    signaling: SignalingState = SignalingState.STABLE
    has_local: bool = False
    has_remote: bool = False
    needs_negotiation: bool = False
    servers: tuple[str, ...] = ()
    relay_only: bool = False
    transports: tuple[TransportSnapshot, ...] = ()
    sctp: SctpTransportState | None = None
    channels_waiting: int = 0
    silence_allowed: float = 30.0
    notices: str = ""


#: What STUN error codes mean for whoever set up the server or the credential (RFC 8489 14.8, RFC 8656 19).
_SERVER_PROBLEMS = {
    300: "it sends us to another server that does not help either (300)",
    400: "it calls the request bad (400)",
    401: "it refuses the credential (401): wrong or expired",
    403: "it forbids this user or peer (403)",
    420: "it does not understand the request (420)",
    437: "it mixes us up with an earlier client (437)",
    438: "it calls every nonce stale (438)",
    440: "it has no address of this family (440)",
    441: "it refuses the credential (441): the allocation belongs to another user",
    442: "it does not relay UDP (442)",
    486: "this user has reached its quota of allocations (486)",
    508: "it has no capacity left (508)",
}


def server_problem(code: int, text: str) -> str:
    """The meaning of an error of a STUN or TURN server, as the end of a sentence."""
    said = printable(text).rstrip(".")
    known = _SERVER_PROBLEMS.get(code)
    if known is not None:
        return f'{known}; it says "{said}"' if said and code not in (401, 438) else known
    return said or f"error {code}" if code == 701 else f'error {code}, it says "{said}"'


def printable(text: str) -> str:
    """Text from elsewhere, bounded and without control characters: it goes to terminals and logs."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: _TEXT_LIMIT + 1])
    return clean if len(clean) <= _TEXT_LIMIT else f"{clean[: _TEXT_LIMIT - 3]}..."
