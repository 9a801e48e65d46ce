"""RTCIceTransport and RTCIceCandidatePair (webrtc-pc 5.6), each a view over what the core keeps.

Owns: the states that listeners see, and the order of a change: set, let the connection derive its own states,
tell the transport's listeners, let the connection tell its listeners. Also which candidates were signaled.
Never: sockets or descriptions.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from rtcpeer.ice.agent.listener import IceCandidateError, SelectedPair
from rtcpeer.media.event_target import Event, close_events, fire, handler
from rtcpeer.peer.descriptions import RTCIceCandidate, candidate_of, parsed_candidate
from rtcpeer.peer.listening import IceTransportEvents
from rtcpeer.peer.transport_owner import TransportOwner
from rtcpeer.records import record
from rtcpeer.values import Candidate, IceGatheringState, IceParameters, IceRole, IceTransportState

if TYPE_CHECKING:
    from rtcpeer.ice.agent.agent import IceAgent

ICE_UP = (IceTransportState.CONNECTED, IceTransportState.COMPLETED)


class IceTransportCore:
    """State of one ICE transport of a connection. Implements `rtcpeer.ice.agent.listener.IceListener`.

    Args:
        owner: the connection.
        id: of the engine's transport record.

    Attributes:
        agent: set it (once) right after the agent was made with this core as its listener.
        state: [[IceTransportState]].
        gathering_state: [[IceGathererState]].
        selected_pair: [[SelectedCandidatePair]].
    """

    def __init__(self, owner: TransportOwner, id: int = 0) -> None:
        self.owner = owner
        self.id = id
        self.agent: IceAgent | None = None
        self.state: IceTransportState = IceTransportState.NEW
        self.gathering_state: IceGatheringState = IceGatheringState.NEW
        self.selected_pair: RTCIceCandidatePair | None = None
        self._told_pair: SelectedPair | None = None
        # told before the state that belongs to it
        self._next_pair: SelectedPair | None = None
        self._face: RTCIceTransport | None = None
        # of the generations that may still matter
        self._local = _Signaled()
        self._remote = _Signaled()

    @property
    def face(self) -> RTCIceTransport:
        """The RTCIceTransport."""
        if self._face is None:
            self._face = RTCIceTransport(self)
        return self._face

    @face.setter
    def face(self, face: RTCIceTransport) -> None:
        # a program that was written for other conventions is shown another class (`rtcpeer.aiortc`)
        self._face = face

    @property
    def role(self) -> IceRole:
        """[[IceRole]]."""
        return IceRole.UNKNOWN if self.agent is None else self.agent.role

    # -- told by the agent -------------------------------------------------------------------------

    def on_state(self, state: IceTransportState) -> None:
        """Implements `IceListener.on_state`. Pair and state belong to one step, whichever is told first."""
        pair, self._next_pair = self._next_pair or self._told_pair, None
        if state in ICE_UP and self._agent_is_up():
            pair = (self.agent.selected_pair if self.agent is not None else None) or pair
        self._change(state, pair)

    def on_selected_pair(self, pair: SelectedPair) -> None:
        """Implements `IceListener.on_selected_pair`."""
        if self.state not in ICE_UP and self._agent_is_up():
            # the news that it is connected are on their way, and will take the pair along
            self._next_pair = pair
        else:
            self._change(self.state, pair)

    def _agent_is_up(self) -> bool:
        return self.agent is not None and self.agent.state in ICE_UP

    def _change(self, state: IceTransportState, pair: SelectedPair | None) -> None:
        """webrtc-pc 5.6 "change the selected candidate pair and state"."""
        # 2
        if self.state is IceTransportState.CLOSED:
            return
        pair_changed = pair != self._told_pair
        state_changed = state is not self.state
        if not pair_changed and not state_changed:
            return
        # 8
        if pair_changed:
            self._told_pair = pair
            self.selected_pair = None if pair is None else self._face_pair(pair)
        # 9
        self.state = state
        announce = self.owner.ice_changed()
        # 10 to 13
        if pair_changed:
            self._fire("selectedcandidatepairchange")
        if state_changed:
            self._fire("statechange")
        announce()

    def on_gathering_state(self, state: IceGatheringState) -> None:
        """Implements `IceListener`; webrtc-pc 5.6: the last candidate of a generation precedes the change."""
        if self.state is IceTransportState.CLOSED:
            return
        if state is IceGatheringState.COMPLETE:
            self.owner.ice_candidate(None)
        if state is self.gathering_state or self._is_closed():
            return
        self.gathering_state = state
        announce = self.owner.ice_gathering_changed()
        self._fire("gatheringstatechange")
        announce()

    def on_candidate(self, candidate: Candidate) -> None:
        """Implements `IceListener.on_candidate`."""
        if not self._is_closed():
            self.owner.ice_candidate(candidate)

    def on_candidate_error(self, error: IceCandidateError) -> None:
        """Implements `IceListener.on_candidate_error`."""
        if not self._is_closed():
            self.owner.ice_candidate_error(error)

    def on_role(self, role: IceRole) -> None:
        """Implements `IceListener.on_role`. W3C has no event for it; `role` asks the agent."""

    def on_network_change(self) -> None:
        """Implements `IceListener.on_network_change`."""
        if not self._is_closed():
            self.owner.ice_network_changed()

    # -- told by the connection --------------------------------------------------------------------

    def add_local(self, candidate: RTCIceCandidate) -> None:
        """A local candidate that was surfaced in ``icecandidate``."""
        current = None if self.agent is None else self.agent.local_parameters
        self._local.add(candidate.usernameFragment, candidate, current)

    def add_remote(self, candidate: RTCIceCandidate, ufrag: str | None = None) -> None:
        """A remote candidate that was signaled; `ufrag` when the candidate does not say it."""
        current = None if self.agent is None else self.agent.remote_parameters
        ufrag = candidate.usernameFragment or ufrag or (current.ufrag if current is not None else None)
        self._remote.add(ufrag, candidate, current)

    def close(self, *, announce: bool = False) -> None:
        """Become closed; with events only when the connection lives on (its section was bundled away)."""
        if self._is_closed():
            return
        if announce:
            self._change(IceTransportState.CLOSED, self._told_pair)
        self.state = IceTransportState.CLOSED
        if self._face is not None:
            close_events(self._face)

    def release(self) -> None:
        """Closed for good: the connection is not needed any more."""
        del self.owner

    # -- asked by the face -------------------------------------------------------------------------

    def local_candidates(self) -> list[RTCIceCandidate]:
        """The surfaced local candidates of the agent's current generation."""
        return self._local.of_generation(None if self.agent is None else self.agent.local_parameters)

    def remote_candidates(self) -> list[RTCIceCandidate]:
        """The signaled remote candidates of the current generation: no peer-reflexive ones."""
        return self._remote.of_generation(None if self.agent is None else self.agent.remote_parameters)

    # -- inside ------------------------------------------------------------------------------------

    def _is_closed(self) -> bool:
        return self.state is IceTransportState.CLOSED

    def _fire(self, type: str) -> None:
        if self._face is not None:
            fire(self._face, Event(type))

    def _face_pair(self, pair: SelectedPair) -> RTCIceCandidatePair:
        return RTCIceCandidatePair(_known(self._local, pair.local), _known(self._remote, pair.remote))


