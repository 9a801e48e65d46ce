"""Losing a little, until it has been noticed and mended on both sides."""

from __future__ import annotations

import asyncio

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import OutageNetwork
from tests.interop.chromium import PATIENCE


async def lose_until_repaired(pc: RTCPeerConnection, network: OutageNetwork) -> None:
    """Short outages until video packets were asked for again (NACK) and came again (RTX), in both directions."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with network.outage():
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.15)
            report = await pc.getStats()
            video = {
                kind: next((s for s in report.of_type(kind) if s["kind"] == "video"), {})
                for kind in ("inbound-rtp", "outbound-rtp")
            }
            if (
                min(s.get("nackCount", 0) for s in video.values()) > 0
                and video["inbound-rtp"]["retransmittedPacketsReceived"] > 0
                and video["outbound-rtp"]["retransmittedPacketsSent"] > 0
            ):
                return
