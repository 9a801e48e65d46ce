"""Draft: the mutable state between two frozen `SessionState` values.

Owns the bookkeeping of a plan: what has changed so far and which effects follow.  A draft lives inside one
``plan_...`` call and is thrown away; nothing outside `rtcpeer.jsep` sees one.
"""

from __future__ import annotations

from collections import deque
from operator import is_
from typing import Any

from rtcpeer.jsep.effects import (
    AddRemoteCandidate,
    Announce,
    AttachData,
    AttachTransport,
    CloseData,
    CloseTransport,
    ConfigureReceiver,
    ConfigureSender,
    CreateData,
    CreateTransceiver,
    CreateTransport,
    EndOfRemoteCandidates,
    Plan,
    Prepare,
    RemoveTransceiver,
    RollbackIce,
    SetIceRole,
    SetRemoteIce,
    Start,
    StartData,
    StartDtls,
    StartIceGeneration,
    StopTransceiver,
)
from rtcpeer.jsep.state import Data, SessionState, Transceiver, Transport
from rtcpeer.records import replace
from rtcpeer.values import IceParameters, IceRole, MediaKind

_PREPARE_ORDER: dict[type, int] = {CreateTransport: 0, CreateTransceiver: 1, CreateData: 2}
_START_ORDER: dict[type, int] = {
    kind: place
    for place, kind in enumerate(
        (
            RollbackIce,
            StopTransceiver,
            AttachTransport,
            AttachData,
            ConfigureReceiver,
            ConfigureSender,
            SetIceRole,
            StartIceGeneration,
            SetRemoteIce,
            AddRemoteCandidate,
            EndOfRemoteCandidates,
            StartDtls,
            StartData,
            CloseData,
            RemoveTransceiver,
            CloseTransport,
        )
    )
}


class Draft:
    """Changes to a state, and the effects they have.

    Attributes:
        fields: what will be replaced in the state, besides the collections below.
    """

    def __init__(self, base: SessionState) -> None:
        self.base = base
        self._records: dict[int, Transceiver] = {t.id: t for t in base.transceivers}
        self._mids: dict[str, int] = {t.jsep_mid: t.id for t in base.transceivers if t.jsep_mid is not None}
        self._lines: dict[int, int] = {
            t.mline_index: t.id for t in reversed(base.transceivers) if t.mline_index is not None
        }
        self._waiting: dict[MediaKind, deque[int]] | None = None
        self.transports: dict[int, Transport] = {t.id: t for t in base.transports}
        self.bindings: dict[str, int] = dict(base.bindings)
        self.data: Data | None = base.data
        self.next_transport = base.next_transport
        self.next_transceiver = base.next_transceiver
        self.fields: dict[str, Any] = {}
        self.prepare: list[Prepare] = []
        self.start: list[Start] = []
        # announcements in the groups of webrtc-pc 4.4.1.5
        self.before: list[Announce] = []
        self.mutes: list[Announce] = []
        self.removals: list[Announce] = []
        self.additions: list[Announce] = []
        self.tracks: list[Announce] = []
        self.text = ""

    # --- transceivers ---

    @property
    def transceivers(self) -> list[Transceiver]:
        """The records as they stand now, in order of creation."""
        return list(self._records.values())

    def get(self, id: int) -> Transceiver | None:
        """The record as it stands now."""
        return self._records.get(id)

    def by_mid(self, mid: str) -> Transceiver | None:
        """The record associated with a mid as it stands now."""
        return self._records.get(self._mids.get(mid, -1))

    def at_line(self, index: int) -> Transceiver | None:
        """The record that is associated with the m-line of this index."""
        record = self._records.get(self._lines.get(index, -1))
        return record if record is not None and record.mline_index == index else None

    def waiting(self, kind: MediaKind) -> Transceiver | None:
        """The first record that addTrack made and that no section has yet (RFC 8829 5.10)."""
        if self._waiting is None:
            self._waiting = {MediaKind.AUDIO: deque(), MediaKind.VIDEO: deque()}
            for record in self._records.values():
                if record.made_by_add_track:
                    self._waiting[record.kind].append(record.id)
        ids = self._waiting[kind]
        while ids:
            found = self._records.get(ids[0])
            if found is not None and found.jsep_mid is None and not found.stopping:
                return found
            ids.popleft()  # it will not wait again within one description
        return None

    def put(self, record: Transceiver) -> Transceiver:
        """Replace the record with the same id, or add a new one."""
        old = self._records.get(record.id)
        if old is not None and old.jsep_mid is not None and old.jsep_mid != record.jsep_mid:
            self._mids.pop(old.jsep_mid, None)
        if record.jsep_mid is not None:
            self._mids[record.jsep_mid] = record.id
        self._records[record.id] = record
        return record

    def remove(self, id: int) -> None:
        """Take a record out of the set."""
        del self._records[id]
        self.start.append(RemoveTransceiver(id))

    # --- transports ---

    def new_transport(self) -> int:
        """Draw the id of a new transport."""
        id = self.next_transport
        self.next_transport += 1
        self.transports[id] = Transport(id)
        self.prepare.append(CreateTransport(id))
        return id

    def attach(self, record: Transceiver, transport: int | None) -> Transceiver:
        """Let sender and receiver of a record use a transport."""
        if record.transport == transport:
            return record
        self.start.append(AttachTransport(record.id, transport))
        return self.put(replace(record, transport=transport))

    def set_role(self, id: int, role: IceRole) -> None:
        """The ICE role by description; one that is known already stays (webrtc-pc 4.4.1.5)."""
        transport = self.transports[id]
        if transport.ice_role is IceRole.UNKNOWN:
            self.transports[id] = replace(transport, ice_role=role)
            self.start.append(SetIceRole(id, role))

    def start_generation(self, id: int, local: IceParameters) -> None:
        """Gather with these credentials, unless they are in use already."""
        transport = self.transports[id]
        if transport.local != local:
            self.transports[id] = replace(transport, local=local, candidates=(), gathered=False)
            self.start.append(StartIceGeneration(id, local))

    def close_unbound(self) -> None:
        """Close the transports that no section uses any more."""
        used = set(self.bindings.values())
        for id in [i for i in self.transports if i not in used]:
            del self.transports[id]
            self.start.append(CloseTransport(id))

    # --- the end ---

    def finish(self, announce: tuple[Announce, ...] = ()) -> Plan:
        """The plan; effects in the order that `rtcpeer.jsep.effects` promises."""
        base = self.base
        fields = self.fields
        fields["transceivers"] = _same(base.transceivers, tuple(self._records.values()))
        fields["transports"] = _same(base.transports, tuple(self.transports.values()))
        fields["bindings"] = _same(base.bindings, tuple(self.bindings.items()))
        fields["data"] = self.data
        fields["next_transport"] = self.next_transport
        fields["next_transceiver"] = self.next_transceiver
        return Plan(
            base,
            base.with_members(fields),
            _sorted(self.prepare, _PREPARE_ORDER),
            _sorted(self.start, _START_ORDER),
            (*self.before, *announce, *self.mutes, *self.removals, *self.additions, *self.tracks),
            text=self.text,
        )


def _sorted(effects: list[Any], order: dict[type, int]) -> tuple[Any, ...]:
    if len(effects) > 1:
        effects.sort(key=lambda effect: order[type(effect)])
    return tuple(effects)


def _same(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """The old tuple when nothing changed, so that identity says so."""
    return old if len(old) == len(new) and all(map(is_, old, new)) else new
