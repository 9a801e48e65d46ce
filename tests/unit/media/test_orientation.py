from __future__ import annotations

import dataclasses

import pytest

from rtcpeer.media.orientation import Turner, quarter_turns
from rtcpeer.rtp import packet as rtp
from rtcpeer.rtp.outbound import HeaderTemplate
from rtcpeer.rtp.packet import ExtensionIds, parse_rtp_untrusted
from rtcpeer.values import HeaderExtension
from tests.unit.media.held import Held, corners, held
from tests.unit.media.pipes import until
from tests.unit.media.test_endpoints import Call


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 14 for a, b in zip(one, other, strict=True))


# libav counts counter-clockwise; the corners as they are seen after turning
HELD = [
    (0, 0, (96, 64), (40, 90, 140, 190)),
    (-90, 1, (64, 96), (140, 40, 190, 90)),
    (180, 2, (96, 64), (190, 140, 90, 40)),
    (90, 3, (64, 96), (90, 190, 40, 140)),
]


@pytest.mark.parametrize(("degrees", "turns", "size", "expected"), HELD)
def test_turning(degrees, turns, size, expected):
    frame, turner = held(degrees), Turner()

    assert quarter_turns(frame) == turns
    for pts in (5, 6):
        frame.pts = pts
        upright = turner.turn(frame, turns)
        assert ((upright.width, upright.height), upright.pts) == (size, pts)
        assert upright.time_base == frame.time_base
        assert near(corners(upright), expected)
    # another picture, another way
    assert turner.turn(held(0), turns + 1).width == (64 if turns % 2 == 0 else 96)


@pytest.mark.parametrize(("degrees", "turns", "size", "expected"), HELD)
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_picture_arrives_upright(degrees, turns, size, expected, is_told):
    """Turned by the receiver where the extension was negotiated, and by the sender where it was not."""
    call = Call("video", "VP8")
    if not is_told:
        extensions = tuple(e for e in call.send.header_extensions if e.uri != rtp.URI_ORIENTATION)
        call.send = dataclasses.replace(call.send, header_extensions=extensions)
    await call.begin(Held(degrees))

    frames = await call.frames(4)

    assert {(f.width, f.height) for f in frames} == {size}
    assert near(corners(frames[-1]), expected)
    assert call.outbound["frameWidth"] == (96 if is_told else size[0])
    await call.end()


async def test_a_phone_that_is_turned():
    call = Call("video", "VP8")
    track = Held(0)
    await call.begin(track)
    assert (await call.frames(2))[-1].width == 96
    keys = call.outbound["keyFramesEncoded"]

    track.picture = held(-90)
    await until(lambda: call.inbound["frameWidth"] == 64)

    # it is the same stream of pictures, only told differently
    assert call.outbound["keyFramesEncoded"] == keys
    await call.end()


def test_the_extension_stands_in_the_last_packet_only():
    extensions = (HeaderExtension(rtp.URI_MID, 1), HeaderExtension(rtp.URI_ORIENTATION, 13))
    ids = ExtensionIds()
    ids.add(extensions)
    template = HeaderTemplate(extensions, "0", None)

    def read(written: bytes) -> int | None:
        return parse_rtp_untrusted(rtp.write_rtp(96, True, 1, 2, 3, written, b"x"), ids).turns

    assert read(template.write(0.0, 0)) is None
    assert [read(template.turned[turns].write(0.0, 0)) for turns in range(4)] == [0, 1, 2, 3]
    # camera and mirroring are not looked at
    assert read(rtp.write_extensions([(13, b"\xfd")])) == 1
    assert HeaderTemplate(extensions[:1], "0", None).turned == ()
