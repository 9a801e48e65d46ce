"""The JSEP engine: plans every change of a session, and commits it in one assignment.

Owns: the one `SessionState` of a connection.
Never: I/O, clock, chance (it comes in through `Entropy`), logging, a half-made change.

Every ``plan_...`` method is a pure function of (state, settings, arguments, entropy): it raises and nothing has
happened, or it gives a `Plan`.  `commit` makes the plan's state the present one.  How the effects of a plan are
carried out stands at the head of `rtcpeer.jsep.effects`.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.errors import (
    InvalidModificationError,
    InvalidStateError,
)
from rtcpeer.jsep import candidates, codecs, transceivers
from rtcpeer.jsep import set_description as applying
from rtcpeer.jsep.create_answer import make_answer
from rtcpeer.jsep.create_offer import basis, make_offer
from rtcpeer.jsep.descriptions import Description
from rtcpeer.jsep.descriptions import make as make_description
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import (
    Announce,
    Plan,
    SignalingStateChanged,
    StateHolder,
    UpdateNegotiationNeeded,
)
from rtcpeer.jsep.inputs import EngineSettings, Entropy, OfferOptions, PlanContext, TransceiverInit
from rtcpeer.jsep.negotiation_needed import negotiation_needed
from rtcpeer.jsep.operations import Operations
from rtcpeer.jsep.rollback import apply_rollback
from rtcpeer.jsep.state import Created, SessionState
from rtcpeer.jsep.transitions import TRANSITIONS
from rtcpeer.jsep.validation import check_remote, complete
from rtcpeer.records import replace
from rtcpeer.sdp.model import SdpSession
from rtcpeer.values import (
    Candidate,
    Direction,
    Fingerprint,
    MediaKind,
    SdpType,
    Side,
    SignalingState,
)


class Engine:
    """The JSEP engine: the signaling of one connection.

    Args:
        settings: capabilities and policies, fixed for life.
        entropy: the source of chance.
        write: model -> text; `rtcpeer.sdp.text.write`.
        parse: text -> model; `rtcpeer.sdp.text.parse_untrusted`.

    Attributes:
        operations: plans of changes that involve no description.
        fingerprints: of the local certificates; the peer assigns them before the first offer or answer is made.
    """

    def __init__(
        self,
        settings: EngineSettings,
        entropy: Entropy,
        write: Callable[[SdpSession], str],
        parse: Callable[[str], SdpSession],
    ) -> None:
        self.settings = settings
        self.entropy = entropy
        self._holder = StateHolder(
            SessionState(
                session_id=entropy.session_id(),
                cname=entropy.identifier(),
                default_stream=entropy.identifier(),
            )
        )
        self.operations: Operations = Operations(self._holder, settings, entropy)
        self.write = write
        self.parse = parse
        self.fingerprints: tuple[Fingerprint, ...] = ()

    @property
    def state(self) -> SessionState:
        """The present state; only `commit` replaces it."""
        return self._holder.state

    def commit(self, plan: Plan) -> None:
        """Make the plan's state the present one.

        Raises:
            StalePlan: the state has changed since the plan was made; make it again.
        """
        self._holder.commit(plan)

    def negotiation_needed(self) -> bool:
        """Webrtc-pc "check if negotiation is needed" (4.7.3) on the present state."""
        return negotiation_needed(self.state)

    def _context(self) -> PlanContext:
        return PlanContext(self.settings, self.entropy, self.state, self.fingerprints, self.write)

    # --- descriptions -----------------------------------------------------------------------------

    def plan_offer(self, options: OfferOptions | None = None) -> Plan:
        """Make an offer (webrtc-pc 4.4.2 createOffer, RFC 9429 5.2); ``plan.text`` is it.

        Legacy options may make transceivers (`CreateTransceiver` in ``prepare``) and change directions.

        Raises:
            InvalidStateError: not in stable or have-local-offer, or closed.
        """
        self._check_state("createOffer", SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER)
        options = options or OfferOptions()
        draft = Draft(self.state)
        self._legacy(draft, MediaKind.AUDIO, options.offer_to_receive_audio)
        self._legacy(draft, MediaKind.VIDEO, options.offer_to_receive_video)
        created = make_offer(self._context(), draft, restart=options.ice_restart)
        draft.fields["last_offer"] = created
        _use_up_version(draft, created)
        draft.text = created.text
        return draft.finish()

    def plan_answer(self) -> Plan:
        """Make an answer (createAnswer, RFC 9429 5.3); ``plan.text`` is it.

        Raises:
            InvalidStateError: not in have-remote-offer or have-local-pranswer, or closed.
        """
        self._check_state(
            "createAnswer", SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER
        )
        draft = Draft(self.state)
        created = make_answer(self._context(), draft)
        draft.fields["last_answer"] = created
        _use_up_version(draft, created)
        draft.text = created.text
        return draft.finish()

    def plan_local(self, type: SdpType | None = None, text: str = "") -> Plan:
        """Set the local description (webrtc-pc setLocalDescription and 4.4.1.5, RFC 9429 5.9).

        Args:
            type: None = inferred from the state.
            text: "" = the last created description if it still fits, else a fresh one.

        Raises:
            InvalidModificationError: the text is not the one that was created last.
            InvalidStateError: the type does not fit the state, or closed.
        """
        state = self.state
        if type is None:
            offering = (
                SignalingState.STABLE,
                SignalingState.HAVE_LOCAL_OFFER,
                SignalingState.HAVE_REMOTE_PRANSWER,
            )
            type = SdpType.OFFER if state.signaling in offering else SdpType.ANSWER
        if type is SdpType.ROLLBACK:
            return self._rollback(Side.LOCAL)
        # webrtc-pc compares with the last description first; browsers, and the W3C suite, look at the state first
        after = self._transition(Side.LOCAL, type)
        last = state.last_offer if type is SdpType.OFFER else state.last_answer
        if text and (last is None or text != last.text):
            raise InvalidModificationError(
                f"setLocalDescription: this is not the {type} that was created last; descriptions are not to be edited"
            )
        draft = Draft(state)
        created = last if text else self._fitting(draft, type, last)
        assert created is not None
        _use_up_version(draft, created)
        description = make_description(type, created.session, created.text)
        if type is SdpType.OFFER:
            return self._local_offer(draft, created, description)
        remote = state.pending_remote
        assert remote is not None
        description = _with_mids(description, remote)
        draft.fields["pending_local"] = description
        draft.text = description.base
        applying.apply_answer(
            self._context(), draft, description, remote, from_remote=False, final=type is SdpType.ANSWER
        )
        return self._end(draft, after, description, remote)

    def _fitting(self, draft: Draft, type: SdpType, last: Created | None) -> Created:
        """The last created description if it still represents the system, else a new one."""
        if type is SdpType.OFFER:
            if last is not None and last.basis in (
                basis(self.state, restart=False),
                basis(self.state, restart=True),
            ):
                return last
            return make_offer(self._context(), draft, restart=False)
        if last is not None and last.basis == basis(self.state):
            return last
        return make_answer(self._context(), draft)

    def _local_offer(self, draft: Draft, created: Created, description: Description) -> Plan:
        state = self.state
        if state.signaling is SignalingState.STABLE:
            draft.fields["stable"] = state
        applying.apply_local_offer(self._context(), draft, created)
        numbers = [
            int(m.mid)
            for m in created.session.media
            if m.mid is not None and m.mid.isdigit() and len(m.mid) < 10
        ]
        draft.fields["next_mid"] = max([state.next_mid, *[n + 1 for n in numbers]])
        draft.fields["pending_local"] = description
        draft.text = description.base
        return self._end(draft, SignalingState.HAVE_LOCAL_OFFER, description, None)

    def plan_remote(self, type: SdpType, text: str) -> Plan:
        """Set the remote description (setRemoteDescription and 4.4.1.5, RFC 9429 5.10, 5.11).

        An offer in have-local-offer gives a plan that is nothing but ``first``, the rollback (see
        `rtcpeer.jsep.effects`).

        Raises:
            InvalidStateError: the type does not fit the state, or closed.
            RTCError: "sdp-syntax-error" with the line number.
            InvalidAccessError: the content is not valid (does not answer the offer, no fingerprint, no rtcp-mux, ...).
            OperationError: any other reason.
        """
        state = self.state
        if type is SdpType.ROLLBACK:
            return self._rollback(Side.REMOTE)
        if type is SdpType.OFFER and state.signaling is SignalingState.HAVE_LOCAL_OFFER:
            return Plan(state, state, first=self._rollback(Side.LOCAL))
        after = self._transition(Side.REMOTE, type)
        draft = Draft(state)
        local = state.pending_local if type is not SdpType.OFFER else None
        previous = state.remote_description.session if state.remote_description is not None else None
        offer = local.session if local is not None else None
        session = complete(self.parse(text), offer, previous)
        answered = state.current_local.session if state.current_local is not None else None
        check_remote(session, type, previous=previous, answered=answered, offer=offer)
        description = make_description(type, session, text)
        draft.fields["pending_remote"] = description
        draft.fields["can_trickle"] = "trickle" in session.ice_options or any(
            "trickle" in m.ice_options for m in session.media
        )
        draft.text = text
        if type is SdpType.OFFER:
            if state.signaling is SignalingState.STABLE:
                draft.fields["stable"] = state
            if previous is not None:
                applying.rename_implied(draft, previous, session)
            applying.apply_remote_offer(self._context(), draft, description)
        else:
            assert local is not None
            applying.apply_answer(
                self._context(), draft, local, description, from_remote=True, final=type is SdpType.ANSWER
            )
        return self._end(draft, after, local, description)

    def _end(
        self, draft: Draft, after: SignalingState, local: Description | None, remote: Description | None
    ) -> Plan:
        """The last steps of 4.4.1.5: descriptions change places, stopped transceivers leave, the state is announced."""
        state = self.state
        announce: list[Announce] = []
        draft.fields["signaling"] = after
        if after is SignalingState.STABLE:
            assert local is not None
            assert remote is not None
            applying.drop_stopped(draft, local.session, remote.session, by_us=local.type is not SdpType.OFFER)
            draft.close_unbound()
            draft.fields.update(
                current_local=local,
                current_remote=remote,
                pending_local=None,
                pending_remote=None,
                last_offer=None,
                last_answer=None,
                stable=None,
            )
            self._remember(draft, local.session, remote.session)
            credentials = {(m.ice.ufrag, m.ice.pwd) for m in local.session.media if m.ice is not None}
            for name in ("credentials_to_replace", "credentials_outdated"):
                if not credentials & getattr(state, name):
                    draft.fields[name] = frozenset()
            announce.append(UpdateNegotiationNeeded(clear=True))
        if after is not state.signaling:
            announce.append(SignalingStateChanged(after))
        return draft.finish(tuple(announce))

    def _remember(self, draft: Draft, local: SdpSession, remote: SdpSession) -> None:
        """Payload types and extension ids that have been used keep their meaning for life (RFC 8829 5.2.1)."""
        types = dict.fromkeys(self.state.payload_types)
        ids = dict.fromkeys(self.state.extension_ids)
        for media in local.media:
            types.update(dict.fromkeys((number, key) for key, number in codecs.keys_of(media.codecs).items()))
            ids.update(dict.fromkeys((e.id, e.uri) for e in media.header_extensions if e.id is not None))
        # What only the other end knows is in no packet, but it refuses another meaning of its number (libwebrtc).
        known = {number for number, _uri in ids}
        for media in remote.media:
            for extension in media.header_extensions:
                if extension.id is not None and extension.id not in known:
                    known.add(extension.id)
                    ids[extension.id, extension.uri] = None
        draft.fields["payload_types"] = tuple(types)
        draft.fields["extension_ids"] = tuple(ids)

    def _rollback(self, side: Side) -> Plan:
        after = self._transition(side, SdpType.ROLLBACK)
        stable = self.state.stable
        assert stable is not None
        draft = Draft(self.state)
        apply_rollback(draft, stable)
        draft.fields.update(
            signaling=after,
            pending_local=None,
            pending_remote=None,
            stable=None,
            can_trickle=stable.can_trickle,
        )
        return draft.finish((UpdateNegotiationNeeded(clear=True), SignalingStateChanged(after)))

    def _transition(self, side: Side, type: SdpType) -> SignalingState:
        state = self.state.signaling
        after = TRANSITIONS.get((state, side, type))
        if after is None:
            raise InvalidStateError(f"a {side} {type} cannot be set in signaling state {state}")
        return after

    def _check_state(self, operation: str, *allowed: SignalingState) -> None:
        if self.state.signaling not in allowed:
            raise InvalidStateError(f"{operation} is not possible in signaling state {self.state.signaling}")

    def _legacy(self, draft: Draft, kind: MediaKind, wanted: bool | None) -> None:
        """Legacy offerToReceiveAudio and offerToReceiveVideo (webrtc-pc 4.4.3.2)."""
        if wanted is None:
            return
        live = [t for t in draft.transceivers if t.kind is kind and not t.stopping]
        if not wanted:
            for record in live:
                draft.put(
                    replace(record, direction=Direction.of(sends=record.direction.sends, receives=False))
                )
        elif not any(t.direction.receives for t in live):
            transceivers.create(
                draft, TransceiverInit(kind, Direction.RECVONLY), self.entropy.identifier, self.entropy.ssrc
            )

    # --- candidates -------------------------------------------------------------------------------

    def plan_local_candidate(self, transport: int, ufrag: str, candidate: Candidate | None) -> Plan:
        """A local candidate was found, or (None) the generation has no more: into the descriptions of that generation.

        ``announce`` has one `LocalCandidate`, or nothing when no description holds that generation any more.
        """
        return candidates.plan_local(self.state, transport, ufrag, candidate)

    def plan_remote_candidate(
        self,
        candidate: str,
        mid: str | None = None,
        mline_index: int | None = None,
        ufrag: str | None = None,
    ) -> Plan:
        """Add a remote candidate (webrtc-pc addIceCandidate); "" = end of candidates.

        Raises:
            TypeError: a candidate, and neither mid nor mline_index (before chaining:
            `candidates.check_candidate_init`).
            InvalidStateError: there is no remote description, or closed.
            OperationError: unknown mid, mline_index or ufrag, or not a candidate.
        """
        return candidates.plan_remote(self.state, candidate, mid, mline_index, ufrag)


def _use_up_version(draft: Draft, created: Created) -> None:
    """Note that this version is used up (RFC 9429 5.2.2, 5.3.2), even if the description is never set."""
    draft.fields["session_version"] = max(draft.base.session_version, created.session.origin.version)
    draft.fields["versioned"] = created.session


def _with_mids(description: Description, offer: Description) -> Description:
    """Our answer with the mids that the offer did not write; they are in the model only, not in the text."""
    media = tuple(
        [
            replace(m, mid=theirs.mid) if m.mid is None else m
            for m, theirs in zip(description.session.media, offer.session.media, strict=True)
        ]
    )
    return replace(description, session=replace(description.session, media=media))


__all__ = ["Engine", "Entropy"]
