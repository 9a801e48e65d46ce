"""Binding queries to STUN servers, which tell our mapped address (RFC 8489, RFC 8445 5.1.1.2).

Owns: the binding requests of one gathering and their retransmission.  Never: sockets, the clock.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun

_SLACK = 0.001

#: Called with the mapped address, or with None and (code, text).
Answer = Callable[[Address | None, tuple[int, str]], None]


class _Query:
    __slots__ = ("address", "answer", "data", "deadline", "next_at", "rto", "send")

    def __init__(
        self,
        data: bytes,
        address: Address,
        send: Callable[[bytes, Address], None],
        answer: Answer,
        times: tuple[float, float, float],
    ) -> None:
        self.data = data
        self.address = address
        self.send = send
        self.answer = answer
        self.next_at, self.rto, self.deadline = times


class Queries:
    """The questions that are still open."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[bytes, _Query] = {}

    def ask(
        self,
        now: float,
        address: Address,
        send: Callable[[bytes, Address], None],
        answer: Answer,
        *,
        rto: float,
        timeout: float,
    ) -> None:
        """Ask one server through one socket; a timeout answers 701."""
        transaction_id = stun.new_transaction_id()
        data = stun.encode(stun.BINDING_REQUEST, transaction_id, b"")
        self._open[transaction_id] = _Query(data, address, send, answer, (now + rto, rto, now + timeout))
        send(data, address)

    def on_stun_untrusted(self, data: bytes, address: Address) -> bool:
        """Whether this datagram answers one of our questions; the answer must come from whom we asked."""
        query = self._open.get(data[8:20])
        if query is None or query.address != address:
            return False
        try:
            message = stun.parse_untrusted(data)
        except stun.StunError:
            return True
        if message.kind == stun.BINDING_SUCCESS:
            mapped = message.mapped_address
            if mapped is None:
                return True
            del self._open[message.transaction_id]
            query.answer(mapped, (0, ""))
        elif message.kind == stun.BINDING_ERROR:
            del self._open[message.transaction_id]
            query.answer(None, message.error)
        return True

    def next_time(self) -> float:
        """When `tick` wants to be called; infinity for never."""
        return min((query.next_at for query in self._open.values()), default=float("inf"))

    def tick(self, now: float) -> None:
        """Repeat or give up."""
        for transaction_id, query in list(self._open.items()):
            if query.next_at > now + _SLACK:
                continue
            if query.deadline <= now + _SLACK:
                del self._open[transaction_id]
                query.answer(None, (701, "the server did not answer"))
            else:
                query.rto *= 2
                query.next_at = min(now + query.rto, query.deadline)
                query.send(query.data, query.address)

    def give_up(self, address: Address, error: tuple[int, str]) -> None:
        """Answer all questions to one server with an error."""
        for transaction_id, query in list(self._open.items()):
            if query.address == address:
                del self._open[transaction_id]
                query.answer(None, error)

    def clear(self) -> None:
        """Forget all queries: nobody wants to know any more."""
        self._open.clear()
