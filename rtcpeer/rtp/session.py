"""The RTP session of one DTLS transport: SRTP, routing of packets, one RTCP timer.

Incoming packets are given to receivers as `routing` says, feedback to senders by SSRC. Reports of all senders and
receivers go out together.
Owns: the tables and the timer. Never: codecs, tracks.
"""

# Longer than 600 lines: reports, pacing and estimates read and write the same table of senders.

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

import pylibsrtp

from rtcpeer.aio import running_loop, wall_time
from rtcpeer.rtp import libsrtp, rtcp
from rtcpeer.rtp.clocks import RemoteClock
from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.pacing import PacketPacer
from rtcpeer.rtp.congestion.prober import Prober
from rtcpeer.rtp.congestion.receiving import FeedbackWriter
from rtcpeer.rtp.congestion.repeats import RepeatBudget
from rtcpeer.rtp.congestion.sending import SendControl
from rtcpeer.rtp.decryption import DecryptionWatch
from rtcpeer.rtp.packet import URI_TRANSPORT_CC, ExtensionIds, RtpPacket, parse_rtp_untrusted
from rtcpeer.rtp.relay_packet import HEADER, HEADER_SIZE
from rtcpeer.rtp.routing import RoutingTable
from rtcpeer.rtp.send_state import SendState
from rtcpeer.rtp.srtp import SrtpSessions
from rtcpeer.values import HeaderExtension

logger = logging.getLogger(__name__)

# libsrtp keeps some kilobytes for each SSRC that authenticates: the oldest of more than this is forgotten
DECRYPTED_SSRCS_MAX = 1024
# RFC 3550 section 6.2 with the reduced minimum of AVPF; browsers use 1 s for video too
RTCP_INTERVAL = 1.0
# one compound packet stays below this
RTCP_MTU = 1200
REPORTS_MAX = 31
# What the other end says in REMB counts for this long, in seconds: it says it each second or so
REMB_LIFETIME = 10.0
# What is left for pictures beside sound, at least, in bit/s
ESTIMATE_MIN = 20_000


class RtpReceiver(Protocol):
    """Protocol of receivers of the packets of one media section."""

    def on_rtp(self, packet: RtpPacket, now: float) -> None:
        """A packet; `now` is `aio.wall_time()`."""

    def on_sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """A sender report of one of its streams."""

    def on_bye(self, ssrc: int) -> None:
        """A stream ended, for now."""

    def reports(self, now: float) -> list[rtcp.ReceiverInfo]:
        """The reports for its senders."""

    def on_transport(self, connected: bool) -> None:
        """Packets can be sent from now on, or no longer."""


class RtpSender(Protocol):
    """Protocol of senders of the streams of one media section."""

    # "audio" or "video": sound never waits for pictures
    kind: str

    def on_feedback(self, ssrc: int, packet: rtcp.Feedback, now: float) -> None:
        """A report block's packet, NACK, PLI, FIR or REMB that concerns this SSRC."""

    @property
    def need(self) -> int | None:
        """Bit/s that it sends, whatever the path bears; None: as much as there is."""

    @property
    def wanted(self) -> int:
        """Bit/s that it could send at once if the path bore them; 0 if it does not know."""

    @property
    def weight(self) -> float:
        """How much of what the path bears it gets, in relation to others that take as much as there is."""

    def on_estimate(self, bitrate: int) -> None:
        """Take this part of what the path bears, in bit/s."""

    def make_padding(self, size: int) -> bytes | None:
        """An RTP packet that says nothing, of about so many bytes at most; None if it cannot make any now."""

    def sender_reports(self, now: float) -> list[bytes]:
        """A sender report and source description per stream that sent, as bytes."""

    def on_transport(self, connected: bool) -> None:
        """Packets can be sent from now on, or no longer."""


class Pacer(Protocol):
    """Decides when packets of media leave; without one, they leave at once.

    The place for congestion control: every packet of media of a transport passes here before it is protected, first
    transmissions and retransmissions, made here or forwarded. `RtpSession.release` sends one.
    """

    def take(self, packet: bytes) -> None:
        """An RTP packet that is ready to leave."""


