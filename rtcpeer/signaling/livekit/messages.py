"""LiveKit's signaling messages: requests to join, protobuf frames, candidates and descriptions.

Owns: translation between bytes or text and protobuf messages, with bounds. Never: a socket.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from livekit.protocol import models, rtc

__all__ = [
    "LOSSY",
    "MESSAGE_MAX",
    "PROTOCOL",
    "RELIABLE",
    "MessageError",
    "candidate_json",
    "models",
    "pack_join_request",
    "read_candidate_untrusted",
    "read_join_request_untrusted",
    "read_message_untrusted",
    "rtc",
]

# The version of the protocol that is spoken here.
PROTOCOL: Final = 16
# Labels of the data channels.
RELIABLE: Final = "_reliable"
LOSSY: Final = "_lossy"
# The longest signaling message, in bytes; descriptions of large rooms are long.
MESSAGE_MAX: Final = 1 << 20
_CANDIDATE_MAX: Final = 4096

M = TypeVar("M", bound=Message)


class MessageError(ValueError):
    """A message of the other side makes no sense."""


def read_message_untrusted(kind: type[M], data: bytes) -> M:
    """Parse a protobuf message.

    Raises:
        MessageError: it is none, or too long.
    """
    if len(data) > MESSAGE_MAX:
        raise MessageError(f"a message of {len(data)} bytes; the limit is {MESSAGE_MAX}")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise MessageError(f"{len(data)} bytes that are no {kind.__name__}") from None


def pack_join_request(request: rtc.JoinRequest) -> str:
    """The query parameter ``join_request`` of ``/rtc/v1``: base64 of the compressed message."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(request.SerializeToString()) + packer.flush()
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=packed)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def read_join_request_untrusted(text: str) -> rtc.JoinRequest:
    """The query parameter ``join_request``, in either alphabet of base64, compressed or not.

    Raises:
        MessageError: it is none, or too long.
    """
    plain = text.replace("-", "+").replace("_", "/").replace(" ", "+")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MessageError("join_request is not in base64") from None
    wrapped = read_message_untrusted(rtc.WrappedJoinRequest, data)
    inner = wrapped.join_request
    if wrapped.compression == rtc.WrappedJoinRequest.GZIP:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            inner = unpacker.decompress(inner, MESSAGE_MAX + 1)
        except zlib.error:
            raise MessageError("join_request is not compressed as it says") from None
    return read_message_untrusted(rtc.JoinRequest, inner)


def candidate_json(candidate: Any) -> str:
    """A candidate for ``TrickleRequest.candidateInit``: RTCIceCandidateInit as JSON."""
    return json.dumps(
        {
            "candidate": candidate.candidate,
            "sdpMid": candidate.sdpMid,
            "sdpMLineIndex": candidate.sdpMLineIndex,
            "usernameFragment": candidate.usernameFragment,
        }
    )


def read_candidate_untrusted(text: str) -> dict[str, Any]:
    """The members of RTCIceCandidateInit.

    Raises:
        MessageError: the text is not the JSON of one.
    """
    if len(text) > _CANDIDATE_MAX:
        raise MessageError(f"a candidate of {len(text)} characters; the limit is {_CANDIDATE_MAX}")
    try:
        members = json.loads(text)
    except ValueError:
        raise MessageError("a candidate that is not JSON") from None
    if not isinstance(members, dict) or not isinstance(members.get("candidate"), str):
        raise MessageError("a candidate without the member candidate")
    mid, index = members.get("sdpMid"), members.get("sdpMLineIndex")
    found: dict[str, Any] = {"candidate": members["candidate"]}
    if isinstance(mid, str):
        found["sdpMid"] = mid
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 65536:
        found["sdpMLineIndex"] = index
    fragment = members.get("usernameFragment")
    if isinstance(fragment, str) and fragment:
        found["usernameFragment"] = fragment
    if "sdpMid" not in found and "sdpMLineIndex" not in found:
        raise MessageError("a candidate that belongs to no section")
    return found
