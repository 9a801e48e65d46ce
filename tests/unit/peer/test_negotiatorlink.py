"""A connection asks its negotiator before changes that need an offer, and names its notices."""

import asyncio

import pytest

from rtcpeer import NotSupportedError, RTCPeerConnection
from rtcpeer.signaling import ChannelCapabilities, Negotiator
from rtcpeer.signaling.channel import MemoryChannel, memory_pair


class OneExchange(MemoryChannel):
    capabilities = ChannelCapabilities(reliable=True, renegotiate=False, offers="local")


async def test_a_change_that_cannot_be_carried_raises_at_the_call() -> None:
    a, b = memory_pair()
    a.__class__ = OneExchange
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        async with Negotiator(pc, a), Negotiator(other, b, polite=True):
            assert pc.negotiator is not None
            assert other.negotiator is not pc.negotiator
            pc.createDataChannel("first")
            await pc.connected()
            pc.createDataChannel("second")  # needs no offer
            for call in (lambda: pc.addTransceiver("audio"), lambda: pc.addTransceiver("video")):
                with pytest.raises(NotSupportedError, match="OneExchange carries one offer and one answer"):
                    call()
            assert pc.getTransceivers() == []
            other.addTransceiver("audio")
        pc.addTransceiver("audio")  # nobody negotiates any more


async def test_explain_and_time_outs_name_what_was_of_no_use() -> None:
    a, b = memory_pair()
    async with RTCPeerConnection() as pc:
        assert "signaling-trouble" not in [finding.code for finding in pc.explain()]
        async with Negotiator(pc, a, polite=True, on_error=lambda _: None):
            pc.createDataChannel("x")
            await b.send({"type": "answer", "sdp": "v=0\r\n"})
            await b.send({"hello": 1})
            with pytest.raises(TimeoutError, match=r"1 unreadable.*neither a description nor a candidate"):
                await pc.connected(0.3)
        (finding,) = [finding for finding in pc.explain() if finding.code == "signaling-trouble"]
        assert finding.level == "problem"
        assert finding.text.startswith("Signaling messages that were of no use: ")


async def test_what_was_added_long_before_the_negotiator_is_negotiated() -> None:
    a, b = memory_pair()
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        told: list[object] = []
        pc.addEventListener("negotiationneeded", told.append)
        channel = pc.createDataChannel("chat")
        await anext(pc.events("negotiationneeded"))
        async with Negotiator(pc, a, polite=False), Negotiator(other, b, polite=True):
            await channel.opened()
        assert len(told) == 2
        async with Negotiator(pc, a, polite=False):  # nothing is to be negotiated
            await asyncio.sleep(0.05)
        assert len(told) == 2
