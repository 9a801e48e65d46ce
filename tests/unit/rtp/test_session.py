"""Who speaks in RTCP, and in which packets."""

from __future__ import annotations

import asyncio
from typing import Any

import pylibsrtp
import pytest

from rtcpeer.aio import wall_time
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.packet import URI_MID, URI_TRANSPORT_CC
from rtcpeer.rtp.relay_packet import HEADER
from rtcpeer.rtp.rtcp import PayloadFeedback, ReceiverInfo, ReceiverReport, SenderReport
from rtcpeer.rtp.send_state import IDENTIFIER, SESSION
from rtcpeer.rtp.session import RtpSession, transport_cc_id
from rtcpeer.testing import run_virtual
from rtcpeer.values import HeaderExtension
from tests.unit.media.pipes import until


class Plain:
    """SRTP that protects nothing."""

    def protect_rtcp(self, packet: bytes) -> bytes:
        return packet

    def protect_parts(self, *parts: Any) -> bytes:
        raise AssertionError(parts)


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


async def test_sound_does_not_wait_for_other_packets_of_its_turn() -> None:
    gone: list[bytes] = []
    alone: list[bytes] = []
    session = RtpSession(Unprotected, gone.append, send_alone=alone.append)  # type: ignore[arg-type]
    session.on_connected()
    picture, sound = b"\x80" + bytes(20), b"\x80" + bytes(30)
    session.send_rtp(picture)
    session.send_sound(sound)
    assert (gone, alone) == ([picture], [sound])


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

    need: int | None = None
    wanted = 0

    def __init__(self, ssrc: int, kind: str = "video", weight: float = 1.0) -> None:
        super().__init__(ssrc)
        self.kind, self.weight = kind, weight

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


async def test_senders_share_what_the_path_bears_by_their_priority() -> None:
    """webrtc-priority 4.1; who needs a certain rate gets that first."""
    session = RtpSession(Unprotected, lambda data: None)  # type: ignore[arg-type]
    senders = [Forwarding(ssrc, weight=weight) for ssrc, weight in ((7, 1.0), (8, 0.5), (9, 4.0))]
    sound = Forwarding(10, "audio")
    sound.need = 50_000
    for sender in (*senders, sound):
        session.add_sender(sender, str(sender.ssrc), [sender.ssrc], ())  # type: ignore[arg-type]

    session._on_estimate(1_150_000)

    assert [sender.estimate for sender in senders] == [200_000, 100_000, 800_000]
    session.on_closed()


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


# -- routing, and its bounds


