"""Who speaks in RTCP, and in which packets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.aio import wall_time
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.packet import URI_TRANSPORT_CC
from rtcpeer.rtp.relay_packet import HEADER
from rtcpeer.rtp.rtcp import PayloadFeedback, ReceiverInfo, ReceiverReport, SenderReport
from rtcpeer.rtp.session import RtpSession
from rtcpeer.testing import run_virtual
from rtcpeer.values import HeaderExtension
from tests.unit.media.pipes import until


class Plain:
    """SRTP that protects nothing."""

    def protect_rtcp(self, packet: bytes) -> bytes:
        return packet


class Receiver:
    def __init__(self, ssrc: int) -> None:
        self.info = ReceiverInfo(ssrc, 0, 0, 0, 0, 0, 0)

    def reports(self, now: float) -> list[ReceiverInfo]:
        return [self.info]

    def on_transport(self, connected: bool) -> None:
        pass


class Sender:
    kind = "video"

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc

    def sender_reports(self, now: float) -> list[bytes]:
        return [rtcp.write_sender_report(self.ssrc, 0, 0, 1, 1, "c")]

    def on_transport(self, connected: bool) -> None:
        pass


@pytest.fixture
def sent() -> list[list[Any]]:
    return []


@pytest.fixture
async def session(sent: list[list[Any]]) -> Any:
    session = RtpSession(Plain, lambda data: sent.append(rtcp.parse_rtcp_untrusted(data)))  # type: ignore[arg-type]
    session.on_connected()
    yield session
    session.on_closed()


def add(session: RtpSession, mid: str, receives: int, sends: int | None = None) -> Receiver:
    receiver = Receiver(receives)
    session.add_receiver(receiver, mid, [receives], [], ())  # type: ignore[arg-type]
    if sends is not None:
        session.add_sender(Sender(sends), mid, [sends], ())  # type: ignore[arg-type]
    return receiver


async def test_feedback_comes_from_what_is_sent_in_the_section_behind_a_report(session, sent):
    """Janus takes a packet for the section of the SSRC that speaks; it passed key-frame requests to the sound."""
    add(session, "sound", 1, 11)
    picture = add(session, "picture", 2, 12)
    session.send_feedback("picture", picture.info, lambda ssrc: rtcp.write_pli(ssrc, 2))
    ((report, request),) = sent
    assert isinstance(report, ReceiverReport)
    assert (report.ssrc, [block.ssrc for block in report.reports]) == (12, [2])
    assert isinstance(request, PayloadFeedback)
    assert (request.ssrc, request.media_ssrc) == (12, 2)


async def test_one_voice_where_nothing_is_sent(session, sent):
    first, second = add(session, "0", 1), add(session, "1", 2)
    session.send_feedback("0", first.info, lambda ssrc: rtcp.write_pli(ssrc, 1))
    session.send_feedback("1", second.info, lambda ssrc: rtcp.write_pli(ssrc, 2))
    assert len({packet.ssrc for compound in sent for packet in compound}) == 1
    assert [compound[0].reports[0].ssrc for compound in sent] == [1, 2]


async def test_each_section_reports_for_itself(session, sent, monkeypatch):
    monkeypatch.setattr("rtcpeer.rtp.session.RTCP_INTERVAL", 0.01)
    add(session, "sound", 1, 11)
    add(session, "picture", 2, 12)
    add(session, "other", 3)
    await until(lambda: len(sent) >= 2)
    first, second = sent[:2]
    for compound, ssrc, blocks in ((first, 11, [1, 3]), (second, 12, [2])):
        assert isinstance(compound[0], SenderReport)
        assert compound[0].ssrc == ssrc
        (report,) = [packet for packet in compound if isinstance(packet, ReceiverReport)]
        assert (report.ssrc, [block.ssrc for block in report.reports]) == (ssrc, blocks)


class Unprotected(Plain):
    """SRTP that protects nothing, RTP neither."""

    def protect(self, packet: bytes, *_number: int) -> bytes:
        return packet

    def protect_parts(self, *parts: Any) -> bytes:
        first, second, number, timestamp, ssrc, body, patch_at, patch, _wide_at, _wide = parts
        body = body[:patch_at] + patch + body[patch_at + len(patch) :]
        return HEADER.pack(first, second, number, timestamp, ssrc) + bytes(body)


async def test_a_pacer_gets_every_packet_of_media_and_lets_it_go() -> None:
    """The place for congestion control: made here or forwarded, packets pass it before they are protected."""
    gone: list[bytes] = []
    session = RtpSession(Unprotected, gone.append)  # type: ignore[arg-type]
    session.on_connected()
    session.send_parts(0x80, 96, 1, 2, 3, b"abcdef", 2, b"XY")
    assert gone == [HEADER.pack(0x80, 96, 1, 2, 3) + b"abXYef"]

    class Pacer:
        held: list[bytes] = []

        def take(self, packet: bytes) -> None:
            self.held.append(packet)

    session.pacer = Pacer()
    session.send_parts(0x80, 96, 2, 2, 3, b"abcdef", 2, b"XY")
    session.send_rtp(b"\x80" + bytes(20))
    assert len(gone) == 1
    assert Pacer.held[0] == HEADER.pack(0x80, 96, 2, 2, 3) + b"abXYef"
    for packet in Pacer.held:
        session.release(packet)
    assert gone[1:] == Pacer.held
    session.on_closed()
    session.send_parts(0x80, 96, 3, 2, 3, b"abcdef")
    assert len(Pacer.held) == 2


async def test_a_packet_that_cannot_be_protected_is_counted() -> None:
    class Failing(Unprotected):
        def protect_parts(self, *parts: Any) -> bytes:
            raise ValueError("a packet of 9999 bytes is too long")

        protect = protect_parts

    session = RtpSession(Failing, lambda data: None)  # type: ignore[arg-type]
    session.on_connected()
    session.send_parts(0x80, 96, 1, 2, 3, bytes(9999))
    session.send_rtp(bytes(9999))
    assert session.unsendable == 2
    session.on_closed()


async def test_a_tap_comes_before_everything_else() -> None:
    class Readable(Unprotected):
        def unprotect(self, packet: bytes) -> bytes:
            return packet

    session = RtpSession(Readable, lambda data: None)  # type: ignore[arg-type]
    session.on_connected()
    seen: list[bytes] = []

    def tap(data: bytes, now: float) -> bool:
        seen.append(data)
        return True

    session.tap(3, tap)
    packet = HEADER.pack(0x80, 96, 1, 2, 3) + b"payload"
    session.receive(packet)
    session.receive(HEADER.pack(0x80, 96, 1, 2, 4) + b"payload")
    session.untap(3)
    session.receive(packet)
    assert seen == [packet]
    session.on_closed()


class Forwarding(Sender):
    """Who sends what it gets, as much as there is."""

    need = None
    wanted = 0

    def __init__(self, ssrc: int, kind: str = "video") -> None:
        super().__init__(ssrc)
        self.kind = kind

    def on_estimate(self, bitrate: int) -> None:
        self.estimate = bitrate


def paced_session(estimate: int) -> tuple[RtpSession, list[tuple[float, bytes]]]:
    gone: list[tuple[float, bytes]] = []
    now = asyncio.get_running_loop().time
    session = RtpSession(Unprotected, lambda data: gone.append((now(), data)))  # type: ignore[arg-type]
    session.on_connected()
    extensions = (HeaderExtension(URI_TRANSPORT_CC, 4),)
    session.add_sender(Forwarding(7), "0", [7], extensions)  # type: ignore[arg-type]
    session.add_sender(Forwarding(8, "audio"), "1", [8], extensions)  # type: ignore[arg-type]
    session._on_estimate(estimate)
    return session, gone


def test_forwarded_packets_that_come_too_fast_wait_and_keep_their_order() -> None:
    """A key frame of 60 kB for a path of 1 Mbit/s: at 2.5 times that, in about 0.1 s; sound passes it."""

    async def main() -> None:
        session, gone = paced_session(1_000_000)
        start = asyncio.get_running_loop().time()
        for number in range(60):
            session.send_parts(0x80, 96, number, 2, 7, bytes(1000))
        at_once = len(gone)
        session.send_parts(0x80, 97, 1, 2, 8, bytes(100))
        assert gone[-1][1][8:12] == (8).to_bytes(4, "big")
        # 20 ms of the pace
        assert at_once == 7
        # a retransmission waits behind them
        session.send_parts(0x80, 98, 500, 2, 7, bytes(1000))
        await asyncio.sleep(1)
        # beside reports, which leave at random times
        pictures = [(at, data) for at, data in gone if data[1] in (96, 98)]
        assert [data[2] << 8 | data[3] for _at, data in pictures] == [*range(60), 500]
        assert 0.08 < pictures[-1][0] - start < 0.2
        session.on_closed()

    run_virtual(main())


def test_forwarded_packets_below_the_estimate_never_wait() -> None:
    async def main() -> None:
        session, gone = paced_session(1_000_000)
        for number in range(300):
            # pictures of 3 kB, 30 a second
            for part in range(3):
                session.send_parts(0x80, 96, 3 * number + part, 2, 7, bytes(1000))
            # beside reports
            assert sum(data[1] == 96 for _at, data in gone) == 3 * number + 3
            await asyncio.sleep(1 / 30)
        session.on_closed()

    run_virtual(main())


async def test_what_the_other_end_estimates_counts_where_nothing_better_is_known() -> None:
    session = RtpSession(Unprotected, lambda data: None)  # type: ignore[arg-type]
    session.on_connected()
    sender = Forwarding(7)
    session.add_sender(sender, "0", [7], ())  # type: ignore[arg-type]
    assert session.estimate is None
    session.take_remb(300_000, wall_time())
    assert session.estimate == sender.estimate == 300_000
    session._remb_at -= 11
    assert session.estimate is None
    session.on_closed()
