"""What a sender sends with: formats by name, streams that are kept, and who can send now."""

from __future__ import annotations

from dataclasses import replace

from rtcpeer.media.send_section import SendSection
from rtcpeer.rtp.parameters import SendEncoding, SendParameters
from rtcpeer.values import Codec

H264 = Codec("video/H264", 90000, fmtp=(("packetization-mode", "0"),), payload_type=98)
WHOLE = replace(H264, fmtp=(("packetization-mode", "1"),), payload_type=99)
VP8 = Codec("video/VP8", 90000, payload_type=96)
TONES = Codec("audio/telephone-event", 8000, payload_type=101)
OPUS_TONES = replace(TONES, clock_rate=48000, payload_type=110)
OPUS = Codec("audio/opus", 48000, 2, payload_type=111)


def parameters(codecs: tuple[Codec, ...], *encodings: SendEncoding) -> SendParameters:
    return SendParameters(mid="0", cname="c", codecs=codecs, encodings=encodings, header_extensions=())


def configured(kind: str, *codecs: Codec) -> SendSection:
    section = SendSection(kind)
    section.configure(parameters(codecs, SendEncoding(ssrc=1)))
    return section


def test_a_format_is_found_by_the_name_of_its_codec():
    section = configured("video", VP8, H264, WHOLE)
    assert section.format_of("VIDEO/vp8") is section.formats[0]
    # frames that are encoded already need a mode for NAL units of any size
    assert section.format_of("video/H264") is section.formats[2]
    assert section.format_of("video/AV1") is None
    section.configure(parameters((H264,), SendEncoding(ssrc=1)))
    assert section.format_of("video/H264") is section.formats[0]
    assert section.format_of("video/VP8") is None


def test_the_format_of_tones_has_the_clock_of_the_sound():
    assert configured("audio", OPUS, TONES, OPUS_TONES).tone_format().payload_type == 110
    assert configured("audio", OPUS, TONES).tone_format().payload_type == 101
    assert configured("audio", OPUS).tone_format() is None
    assert configured("video", VP8).tone_format() is None


def test_a_stream_is_kept_while_nothing_is_sent():
    section = configured("video", VP8)
    (stream,) = section.streams
    section.configure(None)
    assert (section.streams, section.active, section.formats) == ([], [], [])
    section.configure(parameters((WHOLE,), SendEncoding(ssrc=1), SendEncoding(ssrc=2, active=False)))
    assert section.streams[0] is stream
    assert section.active == [stream]
    assert list(section.known) == [1, 2]
    # another codec: another time line, other pictures
    assert stream.format.name == "H264"
    assert stream.force_keyframe


def test_without_a_session_there_is_no_way():
    section = configured("video", VP8)
    assert not section.is_connected
    assert not section.has_route
