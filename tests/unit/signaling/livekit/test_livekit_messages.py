"""LiveKit's messages: what cannot be read is refused, whatever it is."""

from __future__ import annotations

import base64
import json
import random
import zlib

import pytest

from rtcpeer.signaling.livekit.messages import (
    MESSAGE_MAX,
    MessageError,
    pack_join_request,
    read_candidate_untrusted,
    read_join_request_untrusted,
    read_message_untrusted,
    rtc,
)

REQUEST = rtc.JoinRequest(participant_sid="PA_1", reconnect=True, metadata="\xff" * 300)


def test_join_request() -> None:
    assert read_join_request_untrusted(pack_join_request(REQUEST)) == REQUEST
    plain = rtc.WrappedJoinRequest(join_request=REQUEST.SerializeToString()).SerializeToString()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert read_join_request_untrusted(encode(plain).decode().rstrip("=")) == REQUEST


def test_join_request_that_grows() -> None:
    """A few kilobytes that unpack to many megabytes are not unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(bytes(8 * MESSAGE_MAX)) + packer.flush()
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=bomb)
    with pytest.raises(MessageError, match="limit"):
        read_join_request_untrusted(base64.b64encode(wrapped.SerializeToString()).decode())


NOT_PACKED = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=b"no gzip")


@pytest.mark.parametrize(
    "text",
    [
        "!",
        "é",
        base64.b64encode(b"\xff\xff").decode(),
        base64.b64encode(NOT_PACKED.SerializeToString()).decode(),
    ],
)
def test_no_join_request(text: str) -> None:
    with pytest.raises(MessageError):
        read_join_request_untrusted(text)


def test_noise() -> None:
    """Random bytes are read or refused, and nothing else happens."""
    chance = random.Random(7)
    whole = rtc.SignalResponse(offer=rtc.SessionDescription(type="offer", sdp="v=0" * 50)).SerializeToString()
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_message_untrusted(rtc.SignalResponse, bytes(data[: chance.randrange(len(data) + 1)]))
        except MessageError:
            refused += 1
    assert 0 < refused < 500
    with pytest.raises(MessageError, match="limit"):
        read_message_untrusted(rtc.SignalResponse, bytes(MESSAGE_MAX + 1))


@pytest.mark.parametrize(
    "members",
    [None, [], {}, {"candidate": 5}, {"candidate": "x"}, {"candidate": "x", "sdpMLineIndex": True},
     {"candidate": "x", "sdpMLineIndex": -1}, {"candidate": "x" * 5000, "sdpMid": "0"}],
)  # fmt: skip
def test_no_candidate(members: object) -> None:
    with pytest.raises(MessageError):
        read_candidate_untrusted(json.dumps(members))


def test_candidate() -> None:
    text = json.dumps(
        {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None}
    )
    assert read_candidate_untrusted(text) == {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}
    with pytest.raises(MessageError):
        read_candidate_untrusted("{")
