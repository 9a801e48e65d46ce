"""The configuration in force, and the rules by which it is replaced.

Owns: one current configuration per connection, replaced whole; what differs between two. Never: I/O, asyncio,
an effect on a transport: whoever applies a `Change` reads its `difference` and acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rtcpeer.config.configuration import (
    RTCConfiguration,
    check_certificates,
    convert_configuration,
    copy_configuration,
    read_configuration,
    validate_servers,
)
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.errors import InvalidModificationError, InvalidStateError
from rtcpeer.records import record


@record(frozen=True, slots=True)
class Difference:
    """The difference between two configurations, as far as ICE is concerned.

    Attributes:
        added: entries that only the new one has; a URL with other credentials is one that was removed and
            added.
        removed: entries that only the old one has.
        unchanged: entries of both: allocations there may be kept.
        policy_changed: `iceTransportPolicy` differs.
        pool_size_changed: `iceCandidatePoolSize` differs.
    """

    added: tuple[IceServerEntry, ...] = ()
    removed: tuple[IceServerEntry, ...] = ()
    unchanged: tuple[IceServerEntry, ...] = ()
    policy_changed: bool = False
    pool_size_changed: bool = False

    @property
    def restart_required(self) -> bool:
        """Whether an ICE restart is needed for the change to reach a connection that has gathered already.

        RFC 9429 section 4.1.18. The order of servers does not matter: all are asked at once.
        """
        return bool(self.added or self.removed or self.policy_changed)

    def touches(self, url: str | None) -> bool:
        """Whether a candidate that came from this server URL loses its ground.

        Args:
            url: as in ``RTCIceCandidate.url`` of the selected local candidate; None for a host candidate.
        """
        return url is not None and any(url == entry.url.url for entry in self.removed)


@record(frozen=True, slots=True)
class Change:
    """A replacement that is allowed, not yet done: `ConfigurationManager.apply` does it."""

    old: RTCConfiguration
    new: RTCConfiguration
    entries: tuple[IceServerEntry, ...]
    difference: Difference


class ConfigurationManager:
    """Keeps the configuration of one connection.

    Args:
        configuration, members: as for `read_configuration`.
        now: an aware datetime against which the certificates' expiry is checked; the present when None.

    Raises:
        TypeError, RTCSyntaxError, InvalidAccessError, NotSupportedError: see `read_configuration`,
            `check_certificates`.
    """

    __slots__ = ("_current", "_entries")

    def __init__(
        self,
        configuration: Any = None,
        members: Mapping[str, Any] | None = None,
        *,
        now: datetime | None = None,
    ) -> None:
        converted = read_configuration(configuration, **(members or {}))
        check_certificates(converted, now)
        self._current = converted
        self._entries = converted.entries

    def __repr__(self) -> str:
        return f"<ConfigurationManager {self._current!r}>"

    @property
    def current(self) -> RTCConfiguration:
        """The configuration in force: to be read, never to be changed. Another object after each `apply`."""
        return self._current

    @property
    def entries(self) -> tuple[IceServerEntry, ...]:
        """The servers in force, one entry per URL."""
        return self._entries

    def get(self) -> RTCConfiguration:
        """The result of `getConfiguration()`: a copy; certificates keep their identity."""
        return copy_configuration(self._current)

    def plan_set(
        self, new: Any = None, *, closed: bool = False, local_description_set: bool = False
    ) -> Change:
        """Check a replacement. Nothing is changed.

        Implements: webrtc-pc 4.4.1.6 "set a configuration", steps 1 to 6, after the conversion of the
        argument and after the check for a closed connection (`setConfiguration` step 2). Absent members mean
        their defaults, never the previous values.

        Args:
            new: as for `read_configuration`.
            closed: whether the connection is closed.
            local_description_set: whether `setLocalDescription` has been called.

        Returns:
            The change, for `apply`.

        Raises:
            TypeError: `new` has a member of the wrong type.
            InvalidStateError: the connection is closed.
            InvalidModificationError: certificates, bundlePolicy, rtcpMuxPolicy, or (after a local
                description) iceCandidatePoolSize would change; the message says which.
            RTCSyntaxError, InvalidAccessError, NotSupportedError: a server is not valid.
        """
        converted = convert_configuration(new)
        if closed:
            raise InvalidStateError("the connection is closed: its configuration cannot change any more")
        self._check_modification(converted, local_description_set)
        validate_servers(converted)
        return Change(self._current, converted, converted.entries, difference(self._current, converted))

    def apply(self, change: Change) -> None:
        """Put a planned change into force.

        Raises:
            InvalidStateError: another change came between plan and apply.
        """
        if change.old is not self._current:
            raise InvalidStateError("the configuration was replaced after this change was planned")
        self._current = change.new
        self._entries = change.entries

    def _check_modification(self, new: RTCConfiguration, local_description_set: bool) -> None:
        old = self._current
        same_certificates = len(new.certificates) == len(old.certificates) and all(
            a is b for a, b in zip(new.certificates, old.certificates, strict=True)
        )
        changed = None
        if not same_certificates:
            changed = "certificates"
        elif new.bundlePolicy != old.bundlePolicy:
            changed = "bundlePolicy"
        elif new.rtcpMuxPolicy != old.rtcpMuxPolicy:
            changed = "rtcpMuxPolicy"
        elif local_description_set and new.iceCandidatePoolSize != old.iceCandidatePoolSize:
            changed = "iceCandidatePoolSize"
        if changed is None:
            return
        when = " after setLocalDescription" if changed == "iceCandidatePoolSize" else ""
        raise InvalidModificationError(
            f"{changed} cannot change{when}. setConfiguration replaces all members: one that is left out "
            "means its default, so begin with getConfiguration()"
        )


def difference(old: RTCConfiguration, new: RTCConfiguration) -> Difference:
    """The difference between two valid configurations; each entry is counted once."""
    before, after = dict.fromkeys(old.entries), dict.fromkeys(new.entries)
    return Difference(
        added=tuple(entry for entry in after if entry not in before),
        removed=tuple(entry for entry in before if entry not in after),
        unchanged=tuple(entry for entry in after if entry in before),
        policy_changed=old.iceTransportPolicy != new.iceTransportPolicy,
        pool_size_changed=old.iceCandidatePoolSize != new.iceCandidatePoolSize,
    )