class Readable(Unprotected):
    """SRTP that protects nothing, in both directions."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []

    def unprotect(self, packet: bytes) -> bytes:
        return packet

    unprotect_rtcp = unprotect

    def forget(self, ssrc: int) -> None:
        self.forgotten.append(ssrc)


class Heard(Receiver):
    """A receiver that notes whose packets it gets."""

    def __init__(self) -> None:
        super().__init__(1)
        self.ssrcs: list[int] = []
        self.reported: list[int] = []
        self.states: list[bool] = []

    def on_transport(self, connected: bool) -> None:
        self.states.append(connected)

    def on_sender_report(self, report: SenderReport, now: float) -> None:
        self.reported.append(report.ssrc)

    def on_rtp(self, packet: Any, now: float) -> None:
        self.ssrcs.append(packet.ssrc)

    def on_bye(self, ssrc: int) -> None:
        self.ssrcs.append(-ssrc)


@pytest.fixture
def srtp() -> Readable:
    return Readable()


@pytest.fixture
async def routing(srtp: Readable) -> Any:
    session = RtpSession(lambda: srtp, lambda data: None)  # type: ignore[arg-type,return-value]
    session.on_connected()
    yield session
    session.on_closed()


def media(ssrc: int, *, payload_type: int = 96, mid: str | None = None) -> bytes:
    extension = b"" if mid is None else b"\xbe\xde\0\1\x10" + mid.encode() + b"\0\0"
    return HEADER.pack(0x90 if extension else 0x80, payload_type, 1, 2, ssrc) + extension + b"payload"


def listen(session: RtpSession, mid: str, ssrcs: list[int], payload_types: list[int]) -> Heard:
    receiver = Heard()
    session.add_receiver(receiver, mid, ssrcs, payload_types, (HeaderExtension(URI_MID, 1),))  # type: ignore[arg-type]
    return receiver


async def test_a_mid_says_more_than_a_payload_type_and_an_unknown_one_is_nobodys(routing) -> None:
    """RFC 9143 9.2."""
    first, second = listen(routing, "a", [], [96]), listen(routing, "b", [], [97])
    routing.receive(media(5, mid="b"))
    routing.receive(media(5))
    routing.receive(media(6, mid="x"))
    routing.receive(media(7))
    assert (first.ssrcs, second.ssrcs) == ([7], [5, 5])


async def test_a_payload_type_of_two_sections_says_nothing(routing) -> None:
    first, second = listen(routing, "a", [5], [96]), listen(routing, "b", [], [96])
    for ssrc in (5, 6):
        routing.receive(media(ssrc))
    assert (first.ssrcs, second.ssrcs) == ([5], [])
    routing.remove_receiver(first)
    routing.receive(media(6))
    assert second.ssrcs == [6]


async def test_a_stream_that_was_announced_is_not_forgotten_with_those_that_were_learned(
    routing, monkeypatch
) -> None:
    monkeypatch.setattr("rtcpeer.rtp.routing.LEARNED_SSRCS_MAX", 4)
    first = listen(routing, "a", [], [96])
    routing.receive(media(5))
    second = listen(routing, "b", [5], [97])
    for ssrc in range(100, 110):
        routing.receive(media(ssrc))
    first.ssrcs.clear()
    routing.receive(media(5))
    assert (first.ssrcs, second.ssrcs) == ([], [5])


async def test_what_was_learned_for_a_receiver_goes_with_it(routing, monkeypatch) -> None:
    monkeypatch.setattr("rtcpeer.rtp.routing.LEARNED_SSRCS_MAX", 4)
    receiver = listen(routing, "a", [], [96])
    for ssrc in range(4):
        routing.receive(media(ssrc))
    routing.remove_receiver(receiver)
    assert not routing._routes.learned
    routing.receive(media(1))
    assert receiver.ssrcs == [0, 1, 2, 3]


async def test_streams_that_speak_in_rtcp_alone_are_bounded_too_and_known_ones_stay(
    routing, srtp, monkeypatch
) -> None:
    monkeypatch.setattr("rtcpeer.rtp.session.DECRYPTED_SSRCS_MAX", 4)
    receiver = listen(routing, "a", [5], [96])
    routing.receive(media(5))
    for ssrc in range(100, 110):
        routing.receive(rtcp.write_receiver_report(ssrc, []))
    assert srtp.forgotten == list(range(100, 107))
    assert receiver.ssrcs == [5]


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\xc8", bytes(7), b"\x80\xc8" + bytes(6), bytes(8)])
async def test_what_is_too_short_for_a_packet_is_ignored(routing, data: bytes) -> None:
    receiver = listen(routing, "a", [5], [96])
    routing.receive(data)
    assert not receiver.ssrcs


async def test_after_the_end_nothing_is_said_to_fail() -> None:
    session = RtpSession(lambda: None, lambda data: None)
    now = wall_time()
    for number in range(100):
        session._watch.note_failure(5, now - 5 + number / 20)
    assert session.undecrypted_for > 0
    session.on_closed()
    assert session.undecrypted_for == 0
    assert session.undecrypted == 100


async def test_a_compound_packet_keeps_to_its_size() -> None:
    gone: list[bytes] = []
    session = RtpSession(Unprotected, gone.append)  # type: ignore[arg-type]
    session.on_connected()
    session._send_parts([bytes(400)] * 7 + [bytes(1500)] + [bytes(100)])
    assert [len(packet) for packet in gone] == [1200, 1200, 400, 1500, 100]
    session.on_closed()


async def test_reports_about_many_streams_are_many(session, sent, monkeypatch) -> None:
    """RFC 3550 6.4.1: 31 blocks in one at most."""
    monkeypatch.setattr("rtcpeer.rtp.session.RTCP_INTERVAL", 0.01)
    for ssrc in range(1, 71):
        add(session, f"m{ssrc}", ssrc)
    await until(lambda: len(sent) >= 2)
    reports = [packet for compound in sent[:2] for packet in compound if isinstance(packet, ReceiverReport)]
    assert [len(report.reports) for report in reports] == [31, 31, 8]
    assert {block.ssrc for report in reports for block in report.reports} == set(range(1, 71))


async def test_an_estimate_is_shared_by_those_who_take_what_there_is() -> None:
    session = RtpSession(Unprotected, lambda data: None)  # type: ignore[arg-type]
    session.on_connected()
    senders = [Forwarding(7), Forwarding(8)]
    for sender in senders:
        session.add_sender(sender, str(sender.ssrc), [sender.ssrc], ())  # type: ignore[arg-type]
    session.take_remb(300_000, wall_time())
    assert [sender.estimate for sender in senders] == [150_000, 150_000]
    session.take_remb(1, wall_time())
    assert [sender.estimate for sender in senders] == [10_000, 10_000]
    session.on_closed()


# -- who is told what, and when nothing is said any more


class Line(Forwarding):
    """A sender that notes what it is told."""

    def __init__(self, ssrc: int, kind: str = "video", need: int | None = None, wanted: int = 0) -> None:
        super().__init__(ssrc, kind)
        self.need = need  # type: ignore[assignment]
        self.wanted = wanted
        self.heard: list[tuple[int, type]] = []
        self.states: list[bool] = []
        self.padding: bytes | None = None

    def on_feedback(self, ssrc: int, packet: Any, now: float) -> None:
        self.heard.append((ssrc, type(packet)))

    def on_transport(self, connected: bool) -> None:
        self.states.append(connected)

    def make_padding(self, size: int) -> bytes | None:
        return self.padding


def sender_report(ssrc: int, *blocks: ReceiverInfo) -> bytes:
    return bytes(SenderReport(ssrc=ssrc, sender_info=rtcp.SenderInfo(1, 2, 3, 4), reports=list(blocks)))


def block(ssrc: int) -> ReceiverInfo:
    return ReceiverInfo(ssrc, 0, 0, 0, 0, 0, 0)


async def test_feedback_reaches_the_sender_of_the_stream(routing) -> None:
    """RFC 3550 6.4, RFC 4585 6: blocks of both kinds of reports, and both kinds of feedback."""
    first, second = Line(7), Line(8)
    routing.add_sender(first, "0", [7], ())
    routing.add_sender(second, "1", [8], ())
    routing.receive(rtcp.write_receiver_report(99, [block(7)]))
    routing.receive(sender_report(99, block(8)))
    routing.receive(rtcp.write_pli(99, 7))
    routing.receive(rtcp.write_nack(99, 8, [5]))
    routing.receive(rtcp.write_pli(99, 9))  # nobody's
    assert first.heard == [(7, ReceiverReport), (7, PayloadFeedback)]
    assert second.heard == [(8, SenderReport), (8, rtcp.TransportFeedback)]
    routing.remove_sender(first)
    routing.receive(rtcp.write_pli(99, 7))
    assert len(first.heard) == 2


async def test_sender_reports_and_farewells_reach_the_receiver_of_the_stream(routing) -> None:
    first, second = listen(routing, "a", [5], [96]), listen(routing, "b", [6], [97])
    routing.receive(sender_report(5))
    routing.receive(rtcp.write_bye([6, 5, 4]))
    assert (first.reported, first.ssrcs) == ([5], [-5])
    assert (second.reported, second.ssrcs) == ([], [-6])


@pytest.mark.parametrize(("second", "is_rtcp"), [(191, False), (192, True), (223, True), (224, False)])
async def test_rtcp_is_told_by_its_second_octet(routing, second: int, is_rtcp: bool) -> None:
    """RFC 5761 section 4: 192 to 223; above and below it is a marker and a payload type."""
    receiver = listen(routing, "a", [5], [second & 0x7F])
    routing.receive(bytes((0x80, second)) + HEADER.pack(0x80, second, 1, 2, 5)[2:] + b"payload")
    assert receiver.ssrcs == [5] * (not is_rtcp)


async def test_a_mid_moves_a_stream_that_was_announced_elsewhere(routing) -> None:
    """RFC 9143 section 9.2: the MID says more than an announcement, and what follows without one goes there too."""
    first, second = listen(routing, "a", [5], [96]), listen(routing, "b", [], [97])
    routing.receive(media(5, mid="b"))
    routing.receive(media(5))
    assert (first.ssrcs, second.ssrcs) == ([], [5, 5])


async def test_a_section_that_went_is_nobodys_and_its_payload_types_are_free(routing) -> None:
    first, second = listen(routing, "a", [5], [96]), listen(routing, "b", [], [96])
    routing.remove_receiver(first)
    routing.receive(media(6, mid="a"))
    assert (first.ssrcs, second.ssrcs) == ([], [])
    routing.receive(media(7))
    assert second.ssrcs == [7]


async def test_no_more_streams_are_learned_than_the_bound(routing, monkeypatch) -> None:
    monkeypatch.setattr("rtcpeer.rtp.routing.LEARNED_SSRCS_MAX", 4)
    listen(routing, "a", [], [96])
    for ssrc in range(100, 110):
        routing.receive(media(ssrc))
    assert list(routing._routes.learned) == list(routing._routes.by_ssrc) == [106, 107, 108, 109]


async def test_of_streams_that_are_all_known_the_oldest_is_forgotten(routing, srtp, monkeypatch) -> None:
    monkeypatch.setattr("rtcpeer.rtp.session.DECRYPTED_SSRCS_MAX", 3)
    receiver = listen(routing, "a", [1, 2, 3, 4], [96])
    for ssrc in (1, 2, 3, 4):
        routing.receive(media(ssrc))
    assert srtp.forgotten == [1]
    assert receiver.ssrcs == [1, 2, 3, 4]


async def test_a_tap_that_only_looks_keeps_nothing_from_the_receiver(routing) -> None:
    receiver, seen = listen(routing, "a", [5], [96]), []

    def tap(data: bytes, now: float) -> bool:
        seen.append(data)
        return False

    routing.tap(5, tap)
    routing.receive(media(5))
    assert (receiver.ssrcs, seen) == ([5], [media(5)])


async def test_all_are_told_when_packets_can_be_sent_and_when_not_any_more() -> None:
    session = RtpSession(Unprotected, lambda data: None)  # type: ignore[arg-type]
    sender = Line(7)
    receiver = listen(session, "a", [5], [96])
    session.add_sender(sender, "a", [7, 8], ())
    session.on_connected()
    session.on_closed()
    assert sender.states == receiver.states == [True, False]


async def test_packets_are_protected_past_the_session_only_while_it_does_nothing_else(
    srtp, monkeypatch
) -> None:
    monkeypatch.setattr("rtcpeer.rtp.libsrtp.session_address", lambda method: 77)
    session = RtpSession(lambda: srtp, lambda data: None)  # type: ignore[arg-type,return-value]

    class Pacer:
        def take(self, packet: bytes) -> None: ...

    addresses = []
    session.on_connected()
    session.receive(media(5))
    for pacer in (None, Pacer(), None):
        session.pacer = pacer
        addresses.append(session.state.words[SESSION])
    session.on_closed()
    assert [*addresses, session.state.words[SESSION]] == [77, 0, 77, 0]


# -- reports, and their timer


def test_reports_leave_between_half_and_one_and_a_half_of_the_interval_and_go_on() -> None:
    """RFC 3550 section 6.3.1."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        session = RtpSession(Unprotected, lambda data: times.append(loop.time()))  # type: ignore[arg-type]
        start = loop.time()
        sender = Line(7)
        session.add_sender(sender, "0", [7, 8], ())  # type: ignore[arg-type]
        assert session._timer is None  # not connected yet
        session.on_connected()
        assert session._timer is not None
        session.add_sender(sender, "0", [7, 8], ())  # type: ignore[arg-type]
        receiver = Receiver(5)
        session.add_receiver(receiver, "0", [5], [], ())  # type: ignore[arg-type]
        start = loop.time()
        await asyncio.sleep(60)
        waits = [b - a for a, b in zip([start, *times], times, strict=False)]
        assert min(waits) >= 0.5
        assert max(waits) <= 1.5
        assert 45 < len(times) < 80
        # with one of both it goes on, with none it ends
        session.remove_sender(sender)  # type: ignore[arg-type]
        await asyncio.sleep(3)
        count = len(times)
        session.add_sender(sender, "0", [7], ())  # type: ignore[arg-type]
        session.remove_receiver(receiver)  # type: ignore[arg-type]
        await asyncio.sleep(3)
        assert len(times) > count
        session.remove_sender(sender)  # type: ignore[arg-type]
        assert session._timer is None
        session.add_receiver(receiver, "0", [5], [], ())  # type: ignore[arg-type]
        assert session._timer is not None
        session.remove_receiver(receiver)  # type: ignore[arg-type]
        assert session._timer is None
        session.add_sender(sender, "0", [7], ())  # type: ignore[arg-type]
        session.on_closed()
        count = len(times)
        await asyncio.sleep(5)
        assert len(times) == count
        assert session._timer is None

    run_virtual(main())


