"""Dictionaries of senders and receivers, in and out."""

import math

import pytest

from rtcpeer import MediaStream, RTCRtpCodec, RTCRtpEncodingParameters, RTCRtpTransceiverInit
from rtcpeer.peer import parameters
from rtcpeer.peer.parameters import capabilities, engine_capabilities
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Codec, Direction, HeaderExtension

OPUS = Codec("audio/opus", 48000, 2, fmtp=(("minptime", "10"), ("stereo", None)), payload_type=111)


def test_codecs_out_and_in_again():
    shown = parameters.codec_capability(OPUS)
    assert shown == RTCRtpCodec("audio/opus", 48000, 2, "minptime=10;stereo")
    read = parameters.read_codec("codec", shown)
    assert (read.mime_type, read.clock_rate, read.channels, read.fmtp) == (
        OPUS.mime_type,
        OPUS.clock_rate,
        OPUS.channels,
        OPUS.fmtp,
    )
    assert parameters.fmtp_line(Codec("video/VP8", 90000)) is None
    as_mapping = {
        "mimeType": "audio/opus",
        "clockRate": 48000,
        "channels": 2,
        "sdpFmtpLine": " minptime=10 ; stereo",
    }
    assert parameters.read_codec("codec", as_mapping).fmtp == OPUS.fmtp


def test_negotiated_codecs_and_extensions_are_those_with_a_number():
    assert [c.payloadType for c in parameters.codec_parameters([OPUS, Codec("video/VP8", 90000)])] == [111]
    extensions = [HeaderExtension("urn:a", 3), HeaderExtension("urn:b")]
    shown = parameters.header_extension_parameters(extensions)
    assert [(e.uri, e.id, e.encrypted) for e in shown] == [("urn:a", 3, False)]


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_encodings_out_and_in_again(kind):
    encoding = SendEncoding(rid="a", active=False, max_bitrate=1000, max_framerate=15.0)
    shown = parameters.encoding_parameters(encoding, kind=kind)
    assert shown.scaleResolutionDownBy == (1.0 if kind == "video" else None)
    read = parameters.read_encoding("encodings[0]", shown)
    assert (read.rid, read.active, read.max_bitrate, read.max_framerate) == ("a", False, 1000, 15.0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"active": "yes"}, "active"),
        ({"rid": 5}, "rid"),
        ({"maxBitrate": "fast"}, "maxBitrate"),
        ({"maxBitrate": -1}, "maxBitrate"),
        ({"maxFramerate": True}, "maxFramerate"),
        ({"maxFramerate": math.inf}, "maxFramerate"),
        ({"scaleResolutionDownBy": math.nan}, "scaleResolutionDownBy"),
        ({"priority": "urgent"}, "priority"),
        ({"networkPriority": "urgent"}, "networkPriority"),
        ({"codec": {"mimeType": "audio/opus"}}, "clockRate"),
        ({"codec": {"clockRate": 8000}}, "mimeType"),
        ({"codec": "opus"}, "codec"),
    ],
)
def test_wrong_encodings_name_the_member(wrong, named):
    with pytest.raises(TypeError, match=named):
        parameters.read_encoding("encodings[0]", wrong)


def test_members_that_are_unknown_or_none_are_ignored():
    read = parameters.read_encoding("e", {"rid": None, "colour": "red", "maxBitrate": None})
    assert read == SendEncoding()


def test_transceiver_options_in_every_form():
    stream = MediaStream()
    forms = [
        ({"direction": "sendonly", "streams": [stream], "sendEncodings": [{"maxBitrate": 5}]}, {}),
        (None, {"direction": "sendonly", "streams": [stream], "sendEncodings": [{"maxBitrate": 5}]}),
        (RTCRtpTransceiverInit("sendonly", [stream], [RTCRtpEncodingParameters(maxBitrate=5)]), {}),
        ({"direction": "sendonly", "streams": [stream]}, {"sendEncodings": [{"maxBitrate": 5}]}),
    ]
    for value, keywords in forms:
        read = parameters.read_transceiver_init(value, keywords)
        assert read.direction is Direction.SENDONLY
        assert read.streams == (stream,)
        assert [e.max_bitrate for e in read.encodings] == [5]
    default = parameters.read_transceiver_init(None, {})
    assert (default.direction, default.streams, default.encodings) == (Direction.SENDRECV, (), ())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"direction": "up"}, "direction"),
        ({"direction": "stopped"}, "stopped"),
        ({"streams": ["x"]}, "streams"),
        ({"streams": "x"}, "streams"),
        ({"sendEncodings": 5}, "sendEncodings"),
        ({"sendEncodings": [5]}, r"sendEncodings\[0\]"),
        (5, "RTCRtpTransceiverInit"),
    ],
)
def test_wrong_transceiver_options(value, named):
    with pytest.raises(TypeError, match=named):
        parameters.read_transceiver_init(value, {})


# --- capabilities ---------------------------------------------------------------------------------


def test_capabilities_are_fresh_copies_of_what_the_engine_knows():
    for kind in ("audio", "video"):
        engine = engine_capabilities(kind)
        for sending in (True, False):
            shown = capabilities(kind, sending=sending)
            own = engine.send if sending else engine.receive
            assert [c.mimeType for c in shown.codecs] == [c.mime_type for c in own]
            assert "urn:ietf:params:rtp-hdrext:sdes:mid" in [e.uri for e in shown.headerExtensions]
            shown.codecs.clear()
            assert capabilities(kind, sending=sending).codecs
    assert capabilities("smell", sending=True) is None


def test_video_has_one_retransmission_codec():
    names = [c.mimeType for c in capabilities("video", sending=True).codecs]
    assert names.count("video/rtx") == 1
    assert {"video/VP8", "video/H264"} <= set(names)
    assert "audio/opus" in [c.mimeType for c in capabilities("audio", sending=True).codecs]
