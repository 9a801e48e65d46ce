"""VP9: payload format (RFC 9628), encoder and decoder.

We send flexible mode, where each picture names those that it refers to: the one before it, or what its temporal layer
says. We receive both modes and spatial layers: the layers of a picture have one timestamp, and the
decoder takes them by the index of a superframe.
"""

from __future__ import annotations

import random
from typing import ClassVar

from av.frame import Frame

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import libvpx
from rtcpeer.media.video.bits import BitReader
from rtcpeer.media.video.layering import LayeredPicture
from rtcpeer.media.video.pictures import (
    FRAMERATE,
    KEYFRAME_DISTANCE,
    PAYLOAD_MAX,
    TIME_BASE,
    PictureDecoder,
    PictureEncoder,
    threads_for,
)

# The first octet of the descriptor (RFC 9628 section 4.2)
_PICTURE_ID, _INTER, _LAYERS, _FLEXIBLE, _BEGIN, _END, _STRUCTURE = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02
# Without layers each picture refers to the one before it.
_BEFORE = (1,)
# Beside the temporal layer: no picture behind this one refers to a higher layer in front of it, which is so in all
# our patterns.
_SWITCHING_UP = 0x10
# Scalability structure of one spatial layer, with its resolution, without picture groups.
_RESOLUTION = 0x10
_REFERENCES_MAX = 3
_LAYERS_MAX = 8
_SYNC_CODE, _RGB = 0x498342, 7
# Libvpx's for conversation: the fastest preset, and bits where a picture is renewed
_CPU_USED, _AQ_MODE = 8, 3
# All but lossless pictures
_QUANTIZER = 2, 63


def packetize(
    data: bytes,
    picture_id: int,
    *,
    is_key: bool,
    size: tuple[int, int],
    layered: LayeredPicture | None = None,
) -> list[bytes]:
    """The payloads of one picture.

    Args:
        data: what the encoder gave.
        picture_id: 15 bits.
        is_key: whether it refers to no other.
        size: width and height, told with key frames; (0, 0) is not told.
        layered: its place in temporal layers, if there are any.
    """
    number = (0x8000 | picture_id).to_bytes(2, "big")
    octet, tail = _PICTURE_ID | _FLEXIBLE, b""
    ages: tuple[int, ...] = _BEFORE
    if layered is not None:
        octet |= _LAYERS
        number += bytes((layered.layer << 5 | _SWITCHING_UP,))
        ages = layered.ages
    if not is_key:
        octet |= _INTER
        # P_DIFF, and N where another one follows
        tail = bytes([age << 1 | (place < len(ages) - 1) for place, age in enumerate(ages)])
    elif all(0 < side < 0x10000 for side in size):
        octet |= _STRUCTURE
        tail = bytes((_RESOLUTION,)) + b"".join([side.to_bytes(2, "big") for side in size])
    room = PAYLOAD_MAX - 1 - len(number) - len(tail)
    payloads = []
    for at in range(0, len(data), room):
        begins, ends = at == 0, at + room >= len(data)
        # the structure stands in the first packet only, the references in all (section 4.2)
        first = octet if begins or not is_key else octet & ~_STRUCTURE
        first |= (_BEGIN if begins else 0) | (_END if ends else 0)
        extra = tail if begins or not is_key else b""
        payloads.append(bytes((first,)) + number + extra + data[at : at + room])
    return payloads


def _structure_end(payload: bytes, at: int) -> int:
    """The end of the scalability structure that begins at `at` (RFC 9628 section 4.2.1)."""
    octet = payload[at]
    at += 1
    if octet & 0x10:
        at += 4 * ((octet >> 5) + 1)
    if octet & 0x08:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 3)
    return at


def _descriptor_end(payload: bytes) -> int:
    """How long the payload descriptor is.

    Raises:
        IndexError, ValueError: it is cut off, or malformed.
    """
    octet = payload[0]
    at = 1
    if octet & _PICTURE_ID:
        at += 2 if payload[at] & 0x80 else 1
    elif octet & _FLEXIBLE:
        raise ValueError("flexible mode without a picture id")
    if octet & _LAYERS:
        at += 1 if octet & _FLEXIBLE else 2
    if octet & _FLEXIBLE and octet & _INTER:
        for count in range(_REFERENCES_MAX + 1):
            if count == _REFERENCES_MAX:
                raise ValueError("more than three references")
            more = payload[at] & 1
            at += 1
            if not more:
                break
    if octet & _STRUCTURE:
        at = _structure_end(payload, at)
    return at


def depacketize(payloads: list[bytes]) -> bytes:
    """The encoded picture in the payloads of one timestamp; of several spatial layers, a superframe.

    Raises:
        ValueError: they are malformed, or the beginning of the picture is missing.
    """
    layers: list[list[bytes]] = []
    is_open = False
    for payload in payloads:
        try:
            at = _descriptor_end(payload)
        except IndexError as exc:
            raise ValueError("a VP9 descriptor is cut off") from exc
        if at >= len(payload):
            raise ValueError("a VP9 payload is empty")
        # a layer frame begins where none is open, and nowhere else
        if bool(payload[0] & _BEGIN) is is_open:
            raise ValueError("a piece of a VP9 picture is missing")
        is_open = not payload[0] & _END
        if payload[0] & _BEGIN:
            layers.append([])
        layers[-1].append(payload[at:])
    if is_open or not layers:
        raise ValueError("the end of a VP9 picture is missing")
    if len(layers) > _LAYERS_MAX:
        raise ValueError("a VP9 picture has too many layers")
    frames = [b"".join(pieces) for pieces in layers]
    return _superframe(frames) if len(frames) > 1 else frames[0]


