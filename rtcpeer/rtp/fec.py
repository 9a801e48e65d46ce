"""Forward error correction of video (ULPFEC, RFC 5109): packets from which a lost one can be made again.

A correcting packet is the exclusive or of those it protects; with all of them but one, it gives the one. It travels
as browsers have it: media and corrections both inside RED (RFC 2198), with one line of sequence numbers. What
changes after the correction was made, the time of sending in the header, is zero in it.
Pure. Never: sends.
"""

from __future__ import annotations

from collections import OrderedDict

from rtcpeer.records import record
from rtcpeer.rtp.packet import HEADER_SIZE, ONE_BYTE

# Section 7.3: ten bytes, and 7.4: length and mask of the one level that is in use
_FEC_HEADER = 10
_LONG_MASK = 0x40
_SHORT_BITS, _LONG_BITS = 16, 48
# Protected packets and corrections that are kept; together some hundred kB
_MEDIA_MAX = 192
_CORRECTIONS_MAX = 32
# Less loss than this is left to retransmission.
_LOSS_MIN = 0.01
# Streams of one section whose packets are kept
STREAMS_MAX = 8


def protectable(packet: bytes, payload_type: int, send_time_id: int | None) -> bytes:
    """A packet as it is protected: out of RED, and without the time of its sending.

    Args:
        packet: in RED with a single block.
        payload_type: of that block.
        send_time_id: the id of the header extension abs-send-time.

    Raises:
        ValueError: it is malformed.
    """
    body = HEADER_SIZE + 4 * (packet[0] & 15)
    result = bytearray(packet)
    if packet[0] & 0x10:
        if len(packet) < body + 4:
            raise ValueError("header extension is cut off")
        end = body + 4 + 4 * int.from_bytes(packet[body + 2 : body + 4], "big")
        if send_time_id is not None and int.from_bytes(packet[body : body + 2], "big") == ONE_BYTE:
            _zero(result, body + 4, end, send_time_id)
        body = end
    if body >= len(packet):
        raise ValueError("a packet in RED has no block")
    del result[body]
    result[1] = packet[1] & 0x80 | payload_type
    return bytes(result)


def _zero(packet: bytearray, at: int, end: int, identifier: int) -> None:
    """Zero one element of the one-byte form (RFC 8285 section 4.2)."""
    while at < end:
        head = packet[at]
        at += 1
        if not head:
            continue
        if not 0x10 <= head < 0xF0:
            # what follows is not read
            return
        length = (head & 15) + 1
        if head >> 4 == identifier and at + length <= end:
            packet[at : at + length] = bytes(length)
        at += length


def _xor(parts: list[bytes], size: int) -> bytes:
    """The exclusive or of byte strings, the shorter ones with zeros behind."""
    total = 0
    for part in parts:
        total ^= int.from_bytes(part, "big") << 8 * (size - len(part))
    return total.to_bytes(size, "big")


def _bits(packet: bytes) -> bytes:
    """The protected bits of a header: flags and type, timestamp, length (section 7.3)."""
    return packet[:2] + packet[4:8] + (len(packet) - HEADER_SIZE).to_bytes(2, "big")


@record(frozen=True, slots=True)
class _Correction:
    numbers: tuple[int, ...]
    bits: bytes
    body: bytes


def _read(payload: bytes) -> _Correction:
    """A correcting packet's payload.

    Raises:
        ValueError: it is malformed.
    """
    is_long = bool(payload and payload[0] & _LONG_MASK)
    width = _LONG_BITS if is_long else _SHORT_BITS
    start = _FEC_HEADER + 2 + width // 8
    if len(payload) < start or payload[0] & 0x80:
        raise ValueError("a FEC payload is too short")
    base = int.from_bytes(payload[2:4], "big")
    size = int.from_bytes(payload[10:12], "big")
    mask = int.from_bytes(payload[12:start], "big")
    body = payload[start : start + size]
    numbers = tuple([base + place & 0xFFFF for place in range(width) if mask >> width - 1 - place & 1])
    if not numbers or len(body) < size:
        raise ValueError("a FEC payload is cut off or protects nothing")
    return _Correction(numbers, payload[:2] + payload[4:10], body)


