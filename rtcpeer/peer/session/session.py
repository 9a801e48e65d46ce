"""One connection behind its face: the algorithms of webrtc-pc 4.4, and the owner of everything that runs.

Step numbers here, in `core` and in `rtcpeer.jsep` are those of the Editor's Draft of webrtc-pc of 4 May 2026. "Let x
be ..." and "return p" have no counterpart in Python and are not named.

Owns: the parts (context, executor, aggregated states) and their end. Never: SDP (the engine's), sockets and codecs (the
executor's), W3C argument conversion (the face's).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rtcpeer.aio import Closing, start_task
from rtcpeer.config.manager import ConfigurationManager
from rtcpeer.errors import InvalidStateError
from rtcpeer.jsep.effects import Plan
from rtcpeer.jsep.encodings import check_new
from rtcpeer.jsep.engine import Engine
from rtcpeer.jsep.inputs import OfferOptions
from rtcpeer.media.event_target import EventTarget, close_events, forget_listeners
from rtcpeer.peer.core.context import ConnectionContext
from rtcpeer.peer.core.operations import OperationsChain
from rtcpeer.peer.core.states import Aggregates
from rtcpeer.peer.core.watching import Watchers
from rtcpeer.peer.negotiator_link import NegotiatorLink
from rtcpeer.peer.session.executor import Executor
from rtcpeer.peer.session.stats_collector import StatsCollector
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.peer.stats import RTCStatsReport
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import (
    MediaKind,
    SdpType,
    SignalingState,
)

logger = logging.getLogger("rtcpeer.peer")

_T = TypeVar("_T")


class PeerSession:
    """The state and the work of one RTCPeerConnection.

    Args:
        target: the object that events are fired at.
        manager: of its configuration.
        settings: what W3C has no word for.
    """

    def __init__(self, target: EventTarget, manager: ConfigurationManager, settings: PeerSettings) -> None:
        self.context: ConnectionContext = ConnectionContext(target, manager, settings)
        context = self.context
        self.name: str = context.name
        self.settings: PeerSettings = context.settings
        self.manager: ConfigurationManager = context.manager
        self.engine: Engine = context.engine
        self.chain: OperationsChain = context.chain
        self.watchers: Watchers = context.watchers
        self.executor: Executor = Executor(context)
        # makes the ids of statistics stable within the connection and meaningless outside it
        self.stats_salt: str = secrets.token_hex(4)
        context.collect_stats = StatsCollector(self.executor, self.stats_salt).collect
        self.aggregates: Aggregates = Aggregates(self.name, self.executor, context.fire)
        context.aggregates = self.aggregates
        self._closing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """[[IsClosed]]."""
        return self.context.closed

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that everything of this connection runs in; None until something does."""
        return self.context.loop

    @property
    def restarts(self) -> int:
        """How often ICE was restarted."""
        return self.context.restarts

    @property
    def negotiator(self) -> NegotiatorLink | None:
        """The negotiator that drives this connection, if there is one."""
        return self.context.negotiator

    @negotiator.setter
    def negotiator(self, value: NegotiatorLink | None) -> None:
        self.context.set_negotiator(value)

    def carry_out(self, plan: Plan) -> None:
        """Do what a plan says; see `Executor.carry_out`."""
        self.context.carry_out(plan)

    # --- descriptions -----------------------------------------------------------------------------

    async def create_offer(self, options: OfferOptions) -> str:
        """webrtc-pc 4.4.2 createOffer, with "create an offer" and its in-parallel and final steps."""

        async def operation() -> str:
            # create an offer, 1
            self._check_signaling("createOffer()", SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER)
            # in-parallel steps, 1; 2 and 3 (the system's resources) do not exist here: codecs are known from the start
            self.context.ensure_certificate()
            # in-parallel steps, 4, and final steps, 1
            await self.context.in_parallel()
            # final steps, 3; 2 (begin again after a change) is not needed: the state is read now
            plan = self.engine.plan_offer(options)
            # final steps, 5: [[LastCreatedOffer]] is in the plan
            self.carry_out(plan)
            return plan.text

        # createOffer, 2 and 3
        self.context.enter_loop(asyncio.get_running_loop())
        return await self._perform("createOffer", operation)

    async def create_answer(self) -> str:
        """webrtc-pc 4.4.2 createAnswer, with "create an answer" and its in-parallel and final steps."""

        async def operation() -> str:
            # create an answer, 1
            self._check_signaling(
                "createAnswer()", SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER
            )
            # in-parallel steps, 1; 2 and 3 as of createOffer
            self.context.ensure_certificate()
            # in-parallel steps, 4, and final steps, 1
            await self.context.in_parallel()
            # final steps, 3 and 5
            plan = self.engine.plan_answer()
            self.carry_out(plan)
            return plan.text

        # createAnswer, 2 and 3
        self.context.enter_loop(asyncio.get_running_loop())
        return await self._perform("createAnswer", operation)

    async def set_local_description(self, type: SdpType | None, text: str) -> None:
        """webrtc-pc 4.4.2 setLocalDescription, step 4, and 4.4.1.5 "set a session description" with remote = false."""

        async def operation() -> None:
            await self._begin_setting(type)
            # setLocalDescription, 4.1 to 4.5, then the rest of "set a session description" (`rtcpeer.jsep.engine`)
            self.carry_out(self.engine.plan_local(type, text))

        self.context.enter_loop(asyncio.get_running_loop())
        await self._perform("setLocalDescription", operation, type or "", text)

    async def set_remote_description(self, type: SdpType, text: str) -> None:
        """webrtc-pc 4.4.2 setRemoteDescription, step 3, and 4.4.1.5 "set a session description" with remote = true."""

        async def operation() -> None:
            await self._begin_setting(type)
            # 4.7.2 (start over when addTrack came in between) is not needed: the state is read now
            plan = self.engine.plan_remote(type, text)
            # setRemoteDescription, 3.1: our pending offer is rolled back first
            while plan.first is not None:
                self.carry_out(plan.first)
                await self.context.in_parallel()
                plan = self.engine.plan_remote(type, text)
            self.carry_out(plan)

        self.context.enter_loop(asyncio.get_running_loop())
        await self._perform("setRemoteDescription", operation, type, text)

    async def _begin_setting(self, type: SdpType | None) -> None:
        """Set a session description (webrtc-pc 4.4.1.5), up to where the description is looked at."""
        # 2
        self._check_rollback(type)
        self.context.ensure_certificate()
        # 4
        await self.context.in_parallel()
        # 4.7.3: W3C starts over; waiting before anything is applied comes to the same
        await self.context.parameters_pending.settled()
        # 4.7.1
        self.context.check_open()

    async def add_ice_candidate(
        self, candidate: str, mid: str | None, mline_index: int | None, ufrag: str | None
    ) -> None:
        """webrtc-pc 4.4.2 addIceCandidate, step 4; step 3 is `read_candidate`."""

        async def operation() -> None:
            # 4.1
            if self.engine.state.remote_description is None:
                raise InvalidStateError("a remote candidate needs a remote description first")
            # 4.7
            await self.context.in_parallel()
            # 4.2 to 4.5, and 4.7.1, 4.7.2.2, 4.7.2.3 (`rtcpeer.jsep.candidates`)
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
        self._report_success(what, result, type_)
        return result

    def _report_success(self, what: str, result: object, type_: str) -> None:
        """With the description that came of it: what `createOffer` made, what an implicit description is."""
        kind, text = "", ""
        if isinstance(result, str):
            kind, text = what.removeprefix("create").lower(), result
        elif what == "setLocalDescription" and not type_:
            description = self.engine.state.local_description
            if description is not None:
                kind, text = description.type.value, description.base
        self.watchers.call(f"{what}OnSuccess", kind and f"type: {kind}", text)

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

    # --- configuration ----------------------------------------------------------------------------

    def set_configuration(self, new: Any) -> None:
        """webrtc-pc 4.4.1.6: replace the configuration; established paths stay as they are.

        When gathering has happened already, the next offer restarts ICE by itself (RFC 9429 4.1.18).
        """
        state = self.engine.state
        # setConfiguration, 2, and "set a configuration", 3 to 6
        change = self.manager.plan_set(
            new, closed=self.closed, local_description_set=state.local_description is not None
        )
        # 11
        self.manager.apply(change)
        # 7 and 9; 8 (the pool) is read by the next gathering; 10: nothing happens before that
        settings = self.context.ice_settings()
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
        return await self.context.get_stats(selector)

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> Closing:
        """webrtc-pc 4.4.2 close, "close the connection": all effects now; the result ends when everything is gone."""
        # 1
        if not self.closed:
            loop = self.loop  # before anything below enters the caller's, if that is another one
            self.watchers.call("close")
            self.watchers.closing()
            # 3 and 4; [[IsClosed]] (2) is set right after them, as no listener is called in between
            self.carry_out(self.engine.operations.plan_close())
            self.context.closed = True
            logger.info("%s is closed", self.name)
            self.context.drop_early_steps()
            # 10 and 11
            self.aggregates.close()
            self.chain.close()
            # 5 to 9
            waits = self.executor.close()
            close_events(self.context.target)
            self._finish_in_loop(loop or self.loop, waits)
        return Closing(self._closing, None if self._closing is None else self._closing.get_loop())

    def _finish_in_loop(self, loop: asyncio.AbstractEventLoop | None, waits: list[Awaitable[Any]]) -> None:
        """Finish closing in the loop that all began in; when that has ended, so has all that ran in it."""
        if loop is None or loop.is_closed():
            self._let_go()
        else:
            self._closing = start_task(self._finish(waits), name=f"{self.name} close", loop=loop)

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
                    self.context.report_failure("failed to close a part", error)
        self._let_go()

    def _let_go(self) -> None:
        """Let go of each other, so that closed connections do not wait for the garbage collector."""
        self.executor.release()
        self.aggregates.release()
        forget_listeners(self.context.target)
        self.context.release()