# How many candidates of one generation are remembered; more are checked, but not listed.
_MAX_SIGNALED = 1000


class _Signaled:
    """The candidates of one side that were signaled, by the generation (ufrag) that they belong to."""

    __slots__ = ("_generations",)

    def __init__(self) -> None:
        # dicts keep the order and know at once what they have
        self._generations: dict[str | None, dict[RTCIceCandidate, None]] = {}

    def add(self, ufrag: str | None, candidate: RTCIceCandidate, current: IceParameters | None) -> None:
        """Add a candidate; those of generations that are neither its own nor the current one are over."""
        if parsed_candidate(candidate) is None:
            return
        if ufrag not in self._generations:
            kept = None if current is None else current.ufrag
            self._generations = {k: v for k, v in self._generations.items() if k == kept}
            self._generations[ufrag] = {}
        known = self._generations[ufrag]
        if len(known) < _MAX_SIGNALED:
            known[candidate] = None

    def of_generation(self, current: IceParameters | None) -> list[RTCIceCandidate]:
        """The candidates of the current generation, or of any when none is known yet."""
        return [
            candidate
            for ufrag, candidates in self._generations.items()
            if current is None or ufrag in (None, current.ufrag)
            for candidate in candidates
        ]

    def newest_first(self) -> list[RTCIceCandidate]:
        """All of them."""
        return [c for known in reversed(self._generations.values()) for c in reversed(known)]


