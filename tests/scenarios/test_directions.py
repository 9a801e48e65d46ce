"""Directions, counted in packets: nobody sends, and nobody plays, what was not both offered and answered."""

import asyncio
import itertools

import pytest

from rtcpeer.testing import synthetic_track
from rtcpeer.values import Direction
from tests.scenarios.virtual import PeerPair, scenario, until

LINES = ("sendrecv", "sendonly", "recvonly", "inactive", "")
"""What a section says; nothing at all means sendrecv."""


def munged(text, said):
    """The description with a direction of ours in each section (None: as it is)."""
    head, *sections = text.split("\r\nm=")
    out = [head]
    for section, direction in itertools.zip_longest(sections, said):
        if direction is not None:
            lines = [x for x in section.split("\r\n") if x[2:] not in LINES[:4]]
            section = "\r\n".join([lines[0], *([f"a={direction}"] if direction else []), *lines[1:]])
        out.append(section)
    return "\r\nm=".join(out)


def inside(offered, answered):
    ours, theirs = Direction(offered or "sendrecv"), Direction(answered or "sendrecv").reversed
    return (ours.sends or not theirs.sends) and (ours.receives or not theirs.receives)


async def described(connection):
    """The local description with all its candidates."""
    await until(lambda: connection.iceGatheringState == "complete")
    return connection.localDescription.sdp


async def packets(transceiver):
    """Packets sent and received by a transceiver."""
    sent = [
        s["packetsSent"]
        for s in (await transceiver.sender.getStats()).values()
        if s["type"] == "outbound-rtp"
    ]
    got = await transceiver.receiver.getStats()
    return sum(sent), sum(s["packetsReceived"] for s in got.values() if s["type"] == "inbound-rtp")


async def flows(connection):
    """For each transceiver, whether packets went out, and whether packets were taken, in the last half second."""
    before = [await packets(t) for t in connection.getTransceivers()]
    await asyncio.sleep(0.5)
    after = [await packets(t) for t in connection.getTransceivers()]
    return [(s1 > s0, g1 > g0) for (s0, g0), (s1, g1) in zip(before, after, strict=True)]


def expected(ours, theirs):
    """What may flow at the side that said `ours`, where the other one said `theirs`."""
    mine, other = Direction(ours or "sendrecv"), Direction(theirs or "sendrecv")
    return mine.sends and other.receives, mine.receives and other.sends


@pytest.mark.parametrize("kind", ["answer", "pranswer"])
@scenario
async def test_an_offerer_sends_and_plays_only_what_it_offered(scene, kind):
    pairs = [p for p in itertools.product(LINES[:4], LINES) if inside(*p)]
    widening = [p for p in itertools.product(LINES[:4], LINES) if not inside(*p)]
    async with PeerPair(network=scene.network) as pair:
        a, b = pair.offerer, pair.answerer
        shown = []
        a.ontrack = lambda event: shown.append(event.transceiver)
        for offered, _ in pairs:
            a.addTransceiver(synthetic_track("audio"), direction=offered)
        await a.setLocalDescription()
        await b.setRemoteDescription({"type": "offer", "sdp": await described(a)})
        for t in b.getTransceivers():
            t.direction = "sendrecv"  # it would send and play everything
            await t.sender.replaceTrack(synthetic_track("audio"))
        await b.setLocalDescription()
        text = await described(b)
        honest = [answered for _, answered in pairs]
        for offered, answered in widening:  # refused, and nothing has changed
            said = list(honest)
            said[next(i for i, p in enumerate(pairs) if p[0] == offered)] = answered
            state = a._session_.engine.state
            with pytest.raises(Exception, match="was offered as") as caught:
                await a.setRemoteDescription({"type": kind, "sdp": munged(text, said)})
            assert caught.value.name == "InvalidAccessError"
            assert a._session_.engine.state is state
        assert not shown
        assert [await packets(t) for t in a.getTransceivers()] == [(0, 0)] * len(pairs)
        await a.setRemoteDescription({"type": kind, "sdp": munged(text, honest)})
        await a.connected(timeout=10)
        assert await flows(a) == [expected(*p) for p in pairs]
        assert len(shown) == sum(expected(*p)[1] for p in pairs)
        # muted by the next offer: whatever is answered, nothing is sent
        if kind == "pranswer":
            return
        for t in a.getTransceivers():
            t.direction = "recvonly"
        await a.setLocalDescription()
        await b.setRemoteDescription({"type": "offer", "sdp": a.localDescription.sdp})
        await b.setLocalDescription()
        for said in ("sendrecv", "recvonly", ""):
            with pytest.raises(Exception, match="was offered as"):
                await a.setRemoteDescription(
                    {"type": kind, "sdp": munged(b.localDescription.sdp, [said] * len(pairs))}
                )
            assert not any(sent for sent, _ in await flows(a))  # already now
        await a.setRemoteDescription({"type": kind, "sdp": b.localDescription.sdp})
        assert not any(sent for sent, _ in await flows(a))


@pytest.mark.parametrize("kind", ["answer", "pranswer"])
@scenario
async def test_an_answerer_sends_and_plays_only_what_was_offered(scene, kind):
    pairs = list(itertools.product(LINES, LINES[:4]))
    async with PeerPair(network=scene.network) as pair:
        a, b = pair.offerer, pair.answerer
        for _ in pairs:
            a.addTransceiver(synthetic_track("audio"))
        await a.setLocalDescription()
        offer = munged(await described(a), [offered for offered, _ in pairs])
        await b.setRemoteDescription({"type": "offer", "sdp": offer})
        for t, (_, wanted) in zip(b.getTransceivers(), pairs, strict=True):
            t.direction = wanted
            await t.sender.replaceTrack(synthetic_track("audio"))
        await b.setLocalDescription({"type": kind, "sdp": (await b.createAnswer()).sdp})
        # the offerer believes that everything was agreed on: it sends and plays all
        await a.setRemoteDescription(
            {"type": kind, "sdp": munged(await described(b), ["sendrecv"] * len(pairs))}
        )
        await b.connected(timeout=10)
        assert await flows(b) == [expected(wanted, offered) for offered, wanted in pairs]
