"""Packets for tests of forwarding: VP8 of one packet or more per picture, and who takes what leaves."""

from rtcpeer.rtp.forwarding import Output, SourceStream
from rtcpeer.rtp.headers import HeaderPlan
from rtcpeer.rtp.relay_packet import RelayPacket
from rtcpeer.rtp.repeating import Retransmissions

PLAN = HeaderPlan({96: 100}, "0", {})


def vp8(picture, *, key=False, start=True, layer=0, size=20, temporal=0, synchronized=True):
    """A VP8 payload with a long picture id, TL0PICIDX, TID, Y and KEYIDX."""
    descriptor = bytes(
        (0x90 if start else 0x80, 0xF0, 0x80 | picture >> 8 & 0x7F, picture & 0xFF, layer & 0xFF)
    )
    return (
        descriptor
        + bytes((temporal << 6 | 0x20 * synchronized | layer & 0x1F,))
        + bytes((0 if key else 1,))
        + bytes(size)
    )


class Publisher:
    """Makes the packets of one stream, in order; tests drop, delay and repeat them."""

    def __init__(self, ssrc=1, *, number=65000, timestamp=2**32 - 5000, picture=32700, is_video=True):
        self.stream = SourceStream(ssrc, is_video=is_video, clock_rate=90000 if is_video else 48000)
        self.number, self.timestamp, self.picture = number, timestamp, picture
        self.layer = 250
        self.is_video = is_video

    def picture_packets(self, *, key=False, count=1):
        self.timestamp = self.timestamp + 3000 & 0xFFFFFFFF
        self.picture = self.picture + 1 & 0x7FFF
        self.layer += 1
        packets = []
        for index in range(count):
            payload = vp8(self.picture, key=key, start=index == 0, layer=self.layer)
            if not self.is_video:
                payload = bytes(20)
            marker = 0x80 if index == count - 1 else 0
            packet = RelayPacket(96, marker, self.number, self.timestamp, self.stream.ssrc, payload)
            packets.append(packet)
            self.number = self.number + 1 & 0xFFFF
        return packets

    def take(self, packet, now=0.0):
        fresh = RelayPacket(
            96, packet.marker, packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload
        )
        self.stream.take(fresh, "VP8" if self.is_video else "OPUS", now)

    def send(self, now=0.0, **options):
        for packet in self.picture_packets(**options):
            self.take(packet, now)


class Sent:
    """One packet that left."""

    def __init__(self, first, second, number, timestamp, ssrc, body):
        self.marker, self.payload_type = second >> 7, second & 0x7F
        self.number, self.timestamp, self.ssrc, self.body = number, timestamp, ssrc, body

    @property
    def picture(self):
        return (self.body[2] & 0x7F) << 8 | self.body[3]

    @property
    def layer(self):
        return self.body[4]

    @property
    def key_index(self):
        return self.body[5] & 0x1F

    @property
    def is_key(self):
        return not self.body[6] & 1 and self.body[0] & 0x10


class Subscriber:
    """An output and what it sent."""

    def __init__(
        self, *, number=0x10000 + 500, timestamp=None, sent_at=0.0, plan=PLAN, rtx=None, clock_rate=90000
    ):
        self.sent = []
        self.output = Output(
            7, plan, self.write, number=number, timestamp=timestamp, sent_at=sent_at, clock_rate=clock_rate
        )
        self.repeats = Retransmissions(self.output)
        self.repeats.rtx = rtx

    def write(self, first, second, number, timestamp, ssrc, body, patch_at=0, patch=b""):
        body = body[:patch_at] + patch + body[patch_at + len(patch) :] if patch else body
        self.sent.append(Sent(first, second, number, timestamp, ssrc, body))

    @property
    def numbers(self):
        return [packet.number for packet in self.sent]
