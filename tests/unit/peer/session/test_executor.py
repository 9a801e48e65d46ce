"""What the executor keeps: streams, faces of transceivers that left, and silence after a close."""

import asyncio

import pytest

from rtcpeer import InvalidAccessError, MediaStream, RTCPeerConnection
from rtcpeer.testing import synthetic_track


@pytest.fixture
async def two():
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        yield pc, other


async def negotiate(pc, other):
    for mine, theirs in ((pc, other), (other, pc)):
        await mine.setLocalDescription()
        await theirs.setRemoteDescription(mine.localDescription)


async def test_one_remote_stream_for_one_id(two):
    pc, other = two
    stream = MediaStream()
    got = []
    other.ontrack = got.append
    pc.addTrack(synthetic_track("audio"), stream)
    await negotiate(pc, other)
    remote = got[0].streams[0]
    assert remote.id == stream.id
    added = []
    remote.onaddtrack = lambda e: added.append(e.track)
    pc.addTrack(synthetic_track("video"), stream)
    await negotiate(pc, other)
    assert got[1].streams[0] is remote
    assert added == [got[1].track]
    assert remote.getTracks() == [got[0].track, got[1].track]


async def test_tracks_are_in_their_streams_before_any_track_event(two):
    pc, other = two
    stream = MediaStream()
    for kind in ("audio", "video"):
        pc.addTrack(synthetic_track(kind), stream)
    seen = []
    other.ontrack = lambda e: seen.append(len(e.streams[0].getTracks()))
    await negotiate(pc, other)
    assert seen == [2, 2]


async def test_after_a_close_inside_a_track_event_nothing_follows(two):
    pc, other = two
    for kind in ("audio", "video"):
        pc.addTrack(synthetic_track(kind))
    seen = []

    def close(event):
        seen.append(event.track.kind)
        other.close()

    other.ontrack = close
    other.onsignalingstatechange = lambda _: seen.append(other.signalingState)
    await pc.setLocalDescription()
    await other.setRemoteDescription(pc.localDescription)
    assert seen == ["have-remote-offer", "audio"]
    assert other.signalingState == "closed"


async def test_a_rollback_inside_a_track_event(two):
    pc, other = two
    for kind in ("audio", "video"):
        pc.addTrack(synthetic_track(kind))
    done = []

    def roll_back(event):
        done.append(asyncio.ensure_future(other.setRemoteDescription({"type": "rollback"})))

    other.addEventListener("track", roll_back, {"once": True})
    await pc.setLocalDescription()
    await other.setRemoteDescription(pc.localDescription)
    await done[0]
    assert other.signalingState == "stable"
    assert other.getTransceivers() == []


async def test_a_transceiver_that_left_shows_itself_stopped(two):
    pc, other = two
    got = []
    other.ontrack = got.append
    pc.addTrack(synthetic_track("audio"))
    await pc.setLocalDescription()
    await other.setRemoteDescription(pc.localDescription)
    await other.setRemoteDescription({"type": "rollback"})
    transceiver = got[0].transceiver
    assert (transceiver.mid, transceiver.direction, transceiver.currentDirection) == (
        None,
        "stopped",
        "stopped",
    )
    assert transceiver.receiver.transport is None
    # it was made by this connection: removing its track is allowed, and does nothing
    other.removeTrack(transceiver.sender)
    with pytest.raises(InvalidAccessError):
        pc.removeTrack(transceiver.sender)


async def test_transports_go_when_they_are_bundled_away(two):
    pc, other = two
    for kind in ("audio", "video"):
        pc.addTransceiver(kind)
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    before = [t.sender.transport for t in pc.getTransceivers()] + [pc.sctp.transport]
    assert len(set(map(id, before))) == 3
    closed = []
    for transport in before:
        transport.onstatechange = lambda e: closed.append(e.target.state)
    await other.setRemoteDescription(pc.localDescription)
    await other.setLocalDescription()
    await pc.setRemoteDescription(other.localDescription)
    assert len({id(t.sender.transport) for t in pc.getTransceivers()} | {id(pc.sctp.transport)}) == 1
    await asyncio.sleep(0)
    assert closed.count("closed") == 2
