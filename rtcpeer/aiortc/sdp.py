"""`aiortc.sdp`: aiortc's own."""

from aiortc.sdp import (
    DIRECTIONS,
    BitPattern,
    GroupDescription,
    H264Level,
    H264Profile,
    MediaDescription,
    SessionDescription,
    SsrcDescription,
    candidate_from_sdp,
    candidate_to_sdp,
    grouplines,
    parameters_from_sdp,
    parameters_to_sdp,
    parse_attr,
    parse_group,
    parse_h264_profile_level_id,
)

__all__ = [
    "BitPattern",
    "DIRECTIONS",
    "GroupDescription",
    "H264Level",
    "H264Profile",
    "MediaDescription",
    "SessionDescription",
    "SsrcDescription",
    "candidate_from_sdp",
    "candidate_to_sdp",
    "grouplines",
    "parameters_from_sdp",
    "parameters_to_sdp",
    "parse_attr",
    "parse_group",
    "parse_h264_profile_level_id",
]
