"""Holder of the session state in force: one frozen value, replaced by one assignment."""

from __future__ import annotations

from rtcpeer.jsep.effects import Plan, StalePlan
from rtcpeer.jsep.state import SessionState


class StateHolder:
    """The state in force.

    Attributes:
        state: the present state; only `commit` replaces it.
    """

    __slots__ = ("state",)

    def __init__(self, state: SessionState) -> None:
        self.state: SessionState = state

    def commit(self, plan: Plan) -> None:
        """Make the plan's state the present one.

        Raises:
            StalePlan: the state has changed since the plan was made; make it again.
        """
        if plan.base is not self.state:
            raise StalePlan
        self.state = plan.next
