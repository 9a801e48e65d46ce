"""A pair of connections that negotiate with each other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.testing import PeerPair, VirtualNetwork, run_virtual, synthetic_track


def sections(pair: PeerPair) -> list[str]:
    description: Any = pair.offerer.localDescription
    return [line.split()[0] for line in description.sdp.split("\r\n") if line.startswith("m=")]


@pytest.mark.parametrize(("content", "expected"), [
    ("nothing", ["m=application"]),
    ("a channel", ["m=application"]),
    ("a track", ["m=audio"]),
    ("a transceiver", ["m=video"]),
])  # fmt: skip
def test_connect_adds_a_channel_to_an_empty_offer_alone(content: str, expected: list[str]) -> None:
    async def main() -> None:
        async with PeerPair(network=VirtualNetwork()) as pair:
            labels: list[str] = []
            pair.answerer.ondatachannel = lambda event: labels.append(event.channel.label)
            if content == "a channel":
                pair.offerer.createDataChannel("mine")
            elif content == "a track":
                pair.offerer.addTrack(synthetic_track("audio", {}))
            elif content == "a transceiver":
                pair.offerer.addTransceiver("video")
            await pair.connect()
            assert sections(pair) == expected
            await asyncio.sleep(1)
            assert labels == {"nothing": ["test"], "a channel": ["mine"]}.get(content, [])

    run_virtual(main())


def test_connecting_again_adds_nothing() -> None:
    async def main() -> None:
        async with PeerPair(network=VirtualNetwork()) as pair:
            pair.offerer.createDataChannel("mine")
            labels: list[str] = []
            pair.answerer.ondatachannel = lambda event: labels.append(event.channel.label)
            await pair.connect()
            await pair.connect()
            await asyncio.sleep(1)
            assert sections(pair) == ["m=application"]
            assert labels == ["mine"]

    run_virtual(main())
