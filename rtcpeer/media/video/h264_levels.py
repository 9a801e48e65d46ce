"""The levels of H.264: what the other end's decoder takes.

A `profile-level-id` of the other end names what it decodes: RFC 6184 section 8.1 lets a sender use the sizes, rates
and bitrates of that level, or those that `max-fs`, `max-mbps` and `max-br` add.
Pure.
"""

from __future__ import annotations

import math

from rtcpeer.records import record
from rtcpeer.values import Codec

# profile_idc (RFC 6184 table 5)
HIGH, HIGH_444 = 0x64, 0xF4
# constraint_set3_flag of the profile-iop: level 1b, where level_idc says 1.1 (H.264 section 7.4.2.1.1)
_CONSTRAINT_3, _LEVEL_11, _LEVEL_1B = 0x10, 11, 9
# What an end that names no level is taken for. RFC 6184 section 8.1 says level 1 (176 x 144); everybody else, libwebrtc
# too, reads 3.1, and ends that leave it out decode that.
_LEVEL_DEFAULT = 31
# H.264 table A-1: level_idc -> macroblocks per second, macroblocks per picture, kbit/s
_LEVELS = {
    9: (1485, 99, 128),
    10: (1485, 99, 64),
    11: (3000, 396, 192),
    12: (6000, 396, 384),
    13: (11880, 396, 768),
    20: (11880, 396, 2000),
    21: (19800, 792, 4000),
    22: (20250, 1620, 4000),
    30: (40500, 1620, 10000),
    31: (108000, 3600, 14000),
    32: (216000, 5120, 20000),
    40: (245760, 8192, 20000),
    41: (245760, 8192, 50000),
    42: (522240, 8704, 50000),
    50: (589824, 22080, 135000),
    51: (983040, 36864, 240000),
    52: (2073600, 36864, 240000),
    60: (4177920, 139264, 240000),
    61: (8355840, 139264, 480000),
    62: (16711680, 139264, 800000),
}


def macroblocks(width: int, height: int) -> int:
    """How many macroblocks of 16 x 16 a picture has."""
    return -(-width // 16) * -(-height // 16)


@record(frozen=True, slots=True)
class H264Limits:
    """The limits of what the other end decodes.

    Attributes:
        level: level_idc, 31 for level 3.1.
        per_second: macroblocks per second.
        per_picture: macroblocks of one picture.
        bitrate: in bit/s.
    """

    level: int
    per_second: int
    per_picture: int
    bitrate: int

    def fits(self, width: int, height: int) -> bool:
        """Whether a picture of this size may be sent (H.264 section A.3.1: size, and no side too long)."""
        side = math.isqrt(8 * self.per_picture)
        return macroblocks(width, height) <= self.per_picture and -(-max(width, height) // 16) <= side


def limits_of(codec: Codec) -> H264Limits:
    """The limits in an `a=fmtp` of the other end (RFC 6184 section 8.1); values below the level's own are ignored."""
    level = _level(codec.parameter("profile-level-id"))
    per_second, per_picture, kilobits = _LEVELS[level]
    return H264Limits(
        level,
        max(per_second, _number(codec, "max-mbps")),
        max(per_picture, _number(codec, "max-fs")),
        max(kilobits, _number(codec, "max-br")) * 1000,
    )


def _level(profile_level_id: str | None) -> int:
    try:
        value = int(profile_level_id or "", 16)
    except ValueError:
        return _LEVEL_DEFAULT
    idc, iop, level = value >> 16, value >> 8 & 0xFF, value & 0xFF
    if level == _LEVEL_11 and iop & _CONSTRAINT_3 and idc not in (HIGH, HIGH_444):
        return _LEVEL_1B
    # an unknown level is the highest known one below it
    return max((known for known in _LEVELS if known <= level), default=_LEVEL_DEFAULT)


def _number(codec: Codec, name: str) -> int:
    text = codec.parameter(name) or ""
    # nine digits are beyond every level
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
