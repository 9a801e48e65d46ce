"""SendSection: what one sender sends with, and over what: the RTP session, the parameters, the streams.

The sender shares it with `encoded_sending` and `sender_forwarding`, which know nothing else of the sender. A stream
that was configured once is kept: its numbers and time go on over pauses, other tracks and other codecs.
Owns: the streams. Never: tracks, encoders, decides whether something is sent.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.media.codecs import PayloadFormat, payload_format, preferred_redundancy, protection_of
from rtcpeer.media.send_stream import SendStream
from rtcpeer.rtp.outbound import HeaderTemplate, OutboundStream
from rtcpeer.rtp.parameters import SendEncoding, SendParameters
from rtcpeer.rtp.red import Redundancy
from rtcpeer.rtp.session import RtpSession


class SendSection:
    """Session, parameters and streams of one sender.

    Args:
        kind: "audio" or "video".

    Attributes:
        session: the RTP session that packets go to.
        parameters: how they are sent.
        formats: the negotiated ones, best first.
        known: all streams that were ever configured, by SSRC.
        streams: those that the parameters name, in their order.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.session: RtpSession | None = None
        self.parameters: SendParameters | None = None
        self.formats: list[PayloadFormat] = []
        self.known: dict[int, SendStream] = {}
        self.streams: list[SendStream] = []
        # formats that were asked for by name
        self._by_name: dict[str, PayloadFormat] = {}

    def attach(self, session: RtpSession) -> None:
        """Send over this session from now on."""
        for stream in self.known.values():
            stream.packets.send_delay_before = self.send_delay(stream) or 0.0
        self.session = session
        for stream in self.known.values():
            self._connect(stream.packets, session)

    def configure(self, parameters: SendParameters | None) -> None:
        """Have the streams that these parameters name, or none."""
        self.parameters = parameters
        self.formats = []
        self._by_name = {}
        self.streams = []
        if parameters is None:
            return
        self.formats = [payload_format(codec) for codec in parameters.codecs]
        for encoding in parameters.encodings:
            stream = self._make_stream(parameters, encoding)
            if stream is not None:
                self.streams.append(stream)

    def send_delay(self, stream: SendStream) -> float | None:
        """How long packets of a stream have waited for their turn so far, in seconds; None where nobody knows."""
        packets = stream.packets
        if self.session is None:
            return packets.send_delay_before
        delay = self.session.send_delay(packets.encoding.ssrc, packets.encoding.rtx_ssrc)
        return None if delay is None else packets.send_delay_before + delay

    @property
    def active(self) -> list[SendStream]:
        """The streams that send now."""
        return [stream for stream in self.streams if stream.packets.encoding.active]

    @property
    def weight(self) -> float:
        """How much of what the path bears it gets, in relation to others: that of its highest priority."""
        return max([stream.packets.encoding.priority.weight for stream in self.active], default=1.0)

    def part_of(self, stream: SendStream, bitrate: int) -> int:
        """The part of one stream of a bitrate for all of them, by their priorities."""
        weights = sum([one.packets.encoding.priority.weight for one in self.active])
        return int(bitrate * stream.packets.encoding.priority.weight / (weights or 1.0))

    @property
    def is_connected(self) -> bool:
        """Whether packets can be sent."""
        return self.session is not None and self.session.connected

    @property
    def has_route(self) -> bool:
        """Whether what is sent has a way to go."""
        return self.session is not None and self.session.has_route()

    def format_of(self, mime_type: str) -> PayloadFormat | None:
        """The negotiated format of a codec; None if it was not negotiated."""
        found = self._by_name.get(mime_type)
        if found is None:
            wanted = mime_type.lower()
            formats = [f for f in self.formats if f.codec.mime_type.lower() == wanted]
            # of H.264 what holds NAL units of any size: those of a frame that is encoded already are as they are
            whole = [f for f in formats if f.codec.parameter("packetization-mode") == "1"]
            found = next(iter(whole or formats), None)
            if found is not None:
                self._by_name[mime_type] = found
        return found

    def tone_format(self) -> PayloadFormat | None:
        """The format of tones (RFC 4733) that goes with the sound that is sent; None if there is none."""
        if self.kind != "audio" or not self.streams:
            return None
        tones = [f for f in self.formats if f.name == "TELEPHONE-EVENT"]
        rate = self.streams[0].format.clock_rate
        return next((f for f in tones if f.clock_rate == rate), tones[0] if tones else None)

    def _make_stream(self, parameters: SendParameters, encoding: SendEncoding) -> SendStream | None:
        formats = self.formats
        wanted = encoding.codec
        form = next((f for f in formats if f.is_media and (wanted is None or f.codec == wanted)), None)
        if form is None:
            form = next((f for f in formats if f.is_media), None)
        if form is None:
            return None
        template = HeaderTemplate(parameters.header_extensions, parameters.mid, encoding.rid)
        stream = self.known.get(encoding.ssrc)
        if stream is None:
            stream = self.known[encoding.ssrc] = SendStream(OutboundStream(encoding, _drop, template), form)
            if self.session is not None:
                self._connect(stream.packets, self.session)
        elif stream.format != form:
            # another codec: other time line, other pictures
            stream.packets.rebase()
            stream.force_keyframe = True
        elif encoding.active and not stream.packets.encoding.active:
            stream.force_keyframe = True
        packets = stream.packets
        stream.format = form
        packets.encoding = encoding
        packets.template = template
        packets.clock_rate = form.clock_rate
        packets.rtx_payload_types = {
            f.apt: f.payload_type for f in formats if f.name == "RTX" and f.apt is not None
        }
        stream.protection = protection_of(formats, form, parameters.header_extensions)
        packets.keep_history(form.nack)
        red = preferred_redundancy(formats, form)
        if red is None:
            stream.redundancy = None
        elif stream.redundancy is None or stream.redundancy.payload_type != red.payload_type:
            stream.redundancy = Redundancy(red.payload_type, form.payload_type)
        return stream

    def _connect(self, packets: OutboundStream, session: RtpSession) -> None:
        send: Callable[[bytes], None] = session.send_sound if self.kind == "audio" else session.send_rtp
        packets.send = send
        packets.may_repeat, packets.note_overhead = session.may_repeat, session.note_overhead


def _drop(_packet: bytes) -> None:
    """Before there is a transport."""
