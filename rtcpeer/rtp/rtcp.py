"""RTCP packets of aiortc under our names: the one place of `rtp` that knows aiortc.

Compound packets are taken apart here, and requests for packets (NACK) written.
`tests/architecture/test_upstream_names.py` names each of them and fails loudly when one is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct, unpack_from
from struct import error as struct_error

from aiortc.rtp import (
    RTCP_BYE,
    RTCP_PSFB,
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RR,
    RTCP_RTPFB,
    RTCP_RTPFB_NACK,
    RTCP_SR,
    clamp_packets_lost,
    pack_remb_fci,
    unpack_remb_fci,
)
from aiortc.rtp import RtcpByePacket as Bye
from aiortc.rtp import RtcpPsfbPacket as PayloadFeedback
from aiortc.rtp import RtcpReceiverInfo as ReceiverInfo
from aiortc.rtp import RtcpRrPacket as ReceiverReport
from aiortc.rtp import RtcpRtpfbPacket as TransportFeedback
from aiortc.rtp import RtcpSdesPacket as _SourceDescription
from aiortc.rtp import RtcpSenderInfo as SenderInfo
from aiortc.rtp import RtcpSourceInfo as _SourceInfo
from aiortc.rtp import RtcpSrPacket as SenderReport

__all__ = [
    "Bye",
    "Feedback",
    "PayloadFeedback",
    "ReceiverInfo",
    "ReceiverReport",
    "SenderInfo",
    "SenderReport",
    "TransportFeedback",
    "clamp_packets_lost",
    "feedback_targets",
    "is_keyframe_request",
    "pack_remb_fci",
    "parse_rtcp_untrusted",
    "unpack_remb_fci",
    "write_bye",
    "write_nack",
    "write_pli",
    "write_receiver_report",
    "write_remb",
    "write_sender_report",
]


Feedback = SenderReport | ReceiverReport | PayloadFeedback | TransportFeedback


_HEAD = Struct("!BBH")
_REQUEST = Struct("!LL")
_MISSING = Struct("!HH")
_PARSERS: Mapping[int, Callable[[bytes, int], Feedback | Bye]] = {
    RTCP_SR: SenderReport.parse,
    RTCP_RR: ReceiverReport.parse,
    RTCP_BYE: Bye.parse,
    RTCP_RTPFB: TransportFeedback.parse,
    RTCP_PSFB: PayloadFeedback.parse,
}
# Sizes of reports without their blocks, and of a block (RFC 3550 section 6.4).
_REPORT_SIZES = {RTCP_SR: 24, RTCP_RR: 4}
_BLOCK_SIZE = 24


def parse_rtcp_untrusted(data: bytes) -> list[Feedback | Bye]:
    """The packets of a compound packet that say something here.

    Other types, source descriptions among them, are passed over (RFC 3550 section 6.1), and so is what profiles add to
    reports (section 6.4.3).

    Raises:
        ValueError, struct.error, IndexError: one of them is malformed.
    """
    packets: list[Feedback | Bye] = []
    at = 0
    while at < len(data):
        first, packet_type, words = _HEAD.unpack_from(data, at)
        body = data[at + 4 : at + 4 + 4 * words]
        at += 4 + 4 * words
        if first >> 6 != 2 or len(data) < at:
            raise ValueError("RTCP of another version, or cut off")
        if first & 0x20:
            padding = body[-1]
            if not 0 < padding <= len(body):
                raise ValueError("RTCP has a wrong padding")
            body = body[:-padding]
        parse, count = _PARSERS.get(packet_type), first & 0x1F
        if parse is not None:
            size = _REPORT_SIZES.get(packet_type)
            packets.append(parse(body if size is None else body[: size + _BLOCK_SIZE * count], count))
    return packets


def feedback_targets(packet: PayloadFeedback | TransportFeedback) -> list[int]:
    """The SSRCs that a feedback packet speaks about; REMB and FIR name them inside."""
    if isinstance(packet, PayloadFeedback):
        if packet.fmt == RTCP_PSFB_APP:
            try:
                return unpack_remb_fci(packet.fci)[1]
            except (ValueError, struct_error):
                return []
        if packet.fmt == RTCP_PSFB_FIR:
            return [unpack_from("!L", packet.fci, at)[0] for at in range(0, len(packet.fci) - 7, 8)]
    return [packet.media_ssrc]


def is_keyframe_request(packet: Feedback) -> str | None:
    """Say "pli" or "fir" if it is one."""
    if isinstance(packet, PayloadFeedback):
        if packet.fmt == RTCP_PSFB_PLI:
            return "pli"
        if packet.fmt == RTCP_PSFB_FIR:
            return "fir"
    return None


def lost_packets(packet: Feedback) -> list[int] | None:
    """The sequence numbers that a NACK asks for; None if it is no NACK."""
    if isinstance(packet, TransportFeedback) and packet.fmt == RTCP_RTPFB_NACK:
        # "modulo 65536" (RFC 4585 section 6.2.1), which aiortc leaves out
        return [number & 0xFFFF for number in packet.lost]
    return None


def estimated_bitrate(packet: Feedback) -> int | None:
    """The bitrate of a REMB; None if it is none."""
    if isinstance(packet, PayloadFeedback) and packet.fmt == RTCP_PSFB_APP:
        try:
            return unpack_remb_fci(packet.fci)[0]
        except (ValueError, struct_error):
            return None
    return None


def write_receiver_report(ssrc: int, reports: list[ReceiverInfo]) -> bytes:
    """A receiver report, as bytes."""
    return bytes(ReceiverReport(ssrc=ssrc, reports=reports))


def write_sender_report(
    ssrc: int, ntp_timestamp: int, rtp_timestamp: int, packets: int, octets: int, cname: str
) -> bytes:
    """A sender report followed by its source description, as bytes."""
    info = SenderInfo(ntp_timestamp, rtp_timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    data = bytes(SenderReport(ssrc=ssrc, sender_info=info))
    if cname:
        chunk = _SourceInfo(ssrc=ssrc, items=[(1, cname.encode()[:255])])
        data += bytes(_SourceDescription(chunks=[chunk]))
    return data


def write_bye(ssrcs: list[int]) -> bytes:
    """A BYE, as bytes."""
    return bytes(Bye(sources=ssrcs))


def write_nack(ssrc: int, media_ssrc: int, lost: list[int]) -> bytes:
    """A NACK for these sequence numbers, as bytes (RFC 4585 section 6.2.1).

    Args:
        lost: in order, where they begin anew too (aiortc cannot write those).
    """
    # a number, and which of the 16 behind it are missing too
    pairs: list[tuple[int, int]] = []
    for number in lost:
        behind = number - pairs[-1][0] - 1 & 0xFFFF if pairs else 16
        if behind < 16:
            pairs[-1] = pairs[-1][0], pairs[-1][1] | 1 << behind
        else:
            pairs.append((number, 0))
    head: bytes = _HEAD.pack(0x80 | RTCP_RTPFB_NACK, RTCP_RTPFB, 2 + len(pairs))
    return head + _REQUEST.pack(ssrc, media_ssrc) + b"".join(_MISSING.pack(*pair) for pair in pairs)


def write_pli(ssrc: int, media_ssrc: int) -> bytes:
    """A picture loss indication, as bytes."""
    return bytes(PayloadFeedback(fmt=RTCP_PSFB_PLI, ssrc=ssrc, media_ssrc=media_ssrc))


def write_remb(ssrc: int, bitrate: int, ssrcs: list[int]) -> bytes:
    """A receiver-estimated maximum bitrate, as bytes."""
    fci = pack_remb_fci(bitrate, ssrcs)
    return bytes(PayloadFeedback(fmt=RTCP_PSFB_APP, ssrc=ssrc, media_ssrc=0, fci=fci))
