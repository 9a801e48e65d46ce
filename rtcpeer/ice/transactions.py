"""The binding requests of one generation that may still be answered (RFC 8445 7.2.2 to 7.2.4).

Owns: how they are written and signed, and which response belongs to which.  Never: what follows from a response.
"""

from __future__ import annotations

from rtcpeer.ice.context import IceContext
from rtcpeer.ice.pair import Check, Pair
from rtcpeer.stun import message as stun
from rtcpeer.stun.message import StunMessage
from rtcpeer.values import IceParameters

# How long a single-shot request may take before its response is not recognised any more.
_PROBE_LIFE = 6.0


class Transactions:
    """Open requests, by transaction id; single-shot ones stand apart, as they are forgotten."""

    __slots__ = ("_checks", "_context", "_probes", "_remote_key", "_rto", "_username")

    def __init__(self, context: IceContext) -> None:
        self._context = context
        # a generation keeps what it began with
        self._rto = context.settings.check_rto
        self._remote_key = b""
        self._username = b""
        self._checks: dict[bytes, Check] = {}
        self._probes: dict[bytes, Check] = {}

    def __len__(self) -> int:
        return len(self._checks) + len(self._probes)

    def know(self, local: IceParameters, remote: IceParameters) -> None:
        """Set the credentials that requests carry."""
        self._remote_key = remote.pwd.encode()
        self._username = stun.attribute(stun.USERNAME, f"{remote.ufrag}:{local.ufrag}".encode())

    def make(self, now: float, pair: Pair, *, nominate: bool, probe: bool) -> Check:
        """A new request, to be sent now."""
        context = self._context
        role = stun.ICE_CONTROLLING if context.controlling else stun.ICE_CONTROLLED
        body = self._username + pair.priority_attribute
        body += stun.attribute(role, context.tie_breaker.to_bytes(8, "big"))
        if nominate:
            body += stun.attribute(stun.USE_CANDIDATE, b"")
        transaction_id = context.transaction_id()
        data = stun.encode(stun.BINDING_REQUEST, transaction_id, body, self._remote_key)
        check = Check(
            pair, data, now, self._rto, nominate=nominate, controlling=context.controlling, probe=probe
        )
        self._kind(check)[transaction_id] = check
        return check

    def _kind(self, check: Check) -> dict[bytes, Check]:
        return self._probes if check.probe else self._checks

    def find(self, message: StunMessage) -> Check | None:
        """The check that a message is the response to; None when there is none, or it is not authentic."""
        check = self._checks.get(message.transaction_id) or self._probes.get(message.transaction_id)
        return check if check is not None and message.authentic(self._remote_key) else None

    def drop(self, check: Check) -> None:
        """Take no response to this check any more: it has its answer, or nobody waits for one."""
        self._kind(check).pop(check.data[8:20], None)

    def forget(self, now: float) -> None:
        """Probes, and checks that others have replaced, are not waited for longer than this."""
        if not self._probes:
            return
        for transaction_id, check in list(self._probes.items()):
            if now - check.sent_at > _PROBE_LIFE:
                del self._probes[transaction_id]
        for transaction_id, check in list(self._checks.items()):
            if check.pair.check is not check and now - check.last_at > _PROBE_LIFE:
                del self._checks[transaction_id]

    def clear(self) -> None:
        """Take no response to any check any more."""
        self._checks.clear()
        self._probes.clear()