def _superframe(frames: list[bytes]) -> bytes:
    """Frames with an index behind them, by which a decoder takes them apart (VP9 annex B)."""
    marker = bytes((0xC0 | 3 << 3 | len(frames) - 1,))
    sizes = b"".join([len(frame).to_bytes(4, "little") for frame in frames])
    return b"".join(frames) + marker + sizes + marker


def _frames(data: bytes) -> list[bytes]:
    """The frames of a superframe, or the one that it is."""
    marker = data[-1]
    width, count = (marker >> 3 & 3) + 1, (marker & 7) + 1
    begin = len(data) - 2 - width * count
    if marker & 0xE0 != 0xC0 or begin < 0 or data[begin] != marker:
        return [data]
    frames, at = [], 0
    for index in range(count):
        place = begin + 1 + width * index
        size = int.from_bytes(data[place : place + width], "little")
        frames.append(data[at : at + size])
        at += size
    return [frame for frame in frames if frame]


def picture_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height that the frames of a picture have; None if they have those of others.

    Raises:
        ValueError: a frame is malformed.
    """
    sizes = [size for frame in _frames(data) if (size := _frame_size(BitReader(frame[:64]))) is not None]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _frame_size(bits: BitReader) -> tuple[int, int] | None:
    """The size in an uncompressed header (VP9 section 6.2), if it has one."""
    if bits.read(2) != 2:
        raise ValueError("this is no VP9 frame")
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1):
        return None
    is_inter, is_shown, is_resilient = bits.read(1), bits.read(1), bits.read(1)
    if not is_inter:
        _skip_colours(bits, profile)
    else:
        is_intra_only = 0 if is_shown else bits.read(1)
        if not is_resilient:
            bits.read(2)
        if is_intra_only:
            if profile:
                _skip_colours(bits, profile)
            else:
                bits.read(24)
            bits.read(8)
        else:
            # which frames are replaced, and three references; the size may be one of theirs
            bits.read(8 + 3 * 4)
            if any(bits.read(1) for _ in range(3)):
                return None
    return bits.read(16) + 1, bits.read(16) + 1


def _skip_colours(bits: BitReader, profile: int) -> None:
    """The sync code, and section 6.2.2."""
    if bits.read(24) != _SYNC_CODE:
        raise ValueError("a VP9 frame has no sync code")
    if profile >= 2:
        bits.read(1)
    if bits.read(3) != _RGB:
        bits.read(4 if profile & 1 else 1)
    elif profile & 1:
        bits.read(1)


def is_keyframe(data: bytes) -> bool:
    """Whether a picture needs no other: the uncompressed header of its lowest layer says so (VP9 section 6.2)."""
    octet = data[0]
    if octet >> 6 != 2:
        return False
    # frame marker (2), profile (2), a reserved bit in profile 3, show_existing_frame, frame_type (0 is key)
    rest = octet << 1 if octet & 0x30 == 0x30 else octet
    return not rest & 0x0C


class Vp9Encoder(PictureEncoder):
    """Libvpx in real time."""

    coder: ClassVar[str] = "libvpx-vp9"

    def __init__(self) -> None:
        super().__init__()
        self._picture_id = random.getrandbits(15)

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Implements `PictureEncoder.options`."""
        rate = str(bitrate)
        return {
            "deadline": "realtime",
            "cpu-used": str(_CPU_USED),
            "lag-in-frames": "0",
            # equal: constant bitrate, over a second
            "minrate": rate,
            "maxrate": rate,
            "bufsize": rate,
            "undershoot-pct": "100",
            "overshoot-pct": "15",
            "aq-mode": str(_AQ_MODE),
            "row-mt": "1",
            "threads": str(threads_for(width, height)),
        }

    def open_libvpx(self, width: int, height: int, bitrate: int) -> libvpx.LibvpxEncoder | None:
        """Implements `PictureEncoder.open_libvpx`."""
        return libvpx.open_encoder(
            "vp9",
            size=(width, height),
            bitrate=bitrate,
            quantizer=_QUANTIZER,
            threads=threads_for(width, height),
            key_distance=KEYFRAME_DISTANCE,
            time_base=TIME_BASE,
            duration=TIME_BASE.denominator // FRAMERATE,
            controls={libvpx.CPU_USED: _CPU_USED, libvpx.AQ_MODE: _AQ_MODE, libvpx.ROW_MT: 1},
            layers=self.layers,
        )

    def packetize(self, data: bytes) -> list[bytes]:
        """Implements `PictureEncoder.packetize`."""
        number, self._picture_id = self._picture_id, self._picture_id + 1 & 0x7FFF
        return packetize(data, number, is_key=self.is_key, size=self.size, layered=self.layered)


class Vp9Decoder(PictureDecoder):
    """Libav's own: unlike libvpx it keeps to a limit of sizes, and takes pictures of more than 8 bits."""

    coder: ClassVar[str] = "vp9"

    def decode(self, encoded_frame: aiortc_adapter.JitterFrame) -> list[Frame]:
        """Decode one picture; of several spatial layers the highest is shown."""
        return super().decode(encoded_frame)[-1:]
