"""SRTP's two sessions: which profiles, which key for which direction, what comes late or is sent twice."""

from __future__ import annotations

import struct

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from rtcpeer.rtp.srtp import PROFILE_NAMES, PROFILES, SrtpKeys, export_keys, make_sessions

HEADER = struct.Struct("!BBHLL")


def rtp(number, ssrc=9):
    return HEADER.pack(0x80, 96, number, 7, ssrc) + b"payload"


def material(profile):
    return bytes(range(2 * (profile.key_length + profile.salt_length)))


def both_ends(profile=PROFILES[0]):
    keys = SrtpKeys(profile, material(profile))
    return [make_sessions(keys, is_server=is_server) for is_server in (True, False)]


def by_hand(profile, key, direction):
    """A session as pylibsrtp makes it, with the key that the specification says."""
    return Session(Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp))


def test_the_profiles_in_the_order_of_their_cost():
    """RFC 5764 section 4.1.2 and RFC 7714 section 14.2: names, and sizes of key and salt."""
    sizes = {profile.name: (profile.key_length, profile.salt_length) for profile in PROFILES}
    known = {
        b"SRTP_AEAD_AES_128_GCM": (16, 12),
        b"SRTP_AEAD_AES_256_GCM": (32, 12),
        b"SRTP_AES128_CM_SHA1_80": (16, 14),
    }
    assert sizes == {name: known[name] for name in sizes}
    assert list(sizes) == [name for name in known if name in sizes]
    assert b"SRTP_AES128_CM_SHA1_80" in sizes, "every browser has it (RFC 8827 section 6.5)"
    assert tuple(sizes) == PROFILE_NAMES


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.decode())
def test_keys_are_exported_in_the_length_of_both_directions(profile):
    asked = []
    keys = export_keys(profile.name, lambda label, size: asked.append((label, size)) or bytes(size))
    assert keys is not None
    assert keys.profile == profile
    assert asked == [(b"EXTRACTOR-dtls_srtp", len(keys.material))]
    assert len(keys.material) == 2 * (profile.key_length + profile.salt_length)


@pytest.mark.parametrize("name", [b"", b"SRTP_NULL_SHA1_80"])
def test_without_a_profile_that_we_know_there_are_no_keys(name):
    def export(label, size):
        raise AssertionError("nothing to export")

    assert export_keys(name, export) is None


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.decode())
def test_each_direction_has_its_key(profile):
    """RFC 5764 section 4.2: the client's key, the server's, the client's salt, the server's."""
    given, key, salt = material(profile), profile.key_length, profile.salt_length
    client = given[:key] + given[2 * key :][:salt]
    server = given[key : 2 * key] + given[2 * key + salt :]
    ours, theirs = both_ends(profile)
    assert by_hand(profile, server, Policy.SSRC_ANY_INBOUND).unprotect(ours.protect(rtp(1))) == rtp(1)
    assert by_hand(profile, client, Policy.SSRC_ANY_INBOUND).unprotect(theirs.protect(rtp(1))) == rtp(1)
    assert ours.unprotect(by_hand(profile, client, Policy.SSRC_ANY_OUTBOUND).protect(rtp(2))) == rtp(2)
    assert (ours.profile, theirs.profile) == (profile, profile)


def test_a_packet_may_leave_twice_and_is_received_once():
    """Without RTX a NACK is answered by the packet itself (RFC 4585); a replay is refused (RFC 3711 section 3.3.2)."""
    server, client = both_ends()
    assert server.protect(rtp(1)) == server.protect(rtp(1))
    client.unprotect(server.protect(rtp(1)))
    with pytest.raises(pylibsrtp.Error, match="replay"):
        client.unprotect(server.protect(rtp(1)))


def test_a_packet_may_be_a_thousand_others_late():
    """Retransmissions and corrections come that late in pictures of many packets."""
    server, client = both_ends()
    late = server.protect(rtp(1))
    for number in range(2, 1002):
        client.unprotect(server.protect(rtp(number)))
    assert client.unprotect(late) == rtp(1)


def test_a_stream_that_is_forgotten_begins_anew():
    server, client = both_ends()
    protected = server.protect(rtp(1))
    client.unprotect(protected)
    client.forget(9)
    assert client.unprotect(protected) == rtp(1)
