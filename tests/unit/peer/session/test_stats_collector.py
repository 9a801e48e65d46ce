"""Statistics of a whole connection and of its parts."""

import asyncio

import pytest

from rtcpeer import InvalidAccessError
from rtcpeer.testing import PeerPair, VirtualNetwork, no_leaks, run_virtual, synthetic_track
from tests.scenarios.virtual import codec_threads_ended


def test_a_call_in_numbers():
    async def main():
        async with no_leaks(grace=0):
            network = VirtualNetwork(delay=0.01)
            async with PeerPair(network=network) as pair:
                await look(pair)
            network.close()
            codec_threads_ended()

    run_virtual(main())


async def look(pair):
    pc = pair.offerer
    track = synthetic_track("audio")
    sender = pc.addTrack(track)
    pc.addTransceiver("video")
    channel = pc.createDataChannel("x")
    remote = []
    pair.answerer.ontrack = lambda e: remote.append(e)
    await pair.connect()
    await channel.opened()
    channel.send("12345")
    await asyncio.sleep(2)

    report = await pc.getStats()
    types = {stats["type"] for stats in report.values()}
    assert {
        "peer-connection",
        "transport",
        "candidate-pair",
        "local-candidate",
        "remote-candidate",
        "certificate",
        "codec",
        "outbound-rtp",
        "data-channel",
        "media-source",
    } <= types
    assert all(stats["id"] == id for id, stats in report.items())
    transport = report.of_type("transport")[0]
    pair_stats = report[transport["selectedCandidatePairId"]]
    assert pair_stats["state"] == "succeeded"
    assert pair_stats["nominated"] is True
    assert transport["dtlsState"] == "connected"
    outbound, idle = sorted(report.of_type("outbound-rtp"), key=lambda s: s["kind"])
    assert (idle["kind"], idle["packetsSent"]) == ("video", 0)
    assert 80 <= outbound["packetsSent"] <= 110
    assert report[outbound["codecId"]]["mimeType"] == "audio/opus"
    assert report[outbound["mediaSourceId"]]["trackIdentifier"] == track.id
    data = report.of_type("data-channel")[0]
    assert (data["messagesSent"], data["bytesSent"]) == (1, 5)
    assert report.of_type("peer-connection")[0]["dataChannelsOpened"] == 1

    # ids stay, and mean nothing outside
    again = await pc.getStats()
    assert {s["id"] for s in again.of_type("outbound-rtp")} == {outbound["id"], idle["id"]}
    foreign = await pair.answerer.getStats()
    assert not set(foreign) & set(report)

    # of one sender, one receiver, one track
    for mine in (await sender.getStats(), await pc.getStats(track), await pc.getStats(sender)):
        assert [s["id"] for s in mine.of_type("outbound-rtp")] == [outbound["id"]]
        assert not mine.of_type("data-channel")
        assert mine.of_type("transport")
    theirs = await remote[0].receiver.getStats()
    assert theirs.of_type("inbound-rtp")[0]["packetsReceived"] >= 80
    with pytest.raises(InvalidAccessError):
        await pc.getStats(synthetic_track("audio"))
    with pytest.raises(TypeError):
        await pc.getStats("audio")

    # the call that was counted goes on
    await pc.close()
    after = await pc.getStats()
    assert after.of_type("peer-connection")[0]["dataChannelsOpened"] == 1
    track.stop()
