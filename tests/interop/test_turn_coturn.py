"""Calls through coturn whose nonces grow stale every two seconds, on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import no_leaks
from tests.interop import coturn
from tests.interop.chromium import until
from tests.interop.coturn import Coturn
from tests.interop.test_doctor_coturn import Here

REASON = coturn.why_not()

pytestmark = [pytest.mark.interop, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

STALE = 2.0


def with_useless_candidates(sdp: str, count: int) -> str:
    """A description with candidates at which nobody is, for each of which a permission is asked."""
    lines = sdp.split("\r\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("a=candidate"))
    lines[at:at] = [
        f"a=candidate:{n} 1 udp {2130706431 - n} 198.51.100.{n + 1} 9999 typ host" for n in range(count)
    ]
    return "\r\n".join(lines)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_an_answer_that_comes_when_every_nonce_is_stale(transport: str) -> None:
    ports = {"udp": (13483, 13493), "tcp": (13484, 13494)}[transport]
    async with no_leaks(), Coturn(Here(), ports=ports, options=(f"--stale-nonce={STALE:.0f}",)) as server:
        relay = {"iceServers": [server.ice_server(transport)], "iceTransportPolicy": "relay"}
        async with RTCPeerConnection(relay) as caller, RTCPeerConnection() as callee:
            channel = caller.createDataChannel("x")
            back: list[str] = []
            callee.ondatachannel = lambda event: setattr(
                event.channel, "onmessage", lambda message: back.append(message.data)
            )
            for restart in (False, True):
                await caller.setLocalDescription(await caller.createOffer(iceRestart=restart))
                await until(lambda: " typ relay" in caller.localDescription.sdp)
                await asyncio.sleep(STALE + 1)
                await callee.setRemoteDescription(caller.localDescription)
                await callee.setLocalDescription()
                await until(lambda: " typ host" in callee.localDescription.sdp)
                answer = with_useless_candidates(callee.localDescription.sdp, 12)
                await caller.setRemoteDescription({"type": "answer", "sdp": answer})
                await caller.connected(timeout=20)
                await channel.opened(20)
                channel.send(f"restart {restart}")
                await until(lambda restart=restart: f"restart {restart}" in back)
            pair = caller.sctp.transport.iceTransport.getSelectedCandidatePair()
            assert pair.local.type == "relay"
        assert "stale" in server.log.lower()
