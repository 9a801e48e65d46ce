"""The other side was replaced by another process: new ICE credentials and a new certificate, on the same connection."""

import asyncio

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, scenario, until


def trickle(one, two):
    """Candidates between two connections, from now on."""
    for mine, theirs in ((one, two), (two, one)):
        mine.onicecandidate = lambda e, theirs=theirs: (
            e.candidate and asyncio.ensure_future(add(theirs, e.candidate))
        )


async def add(connection, candidate):
    if connection.signalingState != "closed" and connection.remoteDescription is not None:
        await connection.addIceCandidate(candidate)


async def new_certificate():
    # connections of one process share their default certificate; another process has another
    return await RTCPeerConnection.generateCertificate("ECDSA")


@scenario
async def test_a_fresh_process_answers_an_offer_of_the_old_connection(scene):
    certificate = await new_certificate()
    async with PeerPair(network=scene.network) as pair:
        alice = pair.offerer
        alice.addTrack(synthetic_track("audio"))
        channel = alice.createDataChannel("x")
        await pair.connect()
        await channel.opened()
        await pair.answerer.close()
        await until(lambda: channel.readyState == "closed")

        with scene.network.hosts["bob"].active():
            fresh = RTCPeerConnection(certificates=[certificate])
        async with fresh:
            trickle(alice, fresh)
            got, channels = [], []
            fresh.ontrack = lambda e: got.append(e.track)
            fresh.ondatachannel = lambda e: channels.append(e.channel)
            await alice.setLocalDescription(await alice.createOffer(iceRestart=True))
            await fresh.setRemoteDescription(alice.localDescription)
            await fresh.setLocalDescription()
            await alice.setRemoteDescription(fresh.localDescription)
            await fresh.connected()
            await alice.connected()
            # channels are those of the association: a new one takes new channels
            again = alice.createDataChannel("again")
            await again.opened()
            await until(lambda: channels)
            assert [c.label for c in channels] == ["again"]
            assert len(got) == 1
            await asyncio.wait_for(got[0].recv(), 10)
