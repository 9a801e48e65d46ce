"""From what negotiation decided (`jsep.parameters`) to what media transports are told (`rtp.parameters`).

jsep and transport are strangers; this is where they meet.
"""

from __future__ import annotations

from rtcpeer.jsep import parameters as decided
from rtcpeer.jsep.codecs import find
from rtcpeer.rtp.parameters import (
    Priority,
    ReceiveEncoding,
    ReceiveParameters,
    SendEncoding,
    SendParameters,
)


def send_parameters(parameters: decided.SendParameters) -> SendParameters:
    """How to send."""
    active = sum(encoding.active for encoding in parameters.encodings)
    limit = None if parameters.max_bitrate is None else parameters.max_bitrate // max(1, active)
    return SendParameters(
        mid=parameters.mid,
        codecs=parameters.codecs,
        encodings=tuple(
            SendEncoding(
                ssrc=encoding.ssrc,
                rtx_ssrc=encoding.rtx_ssrc or None,
                rid=encoding.rid if len(parameters.encodings) > 1 else None,
                active=encoding.active,
                max_bitrate=encoding.max_bitrate,
                bitrate_limit=limit,
                max_framerate=encoding.max_framerate,
                scale_resolution_down_by=encoding.scale_resolution_down_by or 1.0,
                priority=Priority(encoding.priority),
                # with what was negotiated for it: payload type, feedback
                codec=None if encoding.codec is None else find(encoding.codec, parameters.codecs),
            )
            for encoding in parameters.encodings
        ),
        header_extensions=parameters.header_extensions,
        cname=parameters.cname,
        reduced_size=parameters.reduced_size_rtcp,
    )


def receive_parameters(parameters: decided.ReceiveParameters) -> ReceiveParameters:
    """How to receive."""
    announced = tuple(
        ReceiveEncoding(ssrc=source.ssrc, rtx_ssrc=source.rtx_ssrc) for source in parameters.sources
    )
    layers = tuple(ReceiveEncoding(rid=rid) for rid in parameters.rids)
    return ReceiveParameters(
        mid=parameters.mid,
        codecs=parameters.codecs,
        encodings=announced + layers,
        header_extensions=parameters.header_extensions,
    )
