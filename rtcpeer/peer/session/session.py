"""One connection behind its face: the algorithms of webrtc-pc 4.4, and the owner of everything that runs.

Owns: the engine, the configuration in force, the operations chain, the closed flag, what was
last announced. Never: SDP (the engine's), sockets and codecs (the executor's), W3C argument conversion (the face's).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rtcpeer.aio import Gone
from rtcpeer.config.configuration import RTCConfiguration
from rtcpeer.config.manager import ConfigurationManager
from rtcpeer.dtls.certificates import Certificate
from rtcpeer.errors import InvalidStateError
from rtcpeer.ice.settings import IceSettings
from rtcpeer.jsep.effects import Plan
from rtcpeer.jsep.encodings import check_new
from rtcpeer.jsep.engine import Engine
from rtcpeer.jsep.settings import EngineSettings, OfferOptions
from rtcpeer.media.event_target import Event, close_events, fire, forget_listeners
from rtcpeer.net.current import current_network
from rtcpeer.peer.certificate import core_of
from rtcpeer.peer.negotiatorlink import NegotiatorLink
from rtcpeer.peer.session.aggregates import Aggregates
from rtcpeer.peer.session.capabilities import engine_capabilities
from rtcpeer.peer.session.entropy import SystemEntropy
from rtcpeer.peer.session.executor import Executor
from rtcpeer.peer.session.operations import OperationsChain, Pending
from rtcpeer.peer.session.stats_collector import StatsCollector
from rtcpeer.peer.session.watching import Watchers
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.peer.stats import RTCStatsReport
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.sdp.text import parse_untrusted, write
from rtcpeer.values import (
    BundlePolicy,
    DtlsRole,
    IceTransportPolicy,
    MediaKind,
    SdpType,
    SignalingState,
)

if TYPE_CHECKING:
    from rtcpeer.peer.connection import RTCPeerConnection

logger = logging.getLogger("rtcpeer.peer")

_T = TypeVar("_T")


def _steps(plan: Plan) -> str:
    """The steps of a plan by name, with how often: no content of a description."""
    counts = Counter(type(effect).__name__ for effect in (*plan.prepare, *plan.start))
    return ", ".join(f"{name} x {count}" if count > 1 else name for name, count in counts.items())


class PeerSession:
    """The state and the work of one RTCPeerConnection.

    Args:
        face: the object that events are fired at.
        configuration: validated.
        settings: what W3C has no word for.
    """

    def __init__(
        self, face: RTCPeerConnection, configuration: RTCConfiguration, settings: PeerSettings
    ) -> None:
        self.face = face
        self.name = f"pc-{secrets.token_hex(3)}"
        self.manager = ConfigurationManager(configuration)
        self.settings = settings
        self.network = settings.network or current_network.get()
        self.engine = Engine(
            EngineSettings(
                capabilities=engine_capabilities,
                bundle_policy=BundlePolicy(configuration.bundlePolicy),
                max_message_size=settings.max_message_size,
            ),
            SystemEntropy(),
            write,
            parse_untrusted,
        )
        self.chain = OperationsChain(self._chain_empty)
        # webrtc-pc 4.4.1.5: a description waits for every setParameters() under way
        self.parameters_pending = Pending()
        self.executor = Executor(self)
        # makes the ids of statistics stable within the connection and meaningless outside it
        self.stats_salt = secrets.token_hex(4)
        self.closed = False
        # who negotiates for this connection, if somebody does: asked before changes, and named by explain()
        self.negotiator: NegotiatorLink | None = None
        # metrics and tracers; how often ICE was restarted
        self.watchers = Watchers(self.report_failure)
        self.restarts = 0
        self._certificates: tuple[Certificate, ...] = ()
        self._closing: asyncio.Task[None] | None = None
        # where everything of ours runs; None until something does
        self._loop: asyncio.AbstractEventLoop | None = None
        # steps queued before there was a loop to run them
        self._early_steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        # [[NegotiationNeeded]], [[UpdateNegotiationNeededFlagOnEmptyChain]]
        self._negotiation_needed = False
        self._update_on_empty_chain = False
        self._network_change_queued = False
        self.aggregates = Aggregates(self.name, self.executor, self.fire)

    def check_change(self, what: str) -> None:
        """Let the negotiator refuse a change that needs an offer which its signaling path cannot carry.

        Raises:
            NotSupportedError: it does.
        """
        if self.negotiator is not None:
            self.negotiator.check_change(what)

    # --- the loop ---------------------------------------------------------------------------------

    def queue_task(self, step: Callable[..., Any], *args: Any) -> None:
        """Run `step` in a later turn of the loop ("queue a task"); kept until there is a loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._early_steps.append((step, args))
            return
        self.enter_loop(loop)
        loop.call_soon(step, *args)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where everything of ours runs; None until something does."""
        return self._loop

    def enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Queue what waited for a loop."""
        self._loop = loop
        if self._early_steps:
            steps, self._early_steps = self._early_steps, []
            for step, args in steps:
                loop.call_soon(step, *args)

    def fire(self, event: Event) -> None:
        """Fire an event at the connection, unless it is closed."""
        if not self.closed:
            self.watchers.event(event)
            fire(self.face, event)

    def check_open(self) -> None:
        """Refuse to go on after `close()`.

        Raises:
            InvalidStateError: the connection is closed.
        """
        if self.closed:
            raise InvalidStateError("the connection is closed; create a new RTCPeerConnection")

    async def _in_parallel(self) -> None:
        """What W3C does "in parallel, then queues a task": later, and not if closed meanwhile."""
        await asyncio.sleep(0)
        self.check_open()

    # --- plans ------------------------------------------------------------------------------------

    def carry_out(self, plan: Plan) -> None:
        """Do what a plan says: make, commit, start, announce. Nothing has happened if it raises."""
        self.executor.prepare(plan)
        try:
            self.engine.commit(plan)
        except BaseException:
            self.executor.undo(plan)
            raise
        if plan.base.signaling is not plan.next.signaling:
            logger.info("%s signaling is %s", self.name, plan.next.signaling.value)
        if logger.isEnabledFor(logging.DEBUG) and (plan.prepare or plan.start):
            logger.debug("%s does: %s", self.name, _steps(plan))
        self.executor.start(plan)
        self.executor.announce(plan)

    # --- descriptions -----------------------------------------------------------------------------

    async def create_offer(self, options: OfferOptions) -> str:
        """webrtc-pc 4.4.2 createOffer."""

        async def operation() -> str:
            self._check_signaling("createOffer()", SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER)
            self.ensure_certificate()
            await self._in_parallel()
            plan = self.engine.plan_offer(options)
            self.carry_out(plan)
            return plan.text

        self.enter_loop(asyncio.get_running_loop())
        return await self._perform("createOffer", operation)

    async def create_answer(self) -> str:
        """webrtc-pc 4.4.2 createAnswer."""

        async def operation() -> str:
            self._check_signaling(
                "createAnswer()", SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER
            )
            self.ensure_certificate()
            await self._in_parallel()
            plan = self.engine.plan_answer()
            self.carry_out(plan)
            return plan.text

        self.enter_loop(asyncio.get_running_loop())
        return await self._perform("createAnswer", operation)

    async def set_local_description(self, type: SdpType | None, text: str) -> None:
        """webrtc-pc 4.4.2 setLocalDescription, 4.4.1.5 "set a local session description"."""

        async def operation() -> None:
            self._check_rollback(type)
            self.ensure_certificate()
            await self._in_parallel()
            await self.parameters_pending.settled()
            self.check_open()
            self.carry_out(self.engine.plan_local(type, text))

        self.enter_loop(asyncio.get_running_loop())
        await self._perform("setLocalDescription", operation, type or "", text)

    async def set_remote_description(self, type: SdpType, text: str) -> None:
        """webrtc-pc 4.4.2 setRemoteDescription, 4.4.1.5 "set a remote session description"."""

        async def operation() -> None:
            self._check_rollback(type)
            self.ensure_certificate()
            await self._in_parallel()
            await self.parameters_pending.settled()
            self.check_open()
            plan = self.engine.plan_remote(type, text)
            while plan.first is not None:
                self.carry_out(plan.first)
                await self._in_parallel()
                plan = self.engine.plan_remote(type, text)
            self.carry_out(plan)

        self.enter_loop(asyncio.get_running_loop())
        await self._perform("setRemoteDescription", operation, type, text)

    async def add_ice_candidate(
        self, candidate: str, mid: str | None, mline_index: int | None, ufrag: str | None
    ) -> None:
        """webrtc-pc 4.4.2 addIceCandidate."""

        async def operation() -> None:
            if self.engine.state.remote_description is None:
                raise InvalidStateError("a remote candidate needs a remote description first")
            await self._in_parallel()
            self.carry_out(self.engine.plan_remote_candidate(candidate, mid, mline_index, ufrag))

        await self._perform("addIceCandidate", operation, text=f"sdpMid: {mid}, candidate: {candidate}")

    async def _perform(
        self, what: str, operation: Callable[[], Awaitable[_T]], type_: str = "", text: str = ""
    ) -> _T:
        """Run an operation in the chain, and tell of it; descriptions and candidates themselves are not logged."""
        logger.debug("%s %s%s", self.name, what, type_ and f"({type_})")
        self.watchers.call(what, type_ and f"type: {type_}", text)
        try:
            result = await self.chain.run(operation)
        except Exception as error:
            self.watchers.call(f"{what}OnFailure", type(error).__name__)
            logger.debug("%s %s failed: %s", self.name, what, type(error).__name__)
            raise
        self.watchers.call(f"{what}OnSuccess")
        return result

    # What W3C refuses before it does anything in parallel; the engine refuses the same, later.

    def _check_signaling(self, operation: str, *allowed: SignalingState) -> None:
        state = self.engine.state.signaling
        if state not in allowed:
            raise InvalidStateError(f"{operation} is not possible in signaling state {state.value!r}")

    def _check_rollback(self, type: SdpType | None) -> None:
        if type is SdpType.ROLLBACK:
            self._check_signaling(
                "rollback", SignalingState.HAVE_LOCAL_OFFER, SignalingState.HAVE_REMOTE_OFFER
            )

    def ensure_certificate(self) -> None:
        """Have a certificate before anything is described."""
        if not self.engine.fingerprints:
            # a description names them all: which one is shown, the handshake decides
            self.engine.fingerprints = tuple(
                dict.fromkeys(f for c in self.certificates for f in c.fingerprints)
            )

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificates of this connection: those configured, else one of its own (webrtc-pc 4.4.1.1)."""
        if not self._certificates:
            given = self.manager.current.certificates
            self._certificates = tuple(core_of(c) for c in given) or (Certificate.generate(),)
        return self._certificates

    # --- negotiation needed (webrtc-pc 4.7.3) -----------------------------------------------------

    def update_negotiation_needed(self, *, clear: bool = False) -> None:
        """Update the negotiation-needed flag; with `clear` the flag is cleared first."""
        if clear:
            self._negotiation_needed = False
        if not self.chain.is_empty:
            self._update_on_empty_chain = True
            return
        self.queue_task(self._check_negotiation_needed)

    def _check_negotiation_needed(self) -> None:
        if self.closed:
            return
        if not self.chain.is_empty:
            self._update_on_empty_chain = True
            return
        if self.engine.state.signaling is not SignalingState.STABLE:
            return
        if not self.engine.negotiation_needed():
            self._negotiation_needed = False
            return
        if not self._negotiation_needed:
            self._negotiation_needed = True
            self.fire(Event("negotiationneeded"))

    def _chain_empty(self) -> None:
        if self._update_on_empty_chain:
            self._update_on_empty_chain = False
            self.update_negotiation_needed()

    # --- told by the floors below --------------------------------------------------------------------

    def network_changed(self) -> None:
        """Addresses of this host changed: one event, however many transports tell it."""
        if not self._network_change_queued:
            self._network_change_queued = True
            self.queue_task(self._announce_network_change)

    def _announce_network_change(self) -> None:
        self._network_change_queued = False
        self.fire(Event("networkchange"))

    def dtls_role(self, transport: int) -> DtlsRole:
        """Our DTLS role as negotiated; AUTO before."""
        record = self.engine.state.transport(transport)
        return DtlsRole.AUTO if record is None else record.dtls_role

    # --- configuration ----------------------------------------------------------------------------

    def ice_settings(self) -> IceSettings:
        """The agents' settings under the configuration in force."""
        current = self.manager.current
        return dataclasses.replace(
            self.settings.ice,
            servers=self.manager.entries,
            policy=IceTransportPolicy(current.iceTransportPolicy),
        )

    def set_configuration(self, new: Any) -> None:
        """webrtc-pc 4.4.1.6: replace the configuration; established paths stay as they are.

        When gathering has happened already, the next offer restarts ICE by itself (RFC 9429 4.1.18).
        """
        state = self.engine.state
        change = self.manager.plan_set(
            new, closed=self.closed, local_description_set=state.local_description is not None
        )
        self.manager.apply(change)
        settings = self.ice_settings()
        for transport in self.executor.transports.values():
            transport.agent.settings = settings
        if change.difference.restart_required and state.local_description is not None:
            self.carry_out(self.engine.operations.plan_servers_changed())

    def check_new_encodings(
        self, kind: MediaKind, encodings: tuple[SendEncoding, ...]
    ) -> tuple[SendEncoding, ...]:
        """The encodings of a new transceiver (webrtc-pc 5.1 "addTransceiver sendEncodings validation steps").

        Raises:
            TypeError, OperationError, RTCRangeError: as `rtcpeer.jsep.encodings.check_new` says.
        """
        settings = self.engine.settings
        codecs = settings.capabilities(kind).send
        return check_new(kind, encodings, codecs, settings.max_send_encodings)

    async def get_stats(self, selector: Any) -> RTCStatsReport:
        """webrtc-pc 8.2: statistics of the whole connection, or of one track, sender or receiver."""
        collector = StatsCollector(self, self.stats_salt)
        # gathered at the time of the call, whatever is stopped before the report is given out
        report = collector.report(collector.selector(selector))
        await asyncio.sleep(0)
        return report

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> Awaitable[None]:
        """webrtc-pc 4.4.1.10: all observable effects now; the result ends when everything is gone."""
        if not self.closed:
            self.watchers.call("close")
            self.watchers.closing()
            self.carry_out(self.engine.operations.plan_close())
            self.closed = True
            logger.info("%s is closed", self.name)
            self._early_steps.clear()
            self.aggregates.close()
            self.chain.close()
            waits = self.executor.close()
            close_events(self.face)
            self._finish_in_loop(waits)
        try:
            here = self._loop is asyncio.get_running_loop()
        except RuntimeError:
            here = False
        if self._closing is None or not here:
            return Gone()  # nothing runs, or where it runs cannot be awaited from here
        return asyncio.shield(self._closing)

    def _finish_in_loop(self, waits: list[Awaitable[Any]]) -> None:
        """Finish closing in the loop that all began in; when that has ended, so has all that ran in it."""
        if self._loop is None or self._loop.is_closed():
            self._let_go()
        else:
            self._closing = self._loop.create_task(self._finish(waits), name=f"{self.name} close")

    async def _finish(self, waits: list[Awaitable[Any]]) -> None:
        """Wait, within bounds, until all is released; what fails is reported, never raised."""
        pending = [asyncio.ensure_future(w) for w in waits]
        if pending:
            done, late = await asyncio.wait(pending, timeout=self.settings.close_timeout)
            for future in late:
                future.cancel()
            if late:
                logger.warning(
                    "%s: %d parts did not close in %g s", self.name, len(late), self.settings.close_timeout
                )
                await asyncio.wait(late)
            for future in done:
                if not future.cancelled() and (error := future.exception()) is not None:
                    self.report_failure("failed to close a part", error)
        self._let_go()

    def report_failure(self, what: str, error: BaseException) -> None:
        """A part failed where no call can raise it: the loop's exception handler is told."""
        context = {"message": f"rtcpeer: {self.name} {what}", "exception": error}
        loop = self._loop
        if loop is None:  # nothing of ours has run yet; who calls may have a loop all the same
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
        if loop is None or loop.is_closed():
            logger.error("%s", context["message"], exc_info=error)
        else:
            loop.call_exception_handler(context)

    def _let_go(self) -> None:
        """Let go of each other, so that closed connections do not wait for the garbage collector."""
        self.executor.release()
        self.aggregates.release()
        forget_listeners(self.face)
        del self.face