async def test_a_voice_goes_with_its_sender(session) -> None:
    first, second = Line(7), Line(8)
    session.add_sender(first, "a", [7, 70], ())
    session.add_sender(second, "b", [8], ())
    assert [session.voice(mid) for mid in ("a", "b", "x")] == [7, 8, 7]
    session.remove_sender(first)
    assert [session.voice(mid) for mid in ("a", "b", "x")] == [8, 8, 8]


async def test_what_waits_is_what_is_no_sound_that_is_sent(session) -> None:
    sound = Line(8, "audio")
    session.add_sender(Line(7), "a", [7], ())
    session.add_sender(sound, "b", [8], ())
    assert (session.waits(7), session.waits(8)) == (True, False)
    session.remove_sender(sound)
    assert session.waits(8)


# -- what the path bears


async def test_who_needs_a_fixed_part_gets_nothing_else_and_the_others_share_the_rest() -> None:
    session = RtpSession(Unprotected, lambda data: None)  # type: ignore[arg-type]
    sound, pictures = Line(7, "audio", need=40_000), [Line(8, wanted=500_000), Line(9, wanted=200_000)]
    for sender in (sound, *pictures):
        session.add_sender(sender, str(sender.ssrc), [sender.ssrc], ())  # type: ignore[arg-type]
    session.take_remb(340_000, wall_time())
    assert [sender.estimate for sender in pictures] == [150_000, 150_000]
    assert not hasattr(sound, "estimate")
    # enough for the one that could send most, as each gets the same part
    assert session._wanted() == 40_000 + 2 * 500_000
    for sender in pictures:
        sender.wanted = 0
    assert session._wanted() == 0
    # what is sent again is taken from what is new
    session.note_overhead(12_500, wall_time())
    session.take_remb(340_000, wall_time())
    assert pictures[0].estimate < 150_000


