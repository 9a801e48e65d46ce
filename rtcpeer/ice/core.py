"""The ICE agent without I/O: datagrams, times and commands in; datagrams, deadlines and events out.

Owns: the generations and which of them carries data, our role, the transport's state.  Never: sockets, the
loop, the clock; `now` is an argument, datagrams leave through the bases that were handed in.

Theory of operation.  At most three generations are alive: the one that *carries* data, the newest that was
*settled* (has remote credentials) and one that is *pending* (has none yet).  A restart makes a pending one;
the remote answer settles it; when it has nominated a pair (or has any, and the old path is silent) data
moves to it.
A generation is known by our half, the remote ufrag and the remote password: an answer that keeps the credentials
it had, and a restart that keeps its ufrag, are new generations too.
An answer by another end than before settles a fork: a generation with the same local half (`rtcpeer.ice.generation`).
What it replaced is retired: it answers for a few seconds more, then it is dropped.  Requests find
their generation by our ufrag in USERNAME, responses by transaction id, so late packets cannot confuse lives.

After each input the caller drains `events` and asks `next_time`.
"""

from __future__ import annotations

from rtcpeer.ice.consent import Liveness
from rtcpeer.ice.context import SLACK, IceContext
from rtcpeer.ice.events import (
    ActiveWanted,
    Event,
    GenerationDropped,
    PairSelected,
    RoleChanged,
    StateChanged,
    Woken,
)
from rtcpeer.ice.generation import Generation, LocalSide
from rtcpeer.ice.pair import Base, Local, Pair
from rtcpeer.ice.states import derive_state
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun
from rtcpeer.stun.message import StunMessage
from rtcpeer.values import (
    NEVER,
    Candidate,
    CandidateType,
    IceParameters,
    IceRole,
    IceTransportPolicy,
    IceTransportState,
)


