"""Mutated descriptions given to a connection: taken, or refused with the specified error and without a trace."""

# ruff: noqa: PT017 - what a refusal says is part of the property

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

from rtcpeer import InvalidAccessError, OperationError, RTCError, RTCPeerConnection
from tests.property.test_sdp_text import mutate

FIXTURES = [p.read_bytes().decode() for p in sorted(Path("tests/unit/sdp/fixtures").glob("*_offer.sdp"))]
CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000")) // 4


def shown(pc: RTCPeerConnection) -> tuple[object, ...]:
    """What a program sees of a connection."""
    descriptions = (
        pc.currentLocalDescription,
        pc.pendingLocalDescription,
        pc.currentRemoteDescription,
        pc.pendingRemoteDescription,
    )
    transceivers = [
        (t, t.mid, t.direction, t.currentDirection, t.sender.transport, t.receiver.track.readyState)
        for t in pc.getTransceivers()
    ]
    return pc.signalingState, descriptions, transceivers, pc.sctp, pc.iceGatheringState


async def test_a_connection_survives_what_it_is_told() -> None:
    rng = random.Random(20261121)
    outcomes: Counter[str] = Counter()
    longest = 0.0
    events: list[str] = []
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        pc.addTransceiver("audio")
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
        for type in ("signalingstatechange", "track", "negotiationneeded"):
            pc.addEventListener(type, lambda e: events.append(e.type))
        again = (await other.createOffer()).sdp
        for number in range(CASES):
            text = mutate(rng.choice(FIXTURES) if number % 2 else again, rng)
            before, told = shown(pc), len(events)
            began = time.thread_time()
            try:
                await pc.setRemoteDescription({"type": "offer", "sdp": text})
            except RTCError as error:
                outcomes[error.errorDetail] += 1
                assert error.name == "OperationError"
                assert error.sdpLineNumber is not None
            except (InvalidAccessError, OperationError) as error:
                outcomes[error.name] += 1
            else:
                outcomes["taken"] += 1
                assert pc.signalingState == "have-remote-offer"
                await pc.setRemoteDescription({"type": "rollback"})
                assert shown(pc) == before
                continue
            longest = max(longest, time.thread_time() - began)
            assert shown(pc) == before
            assert events[told:] == []
        assert longest < 0.5
        for outcome in ("taken", "sdp-syntax-error", "InvalidAccessError"):
            assert outcomes[outcome] > CASES / 50, outcomes
        # and the session goes on
        await pc.setRemoteDescription({"type": "offer", "sdp": again})
        await pc.setLocalDescription()
        assert pc.signalingState == "stable"