async def test_what_the_other_end_estimates_does_not_count_beside_our_own_estimate(session) -> None:
    sender = Line(7)
    session.add_sender(sender, "0", [7], ())
    session.control = type("Control", (), {"estimate": 500_000})()
    session.take_remb(100_000, wall_time())
    assert session.estimate == 500_000
    assert not hasattr(sender, "estimate")


async def test_padding_is_made_by_who_can(session) -> None:
    first, second = Line(7), Line(8)
    session.add_sender(first, "a", [7], ())
    session.add_sender(second, "b", [8], ())
    assert session._make_padding(100) is None
    second.padding = b"padding"
    assert session._make_padding(100) == b"padding"


@pytest.mark.parametrize(("number", "used"), [(1, 1), (14, 14), (15, 0)])
def test_transport_wide_numbers_need_the_short_form_of_extensions(number: int, used: int) -> None:
    """RFC 8285 section 4.2: 15 is no id there."""
    extensions = (HeaderExtension(URI_MID, 3), HeaderExtension(URI_TRANSPORT_CC, number))
    assert transport_cc_id(extensions) == used
    assert transport_cc_id(extensions[:1]) == 0


async def test_the_identifier_of_transport_wide_numbers_may_change(routing) -> None:
    for number in (4, 5):
        extension = (HeaderExtension(URI_TRANSPORT_CC, number),)
        routing.add_sender(Line(7), "0", [7], extension)
        routing.add_receiver(Heard(), "0", [5], [96], extension)
        assert routing.control.identifier == number
        assert routing._arrivals.identifier == number
        assert routing.state.words[IDENTIFIER] == number


