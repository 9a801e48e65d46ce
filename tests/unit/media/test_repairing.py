"""Packets that are missing while no others come: asked for again, a bounded number of times, by no timer that idles."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import pytest

from rtcpeer import EncodedTrack
from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import payload_format
from rtcpeer.media.receiver import PLI_INTERVAL, MediaReceiver
from rtcpeer.media.track import RemoteTrack
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.jitter_buffer import VIDEO_WAIT
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.packet_requests import TRIES_MAX, interval
from rtcpeer.rtp.parameters import ReceiveParameters, RemoteSource
from rtcpeer.values import Codec, Feedback
from tests.unit.media.test_endpoints import Call

KEY = bytes((0x10, 0x10, 2, 0, 0x9D, 1, 0x2A, 64, 0, 48, 0))
MORE = bytes((0x00,)) + bytes(20)


class Session:
    """What a receiver uses of a session; writes down what is asked for."""

    def __init__(self, round_trip=None):
        self.nacks, self.plis, self.trip = [], [], round_trip

    def round_trip(self):
        return self.trip

    def add_receiver(self, *_arguments):
        pass

    def remove_receiver(self, receiver):
        pass

    def send_feedback(self, _mid, _report, write):
        for packet in rtcp.parse_rtcp_untrusted(write(1)):
            lost = rtcp.lost_packets(packet)
            if lost is None:
                self.plis.append(wall_time())
            else:
                self.nacks.append((wall_time(), lost))


class Receiver(MediaReceiver):
    """A receiver of VP8 that somebody reads."""

    def __init__(self, session, *, nack=True):
        track = RemoteTrack("video")
        super().__init__("video", track)
        feedback = (Feedback("nack"), Feedback("nack", "pli")) if nack else (Feedback("nack", "pli"),)
        codec = Codec("video/VP8", 90000, feedback=feedback, payload_type=96)
        assert payload_format(codec).nack is nack
        self.attach(SimpleNamespace(rtp=session))
        self.configure(ReceiveParameters("0", (codec,), (RemoteSource(7, None),), ()))
        # encoded frames: what is in them here is no picture
        self.encoded_reader = self.read_encoded()

    def take(self, number, timestamp, *, start=False, end=False):
        payload = KEY if start else MORE
        self.on_rtp(RtpPacket(96, int(end), number, timestamp, 7, payload), wall_time())

    async def end(self):
        await self.encoded_reader.aclose()
        await self.stop()

    @property
    def frames(self):
        return self.stats()[0]["framesReceived"]


async def begin(session, **options):
    receiver = Receiver(session, **options)
    await asyncio.sleep(0)
    receiver.take(10, 3000, start=True)
    receiver.take(11, 3000, end=True)
    assert receiver.frames == 1
    return receiver


async def test_a_request_that_is_lost_is_repeated_though_nothing_comes():
    session = Session()
    receiver = await begin(session)
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    began = wall_time()

    await asyncio.sleep(3.5 * interval(None))
    assert [lost for _at, lost in session.nacks] == [[13]] * 4
    steps = [at - began for at, _lost in session.nacks]
    assert steps == pytest.approx([n * interval(None) for n in range(4)], abs=0.01)

    receiver.take(13, 6000)
    assert receiver.frames == 2
    assert receiver._repair_timer is None
    await asyncio.sleep(5)
    assert len(session.nacks) == 4
    assert not session.plis
    await receiver.end()


@pytest.mark.parametrize("nack", [True, False])
async def test_what_never_comes_is_given_up_in_time_and_a_key_frame_asked_for(nack):
    session = Session()
    receiver = await begin(session, nack=nack)
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    receiver.take(15, 9000, start=True, end=True)
    began = wall_time()

    await asyncio.sleep(10)

    assert len(session.plis) == 1
    assert session.plis[0] - began == pytest.approx(VIDEO_WAIT, abs=0.05)
    assert len(session.nacks) <= TRIES_MAX
    assert bool(session.nacks) is nack
    # what is behind the gap has been given
    assert receiver.frames == 2
    assert receiver._repair_timer is None
    await receiver.end()


async def test_it_is_repeated_by_the_round_trip():
    session = Session(0.15)
    receiver = await begin(session)
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    await asyncio.sleep(5)
    assert [lost for _at, lost in session.nacks] == [[13]] * 4
    await receiver.end()


async def test_over_a_satellite_the_answer_is_waited_for():
    session = Session(0.6)
    receiver = await begin(session)
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    await asyncio.sleep(0.65)
    receiver.take(15, 9000, start=True, end=True)
    receiver.take(13, 6000)
    assert receiver.frames == 3
    assert not session.plis
    # and no longer than that
    receiver.take(17, 15000, start=True, end=True)
    await asyncio.sleep(1.2)
    assert not session.plis
    await asyncio.sleep(0.2)
    assert len(session.plis) == 1
    await receiver.end()


async def test_tries_are_bounded_where_a_gap_is_waited_for_long():
    session = Session()
    receiver = await begin(session)
    receiver.jitter_buffer_target = 4000
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    await asyncio.sleep(10)
    assert [lost for _at, lost in session.nacks] == [[13]] * TRIES_MAX
    await receiver.end()


async def test_no_timer_runs_while_nothing_is_missing():
    session = Session()
    receiver = await begin(session)
    loop = asyncio.get_running_loop()
    called, call_later = [], loop.call_later
    loop.call_later = lambda *arguments: called.append(arguments) or call_later(*arguments)
    try:
        for number in range(12, 200, 2):
            receiver.take(number, 3000 * number, start=True)
            receiver.take(number + 1, 3000 * number, end=True)
    finally:
        loop.call_later = call_later
    assert not called
    assert receiver._repair_timer is None
    await receiver.end()


async def test_the_end_of_the_last_picture_is_missed_by_the_next_report():
    session = Session()
    receiver = await begin(session)
    receiver.take(12, 6000, start=True)
    receiver.take(13, 6000)
    receiver.reports(wall_time())
    await asyncio.sleep(1)
    # while pictures arrive, their end is only on its way
    assert not session.nacks

    receiver.reports(wall_time())
    await asyncio.sleep(0.1)
    assert [lost for _at, lost in session.nacks] == [[14], [14]]
    receiver.take(14, 6000, end=True)
    assert receiver.frames == 2
    await asyncio.sleep(1)
    receiver.reports(wall_time())
    assert len(session.nacks) == 2
    assert receiver._repair_timer is None
    await receiver.end()


async def test_pictures_without_markers_have_no_end_that_could_be_missing():
    session = Session()
    receiver = Receiver(session)
    for number in range(5):
        receiver.take(10 + number, 3000 * number, start=True)
        await asyncio.sleep(1)
        receiver.reports(wall_time())
    assert receiver.frames == 4
    assert not session.nacks
    await receiver.end()


async def test_a_request_for_a_key_frame_that_is_lost_is_repeated_though_nothing_comes():
    session = Session()
    receiver = await begin(session)
    receiver.take(12, 6000, start=True)
    receiver.take(14, 6000, end=True)
    for _ in range(10):
        await asyncio.sleep(1)
        receiver.reports(wall_time())
    # as long as its sender counts as alive
    assert 3 <= len(session.plis) <= 6
    assert all(after - before > PLI_INTERVAL for before, after in pairwise(session.plis))
    await receiver.end()


async def test_the_last_picture_arrives_though_request_and_answer_are_lost_too():
    """Over a real connection: a packet of the last picture, the first request for it and the first answer."""
    call = Call("video", "VP8")
    a, b = call.ends
    track = EncodedTrack("video", "video/VP8")
    await call.begin(track)
    reader = call.receiver.read_encoded()

    async def write(number):
        packet = av.Packet(KEY[1:] + bytes(4000))
        packet.pts, packet.time_base, packet.is_keyframe = 3000 * number, Fraction(1, 90000), True
        await track.write(packet)

    await write(0)
    assert (await anext(reader)).type == "key"
    lost = {"media": 1, "request": 1, "answer": 1}
    is_lost = dict.fromkeys(lost, False)

    def lose(what, holds):
        if not holds or is_lost[what]:
            return False
        is_lost[what] = True
        return True

    # media that is not a picture's last packet; a retransmission; RTCP that follows the loss
    a.pipe.drop = lambda data: lose("media", data[1] == 96) or lose("answer", data[1] & 127 == 97)
    b.pipe.drop = lambda data: lose("request", is_lost["media"] and data[1] == 201)

    await write(1)
    assert (await asyncio.wait_for(anext(reader), VIDEO_WAIT)).data == KEY[1:] + bytes(4000)

    assert all(is_lost.values())
    assert call.inbound["nackCount"] == 3
    assert call.inbound["pliCount"] == 0
    await reader.aclose()
    await call.end()
