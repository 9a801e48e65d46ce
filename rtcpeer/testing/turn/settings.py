"""Settings of the test server, faults that it injects, and its counters.

Owns: plain records.  Never: a socket, a decision.
"""

from __future__ import annotations

import base64
import hmac
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rtcpeer.net.network import Address

DEFAULT_LIFETIME = 600.0  # RFC 8656 section 7.2
PERMISSION_LIFETIME = 300.0  # section 9
CHANNEL_LIFETIME = 600.0  # section 12


@dataclass(slots=True)
class TurnSettings:
    """Settings of a test server. They may be changed while it runs.

    Attributes:
        users: user name -> password (long-term credentials, RFC 8489 section 9.2).
        secret: shared secret of time-limited credentials ("REST" credentials, coturn's ``use-auth-secret``).
        realm: told with every 401.
        nonce_lifetime: a nonce older than this is answered with 438.
        max_lifetime: longest lifetime of an allocation.
        permission_lifetime, channel_lifetime: RFC 8656 sections 9 and 12; shorten them to see refreshes.
        user_quota: allocations per user, then 486.
        total_quota: allocations altogether, then 508.
        allow_peer: says whether an IP address may be a peer; others get 403.
        relay_ports: (first, last) of relayed ports.
        software: SOFTWARE attribute.
    """

    users: dict[str, str] = field(default_factory=dict)
    secret: str | None = None
    realm: str = "rtcpeer.test"
    nonce_lifetime: float = 3600.0
    max_lifetime: float = 3600.0
    permission_lifetime: float = PERMISSION_LIFETIME
    channel_lifetime: float = CHANNEL_LIFETIME
    user_quota: int | None = None
    total_quota: int | None = None
    allow_peer: Callable[[str], bool] | None = None
    relay_ports: tuple[int, int] | None = None
    software: str = "rtcpeer test server"

    def __repr__(self) -> str:
        return f"<TurnSettings realm={self.realm!r} users={sorted(self.users)}>"

    def password_of(self, username: str, now: float) -> str | None:
        """The password of a user, or None when there is none (any more).

        Args:
            username: from the request.
            now: seconds since the epoch; time-limited user names begin with when they expire.
        """
        if username in self.users:
            return self.users[username]
        if self.secret is None:
            return None
        expiry = username.partition(":")[0]
        if not expiry.isdecimal() or len(expiry) > 12 or int(expiry) < now:
            return None
        return rest_password(self.secret, username)


def rest_password(secret: str, username: str) -> str:
    """base64(HMAC-SHA1(secret, username)): what coturn expects with ``use-auth-secret``."""
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


@dataclass(slots=True)
class TurnFaults:
    """Faults of a test server. Every field may be set and cleared while it runs.

    Methods are named "binding", "allocate", "refresh", "create_permission", "channel_bind".

    Attributes:
        silent: nothing is answered and nothing relayed, as if the process were stopped.
        silent_methods: requests of these methods are not answered.
        relay_nothing: requests are answered, but no data pass.
        delay: answers come this many seconds late.
        errors: method -> error code; requests get that error (after authentication).
        stale_nonce_every: each n-th authenticated request is answered with 438 and a new nonce.
        redirect: allocations are answered with 300 and this ALTERNATE-SERVER.
        mapped_address: what is said instead of the client's real address.
        sign_wrongly: answers are signed with a wrong key.
        garbage: answers are random-looking bytes.
    """

    silent: bool = False
    silent_methods: set[str] = field(default_factory=set)
    relay_nothing: bool = False
    delay: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    stale_nonce_every: int = 0
    redirect: Address | None = None
    mapped_address: Address | None = None
    sign_wrongly: bool = False
    garbage: bool = False

    def clear(self) -> None:
        """Mend everything."""
        fresh = TurnFaults()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))


@dataclass(slots=True)
class TurnCounters:
    """Counters of a test server.

    Attributes:
        requests: by method name, retransmissions included.
        errors: by error code, as answered.
        indications: Send indications received.
        created, released, expired, dropped: allocations made; ended by Refresh 0; by time; because their
            stream or the server ended.
        packets_to_peers, bytes_to_peers, packets_to_clients, bytes_to_clients: relayed data.
        refused: data packets without a permission or a channel.
        invalid: what was no STUN message or damaged.
    """

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)
    indications: int = 0
    created: int = 0
    released: int = 0
    expired: int = 0
    dropped: int = 0
    packets_to_peers: int = 0
    bytes_to_peers: int = 0
    packets_to_clients: int = 0
    bytes_to_clients: int = 0
    refused: int = 0
    invalid: int = 0
