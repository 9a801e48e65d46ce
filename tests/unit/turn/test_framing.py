"""Messages of a stream to a TURN server, cut by their own lengths. Bytes are written out: the codec is not asked."""

import pytest

from rtcpeer.turn.framing import Frames


def stun(size: int) -> bytes:
    """As a STUN message: 20 bytes of header, whose length does not count them."""
    return bytes((1, 1, size >> 8, size & 0xFF)) + bytes(range(16)) + bytes(size)


def channel(size: int, number: int = 0x4000) -> bytes:
    """ChannelData: padded to four bytes in a stream (RFC 8656 section 12.5), which its length does not count."""
    return number.to_bytes(2, "big") + size.to_bytes(2, "big") + b"x" * size + bytes(-size % 4)


WHOLE = [
    stun(0),
    stun(4),
    stun(300),
    stun(0x1234),
    stun(0xFFFC),
    *map(channel, (0, 1, 2, 3, 4, 5, 300, 0x1234, 0xFFFF)),
]


@pytest.mark.parametrize("frame", WHOLE, ids=lambda frame: f"{frame[0]}-{len(frame)}")
def test_a_message_is_whole_with_its_last_byte_and_not_before(frame):
    frames = Frames()
    assert frames.feed_untrusted(frame[:-1]) == ([], True)
    assert frames.feed_untrusted(frame[-1:]) == ([frame], True)
    # what follows is cut at the right place
    assert frames.feed_untrusted(frame + channel(0)) == ([frame, channel(0)], True)


def test_all_that_is_whole_is_given_at_once_and_the_rest_waits():
    frames = Frames()
    assert frames.feed_untrusted(b"".join(WHOLE) + channel(9)[:3]) == (WHOLE, True)
    assert frames.feed_untrusted(channel(9)[3:]) == ([channel(9)], True)


@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_says_what_it_is(first):
    """RFC 7983 section 7 has STUN at 0 to 3, RFC 8656 section 12 channels of 0x4000 and more; else it is no TURN."""
    frames = Frames()
    assert frames.feed_untrusted(channel(0)) == ([channel(0)], True)
    message = bytes((first, 0, 0, 4)) + bytes(20)
    if first < 4:
        assert frames.feed_untrusted(message) == ([message], True)
    elif 0x40 <= first < 0x80:
        assert frames.feed_untrusted(message[:8]) == ([message[:8]], True)
    else:
        assert frames.feed_untrusted(channel(1) + message) == ([channel(1)], False)
