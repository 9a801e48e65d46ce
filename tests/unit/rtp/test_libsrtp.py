"""SRTP in one buffer: the same packets as pylibsrtp's, of any size."""

import asyncio
import gc
import os
import struct

import pylibsrtp
import pytest

from rtcpeer.rtp import libsrtp
from rtcpeer.rtp.libsrtp import PACKET_MAX, TRAILER_MAX
from rtcpeer.rtp.srtp import PROFILES, SrtpKeys, make_sessions

HEADER = struct.Struct("!BBHLL")


def both_ends(profile):
    keys = SrtpKeys(profile, os.urandom(2 * (profile.key_length + profile.salt_length)))
    return [make_sessions(keys, is_server=is_server) for is_server in (True, False)]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.decode())
def test_packets_of_any_size_pass(profile):
    server, client = both_ends(profile)
    for number, size in enumerate((0, 1, 1100, 1345, 1400, 1488, PACKET_MAX - 12)):
        packet = HEADER.pack(0x80, 96, number, 7, 9) + os.urandom(size)
        assert client.unprotect(server.protect(packet)) == packet
        assert server.unprotect(client.protect(packet)) == packet
        body = os.urandom(size)
        got = client.unprotect(server.protect_parts(0x80, 0xE0, 100 + number, 8, 10, body, 0, b"", 0, 0))
        assert got == HEADER.pack(0x80, 0xE0, 100 + number, 8, 10) + body
    report = struct.pack("!BBHL", 0x80, 201, 1, 5)
    assert client.unprotect_rtcp(server.protect_rtcp(report)) == report


def test_a_part_is_overwritten():
    server, client = both_ends(PROFILES[0])
    got = client.unprotect(server.protect_parts(0x80, 96, 1, 2, 3, b"abcdefgh", 2, b"XYZ", 0, 0))
    assert got[12:] == b"abXYZfgh"
    got = client.unprotect(server.protect(HEADER.pack(0x80, 96, 3, 2, 3) + b"abcdefgh", 14, 0x3132))
    assert got[12:] == b"ab12efgh"
    got = client.unprotect(server.protect_parts(0x80, 96, 2, 2, 3, b"abcdefgh", 2, b"XY", 5, 0x3132))
    assert got[12:] == b"abXYe12h"


def test_a_session_lives_as_long_as_its_functions():
    server, client = both_ends(PROFILES[0])
    protect, unprotect = server.protect_parts, client.unprotect
    del server, client
    gc.collect()
    assert unprotect(protect(0x80, 96, 1, 2, 3, b"abc", 0, b"", 0, 0))[12:] == b"abc"


def test_what_is_too_long_is_refused():
    server, _client = both_ends(PROFILES[0])
    with pytest.raises(ValueError, match="too long"):
        server.protect(bytes(PACKET_MAX + 1))
    with pytest.raises(ValueError, match="too long"):
        server.protect_parts(0x80, 96, 1, 2, 3, bytes(PACKET_MAX), 0, b"", 0, 0)
    with pytest.raises(ValueError, match="too long"):
        server.unprotect(bytes(PACKET_MAX + TRAILER_MAX + 1))


def test_forged_and_repeated_packets_are_refused():
    server, client = both_ends(PROFILES[0])
    protected = server.protect(HEADER.pack(0x80, 96, 1, 2, 3) + b"x")
    with pytest.raises(pylibsrtp.Error, match="authentication"):
        client.unprotect(protected[:-1] + bytes((protected[-1] ^ 1,)))
    client.unprotect(protected)
    with pytest.raises(pylibsrtp.Error, match="replay"):
        client.unprotect(protected)


async def test_sessions_of_one_loop_share_their_buffer_and_not_their_packets():
    one, other = both_ends(PROFILES[0]), both_ends(PROFILES[0])
    packets = [HEADER.pack(0x80, 96, n, 2, 3) + bytes((n,)) * 50 for n in range(4)]
    first = [one[0].protect(packet) for packet in packets]
    second = [other[0].protect(packet) for packet in packets]
    await asyncio.sleep(0)
    assert [one[1].unprotect(packet) for packet in first] == packets
    assert [other[1].unprotect(packet) for packet in second] == packets


def test_rtcp_that_is_too_long_or_forged_is_refused():
    server, client = both_ends(PROFILES[0])
    longest = struct.pack("!BBHL", 0x80, 201, 1, 5) + bytes(PACKET_MAX - 8)
    protected = server.protect_rtcp(longest)
    assert client.unprotect_rtcp(protected) == longest
    with pytest.raises(ValueError, match=f"{PACKET_MAX + 1} bytes is too long: the limit is {PACKET_MAX}"):
        server.protect_rtcp(longest + b"x")
    with pytest.raises(ValueError, match="too long"):
        client.unprotect_rtcp(bytes(PACKET_MAX + TRAILER_MAX + 1))
    with pytest.raises(pylibsrtp.Error, match="authentication"):
        client.unprotect_rtcp(protected[:-1] + bytes((protected[-1] ^ 1,)))


