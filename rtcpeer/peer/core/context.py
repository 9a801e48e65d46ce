"""ConnectionContext: shared by the parts of one connection: engine, configuration, loop, target of events.

Owns: the engine, the configuration in force, the operations chain, the closed flag, the negotiation-needed flag. Never:
an algorithm of the connection (those are in `rtcpeer.peer.session.session`), an object of the face.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from rtcpeer.config.manager import ConfigurationManager
from rtcpeer.dtls.certificates import Certificate
from rtcpeer.errors import InvalidStateError
from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.settings import IceSettings
from rtcpeer.jsep.effects import Plan
from rtcpeer.jsep.engine import Engine
from rtcpeer.jsep.inputs import EngineSettings
from rtcpeer.media.event_target import Event, EventTarget, fire
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Network
from rtcpeer.peer.certificate import core_of
from rtcpeer.peer.core.operations import OperationsChain, Pending
from rtcpeer.peer.core.states import Aggregates
from rtcpeer.peer.core.watching import Watchers
from rtcpeer.peer.negotiator_link import NegotiatorLink
from rtcpeer.peer.parameters import engine_capabilities
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.peer.stats import RTCStatsReport
from rtcpeer.sdp.text import parse_untrusted, write
from rtcpeer.values import BundlePolicy, DtlsRole, IceParameters, IceTransportPolicy, SignalingState

logger = logging.getLogger("rtcpeer.peer")


class ConnectionContext:
    """The state and the helpers that all parts of one connection share.

    Args:
        target: the object that events are fired at.
        manager: of its configuration.
        settings: what W3C has no word for.

    Attributes:
        carry_out: does what a plan says: makes, commits, starts, announces; set by the executor.
        collect_stats: makes a report of a selector; set by the session.
        aggregates: the states of the connection as a whole; set by the session.
    """

    carry_out: Callable[[Plan], None]
    collect_stats: Callable[[Any], RTCStatsReport]
    aggregates: Aggregates

    def __init__(self, target: EventTarget, manager: ConfigurationManager, settings: PeerSettings) -> None:
        self.target = target
        self.name: str = f"pc-{secrets.token_hex(3)}"
        self.manager: ConfigurationManager = manager
        self.settings = settings
        self.network: Network = settings.network or current_network.get()
        self.engine: Engine = Engine(
            EngineSettings(
                capabilities=engine_capabilities,
                bundle_policy=BundlePolicy(manager.current.bundlePolicy),
                max_message_size=settings.max_message_size,
            ),
            SystemEntropy(),
            write,
            parse_untrusted,
        )
        self.chain: OperationsChain = OperationsChain(self._chain_empty)
        # webrtc-pc 4.4.1.5: a description waits for every setParameters() under way
        self.parameters_pending: Pending = Pending()
        self.closed: bool = False
        # who negotiates for this connection, if somebody does: asked before changes, and named by explain()
        self.negotiator: NegotiatorLink | None = None
        # metrics and tracers; how often ICE was restarted
        self.watchers: Watchers = Watchers(self.report_failure)
        self.restarts: int = 0
        self._certificates: tuple[Certificate, ...] = ()
        # where everything of ours runs; None until something does
        self._loop: asyncio.AbstractEventLoop | None = None
        # steps queued before there was a loop to run them
        self._early_steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        # [[NegotiationNeeded]], [[UpdateNegotiationNeededFlagOnEmptyChain]]
        self._negotiation_needed = False
        self._update_on_empty_chain = False
        self._network_change_queued = False

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
        """The event loop that everything of this connection runs in; None until something does."""
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
            fire(self.target, event)

    def check_open(self) -> None:
        """Refuse to go on after `close()`.

        Raises:
            InvalidStateError: the connection is closed.
        """
        if self.closed:
            raise InvalidStateError("the connection is closed; create a new RTCPeerConnection")

    def drop_early_steps(self) -> None:
        """The connection is closed before there was a loop: what waited for one is not done."""
        self._early_steps.clear()

    async def in_parallel(self) -> None:
        """Wait as W3C's "in parallel, then queue a task" does: go on in a later turn, and never if closed meanwhile."""
        await asyncio.sleep(0)
        self.check_open()

    async def get_stats(self, selector: Any) -> RTCStatsReport:
        """webrtc-pc 8.2: statistics of the whole connection, or of one track, sender or receiver."""
        # gathered at the time of the call, whatever is stopped before the report is given out
        report = self.collect_stats(selector)
        await asyncio.sleep(0)
        return report

    # --- what descriptions need -------------------------------------------------------------------

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

    def use_certificates(self, certificates: Sequence[Certificate]) -> None:
        """Use other certificates than those configured; for programs of other conventions (`rtcpeer.aiortc`).

        Raises:
            InvalidStateError: a description has named the old ones already.
        """
        if self.engine.fingerprints:
            raise InvalidStateError("the certificates have been described already")
        self._certificates = tuple(certificates)

    # --- "update the negotiation-needed flag" (webrtc-pc 4.7.3) -----------------------------------------------------

    def update_negotiation_needed(self, *, clear: bool = False) -> None:
        """Update the negotiation-needed flag; with `clear` the flag is cleared first."""
        if clear:
            self._negotiation_needed = False
        # 1
        if not self.chain.is_empty:
            self._update_on_empty_chain = True
            return
        # 2
        self.queue_task(self._check_negotiation_needed)

    def set_negotiator(self, negotiator: NegotiatorLink | None) -> None:
        """Take another negotiator. An event that was fired before it listened is fired for it once more."""
        self.negotiator = negotiator
        if negotiator is not None and self._negotiation_needed:
            self.update_negotiation_needed(clear=True)

    def _check_negotiation_needed(self) -> None:
        # 2.1
        if self.closed:
            return
        # 2.2
        if not self.chain.is_empty:
            self._update_on_empty_chain = True
            return
        # 2.3
        if self.engine.state.signaling is not SignalingState.STABLE:
            return
        # 2.4
        if not self.engine.negotiation_needed():
            self._negotiation_needed = False
            return
        # 2.5 to 2.7
        if not self._negotiation_needed:
            self._negotiation_needed = True
            self.fire(Event("negotiationneeded"))

    def _chain_empty(self) -> None:
        # "chain an operation", 7.4.4 to 7.4.6
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

    def ice_settings(self) -> IceSettings:
        """The agents' settings under the configuration in force."""
        settings = self.settings.ice
        servers, policy = self.manager.entries, IceTransportPolicy(self.manager.current.iceTransportPolicy)
        if not servers and not settings.servers and policy is settings.policy:
            return settings
        return dataclasses.replace(settings, servers=servers, policy=policy)

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

    def release(self) -> None:
        """Let go of what knows this object, so that a closed connection does not wait for the garbage collector."""
        self.watchers.failed = _log_failure
        del self.target


def _log_failure(what: str, error: BaseException) -> None:
    """A part of a connection that is gone failed."""
    logger.error("rtcpeer: %s", what, exc_info=error)


class SystemEntropy:
    """The system's randomness. Implements `rtcpeer.jsep.inputs.Entropy`."""

    def session_id(self) -> int:
        """62 random bits."""
        return secrets.randbits(62)

    def ice_parameters(self) -> IceParameters:
        """Fresh credentials."""
        return new_credentials()

    def ssrc(self) -> int:
        """A random SSRC."""
        return secrets.randbelow(0xFFFFFFFF) + 1

    def identifier(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())
