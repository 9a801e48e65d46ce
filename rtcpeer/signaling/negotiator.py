"""Perfect negotiation: both sides may change the session at any time, and neither has to think of the other.

Owns: the wiring between one `RTCPeerConnection` and one signaling channel: offers when negotiation is needed,
answers, candidates, glare. Never: a decision to restart or to give up (that is the supervisor's); the W3C API
of the connection is all it touches, so anything with that API will do.

Implements: webrtc-pc 10.7 ("perfect negotiation"), and beyond it what an unreliable path needs:

- a message that was not sent is tried again, in order; an unanswered offer is repeated, and so are
  candidates while there is no path (`resend_after`);
- a description that arrives twice is recognised: an offer is answered with the same answer again, and
  candidates that only the second copy has are used;
- a description says in members of its own how new it is ("number") and which offer it answers ("answerTo"):
  what is older than what was applied, or answers an older offer, is dropped. Browsers ignore these members,
  and paths may drop them: then the version in the ``o=`` line has to do;
- a candidate that arrives before its description waits for it, one of an old generation is dropped;
- an offer that the other side has not taken is taken back, also by the impolite side. A polite browser that has another
  offer for us, and no answer, has rolled back its former one and refused ours (Firefox refuses a restart of ICE then);
  it would do so again and again, and both would wait for ever. So its newest offer is taken after a while.

What the channel cannot do (`signaling.capabilities`) is obeyed: nothing is repeated on a reliable one, a description
waits for its candidates where none may follow, no offer is made where the other side alone makes them, and where
only one exchange is possible a change that needs another one raises at the call.
"""

# Longer than 600 lines: what is said and what is heard are judged by the same few facts about one exchange.

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, Self, cast

from rtcpeer.aio import start_task
from rtcpeer.errors import InvalidStateError, NotSupportedError, RTCSyntaxError, SignalingRefused
from rtcpeer.peer.negotiator_link import NegotiatorLink
from rtcpeer.protocols import NegotiableConnection, SessionDescriptionLike
from rtcpeer.signaling.capabilities import ChannelCapabilities, capabilities_of, politeness
from rtcpeer.signaling.channel import Message, SignalingChannel, as_message, read_message_untrusted
from rtcpeer.signaling.glance import (
    candidate_ufrag_untrusted,
    candidates_untrusted,
    essence_untrusted,
    origin_untrusted,
    ufrags_untrusted,
)
from rtcpeer.signaling.notices import Notices
from rtcpeer.signaling.outbox import Outbox

# candidates that wait for their description; a generation has a few dozen
_EARLY_BOUND = 256
# user fragments that are known to be of the past
_PAST_BOUND = 64

_ANSWER_TO = "answerTo"
_NUMBER = "number"
# how often candidates are repeated while there is no path
_RESENDS = 5
# each wait before a repetition is so much longer than the one before, and at most so many times the first one
_RESEND_GROWTH = 1.5
_RESEND_LIMIT = 4.0
# how long an answer may still be on its way when the other side has made another offer, in seconds
_GIVE_WAY_AFTER = 2.0


class _Asking(Protocol):
    """A connection that asks its negotiator before a change, and shows its notices."""

    negotiator: NegotiatorLink | None


