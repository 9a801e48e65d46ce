"""RoutingTable: which receiver gets a packet, by MID, then SSRC, then payload type (RFC 9143 section 9.2).

Pure. SSRCs that nobody announced are learned from packets, up to a bound: what the other end makes up costs no memory.
"""

from __future__ import annotations

from typing import Generic, TypeVar

_Receiver = TypeVar("_Receiver")

# SSRCs that nobody announced are remembered up to this number per transport
LEARNED_SSRCS_MAX = 256


class RoutingTable(Generic[_Receiver]):
    """The receivers of one transport, by what their packets say.

    Attributes:
        by_mid: by the section that packets name.
        by_ssrc: by the stream, announced or learned.
    """

    def __init__(self) -> None:
        self.by_mid: dict[str, _Receiver] = {}
        self.by_ssrc: dict[int, _Receiver] = {}
        self._by_payload_type: dict[int, list[_Receiver]] = {}
        # SSRCs in by_ssrc that were learned from packets, oldest first
        self._learned: dict[int, None] = {}

    def add(self, receiver: _Receiver, mid: str, ssrcs: list[int], payload_types: list[int]) -> None:
        """Route to a receiver what belongs to a section, if it has a MID, to these streams, or has these types."""
        if mid:
            self.by_mid[mid] = receiver
        for ssrc in ssrcs:
            self.by_ssrc[ssrc] = receiver
            self._learned.pop(ssrc, None)
        for payload_type in payload_types:
            self._by_payload_type.setdefault(payload_type, []).append(receiver)

    def remove(self, receiver: _Receiver) -> None:
        """Route nothing to a receiver any more."""
        self.by_mid = {k: r for k, r in self.by_mid.items() if r is not receiver}
        self.by_ssrc = {k: r for k, r in self.by_ssrc.items() if r is not receiver}
        self._learned = {k: None for k in self._learned if k in self.by_ssrc}
        for receivers in self._by_payload_type.values():
            if receiver in receivers:
                receivers.remove(receiver)

    def find(self, ssrc: int, mid: str | None, payload_type: int) -> _Receiver | None:
        """The receiver of a packet, whose SSRC is learned; None if it belongs to no section that is there."""
        receiver = self.by_ssrc.get(ssrc)
        if mid is not None:
            # the MID says more than an earlier guess, or than an announcement; one that nobody knows belongs to no
            # section
            by_mid = self.by_mid.get(mid)
            if by_mid is not None and by_mid is not receiver:
                self._learn(ssrc, by_mid)
            return by_mid
        if receiver is None:
            candidates = self._by_payload_type.get(payload_type)
            if candidates is None or len(candidates) != 1:
                return None
            receiver = candidates[0]
            self._learn(ssrc, receiver)
        return receiver

    @property
    def learned(self) -> tuple[int, ...]:
        """The SSRCs that were learned from packets, oldest first."""
        return tuple(self._learned)

    def _learn(self, ssrc: int, receiver: _Receiver) -> None:
        # learned again: no stream more, and now the newest
        self._learned.pop(ssrc, None)
        if len(self._learned) >= LEARNED_SSRCS_MAX:
            oldest = next(iter(self._learned))
            del self._learned[oldest]
            self.by_ssrc.pop(oldest, None)
        self._learned[ssrc] = None
        self.by_ssrc[ssrc] = receiver