def test_packets_that_leave_are_numbered_and_what_arrives_is_told_until_the_end() -> None:
    async def main() -> None:
        gone: list[bytes] = []
        numbered: list[tuple[int, int]] = []

        class Numbering(Readable):
            def protect(self, packet: bytes, *number: int) -> bytes:
                numbered.append(number)  # type: ignore[arg-type]
                return packet

            def protect_parts(self, *parts: Any) -> bytes:
                numbered.append(parts[-2:])
                return super().protect_parts(*parts)

        session = RtpSession(Numbering, gone.append)  # type: ignore[arg-type]
        session.on_connected()
        extension = (HeaderExtension(URI_TRANSPORT_CC, 4),)
        session.add_sender(Line(7), "0", [7], extension)  # type: ignore[arg-type]
        receiver = Heard()
        session.add_receiver(receiver, "0", [5], [96], extension)  # type: ignore[arg-type]
        body = b"\xbe\xde\0\1\x41\0\0\0payload"
        session.send_parts(0x90, 96, 1, 2, 7, body)
        session.release(HEADER.pack(0x90, 96, 2, 2, 7) + body)
        # where the number stands in what was given, and which it is
        assert numbered == [(5, 1), (17, 2)]
        for number in (1, 2):
            session.receive(
                HEADER.pack(0x90, 96, number, 2, 5) + b"\xbe\xde\0\1\x41\0" + bytes((number, 0)) + b"x"
            )
        gone.clear()
        await asyncio.sleep(0.4)
        assert [data for data in gone if b"\x8f\xcd" in data]  # transport-wide feedback
        # arrivals of a session that has ended are nobody's
        session.receive(HEADER.pack(0x90, 96, 3, 2, 5) + b"\xbe\xde\0\1\x41\0\3\0x")
        session.on_closed()
        gone.clear()
        await asyncio.sleep(2)
        assert gone == []

    run_virtual(main())


