"""Rate limits: a token bucket for each key, bounded in number. Pure: the time is an argument.

Owns: the buckets, and who counts as one client. Never: a clock.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict


def client_key(address: str) -> str:
    """Under which key requests of an address are counted: itself, or the /64 of IPv6 that one client has for itself."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(known) >> 64 << 64)}/64"


class RateLimit:
    """A limit of requests a second per key, with bursts.

    Args:
        rate: requests per second and key in the long run.
        burst: requests that a key may make at once.
        keys: how many keys are remembered; the one that was silent longest is forgotten.
    """

    def __init__(self, rate: float, burst: int, *, keys: int = 10_000) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(
                f"a rate limit needs a rate above 0 and a burst of at least 1, not {rate} and {burst}"
            )
        self.rate = rate
        self.burst = burst
        self._keys = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens left, when

    def __repr__(self) -> str:
        return f"RateLimit({self.rate:g}, {self.burst})"

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> float:
        """Count one request.

        Args:
            key: whose.
            now: seconds, on a clock that never goes back.

        Returns:
            0.0 if it is allowed, else the seconds until one is.
        """
        tokens, before = self._buckets.pop(key, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - before) * self.rate)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self.rate
        self._buckets[key] = (tokens if wait else tokens - 1.0, now)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return wait
