"""Descriptions, candidates and states with aiortc's conventions: the part of the connection that negotiates.

Owns: the conventions. Never: negotiation itself, which is the base class's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any

from aiortc import RTCIceCandidate, RTCSessionDescription

from rtcpeer.aiortc import values, wording
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.aiortc.gathering import GatheringPatience, gather
from rtcpeer.errors import InvalidModificationError
from rtcpeer.jsep.descriptions import Description
from rtcpeer.peer import connection as w3c
from rtcpeer.peer.descriptions import DescriptionInit, RTCSessionDescriptionInit, read_description
from rtcpeer.peer.errors import InvalidAccessError, InvalidStateError, OperationError, RTCError
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.values import IceTransportState, PeerConnectionState

logger = logging.getLogger("aiortc.rtcpeerconnection")

# in which signaling states aiortc takes a description: (local, type)
_ALLOWED = {
    (True, "offer"): ("stable", "have-local-offer"),
    (True, "answer"): ("have-remote-offer", "have-local-pranswer"),
    (False, "offer"): ("stable", "have-remote-offer"),
    (False, "answer"): ("have-local-offer", "have-remote-pranswer"),
}
_UP = (IceTransportState.CONNECTED, IceTransportState.COMPLETED)
_ICE_CONNECTING = IceTransportState.CHECKING


class _Hold(Enum):
    """What is kept back while programs cannot listen yet."""

    ALL = "all"
    CONNECTED = "connected"
    NOTHING = "nothing"


class NegotiatingConnection(Emitter, w3c.RTCPeerConnection):  # type: ignore[misc]  # `on` is pyee's
    """Offers, answers, candidates and states; see `rtcpeer.aiortc.RTCPeerConnection`."""

    def __init__(self, configuration: Any, settings: PeerSettings | None, members: Mapping[str, Any]) -> None:
        Emitter.__init__(self)
        # as last emitted
        self._ice_state_told = IceTransportState.NEW
        self._state_told = PeerConnectionState.NEW
        self._hold = _Hold.NOTHING
        # whether it has ever been connected
        self._was_up = False
        # by type, what createOffer and createAnswer gave last: in aiortc's order, and as the engine knows it
        self._made: dict[str, tuple[str, str]] = {}
        # remote candidates that came before the description that they belong to
        self._early: list[Any] = []
        w3c.RTCPeerConnection.__init__(self, configuration, settings=settings, **members)

    patience: GatheringPatience = GatheringPatience()

    def show_as_aiortcs(self) -> None:
        """Show what negotiation has made as the classes of this package."""
        raise NotImplementedError

    # --- descriptions -----------------------------------------------------------------------------

    async def createOffer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> RTCSessionDescription:
        """Make an offer; `iceRestart` asks for new ICE credentials."""
        self._check_open()
        return self._worded(await super().createOffer(options, **keywords))

    async def createAnswer(  # type: ignore[override]
        self, options: Mapping[str, Any] | None = None
    ) -> RTCSessionDescription:
        """Make an answer to the remote offer."""
        self._check_open()
        if self.signalingState not in ("have-remote-offer", "have-local-pranswer"):
            raise InvalidStateError(f'Cannot create answer in signaling state "{self.signalingState}"')
        return self._worded(await super().createAnswer(options))

    def _worded(self, made: RTCSessionDescriptionInit) -> RTCSessionDescription:
        """A new description in aiortc's order; `setLocalDescription` knows it again."""
        text = wording.in_aiortcs_order(made.sdp)
        self._made[made.type.value] = (text, made.sdp)
        return RTCSessionDescription(sdp=text, type=made.type.value)

    async def setLocalDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a local description and wait for candidates: `localDescription` is then fit to be sent.

        A silent server does not hold it up for long, see `patience`. An edited description is refused by W3C and
        changes nothing in aiortc that the other side would not hear from the text: what was created is applied,
        with a warning.
        """
        self._check_open()
        given = read_description(sessionDescription, local=True, **keywords)
        self._check_type(given.type, local=True)
        with self._holding_news():
            async with self.events("icecandidate", "icegatheringstatechange") as news:
                await self._apply_local(given)
                self.show_as_aiortcs()
                if given.type != "rollback":
                    await gather(self._session, news, self.patience)

    async def _apply_local(self, given: DescriptionInit) -> None:
        try:
            text, made = self._made.get(str(given.type), ("", ""))
            await super().setLocalDescription(type=given.type, sdp=made if given.sdp == text else given.sdp)
        except InvalidModificationError:
            logger.warning(
                "the local description was edited; what createOffer or createAnswer gave is applied"
            )
            await super().setLocalDescription(type=given.type)

    async def setRemoteDescription(  # type: ignore[override]
        self, sessionDescription: Any = None, **keywords: Any
    ) -> None:
        """Apply a description of the other side.

        Raises:
            ValueError: it cannot be read, or does not fit.
            OperationError: it is an offer of nothing but media without a common codec.
            InvalidStateError: closed, or an offer while ours is pending (aiortc does not roll back).
        """
        given = read_description(sessionDescription, **keywords)
        self._check_open()
        self._check_type(given.type, local=False)
        if given.type == "offer":
            wording.check_usable(given.sdp)
        try:
            await super().setRemoteDescription(type=given.type, sdp=given.sdp)
        except (RTCError, InvalidAccessError) as error:
            offered = self.localDescription if given.type in ("answer", "pranswer") else None
            words = wording.refusal(given.sdp, str(given.type), offered.sdp if offered else None)
            raise values.InvalidDescriptionError(words or str(error)) from error
        self.show_as_aiortcs()
        # what the transports have to tell comes in turns of its own: "new" is over when checks have begun
        for _turn in range(2):
            await asyncio.sleep(0)
        self.news()
        early, self._early = self._early, []
        for candidate in early:
            await self.addIceCandidate(candidate)

    async def addIceCandidate(self, candidate: Any = None, **members: Any) -> None:
        """Add a candidate of the other side; None says that no more will come.

        One that comes before its description waits for it, and one that belongs to no section is ignored.

        Args:
            candidate: aiortc's `RTCIceCandidate` (as `aiortc.sdp.candidate_from_sdp` makes it), rtcpeer's, a mapping
                from a browser, or None.
            **members: of a candidate, as keywords (rtcpeer's way).

        Raises:
            ValueError: it says neither sdpMid nor sdpMLineIndex.
        """
        if members:
            candidate = {"candidate": candidate or "", **members}
        if (
            isinstance(candidate, RTCIceCandidate)
            and candidate.sdpMid is None
            and candidate.sdpMLineIndex is None
        ):
            raise ValueError("Candidate must have either sdpMid or sdpMLineIndex")
        if self._session.closed:
            return
        if self.remoteDescription is None:
            logger.warning("RTCPeerConnection addIceCandidate called without remote description")
            self._early.append(candidate)
            return
        try:
            await super().addIceCandidate(candidate)
        except OperationError as error:
            logger.warning("RTCPeerConnection addIceCandidate ignores %s: %s", candidate, error)

    @contextmanager
    def _holding_news(self) -> Iterator[None]:
        """While our first description is applied no state changes.

        aiortc begins to connect when the call ends, so that programs add what async listeners of "connecting" need
        right after it; here the connection may even be there by then.
        """
        if self._state_told is not PeerConnectionState.NEW:
            yield
            self.news()
            return
        self._hold = _Hold.ALL
        try:
            yield
        finally:
            self._hold = _Hold.CONNECTED
            self.tell_states()
            # an async listener looks at the state in the next turn
            asyncio.get_running_loop().call_soon(self._show_connected)

    def _show_connected(self) -> None:
        self._hold = _Hold.NOTHING
        self.news()

    def news(self) -> None:
        """Some state has changed."""
        self._was_up = self._was_up or super().iceConnectionState in _UP
        if self._hold is _Hold.NOTHING:
            self.tell_states()

    def _shown(self, description: Description | None) -> Any:
        if description is None:
            return None
        text, state = description.text, self._session.engine.state
        if description is not state.current_remote and description is not state.pending_remote:
            text = wording.in_aiortcs_order(text)
        return RTCSessionDescription(sdp=text, type=description.type.value)

    def _check_open(self) -> None:
        if self._session.closed:
            raise InvalidStateError("RTCPeerConnection is closed")

    def _check_type(self, type: str | None, *, local: bool) -> None:
        allowed = _ALLOWED.get((local, str(type)))
        if allowed is not None and self.signalingState not in allowed:
            raise InvalidStateError(f'Cannot handle {type} in signaling state "{self.signalingState}"')

    # --- states -----------------------------------------------------------------------------------

    @property
    def iceConnectionState(self) -> IceTransportState:
        """As in aiortc "completed" is the state of a connection that works; there is no "connected".

        Nor is there "disconnected" before it: programs give up then, while candidates may still be on their way.
        """
        state = super().iceConnectionState
        if self._hold is _Hold.ALL and state is not IceTransportState.CLOSED:
            return self._ice_state_told
        if state in _UP:
            return _ICE_CONNECTING if self._hold is _Hold.CONNECTED else IceTransportState.COMPLETED
        early = state is IceTransportState.DISCONNECTED and not self._was_up
        if early or (state is IceTransportState.NEW and self._has_both_descriptions()):
            return _ICE_CONNECTING
        return state

    @property
    def connectionState(self) -> PeerConnectionState:
        """As in aiortc it is "connecting" once both descriptions are applied, whether candidates came or not."""
        state = super().connectionState
        if self._hold is _Hold.ALL and state is not PeerConnectionState.CLOSED:
            return self._state_told
        early = state is PeerConnectionState.DISCONNECTED and not self._was_up
        held = state is PeerConnectionState.CONNECTED and self._hold is _Hold.CONNECTED
        if early or held or (state is PeerConnectionState.NEW and self._has_both_descriptions()):
            return PeerConnectionState.CONNECTING
        return state

    def _has_both_descriptions(self) -> bool:
        state = self._session.engine.state
        both = state.local_description is not None and state.remote_description is not None
        return both and bool(self._session.executor.transports)

    def tell_states(self) -> None:
        """Emit the state changes that listeners have not heard of."""
        if self.iceConnectionState != self._ice_state_told:
            self._ice_state_told = self.iceConnectionState
            self.emit("iceconnectionstatechange")
        if self.connectionState != self._state_told:
            self._state_told = self.connectionState
            self.emit("connectionstatechange")
