"""`Negotiator` drives connections that are not ours: plain aiortc, and libwebrtc in Python (`pip install wrtc`)."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import aiortc
import pytest

from rtcpeer import Negotiator, NotSupportedError, RTCPeerConnection, memory_pair
from rtcpeer.aiortc.negotiable import AiortcConnection
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.signaling.libwebrtc import WrtcConnection
from tests.interop.chromium import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]

needs_wrtc = pytest.mark.skipif(
    importlib.util.find_spec("webrtc") is None,
    reason="NOT TESTED against libwebrtc in Python: pip install wrtc (no wheel for this Python or platform?)",
)


async def exchange(here: Any, there: Any, *, here_polite: bool, restart: bool = False) -> None:
    """One message each way, then a second offer, from the foreign connection."""
    a, b = memory_pair()
    heard: list[Any] = []
    foreign = Negotiator(there, b, polite=not here_polite)
    async with Negotiator(here, a, polite=here_polite) as own, foreign:
        channel = here.createDataChannel("chat")
        channel.onmessage = lambda event: heard.append(event.data)

        def echo(made: Any) -> None:
            made = getattr(made, "channel", made)

            @made.on("message")
            def answer(message: Any) -> None:
                made.send(f"echo {getattr(message, 'data', message)}")

        there.addEventListener("datachannel", echo)
        await here.connected()
        await until(lambda: channel.readyState == "open")
        channel.send("hello")
        await until(lambda: heard == ["echo hello"])
        there.addTransceiver("audio")
        await until(lambda: len(here.getTransceivers()) == 1 and here.signalingState == "stable")
        await until(lambda: here.getTransceivers()[0].currentDirection is not None)
        await until(lambda: str(there.signalingState) == "stable")
        if restart:
            here.restartIce()
            before = here.remoteDescription.sdp
            await until(lambda: here.remoteDescription.sdp != before and here.signalingState == "stable")
            await here.connected()
            await until(lambda: str(there.signalingState) == "stable")
        assert not own.notices.counts, own.notices
        assert not foreign.notices.counts, foreign.notices


async def test_plain_aiortc() -> None:
    there = AiortcConnection(aiortc.RTCPeerConnection())
    async with RTCPeerConnection() as here:
        await exchange(here, there, here_polite=True)
        assert repr(there).startswith("<AiortcConnection stable, ")
    await there.close()


async def test_what_plain_aiortc_had_before_its_negotiator_came_is_offered() -> None:
    pc = aiortc.RTCPeerConnection()
    pc.createDataChannel("chat")
    there = AiortcConnection(pc)
    a, b = memory_pair()
    async with (
        RTCPeerConnection() as here,
        Negotiator(here, a, polite=True),
        Negotiator(there, b, polite=False),
    ):
        await here.connected()
    await there.close()


async def test_plain_aiortc_says_what_it_cannot_do() -> None:
    there = AiortcConnection(aiortc.RTCPeerConnection())
    there.createDataChannel("x")
    await there.setLocalDescription()
    with pytest.raises(NotSupportedError, match="cannot roll back"):
        await there.setLocalDescription({"type": "rollback", "sdp": ""})
    with pytest.raises(ValueError, match="aiortc cannot read the candidate"):
        await there.addIceCandidate({"candidate": "candidate:rubbish", "sdpMid": "0"})
    await there.close()


@needs_wrtc
async def test_libwebrtc() -> None:
    # its threads would raise their policy when the process is root
    with ordinary_scheduling():
        import webrtc

        there = WrtcConnection(webrtc.RTCPeerConnection())
    try:
        async with RTCPeerConnection() as here:
            await exchange(here, there, here_polite=False, restart=True)
    finally:
        there.close()


@needs_wrtc
async def test_what_libwebrtc_had_before_its_negotiator_came_is_offered() -> None:
    with ordinary_scheduling():
        import webrtc

        there = WrtcConnection(webrtc.RTCPeerConnection())
    a, b = memory_pair()
    try:
        needed = asyncio.Event()
        there.connection.on("negotiationneeded", lambda _: needed.set())
        there.createDataChannel("chat")
        await needed.wait()
        async with (
            RTCPeerConnection() as here,
            Negotiator(here, a, polite=False),
            Negotiator(there, b, polite=True),
        ):
            await here.connected()
    finally:
        there.close()