@pytest.mark.parametrize("size", [0, 1, 11])
def test_what_libsrtp_refuses_is_an_error(size):
    server, _client = both_ends(PROFILES[0])
    with pytest.raises(pylibsrtp.Error):
        server.protect(bytes(size))


def test_the_longest_packets_are_taken():
    server, client = both_ends(PROFILES[0])
    packet = HEADER.pack(0x80, 96, 1, 2, 3) + bytes(PACKET_MAX - 12)
    assert client.unprotect(server.protect(packet)) == packet
    parts = server.protect_parts(0x80, 96, 2, 2, 3, bytes(PACKET_MAX - 12), 0, b"", 0, 0)
    assert len(client.unprotect(parts)) == PACKET_MAX
    with pytest.raises(ValueError, match="too long"):
        server.protect_parts(0x80, 96, 3, 2, 3, bytes(PACKET_MAX - 11), 0, b"", 0, 0)


def test_errors_are_those_of_pylibsrtp():
    assert str(libsrtp.failure(7)) == str(pylibsrtp.Error(pylibsrtp.ERRORS[7]))
    assert str(libsrtp.failure(0)) == str(pylibsrtp.Error(pylibsrtp.ERRORS[0]))
    unknown = len(pylibsrtp.ERRORS)
    assert [str(libsrtp.failure(code)) for code in (-1, unknown)] == [
        "libsrtp's error -1",
        f"libsrtp's error {unknown}",
    ]


def test_where_a_session_is():
    server, client = both_ends(PROFILES[0])
    addresses = {
        libsrtp.session_address(function)
        for function in (server.protect, server.protect_parts, client.protect, client.protect_parts)
    }
    assert len(addresses) == 2
    assert 0 not in addresses
    assert libsrtp.session_address(bytes) == 0
    assert libsrtp.protect_address() > 0


class Stream:
    """Packets of one sender on an endless line of numbers; libsrtp follows jumps of less than half a cycle."""

    def __init__(self):
        self.server, self.client = both_ends(PROFILES[0])
        self.number = 0

    def packet(self, number):
        return HEADER.pack(0x80, 96, number & 0xFFFF, 7, 0xF1000009) + number.to_bytes(4, "big")

    def protect(self, number):
        while self.number < number - 30_000:
            self.number += 30_000
            self.server.protect(self.packet(self.number))
        self.number = number
        return self.server.protect(self.packet(number))

    def receives(self, number):
        return self.client.unprotect(self.protect(number)) == self.packet(number)


CYCLE = 0x10000
recovers = pytest.mark.skipif(
    libsrtp._rollover_functions() is None, reason="libsrtp does not show its counters"
)


@recovers
@pytest.mark.parametrize("ahead", [40_000, CYCLE, 3 * CYCLE + 5, libsrtp.CYCLES_MAX * CYCLE])
def test_a_stream_goes_on_behind_an_outage_of_more_than_half_a_cycle(ahead):
    """RFC 3711 section 3.3.1: the receiver guesses the count of cycles, and from then on wrongly."""
    stream = Stream()
    assert stream.receives(50_000)
    assert stream.receives(70_000)
    protected = stream.protect(70_000 + ahead)
    with pytest.raises(pylibsrtp.Error):
        stream.client.unprotect(protected)
    assert stream.client.recover(protected) == stream.packet(70_000 + ahead)
    assert stream.receives(70_001 + ahead)
    assert stream.receives(80_000 + ahead)


@recovers
def test_what_is_too_far_ahead_or_forged_or_old_changes_nothing():
    stream = Stream()
    first, second, third = (stream.protect(number) for number in (1, 2, 3))
    assert stream.client.recover(first) is None, (
        "nothing of the stream was received: there is no count to go on from"
    )
    assert stream.client.unprotect(first) == stream.packet(1)
    beyond = stream.protect((libsrtp.CYCLES_MAX + 1) * CYCLE + 1)
    forged = third[:-1] + bytes((third[-1] ^ 1,))
    for packet in (beyond, forged, first, b"", first[:11], first[:12]):
        assert stream.client.recover(packet) is None
    assert stream.client.unprotect(second) == stream.packet(2)
    assert stream.client.unprotect(third) == stream.packet(3)
