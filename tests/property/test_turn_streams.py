"""Streams to a TURN server: cut, damaged and made up, they cost little and harm nothing.

The suite is short here and long in `make fuzz` (RTCPEER_FUZZ_CASES). A case is one seed, which a failure names.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from rtcpeer.ice.agent.sockets import BaseContext
from rtcpeer.ice.agent.tcp import TcpBase
from rtcpeer.stun import message as stun
from rtcpeer.turn.client import TurnClient
from rtcpeer.turn.framing import Frames

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))
KEY = stun.long_term_key("user", "example", "pass")
PEER = ("198.51.100.9", 9999)
LARGEST = 20 + 65535


def message(rng: random.Random) -> bytes:
    """A STUN message or ChannelData as it stands in a stream."""
    size = rng.choice((0, 1, 3, 4, 60, rng.randrange(1500)))
    if rng.random() < 0.5:
        number = rng.randrange(0x4000, 0x5000)
        return number.to_bytes(2, "big") + size.to_bytes(2, "big") + rng.randbytes(size) + bytes(-size & 3)
    kind = rng.choice((stun.DATA_INDICATION, stun.ALLOCATE | stun.SUCCESS, stun.REFRESH | stun.ERROR))
    body = stun.attribute(rng.choice((stun.DATA, stun.REALM, 0x7777)), rng.randbytes(size))
    return stun.encode(kind, rng.randbytes(12), body, rng.choice((None, KEY)))


def chunks(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """The bytes as a network may cut them."""
    largest = rng.choice((1, 3, 50, 1400, 1 << 16))
    while data:
        size = rng.randint(1, largest)
        yield data[:size]
        data = data[size:]


def damaged(rng: random.Random, data: bytes) -> bytes:
    """A stream with a few things wrong."""
    wire = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(wire) + 1)
        what = rng.randrange(4)
        if what == 0 and wire:
            wire[at % len(wire)] = rng.randrange(256)
        elif what == 1:
            del wire[at : at + rng.randint(1, 8)]
        elif what == 2:
            wire[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            wire[at : at + 4] = rng.choice(
                (b"\0\1\xff\xff", b"\x40\0\xff\xff", b"\x7f\xff\0\0", b"\x80\0\0\0")
            )
    return bytes(wire)


def test_any_cut_of_a_good_stream_survives_whole() -> None:
    for seed in range(CASES // 10):
        rng = random.Random(seed)
        whole = [message(rng) for _ in range(rng.randint(1, 6))]
        tail = rng.randbytes(0) if rng.random() < 0.5 else message(rng)[:-1]
        frames, found = Frames(), []
        for chunk in chunks(rng, b"".join(whole) + tail):
            some, good = frames.feed_untrusted(chunk)
            assert good, f"seed {seed}"
            found += some
        assert found == whole, f"seed {seed}"


def test_a_damaged_stream_is_cut_within_bounds_and_survives() -> None:
    for seed in range(CASES // 10):
        rng = random.Random(seed)
        wire = damaged(rng, b"".join(message(rng) for _ in range(rng.randint(1, 4))))
        frames, taken, given = Frames(), 0, 0
        for chunk in chunks(rng, wire):
            given += len(chunk)
            some, good = frames.feed_untrusted(chunk)
            taken += sum(map(len, some))
            assert all(4 <= len(frame) <= LARGEST for frame in some), f"seed {seed}"
            if not good:
                break
            # what is kept is what was given and not handed on, and never more than one message
            assert len(frames._buffer) == given - taken <= LARGEST, f"seed {seed}"


@pytest.mark.parametrize("frame", [b"\0\1\0\0" + bytes(16), b"\x40\0\0\0"])
def test_many_small_messages_in_one_chunk_are_each_looked_at_once(frame: bytes) -> None:
    count = (1 << 18) // len(frame)
    frames, good = Frames().feed_untrusted(frame * count)
    assert good
    assert len(frames) == count


def client(sent: list[bytes]) -> TurnClient:
    """One with an allocation, a permission and a channel on their way."""
    found = TurnClient(
        username="user",
        password="pass",
        send=sent.append,
        receive_data=lambda data, peer: None,
        reliable=True,
        ipv6=True,
        rto=0.5,
        timeout=8,
    )
    found.allocate(0)
    return found


def answer(rng: random.Random, request: stun.StunMessage) -> bytes:
    """Something like a server's answer."""
    challenge = stun.attribute(stun.REALM, b"example") + stun.attribute(stun.NONCE, rng.randbytes(4))
    if not request.authentic(KEY) or rng.random() < 0.2:
        body = stun.error_code(rng.choice((401, 438, 500, 508, 300, 403, 437)), "no") + challenge
        return stun.encode(request.kind | stun.ERROR, request.transaction_id, body)
    body = stun.u32(stun.LIFETIME, rng.choice((0, 1, 600, 2**32 - 1)))
    for _ in range(rng.randint(0, 3)):
        body += stun.xor_address(stun.XOR_RELAYED_ADDRESS, ("203.0.113.1", 5000), request.transaction_id)
    return stun.encode(request.kind | stun.SUCCESS, request.transaction_id, body, KEY)