class Negotiator:
    """Keeps one connection negotiated over one channel.

        async with Negotiator(pc, channel, polite=True):
            pc.addTrack(track)      # the rest happens by itself
            ...

    Args:
        pc: an `RTCPeerConnection`, on which nobody else negotiates.
        channel: see `SignalingChannel`. Closed neither by the negotiator nor by its end.
        polite: whether we give way when both sides offer at once. Exactly one side must be polite. None: as the
            channel knows it, which the channels of this package do.
        resend_after: repeat an offer that has no answer, and candidates while there is no path, first after so
            many seconds, then after longer waits; None: never.
        on_error: called with each exception that concerns a message (the negotiation goes on); by default the
            loop's exception handler is told.
        sign: called with each description before it is sent; it may add members of its own.

    Attributes:
        notices: messages that were of no use, counted by kind; `explain()` of the connection names the last one.

    Raises:
        TypeError: `polite` is None and the channel does not know it.
    """

    def __init__(
        self,
        pc: NegotiableConnection,
        channel: SignalingChannel,
        *,
        polite: bool | None = None,
        resend_after: float | None = None,
        on_error: Callable[[Exception], object] | None = None,
        sign: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.pc = pc
        self.channel = channel
        self.polite: bool = politeness(channel, polite)
        self.notices: Notices = Notices(_name_of(pc))
        self._resend_after = resend_after
        self._on_error = on_error
        self._add_members = sign
        self._making_offer = False  # from the event on until the offer stands in localDescription
        self._ignored_offer = False  # the last remote offer was ignored: its candidates may be unknown
        # the newest that was, since our offer was made, with its essence
        self._ignored: tuple[Message, str] | None = None
        self._giving_way: asyncio.TimerHandle | None = None
        self._answer_pending = False  # setRemoteDescription(answer) is under way
        self._applying = False  # a remote offer is being applied and answered
        self._describing = 0  # setLocalDescription calls under way: candidates wait for the description
        self._held: list[Any] = []  # those candidates
        self._described = ""  # the newest description that was sent, as it was then
        self._gathered = asyncio.Event()  # all candidates of the present generation are known
        self._restart_refused = False
        self._refusal: SignalingRefused | None = None  # the channel will take no description any more
        self._outbox = Outbox(channel, failed=self._not_sent, refused=self._refused)
        self._told: list[dict[str, Any]] = []  # candidates of the newest description, to tell them again
        self._resends = 0  # how often they were
        self._repeated = 0  # how often anything of it was: the waits grow
        self._early: deque[Message] = deque()
        self._past: deque[str] = deque(maxlen=_PAST_BOUND)
        self._remote: tuple[str, str] | None = None  # type and essence of the one in force
        self._remote_origin: tuple[str, int] | None = None
        self._remote_number: int | None = None  # its "number", if it has one
        self._number = 0  # of our newest description
        self._numbers: dict[str, tuple[str, int]] = {}  # type -> essence and number of our newest one
        self._receiving = asyncio.Lock()  # messages are handled one after the other
        self._resend_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._started = False
        self._closed = False

    def __repr__(self) -> str:
        manners = "polite" if self.polite else "impolite"
        return f"<Negotiator {manners}, {self.pc.signalingState}{', closed' if self._closed else ''}>"

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self, *, read: bool = True) -> None:
        """Begin to listen to the connection and, unless `read` is False, to the channel.

        Without reading, whoever reads the channel passes the messages on to `receive`.
        """
        if self._started or self._closed:
            return
        self._started = True
        if hasattr(type(self.pc), "negotiator"):
            cast(
                "_Asking", self.pc
            ).negotiator = self  # so that it asks `check_change`, and `explain` our notices
        self.pc.addEventListener("negotiationneeded", self._on_negotiation_needed)
        self.pc.addEventListener("icecandidate", self._on_candidate)
        self._spawn(self._outbox.run(), "signaling sender")
        if read:
            self._spawn(self._read_all(), "signaling reader")

    async def run(self) -> None:
        """Negotiate until the channel ends."""
        self.start(read=False)
        try:
            await self._read_all()
        finally:
            await self.close()

    def stop(self) -> None:
        """Stop at once: nothing more is sent, read or reported. `close` does this first."""
        self._closed = True
        self._outbox.close()
        self._cancel_resend()
        self._forget_ignored()
        if self._started:
            self.pc.removeEventListener("negotiationneeded", self._on_negotiation_needed)
            self.pc.removeEventListener("icecandidate", self._on_candidate)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def close(self) -> None:
        """Stop negotiating. Idempotent; connection and channel stay open, no task stays."""
        self.stop()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks)

    def check_change(self, what: str) -> None:
        """Refuse a change that needs an offer which the channel cannot carry; the connection asks this.

        Raises:
            NotSupportedError: only one exchange is possible, and it has begun; or this side makes no offers.
        """
        capabilities = capabilities_of(self.channel)
        state = str(self.pc.signalingState)
        if self._closed or state not in ("stable", "have-local-offer"):
            return  # what is said before the answer goes into the answer
        if not capabilities.renegotiate and self.pc.localDescription is not None:
            raise NotSupportedError(
                f"{what}: {type(self.channel).__name__} carries one offer and one answer, and cannot negotiate again. "
                "Add everything before the first offer; replaceTrack() changes what is sent"
            )

    async def negotiate(self) -> None:
        """Offer now. Not needed normally: the connection says by itself when negotiation is needed.

        Nothing happens where the other side alone makes offers.
        """
        if capabilities_of(self.channel).offers == "remote":
            return
        self._making_offer = True
        await self._make_offer()

    async def receive(self, value: Any) -> None:
        """Handle one message from the other side. Never raises because of what it says.

        Messages are handled in the order of the calls.
        """
        async with self._receiving:
            if self._closed or self.pc.signalingState == "closed":
                return
            try:
                message = read_message_untrusted(value)
            except RTCSyntaxError as error:
                self.notices.add("unreadable", str(error))
                self._report(error)
                return
            kind = "candidate" if "candidate" in message else "description"
            try:
                if kind == "candidate":
                    await self._receive_candidate(message)
                else:
                    await self._receive_description(message)
            except Exception as error:
                if not self._is_over(error):
                    self.notices.add(f"refused {kind}", f"{type(error).__name__}: {error}")
                self._report(error)

    # -- what we say -------------------------------------------------------------------------------

    def _on_negotiation_needed(self, _event: object) -> None:
        if capabilities_of(self.channel).offers == "remote":
            return  # what was added goes into our next answer
        # marked here and not in the task: what arrives before the task runs must see it
        self._making_offer = True
        self._spawn(self._make_offer(), "negotiation")

    async def _make_offer(self) -> None:
        try:
            if self._applying or self.pc.signalingState != "stable":
                return  # a remote offer came first; the connection asks again when it is answered
            if self._refusal is not None:
                return  # it was told when it happened
            capabilities = capabilities_of(self.channel)
            if capabilities.renegotiate or self.pc.localDescription is None:
                await self._describe()
            elif capabilities.restart == "offer" and not self._restart_refused:
                await self._restart()
            else:
                self._cannot("an ICE restart or a change of the session is needed")
        except Exception as error:
            if not self._is_over(error):
                self.notices.add("failed offer", f"{type(error).__name__}: {error}")
            self._report(error)
        finally:
            self._making_offer = False

    async def _restart(self) -> None:
        """An offer on a channel that carries one exchange: only a restart of ICE can follow it."""
        offer = await self.pc.createOffer()
        if ufrags_untrusted(offer.sdp) & self._local_ufrags():
            self._cannot("a change of the session needs another offer")
        else:
            await self._describe(offer)

    def _cannot(self, what: str) -> None:
        name = type(self.channel).__name__
        if not self.notices.counts["impossible"]:
            self._report(NotSupportedError(f"{what}, and {name} cannot carry it"))
        self.notices.add("impossible", what)

    async def _describe(self, description: SessionDescriptionLike | None = None) -> None:
        """setLocalDescription(), then send it, then the candidates that came meanwhile."""
        self._describing += 1
        self._gathered.clear()
        before = self._local_ufrags()
        try:
            if description is None:
                await self.pc.setLocalDescription()
            else:
                await self.pc.setLocalDescription(description)
            capabilities = capabilities_of(self.channel)
            if capabilities.trickle is not True:
                await self._wait_for_candidates(capabilities, is_new=not self._local_ufrags() & before)
            self._post(self.pc.localDescription)
        finally:
            self._describing -= 1
            if not self._describing:
                held, self._held = self._held, []
                for candidate in held:
                    self._post_candidate(candidate)

    async def _wait_for_candidates(self, capabilities: ChannelCapabilities, *, is_new: bool) -> None:
        """Until all are gathered, within the time that the channel allows; the description has them then.

        Args:
            capabilities: of the channel.
            is_new: whether the ICE credentials are: then the state may still be that of the generation before.
        """
        complete = str(getattr(self.pc, "iceGatheringState", "")) == "complete"
        if complete and not is_new:
            return
        local = self.pc.localDescription
        if complete and local is not None and "a=end-of-candidates" in local.sdp:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(capabilities.gathering_time):
                await self._gathered.wait()

    def _on_candidate(self, event: Any) -> None:
        if event.candidate is None:
            # all is gathered: the empty candidates have told the other side
            self._gathered.set()
        elif self._describing:
            self._held.append(event.candidate)
        else:
            self._post_candidate(event.candidate)

    def _post_candidate(self, candidate: Any) -> None:
        """Send a candidate, unless the channel takes none or the description that was sent has it."""
        trickle = capabilities_of(self.channel).trickle
        if trickle is False:
            return
        line = as_message(candidate).get("candidate")
        if trickle == "auto" and (line or "a=end-of-candidates") in self._described:
            return
        self._post(candidate)

    def _post(self, value: Any, *, again: bool = False) -> None:
        if self._closed or value is None:
            return
        message = as_message(value)
        if "type" in message:
            self._sign(message)
            self._described = message["sdp"]
        if "type" not in message:
            self._told.append(message)
        elif not again:
            self._told = []
            self._resends = self._repeated = 0
            self._forget_ignored()
            self._arm_resend()
        self._outbox.put(message)

    def _sign(self, description: dict[str, Any]) -> None:
        """Say how new a description is, and what it answers. A copy has the number of the first one."""
        kind, essence = description["type"], essence_untrusted(description["sdp"])
        if self._numbers.get(kind, ("", 0))[0] != essence:
            self._number += 1
            self._numbers[kind] = (essence, self._number)
        description[_NUMBER] = self._numbers[kind][1]
        if kind != "offer" and self.pc.remoteDescription is not None:
            offer = origin_untrusted(self.pc.remoteDescription.sdp)
            if offer is not None:
                description[_ANSWER_TO] = f"{offer[0]} {offer[1]}"
        if self._add_members is not None:
            self._add_members(description)

    def _not_sent(self, message: dict[str, Any], error: Exception) -> None:
        """A message was given up. An offer that was refused is taken back, so that the session stays as it was."""
        what = message.get("type", "candidate")
        self.notices.add("not sent", f"{what}: {type(error).__name__}: {error}")
        if isinstance(error, SignalingRefused):
            if error.fatal:
                self._refusal = error
                self._outbox.close()
            if what == "offer":
                self._restart_refused = True
                self._spawn(self._take_back(message), "rollback")
        self._report(error)

    async def _take_back(self, message: dict[str, Any]) -> None:
        # a first offer stays: what it asks for is still wanted, and the application may have begun to look at it
        pending = self.pc.localDescription if self.pc.signalingState == "have-local-offer" else None
        if self.pc.currentLocalDescription is None or pending is None:
            return
        if essence_untrusted(pending.sdp) == essence_untrusted(message["sdp"]):
            try:
                await self.pc.setLocalDescription({"type": "rollback", "sdp": ""})
            except Exception as error:
                self._report(error)

    def _refused(self, error: SignalingRefused) -> None:
        """A message has to wait, as the service says."""
        self.notices.add("refused for now", str(error))
        self._report(error)

    def _arm_resend(self) -> None:
        self._cancel_resend()
        if self._resend_after is not None and not capabilities_of(self.channel).reliable:
            delay = self._resend_after * min(_RESEND_LIMIT, _RESEND_GROWTH**self._repeated)
            self._repeated = min(self._repeated + 1, 10)  # enough for the limit
            self._resend_timer = asyncio.get_running_loop().call_later(delay, self._resend)

    def _resend(self) -> None:
        """Repeat an offer that nobody answered; else candidates, while there is no path: some may be lost."""
        self._resend_timer = None
        if self._closed or self.pc.signalingState == "closed":
            return
        if self.pc.signalingState == "have-local-offer":
            self._post(self.pc.localDescription, again=True)
            self._arm_resend()
        elif not self._resends or (
            self._resends < _RESENDS and self.pc.iceConnectionState not in ("connected", "completed")
        ):
            self._resends += 1
            told, self._told = self._told, []
            for candidate in told:
                self._post(candidate)
            self._arm_resend()

    def _cancel_resend(self) -> None:
        if self._resend_timer is not None:
            self._resend_timer.cancel()
            self._resend_timer = None

    # -- what we hear ------------------------------------------------------------------------------

    async def _read_all(self) -> None:
        try:
            async for message in self.channel:
                await self.receive(message)
        except Exception as error:
            self.notices.add("channel failed", f"{type(error).__name__}: {error}")
            self._report(error)

    async def _receive_description(self, description: Message) -> None:
        """Implements: webrtc-pc 10.7, the handler of a description."""
        kind, sdp = description["type"], description.get("sdp", "")
        essence = essence_untrusted(sdp)
        if self._remote == (kind, essence) and self.pc.signalingState != "have-remote-offer":
            await self._receive_again(kind, sdp)
            return
        if self._is_old(description) or self._answers_another(description):
            return
        # in "have-remote-offer" answering has failed: the same offer again, or the next one, is no glare
        ready = not self._making_offer and (
            self.pc.signalingState in ("stable", "have-remote-offer") or self._answer_pending
        )
        self._ignored_offer = not self.polite and kind == "offer" and not ready
        if self._ignored_offer:
            self._ignore(description, essence)
            return
        if kind in ("answer", "pranswer") and self.pc.signalingState in ("stable", "have-remote-offer"):
            self.notices.add("unexpected answer", "an answer arrived that nobody waits for")
            return
        await self._apply(description, essence)

    async def _apply(self, description: Message, essence: str) -> None:
        kind, sdp = description["type"], description.get("sdp", "")
        self._answer_pending = kind == "answer"
        self._applying = kind == "offer"
        try:
            known = self._known_ufrags()
            await self.pc.setRemoteDescription({"type": kind, "sdp": sdp})
            self._answer_pending = False
            self._applied(description, essence, known)
            if kind == "offer":
                await self._describe()
        finally:
            self._answer_pending = self._applying = False
        await self._add_early()

    def _ignore(self, offer: Message, essence: str) -> None:
        """Ignore an offer, since ours goes first; the second one of a browser shows that ours was not taken.

        Ends that number their descriptions, as we do, refuse nothing that they have rolled back for, and may repeat
        themselves on a path that loses answers.
        """
        if self.pc.signalingState != "have-local-offer" or _NUMBER in offer:
            return
        former = self._ignored
        if former is None:
            self._ignored = offer, essence
            return
        before, now = origin_untrusted(former[1]), origin_untrusted(essence)
        is_old = before is not None and now is not None and before[0] == now[0] and now[1] < before[1]
        if essence == former[1] or is_old:
            return  # a copy
        self._ignored = offer, essence
        if self._giving_way is None:
            self._cancel_resend()  # it would be refused as before
            self._give_way_later()

    def _give_way_later(self) -> None:
        def due() -> None:
            self._giving_way = None
            self._spawn(self._give_way(), "giving way")

        self._giving_way = asyncio.get_running_loop().call_later(_GIVE_WAY_AFTER, due)

    async def _give_way(self) -> None:
        """Take the other side's newest offer in place of ours; what ours was for is offered again after that."""
        async with self._receiving:
            if self._closed or self._ignored is None or self.pc.signalingState != "have-local-offer":
                return
            if self._outbox.has_offer:  # it may get there yet, and undo theirs
                self._give_way_later()
                return
            self.notices.add("offer not taken", "the other side makes others and does not answer ours")
            offer, essence = self._ignored
            self._forget_ignored()
            self._ignored_offer = False
            try:
                await self._apply(offer, essence)
            except Exception as error:
                if not self._is_over(error):
                    self.notices.add("refused description", f"{type(error).__name__}: {error}")
                    if self.pc.signalingState == "have-local-offer":
                        self._arm_resend()  # ours is in force as before
                self._report(error)

    def _forget_ignored(self) -> None:
        self._ignored = None
        if self._giving_way is not None:
            self._giving_way.cancel()
            self._giving_way = None

    async def _receive_again(self, kind: str, sdp: str) -> None:
        """A description that is in force already: our answer may have been lost, or candidates of it."""
        local = self.pc.currentLocalDescription  # an offer of ours may be pending beside it
        if kind == "offer" and local is not None and local.type == "answer":
            self._post(local, again=True)
        for candidate in candidates_untrusted(sdp):
            await self._receive_candidate(candidate)

    def _is_old(self, description: Message) -> bool:
        before, now = self._remote_origin, origin_untrusted(description.get("sdp", ""))
        if before is None or now is None or before[0] != now[0]:
            return False
        number = description.get(_NUMBER)
        if isinstance(number, int) and self._remote_number is not None:
            old = number < self._remote_number
        else:
            old = now[1] < before[1]
        if old:
            self.notices.add(
                "older description", "a description arrived after a newer one of the same session"
            )
        return old

    def _answers_another(self, description: Message) -> bool:
        said = description.get(_ANSWER_TO)
        local = self.pc.localDescription
        ours = origin_untrusted(local.sdp) if local is not None else None
        if not isinstance(said, str) or ours is None:
            return False
        identity, _, version = said.partition(" ")
        # another id: somebody between us rewrites descriptions, and the member says nothing
        other = identity == ours[0] and version != str(ours[1])
        if other:
            self.notices.add("late answer", "an answer arrived for an offer that is not in force any more")
        return other

    def _applied(self, description: Message, essence: str, known: frozenset[str]) -> None:
        self._forget_ignored()
        self._remote = (description["type"], essence)
        self._remote_origin = origin_untrusted(essence)
        number = description.get(_NUMBER)
        self._remote_number = number if isinstance(number, int) else None
        self._past.extend(known - self._known_ufrags())

    async def _receive_candidate(self, candidate: Message) -> None:
        ufrag = candidate.get("usernameFragment") or candidate_ufrag_untrusted(candidate["candidate"])
        known = self._known_ufrags()
        if self.pc.remoteDescription is None or (ufrag is not None and ufrag not in known):
            if ufrag not in self._past:
                self._early.append(candidate)
                if len(self._early) > _EARLY_BOUND:
                    self._early.popleft()
                    self.notices.add(
                        "early candidate",
                        f"more than {_EARLY_BOUND} candidates arrived before their description",
                    )
            return
        try:
            await self.pc.addIceCandidate(dict(candidate))
        except Exception:
            if not self._ignored_offer:
                raise

    async def _add_early(self) -> None:
        early, self._early = self._early, deque()
        for candidate in early:
            try:
                await self._receive_candidate(candidate)
            except Exception as error:
                self.notices.add("refused candidate", f"{type(error).__name__}: {error}")
                self._report(error)

    def _local_ufrags(self) -> frozenset[str]:
        local = self.pc.localDescription
        return frozenset() if local is None else ufrags_untrusted(local.sdp)

    def _known_ufrags(self) -> frozenset[str]:
        remote = self.pc.remoteDescription
        return frozenset() if remote is None else ufrags_untrusted(remote.sdp)

    # -- inside ------------------------------------------------------------------------------------

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = start_task(coroutine, name=f"rtcpeer {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_over(self, error: Exception) -> bool:
        """Whether an error only says that somebody has closed the connection or this negotiator."""
        return self._closed or (isinstance(error, InvalidStateError) and self.pc.signalingState == "closed")

    def _report(self, error: Exception) -> None:
        if self._is_over(error):
            return
        message = "negotiation: a message failed"
        if self._on_error is not None:
            try:
                self._on_error(error)
            except Exception as raised:
                message, error = "negotiation: on_error raised", raised
            else:
                return
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def _name_of(pc: NegotiableConnection) -> str:
    """The name under which a connection is in the log; its class for one that is none of ours."""
    name = getattr(getattr(pc, "_session_", None), "name", None)
    return name if isinstance(name, str) else type(pc).__name__
