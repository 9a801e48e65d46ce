"""SRTP: the profiles we offer, and the two sessions that a DTLS handshake keys (RFC 5764).

Owns: libsrtp sessions. Never: parsing, routing, sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pylibsrtp
from pylibsrtp import Policy, Session

from rtcpeer.rtp import libsrtp


class Profile(NamedTuple):
    """An SRTP protection profile: its names in OpenSSL and libsrtp, sizes of key and salt in bytes."""

    name: bytes
    libsrtp: int
    key_length: int
    salt_length: int


def _available() -> tuple[Profile, ...]:
    # AES-GCM is cheaper per packet than AES-CM with HMAC-SHA1, and 128 bits cheaper than 256.
    # libsrtp may have been built without it.
    wanted = (
        Profile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
        Profile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
        Profile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
    )
    found = []
    for profile in wanted:
        try:
            Policy(srtp_profile=profile.libsrtp)
        except pylibsrtp.Error:
            continue
        found.append(profile)
    return tuple(found)


PROFILES = _available()
PROFILE_NAMES = tuple(profile.name for profile in PROFILES)

# packets that may arrive out of order and still be decrypted
WINDOW = 1024


class SrtpSessions(NamedTuple):
    """SRTP in both directions: functions from packet to packet, which raise `pylibsrtp.Error`, or ValueError.

    `protect_parts` writes a packet from its parts and protects it in one step (see `libsrtp.ProtectParts`);
    `forget` drops the state of a received SSRC, which begins anew when it comes again; `recover` decrypts a packet of
    a stream of which more than half a cycle of numbers was lost, or gives None.
    """

    profile: Profile
    protect: libsrtp.Protect
    protect_parts: libsrtp.ProtectParts
    protect_rtcp: Callable[[bytes], bytes]
    unprotect: Callable[[bytes], bytes]
    unprotect_rtcp: Callable[[bytes], bytes]
    forget: Callable[[int], None]
    recover: Callable[[bytes], bytes | None]


class SrtpKeys(NamedTuple):
    """The keys that a DTLS association gave for SRTP (RFC 5764 section 4.2): profile and exported material."""

    profile: Profile
    material: bytes


def export_keys(profile_name: bytes, export: Callable[[bytes, int], bytes]) -> SrtpKeys | None:
    """Take the keys of both directions out of a DTLS association.

    Args:
        profile_name: what the handshake agreed on; b"" for nothing.
        export: the exporter of the association: (label, length) -> bytes.

    Returns:
        None if the handshake agreed on no profile that we know.
    """
    profile = next((p for p in PROFILES if p.name == profile_name), None)
    if profile is None:
        return None
    return SrtpKeys(profile, export(b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)))


def make_sessions(keys: SrtpKeys, *, is_server: bool) -> SrtpSessions:
    """Key both directions (RFC 5764 section 4.2).

    Args:
        keys: of the DTLS association.
        is_server: our DTLS role.
    """
    profile, material = keys
    key, salt = profile.key_length, profile.salt_length
    client = material[:key] + material[2 * key : 2 * key + salt]
    server = material[key : 2 * key] + material[2 * key + salt :]
    local, remote = (server, client) if is_server else (client, server)
    outbound = _session(profile, local, Policy.SSRC_ANY_OUTBOUND)
    inbound = _session(profile, remote, Policy.SSRC_ANY_INBOUND)
    return SrtpSessions(
        profile,
        libsrtp.protector(outbound),
        libsrtp.parts_protector(outbound),
        libsrtp.rtcp_protector(outbound),
        libsrtp.unprotector(inbound),
        libsrtp.rtcp_unprotector(inbound),
        inbound.remove_stream,
        libsrtp.recoverer(inbound),
    )


def _session(profile: Profile, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp)
    # the same packet is sent again after a NACK when there is no RTX
    policy.allow_repeat_tx = True
    policy.window_size = WINDOW
    return Session(policy)
