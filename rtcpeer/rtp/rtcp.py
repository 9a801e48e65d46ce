"""RTCP packets of aiortc under our names: the one place of `rtp` that knows aiortc.

`tests/architecture/test_upstream_names.py` names each of them and fails loudly when one is gone.
"""

from __future__ import annotations

from struct import error as struct_error
from struct import unpack_from

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    clamp_packets_lost,
    pack_remb_fci,
    unpack_remb_fci,
)
from aiortc.rtp import AnyRtcpPacket as AnyRtcp
from aiortc.rtp import RtcpByePacket as Bye
from aiortc.rtp import RtcpPacket as _RtcpPacket
from aiortc.rtp import RtcpPsfbPacket as PayloadFeedback
from aiortc.rtp import RtcpReceiverInfo as ReceiverInfo
from aiortc.rtp import RtcpRrPacket as ReceiverReport
from aiortc.rtp import RtcpRtpfbPacket as TransportFeedback
from aiortc.rtp import RtcpSdesPacket as SourceDescription
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
    "SourceDescription",
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


def parse_rtcp_untrusted(data: bytes) -> list[AnyRtcp]:
    """The packets of a compound packet; a malformed one raises ValueError, struct.error or IndexError."""
    return _RtcpPacket.parse(data)


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
        return packet.lost
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
        data += bytes(SourceDescription(chunks=[chunk]))
    return data


def write_bye(ssrcs: list[int]) -> bytes:
    """A BYE, as bytes."""
    return bytes(Bye(sources=ssrcs))


def write_nack(ssrc: int, media_ssrc: int, lost: list[int]) -> bytes:
    """A NACK for these sequence numbers (in order), as bytes."""
    return bytes(TransportFeedback(fmt=RTCP_RTPFB_NACK, ssrc=ssrc, media_ssrc=media_ssrc, lost=lost))


def write_pli(ssrc: int, media_ssrc: int) -> bytes:
    """A picture loss indication, as bytes."""
    return bytes(PayloadFeedback(fmt=RTCP_PSFB_PLI, ssrc=ssrc, media_ssrc=media_ssrc))


def write_remb(ssrc: int, bitrate: int, ssrcs: list[int]) -> bytes:
    """A receiver-estimated maximum bitrate, as bytes."""
    fci = pack_remb_fci(bitrate, ssrcs)
    return bytes(PayloadFeedback(fmt=RTCP_PSFB_APP, ssrc=ssrc, media_ssrc=0, fci=fci))
