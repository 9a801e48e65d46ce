"""A subscriber that wants to harm: what it can make a relay ask of its publisher, and send."""

import asyncio
import itertools
import random

import pytest

from rtcpeer.peer import rtp, rtp_sender
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.repeats import BURST_MIN, BURST_TIME, SHARE
from rtcpeer.rtp.repeating import REPEAT_BURST
from tests.scenarios.test_forwarding_network import feeding, join, stats
from tests.scenarios.virtual import scenario


class Attacker:
    """Sends RTCP of its own making from the subscriber's end of a connection."""

    def __init__(self, pair):
        self.session = rtp.core_of(pair.answerer.getReceivers()[0]).receiver_media._section.session
        self.choice = random.Random(7)

    def send(self, *packets):
        self.session.send_rtcp(b"".join([rtcp.write_receiver_report(1, []), *packets]))


async def ssrc_of(pair):
    return (await stats(pair.offerer, "outbound-rtp"))["ssrc"]


@pytest.mark.parametrize("kind", ["pli", "fir", "nack", "remb", "everything"])
@scenario
async def test_one_key_frame_is_asked_for_in_half_a_second(scene, kind):
    async with feeding(scene, 2) as relay:
        pair = relay.pairs[0]
        attacker, ssrc = Attacker(pair), await ssrc_of(pair)
        choice = attacker.choice

        def fir():
            head = bytes((0x84, 206, 0, 4)) + (1).to_bytes(4, "big") + bytes(4)
            return head + ssrc.to_bytes(4, "big") + bytes((choice.randrange(256), 0, 0, 0))

        makes = {
            "pli": lambda: rtcp.write_pli(1, ssrc),
            "fir": fir,
            "nack": lambda: rtcp.write_nack(1, ssrc, sorted(choice.sample(range(65536), 40))),
            "remb": lambda: rtcp.write_remb(1, choice.choice((0, 10_000, 2**40)), [ssrc]),
        }
        makes["everything"] = lambda: choice.choice(list(makes.values())[:4])()
        before = len(relay.feed.requests)
        began = scene.now()
        while scene.now() < began + 3:
            for _ in range(5):
                attacker.send(makes[kind]())
            await asyncio.sleep(0.02)
        requests = relay.feed.requests[before:]
        assert len(requests) <= 7
        assert all(b - a > 0.45 for a, b in itertools.pairwise(requests))
        # and the other one has lost nothing
        assert relay.counters[1].missing == 0
        assert relay.counters[1].times[-1] > scene.now() - 0.2


@scenario
async def test_who_comes_and_goes_all_the_time_asks_no_more(scene):
    async with feeding(scene, 1) as relay:
        before = len(relay.feed.requests)
        began = scene.now()
        for _ in range(8):
            await join(relay)
            await relay.pairs[-1].close()
        assert len(relay.feed.requests) - before <= 2 * (scene.now() - began) + 1


class Liar:
    """Transport-wide feedback of an attacker: every packet came within no time, or ever later."""

    def __init__(self, attacker, ssrc, session, *, slower):
        self.attacker, self.ssrc, self.session, self.slower = attacker, ssrc, session, slower
        self.index, self.told = 0, session.control._sent.number

    def tell(self):
        self.index += 1
        newest = self.session.control._sent.number
        count = min(300, newest - self.told & 0xFFFF)
        self.told = newest
        if count:
            base = 40_000 + 400 * self.index + (200 * self.index if self.slower else 0)
            times = [base + n // 8 for n in range(count)]
            packet, _told = feedback.write(1, self.ssrc, self.index & 0xFF, newest - count & 0xFFFF, times)
            self.attacker.send(packet)


@pytest.mark.parametrize("says", ["nothing", "little", "a lot"])
@scenario
async def test_what_is_sent_again_is_bounded_by_the_estimate(scene, says):
    """Everything is asked for again and again; feedback is absent, or says that the path bears little, or anything."""
    async with feeding(scene, 2) as relay:
        pair, output = relay.pairs[0], relay.outputs[0]
        attacker, ssrc = Attacker(pair), await ssrc_of(pair)
        await asyncio.sleep(2)
        session = rtp_sender.core_of(pair.offerer.getSenders()[0]).sender_media._section.session
        # what the attacker's stack would say itself
        attacker.session._arrivals.close()
        attacker.session._arrivals = None
        liar = Liar(attacker, ssrc, session, slower=says == "little")
        began, start, sent = scene.now(), output.stats()["retransmittedBytes"], output.stats()["bytes"]
        allowed, burst = 0.0, 0.0
        while scene.now() < began + 4:
            last = output._relay._output.next_number
            for back in range(0, 160, 40):
                numbers = sorted({last - back - n & 0xFFFF for n in range(40)})
                attacker.send(rtcp.write_nack(1, ssrc, numbers))
            if says != "nothing":
                liar.tell()
            before = session.estimate
            await asyncio.sleep(0.05)
            bounds = [estimate for estimate in (before, session.estimate) if estimate is not None]
            repeated = output.stats()["retransmittedBytes"] - start
            if bounds:
                # at any time: 1.25 times what the path was said to bear until then, and a short burst
                allowed += SHARE * max(bounds) / 8 * 0.05
                burst = max(burst, SHARE * max(bounds) / 8 * BURST_TIME, BURST_MIN)
                assert repeated <= allowed + burst
            # nor more than was sent for the first time, and another burst
            assert repeated <= output.stats()["bytes"] - sent + REPEAT_BURST
        assert repeated > 5_000
        assert relay.counters[1].missing == 0
