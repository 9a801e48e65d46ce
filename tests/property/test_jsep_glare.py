"""Perfect negotiation (webrtc-pc 10.7): glare at random, late messages, both roles, restarts among them."""

from __future__ import annotations

import random
from collections import deque

import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.values import SdpType, SignalingState
from tests.unit.jsep.support import Peer, host, pair


class Side:
    """One end of the pattern: what a program does, with its inbox."""

    def __init__(self, peer: Peer, *, polite: bool) -> None:
        self.peer, self.polite = peer, polite
        self.inbox: deque[tuple[str, object]] = deque()
        self.other: Side
        self.ignoring = False

    def negotiate_if_needed(self) -> None:
        if self.peer.signaling is SignalingState.STABLE and self.peer.engine.negotiation_needed():
            self.peer.local()
            self.send()

    def send(self) -> None:
        description = self.peer.state.local_description
        assert description is not None
        self.other.inbox.append(("description", (description.type, description.text)))
        for transport in self.peer.state.transports:
            if transport.local is not None and not transport.candidates:
                found = self.peer.found(transport.id, host(transport.id + 1))
                if found is not None:
                    self.other.inbox.append(("candidate", found))

    def receive(self) -> None:
        if not self.inbox:
            return
        what, value = self.inbox.popleft()
        if what == "candidate":
            try:
                c = value
                self.peer.carry_out(
                    self.peer.engine.plan_remote_candidate(c.text, c.mid, c.mline_index, c.ufrag)
                )  # type: ignore[attr-defined]
            except (OperationError, InvalidStateError):
                assert self.ignoring or self.polite
            return
        type_, text = value  # type: ignore[misc]
        collision = type_ is SdpType.OFFER and self.peer.signaling is not SignalingState.STABLE
        self.ignoring = not self.polite and collision
        if self.ignoring:
            return
        if type_ is SdpType.ANSWER and self.peer.signaling is not SignalingState.HAVE_LOCAL_OFFER:
            return  # the answer to an offer that was rolled back
        self.peer.remote(type_, text)
        if type_ is SdpType.OFFER:
            self.peer.local()
            self.send()


@pytest.mark.parametrize("polite_first", [True, False])
def test_a_thousand_rounds_of_glare(polite_first: bool) -> None:
    rng = random.Random(20261121)
    a, b = pair()
    first, second = Side(a, polite=polite_first), Side(b, polite=not polite_first)
    first.other, second.other = second, first
    sides = [first, second]
    glares = 0
    for _ in range(1000):
        for side in sides:
            if rng.random() < 0.7:
                change(side.peer, rng)
        for side in rng.sample(sides, 2):
            side.negotiate_if_needed()
        glares += a.signaling is b.signaling is SignalingState.HAVE_LOCAL_OFFER
        for _ in range(rng.randrange(8)):
            rng.choice(sides).receive()
    for _ in range(200):
        for side in sides:
            side.negotiate_if_needed()
            side.receive()
    assert glares > 300
    for peer in (a, b):
        assert peer.signaling is SignalingState.STABLE
        assert not peer.engine.negotiation_needed()
        assert len(peer.objects.transports) <= 1
    mids = {t.mid: t for t in b.state.transceivers}
    for record in a.state.transceivers:
        if record.current_direction is not None:
            assert mids[record.mid].current_direction is record.current_direction.reversed


def change(peer: Peer, rng: random.Random) -> None:
    """One thing that needs negotiation."""
    live = [t for t in peer.state.transceivers if not t.stopping]
    kind = rng.randrange(5)
    if kind == 0 and len(live) < 6:
        peer.transceiver(rng.choice(["audio", "video"]))
    elif kind == 1 and len(live) < 6:
        peer.track(rng.choice(["audio", "video"]), "s")
    elif kind == 2 and len(live) > 3:
        peer.carry_out(peer.engine.operations.plan_stop(rng.choice(live).id))
    elif kind == 3:
        peer.carry_out(peer.engine.operations.plan_restart_ice())
    else:
        peer.want_data()