def _known(known: _Signaled, wanted: Candidate) -> RTCIceCandidate:
    """The candidate as it was signaled, or one made from what the agent knows (a peer-reflexive one).

    Deviation from webrtc-pc 4.8.1.3: "By default, the user agent MUST leave the address attribute as null for
    any exposed remote candidate." That protects users from pages; here the program is the user's own.
    """
    signaled = known.newest_first()
    for candidate in signaled:
        parsed = parsed_candidate(candidate)
        if parsed is not None and _address(parsed) == _address(wanted):
            return candidate
    for candidate in signaled:
        parsed = parsed_candidate(candidate)  # an mDNS name, which the agent has resolved
        if (
            parsed is not None
            and parsed.address.endswith(".local")
            and _identity(parsed) == _identity(wanted)
        ):
            return candidate
    return candidate_of(wanted, ufrag=wanted.ufrag)


def _address(candidate: Candidate) -> tuple[str, str, int]:
    return candidate.protocol, candidate.address, candidate.port


def _identity(candidate: Candidate) -> tuple[str, str, int, int]:
    return candidate.protocol, candidate.foundation, candidate.priority, candidate.port


@record(frozen=True, slots=True)
class RTCIceParameters:
    """Credentials of one side (webrtc-pc 5.6.4)."""

    usernameFragment: str
    password: str = field(repr=False)
    iceLite: bool = False


class RTCIceCandidatePair:
    """The candidates between which data flows (webrtc-pc 5.6.5). Read-only."""

    __slots__ = ("_local", "_remote")

    def __init__(self, local: RTCIceCandidate | None = None, remote: RTCIceCandidate | None = None) -> None:
        if local is None or remote is None:
            raise TypeError("Illegal constructor: pairs come from getSelectedCandidatePair()")
        self._local = local
        self._remote = remote

    @property
    def local(self) -> RTCIceCandidate:
        """The local candidate."""
        return self._local

    @property
    def remote(self) -> RTCIceCandidate:
        """The remote candidate."""
        return self._remote

    def __repr__(self) -> str:
        local, remote = parsed_candidate(self._local), parsed_candidate(self._remote)
        if local is None or remote is None:
            return "<RTCIceCandidatePair>"
        return (
            f"<RTCIceCandidatePair {local.type.value} {local.address}:{local.port} -> "
            f"{remote.type.value} {remote.address}:{remote.port}>"
        )


class RTCIceTransport(IceTransportEvents):
    """The ICE transport of one or more media sections (webrtc-pc 5.6).

    Events: statechange, gatheringstatechange, selectedcandidatepairchange.
    """

    onstatechange: handler[Event] = handler("statechange")
    ongatheringstatechange: handler[Event] = handler("gatheringstatechange")
    onselectedcandidatepairchange: handler[Event] = handler("selectedcandidatepairchange")

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, IceTransportCore):
            raise TypeError("Illegal constructor: ICE transports are made by descriptions")
        self._core = core

    @property
    def role(self) -> IceRole:
        """Whether we decide which pair is used: "controlling", "controlled" or "unknown"."""
        return self._core.role

    @property
    def component(self) -> str:
        """Always "rtp": RTCP is multiplexed."""
        return "rtp"

    @property
    def state(self) -> IceTransportState:
        """The state of the transport (webrtc-pc 5.6.2)."""
        return self._core.state

    @property
    def gatheringState(self) -> IceGatheringState:
        """The gathering state: "new", "gathering" or "complete"."""
        return self._core.gathering_state

    def getLocalCandidates(self) -> list[RTCIceCandidate]:
        """Our candidates, as given out in ``icecandidate``."""
        return self._core.local_candidates()

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:
        """The other end's candidates, as signaled."""
        return self._core.remote_candidates()

    def getSelectedCandidatePair(self) -> RTCIceCandidatePair | None:
        """The pair that is in use; None when there is none yet, or the transport is closed."""
        if self._core.state in (IceTransportState.NEW, IceTransportState.CLOSED):
            return None
        return self._core.selected_pair

    def getLocalParameters(self) -> RTCIceParameters | None:
        """Our credentials; None before a local description."""
        return _parameters(None if self._core.agent is None else self._core.agent.local_parameters)

    def getRemoteParameters(self) -> RTCIceParameters | None:
        """The other end's credentials; None before its description."""
        return _parameters(None if self._core.agent is None else self._core.agent.remote_parameters)

    def __repr__(self) -> str:
        return f"<RTCIceTransport {self.state.value}, {self.role.value}>"


def _parameters(inner: IceParameters | None) -> RTCIceParameters | None:
    return None if inner is None else RTCIceParameters(inner.ufrag, inner.pwd, inner.lite)
