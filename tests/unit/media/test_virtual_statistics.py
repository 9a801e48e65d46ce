"""On virtual time every number of the report belongs to the same clock."""

from __future__ import annotations

import asyncio

from rtcpeer.aio import wall_time
from rtcpeer.testing import PeerPair, VirtualNetwork, run_virtual, synthetic_track

HOURS = 7 * 3600.0


def test_every_timestamp_is_the_loops():
    async def main():
        # far from the real time of day, so that one cannot be taken for the other
        await asyncio.sleep(HOURS)
        network = VirtualNetwork(delay=0.02)
        async with PeerPair(network=network) as pair:
            pair.offerer.addTrack(synthetic_track("audio"))
            channel = pair.offerer.createDataChannel("x")
            received = asyncio.get_running_loop().create_future()

            def on_track(event):
                received.set_result(event.track)

            pair.answerer.ontrack = on_track
            begun = wall_time()
            await pair.negotiate()
            await pair.offerer.connected()
            track = await received
            for _ in range(500):
                await track.recv()
            channel.send("x")
            await asyncio.sleep(0.5)
            reports = [await pc.getStats() for pc in (pair.offerer, pair.answerer)]
            ended = wall_time()
        network.close()
        return begun * 1000, ended * 1000, reports

    begun, ended, reports = run_virtual(main())

    found = set()
    for report in reports:
        for entry in report.values():
            members = (
                entry if isinstance(entry, dict) else vars(entry) if hasattr(entry, "__dict__") else entry
            )
            found.add(members["type"])
            for name in ("timestamp", "lastPacketReceivedTimestamp", "lastPacketSentTimestamp"):
                if members.get(name) is not None:
                    assert begun <= members[name] <= ended + 1, (members["type"], name)
            if members["type"] == "remote-inbound-rtp":
                assert 0.07 < members["roundTripTime"] < 0.1
            if members["type"] == "remote-outbound-rtp":
                assert begun <= members["remoteTimestamp"] <= ended + 1
            if members["type"] == "transport" and "smoothedRoundTripTime" in members:
                assert 0.07 < members["smoothedRoundTripTime"] < 0.2
    assert {"outbound-rtp", "inbound-rtp", "remote-inbound-rtp", "remote-outbound-rtp"} <= found