def test_a_client_survives_what_a_server_makes_up() -> None:
    """It never raises, answers nothing for ever, and keeps its bounds."""
    for seed in range(CASES // 40):
        rng = random.Random(seed)
        sent: list[bytes] = []
        one, now, read = client(sent), 0.0, 0
        for _ in range(30):
            now += rng.choice((0.0, 0.1, 30.0))
            replies = [
                answer(rng, stun.parse_untrusted(data)) for data in sent[read:] if data[0] & 0xC0 != 0x40
            ]
            read = len(sent)
            wire = b"".join(replies) + (message(rng) if rng.random() < 0.3 else b"")
            if rng.random() < 0.3:
                wire = damaged(rng, wire)
            for chunk in chunks(rng, wire):
                if not one.feed_untrusted(now, chunk):
                    one.path_lost("not TURN")
                    break
            one.prepare(now, PEER)
            one.bind(now, PEER)
            one.send_data(now, b"x", PEER)
            one.tick(now)
            assert one.next_time() >= now - 0.001 or one.phase == "gone", f"seed {seed}"
        assert len(sent) < 2000, f"seed {seed}: {len(sent)} messages"
        assert one.phase in ("allocating", "allocated", "gone")
        assert len(one._waiting) + len(one._requests) <= 8, f"seed {seed}"


async def test_a_stream_of_ice_tcp_survives_any_cut_and_damage() -> None:
    for seed in range(CASES // 40):
        rng = random.Random(seed)
        got: list[bytes] = []
        pipe = BaseContext(
            asyncio.get_running_loop().time,
            lambda base, data, address, got=got: got.append(data),  # type: ignore[misc]
            lambda pair: None,
            lambda base, address: None,
            lambda base, address: False,
            1.5,
        )
        base = TcpBase(pipe, "192.0.2.1", None, lambda work: None, is_active=False)  # type: ignore[arg-type]
        stream = Ended()
        feed = base._accept(stream)  # type: ignore[arg-type]
        whole = [bytes([rng.randrange(4)]) + rng.randbytes(rng.randrange(200)) for _ in range(5)]
        wire = b"".join(len(frame).to_bytes(2, "big") + frame for frame in whole)
        spoilt = rng.random() < 0.5
        for chunk in chunks(rng, damaged(rng, wire) if spoilt else wire):
            feed(chunk)
        assert spoilt or got == whole, f"seed {seed}"
        base.close()
        assert stream.is_closed


class Ended:
    """A stream that is written to by nobody."""

    remote_address = ("198.51.100.7", 7)
    local_address = ("192.0.2.1", 1)
    is_closed = False

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is answered here")

    def close(self) -> None:
        self.is_closed = True
