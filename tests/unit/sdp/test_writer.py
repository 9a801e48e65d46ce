"""How a model is written. That a description is written as it was read is in `test_attribute_values.py`."""

from __future__ import annotations

from rtcpeer.sdp.model import Connection, Media, Origin, SdpSession, Simulcast, SimulcastStream
from rtcpeer.sdp.writer import format_fmtp, write
from rtcpeer.values import Codec, Direction, Feedback, IceParameters

HEAD = "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


def written(media: Media, **session: object) -> list[str]:
    text = write(SdpSession(Origin(7, 2), (media,), **session))  # type: ignore[arg-type]
    assert text.endswith("\r\n")
    return text.split("\r\n")[4:-1]


def test_the_shortest_description() -> None:
    assert write(SdpSession(Origin(7, 2))) == HEAD
    assert written(Media("audio", connection=Connection())) == [
        "m=audio 9 UDP/TLS/RTP/SAVPF",
        "c=IN IP4 0.0.0.0",
        "a=sendrecv",
    ]


def test_what_the_session_says_is_not_said_again() -> None:
    media = Media("audio", has_direction=False, ice_options=("trickle",), extmap_allow_mixed=True)
    assert written(media, ice_options=("trickle",), extmap_allow_mixed=True) == [
        "a=ice-options:trickle",
        "a=extmap-allow-mixed",
        "m=audio 9 UDP/TLS/RTP/SAVPF",
    ]
    assert written(media, ice_options=("ice2",)) == [
        "a=ice-options:ice2",
        "m=audio 9 UDP/TLS/RTP/SAVPF",
        "a=ice-options:trickle",
        "a=extmap-allow-mixed",
    ]


def test_what_is_not_there_is_not_written() -> None:
    assert written(
        Media("audio", port=0, port_count=1, direction=Direction.INACTIVE, ice=IceParameters("", ""))
    ) == ["m=audio 0/1 UDP/TLS/RTP/SAVPF", "a=inactive"]
    assert written(Media("audio", has_direction=False, ice=IceParameters("abcd", "")))[1:] == [
        "a=ice-ufrag:abcd"
    ]
    assert written(Media("audio", has_direction=False, ice=IceParameters("", "x")))[1:] == ["a=ice-pwd:x"]
    received = Simulcast(recv=(SimulcastStream(("a", "~b")), SimulcastStream(("c",))))
    assert written(Media("video", has_direction=False, simulcast=received))[1:] == ["a=simulcast:recv a,~b;c"]


def test_codecs() -> None:
    codecs = (
        Codec("audio/PCMU", 8000, 1, (), (Feedback("nack"), Feedback("nack", "pli")), 0),
        Codec("audio/opus", 48000, 2, (("a", "1"), ("b", None), ("c", "")), (), 111),
        Codec("video/VP8", 90000, None, (), (), 96),
    )
    assert written(Media("audio", has_direction=False, codecs=codecs))[1:] == [
        "a=rtpmap:0 PCMU/8000",
        "a=rtcp-fb:0 nack",
        "a=rtcp-fb:0 nack pli",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 a=1;b;c=",
        "a=rtpmap:96 VP8/90000",
    ]
    assert format_fmtp(()) == ""
