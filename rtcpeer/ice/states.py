"""The state of an ICE transport (webrtc-pc 5.6.2), from what its generations are.  Pure."""

from __future__ import annotations

from rtcpeer.ice.consent import Liveness
from rtcpeer.ice.generation import Generation
from rtcpeer.values import IceTransportState


def derive_state(
    told: IceTransportState,
    carrying: Generation | None,
    level: Liveness | None,
    newest: Generation | None,
    *,
    forgets_loss: bool,
) -> IceTransportState:
    """The state over all generations.

    Args:
        told: the state so far.
        carrying: whose pair carries data.
        level: how alive that pair is.
        newest: the newest one that has remote credentials.
        forgets_loss: a restart was begun after connectivity was lost, which is not told any more.
    """
    if carrying is not None:
        trying = newest is not None and newest is not carrying and not newest.failed
        if level is Liveness.LIVE:
            is_completed = _is_completed(told, carrying)
            return IceTransportState.COMPLETED if is_completed else IceTransportState.CONNECTED
        if trying and forgets_loss:
            return IceTransportState.CHECKING
        if level is Liveness.SILENT or (trying and told is not IceTransportState.FAILED):
            return IceTransportState.DISCONNECTED
        return IceTransportState.FAILED
    if newest is None:
        return IceTransportState.NEW
    if newest.failed:
        return IceTransportState.FAILED
    if newest.is_exhausted:
        # "finished checking all existing candidates pairs and not found a connection [...], but it is still
        # gathering and/or waiting for additional remote candidates"
        return IceTransportState.DISCONNECTED
    # "new" is a beginning; a restart of what was tried before is "checking" although no candidate is known yet
    is_new = not newest.remotes and told is IceTransportState.NEW
    return IceTransportState.NEW if is_new else IceTransportState.CHECKING


def _is_completed(told: IceTransportState, carrying: Generation) -> bool:
    """A restart on a working path is not told: the old pair works until the new one takes over.

    Deviation from webrtc-pc 5.6.2, "causing a transition to connected if begun in the completed state":
    browsers do not either, and the W3C suite demands that a restart change nothing that is told.
    """
    return carrying.is_completed or told is IceTransportState.COMPLETED
