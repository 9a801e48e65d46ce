"""Offers, answers and candidates with aiortc's conventions.

Owns: what was created last, in aiortc's order and as the engine knows it; candidates that came early. Never:
negotiation itself, which is the session's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiortc import RTCIceCandidate, RTCSessionDescription

from rtcpeer.aiortc import values, wording
from rtcpeer.errors import InvalidModificationError
from rtcpeer.jsep.descriptions import Description
from rtcpeer.peer.descriptions import DescriptionInit, read_candidate
from rtcpeer.peer.errors import InvalidAccessError, InvalidStateError, OperationError, RTCError, w3c_errors
from rtcpeer.peer.parameters import read_offer_options
from rtcpeer.peer.session.session import PeerSession

logger = logging.getLogger("aiortc.rtcpeerconnection")

# in which signaling states aiortc takes a description: (local, type)
_ALLOWED = {
    (True, "offer"): ("stable", "have-local-offer"),
    (True, "answer"): ("have-remote-offer", "have-local-pranswer"),
    (False, "offer"): ("stable", "have-remote-offer"),
    (False, "answer"): ("have-local-offer", "have-remote-pranswer"),
}


class Negotiation:
    """The offer/answer exchange of one connection.

    Args:
        session: the connection.
    """

    def __init__(self, session: PeerSession) -> None:
        self._session = session
        # by type, what createOffer and createAnswer gave last: in aiortc's order, and as the engine knows it
        self._made: dict[str, tuple[str, str]] = {}
        # remote candidates that came before the description that they belong to
        self._early: list[Any] = []

    def check_open(self) -> None:
        """Refuse to go on after `close()`.

        Raises:
            InvalidStateError: the connection is closed.
        """
        if self._session.closed:
            raise InvalidStateError("RTCPeerConnection is closed")

    @w3c_errors
    async def create_offer(self, options: Any, keywords: Mapping[str, Any]) -> RTCSessionDescription:
        """An offer in aiortc's order."""
        self.check_open()
        return self._worded("offer", await self._session.create_offer(read_offer_options(options, keywords)))

    @w3c_errors
    async def create_answer(self) -> RTCSessionDescription:
        """An answer in aiortc's order."""
        self.check_open()
        state = self._session.engine.state.signaling
        if state not in ("have-remote-offer", "have-local-pranswer"):
            raise InvalidStateError(f'Cannot create answer in signaling state "{state}"')
        return self._worded("answer", await self._session.create_answer())

    def _worded(self, type: str, made: str) -> RTCSessionDescription:
        """A new description in aiortc's order; `set_local` knows it again."""
        text = wording.in_aiortcs_order(made)
        self._made[type] = (text, made)
        return RTCSessionDescription(sdp=text, type=type)

    def shown(self, description: Description | None) -> Any:
        """A description as aiortc's class; ours in aiortc's order."""
        if description is None:
            return None
        text, state = description.text, self._session.engine.state
        if description is not state.current_remote and description is not state.pending_remote:
            text = wording.in_aiortcs_order(text)
        return RTCSessionDescription(sdp=text, type=description.type.value)

    def check_type(self, type: str | None, *, local: bool) -> None:
        """Refuse a description that does not fit the signaling state, in aiortc's words.

        Raises:
            InvalidStateError: it does not fit, or the connection is closed.
        """
        self.check_open()
        allowed = _ALLOWED.get((local, str(type)))
        state = self._session.engine.state.signaling
        if allowed is not None and state not in allowed:
            raise InvalidStateError(f'Cannot handle {type} in signaling state "{state}"')

    @w3c_errors
    async def set_local(self, given: DescriptionInit) -> None:
        """Apply a local description; when it was edited, what was created is applied, with a warning."""
        try:
            text, made = self._made.get(str(given.type), ("", ""))
            sdp = made if given.sdp == text else given.sdp
            await self._session.set_local_description(given.type, sdp)
        except InvalidModificationError:
            logger.warning(
                "the local description was edited; what createOffer or createAnswer gave is applied"
            )
            await self._session.set_local_description(given.type, "")

    async def set_remote(self, given: DescriptionInit) -> None:
        """Apply a description of the other side.

        Raises:
            ValueError: it cannot be read, or does not fit.
            OperationError: it is an offer of nothing but media without a common codec.
            InvalidStateError: closed, or an offer while ours is pending (aiortc does not roll back).
        """
        self.check_type(given.type, local=False)
        if given.type == "offer":
            wording.check_usable(given.sdp)
        try:
            await self._apply_remote(given)
        except (RTCError, InvalidAccessError) as error:
            state = self._session.engine.state
            offered = self.shown(state.local_description) if given.type in ("answer", "pranswer") else None
            words = wording.refusal(given.sdp, str(given.type), offered.sdp if offered else None)
            raise values.InvalidDescriptionError(words or str(error)) from error

    @w3c_errors
    async def _apply_remote(self, given: DescriptionInit) -> None:
        assert given.type is not None
        await self._session.set_remote_description(given.type, given.sdp)

    def take_early_candidates(self) -> list[Any]:
        """Candidates that came before their description; they are not kept any longer."""
        early, self._early = self._early, []
        return early

    async def add_candidate(self, candidate: Any, members: Mapping[str, Any]) -> None:
        """Add a candidate of the other side; see `RTCPeerConnection.addIceCandidate`."""
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
        if self._session.engine.state.remote_description is None:
            logger.warning("RTCPeerConnection addIceCandidate called without remote description")
            self._early.append(candidate)
            return
        try:
            await self._apply_candidate(candidate)
        except OperationError as error:
            logger.warning("RTCPeerConnection addIceCandidate ignores %s: %s", candidate, error)

    @w3c_errors
    async def _apply_candidate(self, candidate: Any) -> None:
        if isinstance(candidate, str):
            candidate = {"candidate": candidate}
        init = read_candidate(candidate)
        await self._session.add_ice_candidate(init.candidate, init.mid, init.mline_index, init.ufrag)
