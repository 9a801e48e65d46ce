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
- a candidate that arrives before its description waits for it, one of an old generation is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self

from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.channel import Message, SignalingChannel, as_message, read_message_untrusted
from rtcpeer.signaling.glance import (
    candidate_ufrag_untrusted,
    candidates_untrusted,
    essence_untrusted,
    origin_untrusted,
    ufrags_untrusted,
)

logger = logging.getLogger(__name__)

# candidates that wait for their description; a generation has a few dozen
_EARLY_BOUND = 256
# user fragments that are known to be of the past
_PAST_BOUND = 64
# waits before a failed send is tried again, in seconds; after the last one the message is given up
_RETRIES = (0.2, 0.5, 1.0, 2.0, 4.0)

_ANSWER_TO = "answerTo"
_NUMBER = "number"
# how often candidates are repeated while there is no path
_RESENDS = 5
# each wait before a repetition is so much longer than the one before, and at most so many times the first one
_RESEND_GROWTH = 1.5
_RESEND_LIMIT = 4.0


class Negotiator:
    """Keeps one connection negotiated over one channel.

        async with Negotiator(pc, channel, polite=True):
            pc.addTrack(track)      # the rest happens by itself
            ...

    Args:
        pc: an `RTCPeerConnection`, on which nobody else negotiates.
        channel: see `SignalingChannel`. Closed neither by the negotiator nor by its end.
        polite: whether we give way when both sides offer at once. Exactly one side must be polite.
        resend_after: repeat an offer that has no answer, and candidates while there is no path, first after so
            many seconds, then after longer waits; None: never.
        on_error: called with each exception that concerns a message (the negotiation goes on); by default the
            loop's exception handler is told.
        sign: called with each description before it is sent; it may add members of its own.
    """

    def __init__(
        self,
        pc: Any,
        channel: SignalingChannel,
        *,
        polite: bool,
        resend_after: float | None = None,
        on_error: Callable[[Exception], object] | None = None,
        sign: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.pc = pc
        self.channel = channel
        self.polite = polite
        self._resend_after = resend_after
        self._on_error = on_error
        self._add_members = sign
        self._making_offer = False  # from the event on until the offer stands in localDescription
        self._ignored_offer = False  # the last remote offer was ignored: its candidates may be unknown
        self._answer_pending = False  # setRemoteDescription(answer) is under way
        self._applying = False  # a remote offer is being applied and answered
        self._describing = 0  # setLocalDescription calls under way: candidates wait for the description
        self._held: list[Any] = []  # those candidates
        self._outbox: deque[dict[str, Any]] = deque()
        self._told: list[dict[str, Any]] = []  # candidates of the newest description, to tell them again
        self._resends = 0  # how often they were
        self._repeated = 0  # how often anything of it was: the waits grow
        self._outbox_filled = asyncio.Event()
        self._early: deque[Message] = deque(maxlen=_EARLY_BOUND)
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
        self.pc.addEventListener("negotiationneeded", self._on_negotiation_needed)
        self.pc.addEventListener("icecandidate", self._on_candidate)
        self._spawn(self._send_all(), "signaling sender")
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
        """What `close` does at once: nothing more is sent, heard or told."""
        self._closed = True
        self._cancel_resend()
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

    async def negotiate(self) -> None:
        """Offer now. Not needed normally: the connection says by itself when negotiation is needed."""
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
                if "candidate" in message:
                    await self._receive_candidate(message)
                else:
                    await self._receive_description(message)
            except Exception as error:
                self._report(error)

    # -- what we say -------------------------------------------------------------------------------

    def _on_negotiation_needed(self, _event: Any) -> None:
        # marked here and not in the task: what arrives before the task runs must see it
        self._making_offer = True
        self._spawn(self._make_offer(), "negotiation")

    async def _make_offer(self) -> None:
        try:
            if self._applying or self.pc.signalingState != "stable":
                return  # a remote offer came first; the connection asks again when it is answered
            await self._describe()
        except Exception as error:
            self._report(error)
        finally:
            self._making_offer = False

    async def _describe(self) -> None:
        """setLocalDescription(), then send it, then the candidates that came meanwhile."""
        self._describing += 1
        try:
            await self.pc.setLocalDescription()
            self._post(self.pc.localDescription)
        finally:
            self._describing -= 1
            if not self._describing:
                held, self._held = self._held, []
                for candidate in held:
                    self._post(candidate)

    def _on_candidate(self, event: Any) -> None:
        # None says that all is gathered: the empty candidates have told the other side
        if event.candidate is None:
            return
        if self._describing:
            self._held.append(event.candidate)
        else:
            self._post(event.candidate)

    def _post(self, value: Any, *, again: bool = False) -> None:
        if self._closed or value is None:
            return
        message = as_message(value)
        if "type" in message:
            self._sign(message)
        if message.get("type") == "offer":
            # what has not left yet is superseded: the description has all candidates. An answer is still awaited.
            answers = [m for m in self._outbox if m.get("type") not in (None, "offer")]
            self._outbox = deque(answers)
        if "type" not in message:
            self._told.append(message)
        elif not again:
            self._told = []
            self._resends = self._repeated = 0
            self._arm_resend()
        self._outbox.append(message)
        self._outbox_filled.set()

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

    async def _send_all(self) -> None:
        failures = 0
        # not "while True": a channel's send may swallow our cancellation (asyncio.wait_for did until Python 3.12)
        while not self._closed:
            while not self._outbox:
                self._outbox_filled.clear()
                await self._outbox_filled.wait()
            message = self._outbox[0]
            try:
                await self.channel.send(message)
            except Exception as error:
                failures += 1
                if failures <= len(_RETRIES):
                    await asyncio.sleep(_RETRIES[failures - 1])
                    continue
                self._report(error)
            failures = 0
            # it may have been superseded while it was on its way
            if self._outbox and self._outbox[0] is message:
                self._outbox.popleft()

    def _arm_resend(self) -> None:
        self._cancel_resend()
        if self._resend_after is not None:
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
        ready = not self._making_offer and (self.pc.signalingState == "stable" or self._answer_pending)
        self._ignored_offer = not self.polite and kind == "offer" and not ready
        if self._ignored_offer:
            return
        if kind in ("answer", "pranswer") and self.pc.signalingState in ("stable", "have-remote-offer"):
            logger.debug("an answer arrived that nobody waits for")
            return
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
            logger.debug("a description arrived after a newer one")
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
            logger.debug("an answer arrived for an offer that is not in force any more")
        return other

    def _applied(self, description: Message, essence: str, known: frozenset[str]) -> None:
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
            return
        try:
            await self.pc.addIceCandidate(dict(candidate))
        except Exception:
            if not self._ignored_offer:
                raise

    async def _add_early(self) -> None:
        early, self._early = self._early, deque(maxlen=_EARLY_BOUND)
        for candidate in early:
            try:
                await self._receive_candidate(candidate)
            except Exception as error:
                self._report(error)

    def _known_ufrags(self) -> frozenset[str]:
        remote = self.pc.remoteDescription
        return frozenset() if remote is None else ufrags_untrusted(remote.sdp)

    # -- inside ------------------------------------------------------------------------------------

    def _spawn(self, coroutine: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"rtcpeer {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _report(self, error: Exception) -> None:
        if isinstance(error, InvalidStateError) and self.pc.signalingState == "closed":
            return
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._on_error is not None:
            with contextlib.suppress(Exception):
                self._on_error(error)
            return
        context: Mapping[str, Any] = {"message": "negotiation: a message failed", "exception": error}
        loop.call_exception_handler(dict(context))
