"""The parts of one agent that its gathering works with: made once, handed down."""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.ice.agent.listener import IceListener
from rtcpeer.ice.agent.log import IceLog
from rtcpeer.ice.agent.pool import BasePool
from rtcpeer.ice.agent.sockets import BaseContext
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.core import IceCore
from rtcpeer.net.network import Network
from rtcpeer.records import record


@record(frozen=True, slots=True)
class AgentParts:
    """The parts of one agent.

    Attributes:
        network: the way to sockets, names and interfaces.
        clock: the loop's time.
        context: settings and chance.
        core: the state machine.
        pipe: what the bases share.
        pool: the bases.
        listener: who is told.
        log: of the agent.
        tell: calls this of the listener, with these arguments, when all state is consistent.
        offered: called with the address of each candidate of ours.
        flush: tells what has happened, and sets the timer.
        rearm: called when some deadline is earlier now.
    """

    network: Network
    clock: Callable[[], float]
    context: IceContext
    core: IceCore
    pipe: BaseContext
    pool: BasePool
    listener: IceListener
    log: IceLog
    tell: Callable[..., None]
    offered: Callable[[str], None]
    flush: Callable[[], None]
    rearm: Callable[[], None]