class IceCore:
    """The ICE state machine of one transport."""

    def __init__(self, context: IceContext, *, role_known: bool = True) -> None:
        self._context = context
        self._settings = context.settings
        # Oldest first: [carrying,] [settled,] [pending].
        self.generations: list[Generation] = []
        self.retired: list[Generation] = []
        self.carrying: Generation | None = None
        # Where data goes; None while nothing may be sent.
        self.route: Pair | None = None
        self.state = IceTransportState.NEW
        self.events: list[Event] = []
        self.selected_pair_changes = 0
        self._role_known = role_known
        self._announced: Pair | None = None
        # A restart begun while disconnected or failed forgets that connectivity was lost (webrtc-pc 5.6.2).
        self._forgets_loss = False
        self._has_remote_candidate = False
        # When all was brought up to date last, there was one live path and nothing left to find.
        self._is_at_rest = False

    # -- commands ----------------------------------------------------------------------------------

    @property
    def role(self) -> IceRole:
        """Our ICE role as of now."""
        if not self._role_known:
            return IceRole.UNKNOWN
        return IceRole.CONTROLLING if self._context.controlling else IceRole.CONTROLLED

    @property
    def newest(self) -> Generation | None:
        """The generation of the newest local credentials or the newest answer."""
        return self.generations[-1] if self.generations else None

    def set_role(self, now: float, role: IceRole) -> None:
        """Set the role that the offer/answer exchange says; before checks begin."""
        self._role_known = role is not IceRole.UNKNOWN
        self._become(role is IceRole.CONTROLLING)
        self._settle(now)

    def _become(self, controlling: bool) -> None:
        if self._context.controlling is not controlling:
            self._context.controlling = controlling
            self._is_at_rest = False
            for generation in self.generations:
                generation.recompute_priorities()

    def _switch_role(self, controlling: bool) -> None:
        if self._context.controlling is not controlling:
            self._become(controlling)
            self.events.append(RoleChanged(self.role))

    def start_generation(self, now: float, local: IceParameters) -> Generation:
        """New local credentials: the first, or a restart beside what exists."""
        if self.generations and self.generations[-1].remote is None:
            # Its offer was replaced before it was answered; no answer will name it.
            self._drop(self.generations.pop())
        generation = Generation(self._context, LocalSide(local))
        self.generations.append(generation)
        self._settle(now)
        return generation

    def set_remote(self, now: float, remote: IceParameters) -> None:
        """Remote credentials, of an offer or an answer, after our own for the same exchange.

        Those in use, while ours are new: the other end has answered our restart without a restart of its own, as
        servers with one set of credentials do. The checks begin anew with what it has (RFC 9429 5.10 would have
        us fail; libwebrtc goes on like this).
        Others than those in use, while ours are the same: another end has answered our offer (forking, RFC 9429
        3.6), and the checks begin anew between our candidates and its own.
        """
        newest = self.generations[-1]
        known = next((g for g in self.generations if g.is_between(newest.half, remote)), None)
        if known is not None:
            # back to the end before, whose path was not left yet
            for fork in self.generations[self.generations.index(known) + 1 :]:
                self._retire(now, fork)
            known.routes.reclaim()
            self._settle(now)
            return
        if newest.remote is not None:
            newest = Generation(self._context, newest.half)
            self.generations.append(newest)
        newest.is_restart_ignored = any(g.is_between(g.half, remote) for g in self.generations)
        self._give_remote(now, newest, remote)
        self._settle(now)

    def disown_older(self, now: float) -> None:
        """Whoever was at the other end before is replaced: what older generations bring is of no use any more.

        They count as a path until the newest one has its own, so that no state changes for want of a moment.
        """
        for generation in (*self.generations[:-1], *self.retired):
            generation.routes.disown()
        self._settle(now)

    def _give_remote(self, now: float, generation: Generation, remote: IceParameters) -> None:
        """A generation is settled: whatever it does not need for carrying data is obsolete."""
        if remote.lite:
            # RFC 8445 6.1.1: facing a lite agent, the full agent controls.
            self._switch_role(True)
        for older in [g for g in self.generations if g is not generation and g is not self.carrying]:
            self._retire(now, older)
        if self.state in (IceTransportState.DISCONNECTED, IceTransportState.FAILED):
            self._forgets_loss = True
        generation.set_remote(now, remote)

    def add_remote(self, now: float, candidate: Candidate, address: Address) -> None:
        """A remote candidate, its address resolved; unknown generations are ignored."""
        generation = self.generation_of_remote(candidate.ufrag)
        if generation is None:
            return
        generation.note_candidate(now)
        if generation.pairing.add_remote(now, candidate, address):
            self._settle(now)

    def note_remote(self, now: float, ufrag: str | None) -> None:
        """A remote candidate was told that no candidate of ours can be paired with; one may yet come that can."""
        generation = self.generation_of_remote(ufrag)
        if generation is not None:
            generation.note_candidate(now)

    def end_of_remote(self, now: float, ufrag: str | None) -> None:
        """The remote side has no more candidates."""
        generation = self.generation_of_remote(ufrag)
        if generation is not None and not generation.remote_ended:
            generation.set_remote_ended(now)
            self._settle(now)

    def generation_of_remote(self, ufrag: str | None) -> Generation | None:
        """The generation with this remote ufrag; None asks for the newest that has one."""
        for generation in reversed(self.generations):
            if generation.remote is not None and ufrag in (None, generation.remote.ufrag):
                return generation
        return None

    def knows_remote(self, ufrag: str | None) -> bool:
        """Whether a candidate with this ufrag has a place to go."""
        return self.generation_of_remote(ufrag) is not None

    def rollback(self, now: float) -> None:
        """Drop what has only one side's credentials."""
        if self.generations and self.generations[-1].remote is None:
            self._drop(self.generations.pop())
        self._settle(now)

    def add_local(self, now: float, generation: Generation, local: Local) -> None:
        """A local candidate was gathered for this generation and its forks."""
        half = generation.half
        half.locals.append(local)
        for user in self._living(half):
            user.pairing.pair_local(now, local)
        self._settle(now)

    def _living(self, half: LocalSide) -> list[Generation]:
        return [g for g in self.generations if g.half is half]

    def set_gathered(self, now: float, generation: Generation) -> None:
        """Gathering of a generation and its forks is complete."""
        generation.half.gathered = True
        for user in self._living(generation.half):
            user.note_end(now)
        self._settle(now)

    def lose_base(self, now: float, base: Base) -> None:
        """A base has stopped working."""
        for generation in self.generations:
            generation.lose_base(now, base)
        self._settle(now)

    def fail_path(self, now: float, base: Base, address: Address) -> None:
        """The network says that nothing gets from this base to that address."""
        for generation in self.generations:
            generation.fail_path(now, base, address)
        self._settle(now)

    def network_changed(self, now: float) -> None:
        """Addresses changed: see at once whether the selected path still works."""
        for generation in self.generations:
            selected = generation.selected
            if selected is not None:
                selected.heard_at = min(
                    selected.heard_at, now - self._settings.probe_after - self._settings.probe_interval
                )
        self._settle(now)

    def close(self) -> None:
        """Everything is over; the caller closes the bases."""
        for generation in (*self.generations, *self.retired):
            generation.routes.forget()
            generation.release()
        self.generations.clear()
        self.retired.clear()
        self.carrying = self.route = self._announced = None
        self.state = IceTransportState.CLOSED
        self.events.clear()

    # -- datagrams ---------------------------------------------------------------------------------

    def on_stun_untrusted(self, now: float, base: Base, data: bytes, address: Address) -> None:
        """A datagram whose first byte says STUN; what is malformed or not authentic has no effect."""
        try:
            message = stun.parse_untrusted(data)
        except stun.StunError:
            return
        kind = message.kind
        if kind == stun.BINDING_REQUEST:
            self._on_request(now, base, message, address)
        elif kind == stun.BINDING_SUCCESS:
            for generation in self.generations:
                if generation.on_response(now, base, address, message):
                    self._settle_heard(now, base, address)
                    break
        elif kind == stun.BINDING_ERROR:
            for generation in self.generations:
                check = generation.on_error(now, base, address, message)
                if check is not None:
                    if message.error[0] == 487 and check.controlling is self._context.controlling:
                        # RFC 8445 7.2.5.1: with the role the tie-breaker changes, so that equal ones end.
                        self._context.tie_breaker = self._context.new_tie_breaker()
                        self._switch_role(not check.controlling)
                    self._settle(now)
                    break

    def _on_request(self, now: float, base: Base, message: StunMessage, address: Address) -> None:
        """RFC 8445 7.3."""
        generation = self._by_username(message.username)
        if generation is None or not message.authentic(generation.local_key):
            return
        unknown = message.unknown_required()
        if unknown:
            body = stun.error_code(420, "Unknown Attribute")
            body += stun.attribute(stun.UNKNOWN_ATTRIBUTES, b"".join(k.to_bytes(2, "big") for k in unknown))
            self._answer(base, address, message, stun.BINDING_ERROR, body, generation)
            return
        if self._resolve_conflict(message):
            self._answer(
                base, address, message, stun.BINDING_ERROR, stun.error_code(487, "Role Conflict"), generation
            )
            return
        prio = message.number(stun.PRIORITY) or 0
        if not generation.admit(now, base, address, prio):
            return  # an answer would make the other side believe in a path that we do not take
        body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, address, message.transaction_id)
        self._answer(base, address, message, stun.BINDING_SUCCESS, body, generation)
        if generation.retired_until is None:
            generation.on_request(now, base, address, prio, stun.USE_CANDIDATE in message.attributes)
            self._settle_heard(now, base, address)

    def _answer(
        self,
        base: Base,
        address: Address,
        message: StunMessage,
        kind: int,
        body: bytes,
        generation: Generation,
    ) -> None:
        base.send(stun.encode(kind, message.transaction_id, body, generation.local_key), address)

    def _resolve_conflict(self, message: StunMessage) -> bool:
        """RFC 8445 7.3.1.1; True when the other side must give way (487)."""
        controlling = self._context.controlling
        theirs = message.long_number(stun.ICE_CONTROLLING if controlling else stun.ICE_CONTROLLED)
        if theirs is None:
            return False
        ours_is_larger = self._context.tie_breaker >= theirs
        if ours_is_larger is controlling:
            return True
        self._switch_role(not controlling)
        return False

    def _by_username(self, username: str) -> Generation | None:
        """The generation that a request is for: our ufrag alone says whose it is (RFC 8445 7.3).

        The other half of the user name only says which of several forks; werift, for one, goes on with the ufrag it
        had when it has restarted. An end that was left for another one is not taken for that other one.
        """
        ours, _, theirs = username.partition(":")
        named = [g for g in (*self.retired, *self.generations) if g.local.ufrag == ours]
        for generation in reversed(named):
            if generation.remote is None or generation.remote.ufrag == theirs:
                return generation
        return named[-1] if named and theirs not in named[-1].half.left else None

    def is_early(self, base: object, address: Address) -> bool:
        """Whether data from there may overtake the answer to our restart (RFC 8445 12.2: be prepared for it).

        Its sender has proved that it knows our new credentials; who it is, DTLS and SRTP find out.
        """
        return self.carrying is not None and any(
            g.remote is None and g.has_early_check(base, address) for g in self.generations
        )

    def woken(self, now: float, pair: Pair) -> None:
        """Data arrived on a pair after its silence."""
        if pair is self.route:
            self.events.append(Woken())
        self._settle(now)

    # -- time --------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        for generation in [
            g for g in self.retired if g.retired_until is not None and g.retired_until <= now + SLACK
        ]:
            self.retired.remove(generation)
            self._drop(generation)
        self._settle(now)

    def next_time(self, now: float) -> float:
        """When `tick` wants to be called; infinity for never."""
        wanted = NEVER
        for generations in (self.generations, self.retired):
            for generation in generations:
                wanted = min(wanted, generation.next_time(now))
        return wanted

    def lagged(self, amount: float) -> None:
        """The event loop stood still for this long."""
        for generation in self.generations:
            generation.shift(amount)

    # -- consequences ------------------------------------------------------------------------------

    def _settle_heard(self, now: float, base: Base, address: Address) -> None:
        """Settle after a check or its answer; where all is at rest, nothing follows but that the pair is alive."""
        route = self.route
        carrying = self.carrying
        if (
            self._is_at_rest
            and route is not None
            and carrying is not None
            and base.routes.get(address) is route
            and carrying.is_at_rest(route)
        ):
            if carrying.woken is route:
                self.events.append(Woken())
            carrying.woken = None
        else:
            self._settle(now)

    def _settle(self, now: float) -> None:
        """Bring everything that follows from the generations up to date, then say what changed."""
        for generation in self.generations:
            generation.tick(now)
            generation.decide(now)
            if generation.pairing.wants_active:
                generation.pairing.wants_active = False
                self.events.append(ActiveWanted(generation))
        self._choose_carrier(now)
        carrying = self.carrying
        pair = carrying.selected if carrying is not None and not carrying.failed else None
        for generation in self.generations:
            if generation.woken and pair is generation.woken:
                self.events.append(Woken())
            generation.woken = None
        self.route = pair
        if pair is not None and pair is not self._announced:
            self._announced = pair
            self.selected_pair_changes += 1
            pair.base.routes[pair.address] = pair
            self.events.append(PairSelected(pair))
        level = carrying.level(now) if carrying is not None else None
        if level is Liveness.LIVE:
            self._forgets_loss = False
        state = derive_state(
            self.state, carrying, level, self.generation_of_remote(None), forgets_loss=self._forgets_loss
        )
        if state is not self.state:
            self.state = state
            self.events.append(StateChanged(state))
        self._is_at_rest = (
            state is IceTransportState.COMPLETED and level is Liveness.LIVE and len(self.generations) == 1
        )

    def _choose_carrier(self, now: float) -> None:
        if self._is_forbidden(self.carrying):
            assert self.carrying is not None
            self._retire(now, self.carrying)
            self.carrying = None
        carrying = self.carrying
        if carrying is not None and not carrying.failed and self._is_given_up(now, carrying):
            carrying.give_up(now)
        for generation in reversed(self.generations):
            if generation is carrying:
                break
            if generation.selected is None or generation.failed:
                continue
            if (
                carrying is None
                or carrying.routes.is_disowned
                or generation.is_agreed
                or carrying.level(now) is not Liveness.LIVE
            ):
                self.carrying = carrying = generation
                generation.routes.claim_all()
                break
        if carrying is not None and carrying.nominated is not None:
            position = self.generations.index(carrying)
            for older in self.generations[:position]:
                self._retire(now, older)

    def _is_forbidden(self, carrying: Generation | None) -> bool:
        """Whether the policy became "relay", and the restart that followed has found no relayed path.

        The old path was kept until a new one would take over; none will, and the application wants no direct one.
        """
        newest = self.generation_of_remote(None)
        if carrying is None or carrying.selected is None or newest is None or newest is carrying:
            return False
        if self._context.settings.policy is not IceTransportPolicy.RELAY:
            return False
        hopeless = newest.failed or (newest.gathered and newest.remote_ended and not newest.locals)
        return hopeless and carrying.selected.local.candidate.type is not CandidateType.RELAY

    def _is_given_up(self, now: float, carrying: Generation) -> bool:
        """Whether the other side has restarted, has no candidate at all, and is silent on the old path."""
        newest = self.generation_of_remote(None)
        if newest is None or newest is carrying or not newest.failed:
            return False
        return newest.remote_ended and not newest.remotes and carrying.level(now) is not Liveness.LIVE

    def _retire(self, now: float, generation: Generation) -> None:
        generation.retired_until = now + self._settings.linger
        self.generations.remove(generation)
        self.retired.append(generation)

    def _drop(self, generation: Generation) -> None:
        generation.routes.forget()
        generation.half.users.remove(generation)
        if generation.remote is not None:
            generation.half.left.add(generation.remote.ufrag)
        self.events.append(GenerationDropped(generation))
