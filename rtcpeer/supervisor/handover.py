"""Handover: what two supervised peers add to their descriptions, so that messages and tracks are found again.

Owns: the member "supervised" of descriptions, who the other peer is, and the one comparison of counts that follows
each new connection. Never: a queue, a connection.

Theory of operation. When one peer begins anew, its offer says how many messages of each channel have arrived. The
other one takes the new connection, which ends its old one, and answers with its own counts and with the numbers of the
messages with which it goes on. The offerer's old connection lives until that answer, so its counts may have grown
meanwhile: by those numbers it recognises what comes a second time. The counts in the answer are final, and by them the
offerer goes on. A program that was started again speaks under another identity: whatever was not acknowledged is sent
again. Where descriptions come without the member (a browser, a path that drops unknown members), nobody can know what
has arrived, and the application is told (`messageslost`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from rtcpeer.records import record
from rtcpeer.supervisor.channel import SupervisedChannel

MEMBER = "supervised"
# what one description may say; more is ignored
_CHANNELS_MAX = 4096
_IDENTITY_MAX = 64
_NUMBER_MAX = 1 << 53


@record(frozen=True, slots=True)
class Report:
    """The member "supervised" of one description.

    Attributes:
        peer: identity of the peer that says it.
        of: identity of the peer whose messages it has counted; "" if it has heard none.
        received: how many messages of each channel have arrived.
        resumes: the number of the message with which each channel goes on; only in answers.
        senders: the number of the sender of each media section, by mid; it stays over connections.
    """

    peer: str
    of: str = ""
    received: Mapping[str, int] = field(default_factory=dict)
    resumes: Mapping[str, int] = field(default_factory=dict)
    senders: Mapping[str, int] = field(default_factory=dict)


def read_report_untrusted(message: Mapping[str, Any]) -> Report | None:
    """The report in a description; None when there is none or it makes no sense."""
    value = message.get(MEMBER)
    if not isinstance(value, Mapping):
        return None
    peer, of = value.get("peer"), value.get("of", "")
    if not isinstance(peer, str) or not isinstance(of, str) or not 0 < len(peer) <= _IDENTITY_MAX:
        return None
    counts = (_read_counts(value.get(name)) for name in ("received", "resumes", "senders"))
    return Report(peer, of, *counts)


def _read_counts(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping) or len(value) > _CHANNELS_MAX:
        return {}
    return {
        key: count
        for key, count in value.items()
        if isinstance(key, str) and type(count) is int and 0 <= count < _NUMBER_MAX
    }


class Handover:
    """Compares counts with the other peer, once for each connection.

    Args:
        identity: of this peer, unlike that of any other one.
        polite: which of the two it is; both name channels by who opened them.
        channels: those of the peer, in the order in which they were made.
        senders: the number of each sender by the mid of its section.
    """

    def __init__(
        self,
        identity: str,
        *,
        polite: bool,
        channels: Callable[[], Sequence[SupervisedChannel]],
        senders: Callable[[], Mapping[str, int]],
    ) -> None:
        self._identity = identity
        self._polite = polite
        self._channels = channels
        self._senders = senders
        self._remote = ""  # identity of the other peer
        self._heard: Mapping[str, Any] = {}  # the newest description that arrived
        self._settled = False
        self._resumes: dict[str, int] = {}

    def begin_connection(self) -> None:
        """Note that another connection is in force; the other peer's next description settles what is in doubt."""
        self._settled = False
        self._resumes = {}

    def hear(self, message: Mapping[str, Any]) -> None:
        """A description has arrived and is about to be applied; it may yet be ignored."""
        self._heard = message

    def sign(self, description: dict[str, Any]) -> None:
        """Add our report to a description that is about to be sent."""
        is_answer = description["type"] != "offer"
        if is_answer:
            self.settle()
        said: dict[str, Any] = {"peer": self._identity}
        senders = self._senders()
        if senders:
            said["senders"] = dict(senders)
        if self._remote:
            said["of"] = self._remote
            said["received"] = {
                key: channel.delivery.received
                for key, channel in self._keys().items()
                if channel.delivery.received
            }
            if is_answer:
                said["resumes"] = dict(self._resumes)
        description[MEMBER] = said

    def sender_of(self, mid: str) -> int | None:
        """Number of the other peer's sender that a section belongs to, by the description that was heard last."""
        report = read_report_untrusted(self._heard)
        return None if report is None else report.senders.get(mid)

    def settle(self) -> None:
        """The description that was heard last is in force: whatever is in doubt is sent again or told."""
        if self._settled:
            return
        self._settled = True
        report = read_report_untrusted(self._heard)
        is_answer = self._heard.get("type") != "offer"
        is_same = report is not None and report.peer == self._remote
        self._remote = "" if report is None else report.peer
        has_counted = report is not None and is_same and report.of == self._identity
        for key, channel in self._keys().items():
            if not is_same:
                channel.delivery.begin_again()
            if report is None:
                channel.settle(resend=False, arrived=None)
                continue
            arrived = report.received.get(key, 0) if has_counted else None
            channel.settle(resend=True, arrived=arrived, is_final=is_answer)
            if has_counted and is_answer:
                resumes = report.resumes.get(key)
                if resumes is not None:
                    channel.delivery.resume(resumes, is_ordered=channel.ordered)
            self._resumes[key] = channel.delivery.sent + 1

    def _keys(self) -> dict[str, SupervisedChannel]:
        """The channels by names that both peers give them."""
        keys: dict[str, SupervisedChannel] = {}
        same: dict[tuple[str, str], int] = {}
        for channel in self._channels():
            if channel.negotiated:
                key = f"id {channel.id}"
            else:
                # whoever opened it, and which one of that label it is
                opener = "polite" if channel.is_ours is self._polite else "impolite"
                name = (opener, channel.label)
                same[name] = same.get(name, 0) + 1
                key = f"{opener} {same[name]} {channel.label}"
            keys[key] = channel
        return keys
