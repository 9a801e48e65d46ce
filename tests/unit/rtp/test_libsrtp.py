"""SRTP in one buffer: the same packets as pylibsrtp's, of any size."""

import asyncio
import gc
import os
import struct

import pylibsrtp
import pytest

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
