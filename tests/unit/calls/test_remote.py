"""Which tracks of a connection are announced, over sections that end, go on, and go on with something else."""

import asyncio
from types import SimpleNamespace

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.calls.remote import ArrivingTracks


class Call:
    """A connection that receives one section, and what the service was told of it."""

    def __init__(self, us, them):
        self.us, self.them = us, them
        self.carried = None  # by the section, as the service knows
        self.told = []
        self.tracks = []
        peer = SimpleNamespace(pc=us, addEventListener=us.addEventListener)
        self.arriving = ArrivingTracks(
            peer, self._subscribe, lambda owner, name: self.told.append(f"-{name}"), lambda _: self.carried
        )
        self.transceiver = them.addTransceiver("audio", direction="sendonly")

    def _subscribe(self, event):
        name = str(self.carried)
        self.told.append(name)
        self.tracks.append(event.track)
        return "them", name

    async def negotiate(self, carried=None, direction="sendonly"):
        self.carried, self.transceiver.direction = carried, direction
        for mine, theirs in ((self.them, self.us), (self.us, self.them)):
            await mine.setLocalDescription()
            await theirs.setRemoteDescription(mine.localDescription)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.fixture
async def call():
    async with RTCPeerConnection() as us, RTCPeerConnection() as them:
        yield Call(us, them)


async def test_a_section_that_goes_on_with_the_same(call):
    for _ in range(3):
        await call.negotiate("voice")
    assert call.told == ["voice"]
    assert call.tracks[0].readyState == "live"


async def test_a_section_that_pauses(call):
    await call.negotiate("voice")
    await call.negotiate(direction="inactive")
    await call.negotiate("voice")
    assert call.told == ["voice", "-voice", "voice"]
    assert [track.readyState for track in call.tracks] == ["ended", "live"]


async def test_a_section_that_goes_on_with_something_else(call):
    """No event of the connection tells of it: it was received all the time."""
    await call.negotiate("voice")
    await call.negotiate("music")
    assert call.told == ["voice", "-voice", "music"]
    assert [track.readyState for track in call.tracks] == ["ended", "live"]
    assert call.us.getReceivers()[0].track is call.tracks[1]


async def test_a_section_whose_participant_has_stopped_before_it_goes_on_with_something_else(call):
    await call.negotiate("voice")
    call.arriving.end("them")
    assert call.told == ["voice", "-voice"]
    await call.negotiate("voice again")
    assert call.told[2:] == ["voice again"]


async def test_a_section_that_nobody_is_known_to_fill_any_more(call):
    await call.negotiate("voice")
    await call.negotiate(None)
    assert call.told == ["voice", "-voice"]
    await call.negotiate(None)
    assert call.told == ["voice", "-voice"]
