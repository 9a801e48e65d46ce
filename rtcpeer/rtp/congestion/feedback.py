"""Transport-wide feedback: which packets of a transport arrived, and when, as bytes of RTCP.

The format is that of draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1. Pure.
"""

from __future__ import annotations

from struct import Struct

from rtcpeer.records import record

PACKET_TYPE = 205
FORMAT = 15
TICK = 0.00025
"""Arrival times are told in units of 250 us."""
TICKS_PER_REFERENCE = 256
# A packet that tells of more is not believed: nobody has that many under way.
STATUS_MAX = 8192
# What one packet of ours tells of, so that it stays below an MTU.
WRITTEN_MAX = 400
_HEAD = Struct("!BBHLLHH")
_U16 = Struct("!H")
_S16 = Struct("!h")
_RUN_MAX = 0x1FFF


@record(slots=True)
class TransportFeedback:
    """The content of one packet of transport-wide feedback.

    Attributes:
        base: the number of the first packet it tells of, 16 bits.
        reference: the time that arrivals count from, in ticks; 32 bits of a clock of the other end.
        arrivals: by number, from `base` on: ticks since the reference, None for what did not arrive.
    """

    base: int
    reference: int
    arrivals: list[int | None]


def is_feedback(data: bytes, at: int = 0) -> bool:
    """Whether the RTCP packet that begins here is transport-wide feedback."""
    return data[at + 1] == PACKET_TYPE and data[at] & 0x1F == FORMAT


def split_untrusted(data: bytes) -> tuple[list[bytes], bytes]:
    """Take the transport-wide feedback out of a compound packet.

    Returns:
        The packets of feedback, and what else there is, in order; what is cut off stays there.
    """
    found: list[bytes] = []
    others: list[bytes] = []
    at, size = 0, len(data)
    while at + 4 <= size:
        end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
        if end > size:
            break
        (found if is_feedback(data, at) else others).append(data[at:end])
        at = end
    if not found:
        return found, data
    return found, b"".join(others) + data[at:]


def parse_untrusted(data: bytes) -> TransportFeedback:
    """Read one packet of feedback.

    Raises:
        ValueError: it is cut off, or tells of too many packets.
    """
    size = len(data)
    if size < 20:
        raise ValueError("transport-wide feedback is cut off")
    if data[0] & 0x20:
        # RFC 3550 section 6.4.1: the last octet counts the padding
        padding = data[-1]
        if not padding or size - padding < 20:
            raise ValueError("transport-wide feedback has a wrong padding")
        size -= padding
    base, count = _U16.unpack_from(data, 12)[0], _U16.unpack_from(data, 14)[0]
    if not count or count > STATUS_MAX:
        raise ValueError(f"transport-wide feedback tells of {count} packets")
    reference = int.from_bytes(data[16:19], "big") * TICKS_PER_REFERENCE
    symbols, at = _read_symbols(data, size, count)
    arrivals: list[int | None] = []
    time = 0
    for symbol in symbols:
        if symbol == 1:
            if at >= size:
                raise ValueError("the times of transport-wide feedback are cut off")
            time += data[at]
            at += 1
            arrivals.append(time)
        elif symbol == 2:
            if at + 2 > size:
                raise ValueError("the times of transport-wide feedback are cut off")
            time += _S16.unpack_from(data, at)[0]
            at += 2
            arrivals.append(time)
        else:
            # 3 is reserved
            arrivals.append(None)
    return TransportFeedback(base, reference, arrivals)


def _read_symbols(data: bytes, size: int, count: int) -> tuple[list[int], int]:
    """The status of each packet, and where the times begin (sections 3.1.1 to 3.1.4)."""
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        if at + 2 > size:
            raise ValueError("the statuses of transport-wide feedback are cut off")
        chunk = data[at] << 8 | data[at + 1]
        at += 2
        if not chunk & 0x8000:
            run = min(chunk & _RUN_MAX, count - len(symbols))
            if not run:
                raise ValueError("transport-wide feedback has an empty run")
            symbols += [chunk >> 13 & 3] * run
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    del symbols[count:]
    return symbols, at


def write(ssrc: int, media_ssrc: int, index: int, base: int, times: list[int | None]) -> tuple[bytes, int]:
    """Write one packet of feedback.

    Args:
        ssrc: who speaks.
        media_ssrc: a stream that the packets belong to.
        index: counts the packets of feedback.
        base: the number of the first packet.
        times: when they arrived, in ticks, from `base` on; None for what did not arrive.

    Returns:
        The packet, and how many of `times` it tells of: fewer than all where one is too far from the one before.
    """
    first = next((time for time in times[:WRITTEN_MAX] if time is not None), 0)
    reference = first // TICKS_PER_REFERENCE
    last = reference * TICKS_PER_REFERENCE
    symbols: list[int] = []
    deltas = bytearray()
    for time in times[:WRITTEN_MAX]:
        if time is None:
            symbols.append(0)
            continue
        delta = time - last
        if 0 <= delta <= 255:
            symbols.append(1)
            deltas.append(delta)
        elif -32768 <= delta <= 32767:
            symbols.append(2)
            deltas += _S16.pack(delta)
        else:
            break
        last = time
    body = _write_symbols(symbols) + bytes(deltas)
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    head = _HEAD.pack(
        0x80 | FORMAT | (0x20 if padding else 0),
        PACKET_TYPE,
        4 + len(body) // 4,
        ssrc,
        media_ssrc,
        base & 0xFFFF,
        len(symbols),
    )
    packet = head + (reference & 0xFFFFFF).to_bytes(3, "big") + bytes((index & 0xFF,)) + body
    return packet, len(symbols)


def _write_symbols(symbols: list[int]) -> bytes:
    chunks = bytearray()
    at, size = 0, len(symbols)
    while at < size:
        symbol = symbols[at]
        end = at + 1
        while end < size and symbols[end] == symbol and end - at < _RUN_MAX:
            end += 1
        if end - at >= 7 or end == size:
            chunks += _U16.pack(symbol << 13 | end - at)
            at = end
            continue
        part = symbols[at : at + 14]
        if 2 not in part:
            vector = 0x8000
            for index, value in enumerate(part):
                vector |= value << 13 - index
        else:
            part = part[:7]
            vector = 0xC000
            for index, value in enumerate(part):
                vector |= value << 12 - 2 * index
        chunks += _U16.pack(vector)
        at += len(part)
    return bytes(chunks)
