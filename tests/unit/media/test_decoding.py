"""The decoder of one section: frames wait in order, one is decoded at a time, and one that hangs is replaced."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from av import AudioFrame, VideoFrame

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import payload_format
from rtcpeer.media.decoding import QUEUE_MAX, STUCK_PAUSE, DecodeJob, DecodeQueue, StreamDecoder
from rtcpeer.media.workers import CoderStuckError
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.sound_buffer import SoundBuffer
from rtcpeer.values import Codec
from tests.unit.media.pipes import until

VIDEO = payload_format(Codec("video/VP8", 90000, payload_type=96))
AUDIO = payload_format(Codec("audio/opus", 48000, 2, payload_type=111))


def picture(number: int, *, is_key: bool = False) -> DecodeJob:
    stream = InboundStream(1, FrameBuffer(), 90000)
    return DecodeJob(stream, VIDEO, bytes([number]), number, is_key)


class Log:
    """A queue, what came out of it, and what failed."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.failed: list[InboundStream] = []
        self.queue = DecodeQueue(96 * 64, self.take, self.failed.append, name="test")

    def take(self, frame) -> None:
        self.frames.append(frame.pts)


def decode(monkeypatch, step) -> None:
    """Have `step` stand for the decoder, in its thread."""

    def run(decoder, job):
        step(job)
        job.took = 0.5
        frame = VideoFrame(16, 16)
        frame.pts = job.presentation
        return [frame]

    monkeypatch.setattr(StreamDecoder, "run", run)


@pytest.fixture
def gate():
    """Threads wait until it is set."""
    gate = threading.Event()
    yield gate
    gate.set()


async def end(log: Log) -> None:
    running = log.queue.stop()
    if running is not None:
        await asyncio.wait([running])


async def test_frames_are_decoded_in_order_one_at_a_time(monkeypatch):
    inside, most = [], []

    def step(job):
        inside.append(job)
        most.append(len(inside))
        inside.remove(job)

    decode(monkeypatch, step)
    log = Log()
    jobs = [picture(number, is_key=number == 0) for number in range(20)]
    for job in jobs:
        log.queue.push(job)
    await until(lambda: len(log.frames) == 20)

    assert log.frames == list(range(20))
    assert set(most) == {1}
    assert [job.stream.frames_decoded for job in jobs] == [1] * 20
    assert [job.stream.key_frames_decoded for job in jobs] == [1] + [0] * 19
    assert jobs[3].stream.decode_time == 0.5
    assert log.queue.stop() is None


async def test_a_frame_that_cannot_be_decoded_is_told_and_the_next_one_is_tried(monkeypatch, caplog):
    def step(job):
        if job.presentation == 0:
            raise ValueError("garbage")
        if job.presentation == 1:
            raise RuntimeError("a fault of the decoder")

    decode(monkeypatch, step)
    log = Log()
    jobs = [picture(number) for number in range(3)]
    for job in jobs:
        log.queue.push(job)
    await until(lambda: log.frames == [2])

    assert log.failed == [jobs[0].stream, jobs[1].stream]
    assert [job.stream.frames_dropped for job in jobs] == [1, 1, 0]
    # what the other end sent is no error here, a decoder that breaks is
    assert [record.exc_info[0] for record in caplog.records if record.levelname == "ERROR"] == [RuntimeError]
    await end(log)


async def test_frames_that_wait_can_be_dropped(monkeypatch, gate):
    decode(monkeypatch, lambda job: gate.wait(10))
    log = Log()
    for number in range(QUEUE_MAX):
        log.queue.push(picture(number))
    assert not log.queue.is_full
    log.queue.push(picture(QUEUE_MAX))
    assert log.queue.is_full

    # the first one is in the decoder
    assert log.queue.clear() == QUEUE_MAX
    assert not log.queue.is_full
    gate.set()
    await until(lambda: log.frames == [0])
    await end(log)


async def test_after_the_end_nothing_comes_out(monkeypatch, gate):
    decode(monkeypatch, lambda job: gate.wait(10))
    log = Log()
    for number in range(3):
        log.queue.push(picture(number))

    running = log.queue.stop()
    gate.set()
    await asyncio.wait([running])
    await asyncio.sleep(0)

    assert log.frames == []
    assert log.failed == []


async def test_a_decoder_that_hangs_is_replaced_after_ever_longer_pauses(monkeypatch):
    used = []

    def run(decoder, job):
        used.append(decoder)
        raise CoderStuckError("hangs")

    monkeypatch.setattr(StreamDecoder, "run", run)
    log = Log()
    for hangs in range(2):
        before = wall_time()
        log.queue.push(picture(1))
        # what waited for it is lost too
        log.queue.push(picture(2))
        await until(lambda hangs=hangs: len(log.failed) == hangs + 1)
        assert log.queue.resumes_at >= before + STUCK_PAUSE * 2**hangs
        assert log.queue.clear() == 0

    assert len({id(decoder) for decoder in used}) == len(used) == 2
    await end(log)


async def test_sound_that_is_made_up_is_counted(monkeypatch):
    def run(decoder, job):
        job.silent = 40
        frame = AudioFrame(format="s16", layout="stereo", samples=960)
        frame.sample_rate, frame.pts = 48000, job.presentation
        return [frame]

    monkeypatch.setattr(StreamDecoder, "run", run)
    log = Log()
    job = DecodeJob(InboundStream(1, SoundBuffer(48000, None), 48000), AUDIO, b"", 7, is_key=False)
    log.queue.push(replace(job, lost=960))
    await until(lambda: log.frames == [7])

    assert job.stream.concealed_samples == 960
    assert job.stream.silent_concealed_samples == 40
    await end(log)