class Recovery:
    """Makes lost packets of one stream again.

    Args:
        ssrc: of the stream.
        send_time_id: the id of the header extension abs-send-time.

    Attributes:
        discarded: corrections of no use: nothing was missing, or it cannot be made any more.
    """

    def __init__(self, ssrc: int, send_time_id: int | None) -> None:
        self._ssrc = ssrc.to_bytes(4, "big")
        self._send_time_id = send_time_id
        # By sequence number, as they came in RED with the payload type inside, or with None as they are protected:
        # most are never needed.
        self._media: OrderedDict[int, tuple[bytes, int | None]] = OrderedDict()
        self._corrections: list[_Correction] = []
        self.discarded: int = 0

    def add_media(self, packet: bytes, payload_type: int) -> list[bytes]:
        """A packet came, in RED with a single block of this type; give what can be made with it."""
        self._keep(packet, payload_type)
        return self._recover() if self._corrections else []

    def add_correction(self, payload: bytes) -> list[bytes]:
        """A correction came; give the packets that can be made with it.

        Raises:
            ValueError: it is malformed.
        """
        self._corrections.append(_read(payload))
        self.discarded += max(0, len(self._corrections) - _CORRECTIONS_MAX)
        del self._corrections[:-_CORRECTIONS_MAX]
        return self._recover()

    def _keep(self, packet: bytes, payload_type: int | None) -> None:
        self._media[int.from_bytes(packet[2:4], "big")] = (packet, payload_type)
        if len(self._media) > _MEDIA_MAX:
            self._media.popitem(last=False)

    def _packet(self, number: int) -> bytes:
        packet, payload_type = self._media[number]
        if payload_type is not None:
            packet = protectable(packet, payload_type, self._send_time_id)
            self._media[number] = (packet, None)
        return packet

    def _recover(self) -> list[bytes]:
        made: list[bytes] = []
        is_progress = True
        while is_progress:
            is_progress = False
            waiting = []
            for correction in self._corrections:
                missing = [number for number in correction.numbers if number not in self._media]
                if len(missing) > 1:
                    waiting.append(correction)
                elif not missing:
                    self.discarded += 1
                else:
                    packet = self._make(correction, missing[0])
                    if packet is None:
                        self.discarded += 1
                    else:
                        self._keep(packet, None)
                        made.append(packet)
                        is_progress = True
            self._corrections = waiting
        return made

    def _make(self, correction: _Correction, number: int) -> bytes | None:
        others = [self._packet(n) for n in correction.numbers if n != number]
        limit = len(correction.body)
        bits = _xor([correction.bits, *map(_bits, others)], 8)
        size = int.from_bytes(bits[6:], "big")
        if size > limit:
            return None
        body = _xor([correction.body, *(p[HEADER_SIZE : HEADER_SIZE + limit] for p in others)], limit)
        head = bytes((bits[0] & 0x3F | 0x80, bits[1])) + number.to_bytes(2, "big") + bits[2:6]
        return head + self._ssrc + body[:size]


def correct(packets: list[bytes], count: int) -> list[bytes]:
    """The payloads of corrections for the packets of one frame.

    Args:
        packets: as `protectable` gives them, in order, 48 at most.
        count: how many corrections; each one protects every `count`th packet.
    """
    base = int.from_bytes(packets[0][2:4], "big")
    width = _SHORT_BITS if len(packets) <= _SHORT_BITS else _LONG_BITS
    result = []
    for first in range(min(count, len(packets))):
        places = range(first, len(packets), count)
        chosen = [packets[place] for place in places]
        size = max(len(packet) for packet in chosen) - HEADER_SIZE
        bits = _xor([_bits(packet) for packet in chosen], 8)
        mask = sum(1 << width - 1 - place for place in places)
        flags = bits[0] & 0x3F | (_LONG_MASK if width == _LONG_BITS else 0)
        result.append(
            bytes((flags, bits[1]))
            + base.to_bytes(2, "big")
            + bits[2:]
            + size.to_bytes(2, "big")
            + mask.to_bytes(width // 8, "big")
            + _xor([packet[HEADER_SIZE:] for packet in chosen], size)
        )
    return result


@record(frozen=True, slots=True)
class Protection:
    """How one stream is protected: negotiated payload types, and the id of abs-send-time."""

    red: int
    ulpfec: int
    send_time_id: int | None

    def corrections(self, packets: int, loss: float) -> int:
        """How many corrections a frame gets; twice what is lost, half of the frame at most."""
        if loss < _LOSS_MIN or packets > _LONG_BITS:
            return 0
        return max(1, round(packets * min(0.5, 2 * loss)))

    def correct(self, packets: list[bytes], payload_type: int, count: int) -> list[bytes]:
        """The payloads, for RED, of the corrections of one frame whose packets are in RED."""
        protected = [protectable(packet, payload_type, self.send_time_id) for packet in packets]
        return [bytes((self.ulpfec,)) + payload for payload in correct(protected, count)]
