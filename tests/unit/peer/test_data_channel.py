import asyncio

import pytest

from rtcpeer import OperationError
from rtcpeer.media.event_target import EventTarget
from rtcpeer.peer.data_channel import RTCDataChannel, read_data_channel_init
from rtcpeer.sctp.channel import ChannelParameters
from rtcpeer.values import Priority
from tests.unit.peer.channels import local_channel, open_channel


def test_arguments_defaults():
    expected = ChannelParameters(label="")
    assert read_data_channel_init("") == expected
    assert read_data_channel_init("", None) == expected
    absent = dict.fromkeys(
        ("ordered", "maxPacketLifeTime", "maxRetransmits", "protocol", "negotiated", "id", "priority")
    )
    assert read_data_channel_init("", absent) == expected
    assert read_data_channel_init("", **absent) == expected


def test_arguments():
    init = {"ordered": False, "maxRetransmits": 0, "protocol": "p", "negotiated": True, "id": 65534}
    expected = ChannelParameters("x", "p", False, None, 0, True, 65534)
    assert read_data_channel_init("x", init) == expected
    assert read_data_channel_init("x", **init) == expected
    assert read_data_channel_init("x", init, id=3).id == 3
    assert read_data_channel_init("x", {"maxPacketLifeTime": 65535.5}).max_packet_life_time == 65535
    assert read_data_channel_init("x", {"priority": "high"}).priority is Priority.HIGH


def test_id_is_ignored_unless_negotiated():
    assert read_data_channel_init("x", {"id": 65535}).id is None
    assert read_data_channel_init("x", {"id": 42, "negotiated": False}).id is None


def test_strings_are_unicode():
    parameters = read_data_channel_init("\ud800", {"protocol": "\udc00"})
    assert (parameters.label, parameters.protocol) == ("\ufffd", "\ufffd")
    longest = "l" * 65535
    assert read_data_channel_init(longest, {"protocol": longest}).label == longest


@pytest.mark.parametrize(
    ("label", "init"),
    [
        (None, {}),
        (5, {}),
        ("l" * 65536, {}),
        ("\u00b5" * 32768, {}),
        ("x", {"protocol": "p" * 65536}),
        ("x", {"protocol": "\u00b6" * 32768}),
        ("x", {"protocol": 5}),
        ("x", {"negotiated": True}),
        ("x", {"negotiated": True, "id": 65535}),
        ("x", {"id": -1}),
        ("x", {"id": 65536}),
        ("x", {"id": "1"}),
        ("x", {"maxRetransmits": 0, "maxPacketLifeTime": 0}),
        ("x", {"maxRetransmits": -1}),
        ("x", {"maxPacketLifeTime": 65536}),
        ("x", {"maxPacketLifeTime": True}),
        ("x", {"priority": "urgent"}),
        ("x", 5),
    ],
)
def test_arguments_refused(label, init):
    with pytest.raises(TypeError):
        read_data_channel_init(label, init)


def test_attributes():
    core, channel, _ = local_channel(
        "test", ordered=False, maxRetransmits=1, protocol="custom", negotiated=True, id=3
    )
    face = core.face
    assert isinstance(face, EventTarget)
    assert core.face is face
    assert (face.label, face.ordered, face.maxPacketLifeTime, face.maxRetransmits) == ("test", False, None, 1)
    assert (face.protocol, face.negotiated, face.id, face.priority) == ("custom", True, 3, "low")
    assert (face.readyState, face.bufferedAmount, face.bufferedAmountLowThreshold) == ("connecting", 0, 0)
    assert face.binaryType == "arraybuffer"
    assert repr(face) == "<RTCDataChannel 'test' connecting, id 3>"
    channel.id = 9
    assert face.id == 9
    for name in ("label", "ordered", "id", "readyState", "bufferedAmount", "priority"):
        with pytest.raises(AttributeError):
            setattr(face, name, 1)


def test_illegal_constructor():
    for arguments in ((), (None,), ("x",)):
        with pytest.raises(TypeError, match="Illegal constructor"):
            RTCDataChannel(*arguments)


def test_binary_type():
    face = local_channel()[0].face
    face.binaryType = "blob"
    assert face.binaryType == "blob"
    for bad in ("jellyfish", "arraybuffer ", "", None, 234):
        with pytest.raises(TypeError, match="binaryType"):
            face.binaryType = bad
    assert face.binaryType == "blob"


def test_threshold_is_an_unsigned_long():
    face = local_channel()[0].face
    face.bufferedAmountLowThreshold = 4294967295
    for bad in (-1, 2**32, "1", None):
        with pytest.raises(TypeError, match="bufferedAmountLowThreshold"):
            face.bufferedAmountLowThreshold = bad
    assert face.bufferedAmountLowThreshold == 4294967295


async def test_messages_have_a_bound_of_their_own():
    core, _channel, _ = open_channel()
    messages = core.face.messages(bound_bytes=10)
    for text in ("12345", "67890", "!"):
        core.on_message(text)
    assert [await anext(messages), await anext(messages)] == ["12345", "67890"]
    with pytest.raises(OperationError, match="10 bytes"):
        await anext(messages)
    again = core.face.messages(11)
    for text in ("12345", "67890", "!"):
        core.on_message(text)
    assert [await anext(again) for _ in range(3)] == ["12345", "67890", "!"]


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac", "\U0001f600"])
def test_a_label_is_measured_in_bytes_of_utf_8(character):
    size = len(character.encode())
    fits = character * (65535 // size)
    assert read_data_channel_init(fits, {"protocol": fits}).label == fits
    long = character * (65535 // size + 1)
    for label, init in ((long, {}), ("x", {"protocol": long})):
        with pytest.raises(TypeError, match="65535 bytes"):
            read_data_channel_init(label, init)


async def test_face_methods():
    core, channel, _ = open_channel()
    face = core.face
    assert await face.opened() is face
    face.send("a")
    await face.send_async(b"b")
    assert channel.sent == ["a", b"b"]
    assert face.bufferedAmount == 2
    messages = face.messages()
    iterator = aiter(face)
    core.on_message("hello")
    assert await anext(messages) == "hello"
    assert await asyncio.wait_for(anext(iterator), 1) == "hello"
    face.close()
    assert face.readyState == "closing"


def test_handlers():
    face = local_channel()[0].face
    for name in ("onopen", "onmessage", "onbufferedamountlow", "onerror", "onclosing", "onclose"):
        assert getattr(face, name) is None
        setattr(face, name, print)
        assert getattr(face, name) is print
