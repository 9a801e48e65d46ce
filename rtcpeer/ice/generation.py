"""An ICE generation: the candidates, pairs and checks that belong to one set of credentials, and the nominated pair.

Owns: the checks, out and in, when they are due, and whether there is still hope.  Which pairs there are is
`rtcpeer.ice.pairing`'s, which of them is nominated and selected is `rtcpeer.ice.nomination`'s, whose the data is that
arrives is `rtcpeer.ice.demux`'.  A restart makes a second generation beside the first; `rtcpeer.ice.core` decides
which of them carries data.  Never: I/O, clock; `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.consent import Consent, Liveness
from rtcpeer.ice.context import SLACK, IceContext
from rtcpeer.ice.demux import Routes
from rtcpeer.ice.early_checks import EarlyChecks
from rtcpeer.ice.nomination import Nomination
from rtcpeer.ice.pair import Base, Check, Local, Pair, PairStatus, Remote
from rtcpeer.ice.pairing import Pairing
from rtcpeer.ice.transactions import Transactions
from rtcpeer.net.network import Address
from rtcpeer.stun.message import StunMessage
from rtcpeer.values import NEVER, IceParameters

# A check that was sent this recently is not repeated because a request of the other side crossed it.
_CROSSING = 0.02
# How long to wait for a candidate that can be paired, when those that were told so far cannot.
_UNPAIRED_AFTER = 0.5
# How many other pairs are looked at while the selected one is silent.
_BACKUPS = 8


class LocalSide:
    """The local half of a generation: the credentials and candidates that we offered.

    A forked answer makes a second generation of the same half (RFC 8829 3.6): the ports that were offered are offered
    to each who answers, so gathering and its bases belong to the half, not to a generation.

    Attributes:
        parameters, key: the credentials.
        locals: the candidates, in the order in which they were found.
        gathered: no other will follow.
        users: the generations that live on it; its bases may go when the last one has gone.
        left: remote ufrags of ends that had answered and were left for another one (forking).
    """

    __slots__ = ("gathered", "key", "left", "locals", "parameters", "users")

    def __init__(self, parameters: IceParameters) -> None:
        self.parameters = parameters
        self.key = parameters.pwd.encode()
        self.locals: list[Local] = []
        self.gathered = False
        self.users: list[Generation] = []
        self.left: set[str] = set()

    @property
    def needs_mappings(self) -> bool:
        """Whether a check may still come in through a reflexive candidate (RFC 8445 5.1.1.4)."""
        return any(user.needs_mappings for user in self.users)


class Generation:
    """Credentials of both sides, and what became of them."""

    def __init__(self, context: IceContext, half: LocalSide) -> None:
        settings = context.settings
        self._context = context
        self._settings = settings
        self.half = half
        half.users.append(self)
        self.remote: IceParameters | None = None
        self.checklist = Checklist(settings.max_pairs)
        self.consent = Consent(settings, context.jitter)
        self.pairing = Pairing(context, half.locals, self, self.checklist)
        self.nomination = Nomination(context, self.checklist, self.pairing, self.consent)
        self.routes = Routes(self.checklist)
        # No pair works; a late check or candidate, or the network's return, may still change that.
        self.failed = False
        self._failed_at = NEVER
        self._completed = False
        # Its selected pair was silent and has just been heard; the core sees to it.
        self.woken: Pair | None = None
        # Retired: it answers, but starts nothing any more.
        self.retired_until: float | None = None
        self.remote_ended = False
        # When the other side last told a candidate, of use or not.
        self._told_at = NEVER
        # Candidates were told, and none of ours forms a pair with one.
        self._is_unpaired = False
        # The other side answered our restart with the credentials that it had before.
        self.is_restart_ignored = False
        self._started_at = NEVER
        self._ended_at = NEVER
        self._next_pace = 0.0
        self._checks = Transactions(context)
        self._early = EarlyChecks(settings.max_early_checks, settings.max_early_checks_per_source)
        self.checklist.on_discard = self._discarded
        # A check of the other side has come: it knows our credentials.
        self._was_checked = False

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def local(self) -> IceParameters:
        """Our credentials."""
        return self.half.parameters

    @property
    def local_key(self) -> bytes:
        """The key with which requests to us and our answers are signed."""
        return self.half.key

    @property
    def locals(self) -> list[Local]:
        """Our candidates."""
        return self.half.locals

    @property
    def gathered(self) -> bool:
        """Whether no local candidate will follow."""
        return self.half.gathered

    @property
    def remotes(self) -> list[Remote]:
        """The remote candidates, told and peer-reflexive."""
        return self.pairing.remotes

    @property
    def nominated(self) -> Pair | None:
        """The pair that both sides were told to use."""
        return self.nomination.nominated

    @property
    def selected(self) -> Pair | None:
        """The pair that carries data."""
        return self.nomination.selected

    @property
    def _ended(self) -> bool:
        """Whether neither side will have more candidates."""
        return self.gathered and self.remote_ended

    def is_between(self, half: LocalSide, remote: IceParameters) -> bool:
        """Whether it is the one of this local half and these remote credentials."""
        known = self.remote
        return (
            self.half is half and known is not None and (known.ufrag, known.pwd) == (remote.ufrag, remote.pwd)
        )

    def set_remote(self, now: float, remote: IceParameters) -> None:
        """The remote credentials are known: checks may begin."""
        self.remote = remote
        self._checks.know(self.local, remote)
        self._started_at = now
        self._next_pace = now
        for early in self._early.take():
            if not self.admit(now, early.base, early.address, early.priority):
                continue
            self.on_request(now, early.base, early.address, early.priority, False)
            if early.use_candidate:
                self.on_request(now, early.base, early.address, early.priority, True)

    def set_remote_ended(self, now: float) -> None:
        """The remote side said end-of-candidates."""
        self.remote_ended = True
        self.note_end(now)

    def note_candidate(self, now: float) -> None:
        """The remote side told a candidate, which may or may not have formed pairs."""
        self._told_at = now

    def note_end(self, now: float) -> None:
        """Note that one of the sides has no more candidates: when both have none, patience is shorter."""
        if self._ended and self._ended_at == NEVER:
            self._ended_at = now

    def lose_base(self, now: float, base: Base) -> None:
        """A base has stopped working (allocation lost, address vanished): do not wait for silence."""
        for pair in self.checklist.pairs.values():
            if pair.base is base:
                self.nomination.withdraw(pair)
                self.checklist.settle(
                    pair, PairStatus.SUCCEEDED if pair is self.selected else PairStatus.FAILED
                )
                pair.retry_at = now + self._settings.retry_interval
                pair.heard_at = min(pair.heard_at, now - self._settings.disconnected_after)
        if self.selected is not None and self.selected.base is base and self.remote is not None:
            self.look_for_backups(now)

    def recompute_priorities(self) -> None:
        """Our role changed."""
        self.nomination.withdraw()
        self.pairing.recompute_priorities()

    # -- checks out --------------------------------------------------------------------------------

    def _send_check(self, now: float, pair: Pair, *, nominate: bool = False, probe: bool = False) -> None:
        check = self._checks.make(now, pair, nominate=nominate, probe=probe)
        if not probe:
            self.checklist.start(pair, check)
        pair.requests_sent += 1
        pair.base.send(check.data, pair.address)

    def _repeat(self, now: float, check: Check) -> None:
        """Retransmit, or give up: while nothing else works there is nothing better to do than going on."""
        pair = check.pair
        settings = self._settings
        if check.tries >= settings.check_tries:
            pair.exhausted = True
            if self.selected is not None or self.failed:
                self._fail(now, pair)
                return
        check.tries += 1
        check.last_at = now
        check.rto = min(check.rto * 2, settings.check_rto_limit)
        check.next_at = now + check.rto
        pair.requests_sent += 1
        pair.base.send(check.data, pair.address)

    def _fail(self, now: float, pair: Pair) -> None:
        self.checklist.fail(now, pair, self._settings)
        self.nomination.withdraw(pair)

    def _discarded(self, pair: Pair) -> None:
        """A pair makes room for another: nothing that belongs to it is waited for any more."""
        self.nomination.withdraw(pair)
        if pair.check is not None:
            self._checks.drop(pair.check)

    def fail_path(self, now: float, base: Base, address: Address) -> None:
        """The network says that nothing gets there (a TCP connection was refused): no need to wait."""
        pair = self.checklist.find(base, address)
        if pair is not None and not pair.is_valid:
            pair.exhausted = True
            self._fail(now, pair)

    # -- time --------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.remote is None or self.retired_until is not None:
            return
        due = now + SLACK
        for pair in list(self.checklist.in_progress):
            check = pair.check
            if check is not None and check.next_at <= due:
                self._repeat(now, check)
        if not self.failed:
            self.checklist.retry(due, self.selected)
        while self._next_pace <= due:
            waiting = self.checklist.next_pair(self.nominated)
            if waiting is None:
                break
            self._next_pace = now + self._settings.pacing
            self._send_check(now, waiting, nominate=waiting is self.nomination.pending)
        if self.failed:
            self._revive(now)
        else:
            self._ask_consent(now)
        self._checks.forget(now)

    def _ask_consent(self, now: float) -> None:
        pair = self.selected
        if pair is None or self.consent.request_at(pair) > now + SLACK:
            return
        remote_is_lite = self.remote is not None and self.remote.lite
        self.consent.requested(now, pair)
        pair.consent_requests_sent += 1
        # A lite agent learns of the nomination by USE-CANDIDATE alone, and some stop answering without it.
        self._send_check(now, pair, nominate=remote_is_lite and self._context.controlling, probe=True)
        if self.consent.wants_backup(now, pair):
            self.look_for_backups(now)

    def _revive(self, now: float) -> None:
        """Consent is gone or silence has lasted: ask whether the network is back, now and then."""
        pair = self.selected
        if pair is None or self.consent.revive_at(self._failed_at) > now + SLACK:
            return
        self.consent.requested(now, pair)
        self._send_check(now, pair, probe=True)
        self.look_for_backups(now)

    def look_for_backups(self, now: float) -> None:
        """The selected pair is quiet: see who else is there."""
        others = [
            p
            for p in self.checklist.pairs.values()
            if p is not self.selected and p.is_valid and p.check is None
        ]
        others.sort(key=lambda p: p.preference, reverse=True)
        for pair in others[:_BACKUPS]:
            pair.base.prepare(pair.address)
            self._send_check(now, pair, probe=True)
        for pair in self.checklist.pairs.values():
            if pair.state is PairStatus.WAITING:
                self.checklist.trigger(pair)
            elif pair.state is PairStatus.FAILED and pair.retry_at > now + 2.0:
                pair.retry_at = now + 2.0

    def next_time(self, now: float) -> float:
        """When `tick` or `decide` may have something to do."""
        if self.retired_until is not None:
            return self.retired_until
        if self.remote is None:
            return NEVER
        wanted = NEVER
        for pair in self.checklist.in_progress:
            if pair.check is not None and pair.check.next_at < wanted:
                wanted = pair.check.next_at
        if self._next_pace < wanted and self.checklist.next_pair(self.nominated) is not None:
            wanted = self._next_pace
        selected = self.selected
        if self.failed:
            return min(wanted, self.consent.revive_at(self._failed_at)) if selected is not None else wanted
        if selected is None:
            wanted = min(wanted, self._deadline())
            if not self.checklist.pairs and not self._is_unpaired and self.gathered:
                wanted = min(wanted, self._told_at + _UNPAIRED_AFTER)
        else:
            wanted = min(wanted, self.consent.next_time(now, selected), self.nomination.next_time(now))
        return min(wanted, self.checklist.next_retry(selected))

    def shift(self, amount: float) -> None:
        """The event loop stood still for this long: that was not silence of the network."""
        if self.failed:
            return
        for pair in self.checklist.pairs.values():
            pair.heard_at += amount
            pair.consented_at += amount
            pair.woke_at += amount
        self._started_at += amount
        self._ended_at += amount
        self._told_at += amount

    def release(self) -> None:
        """Closed for good: let go of what knows this generation, so that it does not wait for the garbage collector."""
        self.half.users.clear()
        self.checklist.release()
        self.pairing.release()

    # -- checks in ---------------------------------------------------------------------------------

    def admit(self, now: float, base: Base, address: Address, prio: int) -> bool:
        """Whether an authentic request has a pair, made if need be; only then it is answered (RFC 8445 7.3.1.3)."""
        if self.retired_until is not None:
            return self.checklist.find(base, address) is not None
        if self.remote is None:
            return self._early.keep(base, address, prio)
        if self.checklist.find(base, address) is not None:
            return True
        ufrag = self.remote.ufrag
        return self.pairing.learn_remote(now, base, address, prio, ufrag, keep=self.selected) is not None

    def on_request(self, now: float, base: Base, address: Address, prio: int, use_candidate: bool) -> None:
        """An authentic request was admitted and answered (RFC 8445 7.3.1)."""
        if self.remote is None:
            self._early.note(base, address, use_candidate)
            return
        pair = self.checklist.find(base, address)
        if pair is None:
            return
        pair.requests_received += 1
        pair.responses_sent += 1
        self._hear(now, pair)
        self.routes.claim(pair)
        if not self._was_checked:
            self._was_checked = True
            self._renominate(now)
        if use_candidate and not self._context.controlling:
            self.nomination.on_use_candidate(now, pair)
        if pair.state is PairStatus.IN_PROGRESS:
            # RFC 8445 7.3.1.4 cancels the check and sends another: repeating it at once does the same for
            # the NAT in between, and its response stays recognisable.
            check = pair.check
            if check is not None:
                check.rto = self._settings.check_rto
                check.next_at = min(check.next_at, max(now, check.last_at + _CROSSING))
        elif self.failed or not pair.is_valid:
            self.checklist.trigger(pair)

    def _hear(self, now: float, pair: Pair) -> None:
        if now - pair.heard_at >= self._settings.wake_after and pair is self.selected:
            self.woken = pair
        pair.heard_at = now

    def has_early_check(self, base: object, address: Address) -> bool:
        """Whether an authentic check came from there, which waits for the remote credentials."""
        return self._early.has(base, address)

    def on_response(self, now: float, base: Base, address: Address, message: StunMessage) -> bool:
        """A success response; False when it changes nothing here (RFC 8445 7.2.5)."""
        check = self._checks.find(message)
        if check is None:
            return False
        pair = check.pair
        if self.checklist.find(base, address) is not pair:
            # RFC 8445 7.2.5.2.1: not symmetric.  It fails the pair; ignoring it lets the real response win.
            # Or the pair had to make room for others.
            return False
        self._checks.drop(check)
        pair.responses_received += 1
        pair.consented_at = now
        self._hear(now, pair)
        pair.rtt = now - check.last_at
        pair.total_rtt += pair.rtt
        self.routes.claim(pair)
        if pair.check is check or not pair.is_valid:
            self.checklist.settle(pair, PairStatus.SUCCEEDED)
        if pair.first_valid_at == NEVER:
            pair.first_valid_at = now
        pair.retry_pause = 0.0
        pair.exhausted = False
        self.pairing.learn_local(pair, message.mapped_address)
        self.nomination.on_success(now, check)
        return True

    def on_error(self, now: float, base: Base, address: Address, message: StunMessage) -> Check | None:
        """An authentic error response: gives its check, so that the core can see to role conflicts."""
        check = self._checks.find(message)
        if check is None or self.checklist.find(base, address) is not check.pair:
            return None
        self._checks.drop(check)
        pair = check.pair
        if message.error[0] == 487:
            self.checklist.settle(pair, PairStatus.SUCCEEDED if pair.is_valid else PairStatus.WAITING)
            self.checklist.trigger(pair)
        elif not check.probe:
            self._fail(now, pair)
        return check

    # -- decisions ---------------------------------------------------------------------------------

    def decide(self, now: float) -> None:
        """Nominate, select, and see whether there is still hope."""
        if self.remote is None or self.retired_until is not None:
            return
        if self._context.controlling:
            pair = self.nomination.propose(now, failed=self.failed, ended=self._ended)
            if pair is not None:
                self._send_check(now, pair, nominate=True)
        if self.nomination.select(now):
            self.consent.start(now, self._context.controlling)
        self._judge(now)

    def _renominate(self, now: float) -> None:
        """Say again what the other side may have answered without understanding it.

        The answerer of a restart that controls may nominate before its answer is there. RFC 8445 7.3 wants such early
        checks answered and processed later; Firefox keeps only the first one of each source, which nominates nothing.
        """
        pair = self.nomination.pending or self.nominated
        if pair is not None and self._context.controlling:
            self._send_check(now, pair, nominate=True, probe=True)

    def _deadline(self) -> float:
        settings = self._settings
        return min(self._started_at + settings.connect_timeout, self._ended_at + settings.no_pair_timeout)

    def _judge(self, now: float) -> None:
        pair = self.selected
        failed = self.failed
        if pair is None:
            self.failed = now + SLACK >= self._deadline()
            self._is_unpaired = (
                not self.checklist.pairs and self.gathered and now + SLACK >= self._told_at + _UNPAIRED_AFTER
            )
        else:
            was_silent = pair.is_silent
            pair.is_silent = now + SLACK - pair.heard_at >= self._settings.disconnected_after
            if was_silent and not pair.is_silent and not failed:
                pair.woke_at = now
            level = self.consent.level(now + SLACK, pair)
            # Who asks has to answer too before it counts as alive again.
            self.failed = level is Liveness.EXPIRED or (failed and level is Liveness.SILENT)
        if self.failed and not failed:
            self.give_up(now)

    def give_up(self, now: float) -> None:
        """Fail. A path that there was is asked for now and then."""
        self.failed = True
        self._failed_at = now
        self.nomination.withdraw()
        for entry in list(self.checklist.in_progress):
            self.checklist.settle(entry, PairStatus.FAILED)
        self._checks.clear()

    def level(self, now: float) -> Liveness:
        """How alive the selected pair is; expired when there is none."""
        if self.selected is None or self.failed:
            return Liveness.EXPIRED
        return self.consent.level(now + SLACK, self.selected)

    @property
    def needs_mappings(self) -> bool:
        """Whether a check may still come in through a reflexive candidate (RFC 8445 5.1.1.4)."""
        return self.nominated is None and not self.failed and self.retired_until is None

    @property
    def is_agreed(self) -> bool:
        """Whether a pair is nominated and the other side knows it: before, it may drop data from there."""
        knows = self._was_checked or (self.remote is not None and self.remote.lite)
        return knows and self.nominated is not None

    def is_at_rest(self, pair: Pair) -> bool:
        """Whether this pair is nominated and works, nothing is left to find, and only consent is asked for."""
        nomination = self.nomination
        return (
            self._completed
            and nomination.nominated is pair
            and nomination.selected is pair
            and nomination.pending is None
            and pair.state is PairStatus.SUCCEEDED
            and not self.checklist.is_busy
            and not self.failed
        )

    @property
    def is_exhausted(self) -> bool:
        """Whether all that is known was tried and does not work; more may come, or be told."""
        return self.selected is None and (self._is_unpaired or self.checklist.is_exhausted())

    @property
    def is_completed(self) -> bool:
        """Whether nothing is left to find: both sides gathered, a pair nominated, no better one outstanding."""
        nominated = self.nominated
        if not self._completed:
            # It stays: a later look at pairs that failed is no step back.
            self._completed = (
                nominated is not None
                and self._ended
                and not self.checklist.in_progress
                and not self.checklist.hope_above(nominated.rank)
            )
        return self._completed
