"""Sound and picture of a publisher whose video is late: together again at the subscriber, by what reports say."""

import asyncio
import contextlib
import random

import pytest

from rtcpeer import Forwarder
from rtcpeer.aio import wall_time
from rtcpeer.peer import rtp, rtp_sender
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.outbound import ntp
from rtcpeer.rtp.packet import write_rtp
from rtcpeer.testing import PeerPair
from tests.scenarios.test_congestion import running
from tests.scenarios.test_forwarding import Relay, receiver_of
from tests.scenarios.test_forwarding_network import KEY_HEADER
from tests.scenarios.virtual import scenario

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")

LATE = 0.2
RATES = {"audio": 48000, "video": 90000}
PERIODS = {"audio": 0.02, "video": 1 / 30}


class Publisher:
    """Packets and reports of its own making: each says when it was captured, in microseconds of the world's clock.

    The sound leaves at once, pictures 200 ms later; its clock is another one than ours.
    """

    def __init__(self, pair, *, clock, seed):
        self.pair, self.clock, self.choice = pair, clock, random.Random(seed)
        self.streams = {}
        for kind in ("audio", "video"):
            media = rtp_sender.core_of(
                next(s for s in pair.offerer.getSenders() if s.kind == kind)
            ).sender_media
            section = media._section
            self.streams[kind] = (
                section.session,
                section.active[0].packets.encoding.ssrc,
                section.formats[0],
            )
        self.bases = {kind: self.choice.getrandbits(32) for kind in RATES}

    def timestamp(self, kind, at):
        return (self.bases[kind] + int((at % 100_000) * RATES[kind])) & 0xFFFFFFFF

    async def send(self, kind, late):
        session, ssrc, form = self.streams[kind]
        number = self.choice.getrandbits(14)
        while True:
            captured = wall_time() - late
            content = int(captured * 1e6).to_bytes(8, "big")
            # every picture is a key frame: who joins waits for none
            payload = b"\xf8" + content if kind == "audio" else b"\x10" + KEY_HEADER + content
            packet = write_rtp(
                form.payload_type, True, number & 0xFFFF, self.timestamp(kind, captured), ssrc, b"", payload
            )
            session.send_rtp(packet)
            number += 1
            await asyncio.sleep(PERIODS[kind])

    async def report(self, kind):
        session, ssrc, _form = self.streams[kind]
        await asyncio.sleep(self.choice.random())
        while True:
            now = wall_time()
            # by its own clock, which is of no concern to anybody
            report = rtcp.write_sender_report(
                ssrc, ntp(now + self.clock), self.timestamp(kind, now), 100, 10_000, "publisher"
            )
            session.send_rtcp(report)
            await asyncio.sleep(0.5 + self.choice.random())

    def running(self, late=LATE):
        return running(
            self.send("audio", 0), self.send("video", late), self.report("audio"), self.report("video")
        )


class Ears:
    """What a subscriber gets of one kind: (when it was captured, when its reports say that it was)."""

    def __init__(self, connection, kind):
        self.kind, self.last, self.found = kind, None, []
        receiver = receiver_of(connection, kind)
        media = rtp.core_of(receiver).receiver_media
        take = media.on_sender_report

        def keep(report, now):
            self.last = report.sender_info
            take(report, now)

        media.on_sender_report = keep
        self.task = asyncio.ensure_future(self.read(receiver))

    async def read(self, receiver):
        async for frame in receiver.encodedFrames():
            at = 1 if self.kind == "audio" else len(KEY_HEADER)
            captured = int.from_bytes(frame.data[at : at + 8], "big") / 1e6
            if self.last is not None:
                since = (frame.timestamp - self.last.rtp_timestamp + 0x80000000) % 0x100000000 - 0x80000000
                reported = self.last.ntp_timestamp / 2**32 + since / RATES[self.kind]
                self.found.append((captured, reported))

    def lead(self, since):
        """How far what is reported is ahead of what is true, of each frame since then."""
        return [reported - captured for captured, reported in self.found if captured >= since]


@contextlib.asynccontextmanager
async def relaying(scene, *, publishers=1):
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay(scene, stack)
        relay.publishers, relay.forwarders = [], {}
        for index in range(publishers):
            pair = PeerPair(hosts=(scene.network.add_host(f"publisher{index}"), relay.host))
            await stack.enter_async_context(pair)
            for kind in RATES:
                pair.offerer.addTransceiver(kind, direction="sendonly")
            await pair.connect()
            publisher = Publisher(pair, clock=1234.5 * (index + 1), seed=index)
            await stack.enter_async_context(publisher.running())
            relay.publishers.append(publisher)
        first = relay.publishers[0].pair.answerer
        relay.forwarders = [Forwarder(receiver_of(first, kind)) for kind in RATES]
        pair, _outputs, _tracks = await relay.subscribe(*relay.forwarders)
        relay.ears = {kind: Ears(pair.answerer, kind) for kind in RATES}
        yield relay
        for ears in relay.ears.values():
            ears.task.cancel()
        await asyncio.gather(*[e.task for e in relay.ears.values()], return_exceptions=True)


def apart(relay, since):
    """The largest distance of any picture from any sound that were captured together, in seconds."""
    sound, picture = (relay.ears[kind].lead(since) for kind in RATES)
    assert len(sound) > 50
    assert len(picture) > 30
    return max(abs(max(picture) - min(sound)), abs(min(picture) - max(sound)))


@pytest.mark.parametrize("jitter", [0.0, 0.03])
@scenario
async def test_late_pictures_are_reported_with_their_sound(scene, jitter):
    async with relaying(scene) as relay:
        scene.network.hosts["publisher0"].link.set(jitter=jitter)
        scene.network.hosts["subscriber1"].link.set(jitter=jitter)
        await asyncio.sleep(6)
        assert apart(relay, wall_time() - 3) < 0.02


@scenario
async def test_and_so_after_a_change_of_the_publisher(scene):
    """The other publisher has another clock, other numbers, and began at another time."""
    async with relaying(scene, publishers=2) as relay:
        await asyncio.sleep(4)
        assert apart(relay, wall_time() - 2) < 0.02
        for forwarder in relay.forwarders:
            other = relay.publishers[1].pair.answerer
            forwarder.source = receiver_of(other, forwarder.source.track.kind)
        await asyncio.sleep(4)
        assert apart(relay, wall_time() - 2) < 0.02