def transport_cc_id(extensions: tuple[HeaderExtension, ...]) -> int:
    """The id of transport-wide numbers; 0 where they cannot be used."""
    found = next((e.id for e in extensions if e.uri == URI_TRANSPORT_CC), None)
    # only with the short form of header extensions (RFC 8285 section 4.2)
    return found if found is not None and found < 15 else 0


Tap = Callable[[bytes, float], bool]
"""Takes an RTP packet and the time of day; says whether nobody else wants it."""


class RtpSession:
    """SRTP, routing and RTCP of one transport.

    Args:
        make_srtp: gives the keyed sessions once DTLS is connected, None if there are none.
        send: sends one datagram.
        send_alone: sends one that no other follows soon; None: as others.
        has_route: whether there is a path now.
        round_trip: of that path, in seconds; None while unknown.
        name: for logs.

    Attributes:
        connected: whether packets can be sent.
        state: key, budget and transport-wide numbers, as each packet asks for them when it leaves.
        send_protected: as given; packets that were protected with this session's key pass there.
        remote_clock: the clock of the other end, as its sender reports tell.
        unsendable: packets that could not be protected.
        has_route: as given; senders ask it before they number packets.
        round_trip: as given; receivers ask it before they repeat a request.
        control: numbers packets for transport-wide feedback; None where that was not negotiated.
    """

    def __init__(
        self,
        make_srtp: Callable[[], SrtpSessions | None],
        send: Callable[[bytes], None],
        *,
        send_alone: Callable[[bytes], None] | None = None,
        has_route: Callable[[], bool] = lambda: True,
        round_trip: Callable[[], float | None] = lambda: None,
        name: str = "",
    ) -> None:
        self.connected: bool = False
        self.state: SendState = SendState()
        self._pacer: Pacer | None = None
        self.remote_clock: RemoteClock = RemoteClock()
        self.unsendable: int = 0
        self._taps: dict[int, Tap] = {}
        self.has_route = has_route
        self.round_trip = round_trip
        self._make_srtp = make_srtp
        self._send = send
        self._send_alone = send_alone or send
        self.send_protected: Callable[[bytes], None] = send
        self._name = name
        self._srtp: SrtpSessions | None = None
        self._ids = ExtensionIds()
        self._receivers: list[RtpReceiver] = []
        self._routes: RoutingTable[RtpReceiver] = RoutingTable()
        # SSRCs for which libsrtp keeps a state, oldest first
        self._decrypted: dict[int, None] = {}
        self._watch = DecryptionWatch()
        self._senders: dict[int, RtpSender] = {}
        # section -> the first SSRC that is sent there
        self._voices: dict[str, int] = {}
        self._feedback_ssrc = random.getrandbits(32)
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.control: SendControl | None = None
        self._pacing: PacketPacer | None = None
        self._prober: Prober | None = None
        self._repeats = RepeatBudget()
        # what the other end estimates itself (REMB), and when it said so
        self._remb = 0
        self._remb_at = 0.0
        # SSRCs of sound that is sent
        self._sounds: frozenset[int] = frozenset()
        self._arrivals: FeedbackWriter | None = None

    # -- users -------------------------------------------------------------------------------------

    def add_receiver(
        self,
        receiver: RtpReceiver,
        mid: str,
        ssrcs: list[int],
        payload_types: list[int],
        extensions: tuple[HeaderExtension, ...],
    ) -> None:
        """Route packets to a receiver; again with other values replaces what was said before."""
        self.remove_receiver(receiver)
        self._receivers.append(receiver)
        self._ids.add(extensions)
        number = transport_cc_id(extensions)
        if number and (self._arrivals is None or self._arrivals.identifier != number):
            if self._arrivals is not None:
                self._arrivals.close()
            self._arrivals = FeedbackWriter(number, self._send_arrivals)
        self._routes.add(receiver, mid, ssrcs, payload_types)
        self._arm()

    def remove_receiver(self, receiver: RtpReceiver) -> None:
        """Route nothing to a receiver any more."""
        if receiver not in self._receivers:
            return
        self._receivers.remove(receiver)
        self._routes.remove(receiver)
        self._disarm_if_idle()

    def add_sender(
        self, sender: RtpSender, mid: str, ssrcs: list[int], extensions: tuple[HeaderExtension, ...]
    ) -> None:
        """Route feedback about these streams to a sender; again replaces."""
        self.remove_sender(sender)
        self._ids.add(extensions)
        number = transport_cc_id(extensions)
        if number and self.control is None:
            self.control = SendControl(number, state=self.state)
            self._pacing = PacketPacer(self.release, self.state)
            self._prober = Prober(self.control, self._make_padding, self.release)
        elif number and self.control is not None:
            self.control.identifier = number
        if ssrcs:
            self._voices[mid] = ssrcs[0]
        for ssrc in ssrcs:
            self._senders[ssrc] = sender
        if sender.kind == "audio":
            self._sounds = self._sounds.union(ssrcs)
        self._arm()

    def remove_sender(self, sender: RtpSender) -> None:
        """Route nothing to a sender any more."""
        self._senders = {k: s for k, s in self._senders.items() if s is not sender}
        self._voices = {mid: ssrc for mid, ssrc in self._voices.items() if ssrc in self._senders}
        self._sounds = self._sounds.intersection(self._senders)
        self._disarm_if_idle()

    def voice(self, mid: str) -> int:
        """The SSRC that speaks about what arrives in a section: one that is sent there, or else one that is sent.

        Janus takes RTCP for the section whose SSRC speaks, whatever it is about; browsers speak like this.
        """
        return self._voices.get(mid) or next(iter(self._senders), self._feedback_ssrc)

    # -- out ---------------------------------------------------------------------------------------

    @property
    def pacer(self) -> Pacer | None:
        """Holds packets of media back; None to send them at once."""
        return self._pacer

    @pacer.setter
    def pacer(self, value: Pacer | None) -> None:
        self._pacer = value
        self._open_state()

    def waits(self, ssrc: int) -> bool:
        """Whether packets of a stream wait where they come faster than the path bears."""
        return ssrc not in self._sounds

    def send_delay(self, *ssrcs: int | None) -> float | None:
        """How long packets of these streams have waited for their turn, in s; None where another pacer has them."""
        if self._pacer is not None:
            return None
        delays = {} if self._pacing is None else self._pacing.delays
        return sum([delays.get(ssrc, 0.0) for ssrc in ssrcs if ssrc is not None])

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send an RTP packet, at the pace that an estimate allows; dropped unless connected."""
        if self._pacer is not None:
            self._pacer.take(packet)
        elif self._pacing is not None:
            self._pacing.take(packet)
        else:
            self.release(packet)

    def send_sound(self, packet: bytes) -> None:
        """Send a packet of sound, which never waits for pictures."""
        if self._pacer is not None:
            self._pacer.take(packet)
        else:
            self.release(packet, alone=True)

    def release(self, packet: bytes, *, alone: bool = False) -> None:
        """Protect and send an RTP packet now, past the pacer; dropped unless connected.

        Args:
            alone: no other follows soon, as the packets of a picture do.
        """
        srtp = self._srtp
        if srtp is None:
            srtp = self._key()
            if srtp is None:
                return
        wide_at = wide = 0
        if self.control is not None:
            wide_at, wide = self.control.claim(packet[0], packet, 0)
        try:
            protected = srtp.protect(packet, wide_at, wide)
        except (pylibsrtp.Error, ValueError) as exc:
            self.not_protected(exc)
            return
        (self._send_alone if alone else self._send)(protected)

    def send_parts(
        self,
        first: int,
        second: int,
        number: int,
        timestamp: int,
        ssrc: int,
        body: bytes,
        patch_at: int = 0,
        patch: bytes = b"",
    ) -> None:
        """Write, protect and send an RTP packet, in one step; dropped unless connected.

        It waits only where it comes faster than the path bears, or behind others that wait; sound never does.

        Args:
            first, second: the first two octets of the header.
            body: what follows the fixed header.
            patch: overwrites bytes of the body at `patch_at`.
        """
        srtp = self._srtp
        if srtp is None:
            srtp = self._key()
            if srtp is None:
                return
        if self._pacer is not None:
            if patch:
                body = body[:patch_at] + patch + body[patch_at + len(patch) :]
            self._pacer.take(HEADER.pack(first, second, number, timestamp, ssrc) + body)
            return
        pacing = self._pacing
        if pacing is not None:
            tokens = pacing.tokens
            tokens[0] -= len(body)
            if tokens[0] < 0.0 and ssrc not in self._sounds and not pacing.admits(len(body)):
                if patch:
                    body = body[:patch_at] + patch + body[patch_at + len(patch) :]
                pacing.put(HEADER.pack(first, second, number, timestamp, ssrc) + body)
                return
        wide_at = wide = 0
        if self.control is not None:
            wide_at, wide = self.control.claim(first, body, HEADER_SIZE)
        try:
            protected = srtp.protect_parts(
                first, second, number, timestamp, ssrc, body, patch_at, patch, wide_at, wide
            )
        except (pylibsrtp.Error, ValueError) as exc:
            self.not_protected(exc)
            return
        self._send(protected)

    def not_protected(self, exc: Exception) -> None:
        """A packet could not be protected: it is dropped, and counted."""
        self.unsendable += 1
        logger.debug("%s cannot protect a packet: %s", self._name, exc)

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send a (compound) RTCP packet; dropped unless connected."""
        srtp = self._srtp or self._key()
        if srtp is None:
            return
        try:
            self._send(srtp.protect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as exc:
            logger.debug("%s cannot protect RTCP: %s", self._name, exc)

    def send_feedback(self, mid: str, report: rtcp.ReceiverInfo, write: Callable[[int], bytes]) -> None:
        """Send feedback about what arrives in a section, behind a report about the same stream.

        "All RTCP packets MUST be sent in a compound packet" that begins with a report (RFC 3550 6.1); reduced size has
        to be negotiated, and Janus finds the section of a peer that sends nothing by the report alone.

        Args:
            write: makes the packet, given the SSRC that speaks.
        """
        ssrc = self.voice(mid)
        self.send_rtcp(rtcp.write_receiver_report(ssrc, [report]) + write(ssrc))

    def _key(self) -> SrtpSessions | None:
        if self.connected:
            self._srtp = self._make_srtp()
            self._open_state()
        return self._srtp

    def _open_state(self) -> None:
        """Packets may be protected past us while all that we would do is to protect them."""
        srtp = self._srtp
        if srtp is None or self._pacer is not None:
            self.state.shut()
        else:
            self.state.open(libsrtp.session_address(srtp.protect_parts), srtp)

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take an SRTP or SRTCP packet from the network."""
        srtp = self._srtp
        if srtp is None:
            srtp = self._key()
            if srtp is None:
                return
        if len(data) < 8:
            return
        try:
            # RFC 5761 section 4: payload types 64 to 95 would look like RTCP and are not used
            if 192 <= data[1] <= 223:
                self._receive_rtcp(srtp.unprotect_rtcp(data))
            else:
                self._receive_rtp(srtp.unprotect(data))
        except pylibsrtp.Error as exc:
            logger.debug("%s cannot decrypt a packet: %s", self._name, exc)
            found = self._note_undecrypted(srtp, data, exc)
            if found is not None:
                self._receive_recovered(found)
        except ValueError as exc:
            logger.debug("%s ignores a packet: %s", self._name, exc)

    def tap(self, ssrc: int, tap: Tap) -> None:
        """Give the packets of an SSRC to `tap` before anything is made of them."""
        self._taps[ssrc] = tap

    def tap_of(self, ssrc: int) -> Tap | None:
        """The tap that gets the packets of an SSRC first; None if there is none."""
        return self._taps.get(ssrc)

    def untap(self, ssrc: int) -> None:
        """Give the packets of an SSRC to its tap no longer."""
        self._taps.pop(ssrc, None)

    @property
    def extension_uris(self) -> Mapping[int, str]:
        """The URIs of header extensions, by id."""
        return self._ids.by_id

    def _receive_rtp(self, data: bytes) -> None:
        ssrc = int.from_bytes(data[8:12], "big")
        if ssrc not in self._decrypted:
            self._note_decrypted(ssrc)
        if self._watch.runs:
            self._watch.runs.pop(ssrc, None)
        if self._arrivals is not None:
            self._arrivals.note(data, ssrc)
        if self._taps:
            tap = self._taps.get(ssrc)
            if tap is not None and tap(data, wall_time(self._loop)):
                return
        packet = parse_rtp_untrusted(data, self._ids)
        routes, ssrc, mid = self._routes, packet.ssrc, packet.mid
        receiver = routes.by_ssrc.get(ssrc)
        if receiver is None or (mid is not None and routes.by_mid.get(mid) is not receiver):
            receiver = routes.find(ssrc, mid, packet.payload_type)
            if receiver is None:
                return
        receiver.on_rtp(packet, wall_time(self._loop))

    def _note_decrypted(self, ssrc: int) -> None:
        """The first packet of a stream authenticates: libsrtp has a state for it now."""
        if len(self._decrypted) >= DECRYPTED_SSRCS_MAX:
            oldest = next((known for known in self._decrypted if known not in self._routes.by_ssrc), None)
            oldest = next(iter(self._decrypted)) if oldest is None else oldest
            del self._decrypted[oldest]
            if self._srtp is not None:
                self._srtp.forget(oldest)
        self._decrypted[ssrc] = None

    def _note_undecrypted(self, srtp: SrtpSessions, data: bytes, exc: pylibsrtp.Error) -> bytes | None:
        """A packet fails; the RTP packet that it is if the count of its stream's cycles was lost, and is found now."""
        ssrc = int.from_bytes(data[8:12], "big")
        # copies are no failures ("index too old" is: so a number looks that is half a cycle ahead), and what nobody
        # knows anybody can send
        if 192 <= data[1] <= 223 or ssrc not in self._routes.by_ssrc or "bad index" in str(exc):
            return None
        return srtp.recover(data) if self._watch.note_failure(ssrc, wall_time()) else None

    def _receive_recovered(self, plain: bytes) -> None:
        logger.info("%s goes on with a stream of which more than 32,768 packets were lost", self._name)
        try:
            self._receive_rtp(plain)
        except ValueError as exc:
            logger.debug("%s ignores a packet: %s", self._name, exc)

    @property
    def undecrypted(self) -> int:
        """How many packets of known streams could not be decrypted."""
        return self._watch.failed

    @property
    def undecrypted_for(self) -> float:
        """How long nothing of a stream that arrives could be decrypted, in seconds; 0.0 while all is well."""
        return self._watch.failing_for(wall_time())

    def _receive_rtcp(self, data: bytes) -> None:
        now = wall_time()
        ssrc = int.from_bytes(data[4:8], "big")
        if ssrc not in self._decrypted:
            self._note_decrypted(ssrc)
        told, data = feedback.split_untrusted(data)
        if told:
            self._take_arrivals(told)
            if not data:
                return
        try:
            packets = rtcp.parse_rtcp_untrusted(data)
        except (ValueError, struct.error, IndexError) as exc:
            logger.debug("%s ignores RTCP: %s", self._name, exc)
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport):
                receiver = self._routes.by_ssrc.get(packet.ssrc)
                if receiver is not None:
                    receiver.on_sender_report(packet, now)
            elif isinstance(packet, rtcp.Bye):
                for ssrc in packet.sources:
                    receiver = self._routes.by_ssrc.get(ssrc)
                    if receiver is not None:
                        receiver.on_bye(ssrc)
            if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                for report in packet.reports:
                    self._feed(report.ssrc, packet, now)
            elif isinstance(packet, rtcp.PayloadFeedback | rtcp.TransportFeedback):
                for ssrc in rtcp.feedback_targets(packet):
                    self._feed(ssrc, packet, now)

    def _feed(self, ssrc: int, packet: rtcp.Feedback, now: float) -> None:
        sender = self._senders.get(ssrc)
        if sender is not None:
            sender.on_feedback(ssrc, packet, now)

    def _take_arrivals(self, told: list[bytes]) -> None:
        if self.control is None or self._prober is None:
            return
        for packet in told:
            self.control.on_feedback(packet)
        estimate = self.control.estimate
        if estimate is not None:
            self._on_estimate(estimate)
        self._prober.consider(self._wanted())

    def _wanted(self) -> int:
        """The bitrate that could be sent if the path bore it, in bit/s: what makes each sender's part large enough."""
        least, most, takers = 0, 0, 0
        for sender in dict.fromkeys(self._senders.values()):
            need = sender.need
            if need is None:
                takers += 1
                most = max(most, sender.wanted)
            else:
                least += need
        return least + takers * most if most else 0

    def _make_padding(self, size: int) -> bytes | None:
        for sender in dict.fromkeys(self._senders.values()):
            packet = sender.make_padding(size)
            if packet is not None:
                return packet
        return None

    @property
    def estimate(self) -> int | None:
        """The bitrate that the path bears, as feedback about packets tells, or else the other end; None if unknown."""
        found = None if self.control is None else self.control.estimate
        if found is None and self._remb and wall_time() - self._remb_at < REMB_LIFETIME:
            return self._remb
        return found

    def take_remb(self, bitrate: int, now: float) -> None:
        """The other end says what the path bears, in bit/s; it counts where feedback does not say it better."""
        self._remb, self._remb_at = bitrate, now
        if self.control is None or self.control.estimate is None:
            self._on_estimate(bitrate)

    def may_repeat(self, size: int, now: float) -> bool:
        """Whether a packet may be sent again, which counts then: there is a bound for all streams together.

        Args:
            size: in bytes.
            now: the time of day.
        """
        return self._repeats.take(size, self.estimate, now)

    def note_overhead(self, size: int, now: float) -> None:
        """Count bytes of correction that are sent: there is less for what is new."""
        self._repeats.count(size, now)

    def _on_estimate(self, bitrate: int) -> None:
        if self._pacing is not None:
            self._pacing.set_estimate(bitrate)
        bitrate = self._repeats.left(bitrate, wall_time())
        takers: list[RtpSender] = []
        for sender in dict.fromkeys(self._senders.values()):
            need = sender.need
            if need is None:
                takers.append(sender)
            else:
                bitrate -= need
        bitrate, weights = max(ESTIMATE_MIN, bitrate), sum([sender.weight for sender in takers])
        for sender in takers:
            sender.on_estimate(int(bitrate * sender.weight / weights))

    def _send_arrivals(self, write: Callable[[int], list[bytes]]) -> None:
        if not self.connected:
            return
        ssrc = self.voice("")
        self._send_parts([rtcp.write_receiver_report(ssrc, []), *write(ssrc)])

    # -- life --------------------------------------------------------------------------------------

    def on_connected(self) -> None:
        """DTLS is connected."""
        self.connected = True
        self._loop = running_loop()
        self._tell(True)
        self._arm()

    def on_closed(self) -> None:
        """DTLS has ended."""
        self.connected = False
        self._srtp = None
        self._open_state()
        self._watch.runs.clear()
        if self._arrivals is not None:
            self._arrivals.close()
        if self._pacing is not None:
            self._pacing.close()
        if self._prober is not None:
            self._prober.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell(False)

    def _tell(self, connected: bool) -> None:
        for receiver in list(self._receivers):
            receiver.on_transport(connected)
        for sender in list(dict.fromkeys(self._senders.values())):
            sender.on_transport(connected)

    # -- reports -----------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is None and self.connected and (self._receivers or self._senders):
            # RFC 3550 section 6.3.1: between half and one and a half of the interval
            delay = RTCP_INTERVAL * (0.5 + random.random())
            self._timer = asyncio.get_running_loop().call_later(delay, self._report)

    def _disarm_if_idle(self) -> None:
        if self._timer is not None and not self._receivers and not self._senders:
            self._timer.cancel()
            self._timer = None

    def _send_parts(self, parts: list[bytes]) -> None:
        compound = b""
        for part in parts:
            if compound and len(compound) + len(part) > RTCP_MTU:
                self.send_rtcp(compound)
                compound = b""
            compound += part
        if compound:
            self.send_rtcp(compound)

    def _report(self) -> None:
        self._timer = None
        now = wall_time()
        # one compound packet per section that sends, as browsers have it; sections that only receive share one
        spoken: dict[int, list[bytes]] = {}
        said: set[RtpSender] = set()
        for ssrc, sender in self._senders.items():
            if sender not in said:
                said.add(sender)
                spoken[ssrc] = sender.sender_reports(now)
        mids = {receiver: mid for mid, receiver in self._routes.by_mid.items()}
        heard: dict[int, list[rtcp.ReceiverInfo]] = {}
        for receiver in self._receivers:
            heard.setdefault(self.voice(mids.get(receiver, "")), []).extend(receiver.reports(now))
        for ssrc, blocks in heard.items():
            for start in range(0, len(blocks), REPORTS_MAX):
                report = rtcp.write_receiver_report(ssrc, blocks[start : start + REPORTS_MAX])
                spoken.setdefault(ssrc, []).append(report)
        for parts in spoken.values():
            self._send_parts(parts)
        self._arm()