async def test_without_transport_wide_numbers_packets_have_none() -> None:
    numbers: list[tuple[int, ...]] = []

    class Numbering(Unprotected):
        def protect(self, packet: bytes, *number: int) -> bytes:
            numbers.append(number)
            return packet

        def protect_parts(self, *parts: Any) -> bytes:
            numbers.append(parts[-2:])
            return b""

    session = RtpSession(Numbering, lambda data: None)  # type: ignore[arg-type]
    session.on_connected()
    session.release(HEADER.pack(0x90, 96, 2, 2, 7) + b"\xbe\xde\0\1\x41\0\0\0x")
    session.send_parts(0x90, 96, 1, 2, 7, b"\xbe\xde\0\1\x41\0\0\0x")
    assert numbers == [(0, 0), (0, 0)]
    session.on_closed()


def test_how_long_packets_waited_is_known_of_our_own_pacer() -> None:
    """webrtc-stats totalPacketSendDelay."""

    async def main() -> None:
        session, _gone = paced_session(100_000)
        assert RtpSession(Unprotected, lambda data: None).send_delay(7) == 0.0  # type: ignore[arg-type]
        for number in range(4):
            session.send_rtp(HEADER.pack(0x80, 96, number, 2, 7) + bytes(1000))
        await asyncio.sleep(1)
        waited = session.send_delay(7, None, 99)
        assert waited is not None
        assert waited > 0.03
        session.pacer = type("Pacer", (), {"take": lambda self, packet: None})()
        assert session.send_delay(7) is None
        session.on_closed()

    run_virtual(main())


def test_what_is_overwritten_in_a_packet_is_so_when_it_has_waited() -> None:
    async def main() -> None:
        session, gone = paced_session(100_000)
        for number in range(4):
            session.send_parts(0x80, 96, number, 2, 7, bytes(1000), 4, b"abc")
        assert len(gone) < 4
        await asyncio.sleep(1)
        media = [data for _at, data in gone if data[1] == 96]
        assert [data[12:] for data in media] == [bytes(4) + b"abc" + bytes(993)] * 4
        session.on_closed()

    run_virtual(main())


