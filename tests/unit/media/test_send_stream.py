"""What a stream counts of the pictures that were made for it."""

import pytest

from rtcpeer.media.codecs import capabilities, payload_format
from rtcpeer.media.encoding import EncodedPayloads
from rtcpeer.media.encoding_group import EncodeResult
from rtcpeer.media.send_stream import SendStream
from rtcpeer.rtp.outbound import HeaderTemplate, OutboundStream
from rtcpeer.rtp.parameters import SendEncoding

VP8 = payload_format(next(c for c in capabilities("video").send if c.name == "VP8"))


def made(size, target):
    return EncodedPayloads([bytes(size)], 0, 1, False, 64, 48, target=target)


@pytest.fixture
def stream():
    template = HeaderTemplate((), "0", None)
    return SendStream(OutboundStream(SendEncoding(1000, None), lambda _packet: None, template), VP8)


def count(stream, size, target, now):
    encoded = made(size, target)
    stream.send_picture(encoded, now)
    stream.count(EncodeResult(), encoded, now)


@pytest.mark.parametrize("rate", [10, 30])
def test_the_usual_size_is_of_the_rate_that_is_sent_and_far_more_is_huge(stream, rate):
    # in the first second nobody knows the rate
    for index in range(3 * rate):
        count(stream, 100, 240_000, 100 + index / rate)
    before = stream.stats("video", "0", 0, 102.99)[0]
    usual = 240_000 / 8 / rate
    for size in (int(2.4 * usual), int(2.6 * usual)):
        count(stream, size, 240_000, 102.99)
    after = stream.stats("video", "0", 0, 102.99)[0]
    assert (before["hugeFramesSent"], after["hugeFramesSent"]) == (0, 1)
    more = after["totalEncodedBytesTarget"] - before["totalEncodedBytesTarget"]
    assert more == pytest.approx(2 * usual, abs=1)


def test_its_rate_ends_with_its_pictures(stream):
    for index in range(60):
        count(stream, 100, 240_000, 100 + index / 30)
    assert stream.stats("video", "0", 0, 101.99)[0]["framesPerSecond"] == 30
    assert stream.stats("video", "0", 0, 110)[0]["framesPerSecond"] == 0
