"""Payloads as far as a relay reads them: where a key frame begins, and the VP8 payload descriptor.

Pure functions on the bytes of one packet. Nothing else of a picture is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Vp8Descriptor = tuple[int, int, int, int, int, int, int]
"""Size of the descriptor; position (0 for none) and width in bytes of the picture id, and its value; position (0 for
none) of TL0PICIDX; position of the octet with TID and KEYIDX (0 for none); bits of that octet: 0x20 if there is a
TID, 0x10 if there is a KEYIDX."""


def read_vp8_untrusted(payload: bytes) -> Vp8Descriptor:
    """Read a VP8 payload descriptor (RFC 7741 section 4.2).

    Raises:
        ValueError: it is cut off.
    """
    if not payload:
        raise ValueError("a VP8 payload without a descriptor")
    at = 1
    picture_at = width = picture = layer_at = key_at = flags = 0
    if payload[0] & 0x80:
        if len(payload) < 2:
            raise ValueError("a VP8 descriptor is cut off")
        flags = payload[1]
        # what each bit promises is one octet more, or two for a long picture id
        at = 2
        if flags & 0x80:
            picture_at, width = at, 1
            if len(payload) > at and payload[at] & 0x80:
                width = 2
            at += width
        if flags & 0x40:
            layer_at = at
            at += 1
        if flags & 0x30:
            key_at = at
            at += 1
    if len(payload) < at:
        raise ValueError("a VP8 descriptor is cut off")
    if width == 1:
        picture = payload[picture_at] & 0x7F
    elif width == 2:
        picture = (payload[picture_at] & 0x7F) << 8 | payload[picture_at + 1]
    return at, picture_at, width, picture, layer_at, key_at, flags & 0x30


def _begins_vp8(payload: bytes) -> bool:
    # S is set, it is the first partition, and the frame is a key frame (RFC 7741 4.2, 4.3)
    if not payload or payload[0] & 0x17 != 0x10:
        return False
    at = read_vp8_untrusted(payload)[0]
    return len(payload) > at and not payload[at] & 1


def _begins_vp9(payload: bytes) -> bool:
    # B is set and P is not (RFC 9628 section 4.2); of spatial layers the lowest begins
    if len(payload) < 2 or payload[0] & 0x48 != 0x08:
        return False
    if not payload[0] & 0x20:
        return True
    at = 1
    if payload[0] & 0x80:
        at += 2 if payload[1] & 0x80 else 1
    return len(payload) > at and not payload[at] >> 1 & 7


def _begins_h264(payload: bytes) -> bool:
    # RFC 6184: a sequence parameter set comes before an IDR picture; some repeat none
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == 24:
        # a delimiter or a message may be in front of it
        return any(payload[at] & 0x1F in (5, 7) for at in _aggregated(payload, 1))
    if kind == 28:
        return len(payload) > 1 and payload[1] & 0x9F == 0x85
    return kind in (5, 7)


def _begins_h265(payload: bytes) -> bool:
    # RFC 7798: parameter sets 32 to 34, pictures of random access 16 to 21
    if len(payload) < 3:
        return False
    kind = payload[0] >> 1 & 0x3F
    if kind == 48:
        return any(_opens_h265(payload[at] >> 1 & 0x3F) for at in _aggregated(payload, 2))
    if kind == 49:
        if not payload[2] & 0x80:
            return False
        kind = payload[2] & 0x3F
    return _opens_h265(kind)


def _opens_h265(kind: int) -> bool:
    return kind in (32, 33) or 16 <= kind <= 21


def _configures_h264(payload: bytes) -> bool:
    # RFC 6184 table 1, H.264 table 7-1: messages, parameter sets and delimiters
    if payload and payload[0] & 0x1F == 24:
        kinds = [payload[at] & 0x1F for at in _aggregated(payload, 1)]
        return bool(kinds) and _H264_AROUND.issuperset(kinds)
    return bool(payload) and payload[0] & 0x1F in _H264_AROUND


def _configures_h265(payload: bytes) -> bool:
    if len(payload) < 3:
        return False
    kind = payload[0] >> 1 & 0x3F
    if kind == 48:
        kinds = [payload[at] >> 1 & 0x3F for at in _aggregated(payload, 2)]
        return bool(kinds) and _H265_AROUND.issuperset(kinds)
    return kind in _H265_AROUND


_H264_AROUND = frozenset((6, 7, 8, 9, 13))
# H.265 table 7-1: parameter sets, delimiters, messages
_H265_AROUND = frozenset((32, 33, 34, 35, 39, 40))


def is_configuration(codec_name: str, payload: bytes) -> bool:
    """Whether there is nothing of a picture in a payload, only what stands in front of one: parameter sets, messages.

    Args:
        codec_name: in upper case.
        payload: of one packet.
    """
    if codec_name == "H264":
        return _configures_h264(payload)
    return codec_name == "H265" and _configures_h265(payload)


def _aggregated(payload: bytes, at: int) -> Iterator[int]:
    """Where the units of an aggregation packet begin (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2).

    Args:
        at: where the size of the first one is.
    """
    while at + 2 < len(payload):
        yield at + 2
        at += 2 + (payload[at] << 8 | payload[at + 1])


def _begins_av1(payload: bytes) -> bool:
    # N: the first packet of a coded video sequence; Z: not the continuation of an OBU (AV1 RTP section 4.4)
    return bool(payload) and payload[0] & 0x88 == 0x08


_BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    "VP8": _begins_vp8,
    "VP9": _begins_vp9,
    "H264": _begins_h264,
    "H265": _begins_h265,
    "AV1": _begins_av1,
}


def begins_keyframe_untrusted(codec_name: str, payload: bytes) -> bool:
    """Whether a key frame begins with this payload; True for all of a codec without such frames.

    Args:
        codec_name: in upper case.
        payload: of one packet.

    Raises:
        ValueError: it is malformed.
    """
    test = _BEGINNINGS.get(codec_name)
    return test is None or test(payload)