class Refusing(Readable):
    """SRTP that cannot decrypt what ends with a word, for that reason."""

    reasons = (b"authentication failure", b"index too old", b"bad index")

    def __init__(self) -> None:
        super().__init__()
        self.searched: list[bytes] = []

    def unprotect(self, packet: bytes) -> bytes:
        for reason in self.reasons:
            if packet.endswith(reason):
                raise pylibsrtp.Error(reason.decode())
        return packet

    unprotect_rtcp = unprotect

    def recover(self, data: bytes) -> bytes:
        self.searched.append(data)
        return data[:-1]


async def test_failures_of_known_streams_count_until_one_packet_is_decrypted() -> None:
    """Copies are none, and what nobody knows or RTCP says nothing of a stream."""
    srtp = Refusing()
    session = RtpSession(lambda: srtp, lambda data: None)  # type: ignore[arg-type,return-value]
    session.on_connected()
    ssrc = 0x87654321
    receiver = listen(session, "a", [ssrc], [96])
    good = HEADER.pack(0x80, 96, 1, 2, ssrc) + b"good"
    forged = HEADER.pack(0x80, 96, 1, 2, ssrc) + b"authentication failure"
    for data, counted in (
        (forged, 1),
        (HEADER.pack(0x80, 96, 1, 2, ssrc) + b"index too old", 2),
        (HEADER.pack(0x80, 96, 1, 2, ssrc) + b"bad index", 2),
        (HEADER.pack(0x80, 96, 1, 2, ssrc ^ 1) + b"authentication failure", 2),
        (HEADER.pack(0x80, 200, 1, 2, ssrc) + b"authentication failure", 2),
        (HEADER.pack(0x80, 223, 1, 2, ssrc) + b"authentication failure", 2),
        (HEADER.pack(0x80, 0x80 | 96, 1, 2, ssrc) + b"authentication failure", 3),
    ):
        session.receive(data)
        assert session.undecrypted == counted
    assert session._watch.runs
    assert receiver.ssrcs == []
    session.receive(good)
    assert not session._watch.runs
    # ten in a row: the count of cycles is looked for, and the packet is taken as it is found
    for _ in range(10):
        assert len(srtp.searched) == 0
        session.receive(forged)
    assert srtp.searched == [forged]
    assert receiver.ssrcs == [ssrc, ssrc]
    session.on_closed()


async def test_what_stands_beside_transport_wide_feedback_is_read(routing) -> None:
    """In one compound packet (RFC 3550 section 6.1)."""
    sender = Line(7)
    routing.add_sender(sender, "0", [7], ())
    told, _count = feedback.write(99, 7, 0, 1, [4, 5])
    # nobody asked for it
    routing.receive(told)
    routing.receive(rtcp.write_receiver_report(99, [block(7)]) + told + rtcp.write_pli(99, 7))
    assert sender.heard == [(7, ReceiverReport), (7, PayloadFeedback)]


async def test_feedback_becomes_an_estimate_and_perhaps_a_probe(routing) -> None:
    class Control:
        estimate: int | None = None

        def __init__(self) -> None:
            self.told: list[bytes] = []

        def on_feedback(self, packet: bytes) -> None:
            self.told.append(packet)

    class Prober:
        wanted: list[int] = []

        def consider(self, wanted: int) -> None:
            self.wanted.append(wanted)

        def close(self) -> None: ...

    sender, control, prober = Line(7, wanted=900_000), Control(), Prober()
    routing.add_sender(sender, "0", [7], ())
    routing.control, routing._prober = control, prober
    packets = [feedback.write(99, 7, index, index, [4, 5])[0] for index in range(2)]
    routing.receive(rtcp.write_receiver_report(99, []) + b"".join(packets))
    assert control.told == packets
    assert not hasattr(sender, "estimate")
    control.estimate = 400_000
    routing.receive(packets[0])
    assert sender.estimate == 400_000
    assert prober.wanted == [900_000, 900_000]
