"""Shared by all tests of one run: the network, the deadlines, the sockets that show the kind of NAT.

Owns: when the run began, the lookouts, how many allocations are held.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections import Counter

from rtcpeer.cli.doctor.udp_socket import ProbeSocket
from rtcpeer.cli.doctor.verdicts import ServerAttempt
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.net.network import Network
from rtcpeer.net.system import default_tls_context

# Deadlines, in seconds from the beginning of the run: a server that is dead in whatever way is told within 10 s.
RESOLVE_BY = 3.0
ALLOCATE_BY = 6.5
DATA_BY = 9.0
# and how long a single step may take
ANSWER_WITHIN = 4.5
DATA_WITHIN = 2.5
RELEASE_WITHIN = 0.5
# A credential of so many characters is no part of a word by chance.
_LONG = 6

_CODES = {401: "credential", 441: "credential", 403: "forbidden", 438: "stale-nonce", 300: "redirect"}


class ExaminationContext:
    """Shared by the examinations of one run."""

    def __init__(self, network: Network, tls: ssl.SSLContext | None) -> None:
        self.network = network
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()
        # by local address
        self.lookouts: dict[str, ProbeSocket] = {}
        self._opening = asyncio.Lock()
        # allocations that we hold, by server name and user: they count towards quotas
        self.held: Counter[tuple[str, str | None]] = Counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._loop.time() - self._begin

    def left(self, by: float, at_most: float = float("inf")) -> float:
        """Seconds until a deadline of the run; never nothing, so that what is just arriving counts."""
        return max(0.05, min(by - self.elapsed, at_most))

    @property
    def tls(self) -> ssl.SSLContext:
        """For ``turns:`` and ``stuns:``."""
        return self._tls or default_tls_context()

    async def lookout(self, source: str) -> ProbeSocket | None:
        """The lookout on a local address; None when no socket can be had there."""
        async with self._opening:
            if source not in self.lookouts:
                try:
                    self.lookouts[source] = await ProbeSocket.open(self.network, source)
                except OSError:
                    return None
            return self.lookouts[source]

    def close(self) -> None:
        """Close the lookouts."""
        for lookout in self.lookouts.values():
            lookout.close()


def note_refusal(attempt: ServerAttempt, entry: IceServerEntry, code: int, text: str) -> None:
    """The server said no, or nothing (701)."""
    attempt.error_code, attempt.error_text = code, without_secrets(text, entry)
    attempt.outcome = "silent" if code == 701 else _CODES.get(code, "refused")


def note_failure(attempt: ServerAttempt, error: OSError) -> None:
    """Note that there was no way to the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        attempt.outcome, attempt.error_text = "certificate", error.verify_message
    elif isinstance(error, TimeoutError):
        attempt.outcome = "silent"
    elif isinstance(error, ssl.SSLError):
        attempt.outcome, attempt.error_text = "unreachable", _without_tls(error)
    else:
        # asyncio's own words for a refused connection are "Connect call failed ('192.0.2.1', 9)"
        said = os.strerror(error.errno).lower() if error.errno else str(error)
        attempt.outcome, attempt.error_text = "unreachable", said


def _without_tls(error: ssl.SSLError) -> str:
    # errors of our own DTLS have their reason in their text
    return f"no TLS there ({error.reason})" if error.reason else str(error.args[-1])


def without_secrets(text: str, entry: IceServerEntry) -> str:
    """A server's text without our own credential, should it repeat it.

    A credential is taken out with the whole word that it stands in, so that nothing shows where it began. A short one
    counts only where it is a word: "u" is in most sentences, and what is left of them would tell what it is.
    """
    for secret in sorted(filter(None, (entry.credential, entry.username)), key=len, reverse=True):
        if len(secret) >= _LONG:
            text = " ".join("..." if secret in word else word for word in text.split(" "))
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "...", text)
    return text
